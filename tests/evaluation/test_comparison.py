"""A comparison: what its file may say, and that every arm is trained once and measured under its own name."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import yaml

from tests.models.tiny import SIZES
from tests.training.conftest import noise_city
from tiercel.errors import TiercelError
from tiercel.evaluation.arms import Arms
from tiercel.evaluation.comparison import compare, read_comparison
from tiercel.evaluation.results import Row, read_rows
from tiercel.training.loop import Prepared
from tiercel.training.recipe import Recipe

MODULE = sys.modules[compare.__module__]
FILE = Path(__file__).parents[2] / "recipes" / "zoom-objectives.yaml"
MODEL = {key: list(value) if isinstance(value, tuple) else value for key, value in SIZES.items()}
CONTENT = {
    "protocol": "objectives", "results": "rows.json", "seeds": [0], "photos": 2,
    "base": {"precision": "no", "model": MODEL},
    "stage": {"heads": ["zoom"], "steps": 1, "photos_per_crop": 3, "negatives_per_crop": 2, "squares_per_crop": 2},
    "arms": [
        {"name": "one", "words": "the first", "stage": {"zoom_objective": "siblings"}},
        {"name": "two", "words": "the second", "model": {"zoom_reject": True}, "stage": {"zoom_objective": "reject"}},
    ],
}  # fmt: skip


def test_the_project_s_own_comparison_is_sound() -> None:
    comparison = read_comparison(FILE, yaml.safe_load(FILE.read_text()))
    recipes = {arm.name: comparison.recipe(arm) for arm in comparison.arms}
    first = recipes["published"].stages[0]
    # The first arms differ in nothing but the head's keys, rejection and the objective.
    for name in ("children", "reject", "branches", "tree"):
        stage = recipes[name].stages[0]
        changes = {key for key, value in vars(stage).items() if getattr(first, key) != value}
        assert changes <= {"name", "zoom_objective"}
    assert len({recipe.seed for recipe in recipes.values()}) == len({recipe.cities for recipe in recipes.values()}) == 1
    scratch, polar = recipes["retrieval"].stages[0], recipes["polar"].stages[0]
    assert scratch.steps == polar.steps and scratch.start_from == polar.start_from == ""


def test_every_arm_is_trained_once_and_measured(tmp_path, monkeypatch) -> None:
    trained: list[str] = []
    cities = Prepared([noise_city(0, 60), noise_city(1, 60)], [])

    def prepare(recipe: Recipe, folder: Path, report: object) -> Prepared:
        trained.append(recipe.stages[0].name)
        return cities

    def evaluate(folder: Path, **rest: object) -> list[Row]:
        assert (folder / "model.safetensors").is_file()
        names = ("r1_50m/photo_90/unseen/chance", "r1_50m/photo_90/unseen/greedy")
        return [Row(name, 1.0, "%", 2, 0.0, 2.0, (0,), "here", "tiercel evaluate") for name in names]

    monkeypatch.setattr(sys.modules[Arms.__module__], "prepare_data", prepare)
    monkeypatch.setattr(MODULE, "evaluate", evaluate)
    content = {**CONTENT, "results": str(tmp_path / "rows.json")}
    for _ in range(2):
        compare(read_comparison(Path("some.yaml"), content), Path("some.yaml"), tmp_path, report=str)
    assert trained == ["one", "two"]
    rows = {row.name: row for row in read_rows(tmp_path / "rows.json")}
    assert list(rows) == [
        "r1_50m/photo_90/unseen/chance",
        "r1_50m/photo_90/unseen/greedy@one",
        "training_minutes/all/unseen/training@one",
        "r1_50m/photo_90/unseen/greedy@two",
        "training_minutes/all/unseen/training@two",
    ]
    assert all(row.command == "tiercel evaluate some.yaml" for row in rows.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("arms"), "arms"),
        (lambda content: content["arms"][0].pop("words"), r"arms\.0\.words"),
        (lambda content: content.update(colour="red"), "colour"),
        (lambda content: content["arms"][1]["stage"].update(patience=3), "arm 'two', stages: unknown settings"),
    ],
)
def test_files_that_cannot_be(change, words) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(TiercelError, match=words):
        read_comparison(Path("some.yaml"), content)
