from pathlib import Path

import pytest
import yaml

from tiercel.errors import TiercelError
from tiercel.rerank.prompt import arms
from tiercel.training.judging.recipe import JudgeRecipe
from tiercel.training.recipe import Recipe
from tiercel.training.splits import split_of

RECIPES = Path(__file__).parents[3] / "recipes"


def test_the_shipped_recipe_teaches_every_arm() -> None:
    recipe = JudgeRecipe.load(RECIPES / "judge.yaml")
    assert sorted(recipe.lessons) == arms()


def test_its_cities_train_nothing_else_and_test_nothing() -> None:
    mine = set(JudgeRecipe.load(RECIPES / "judge.yaml").cities.seeds)
    first_stage = Recipe.load(RECIPES / "compact.yaml").cities
    theirs = {10_000 + first_stage.first + number for number in range(first_stage.train)}
    studied = yaml.safe_load((RECIPES / "rerank-sim.yaml").read_text(encoding="utf-8"))
    measured = {*studied["lists"]["seeds"], *studied["validation"]["seeds"]}
    assert mine.isdisjoint(theirs | measured) and {split_of(seed) for seed in mine} == {"train"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cities": {"first": 0, "count": 2}}, r"cities \[0, 1\] are not of the split 'train'"),
        ({"stepps": 3}, "stepps"),
        ({"lessons": {"guessing": 1.0}}, "lessons"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_a_wrong_recipe_names_its_file_and_setting(change: dict[str, object], words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"judge": "mine", **change}), encoding="utf-8")
    with pytest.raises(TiercelError, match=rf"mine\.yaml: {words}|mine\.yaml.*{words}"):
        JudgeRecipe.load(tmp_path / "mine.yaml")


def test_a_judges_recipe_is_told_from_others() -> None:
    assert JudgeRecipe.is_one(RECIPES / "judge.yaml")
    assert not JudgeRecipe.is_one(RECIPES / "compact.yaml") and not JudgeRecipe.is_one(RECIPES / "gone.yaml")
