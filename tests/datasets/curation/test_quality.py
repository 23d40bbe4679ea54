"""What the measures tell apart, on made-up photos, simulated ones and real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.curation.town import blurred, finger, room, street
from tiercel.datasets.curation.quality import Measures, Thresholds, blur_effect, measure
from tiercel.photos import Photo

REAL = Path("/work/shared/data")
REAL_PHOTOS = sorted(REAL.glob("dc/*_photo.jpg")) + sorted(REAL.glob("photos/*.jpg"))


def look(pixels: np.ndarray, panorama: bool = False) -> Measures:
    return measure(Photo.from_array(pixels, panorama=panorama, field_of_view=360 if panorama else 70))


def reasons(pixels: np.ndarray) -> list[str]:
    return Thresholds().reasons(look(pixels))


def sky(size: tuple[int, int] = (240, 160)) -> np.ndarray:
    width, height = size
    return np.repeat(np.linspace((90, 140, 215), (150, 190, 235), height)[:, None], width, 1).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_a_good_photo_stays_and_a_ruined_one_does_not(seed: int) -> None:
    good = street(seed)
    assert reasons(good) == []
    assert reasons(blurred(good))[0] == "blurred"
    assert reasons((good * 0.06).astype(np.uint8))[0] == "dark"
    assert reasons(finger(good))[0] == "obstructed"


def test_a_covered_lens_is_one_reason_or_another() -> None:
    assert "obstructed" in reasons(np.full((160, 240, 3), (90, 60, 50), np.uint8))
    assert reasons(np.zeros((160, 240, 3), np.uint8))[0] == "dark"


def test_nothing_but_sky() -> None:
    picture = sky()
    assert reasons(picture)[0] == "sky only"
    picture[-10:] = street(1)[-10:]
    assert reasons(picture)[0] == "sky only"
    picture[-50:] = street(1)[-50:]
    assert reasons(picture) == []


def test_clouds_are_sky_and_a_grey_wall_is_not() -> None:
    overcast = street(3)
    overcast[:80] = (226, 228, 232)
    assert look(overcast).sky == pytest.approx(0.5, abs=0.05) and reasons(overcast) == []
    wall = street(3)
    wall[:80] = (110, 108, 104)
    assert look(wall).sky == 0.0 and look(wall).obstruction == pytest.approx(0.5, abs=0.05)


def test_a_room_has_no_sky_and_a_bare_ceiling() -> None:
    assert reasons(room()) == ["indoors"]
    measures = look(room())
    assert measures.sky == 0.0 and measures.ceiling > 0.6
    assert look(street(0)).ceiling == 0.0
    neutral = room()
    ceiling = neutral[:60].copy()
    neutral[:60] = np.where(np.ptp(ceiling, axis=-1, keepdims=True) < 30, ceiling.mean(-1, keepdims=True), ceiling)
    neutral[100:170, 120:200] = 250  # a window, brighter than the ceiling
    assert reasons(neutral) == ["indoors"]


def test_blur_goes_by_detail_and_not_by_contrast_or_size() -> None:
    good = street(2, (480, 320))
    faint = (90 + 0.2 * good.astype(float)).astype(np.uint8)
    assert look(faint).blur == pytest.approx(look(good).blur, abs=0.03)
    values = [look(blurred(good, sigma)).blur for sigma in (0.01, 1.0, 2.0, 4.0)]
    assert values == sorted(values) and values[0] < 0.35 and values[-1] > 0.75
    large = np.asarray(Image.fromarray(blurred(good, 8.0)).resize((2400, 1600)))
    assert look(large).blur > 0.5


def test_a_shake_along_one_axis_is_a_blur() -> None:
    good = street(4).astype(float)
    shaken = np.mean([np.roll(good, shift, 1) for shift in range(12)], 0).astype(np.uint8)
    assert reasons(shaken)[0] == "blurred"


def test_a_panorama_is_judged_by_its_middle_rows() -> None:
    picture = np.zeros((256, 512, 3), np.uint8)
    picture[:64], picture[192:] = 90, 90  # the zenith and the car's roof
    picture[64:192] = street(7, (512, 128))
    assert look(picture, panorama=True) == look(np.ascontiguousarray(picture[64:192]))


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3), (16, 16), (17, 31)])
def test_any_size_can_be_measured(size: tuple[int, int]) -> None:
    measures = look(np.full((size[1], size[0], 3), 130, np.uint8))
    assert all(0 <= getattr(measures, name) <= 1 for name in ("blur", "brightness", "obstruction", "sky", "ceiling"))


def test_a_flat_picture_is_as_blurred_as_can_be() -> None:
    assert blur_effect(np.full((64, 64), 0.5, np.float32)) == 1.0


@pytest.mark.parametrize("reason", ["dark", "blurred", "sky only", "obstructed", "indoors"])
def test_every_reason_has_words_with_its_number(reason: str) -> None:
    assert "0.43" in Thresholds().words(reason, Measures(0.43, 0.43, 0.43, 0.43, 0.43))


def test_thresholds_at_their_ends_keep_everything() -> None:
    everything = Thresholds(blur=1, brightness=0, obstruction=1, sky=1, ceiling=1)
    for picture in (sky(), room(), finger(street(0)), blurred(street(0)), np.zeros((50, 50, 3), np.uint8)):
        assert everything.reasons(look(picture)) == []


def smaller(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((720, 720), Image.Resampling.LANCZOS)
    return np.asarray(image)


@pytest.mark.skipif(not REAL_PHOTOS, reason="the real photos are not here")
def test_real_street_photos_stay_until_they_are_ruined() -> None:
    photos = [smaller(Photo.open(path).pixels) for path in REAL_PHOTOS]
    assert all(reasons(pixels) == [] for pixels in photos)
    assert all(reasons(blurred(pixels, pixels.shape[1] / 150))[0] == "blurred" for pixels in photos)
    assert all(reasons((pixels * 0.08).astype(np.uint8))[0] == "dark" for pixels in photos)
    assert all("obstructed" in reasons(finger(pixels)) for pixels in photos)
