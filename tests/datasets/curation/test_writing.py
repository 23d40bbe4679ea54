"""Photos come into the benchmark as they are, shrunk, or straightened; a panorama is never bent."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.curation.town import place, street, take
from tiercel.datasets.curation.distortion import lens_of_parameters
from tiercel.datasets.curation.writing import Job, write_one
from tiercel.photos import Photo, write_photo

BARREL = lens_of_parameters("perspective", [0.7, -0.2, 0.02])


def job(source: Path, **more: object) -> Job:
    latitude, longitude = place(100, 100)
    plain = Job(source, source.parent / "out.jpg", 2048, None, latitude, longitude, 30.0, None, False)
    return replace(plain, **more)


def test_a_good_jpeg_is_copied_byte_for_byte(tmp_path: Path) -> None:
    source = take(tmp_path / "a.jpg", street(1), 100, 100, 30.0)
    written = write_one(job(source))
    assert (written.how, written.error) == ("copied", "")
    assert written.field_of_view == pytest.approx(70, abs=0.01)
    assert (tmp_path / "out.jpg").read_bytes() == source.read_bytes()


def test_a_long_photo_is_shrunk_and_keeps_what_it_knows(tmp_path: Path) -> None:
    source = take(tmp_path / "a.jpg", street(1, (480, 320)), 100, 100, 30.0)
    assert write_one(job(source, long_side=240)).how == "shrunk"
    photo = Photo.open(tmp_path / "out.jpg")
    assert photo.pixels.shape == (160, 240, 3) and photo.position is not None and photo.heading is not None
    assert (photo.position.latitude, photo.position.longitude) == pytest.approx(place(100, 100), abs=1e-8)
    assert (photo.heading.value, photo.field_of_view.value) == pytest.approx((30, 70), abs=0.01)


@pytest.mark.parametrize("kind", ["png", "turned", "grey"])
def test_whatever_is_no_upright_colour_jpeg_is_written_anew(tmp_path: Path, kind: str) -> None:
    image = Image.fromarray(street(1))
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6
    source = tmp_path / ("a.png" if kind == "png" else "a.jpg")
    (image.convert("L") if kind == "grey" else image).save(source, exif=exif)
    assert write_one(job(source)).how == "shrunk"
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.size == ((160, 240) if kind == "turned" else (240, 160))
        assert (out.format, out.mode, out.getexif().get(0x0112, 1)) == ("JPEG", "RGB", 1)


def test_a_bent_photo_is_straightened_and_its_view_is_told(tmp_path: Path) -> None:
    source = take(tmp_path / "a.jpg", street(1), 100, 100, 30.0)
    written = write_one(job(source, lens=BARREL))
    assert written.how == "straightened" and 60 < written.field_of_view < 110
    photo = Photo.open(tmp_path / "out.jpg")
    assert photo.pixels.shape == (160, 240, 3)
    assert photo.field_of_view.value == pytest.approx(written.field_of_view, abs=0.01)
    assert np.abs(photo.pixels.astype(int) - street(1)).mean() > 3


def test_a_calibration_without_distortion_tells_the_view_and_leaves_the_file(tmp_path: Path) -> None:
    source = take(tmp_path / "a.jpg", street(1), 100, 100)
    written = write_one(job(source, lens=lens_of_parameters("perspective", [0.5, 0.0, 0.0])))
    assert written.how == "copied" and written.field_of_view == pytest.approx(math.degrees(2 * math.atan(1.0)))


def test_a_panorama_is_never_touched(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    write_photo(source, street(1, (256, 128)), panorama=True)
    written = write_one(job(source, lens=BARREL, panorama=True))
    assert (written.how, written.field_of_view) == ("copied", 360.0)
    assert (tmp_path / "out.jpg").read_bytes() == source.read_bytes()


def test_a_cropped_panorama_is_padded_to_the_whole_sphere(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    Image.fromarray(street(1, (400, 100))).save(source, quality=95)
    assert write_one(job(source, panorama=True)).how == "shrunk"
    photo = Photo.open(tmp_path / "out.jpg")
    assert photo.panorama and photo.pixels.shape == (200, 400, 3) and (photo.pixels[:40] == 127).mean() > 0.95


def test_an_impossible_calibration_is_reported(tmp_path: Path) -> None:
    source = take(tmp_path / "a.jpg", street(1), 100, 100)
    written = write_one(job(source, lens=replace(BARREL, centre=(2.0, 0.0))))
    assert written.how == "" and "a.jpg: The calibration moves the middle" in written.error
    assert not (tmp_path / "out.jpg").exists()
