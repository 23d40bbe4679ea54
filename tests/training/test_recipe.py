from pathlib import Path

import pytest

from tiercel.errors import TiercelError
from tiercel.training import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def test_a_whole_recipe(tmp_path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("""
model: {name: small, width: [8, 12, 16], calibration: {candidates: 4}}
cities: {train: 3, views: 10}
stages:
  - {name: one, heads: [retrieval, zoom], steps: 10, field_of_view: [60, 90]}
  - {name: two, heads: [match], steps: 5}
seed: 7
precision: "no"
""")
    recipe = Recipe.load(path)
    assert recipe.model.width == (8, 12, 16)
    assert recipe.model.calibration.candidates == 4
    assert (recipe.cities.train, recipe.cities.size) == (3, 2000.0)
    assert recipe.stage("one").field_of_view == (60, 90)
    assert recipe.stage("two").heads == ("match",)
    assert (recipe.seed, recipe.precision) == (7, "no")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stages: [", "not valid YAML"),
        ("- 1\n- 2", "holds no settings"),
        ("", "holds no settings"),
        ("speed: 3", r"unknown settings \(speed\)"),
        ("cities: {towns: 3}", r"cities: unknown settings \(towns\)"),
        ("model: {depth: 3}", r"model has unknown settings \(depth\)"),
        ("model: 3", "holds no settings"),
        ("cities: 3", "cities: .*no settings"),
        ("stages: [3]", "stages: .*no settings"),
        ("stages: 3", "stages: .*list"),
        ("stages: [{name: one, steps: 3}]", "stages: .*heads"),
        ("stages: [{name: one, heads: [match], steps: 3, pace: 2}]", r"stages: unknown settings \(pace\)"),
    ],
)
def test_a_recipe_that_is_wrong(tmp_path, text, sentence) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(TiercelError, match=sentence):
        Recipe.load(path)


def test_a_recipe_that_is_no_text(tmp_path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(TiercelError, match="not valid YAML"):
        Recipe.load(tmp_path / "recipe.yaml")


def test_a_recipe_that_is_missing(tmp_path) -> None:
    with pytest.raises(TiercelError, match="does not exist"):
        Recipe.load(tmp_path / "recipe.yaml")


def test_a_stage_that_is_missing() -> None:
    recipe = Recipe.from_dict({"stages": [{"name": "one", "heads": ["match"], "steps": 3}]})
    with pytest.raises(TiercelError, match="no stage 'two': it has one"):
        recipe.stage("two")
    with pytest.raises(TiercelError, match="it has none"):
        Recipe().stage("two")


@pytest.mark.parametrize("name", ["seedling.yaml", "compact.yaml", "quick.yaml", "zoom-justzoomin.yaml"])
def test_the_project_s_recipes(name) -> None:
    recipe = Recipe.load(RECIPES / name)
    trained: set[str] = set()
    for stage in recipe.stages:
        # A head that comes twice stays as it was, or goes on from there.
        assert trained & set(stage.heads) <= set(stage.frozen) or stage.start_from in stage.heads
        trained |= set(stage.heads)
    assert trained == set(recipe.model.heads)
    assert len({stage.name for stage in recipe.stages}) == len(recipe.stages)
