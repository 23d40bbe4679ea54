"""What each part of retrieval buys: recall counted by hand, what each method answers, what its file may say."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tests.evaluation.test_comparison import CONTENT as COMPARISON
from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.datasets import SimulatedSample
from tiercel.errors import TiercelError
from tiercel.evaluation.protocol import ALL_QUERIES
from tiercel.evaluation.results import read_rows
from tiercel.evaluation.retrieval import BEHIND_RETRIEVAL, answers, measure_retrieval, read_retrieval, recalls
from tiercel.locate import Analysis, Locator

MODULE = sys.modules[measure_retrieval.__module__]
FILE = Path(__file__).parents[2] / "recipes" / "retrieval-arms.yaml"
CONTENT = {
    **{name: COMPARISON[name] for name in ("base", "stage", "arms")},
    "protocol": "retrieval", "results": "rows.json", "seeds": [0], "photos": 1,
    "galleries": [
        {"name": "cells", "words": "", "arms": ["one", "two"]},
        {"name": "finer", "words": "", "stride": 0.5, "arms": ["two"]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def locator() -> Locator:
    model, atlas = prepared()
    return Locator(atlas, model)


def sample(east: float, south: float, heading: float, kind: str = "panorama") -> SimulatedSample:
    field = 360.0 if kind == "panorama" else 90.0
    return SimulatedSample(Path("p.jpg"), kind, WEST + east, NORTH - south, 45, 15, heading, field, 0, 1.6)


def knowing(locator: Locator, one: SimulatedSample) -> Callable[[object], Analysis]:
    """Analyses any photo as if it were of the sample's place."""
    photo = planted(locator.atlas, locator.model, one.x, one.y, one.heading, False, one.field_of_view)
    return lambda _: Analysis(locator, photo)


def test_recall_at_k_counts_references_that_score_strictly_higher() -> None:
    found = recalls([0, 0, 3, 5, 9, 40, 41], 4096)
    assert {name: one.value for name, one in found.items()} == {
        "r1": pytest.approx(200 / 7), "r5": pytest.approx(300 / 7), "r10": pytest.approx(500 / 7),
        "r1pct": pytest.approx(500 / 7),
    }  # fmt: skip
    assert recalls([39, 40], 4096)["r1pct"].value == 50.0
    assert recalls([0, 1], 50)["r1pct"].value == 50.0  # of less than a hundred, the first alone


def test_every_method_says_where_and_polar_matching_is_right_about_a_photo_it_knows(locator, monkeypatch) -> None:
    one = sample(100, 70, 45.0)
    monkeypatch.setattr(MODULE, "Photo", SimpleNamespace(open=lambda file: None))
    found = answers(knowing(locator, one), one, ALL_QUERIES[0])
    assert list(found) == ["retrieval", "candidates", "match", "match_map"]
    assert found["retrieval"].error_m < 6 and found["retrieval"].rank == 0
    assert found["retrieval"].heading_error_deg < 6
    assert found["candidates"].rank is None and found["match_map"].rank is not None
    assert all(np.isfinite(one.error_m) and np.isfinite(one.heading_error_deg) for one in found.values())
    for name in BEHIND_RETRIEVAL:
        assert found[name].seconds >= found["retrieval"].seconds


def test_arms_galleries_and_the_model_beside_them_stand_in_one_file(tmp_path, monkeypatch, locator) -> None:
    one, asked = sample(100, 70, 45.0), []

    def prepare(model: object, protocol: object, seed: int, *_: object, gallery: object = None) -> tuple[object, list]:
        asked.append((model.named, gallery and (gallery.scales, gallery.stride), seed))
        kept = tmp_path / f"{len(asked)}"
        atlas = SimpleNamespace(folder=kept, tree=locator.atlas.tree, leaf_index=locator.atlas.leaf_index)
        return SimpleNamespace(atlas=atlas, analyse=knowing(locator, one), model=locator.model), [one]

    monkeypatch.setattr(MODULE, "Photo", SimpleNamespace(open=lambda file: None))
    config = SimpleNamespace(heads=("retrieval",))
    monkeypatch.setattr(MODULE, "load_model", lambda name: SimpleNamespace(named=Path(name).name, config=config))
    monkeypatch.setattr(MODULE, "prepare", prepare)
    monkeypatch.setattr(MODULE, "ALL_QUERIES", ALL_QUERIES[:1])
    file = tmp_path / "arms.yaml"
    settings = read_retrieval(file, {**CONTENT, "results": str(tmp_path / "rows.json")})
    monkeypatch.setattr(type(settings), "train", lambda self, arm, folder, report: folder / arm.name)
    first = measure_retrieval(settings, file, tmp_path, str)
    assert asked == [
        ("one", ((1.0,), 1.0), 0), ("two", ((1.0,), 1.0), 0), ("two", ((1.0,), 0.5), 0), ("bundled", None, 0),
    ]  # fmt: skip
    # What was measured is kept, so that an interrupted run goes on, and nothing is asked again.
    asked.clear()
    monkeypatch.setattr(MODULE, "answers", None)
    assert measure_retrieval(settings, file, tmp_path, str) == first
    rows = {row.name: row for row in read_rows(tmp_path / "rows.json")}
    methods = [row.parts[3] for row in rows.values() if row.parts[0] == "r1_10m"]
    assert methods[0] == "chance"
    assert [name for name in methods if name.startswith("retrieval")] == [
        "retrieval@one", "retrieval@two", "retrieval@two+finer", "retrieval",
    ]  # fmt: skip
    assert rows["r1_10m/panorama_north/unseen/retrieval"].value == 100.0
    assert rows["r1/panorama_north/unseen/retrieval@two+finer"].value == 100.0
    assert {row.command for row in rows.values()} == {f"tiercel evaluate {file}"}


def test_the_project_s_own_file_is_sound() -> None:
    settings = read_retrieval(FILE, yaml.safe_load(FILE.read_text()))
    stages = [settings.recipe(arm).stages[0] for arm in settings.arms]
    for stage in stages[1:]:
        changes = {key for key, value in vars(stage).items() if getattr(stages[0], key) != value}
        assert changes <= {"name", "sampling", "gps_epochs", "refresh_epochs", "neighbours_pool", "neighbours_chosen"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("galleries"), "galleries"),
        (lambda content: content["galleries"][0].update(arms=["three"]), "no arm 'three'"),
        (lambda content: content.update(seeds=[10_000]), "belong to the seeds that train"),
    ],
)
def test_files_that_cannot_be(change, words) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(TiercelError, match=words):
        read_retrieval(Path("some.yaml"), content)
