import csv
import dataclasses

import numpy as np
import pytest
import torch
import yaml

from tests.datasets.benchmark import write_benchmark
from tiercel.datasets.justzoomin import JustZoomIn
from tiercel.errors import TiercelError
from tiercel.models import Model, ModelConfig, load_model
from tiercel.models.config import DecoderConfig
from tiercel.training import Recipe, loop, train
from tiercel.training.decoder import DecoderBatches, DecoderLoss, ZoomPhotos, in_steps, open_photos
from tiercel.training.loop import Prepared, learning_rate, train_stage
from tiercel.training.recipe import Stage

SIZES = DecoderConfig(
    encoder="compact", pixels=64, depth=2, grid=4, width=24, blocks=2, heads=3, hidden=32, channels=(8, 12, 16)
)
CONFIG = ModelConfig.of_decoder(SIZES, leaf_m=62.5)
STAGE = Stage(
    "decoder", ("decoder",), steps=4, photos_per_batch=6, pretrained=False, muon_from=10**9, learning_rate=3e-3,
    augmented=1.0, keep_best="r1_100m",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> JustZoomIn:
    """24 photos to train on in four places of one street, and 8 to watch."""
    rng = np.random.default_rng(3)
    streets = rng.uniform(-450, 450, (4, 2))
    places = [tuple(streets[n % 4] + rng.uniform(-15, 15, 2)) for n in range(32)]
    return JustZoomIn.open(write_benchmark(tmp_path_factory.mktemp("benchmark") / "town", places, 24))


@pytest.fixture
def photos(data) -> ZoomPhotos:
    return ZoomPhotos(data, "train", seed=1)


def test_a_batch_holds_each_square_once_and_the_right_ones(photos, data) -> None:
    batches = DecoderBatches(photos, dataclasses.replace(STAGE, augmented=0.0), CONFIG)
    batch = batches.sample(np.random.default_rng(0), 0)
    members = [photos.samples[index] for index in photos.members(STAGE, 0)]
    assert batch["halves"].shape == (6, 2, 64, 64, 3) and batch["halves"].dtype == torch.uint8
    assert batch["actions"].tolist() == [list(one.actions) for one in members]
    paths = {one.actions[:n] for one in members for n in range(2)}
    assert len(batch["squares"]) == len(paths) < 12
    for row, one in enumerate(members):
        for level in range(2):
            square = batch["squares"][batch["which"][row, level]].numpy()
            assert np.array_equal(square, data.read_square(one.actions[:level], 64))


def test_every_photo_comes_once_a_pass_whatever_the_number_of_processes(data) -> None:
    for processes in (1, 2):
        split = [ZoomPhotos(data, "train", 1, process, processes) for process in range(processes)]
        steps = split[0].steps(STAGE)
        assert steps == 4 // processes
        first, second = (
            [index for step in range(start, start + steps) for one in split for index in one.members(STAGE, step)]
            for start in (0, steps)
        )
        assert sorted(first) == sorted(second) == list(range(24))
        assert first != second
    other = ZoomPhotos(data, "train", seed=2)
    assert other.members(STAGE, 0).tolist() != ZoomPhotos(data, "train", seed=1).members(STAGE, 0).tolist()


def test_photos_of_a_place_share_squares(photos) -> None:
    def squares(stage) -> float:
        batches = DecoderBatches(photos, dataclasses.replace(stage, augmented=0.0), CONFIG)
        return np.mean([len(batches.sample(np.random.default_rng(0), step)["squares"]) for step in range(4)])

    gathered = dataclasses.replace(STAGE, photos_per_place=3)
    assert squares(gathered) < squares(STAGE)
    order = [index for step in range(4) for index in photos.members(gathered, step)]
    assert sorted(order) == list(range(24))


def test_the_root_is_never_varied_and_the_others_are(photos, data) -> None:
    batch = DecoderBatches(photos, STAGE, CONFIG).sample(np.random.default_rng(0), 0)
    one = photos.samples[photos.members(STAGE, 0)[0]]
    root, square = (batch["squares"][batch["which"][0, level]].numpy() for level in range(2))
    assert np.array_equal(root, data.read_square((), 64))
    assert not np.array_equal(square, data.read_square(one.actions[:1], 64))
    watched = DecoderBatches(photos, STAGE, CONFIG, augment=False).sample(np.random.default_rng(0), 0)
    assert np.array_equal(watched["squares"][watched["which"][0, 1]].numpy(), data.read_square(one.actions[:1], 64))


def test_a_batch_is_a_function_of_seed_and_step_alone(photos) -> None:
    batches = DecoderBatches(photos, STAGE, CONFIG)
    one, again, other = (batches.sample(np.random.default_rng([1, step]), step) for step in (5, 5, 6))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["halves"], other["halves"])


def test_the_loss_is_the_cross_entropy_of_every_pick(photos) -> None:
    torch.manual_seed(0)
    model = Model(CONFIG)
    loss = DecoderLoss(model, dataclasses.replace(STAGE, label_smoothing=0.2)).eval()
    batch = DecoderBatches(photos, STAGE, CONFIG, augment=False).sample(np.random.default_rng(0), 0)
    with torch.no_grad():
        out = loss(batch)
        halves, squares = ((batch[name].float() / 127.5 - 1).movedim(-1, -3) for name in ("halves", "squares"))
        logits = model.decoder(halves, squares, batch["which"], batch["actions"]).log_softmax(-1)
    right = logits.gather(-1, batch["actions"][..., None])[..., 0]
    expected = -(0.8 * right + 0.2 * logits.mean(-1)).mean()
    assert float(out["loss"]) == pytest.approx(float(expected), abs=1e-5)
    assert float(out["encodings_saved"]) == pytest.approx(12 / len(batch["squares"]))
    picks = (logits.argmax(-1) == batch["actions"]).float()
    assert float(out["right_pick_1"]) == pytest.approx(float(picks[:, 0].mean()))
    assert float(out["right_all"]) == pytest.approx(float(picks.prod(1).mean()))


def test_what_is_measured_is_greedy_zooming(photos, data) -> None:
    torch.manual_seed(0)
    model = Model(CONFIG)
    loss = DecoderLoss(model, STAGE)
    values = loss.measure(photos)
    errors, strict = [], 0
    for one in photos.samples:
        actions = []
        pixels = DecoderBatches(photos, STAGE, CONFIG, augment=False)._photo(one.file, np.random.default_rng(0))
        for _ in range(2):
            squares = np.stack([data.read_square(actions[:n], 64) for n in range(len(actions) + 1)])
            inputs = [torch.from_numpy(x).float().movedim(-1, -3) / 127.5 - 1 for x in (pixels[None], squares)]
            which = torch.arange(len(squares))[None]
            with torch.no_grad():
                logits = model.decoder(*inputs, which, torch.tensor([[*actions, 0]]))
            actions.append(int(logits[0, -1].argmax()))
        errors.append(data.error_m(actions, one.latitude, one.longitude))
        strict += tuple(actions) == one.actions
    assert values["median_m"] == pytest.approx(np.median(errors))
    assert values["r1_100m"] == pytest.approx(np.mean(np.array(errors) <= 100))
    assert values["strict"] == pytest.approx(strict / 24)


def recipe_for(data, **changes) -> Recipe:
    settings = {"model": CONFIG, "data": str(data.folder), "stages": (STAGE,), "precision": "no", "save_every": 2}
    return Recipe(**{**settings, "seed": 1, "validate_every": 2, **changes})


def prepared(data) -> Prepared:
    return Prepared(ZoomPhotos(data, "train", seed=1), ZoomPhotos(data, "val"))


@pytest.fixture
def watched(monkeypatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(loop, "VALIDATION_BATCHES", 1)


def rows(path) -> list[tuple[str, ...]]:
    with path.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file) if row[1] not in ("seconds", "waiting_share")]


def test_a_killed_run_goes_on_as_if_nothing_had_been(data, tmp_path, watched) -> None:
    recipe = recipe_for(data)
    train_stage(recipe, STAGE, tmp_path / "whole", prepared(data), lambda line: None)

    def kill(line) -> None:
        if " 3/4" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stage(recipe, STAGE, tmp_path / "killed", prepared(data), kill)
    assert (tmp_path / "killed" / "best.pt").exists()
    train_stage(recipe, STAGE, tmp_path / "killed", prepared(data), lambda line: None)
    whole, resumed = (load_model(tmp_path / name, "cpu").state_dict() for name in ("whole", "killed"))
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    assert rows(tmp_path / "whole" / "log.csv") == rows(tmp_path / "killed" / "log.csv")
    assert not list((tmp_path / "killed").glob("*.pt"))


def test_the_best_weights_are_kept_not_the_last(data, tmp_path, watched, monkeypatch) -> None:
    scores = iter([0.1, 0.7, 0.3, 0.7])
    states: list[dict[str, torch.Tensor]] = []

    def measure(self, photos) -> dict[str, float]:
        states.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return {"r1_100m": next(scores)}

    monkeypatch.setattr(DecoderLoss, "measure", measure)
    train_stage(recipe_for(data, validate_every=1), STAGE, tmp_path / "run", prepared(data), lambda line: None)
    kept = load_model(tmp_path / "run", "cpu").decoder.decoder.output_head.weight
    name = "decoder.decoder.output_head.weight"
    assert torch.equal(kept, states[1][name].half().float())
    assert not torch.equal(states[1][name], states[3][name])


def test_training_by_a_recipe_learns(data, tmp_path, watched) -> None:
    stage = dataclasses.asdict(dataclasses.replace(STAGE, steps=0, epochs=20, augmented=0.0, keep_best=""))
    stage |= {"warm_up_share": 0.05, "final_rate": 0.1, "validate_epochs": 10}
    recipe = {
        "data": str(data.folder), "precision": "no", "stages": [stage], "seed": 1,
        "model": {"name": "small", "heads": ["decoder"], "leaf_m": 62.5, "branching": 4, "pixels_per_leaf": 8,
                  "margin_leaves": 0, "decoder": dataclasses.asdict(SIZES)},
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(_plain(recipe)))
    folder = train(path, tmp_path / "run", report=lambda line: None)
    losses = [float(value) for _, name, value in rows(folder / "decoder" / "log.csv") if name == "loss"]
    assert len(losses) == 80
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.5
    validated = {row[0] for row in rows(folder / "decoder" / "log.csv") if row[1] == "validation_r1_40m"}
    assert validated == {"40", "80"}
    model = load_model(folder, "cpu")
    assert model.config.decoder == SIZES and model.config.heads == ("decoder",)
    assert "Photos and the map in" in (folder / "README.md").read_text()


def _plain(value) -> object:
    """Tuples as lists, as YAML has them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_the_published_recipe_says_what_was_published() -> None:
    from pathlib import Path

    recipe = Recipe.load(Path(__file__).parents[2] / "recipes" / "zoom-justzoomin.yaml")
    assert recipe.model == ModelConfig.of_decoder(DecoderConfig())
    (stage,) = recipe.stages
    wanted = {
        "epochs": 30, "photos_per_batch": 64, "photos_per_place": 1, "pretrained": True, "unfrozen_blocks": 4,
        "label_smoothing": 0.1, "augmented": 1.0, "learning_rate": 3e-4, "warm_up_share": 0.05, "final_rate": 0.1,
        "clip": 1.0, "validate_epochs": 3, "keep_best": "r1_40m",
    }  # fmt: skip
    assert {name: getattr(stage, name) for name in wanted} == wanted
    stage = dataclasses.replace(stage, steps=1000)
    assert isinstance(loop.optimiser_for(stage, [torch.nn.Parameter(torch.ones(2))], 999), torch.optim.AdamW)
    rates = np.array([learning_rate(stage, step) for step in range(1000)])
    assert rates.argmax() in (49, 50) and rates.max() == pytest.approx(3e-4)
    np.testing.assert_allclose(np.diff(rates[:50]), 3e-4 / 50)
    assert rates[50 + 475] == pytest.approx(3e-4 * 0.55)
    assert rates[-1] == pytest.approx(3e-5, rel=1e-3)


def test_passes_are_counted_in_steps(photos) -> None:
    assert in_steps(dataclasses.replace(STAGE, epochs=3), photos).steps == 12
    assert in_steps(STAGE, photos).steps == 4


def test_recipes_that_cannot_be(data, tmp_path) -> None:
    def run(recipe, stage=STAGE) -> None:
        train_stage(recipe, stage, tmp_path, prepared(data), lambda line: None)

    with pytest.raises(TiercelError, match="with heads \\['decoder'\\] needs data: FOLDER"):
        run(dataclasses.replace(recipe_for(data), data=""))
    with pytest.raises(TiercelError, match="with heads \\['zoom'\\] needs cities, and no data"):
        run(recipe_for(data), dataclasses.replace(STAGE, heads=("zoom",)))
    with pytest.raises(TiercelError, match=r"cannot keep_best 'luck': use one of .*r1_40m"):
        run(recipe_for(data), dataclasses.replace(STAGE, steps=1, keep_best="luck"))
    with pytest.raises(TiercelError, match="stage 'x' has no end: give steps, or epochs"):
        Recipe.from_dict({"stages": [{"name": "x", "heads": ["decoder"]}]})
    with pytest.raises(TiercelError, match=r"divided in another way .*: set decoder depth: 2, leaf_m: 62.5\."):
        open_photos(dataclasses.replace(recipe_for(data), model=ModelConfig.of_decoder(DecoderConfig())), 0, 1)
    with pytest.raises(TiercelError, match="does not exist; give the folder that holds satellite and metadata"):
        path = tmp_path / "recipe.yaml"
        path.write_text("data: nowhere\nstages: [{name: decoder, heads: [decoder], steps: 1}]\n")
        train(path, tmp_path / "run")
