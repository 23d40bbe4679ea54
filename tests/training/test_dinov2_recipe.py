"""The recipe that leaves a backbone as it is: only what stands on it learns."""

import dataclasses
from pathlib import Path

import pytest
import torch
import transformers

from tests.models.tiny import SIZES
from tiercel.models import Model, load_model
from tiercel.training import Recipe
from tiercel.training.loop import Prepared, train_stage

RECIPE = Path(__file__).parents[2] / "recipes" / "dinov2.yaml"
FEW = {"cities_per_step": 1, "photos_per_crop": 2, "negatives_per_crop": 4, "steps": 1, "warm_up": 0}


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    """The recipe with a tiny untrained backbone of the same kind, and few photos."""
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "backbone")
    recipe = Recipe.load(RECIPE)
    assert recipe.model.photo_encoder == recipe.model.overhead_encoder == "facebook/dinov2-small"
    here = str(tmp_path / "backbone")
    sizes = {**SIZES, "photo_encoder": here, "overhead_encoder": here}
    model = dataclasses.replace(recipe.model, **sizes)
    stages = tuple(dataclasses.replace(stage, **FEW) for stage in recipe.stages)
    return dataclasses.replace(recipe, model=model, stages=stages, precision="no", workers=0, validate_every=100)


@pytest.mark.parametrize("name", ["retrieval", "match"])
def test_a_step_moves_the_heads_and_not_the_backbone(recipe, noise_cities, tmp_path, name) -> None:
    stage = recipe.stage(name)
    torch.manual_seed(recipe.seed)
    before = Model(dataclasses.replace(recipe.model, heads=stage.heads))
    for part in stage.frozen:
        assert any(True for _ in before.get_submodule(part).parameters()), part
    train_stage(recipe, stage, tmp_path / name, Prepared(noise_cities, []), lambda line: None)
    after = load_model(tmp_path / name, "cpu").state_dict()
    moved = {key for key, value in before.state_dict().items() if not torch.equal(after[key], value.half().float())}
    backbone = {key for key in after if ".backbone." in key}
    assert backbone and not moved & backbone
    assert {key.split(".")[0] for key in moved} == {"photo", "retrieval"} if name == "retrieval" else {"match"}
    column = "photo.column.weight" if name == "retrieval" else "match.photo.column.weight"
    assert column in moved
