import itertools
import math

import numpy as np
import pytest
import torch

from tests.models.tiny import tiny_config, tiny_model
from tests.training.conftest import CONFIG, small_stage
from tiercel.errors import TiercelError
from tiercel.models import Model
from tiercel.models.match import RANGES
from tiercel.sim.landcover import CLASSES, LandCover
from tiercel.sim.world import Surface
from tiercel.training import losses
from tiercel.training.batches import MatchBatches, RetrievalBatches
from tiercel.training.losses import UNSEEN, MatchLoss, RetrievalLoss, cover_in_view, loss_for, naming_loss

PIXEL_M = 2 * CONFIG.resolution
STAGE = small_stage(crops_per_city=1, panoramas=0.0)


@pytest.fixture(scope="module")
def batch(noise_cities) -> dict[str, torch.Tensor]:
    return RetrievalBatches(noise_cities, STAGE, CONFIG, augment=False).sample(np.random.default_rng(0))


def test_keys_that_fit_at_the_stated_pose_are_right(batch, monkeypatch) -> None:
    """Each photo's query is cut from the key at its own position from its own azimuth on: nothing can fit better."""
    model = tiny_model(heads=("retrieval",))
    crops, photos = batch["strips"].shape[:2]
    bins = batch["strips"].shape[-1] // CONFIG.columns_per_heading
    keys = torch.randn(crops, batch["positions"].shape[1], 32, 4, generator=torch.Generator().manual_seed(0))
    start = batch["start"].round()
    seen = (start[..., None].long() + torch.arange(bins)) % 32
    queries = torch.stack([keys[c, p][seen[c, p]] for c in range(crops) for p in range(photos)])
    monkeypatch.setattr(model.retrieval, "keys", lambda *_: (keys, torch.zeros(keys.shape[:2])))
    monkeypatch.setattr(model.retrieval, "queries", lambda columns: 5 * queries)
    aligned = {**batch, "start": start}
    out = RetrievalLoss(model, STAGE)(aligned)
    assert out["right_unknown"] == out["right_known"] == 1
    assert out["loss"] < 0.01
    # Half of the answer where the left edge lies between two bins.
    between = RetrievalLoss(model, STAGE)({**batch, "start": start + 0.5})
    assert between["unknown_heading"] > 1
    # The same keys, but photos said to look elsewhere.
    wrong = RetrievalLoss(model, STAGE)({**batch, "start": (start + 7) % 32})
    assert wrong["right_known"] < 0.5 and wrong["loss"] > 5


def test_zoom_keys_that_fit_are_right(batch, monkeypatch) -> None:
    """Child keys that name their square and child, and queries that ask for the right ones, level by level."""
    model = tiny_model(heads=("retrieval", "zoom"))
    crops, photos = batch["strips"].shape[:2]
    squares = batch["fine_square"].shape[1] and STAGE.squares_per_crop
    names = {
        3: len(batch["root_image"]),
        2: crops,
        1: crops * squares,
    }  # squares encoded at each level, 16 children each
    crop = torch.arange(crops)[:, None].expand(crops, photos)
    right = {
        3: batch["city"][:, None] * 16 + batch["root_child"],
        2: crop * 16 + batch["middle_child"],
        1: (crop * squares + batch["fine_square"]) * 16 + batch["fine_child"],
    }
    parents_seen = {}

    def keys(image, parents, level) -> torch.Tensor:
        assert len(image) == len(parents) == names[level]
        parents_seen[level] = parents
        return 20 * torch.eye(names[level] * 16, 2000).reshape(names[level], 16, 2000)

    def queries(columns, level) -> torch.Tensor:
        asked = torch.eye(names[level] * 16, 2000)[right[level].flatten().clamp_min(0)]
        headings = torch.zeros(len(asked), 32, 2000)
        headings[torch.arange(len(asked)), batch["start"].flatten().round().long() % 32] = asked
        return headings

    monkeypatch.setattr(model.zoom, "keys", keys)
    monkeypatch.setattr(model.zoom, "queries", queries)
    out = RetrievalLoss(model, STAGE)(batch)
    for level in (1, 2, 3):
        assert out[f"right_zoom_{level}"] == 1
    assert out["zoom_loss"] < 0.5
    # What a square is told of the path is the key that its parent has for it.
    assert (parents_seen[3] == 0).all()
    assert parents_seen[2].argmax(1).tolist() == (batch["city"] * 16 + batch["root_child"][:, 0]).tolist()
    expected = torch.arange(crops)[:, None] * 16 + batch["fine_parent"]
    assert parents_seen[1].argmax(1).tolist() == expected.flatten().tolist()


def test_a_template_planted_at_the_truth_is_right(noise_cities, monkeypatch) -> None:
    """The loss looks for the right pose where the template really is: metres, cells and radius agree."""
    stage = small_stage(heads=("match",), crops_per_city=1, photos_per_crop=1, panoramas=1.0)
    batch = MatchBatches(noise_cities, stage, CONFIG, augment=False).sample(np.random.default_rng(0))
    model = tiny_model(heads=("match",))
    head = model.match
    # Move each truth to the centre of its cell, where a planted template fits exactly.
    cell = CONFIG.match_cell_m
    cells = (batch["truth"] / cell).floor().long()
    batch["truth"] = (cells + 0.5) * cell
    rng = torch.Generator().manual_seed(0)
    polar = torch.randn(2, 4, 16, 64, generator=rng)
    templates = head.template(polar, batch["start"].flatten(0, 1))
    features = 0.05 * torch.randn(2, 4, 128, 128, generator=rng)
    for crop in range(2):
        left, top = (cells[crop, 0] - head.radius).tolist()
        size = 2 * head.radius + 1
        features[crop, :, top : top + size, left : left + size] += templates[crop, 0]
    monkeypatch.setattr(head, "polar", lambda strips, around: polar)
    monkeypatch.setattr(head, "features", lambda image: features)
    out = MatchLoss(model, stage)(batch)
    assert out["right_place"] == 1
    assert out["loss"] < 0.01
    shifted = MatchLoss(model, stage)({**batch, "truth": batch["truth"] + torch.tensor([2 * cell, 0.0])})
    assert shifted["loss"] > 5


@pytest.mark.parametrize(("heads", "kind"), [(("retrieval", "zoom"), RetrievalBatches), (("match",), MatchBatches)])
def test_losses_go_down_on_a_batch_learnt_by_heart(noise_cities, heads, kind) -> None:
    torch.manual_seed(0)
    stage = small_stage(heads=heads, crops_per_city=1, photos_per_crop=4, panoramas=1.0)
    batch = kind(noise_cities, stage, CONFIG, augment=False).sample(np.random.default_rng(0))
    loss = loss_for(Model(tiny_config(heads=heads)), stage)
    optimiser = torch.optim.Adam(loss.parameters(), lr=3e-3)
    history = []
    for _ in range(12):
        out = loss(batch)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
        history.append(float(out["loss"].detach()))
    assert all(math.isfinite(value) for value in history)
    assert min(history[-3:]) < 0.8 * history[0]
    without = [name for name, p in loss.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_half_precision_gives_finite_losses(batch) -> None:
    loss = loss_for(Model(tiny_config(heads=("retrieval", "zoom"))), STAGE)
    with torch.autocast("cpu", torch.bfloat16):
        out = loss(batch)
    out["loss"].backward()
    assert all(torch.isfinite(value).all() for value in out.values())
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters() if p.grad is not None)


@pytest.mark.parametrize("heads", [("match", "retrieval"), (), ("retrieval", "depth")])
def test_stages_that_cannot_be(heads) -> None:
    with pytest.raises(TiercelError, match=r"a stage trains \[match\], \[retrieval\], \[zoom\] or \[retrieval, zoom\]"):
        loss_for(tiny_model(), small_stage(heads=heads))


def test_retrieval_alone(batch) -> None:
    stage = small_stage(heads=("retrieval",))
    loss = loss_for(tiny_model(heads=("retrieval",)), stage)
    assert isinstance(loss, RetrievalLoss)
    assert "zoom_loss" not in loss(batch)


def test_zooming_alone(batch) -> None:
    loss = loss_for(tiny_model(heads=("zoom",)), small_stage(heads=("zoom",)))
    out = loss(batch)
    assert torch.allclose(out["loss"], loss.stage.zoom_loss * out["zoom_loss"])
    assert "unknown_heading" not in out


def test_what_a_camera_has_in_view() -> None:
    """Grass all around, a house 20 m to the east that hides the pond behind it."""
    cover = torch.full((1, 50, 50), int(Surface.GRASS), dtype=torch.uint8)
    cover[0, 23:28, 35:37], cover[0, 23:28, 37:] = int(LandCover.BUILDING), int(Surface.WATER)
    camera, directions = torch.tensor([[51.0, 51.0]]), torch.tensor([[0.0, math.pi / 2, math.pi]])
    ranges = torch.tensor([3.0, 15.0, 21.0, 27.0, 45.0, 60.0])
    seen = cover_in_view(cover, torch.tensor([0]), camera, directions, ranges, 2.0)[0]
    grass, house = int(Surface.GRASS), int(LandCover.BUILDING)
    assert seen[:, 0].tolist() == [grass, grass, grass, grass, grass, UNSEEN]  # north, then beyond the edge
    assert seen[:, 1].tolist() == [grass, grass, house, UNSEEN, UNSEEN, UNSEEN]
    assert seen[:, 2].tolist() == [grass, grass, grass, grass, grass, UNSEEN]


def test_each_camera_looks_at_its_own_crop() -> None:
    cover = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)]).to(torch.uint8)
    camera, direction = torch.full((3, 2), 8.0), torch.zeros(3, 1)
    seen = cover_in_view(cover, torch.tensor([0, 1, 0]), camera, direction, torch.tensor([3.0]), 2.0)
    assert seen.flatten().tolist() == [0, 1, 0]


def test_only_what_is_seen_needs_a_name() -> None:
    classes = torch.tensor([[3, UNSEEN], [1, 3]])
    logits = 20.0 * torch.nn.functional.one_hot(classes.clamp_min(0), CLASSES)
    loss, right = naming_loss(logits, classes)
    assert loss < 1e-3 and right == 1
    loss, right = naming_loss(logits.roll(1, -1), classes)
    assert loss > 10 and right == 0
    assert naming_loss(logits, torch.full((2, 2), UNSEEN))[0] == 0


@pytest.fixture(params=["retrieval", "match"])
def covered(request, noise_cities):  # noqa: ANN201
    """A loss that names land cover, and a batch for it."""
    stage = small_stage(heads=(request.param,), crops_per_city=1, panoramas=0.0, land_cover_loss=0.5)
    loss = loss_for(tiny_model(heads=(request.param,)), stage)
    return loss, loss.batches(noise_cities, stage, CONFIG, augment=False).sample(np.random.default_rng(0))


def test_land_cover_adds_to_the_loss(covered) -> None:
    """Layers that know nothing give each of the classes the same share, on the map and in the photo."""
    loss, batch = covered
    without = loss_for(loss.model, small_stage(heads=loss.stage.heads))(batch)
    layers = [module for name, module in loss.named_children() if name.startswith("name")]
    assert layers and "named_on_map" not in without
    for layer in layers:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    extra = loss(batch)["loss"] - without["loss"]
    assert float(extra.detach()) == pytest.approx(0.5 * 2 * math.log(CLASSES), rel=1e-3)


def test_land_cover_trains_layers_and_encoders(covered) -> None:
    loss, batch = covered
    for parameter in loss.model.parameters():
        parameter.grad = None
    loss(batch)["loss"].backward()
    assert all(float(p.grad.abs().sum()) > 0 for name, p in loss.named_parameters() if name.startswith("name"))


def test_photos_are_asked_for_what_lies_where_they_look(covered, monkeypatch) -> None:
    """The classes asked for are those of the map at each distance in each column's direction."""
    asked: list[torch.Tensor] = []

    def record(logits: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(classes)
        return logits.sum() * 0, logits.sum() * 0

    monkeypatch.setattr(losses, "naming_loss", record)
    loss, batch = covered
    loss(batch)
    cover, in_photo = batch["land_cover"], asked[1]
    assert torch.equal(asked[0], cover.long())
    if loss.stage.heads == ("match",):
        start, cell = torch.rad2deg(batch["start"][..., 0]), CONFIG.match_cell_m
        ranges = (np.arange(RANGES) + 0.5) * CONFIG.template_m / RANGES
    else:
        start, cell = batch["start"] * CONFIG.bin_deg, 4 * PIXEL_M
        ranges = np.array(CONFIG.ranges_m[1:])
    columns = in_photo.shape[2]
    turn = batch["strips"].shape[-1] / CONFIG.strip_columns * 360
    right = total = 0
    for photo, ring, column in itertools.product(range(len(in_photo)), range(len(ranges)), range(columns)):
        crop, within = divmod(photo, batch["strips"].shape[1])
        azimuth = math.radians(float(start[crop, within]) + (column + 0.5) * turn / columns)
        where = batch["truth"][crop, within].numpy() + ranges[ring] * np.array([math.sin(azimuth), -math.cos(azimuth)])
        col, row = (where // cell).astype(int)
        if in_photo[photo, ring, column] != losses.UNSEEN:
            total += 1
            right += int(cover[crop, row, col] == in_photo[photo, ring, column])
    # Ranges are rounded to whole cells, so some lie beyond the edge of a patch.
    assert total > 200 and right / total > 0.8
