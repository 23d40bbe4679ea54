import csv
import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from tests.models.tiny import SIZES, tiny_model
from tests.training.conftest import CONFIG, small_stage
from tests.training.test_pairs import PAIRS
from tiercel.errors import TiercelError
from tiercel.models import load_model
from tiercel.models.model import save_weights
from tiercel.training import Recipe, loop, train
from tiercel.training.loop import Log, Prepared, freeze, learning_rate, take_over, train_stage
from tiercel.training.muon import Muon

RETRIEVAL = small_stage(
    name="first", crops_per_city=1, cities_per_step=1, photos_per_crop=3, negatives_per_crop=4, squares_per_crop=1
)
MATCH = small_stage(name="second", heads=("match",), crops_per_city=1, cities_per_step=1, photos_per_crop=2)
DUAL = small_stage(
    name="dual", heads=("embedding",), pairs_per_batch=4, pairs_per_epoch=12, sampling="dynamic", gps_epochs=0,
    refresh_epochs=1, neighbours_pool=4, neighbours_chosen=2, tile_scales=(1.0, 2.0),
)  # fmt: skip
RECIPE = Recipe(model=CONFIG, stages=(RETRIEVAL, MATCH), seed=3, precision="no", save_every=2, validate_every=100)


@pytest.fixture
def every_step(monkeypatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(loop, "VALIDATION_BATCHES", 1)


def rows(path) -> list[tuple[str, ...]]:
    """The log, without the clock."""
    with path.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file) if row[1] not in ("seconds", "waiting_share")]


@pytest.mark.parametrize(
    ("stage", "precision"),
    [
        (RETRIEVAL, "bf16"),
        (MATCH, "no"),
        # The other optimiser takes over before the checkpoint that is gone back to (step 2), just there, and behind it.
        *((dataclasses.replace(RETRIEVAL, muon_from=step, plain_from=step), "no") for step in (1, 2, 3, 99)),
        # Hard negatives are looked for before steps 0 and 3: the checkpoint lies between.
        (DUAL, "bf16"),
        # Before steps 0 and 2, from neighbours on the ground to those by embeddings: at the checkpoint.
        (dataclasses.replace(DUAL, pairs_per_epoch=8, gps_epochs=1), "no"),
    ],
    ids=["retrieval", "match", "before", "at", "behind", "never", "within a round", "between rounds"],
)
def test_a_killed_run_goes_on_as_if_nothing_had_been(noise_cities, tmp_path, every_step, stage, precision) -> None:
    recipe = dataclasses.replace(RECIPE, precision=precision)
    if stage.heads == ("embedding",):
        recipe = dataclasses.replace(recipe, model=PAIRS)
    cities = Prepared(noise_cities, [])
    train_stage(recipe, stage, tmp_path / "whole", cities, lambda line: None)

    def kill(line) -> None:
        if " 3/4" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stage(recipe, stage, tmp_path / "killed", cities, kill)
    assert (tmp_path / "killed" / "state.pt").exists()
    assert {row[0] for row in rows(tmp_path / "killed" / "log.csv")} == {"step", "1", "2", "3"}
    train_stage(recipe, stage, tmp_path / "killed", cities, lambda line: None)
    whole, resumed = (load_model(tmp_path / name, "cpu").state_dict() for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    assert rows(tmp_path / "whole" / "log.csv") == rows(tmp_path / "killed" / "log.csv")
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [
        "README.md", "config.json", "log.csv", "model.safetensors", "model.safetensors.sha256",
    ]  # fmt: skip


def test_an_embedding_borrows_the_encoders_of_retrieval(noise_cities, tmp_path) -> None:
    """With a learning rate of nothing the weights are still the lender's, behind a whole stage."""
    lender = tiny_model(seed=1, heads=("retrieval",))
    (tmp_path / "lender").mkdir()
    save_weights(lender, tmp_path / "lender" / "model.safetensors")
    stage = dataclasses.replace(
        DUAL, steps=1, start_from="lender", start_parts=("photo", "retrieval.encoder"), learning_rate=0.0
    )
    lines: list[str] = []
    recipe = dataclasses.replace(RECIPE, model=PAIRS)
    train_stage(recipe, stage, tmp_path / "dual", Prepared(noise_cities[:1], noise_cities[1:]), lines.append)
    model, lent = load_model(tmp_path / "dual", "cpu"), lender.state_dict()
    assert model.config.heads == ("embedding",)
    own = model.state_dict()
    for name in ("photo.column16.weight", "photo.stem.convolution.weight"):
        assert torch.equal(own[name], lent[name].half().float())
    name = "encoder.down16.0.convolution.weight"
    assert torch.equal(own[f"embedding.{name}"], lent[f"retrieval.{name}"].half().float())
    assert any("validation" in line and "r1 " in line and "r1pct" in line for line in lines)


def test_training_moves_the_weights_and_depends_on_the_seed(noise_cities, tmp_path) -> None:
    cities, short = Prepared(noise_cities, []), dataclasses.replace(MATCH, steps=1)
    hashes = set()
    for name, seed in (("one", 3), ("other", 4), ("again", 3)):
        train_stage(dataclasses.replace(RECIPE, seed=seed), short, tmp_path / name, cities, lambda line: None)
        hashes.add(load_model(tmp_path / name, "cpu").fingerprint)
    assert len(hashes) == 2


@pytest.fixture
def recipe_file(tmp_path, monkeypatch, noise_cities) -> object:
    monkeypatch.setattr(loop, "prepare_data", lambda *_: Prepared(noise_cities[:1], noise_cities[1:]))
    stages = [dataclasses.asdict(dataclasses.replace(stage, steps=1)) for stage in (RETRIEVAL, MATCH)]
    model = {key: list(value) if isinstance(value, tuple) else value for key, value in SIZES.items()}
    for stage in stages:
        stage.update(heads=list(stage["heads"]), field_of_view=list(stage["field_of_view"]))
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"model": model, "stages": stages, "precision": "no"}))
    return path


def test_stages_become_one_model(recipe_file, tmp_path, every_step) -> None:
    lines: list[str] = []
    folder = train(recipe_file, tmp_path / "run", stage="second", report=lines.append)
    assert not (folder / "model.safetensors").exists()
    train(recipe_file, folder, resume=True, report=lines.append)
    model = load_model(folder, "cpu")
    assert set(model.config.heads) == {"retrieval", "zoom", "match"}
    for name in ("first", "second"):
        for key, value in load_model(folder / name, "cpu").state_dict().items():
            assert torch.equal(model.state_dict()[key], value)
    assert any("validation" in line for line in lines)
    validated = [row for row in rows(folder / "first" / "log.csv") if row[1].startswith("validation_")]
    assert {row[1] for row in validated} >= {"validation_loss", "validation_right_unknown", "validation_right_zoom_1"}
    before = (folder / "model.safetensors").stat().st_mtime_ns
    train(recipe_file, folder, report=lines.append)  # nothing is left to do but to put it together again
    assert load_model(folder, "cpu").fingerprint == model.fingerprint
    assert (folder / "model.safetensors").stat().st_mtime_ns >= before


def test_an_unfinished_run_is_not_begun_anew_by_accident(recipe_file, tmp_path) -> None:
    (tmp_path / "run" / "first").mkdir(parents=True)
    (tmp_path / "run" / "first" / "state.pt").write_bytes(b"")
    with pytest.raises(TiercelError, match=r"holds an unfinished run: give --resume"):
        train(recipe_file, tmp_path / "run")


def test_a_stage_that_is_not_in_the_recipe(recipe_file, tmp_path) -> None:
    with pytest.raises(TiercelError, match="no stage 'third': it has first, second"):
        train(recipe_file, tmp_path / "run", stage="third")


def test_the_log_of_a_resumed_run_ends_where_it_goes_on(tmp_path) -> None:
    log = Log(tmp_path / "log.csv", 0, False)
    for step in range(1, 7):
        log.add({"loss": torch.tensor(float(step))})
        log.add({"loss": torch.tensor(step + 1.0)})
        log.write(step, seconds=0.5)
    log.write_validation(6, {"loss": 9.0})
    Log(tmp_path / "log.csv", 4, False).write(5)
    found = rows(tmp_path / "log.csv")
    assert found == [("step", "name", "value"), *((str(s), "loss", f"{s + 0.5:g}") for s in range(1, 5))]
    Log(tmp_path / "log.csv", 0, False)
    assert rows(tmp_path / "log.csv") == [("step", "name", "value")]


@pytest.mark.parametrize("first", [0, 2, 99])
def test_the_optimiser_is_the_stage_s(first) -> None:
    stage, weights = small_stage(muon_from=first), [torch.nn.Parameter(torch.ones(2, 2))]
    for step in (-1, 0, 1, 2, 3):
        assert isinstance(loop.optimiser_for(stage, weights, step), Muon) == (max(step, 0) >= first)


def test_the_learning_rate_warms_up_and_fades() -> None:
    stage = small_stage(steps=1000, warm_up=100, learning_rate=2.0)
    rates = np.array([learning_rate(stage, step) for step in range(1000)])
    assert rates[0] == pytest.approx(0.02, rel=0.01)
    assert rates[99] == pytest.approx(rates.max(), rel=0.03)
    assert (np.diff(rates[100:]) < 0).all()
    assert rates[-1] == pytest.approx(0.04, rel=0.01)


def test_training_needs_neither_maps_nor_atlas() -> None:
    code = (
        "import sys; import tiercel.training, tiercel.training.loop, tiercel.models, tiercel.sim; "
        "print([name for name in ('rasterio', 'lance', 'pyproj', 'pyarrow') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_match_borrows_the_encoders_of_the_first_stage(tmp_path) -> None:
    lender, match = tiny_model(seed=1, heads=("retrieval", "zoom")), tiny_model(seed=2, heads=("match",))
    before = {name: value.clone() for name, value in match.state_dict().items()}
    save_weights(lender, tmp_path / "model.safetensors")
    taken = take_over(match, tmp_path / "model.safetensors")
    after, lent = match.state_dict(), lender.state_dict()
    assert torch.equal(after["match.photo.column16.weight"], lent["photo.column16.weight"].half().float())
    assert torch.equal(
        after["match.stem.convolution.weight"], lent["retrieval.encoder.stem.convolution.weight"].half().float()
    )
    changed = [name for name in after if not torch.equal(after[name], before[name])]
    assert 20 < len(changed) <= taken
    assert "match.output.weight" not in changed and "match.ranges.weight" not in changed


def test_what_a_head_has_learnt_comes_before_what_it_may_borrow(tmp_path) -> None:
    lender, match = tiny_model(seed=1, heads=("retrieval", "match")), tiny_model(seed=2, heads=("match",))
    save_weights(lender, tmp_path / "model.safetensors")
    take_over(match, tmp_path / "model.safetensors")
    own = lender.state_dict()
    assert all(torch.equal(value, own[name].half().to(value.dtype)) for name, value in match.state_dict().items())


def test_zooming_borrows_the_photo_encoder_and_leaves_it_alone(noise_cities, tmp_path) -> None:
    lender = tiny_model(seed=1, heads=("retrieval",))
    (tmp_path / "retrieval").mkdir()
    save_weights(lender, tmp_path / "retrieval" / "model.safetensors")
    stage = small_stage(name="zoom", heads=("zoom",), steps=2, start_from="retrieval", frozen=("photo",))
    recipe = dataclasses.replace(RECIPE, stages=(stage,))
    train_stage(recipe, stage, tmp_path / "zoom", Prepared(noise_cities, []), report=lambda line: None)
    trained, lent = load_model(tmp_path / "zoom", "cpu").state_dict(), lender.state_dict()
    for name in (name for name in lent if name.startswith("photo.")):
        assert torch.equal(trained[name], lent[name].half().float() if lent[name].is_floating_point() else lent[name])
    stem = "encoder.stem.convolution.weight"
    assert not torch.equal(trained[f"zoom.{stem}"], lent[f"retrieval.{stem}"].half().float())


def test_single_weights_can_be_frozen(noise_cities, tmp_path) -> None:
    stage = small_stage(steps=2, frozen=("retrieval.log_scale",))
    recipe = dataclasses.replace(RECIPE, stages=(stage,))
    train_stage(recipe, stage, tmp_path / "fixed", Prepared(noise_cities, []), report=lambda line: None)
    head = load_model(tmp_path / "fixed", "cpu").retrieval
    assert head.log_scale == 1.0  # where it starts
    free = dataclasses.replace(stage, frozen=())
    train_stage(recipe, free, tmp_path / "free", Prepared(noise_cities, []), report=lambda line: None)
    assert load_model(tmp_path / "free", "cpu").retrieval.log_scale != 1.0


def test_what_is_not_there_cannot_be_frozen() -> None:
    with pytest.raises(TiercelError, match="frozen names 'photos', which this model has not"):
        freeze(tiny_model(heads=("retrieval",)), ["photos"])


def test_a_stage_goes_on_from_an_earlier_one_of_the_same_head(tmp_path) -> None:
    earlier, later = (tiny_model(seed=seed, heads=("match",)) for seed in (1, 2))
    save_weights(earlier, tmp_path / "model.safetensors")
    assert take_over(later, tmp_path / "model.safetensors") == len(later.state_dict())
    for name, value in later.state_dict().items():
        assert torch.equal(value, earlier.state_dict()[name].half().to(value.dtype))


def test_there_is_nothing_to_borrow(tmp_path) -> None:
    zoom, path = tiny_model(heads=("zoom",)), tmp_path / "model.safetensors"
    with pytest.raises(TiercelError, match="is not there yet"):
        take_over(zoom, path)
    save_weights(tiny_model(heads=("match",)), path)
    with pytest.raises(TiercelError, match="has no weights that fit"):
        take_over(zoom, path)
