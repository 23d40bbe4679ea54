from pathlib import Path

import pytest
import yaml

from tiercel.errors import TiercelError
from tiercel.rerank.prompt import arms
from tiercel.training.feeding import Cut
from tiercel.training.judging.recipe import JudgeRecipe
from tiercel.training.recipe import Recipe
from tiercel.training.splits import split_of
from tiercel.training.stream import CityStream

RECIPES = Path(__file__).parents[3] / "recipes"


def test_the_shipped_recipe_teaches_every_arm() -> None:
    recipe = JudgeRecipe.load(RECIPES / "judge.yaml")
    assert sorted(recipe.lessons) == arms()


def test_its_cities_train_nothing_else_and_test_nothing() -> None:
    mine = set(JudgeRecipe.load(RECIPES / "judge.yaml").cities.seeds)
    endless, seedling = (Recipe.load(RECIPES / name) for name in ("compact.yaml", "seedling.yaml"))
    # A stage without end comes to a new city once the servings of one are used up.
    read = (RECIPES, endless.cities, endless.model, 0, "")
    stages = [(stage, CityStream(*read, stage.skip_cities)) for stage in endless.stages]
    sizes = [(stage.photos_per_crop, stage.crops_per_city, 4, 0.5) for stage, _ in stages]
    cuts = [(*one, Cut(400, 70, 1, 0, *size)) for one, size in zip(stages, sizes, strict=True)]
    last = max(stage.skip_cities + max(stream.at_hand(stage.steps, cut, 2)) for stage, stream, cut in cuts)
    theirs = {10_000 + endless.cities.first + number for number in range(last + 1)}
    theirs |= {10_000 + seedling.cities.first + number for number in range(seedling.cities.train)}
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
