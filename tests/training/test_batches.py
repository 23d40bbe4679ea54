import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from tests.models.tiny import photo_of_scene
from tests.training.conftest import CONFIG, address, coded_strips, patches, small_stage
from tiercel.models import photo_strip
from tiercel.sim.camera import Pinhole
from tiercel.training.batches import (
    MatchBatches,
    RetrievalBatches,
    Turn,
    _leaning,
    _pinhole_mask,
    _tilted,
    cut_photos,
    padded_crop,
    photo_bins,
)
from tiercel.training.cities import spare_rows
from tiercel.training.feeding import FixedCities
from tiercel.training.loop import Steps
from tiercel.training.recipe import Stage

TURNS = [Turn(quarters, mirror) for quarters in range(4) for mirror in (False, True)]
PIXEL = 2 * CONFIG.resolution


def colours(tensor) -> np.ndarray:
    """The bytes (..., H, W, C) behind a tensor (..., C, H, W)."""
    return np.round((tensor.movedim(-3, -1).numpy() + 1) * 127.5).astype(int)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_turn_takes_pictures_points_and_panoramas_alike(turn) -> None:
    """A camera with a mark 20 cells to its north-east: picture, point and panorama agree on where it is afterwards."""
    side, camera, azimuth = 101, np.array([[40.0, 60.0]]), 37.0
    mark = camera + 20 * np.array([[math.sin(math.radians(azimuth)), -math.cos(math.radians(azimuth))]])
    picture = np.zeros((side, side, 1), np.uint8)
    picture[int(mark[0, 1]), int(mark[0, 0])] = 1
    panorama = np.zeros((1, 2, 360, 1), np.uint8)
    panorama[0, :, int(azimuth)] = 1
    new_camera, new_mark = turn.points(camera, side), turn.points(mark, side)
    row, col = (int(v) for v in np.argwhere(turn.image(picture)[..., 0])[0])
    assert np.abs(new_mark[0] - [col + 0.5, row + 0.5]).max() <= 0.5 + 1e-9
    assert np.linalg.norm(new_mark - new_camera) == pytest.approx(20)
    column = int(turn.strips(panorama)[0, 0, :, 0].argmax())
    east, south = (new_mark - new_camera)[0]
    assert math.degrees(math.atan2(east, -south)) % 360 == pytest.approx(column + 0.5, abs=1)


def test_the_turns_are_eight() -> None:
    picture = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    assert len({turn.image(picture).tobytes() for turn in TURNS}) == 8


@pytest.mark.parametrize("bins", [5, 9, 32])
def test_cut_photos_start_where_they_say(bins) -> None:
    rng = np.random.default_rng(0)
    photos = cut_photos(coded_strips(40), bins, small_stage(), CONFIG, rng, aligned=0.5)
    assert photos.around == (bins == 32)
    assert photos.strips.shape == (40, 64, bins * 8, 4)
    seen = photos.strips[..., 3] == 255
    columns = (photos.start[:, None] + np.arange(bins * 8)) % 256
    expected = np.broadcast_to(columns[:, None], seen.shape)
    assert (photos.strips[..., 0][seen] == expected[seen]).all()
    assert (photos.strips[~seen] == 0).all()
    assert seen.mean((1, 2)).min() > 0.2
    aligned = photos.start % 8 == 0
    assert 10 < aligned.sum() < 35
    for share, wanted in ((1.0, 40), (0.0, 0)):
        start = cut_photos(coded_strips(40), bins, small_stage(), CONFIG, rng, aligned=share).start
        assert (start % 8 == 0).sum() == pytest.approx(wanted, abs=12 if share == 0 else 0)


class Fixed:
    """A source of chance that gives what is listed."""

    def __init__(self, values) -> None:
        self.values = values

    def random(self) -> float:
        return self.values.pop(0)

    def uniform(self, low, high) -> float:
        return self.values.pop(0)


@pytest.mark.parametrize(("field", "height", "width"), [(90.0, 480, 640), (60.0, 640, 480), (110.0, 300, 640)])
def test_masks_in_training_are_those_of_photos(field, height, width) -> None:
    """A training strip hides just what `photo_strip` hides of a real photo of the same field of view and shape."""
    strip = photo_strip(
        photo_of_scene(field / 2, field, width, height),
        panorama=False, field_of_view=field, heading=field / 2, config=CONFIG,
    )  # fmt: skip
    bins = strip.pixels.shape[1] // CONFIG.columns_per_heading
    tangent = CONFIG.vertical_tangent * (1 - (np.arange(CONFIG.strip_height) + 0.5) * 2 / CONFIG.strip_height)
    chance = Fixed([field, 0.9, height / width, 0.0])
    mask, middle = _pinhole_mask(bins, small_stage(field_of_view=(field, field)), CONFIG, tangent, chance)
    assert middle == pytest.approx(field / 2 / CONFIG.bin_deg * CONFIG.columns_per_heading)
    different = mask != (strip.pixels[..., 3] == 255)
    assert different.mean() < 0.02
    assert mask.mean() > 0.3


SKY = np.random.default_rng(5).uniform(-1, 1, (3, 4))


def seen_in(azimuth, tangent) -> np.ndarray:
    """A smooth world at infinity: a colour for each direction, radians and tangent of elevation."""
    waves = [SKY[:, 0], SKY[:, 1] * 2, SKY[:, 2] * 4, SKY[:, 3] * 3]
    azimuth, tangent = azimuth[..., None], tangent[..., None]
    colour = np.sin(2 * azimuth + waves[0]) + np.sin(5 * azimuth + waves[1]) + np.sin(9 * tangent + waves[2])
    return (127 + 28 * (colour + np.sin(3 * azimuth + 6 * tangent + waves[3]))).astype(np.uint8)


@pytest.mark.parametrize(("pitch", "roll"), [(0.0, 0.0), (6.0, 0.0), (-5.0, 3.0), (0.0, -4.0)])
@pytest.mark.parametrize("field", [64.0, 97.0])
@pytest.mark.parametrize(("wider", "bend"), [(0.0, 0.0), (0.08, 0.0), (-0.04, 0.06)])
def test_photos_of_careless_cameras_in_training_are_those_that_people_take(pitch, roll, field, wider, bend) -> None:
    """A strip cut from a panorama for a camera is the strip of the photo that this camera takes."""
    height, width = 480, 640
    camera = Pinhole(0.0, pitch, roll, field, height, width)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    aside, below = (columns - width / 2) / camera.focal, (rows - height / 2) / camera.focal
    scale = camera.focal * (1 + wider) * (1 + bend * (aside**2 + below**2))
    ahead, right, up = camera.directions(width / 2 + aside * scale, height / 2 + below * scale)
    pixels = seen_in(np.arctan2(right, ahead), up / np.hypot(ahead, right))
    strip = photo_strip(pixels, panorama=False, field_of_view=field, heading=None, config=CONFIG).pixels
    per_column, per_bin = 2 * np.pi / CONFIG.strip_columns, CONFIG.columns_per_heading
    middle = field / 2 / CONFIG.bin_deg * per_bin
    tall = CONFIG.strip_height + 2 * spare_rows(CONFIG)
    azimuth = (np.arange(-per_bin, strip.shape[1] + per_bin) + 0.5 - middle) * per_column
    step = 2 * CONFIG.vertical_tangent / CONFIG.strip_height
    around = seen_in(*np.broadcast_arrays(azimuth, step * (tall / 2 - np.arange(tall) - 0.5)[:, None]))
    tangent = step * (CONFIG.strip_height / 2 - np.arange(CONFIG.strip_height) - 0.5)
    tilt = np.radians([[pitch, roll]])
    cut = _tilted(around[None], np.array([middle]), tilt, np.array([[wider, bend]]), tangent, CONFIG)[0]
    seen = strip[..., 3] == 255
    assert seen.mean() > 0.5
    difference = np.abs(cut[seen].astype(int) - strip[seen, :3]).max(1)
    assert np.percentile(difference, 99) < 6
    level = _tilted(around[None], np.array([middle]), np.zeros((1, 2)), np.zeros((1, 2)), tangent, CONFIG)[0]
    spare = around[spare_rows(CONFIG) : -spare_rows(CONFIG), per_bin:-per_bin]
    assert np.abs(level[seen].astype(int) - spare[seen]).max() <= 1
    if pitch or roll or wider > 0:
        assert np.abs(level[seen].astype(int) - strip[seen, :3]).max(1).mean() > 4 * difference.mean()


def test_leaning_panoramas_are_those_that_leaning_cameras_take() -> None:
    """A camera that leans by 4 degrees to the north sees the horizon rise there, and each point where it is."""
    lean = np.radians(4.0)
    tall, total = CONFIG.strip_height + 2 * spare_rows(CONFIG), CONFIG.strip_columns
    azimuth = (np.arange(-CONFIG.columns_per_heading, total + CONFIG.columns_per_heading) + 0.5) * 2 * np.pi / total
    step = 2 * CONFIG.vertical_tangent / CONFIG.strip_height
    around = seen_in(*np.broadcast_arrays(azimuth, step * (tall / 2 - np.arange(tall) - 0.5)[:, None]))
    tangent = step * (CONFIG.strip_height / 2 - np.arange(CONFIG.strip_height) - 0.5)

    class Leans:
        def normal(self, *_: object) -> np.ndarray:
            return np.array([lean, 0.0]).reshape(2, 1, 1, 1)

    cut = _leaning(around[None], small_stage(panorama_tilt=4.0), tangent, CONFIG, Leans())[0].astype(int)
    own, above = np.meshgrid((np.arange(total) + 0.5) * 2 * np.pi / total, tangent)
    east, north = np.sin(own), np.cos(own)
    turned, up = north * np.cos(lean) - above * np.sin(lean), north * np.sin(lean) + above * np.cos(lean)
    expected = seen_in(np.arctan2(east, turned), up / np.hypot(east, turned)).astype(int)
    assert np.percentile(np.abs(cut - expected), 98) < 12
    level = around[spare_rows(CONFIG) : -spare_rows(CONFIG), CONFIG.columns_per_heading : -CONFIG.columns_per_heading]
    assert np.abs(cut - expected).mean() < 0.3 * np.abs(level.astype(int) - expected).mean()


def test_panoramas_lean_only_if_asked() -> None:
    strips = np.random.default_rng(0).integers(0, 255, coded_strips(6).shape).astype(np.uint8)
    cut = [
        cut_photos(
            strips, CONFIG.headings, small_stage(panorama_tilt=tilt), CONFIG, np.random.default_rng(3), 1.0
        ).strips
        for tilt in (0.0, 0.0, 3.0)
    ]
    assert np.array_equal(cut[0], cut[1]) and not np.array_equal(cut[0], cut[2])


def test_the_widths_of_photos() -> None:
    rng = np.random.default_rng(0)
    stage = small_stage(panoramas=0.25, field_of_view=(55.0, 120.0))
    drawn = [photo_bins(stage, CONFIG, rng) for _ in range(400)]
    assert set(drawn) == {32, *range(5, 13)}
    assert np.mean(np.array(drawn) == 32) == pytest.approx(0.25, abs=0.06)


def test_a_crop_beyond_the_edge_is_not_covered() -> None:
    image = np.full((10, 10, 3), 7, np.uint8)
    crop, covered = padded_crop(image, -2, 6, 8)
    assert crop.shape == (8, 8, 3)
    expected = np.zeros((8, 8), bool)
    expected[:4, 2:] = True
    assert (covered == expected).all()
    assert (crop[covered] == 7).all() and (crop[~covered] == 0).all()
    assert not padded_crop(image, 20, 20, 4)[1].any()


@pytest.fixture(params=TURNS, ids=str)
def forced_turn(request, monkeypatch) -> Turn:
    monkeypatch.setattr(Turn, "sample", classmethod(lambda cls, rng: request.param))
    return request.param


@pytest.fixture
def stage(forced_turn) -> Stage:
    """Panoramas for half of the turns, photos for the others."""
    return small_stage(panoramas=float(forced_turn.quarters % 2), crops_per_city=1)


def looks(strip, start_column) -> list[tuple[int, float, float]]:
    """Photo, azimuth in the turned crop and in the untouched city, for some columns of a strip (4, rows, columns)."""
    pixels, mask = colours(strip[:3]), strip[3].numpy()
    found = []
    for column in range(0, strip.shape[2], 13):
        rows = np.flatnonzero(mask[:, column])
        if len(rows):
            code, photo, _ = pixels[rows[0], column]
            found.append((int(photo), (start_column + column + 0.5) * 360 / 256, (code + 0.5) * 360 / 256))
    return found


def ahead(azimuth, metres) -> np.ndarray:
    return metres * np.array([math.sin(math.radians(azimuth)), -math.cos(math.radians(azimuth))])


def test_retrieval_batches_agree_with_their_pixels(cities, stage, forced_turn) -> None:
    batch = RetrievalBatches(FixedCities(cities), stage, CONFIG, augment=False).sample(np.random.default_rng(1))
    crops, photos = batch["strips"].shape[:2]
    assert (crops, photos) == (2, 5)
    images = colours(batch["image"])
    checked = 0
    for crop, photo in itertools.product(range(crops), range(photos)):
        where = batch["positions"][crop, photo].numpy()
        start = float(batch["start"][crop, photo]) * CONFIG.columns_per_heading
        for number, azimuth, original in looks(batch["strips"][crop, photo], start):
            # The city is known by where the photos are.
            at = where + ahead(azimuth, 40)
            shown = address(images[crop, int(at[1] / PIXEL), int(at[0] / PIXEL)], PIXEL)
            true = [city.positions[number] + ahead(original, 40) for city in cities]
            # Positions of the truth are jittered by up to half a step along each axis.
            assert min(np.abs(shown - one).max() for one in true) < 31.25 / 8 + 1.5 * PIXEL
            checked += 1
    assert checked > 20


def test_retrieval_batches_ignore_their_own_neighbourhood(cities) -> None:
    stage = small_stage(photos_per_crop=12, negatives_per_crop=40, crops_per_city=1)
    batch = RetrievalBatches(FixedCities(cities), stage, CONFIG, augment=False).sample(np.random.default_rng(3))
    ignore, positions = batch["ignore"], batch["positions"]
    distance = torch.cdist(positions[:, :12], positions)
    own = torch.zeros_like(ignore)
    own[:, range(12), range(12)] = True
    assert not ignore[own].any()
    assert ignore[(distance < 18) & ~own].all()
    assert not ignore[distance > 30].any()
    assert ((positions > 60) & (positions < 437.5 - 60)).all()


def inner_box(image, pixel_m, cells) -> np.ndarray:
    """(cells, cells, 2, 2): least and greatest metres that each child of a square shows in an image with its margin."""
    side = image.shape[0]
    margin = round(side * CONFIG.zoom_margin / (1 + 2 * CONFIG.zoom_margin))
    step = (side - 2 * margin) // cells
    boxes = np.zeros((cells, cells, 2, 2))
    for row, col in itertools.product(range(cells), repeat=2):
        part = image[margin + row * step : margin + (row + 1) * step, margin + col * step : margin + (col + 1) * step]
        ground = address(part, pixel_m).reshape(-1, 2)
        boxes[row, col] = ground.min(0) - pixel_m / 2, ground.max(0) + pixel_m / 2
    return boxes.reshape(-1, 2, 2)


def test_zoom_targets_are_the_children_that_show_the_photo(cities, stage, forced_turn) -> None:
    batch = RetrievalBatches(FixedCities(cities), stage, CONFIG, augment=False).sample(np.random.default_rng(2))
    crops, photos = batch["strips"].shape[:2]
    hits = 0
    for crop in range(crops):
        city = int(batch["city"][crop])
        root = inner_box(colours(batch["root_image"][city]), 32 * CONFIG.resolution, 4)
        middle = inner_box(colours(batch["middle_image"][crop]), 8 * CONFIG.resolution, 4)
        fine = [inner_box(colours(image), 2 * CONFIG.resolution, 4) for image in batch["fine_images"][crop]]
        for index, boxes in enumerate(fine):
            whole = np.stack([boxes[:, 0].min(0), boxes[:, 1].max(0)])
            assert middle[batch["fine_parent"][crop, index]] == pytest.approx(whole, abs=1e-6)
        inside_root = np.stack([middle[:, 0].min(0), middle[:, 1].max(0)])
        for photo in range(photos):
            number = looks(batch["strips"][crop, photo], 0)[0][0]
            assert root[batch["root_child"][crop, photo]] == pytest.approx(inside_root, abs=1e-6)
            box = middle[batch["middle_child"][crop, photo]]
            mine = [c.positions[number] for c in cities if (c.positions[number] >= box[0]).all()]
            mine = [position for position in mine if (position <= box[1]).all()]
            assert mine, "the photo's place is not in the child it is said to be in"
            square = int(batch["fine_square"][crop, photo])
            if square >= 0:
                assert batch["fine_real"][crop, square]
                leaf = fine[square][batch["fine_child"][crop, photo]]
                assert any(((leaf[0] <= p) & (p <= leaf[1])).all() for p in mine)
                hits += 1
    assert hits >= crops


def test_the_margin_beyond_a_city_is_not_covered(cities) -> None:
    batch = RetrievalBatches(FixedCities(cities), small_stage(), CONFIG, augment=False).sample(np.random.default_rng(0))
    root = batch["root_image"][0]
    assert (root[:, :16] == 0).all() and (root[:, :, -16:] == 0).all()
    assert (root[:, 16:-16, 16:-16] != 0).all()


def test_match_batches_agree_with_their_pixels(cities, forced_turn) -> None:
    stage = small_stage(heads=("match",), panoramas=float(forced_turn.quarters % 2), crops_per_city=1)
    batch = MatchBatches(FixedCities(cities), stage, CONFIG, augment=False).sample(np.random.default_rng(4))
    images, pixel = colours(batch["image"]), CONFIG.resolution
    checked = 0
    for crop, photo in itertools.product(range(2), range(5)):
        where = batch["truth"][crop, photo].numpy()
        start = math.degrees(float(batch["start"][crop, photo, 0])) / 360 * 256
        for number, azimuth, original in looks(batch["strips"][crop, photo], start):
            at = where + ahead(azimuth, 20)
            shown = address(images[crop, int(at[1] / pixel), int(at[0] / pixel)], pixel)
            true = [city.positions[number] + ahead(original, 20) for city in cities]
            assert min(np.abs(shown - one).max() for one in true) < 1.5 * pixel
            checked += 1
    assert checked > 20
    assert batch["start"].shape == (2, 5, 1 + stage.wrong_headings)
    inside = CONFIG.template_m + 2 * CONFIG.match_cell_m
    assert ((batch["truth"] > inside) & (batch["truth"] < 250 - inside)).all()


@pytest.mark.parametrize("kind", [RetrievalBatches, MatchBatches])
def test_land_cover_agrees_with_the_pixels(cities, forced_turn, kind) -> None:
    """At the middle of every cell, or one cell off where the crop does not lie on the cells' grid."""
    batch = kind(
        FixedCities(cities), small_stage(heads=("retrieval",), crops_per_city=1), CONFIG, augment=False
    ).sample(np.random.default_rng(4))
    pixel = CONFIG.resolution if kind is MatchBatches else PIXEL
    whole = patches(1024)
    for picture, cover in zip(colours(batch["image"]), batch["land_cover"].numpy(), strict=True):
        stride = len(picture) // len(cover)
        where = address(picture[stride // 2 :: stride, stride // 2 :: stride], pixel)
        column, row = np.moveaxis((where / CONFIG.match_cell_m).astype(int), -1, 0)
        share = (cover == whole[row, column]).mean()
        assert share == 1.0 if kind is MatchBatches else share > 0.7


@pytest.mark.parametrize("kind", [RetrievalBatches, MatchBatches])
def test_positions_are_off_as_far_as_the_stage_has_it(cities, kind) -> None:
    truth = []
    for error in (0.0, 3.0):
        stage = small_stage(heads=("retrieval",), photos_per_crop=40, position_error=error, panoramas=1.0)
        batches = kind(FixedCities(cities), stage, CONFIG, augment=False)
        truth.append(
            np.concatenate([batches.sample(np.random.default_rng(seed))["truth"].numpy() for seed in range(9)])
        )
    # The draws behind the first crop differ with the chance that errors take; those of the first crops agree.
    off = (truth[1] - truth[0]).reshape(9, -1, 40, 2)[:, 0]
    assert off.std() == pytest.approx(3.0, rel=0.1) and abs(off.mean()) < 0.5


@pytest.mark.parametrize("kind", [RetrievalBatches, MatchBatches])
def test_batches_are_a_function_of_seed_and_step(cities, kind) -> None:
    batches = kind(FixedCities(cities), small_stage(cities_per_step=1, crops_per_city=1, squares_per_crop=1), CONFIG)
    first = Steps(batches, 3, range(0, 6), 0)
    later = Steps(batches, 3, range(4, 6), 0)
    assert len(later) == 2
    assert same(first[4], later[0])
    assert not same(first[4], first[5])
    assert not same(first[4], Steps(batches, 4, range(0, 6), 0)[4])
    assert not same(first[4], Steps(batches, 3, range(0, 6), 1)[4])


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", [RetrievalBatches, MatchBatches])
def test_a_city_without_photos(city, kind) -> None:
    empty = dataclasses.replace(city, positions=city.positions[:0], strips=city.strips[:0])
    with pytest.raises(ValueError, match="render more views"):
        kind(FixedCities([empty]), small_stage(), CONFIG).sample(np.random.default_rng(0))


@pytest.mark.parametrize("kind", [RetrievalBatches, MatchBatches])
def test_pictures_are_plain_from_the_step_on_that_is_said(cities, kind) -> None:
    stage = small_stage(heads=("retrieval",), augmented=1.0, plain_from=10, panoramas=1.0)
    plain = kind(FixedCities(cities), stage, CONFIG, augment=False)
    varied = kind(FixedCities(cities), stage, CONFIG)

    def same(step) -> bool:
        one, other = (batches.sample(np.random.default_rng(5), step)["strips"] for batches in (plain, varied))
        return torch.equal(one, other)

    assert [same(step) for step in (0, 9, 10, 500, None)] == [False, False, True, True, True]


@pytest.mark.parametrize("kind", [RetrievalBatches, MatchBatches])
def test_faults_and_styles_come_at_every_step_and_touch_nothing_else(cities, kind) -> None:
    plain = small_stage(heads=("retrieval",), plain_from=1, panoramas=1.0)
    changed = dataclasses.replace(plain, faults=1.0, restyled=1.0)
    for step in (5, None):
        before, after = (
            kind(FixedCities(cities), stage, CONFIG).sample(np.random.default_rng(1), step)
            for stage in (plain, changed)
        )
        assert {name for name in before if not torch.equal(before[name], after[name])} == {"strips", "image"}
        assert torch.equal(before["strips"][:, :, 3], after["strips"][:, :, 3])


def test_pictures_around_a_crop_have_its_middle(cities) -> None:
    stage = small_stage(heads=("match",), crops_per_city=1, beside="retrieval")
    batch = MatchBatches(FixedCities(cities), stage, CONFIG, augment=False).sample(np.random.default_rng(1))
    for wide, narrow in zip(colours(batch["around_image"]), colours(batch["image"]), strict=True):
        wide_m, narrow_m = address(wide, PIXEL), address(narrow, CONFIG.resolution)
        rows, columns = (slice(len(picture) // 2 - 1, len(picture) // 2 + 1) for picture in (wide, narrow))
        middle = wide_m[rows, rows].mean((0, 1)), narrow_m[columns, columns].mean((0, 1))
        assert np.abs(middle[0] - middle[1]).max() < PIXEL
