import math

import numpy as np
import pytest

from tests.models.tiny import panorama_of_scene, photo_of_scene, scene, tiny_config
from tiercel.models import Strip, photo_strip

CONFIG = tiny_config()
HEADINGS = [None, 0.0, 33.3, 181.0, 359.9]


def expected(strip: Strip, heading: float) -> np.ndarray:
    """What the scene looks like along the strip's own columns, given the true heading of the photo's centre."""
    columns = strip.pixels.shape[1]
    azimuth = heading + strip.left_deg + (np.arange(columns) + 0.5) * 360 / CONFIG.strip_columns
    tangent = CONFIG.vertical_tangent * (1 - (np.arange(CONFIG.strip_height) + 0.5) * 2 / CONFIG.strip_height)
    return scene(azimuth[None], tangent[:, None])


def assert_shows_scene(strip: Strip, heading: float, share_seen: float) -> None:
    seen = strip.pixels[..., 3] == 255
    assert seen.mean() >= share_seen
    assert set(np.unique(strip.pixels[..., 3])) <= {0, 255}
    difference = np.abs(strip.pixels[..., :3].astype(float) - expected(strip, heading))[seen]
    assert difference.max() < 5
    assert difference.mean() < 1.5
    assert (strip.pixels[~seen] == 0).all()


@pytest.mark.parametrize("known", HEADINGS)
def test_panorama(known) -> None:
    true = 33.3 if known is None else known
    strip = photo_strip(panorama_of_scene(true), panorama=True, field_of_view=360, heading=known, config=CONFIG)
    assert strip.around
    assert strip.pixels.shape == (64, 256, 4)
    assert_shows_scene(strip, true, share_seen=1.0)
    if known is None:
        assert strip.left_deg == -180
    else:
        assert strip.left_deg == -known  # north at the left edge


@pytest.mark.parametrize("known", HEADINGS)
@pytest.mark.parametrize("field_of_view", [60.0, 90.0, 120.0])
def test_photo(known, field_of_view) -> None:
    true = 281.5 if known is None else known
    photo = photo_of_scene(true, field_of_view)
    strip = photo_strip(photo, panorama=False, field_of_view=field_of_view, heading=known, config=CONFIG)
    assert not strip.around
    assert_shows_scene(strip, true, share_seen=0.35)
    columns_seen = (strip.pixels[..., 3] == 255).any(0).sum() * 360 / CONFIG.strip_columns
    assert columns_seen == pytest.approx(field_of_view, abs=3)


def test_photo_gives_the_strip_of_the_panorama() -> None:
    options = {"heading": 33.3, "config": CONFIG}
    whole = photo_strip(panorama_of_scene(33.3), panorama=True, field_of_view=360, **options)
    piece = photo_strip(photo_of_scene(33.3, 80.0), panorama=False, field_of_view=80, **options)
    first = round((33.3 + piece.left_deg) % 360 / 360 * CONFIG.strip_columns)
    matching = np.roll(whole.pixels, -first, axis=1)[:, : piece.pixels.shape[1]]
    seen = piece.pixels[..., 3] == 255
    assert np.abs(matching[seen].astype(int) - piece.pixels[seen]).max() < 5


@pytest.mark.parametrize("heading", [0.0, 5.0, 33.3, 90.0, 359.9])
@pytest.mark.parametrize("field_of_view", [55.0, 90.0, 123.0])
def test_known_headings_lie_on_azimuth_bins(heading, field_of_view) -> None:
    photo = photo_of_scene(heading, field_of_view, 64, 48)
    strip = photo_strip(photo, panorama=False, field_of_view=field_of_view, heading=heading, config=CONFIG)
    bins = (heading + strip.left_deg) / CONFIG.bin_deg
    assert bins == pytest.approx(round(bins), abs=1e-9)
    assert strip.left_deg <= -field_of_view / 2 + 1e-3
    width = strip.pixels.shape[1] / CONFIG.columns_per_heading
    assert width == int(width)
    assert strip.left_deg + width * CONFIG.bin_deg >= field_of_view / 2 - 1e-3
    assert width <= math.ceil(field_of_view / CONFIG.bin_deg) + 1


def test_an_unknown_heading_starts_at_the_photo_s_left_edge() -> None:
    photo = photo_of_scene(0, 90, 64, 48)
    strip = photo_strip(photo, panorama=False, field_of_view=90, heading=None, config=CONFIG)
    assert (strip.left_deg, strip.pixels.shape[1], strip.heading) == (-45, 64, None)


@pytest.mark.parametrize("known", [None, 123.0])
def test_a_partial_panorama_wider_than_half_a_turn(known) -> None:
    true = 123.0
    panorama = panorama_of_scene(true, 1024, 240.0)
    strip = photo_strip(panorama, panorama=True, field_of_view=240, heading=known, config=CONFIG)
    assert not strip.around
    assert_shows_scene(strip, true, share_seen=0.9)
    assert (strip.pixels[..., 3] == 255).any(0).sum() == pytest.approx(240 / 360 * 256, abs=2)


def test_a_nearly_whole_panorama_does_not_show_its_edges_twice() -> None:
    panorama = panorama_of_scene(0, 1024, 350.0)
    strip = photo_strip(panorama, panorama=True, field_of_view=350, heading=0.0, config=CONFIG)
    assert strip.around
    assert_shows_scene(strip, 0.0, share_seen=0.95)
    assert (strip.pixels[..., 3] == 255).any(0).sum() == pytest.approx(350 / 360 * 256, abs=2)


def test_a_tall_narrow_photo_is_masked_above_and_below_nothing() -> None:
    strip = photo_strip(photo_of_scene(0, 60, 480, 960), panorama=False, field_of_view=60, heading=0.0, config=CONFIG)
    assert (strip.pixels[:, 24:-24, 3] == 255).all()
    wide = photo_strip(photo_of_scene(0, 60, 960, 240), panorama=False, field_of_view=60, heading=0.0, config=CONFIG)
    assert (wide.pixels[[0, -1], :, 3] == 0).all()
    # The edge of a flat picture bends towards the horizon at its sides.
    heights = (wide.pixels[..., 3] == 255).sum(0)
    assert heights[heights.size // 2] > heights[heights > 0].min()


def test_a_large_photo_is_averaged_not_picked_from() -> None:
    checker = np.indices((2048, 4096)).sum(0) % 2 * 255
    pixels = np.repeat(checker[..., None], 3, 2).astype(np.uint8)
    strip = photo_strip(pixels, panorama=True, field_of_view=360, heading=None, config=CONFIG)
    assert np.abs(strip.pixels[..., :3].astype(int) - 128).max() <= 1


def test_padding_of_a_cropped_panorama_is_not_seen() -> None:
    pixels = panorama_of_scene(0.0)
    height = len(pixels)
    rows = (height * 4 // 10, height * 55 // 100)
    pixels[: rows[0]] = pixels[rows[1] :] = 128
    strip = photo_strip(pixels, panorama=True, field_of_view=360, heading=0.0, config=CONFIG, seen_rows=rows)
    assert_shows_scene(strip, 0.0, share_seen=0.2)
    seen = (strip.pixels[..., 3] == 255).all(1)
    assert not seen[0] and not seen[-1] and seen.any()
