"""Experiments with the recipe: one change at a time, trained, measured and told."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.models.tiny import tiny_model
from tests.training.conftest import noise_city, small_stage
from tiercel.errors import TiercelError
from tiercel.evaluation import experiments as module
from tiercel.evaluation.experiments import (
    BEGIN,
    END,
    asked,
    draw_curves,
    main,
    read_experiments,
    render_experiments,
)
from tiercel.evaluation.files import run_file
from tiercel.evaluation.results import read_rows
from tiercel.models.model import save_model
from tiercel.training.loop import Prepared
from tiercel.training.splits import split_of

RECIPES = Path(__file__).parents[2] / "recipes"


def content(tmp_path) -> dict[str, object]:
    return {
        "protocol": "experiments",
        "results": str(tmp_path / "experiments.json"),
        "batches": 2,
        "base": {"model": {"heads": ["retrieval"]}, "cities": {"train": 1, "validation": 1}},
        "stage": {"heads": ["retrieval"], "steps": 1},
        "arms": [
            {"name": "base", "words": "as ever", "expected": "-", "curve": {"steps": 1}},
            {"name": "more", "words": "twice the steps", "expected": "better", "against": "base", "decision": "kept",
             "stage": {"steps": 2}, "curve": {"steps": 2}},
            {"name": "match", "words": "the match", "expected": "runs", "model": {"heads": ["match"]},
             "stage": {"heads": ["match"]}},
        ],
    }  # fmt: skip


@pytest.fixture
def ran(tmp_path, monkeypatch) -> tuple[dict[str, object], list[str]]:
    """A file of experiments that was run on untrained tiny networks and noise."""
    described, trained = content(tmp_path), []

    def train(self, arm, folder, report, seed=None) -> Path:
        trained.append(arm.name)
        target = folder / arm.name
        save_model(tiny_model(seed=len(trained), heads=tuple(self.recipe(arm).model.heads)), target, "")
        (target / "log.csv").write_text("step,name,value\n1,seconds,90\n2,seconds,30\n")
        return target

    monkeypatch.setattr(module.Experiments, "train", train)
    monkeypatch.setattr(module, "prepare_data", lambda *_: Prepared([], [noise_city(1000)]))
    path = tmp_path / "experiments.yaml"
    path.write_text(yaml.safe_dump(described))
    assert run_file(path, tmp_path / "work", lambda line: None) == tmp_path / "experiments.json"
    assert trained == ["base", "more", "match"]
    return path, read_rows(tmp_path / "experiments.json")


def test_every_trial_is_asked_the_same_photos(ran) -> None:
    _, rows = ran
    named = {row.name: row for row in rows}
    for kind in ("panorama", "photo_90", "photo_70"):
        for trial, metric in (("base", "right_unknown"), ("more", "right_known"), ("match", "right_place")):
            row = named[f"{metric}/{kind}/validation/{trial}"]
            assert row.unit == "%" and row.n == 64 and 0 <= row.value <= 100 and row.seeds == (1000,)
    assert named["training_minutes/all/validation/more"].value == pytest.approx(2.0)
    assert {split_of(seed) for row in rows for seed in row.seeds} == {"validation"}


def test_the_table_tells_what_was_expected_what_came_and_what_was_decided(ran) -> None:
    path, rows = ran
    experiments = read_experiments(path, yaml.safe_load(path.read_text()))
    table = render_experiments(experiments, rows)
    more = next(one for one in table if "`more`" in one)
    named = {row.name: row.value for row in rows}
    change = named["right_known/photo_90/validation/more"] - named["right_known/photo_90/validation/base"]
    assert "twice the steps" in more and "better" in more and "kept" in more and f"({change:+.1f})" in more
    assert len([one for one in table if one.startswith("| `")]) == 3
    picture = draw_curves(experiments, rows)
    assert picture.width > 300 and len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 10


def test_the_page_is_rendered_between_its_lines(ran, tmp_path) -> None:
    path, _ = ran
    page = tmp_path / "page.md"
    page.write_text(f"# Experiments\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    main([str(path), str(page), str(tmp_path / "curves.png")])
    text = page.read_text()
    assert text.startswith("# Experiments") and text.endswith("More.\n") and "old" not in text and "`more`" in text
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_nothing_is_varied_where_a_trial_is_measured() -> None:
    """Trials that were trained on faults and other styles are asked the same as those that were not."""
    model, cities = tiny_model(heads=("retrieval",)), [noise_city(1000)]
    plain = small_stage(heads=("retrieval",), crops_per_city=1, panoramas=0.0)
    varied = dataclasses.replace(
        plain, augmented=1.0, faults=1.0, restyled=1.0, position_error=9.0, tilt=(9.0, 9.0), land_cover_loss=1.0,
    )  # fmt: skip
    one, other = (asked(model, stage, cities, 1) for stage in (plain, varied))
    assert one == other and set(one) == {"right_known", "right_unknown", "known_heading", "unknown_heading"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"against": "nobody"}, "no arm 'nobody'"),
        ({"stage": {"stepps": 3}}, "stepps"),
        ({"cities": {"houses": 3}}, "houses"),
    ],
)
def test_a_wrong_trial_is_refused_at_once(tmp_path, change, words) -> None:
    described = content(tmp_path)
    described["arms"][1] |= change
    with pytest.raises(TiercelError, match=words):
        read_experiments(tmp_path / "file.yaml", described)


def test_the_shipped_experiments_say_what_they_expect() -> None:
    path = RECIPES / "experiments.yaml"
    experiments = read_experiments(path, yaml.safe_load(path.read_text()))
    assert len(experiments.arms) > 30 and all(trial.expected for trial in experiments.arms)
    names = [trial.name for trial in experiments.arms]
    assert len(set(names)) == len(names)
    for trial in experiments.arms:
        teacher = experiments.recipe(trial).stages[0].teacher
        assert not teacher or names.index(teacher) < names.index(trial.name), "a teacher is trained before"
