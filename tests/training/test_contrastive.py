import dataclasses
import itertools
import math
import os
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.models.tiny import tiny_model
from tests.training.conftest import address, noise_city, small_stage
from tests.training.test_batches import TURNS, ahead, colours, looks
from tests.training.test_pairs import PAIRS, PIXEL, SIZES
from tests.training.test_samplers import Line
from tiercel.errors import TiercelError
from tiercel.models.config import EmbeddingConfig
from tiercel.training.batches import Turn
from tiercel.training.contrastive import (
    NEAR_HEADINGS,
    ContrastiveLoss,
    PairBatches,
    fitting,
    smoothed,
    steps_per_epoch,
    turned_view,
)
from tiercel.training.pairs import CityPairs, Tile, View
from tiercel.training.recipe import Stage
from tiercel.training.samplers import geographic_neighbours

STAGE = small_stage(
    name="dual", heads=("embedding",), pairs_per_batch=8, sampling="gps", neighbours_pool=8, neighbours_chosen=4,
    wrong_headings=3, augmented=0.0,
)  # fmt: skip


def stage(**changes) -> Stage:
    return dataclasses.replace(STAGE, **changes)


@pytest.fixture(scope="module")
def source(cities) -> CityPairs:
    return CityPairs(cities, PAIRS)


@pytest.fixture(scope="module")
def model() -> object:
    return tiny_model(heads=("embedding",), embedding=SIZES)


def begun(batches) -> PairBatches:
    batches.begin(0, lambda members: pytest.fail("no embeddings are needed"))
    return batches


# --- batches


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_batches_agree_with_their_pixels(source, cities, turn, monkeypatch) -> None:
    """What a photo saw 20 m ahead lies in its tile in the direction that its strip says, for every turn of both."""
    monkeypatch.setattr(Turn, "sample", classmethod(lambda cls, rng: turn))
    batches = begun(PairBatches(source, stage(panoramas=float(turn.quarters % 2)), PAIRS))
    batch = batches.sample(np.random.default_rng(2), 1)
    tiles, checked = colours(batch["tiles"]), 0
    for row, index in enumerate(batches.members(1).tolist()):
        city, number = cities[index // 200], index % 200
        camera = city.positions[number].astype(float)
        corner = np.floor(camera / 31.25) * 31.25 - 15.625
        inside = turn.points((camera - corner)[None], 62.5)[0]
        start = float(batch["start"][row]) * PAIRS.columns_per_heading
        for seen, azimuth, original in looks(batch["strips"][row], start):
            assert seen == number
            # Half a bin is as close as an unaligned strip is laid.
            at, true = inside + ahead(azimuth, 14), camera + ahead(original, 14)
            shown = address(tiles[row, int(at[1] / PIXEL), int(at[0] / PIXEL)], PIXEL)
            assert np.linalg.norm(shown - true) < 14 * math.radians(6) + 1.5 * PIXEL
            checked += 1
    assert checked > 20


def test_a_panorama_whose_heading_is_known_begins_in_the_north(source) -> None:
    batches = begun(PairBatches(source, stage(panoramas=1.0, unknown_headings=0.0), PAIRS))
    batch = batches.sample(np.random.default_rng(0), 0)
    assert batch["start"].tolist() == [0] * 8
    starts = set()
    batches = begun(PairBatches(source, stage(panoramas=1.0, unknown_headings=1.0), PAIRS))
    for step in range(3):
        starts.update(batches.sample(np.random.default_rng(step), step)["start"].tolist())
    assert len(starts) > 8


def test_a_batch_is_a_function_of_seed_and_step_alone(source) -> None:
    one, other = (begun(PairBatches(source, stage(augmented=0.5), PAIRS)) for _ in range(2))
    other.sample(np.random.default_rng(9), 3)
    first, again = (batches.sample(np.random.default_rng(5), 2) for batches in (one, other))
    assert first.keys() == again.keys()
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(one.sample(np.random.default_rng(5), 3)["tiles"], first["tiles"])


def test_wrong_headings_are_wrong(source) -> None:
    batches = PairBatches(source, stage(wrong_headings=99), PAIRS)
    wrong = batches.sample(np.random.default_rng(0))["wrong"]
    assert wrong.shape == (8, 32 - 2 * NEAR_HEADINGS - 1)  # there are no more
    for row in wrong.tolist():
        assert sorted(row) == list(range(2, 31))
    assert PairBatches(source, stage(wrong_headings=3), PAIRS).sample(np.random.default_rng(0))["wrong"].shape == (8, 3)
    mean = dataclasses.replace(PAIRS, embedding=dataclasses.replace(SIZES, pooling="mean"))
    assert PairBatches(source, STAGE, mean).sample(np.random.default_rng(0))["wrong"].shape == (8, 0)


def test_processes_share_a_batch(source) -> None:
    whole = begun(PairBatches(source, stage(pairs_per_batch=16), PAIRS))
    parts = [begun(PairBatches(source, STAGE, PAIRS)) for _ in range(2)]
    for process, part in enumerate(parts):
        part.run_in(0, process, 2)
    for step in range(30):
        together = np.stack([part.members(step) for part in parts], 1).flatten()
        assert (together == whole.members(step)).all()
    assert steps_per_epoch(STAGE, source, 2) == 400 // 16


def test_rounds_begin_when_they_should() -> None:
    """Ten pairs in batches of five: two steps an epoch; GPS for two epochs, then new neighbours every three."""
    asked: list[list[int]] = []

    def encode(members):
        asked.append(members.tolist())
        return (np.eye(10, dtype=np.float32)[members],) * 2

    line = Line(range(10))
    settings = stage(pairs_per_batch=5, sampling="dynamic", gps_epochs=2, refresh_epochs=3, steps=18, neighbours_pool=4)
    batches = PairBatches(line, settings, PAIRS)
    assert batches.begin(0, encode) == 4
    assert (batches.neighbours == geographic_neighbours(line, 4)).all() and not asked
    assert batches.begin(4, encode) == 10
    assert asked == [list(range(10))]
    kept = batches.neighbours
    assert batches.begin(7, encode) == 10 and len(asked) == 1  # in the middle of a round nothing is looked for
    assert batches.begin(10, encode) == 16 and batches.begin(16, encode) == 18
    assert len(asked) == 3
    again = PairBatches(line, settings, PAIRS)
    again.restore(batches.state())
    assert again.begin(17, encode) == 18 and len(asked) == 3
    assert (again.neighbours == batches.neighbours).all()
    assert (again.members(17) == batches.members(17)).all()
    assert kept is not None
    for sampling in ("random", "gps"):
        assert PairBatches(line, stage(pairs_per_batch=5, sampling=sampling, steps=18), PAIRS).begin(3, encode) == 18
    assert PairBatches(line, dataclasses.replace(settings, gps_epochs=0), PAIRS).begin(0, encode) == 6


def test_a_round_looks_only_at_the_pairs_that_it_takes() -> None:
    asked: list[list[int]] = []

    def encode(members):
        asked.append(members.tolist())
        return (np.eye(40, dtype=np.float32)[members],) * 2

    settings = stage(
        pairs_per_batch=5, pairs_per_epoch=10, sampling="dynamic", gps_epochs=1, refresh_epochs=2, steps=6,
        neighbours_pool=4,
    )  # fmt: skip
    batches = PairBatches(Line(range(40)), settings, PAIRS)
    assert batches.begin(2, encode) == 6
    (members,) = asked
    assert len(members) == 20
    taken = {int(index) for step in range(2, 6) for index in batches.members(step)}
    assert taken == set(members)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling": "luck"}, "'dual' has the sampling 'luck': use one of random, gps, dynamic"),
        ({"sampling": "dynamic", "refresh_epochs": 0}, "refresh_epochs 0: neighbours can be looked for every epoch"),
        ({"tile_scales": ()}, r"tile_scales \[\]: give one or more above 0"),
        ({"tile_scales": (1.0, -2.0)}, r"tile_scales \[1.0, -2.0\]: give"),
        ({"pairs_per_batch": 0}, "pairs_per_batch 0: give 2 or more"),
    ],
)
def test_settings_that_cannot_be(source, changes, message) -> None:
    with pytest.raises(TiercelError, match=message):
        PairBatches(source, stage(**changes), PAIRS)
    with pytest.raises(TiercelError, match=message):
        steps_per_epoch(stage(**changes), source, 1)


def test_fewer_pairs_than_a_batch() -> None:
    batches = PairBatches(Line(range(5)), stage(pairs_per_batch=8, sampling="random"), PAIRS)
    batches.begin(0, lambda members: pytest.fail("no embeddings are needed"))
    with pytest.raises(TiercelError, match=r"an epoch of 5 pairs does not fill one batch of 8: set pairs_per_batch"):
        batches.members(0)


def test_perspective_photos_turn_with_the_world() -> None:
    """A photo of eight columns that looks from column 10 to 18, that is north-east, of 256."""
    strip = np.arange(8, dtype=np.uint8)[None, :, None].repeat(3, 2)
    view = View(strip, 10, False)
    for turn in TURNS:
        found = turned_view(view, turn, PAIRS)
        # The direction of the middle of each column, turned as a panorama's would be.
        panorama = np.zeros((1, 1, 256, 1), np.uint8)
        panorama[0, 0, 10:18, 0] = np.arange(1, 9)
        expected = turn.strips(panorama)[0, 0, :, 0]
        laid = np.zeros(256, np.uint8)
        laid[(found.start + np.arange(8)) % 256] = found.strip[0, :, 0] + 1
        assert (laid == expected).all(), turn
    assert turned_view(View(strip, None, False), Turn(1, True), PAIRS).start is None


class Mixed(Line):
    """A panorama with spare rows, a photo whose heading is known, and one whose heading is not."""

    def __init__(self) -> None:
        super().__init__([0, 500, 1000])

    def view(self, index) -> View:
        if index == 0:
            return View(np.full((84, 256, 3), 90, np.uint8))
        strip = np.full((64, 64, 4), 90, np.uint8)
        strip[:, :, 3] = 255
        strip[:, 50:, 3] = 0
        return View(strip, 32 if index == 1 else None, False)

    def tile(self, index, scale) -> Tile:
        rng = np.random.default_rng(index)
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        return Tile(pixels, np.ones((64, 64), bool), (500.0 * index, 0.0), 10.0)


def test_photos_of_all_kinds_in_one_batch(model) -> None:
    batches = PairBatches(Mixed(), stage(pairs_per_batch=3, panoramas=1.0, sampling="random"), PAIRS)
    plain = batches.plain(np.arange(3))
    assert plain["strips"].shape == (3, 4, 64, 256)
    assert plain["start"].tolist() == [0, 4, -1]
    seen = plain["strips"][:, 3, 0].sum(1).tolist()
    assert seen == [256, 50, 50]
    assert (plain["strips"][1, :3, :, 50:] == 0).all()
    loss = ContrastiveLoss(model, batches.stage).eval()
    out = loss(batches.sample(np.random.default_rng(0), 0))
    assert torch.isfinite(out["loss"])
    photos, _ = loss.encode(batches, np.arange(3))
    # Where the heading is unknown, it is the one that makes photo and tile most alike.
    with torch.no_grad():
        columns = loss.model.photo(plain["strips"], True)
        every = loss.head.photos(plain["strips"], columns).numpy()
        tiles = loss.head.tiles(plain["tiles"]).numpy()
    best = int((every[2] @ tiles[2]).argmax())
    np.testing.assert_allclose(photos[2], every[2, best], atol=1e-5)
    np.testing.assert_allclose(photos[1], every[1, 4], atol=1e-5)


# --- which photos fit which tiles


def test_what_fits_worked_out_by_hand() -> None:
    nowhere = (0.0, 0.0, -1.0)
    batch = {
        "tile": torch.tensor([7, 7, 8, 9, 5]),
        "semi": torch.tensor([[9, -1], [-1, -1], [-1, -1], [-1, -1], [-1, 8]]),
        "group": torch.tensor([0, 0, 0, 1, 0]),
        "place": torch.tensor([[0.0, 0], [0, 0], [10, 0], [10, 0], [float("nan")] * 2]),
        "cell": torch.tensor([nowhere, nowhere, (4.0, 5.0, 6.0), nowhere, nowhere]),
    }
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[range(5), range(5)] = True
    expected[0, 1] = expected[1, 0] = True  # one tile
    expected[0, 3] = True  # named as showing the first photo; the fourth photo does not name the first one's tile
    expected[4, 2] = True
    expected[0, 2] = expected[1, 2] = True  # 4 m off: at home in the cell of the third
    # The fourth photo stands where the third does, in another city.
    assert torch.equal(fitting(batch), expected)


def test_a_larger_cell_that_holds_the_photo_fits_too(source) -> None:
    batches = PairBatches(source, stage(tile_scales=(1.0, 4.0)), PAIRS)
    members = geographic_neighbours(source, 7)[3].astype(np.int64)
    tiles = [source.tile(int(index), scale) for index, scale in zip(members, [1, 4] * 4, strict=False)]
    fits = fitting(batches.places(members, tiles)).numpy()
    for photo, tile in itertools.product(range(7), range(7)):
        off = np.abs(source.positions[members[photo]] - tiles[tile].centre).max()
        same = source.identity[members[photo]] == source.identity[members[tile]]
        assert fits[photo, tile] == (off <= tiles[tile].reach or same)
    assert fits.sum() > 7  # there are some


# --- the loss


def test_smoothed_labels_are_torch_s_where_nothing_is_barred() -> None:
    logits, target = torch.randn(6, 9), torch.tensor([0, 3, 8, 2, 2, 5])
    barred = torch.zeros(6, 9, dtype=torch.bool)
    for smoothing in (0.0, 0.1, 0.5):
        expected = functional.cross_entropy(logits, target, label_smoothing=smoothing)
        torch.testing.assert_close(smoothed(logits, target, barred, smoothing), expected)


def test_smoothed_labels_worked_out_by_hand() -> None:
    """Logits ln 4, ln 3, ln 1 and a barred one: shares 1/2, 3/8 and 1/8; a tenth of the target on three."""
    logits = torch.tensor([[4.0, 3.0, 1.0, 50.0]]).log().requires_grad_()
    barred = torch.tensor([[False, False, False, True]])
    loss = smoothed(logits, torch.tensor([0]), barred, 0.1)
    expected = -0.9 * math.log(1 / 2) - 0.1 / 3 * (math.log(1 / 2) + math.log(3 / 8) + math.log(1 / 8))
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    wanted = [1 / 2 - 0.9 - 0.1 / 3, 3 / 8 - 0.1 / 3, 1 / 8 - 0.1 / 3, 0.0]
    torch.testing.assert_close(logits.grad, torch.tensor([wanted]))


class Given(torch.nn.Module):
    """A head whose vectors are what the batch holds, at every heading turned by 90 degrees more."""

    def __init__(self, scale) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.tensor(scale).log())
        self.sizes = SIZES

    @property
    def scale(self) -> torch.Tensor:
        return self.log_scale.exp()

    def tiles(self, tiles) -> torch.Tensor:
        return tiles

    def photos(self, strips, columns, start) -> torch.Tensor:
        angle = torch.deg2rad(strips[:, 0, 0, :1] + 90.0 * start)
        return torch.stack([angle.cos(), angle.sin()], -1)


def given_batch(photos_deg, tiles_deg, wrong=()) -> dict:
    """Photos and tiles as directions in the plane, each pair far from all others."""
    count = len(photos_deg)
    tiles = torch.deg2rad(torch.tensor(tiles_deg))
    return {
        "strips": torch.tensor(photos_deg)[:, None, None, None].expand(-1, 4, 8, 8),
        "tiles": torch.stack([tiles.cos(), tiles.sin()], 1),
        "start": torch.zeros(count, dtype=torch.int64),
        "wrong": torch.tensor([list(wrong)] * count, dtype=torch.int64).reshape(count, -1),
        "tile": torch.arange(count),
        "semi": torch.full((count, 1), -1),
        "group": torch.arange(count),
        "place": torch.zeros(count, 2),
        "cell": torch.tensor([(0.0, 0.0, -1.0)] * count),
    }


def loss_of(model, smoothing=0.0, scale=2.0) -> ContrastiveLoss:
    loss = ContrastiveLoss(model, stage(label_smoothing=smoothing))
    loss.model.embedding, loss.model.photo = Given(scale), None
    return loss


@pytest.fixture
def own_model() -> object:
    return tiny_model(heads=("embedding",), embedding=SIZES)


def test_the_loss_worked_out_by_hand(own_model) -> None:
    """Photos at 0 and 90 degrees, tiles at 0 and 60; scale 2."""
    loss = loss_of(own_model)
    out = loss(given_batch([0.0, 90.0], [0.0, 60.0]))
    # Inner products: photo 0 with the tiles 1 and 1/2; photo 1 with them 0 and sqrt(3)/2.
    root = math.sqrt(3) / 2
    to_tile = [-math.log(math.exp(2) / (math.exp(2) + math.e)), math.log1p(math.exp(-2 * root))]
    to_photo = [
        -math.log(math.exp(2) / (math.exp(2) + 1)),
        -math.log(math.exp(2 * root) / (math.exp(2 * root) + math.e)),
    ]
    expected = (sum(to_tile) / 2 + sum(to_photo) / 2) / 2
    assert float(out["loss"].detach()) == pytest.approx(expected, rel=1e-5)
    assert float(out["right_tile"]) == float(out["right_photo"]) == 1
    assert float(out["scale"]) == pytest.approx(2)
    out["loss"].backward()
    assert loss.head.log_scale.grad is not None and abs(float(loss.head.log_scale.grad)) > 0.01


def test_what_fits_is_no_negative(own_model) -> None:
    """Two photos of one tile: neither is wrong for the other, and there is nothing left to tell apart."""
    loss, batch = loss_of(own_model), given_batch([0.0, 90.0], [0.0, 60.0])
    batch["tile"] = torch.tensor([3, 3])
    assert float(loss(batch)["loss"].detach()) == pytest.approx(0, abs=1e-6)
    # Where only the second photo also fits the first tile, it alone has nothing to tell apart, and that tile too.
    batch = given_batch([0.0, 90.0], [0.0, 60.0])
    batch["semi"] = torch.tensor([[-1], [0]])
    root = math.sqrt(3) / 2
    to_tile = [-math.log(math.exp(2) / (math.exp(2) + math.e)), 0.0]
    to_photo = [0.0, -math.log(math.exp(2 * root) / (math.exp(2 * root) + math.e))]
    assert float(loss(batch)["loss"].detach()) == pytest.approx((sum(to_tile) + sum(to_photo)) / 4, rel=1e-5)


def test_wrong_headings_worked_out_by_hand(own_model) -> None:
    """One photo at 0 degrees, its tile at 0; two bins on it points to 180."""
    out = loss_of(own_model)(given_batch([0.0], [0.0], wrong=(2,)))
    pose = math.log1p(math.exp(-4))
    assert float(out["loss"].detach()) == pytest.approx(
        pose / 4, rel=1e-4
    )  # half of half: nothing else is to be told apart
    assert float(out["right_pose"]) == 1


def test_a_heading_that_is_unknown_is_the_best_one(own_model) -> None:
    loss, batch = loss_of(own_model), given_batch([0.0, 90.0], [180.0, 90.0])
    loss.head.photos_at = loss.head.photos

    def photos(strips, columns, start=None):
        every = torch.arange(32).expand(len(strips), 32) if start is None else start
        return loss.head.photos_at(strips, columns, every)

    loss.head.photos = photos
    worse = float(loss(batch)["loss"].detach())
    batch["start"] = torch.tensor([-1, -1])
    assert float(loss(batch)["loss"].detach()) < worse
    assert loss._right(batch["strips"], None, batch["start"], batch["tiles"])[0] % 4 == 2


def test_the_temperature_has_a_limit(model) -> None:
    model = tiny_model(heads=("embedding",), embedding=SIZES)
    with torch.no_grad():
        model.embedding.log_scale.fill_(9.0)
    assert float(model.embedding.scale.detach()) == pytest.approx(100)


PROCESSES = """
    import os, sys
    import torch
    import torch.multiprocessing as mp
    from tests.models.tiny import tiny_model
    from tests.training.test_contrastive import given_batch, loss_of, stage, SIZES, gradients, network_batch

    def run(rank, port, folder):
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
        torch.save(gradients({name: value[rank::2] for name, value in network_batch().items()}), f"{folder}/{rank}.pt")
        torch.distributed.destroy_process_group()

    if __name__ == "__main__":
        mp.start_processes(run, (int(sys.argv[1]), sys.argv[2]), nprocs=2, start_method="fork")
"""


def network_batch() -> dict:
    """Six pairs of noise, the first two of one tile and the fourth's photo fitting the last one's tile."""
    rng = np.random.default_rng(0)
    batch = given_batch([0.0] * 6, [0.0] * 6)
    batch["strips"] = torch.from_numpy(rng.standard_normal((6, 4, 64, 64)).astype(np.float32))
    batch["strips"][:, 3] = 1
    batch["tiles"] = torch.from_numpy(rng.standard_normal((6, 3, 64, 64)).astype(np.float32))
    batch["tile"], batch["semi"] = torch.tensor([0, 0, 1, 2, 3, 4]), torch.tensor([[-1], [-1], [-1], [4], [-1], [-1]])
    batch["wrong"] = torch.from_numpy(rng.integers(2, 30, (6, 2)))
    batch["start"] = torch.from_numpy(rng.integers(0, 32, 6))
    return batch


def gradients(batch) -> dict:
    """The loss of this process's pairs and its gradients; in evaluation mode, where samples do not mix."""
    torch.manual_seed(0)
    loss = ContrastiveLoss(tiny_model(heads=("embedding",), embedding=SIZES), stage(label_smoothing=0.1)).eval()
    out = loss(batch)["loss"]
    out.backward()
    return {name: value.grad for name, value in loss.named_parameters()} | {"loss": out.detach()}


def test_two_processes_learn_what_one_does(tmp_path) -> None:
    """The mean over processes of losses and gradients is that of the whole batch in one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = tmp_path / "processes.py"
    script.write_text(textwrap.dedent(PROCESSES))
    command = [sys.executable, str(script), str(port), str(tmp_path)]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    order = [0, 2, 4, 1, 3, 5]  # as the processes' pairs stand one after the other
    whole = gradients({name: value[order] for name, value in network_batch().items()})
    assert len(whole) > 20
    for name, value in whole.items():
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, value, atol=1e-6, rtol=1e-4, msg=name)


def test_it_learns_pairs_by_heart(monkeypatch) -> None:
    monkeypatch.setattr(Turn, "sample", classmethod(lambda cls, rng: Turn(0, False)))
    torch.manual_seed(0)
    source = CityPairs([noise_city(0, 10)], PAIRS)
    settings = stage(pairs_per_batch=8, sampling="random", panoramas=1.0, unknown_headings=0.0)
    loss = ContrastiveLoss(tiny_model(heads=("embedding",), embedding=SIZES), settings)
    batches = PairBatches(source, settings, PAIRS)
    before = loss.measure(batches)
    optimiser = torch.optim.AdamW(loss.parameters(), 3e-3)
    for step in range(12):
        loss.train()
        out = loss(batches.sample(np.random.default_rng(step)))
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
    after = loss.measure(batches)
    assert set(after) == {"r1", "r5", "r10", "r1pct"}
    assert before["r1"] < 0.5 < 0.8 < after["r1"] <= after["r5"] <= after["r10"] <= 1


def test_recall_is_counted_among_tiles_not_pairs(source, monkeypatch) -> None:
    """Photos of one tile do not stand in each other's way; a tie counts as found."""
    loss = ContrastiveLoss(tiny_model(heads=("embedding",), embedding=EmbeddingConfig()), STAGE)
    line = Line(range(4), tiles=[0, 0, 1, 2])
    photos = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.5, 0.5]], np.float32)
    tiles = np.array([[1, 0], [1, 0], [0, 1], [0.2, 0.8]], np.float32)
    monkeypatch.setattr(loss, "encode", lambda batches, members: (photos[members], tiles[members]))
    found = loss.measure(PairBatches(line, STAGE, PAIRS))
    assert found == {"r1": 1.0, "r5": 1.0, "r10": 1.0, "r1pct": 1.0}
    photos[0] = (0, 1)
    assert loss.measure(PairBatches(line, STAGE, PAIRS))["r1"] == 0.75
