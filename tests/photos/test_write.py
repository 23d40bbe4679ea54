"""Photos written here are read back with what they were written with, and never half written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.errors import TiercelError
from tiercel.photos import Photo, write_photo
from tiercel.photos.write import replacing

PIXELS = np.full((48, 64, 3), 90, np.uint8)


@given(
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    heading=st.floats(-720, 720),
    view=st.floats(5, 150),
    shape=st.sampled_from([(48, 64), (64, 48), (36, 64), (50, 50)]),
)
@settings(max_examples=40, deadline=None)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    latitude: float,
    longitude: float,
    heading: float,
    view: float,
    shape: tuple[int, int],
) -> None:
    path = tmp_path_factory.mktemp("round") / "a.jpg"
    pixels = np.zeros((*shape, 3), np.uint8)
    write_photo(path, pixels, latitude=latitude, longitude=longitude, heading=heading, field_of_view=view)
    photo = Photo.open(path)
    if photo.position is None:
        assert max(abs(latitude), abs(longitude)) < 1e-9  # 0, 0 is what a receiver without a fix writes
    else:
        assert photo.position.latitude == pytest.approx(latitude, abs=1e-9)
        assert photo.position.longitude == pytest.approx(longitude, abs=1e-9)
    assert photo.heading is not None
    assert abs((photo.heading.value - heading + 180) % 360 - 180) < 1e-5
    assert photo.field_of_view.value == pytest.approx(view, abs=1e-3)
    assert not photo.panorama


def test_panorama_round_trip(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    path = tmp_path / "pano.jpg"
    write_photo(path, pixels, latitude=-1.25, longitude=-179.5, heading=123.456, panorama=True)
    photo = Photo.open(path)
    assert photo.panorama and photo.panorama_source == "XMP GPano" and photo.field_of_view.value == 360
    assert photo.heading is not None and photo.heading.value == pytest.approx(123.456)
    assert photo.position is not None and photo.position.longitude == pytest.approx(-179.5)
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 8


def test_what_is_not_given_is_not_written(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", PIXELS)
    photo = Photo.open(tmp_path / "a.jpg")
    assert photo.heading is None and photo.position is None and photo.field_of_view.source == "assumed"


def test_other_software_reads_the_film_equivalent(tmp_path: Path) -> None:
    from PIL import Image

    write_photo(tmp_path / "a.jpg", np.zeros((40, 60, 3), np.uint8), field_of_view=90)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif().get_ifd(0x8769)[0xA405] == 18


def test_only_jpegs_and_only_into_folders_that_exist(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"end its name in \.jpg"):
        write_photo(tmp_path / "a.png", PIXELS)
    with pytest.raises(TiercelError, match="cannot be written"):
        write_photo(tmp_path / "none" / "a.jpg", PIXELS)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with (
        pytest.raises(TiercelError, match=r"a\.txt cannot be written \(No space left.*free some space"),
        replacing(path) as part,
    ):
        part.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as part:
        part.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
