from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.rerank.pictures import a_list, save
from tiercel.candidates import Candidate, CandidateList
from tiercel.errors import TiercelError
from tiercel.photos import Photo
from tiercel.rerank.backends.backend import Picture, Request, Turn
from tiercel.rerank.views import RIBBON_ROWS, STRIP_COLUMNS, STRIP_ROWS, View, collage, picture_of, strip


def test_a_panorama_is_padded_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    shown = View(photo="padded", photo_pixels=128).of_photo(one).pixels
    assert shown.shape == (128, 128, 3)
    assert np.array_equal(shown[32:96], np.asarray(Image.open(one.query)))


def test_a_split_panorama_has_its_left_half_above_its_right(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    shown = View(photo="split", photo_pixels=128).of_photo(one).pixels
    whole = np.asarray(Image.open(one.query))
    assert np.array_equal(shown[:, 32:96], np.concatenate([whole[:, :64], whole[:, 64:]]))


def test_a_photo_that_is_no_panorama_is_not_split(tmp_path: Path) -> None:
    photo = CandidateList(save(tmp_path / "photo.png", 1, (128, 96)), panorama=False, field_of_view=90.0)
    assert np.array_equal(View(photo="split").of_photo(photo).pixels, View(photo="padded").of_photo(photo).pixels)


def test_whole_keeps_the_shape(tmp_path: Path) -> None:
    assert View(photo="whole", photo_pixels=64).of_photo(a_list(tmp_path)).pixels.shape == (32, 64, 3)


def columns_seen(square: np.ndarray) -> np.ndarray:
    top, left = (len(square) - STRIP_ROWS) // 2, (len(square) - STRIP_COLUMNS) // 2
    return np.nonzero(square[top : top + STRIP_ROWS, left : left + STRIP_COLUMNS].any((0, 2)))[0]


def a_photo(field_of_view: float = 90.0, *, panorama: bool = False) -> Photo:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    return Photo.from_array(pixels, panorama=panorama, field_of_view=field_of_view)


def test_a_strip_of_unknown_heading_has_the_photo_in_the_middle_and_no_ribbon() -> None:
    square = strip(a_photo(), None, 320)
    seen = columns_seen(square)
    assert abs(seen.mean() - (STRIP_COLUMNS - 1) / 2) < 1 and abs(len(seen) - 64) <= 8
    assert not square[: (320 - STRIP_ROWS) // 2].any()


@pytest.mark.parametrize("heading", [90.0, 180.0, 270.0])
def test_a_strip_of_known_heading_has_the_photo_at_its_azimuth_under_a_ribbon(heading: float) -> None:
    square = strip(a_photo(), heading, 320)
    assert abs(columns_seen(square).mean() + 0.5 - heading / 360 * STRIP_COLUMNS) < 4
    top = (320 - STRIP_ROWS) // 2
    assert square[top - RIBBON_ROWS : top, 32 : 32 + STRIP_COLUMNS].any(2).all()


def test_a_strip_to_the_north_goes_on_at_the_other_edge() -> None:
    seen = columns_seen(strip(a_photo(), 0.0, 320))
    assert 0 in seen and STRIP_COLUMNS - 1 in seen and 128 not in seen


def test_what_a_strip_saw_is_never_black() -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    square = strip(Photo.from_array(pixels, panorama=True, field_of_view=360.0), None, 320)
    top = (320 - STRIP_ROWS) // 2
    assert square[top : top + STRIP_ROWS, 32 : 32 + STRIP_COLUMNS].min() == 1


def test_a_crop_is_cut_down_to_the_ground_that_is_wanted(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    whole = np.asarray(Image.open(one.candidates[0].crop or ""))
    shown = View(crop_m=156.25 / 2, crop_pixels=48).of_candidate(one, one.candidates[0]).pixels
    assert np.array_equal(shown, whole[24:72, 24:72])


def test_a_crop_of_too_little_ground_keeps_its_scale_in_grey(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    shown = View(crop_m=156.25 * 2, crop_pixels=192).of_candidate(one, one.candidates[0]).pixels
    assert np.array_equal(shown[48:144, 48:144], np.asarray(Image.open(one.candidates[0].crop or "")))
    assert (shown[:40] == shown[0, 0]).all()


def test_the_arrow_and_the_wedge_are_drawn_where_they_are_wanted(tmp_path: Path) -> None:
    known, unknown = a_list(tmp_path, heading=90.0), a_list(tmp_path)
    plain = View().of_candidate(known, known.candidates[0]).pixels
    arrow = View(north_arrow=True).of_candidate(known, known.candidates[0]).pixels
    changed = np.argwhere((plain != arrow).any(2))
    assert changed[:, 0].max() < 100 and changed[:, 1].min() > 236  # the top right corner
    wedge = View(heading_wedge=True)
    east = np.argwhere((wedge.of_candidate(known, known.candidates[0]).pixels != plain).any(2))
    assert east[:, 1].min() >= 165 and np.ptp(east[:, 0]) < 6  # a line from the middle to the right
    assert np.array_equal(wedge.of_candidate(unknown, unknown.candidates[0]).pixels, plain)


def test_words_say_what_is_known_of_the_heading(tmp_path: Path) -> None:
    known, unknown = a_list(tmp_path, heading=92.0), a_list(tmp_path)
    assert "looks east (92 degrees" in View().photo_words(known)
    assert "not known which way" in View().photo_words(unknown)
    assert "left edge of the strip is north" in View(photo="strip").photo_words(known)
    assert "shows 100 metres" in View(crop_m=100).candidate_words(known.candidates[0])


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    with pytest.raises(TiercelError, match=r"gone\.png.*make the crops anew"):
        View().of_candidate(one, Candidate(crop=tmp_path / "gone.png"))
    with pytest.raises(TiercelError, match=r"has no picture.*--crops"):
        View().of_candidate(one, Candidate())


def test_a_collage_holds_every_picture_as_it_is() -> None:
    pictures = [Picture(np.full((20 * n, 30, 3), 40 * n, np.uint8)) for n in (1, 2, 3)]
    sheet = collage(pictures, ["Street photo", "Place 1", "Place 2"]).pixels
    for one in pictures:
        tall, wide = one.pixels.shape[:2]
        assert (sheet == one.pixels[0, 0]).all(2).sum() >= tall * wide


def test_what_was_sent_stands_on_the_page_pixel_by_pixel() -> None:
    picture = Picture(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8))
    page = picture_of(Request((Turn("user", ("Look:", picture, "Well?")),), ("Yes", "No")), "Yes -0.1")
    height, width = page.shape[0] - 40, page.shape[1] - 50
    hits = [row for row in range(height) if np.array_equal(page[row : row + 40, 16:66], picture.pixels)]
    assert len(hits) == 1 and width > 0
