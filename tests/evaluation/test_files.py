"""Measurements described by a file: which there are, what they may say, and what comes of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from tests.models.tiny import tiny_model
from tiercel.errors import TiercelError
from tiercel.evaluation.files import run_file
from tiercel.evaluation.metropolis import measure_metropolis, read_metropolis
from tiercel.evaluation.results import Row, read_rows

MODULE = sys.modules[measure_metropolis.__module__]
RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_metropolis_is_asked_twice_with_the_heads_that_are_wanted(tmp_path, monkeypatch) -> None:
    asked = []

    def evaluate_benchmark(folder: Path, model: object, **rest: object) -> tuple[list[Row], None]:
        asked.append((folder, model.config.heads, rest["photos"], rest["north"], rest["protocol"]))
        query = "panorama_north" if rest["north"] else "panorama"
        return [Row(f"r1_50m/{query}/city-every_photo/greedy", 1.0, "%", 5, 0.0, 2.0, (), "here", "tiercel")], None

    made = []
    monkeypatch.setattr(MODULE, "simulate_benchmark", lambda folder, **rest: made.append((folder, rest["seed"])))
    monkeypatch.setattr(MODULE, "load_model", lambda name: tiny_model())
    monkeypatch.setattr(MODULE, "evaluate_benchmark", evaluate_benchmark)
    file = tmp_path / "town.yaml"
    settings = {"protocol": "metropolis", "results": str(tmp_path / "rows.json"), "seed": 3, "size": 500, "asked": 7}
    file.write_text(yaml.safe_dump(settings))
    assert run_file(file, tmp_path / "work", report=str) == tmp_path / "rows.json"
    folder = tmp_path / "work" / "town"
    assert made == [(folder, 3)]
    assert asked == [(folder, ("retrieval", "zoom"), 7, north, "every_photo") for north in (True, False)]
    rows = read_rows(tmp_path / "rows.json")
    assert [row.name for row in rows] == [f"r1_50m/{q}/metropolis/greedy" for q in ("panorama_north", "panorama")]
    assert {(row.seeds, row.command) for row in rows} == {((3,), f"tiercel evaluate {file}")}


def test_the_project_s_own_file_is_sound() -> None:
    path = RECIPES / "metropolis.yaml"
    settings = read_metropolis(path, yaml.safe_load(path.read_text()))
    assert settings.size / 4**4 == 39.0625 and settings.asked >= 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "does not exist"),
        ("{", "is not valid YAML"),
        ("- a list", "holds no settings"),
        ("protocol: weather", "has no protocol that can be measured"),
        ("{protocol: metropolis, results: x.json, depth: 3}", "depth"),
        ("{protocol: metropolis, results: x.json, seed: 10000}", "belongs to the seeds that train"),
        ("{protocol: objectives, results: x.json}", "compare it with recipes"),
    ],
)
def test_files_that_cannot_be_measured(text, words, tmp_path) -> None:
    file = tmp_path / "some.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(TiercelError, match=rf"some\.yaml.*{words}"):
        run_file(file, tmp_path, report=str)
