"""What the camera knew: position, heading and field of view from EXIF, panoramas from XMP."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from tiercel.photos import Photo

GPS, LENS = 0x8825, 0x8769
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, DIRECTION_REF, DIRECTION = 1, 2, 3, 4, 16, 17
FOCAL, FILM, X_RESOLUTION, UNIT, WIDTH, HEIGHT, ZOOM = 0x920A, 0xA405, 0xA20E, 0xA210, 0xA002, 0xA003, 0xA404


def _photo(
    folder: Path,
    gps: dict[int, Any] | None = None,
    lens: dict[int, Any] | None = None,
    size: tuple[int, int] = (80, 60),
    orientation: int = 1,
    **overrides: Any,
) -> Photo:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(GPS).update(gps or {})
    exif.get_ifd(LENS).update(lens or {})
    path = folder / "photo.jpg"
    Image.new("RGB", size).save(path, exif=exif)
    return Photo.open(path, **overrides)


def _place(latitude: tuple[Any, ...] = (52, 30, 0), longitude: tuple[Any, ...] = (13, 24, 36)) -> dict[int, Any]:
    return {LATITUDE_REF: "N", LATITUDE: latitude, LONGITUDE_REF: "E", LONGITUDE: longitude}


def test_position_in_degrees_minutes_and_seconds(tmp_path: Path) -> None:
    position = _photo(tmp_path, _place()).position
    assert position is not None and position.source == "EXIF GPS"
    assert (position.latitude, position.longitude) == pytest.approx((52.5, 13.41))


def test_position_south_and_west(tmp_path: Path) -> None:
    position = _photo(tmp_path, _place() | {LATITUDE_REF: "S", LONGITUDE_REF: "W"}).position
    assert position is not None and (position.latitude, position.longitude) == pytest.approx((-52.5, -13.41))


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {LATITUDE: (52, 30, 0), LONGITUDE: (13, 24, 36)},  # no hemisphere
        {key: value for key, value in _place().items() if key != LONGITUDE_REF},
        _place((IFDRational(0, 0), IFDRational(0, 0), IFDRational(0, 0))),
        _place((52, IFDRational(30, 0), 0)),
        _place((0, 0, 0), (0, 0, 0)),  # a receiver without a fix
        _place((91, 0, 0)),
        _place((52, 30, 0), (200, 0, 0)),
    ],
)
def test_positions_that_are_none(tmp_path: Path, gps: dict[int, Any]) -> None:
    assert _photo(tmp_path, gps).position is None


def test_heading_and_its_reference(tmp_path: Path) -> None:
    true = _photo(tmp_path, {DIRECTION_REF: "T", DIRECTION: IFDRational(12345, 100)}).heading
    assert true is not None and true.value == pytest.approx(123.45) and "true north" in true.source
    magnetic = _photo(tmp_path, {DIRECTION_REF: "M", DIRECTION: 10}).heading
    assert magnetic is not None and magnetic.value == 10 and "magnetic" in magnetic.source
    unstated = _photo(tmp_path, {DIRECTION: 360}).heading
    assert unstated is not None and unstated.value == 0 and "not stated" in unstated.source
    assert _photo(tmp_path, {DIRECTION_REF: "T", DIRECTION: IFDRational(0, 0)}).heading is None


def test_heading_is_the_cameras_axis_however_it_is_held(tmp_path: Path) -> None:
    upright = _photo(tmp_path, {DIRECTION_REF: "T", DIRECTION: 67}, orientation=6)
    assert upright.pixels.shape == (80, 60, 3)
    assert upright.heading is not None and upright.heading.value == 67


def test_film_equivalent_is_by_the_diagonal(tmp_path: Path) -> None:
    # A full 3:2 frame is 36 mm wide, so 18 mm sees 90 degrees across it.
    assert _photo(tmp_path, lens={FILM: 18}, size=(90, 60)).field_of_view.value == pytest.approx(90)
    # A 4:3 phone at 26 mm: the width is 0.8 of the diagonal.
    landscape = _photo(tmp_path, lens={FILM: 26}).field_of_view
    assert landscape.value == pytest.approx(2 * math.degrees(math.atan(0.8 * math.hypot(36, 24) / 52)))
    assert landscape.source == "EXIF 35 mm focal length 26 mm"


def test_portraits_see_across_the_short_side(tmp_path: Path) -> None:
    expected = 2 * math.degrees(math.atan(0.6 * math.hypot(36, 24) / 52))
    turned = _photo(tmp_path, lens={FILM: 26}, orientation=6).field_of_view.value
    stored = _photo(tmp_path, lens={FILM: 26}, size=(60, 80)).field_of_view.value
    assert turned == pytest.approx(expected) and stored == pytest.approx(expected)


@pytest.mark.parametrize(("unit", "per_unit"), [(2, 25.4), (3, 10.0), (None, 25.4)])
def test_focal_length_and_sensor(tmp_path: Path, unit: int | None, per_unit: float) -> None:
    # 4000 pixels over 8 mm: 500 a millimetre. 4 mm over 8 mm wide sees 90 degrees.
    resolution = IFDRational(round(500 * per_unit * 100), 100)
    lens = {FOCAL: 4, X_RESOLUTION: resolution, WIDTH: 4000, HEIGHT: 3000} | ({UNIT: unit} if unit else {})
    wide = _photo(tmp_path, lens=lens).field_of_view
    assert wide.value == pytest.approx(90) and "FocalPlaneXResolution" in wide.source
    tall = _photo(tmp_path, lens=lens, orientation=8).field_of_view.value
    assert tall == pytest.approx(2 * math.degrees(math.atan(0.75)))
    zoomed = _photo(tmp_path, lens=lens | {ZOOM: 2}).field_of_view.value
    assert zoomed == pytest.approx(2 * math.degrees(math.atan(0.5)))


def test_a_sensor_that_contradicts_the_film_equivalent_is_not_believed(tmp_path: Path) -> None:
    lens = {FILM: 26, FOCAL: 4, X_RESOLUTION: 500, UNIT: 4, WIDTH: 4000}
    assert _photo(tmp_path, lens=lens).field_of_view.source == "EXIF 35 mm focal length 26 mm"
    finer = {FILM: 17, FOCAL: 4, X_RESOLUTION: 500, UNIT: 4, WIDTH: 4000}  # 17.3 mm before rounding
    assert _photo(tmp_path, lens=finer).field_of_view.value == pytest.approx(90)


@pytest.mark.parametrize(
    "lens",
    [
        {},
        {FILM: 0},
        {FOCAL: IFDRational(0, 0), X_RESOLUTION: 500, UNIT: 4},
        {FOCAL: 4, X_RESOLUTION: IFDRational(1, 0)},
        {FOCAL: 4},  # a focal length alone says nothing without the sensor
        {FOCAL: 4, X_RESOLUTION: 72, UNIT: 2, WIDTH: 4000},  # a screen's resolution: a sensor of 1.4 m
    ],
)
def test_unknown_lenses_are_assumed(tmp_path: Path, lens: dict[int, Any]) -> None:
    view = _photo(tmp_path, lens=lens).field_of_view
    assert (view.value, view.source) == (pytest.approx(70), "assumed")
    tall = _photo(tmp_path, lens=lens, size=(60, 80)).field_of_view
    assert tall.value == pytest.approx(2 * math.degrees(math.atan(math.tan(math.radians(35)) * 0.75)))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_other_formats_carry_exif_too(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(GPS).update(_place((IFDRational(52), IFDRational(30), IFDRational(0))) | {DIRECTION: IFDRational(45)})
    exif.get_ifd(GPS)[LONGITUDE] = (IFDRational(13), IFDRational(24), IFDRational(36))
    exif.get_ifd(LENS)[FILM] = 18
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (60, 90)).save(path, exif=exif.tobytes())
    photo = Photo.open(path)
    assert photo.pixels.shape == (60, 90, 3) and photo.field_of_view.value == pytest.approx(90)
    assert photo.heading is not None and photo.heading.value == 45
    assert photo.position is not None and photo.position.longitude == pytest.approx(13.41)


REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real photos is not here")
def test_real_cameras() -> None:
    campus = Photo.open(REAL / "photos" / "campus_heading.jpg")
    assert campus.original_size == (3024, 4032)
    assert campus.heading is not None and campus.heading.value == pytest.approx(67.85, abs=0.01)
    assert campus.field_of_view.value == pytest.approx(53.06, abs=0.01)
    assert campus.position is not None
    assert (campus.position.latitude, campus.position.longitude) == pytest.approx((39.9523, -75.19155))
    lund = Photo.open(REAL / "photos" / "lund_01.jpg")
    assert lund.field_of_view.value == pytest.approx(52.62, abs=0.01)
    assert lund.position is not None and lund.position.latitude == pytest.approx(55.698167, abs=1e-6)
    for path in sorted((REAL / "dc").glob("*_photo.jpg")):
        photo = Photo.open(path)
        assert photo.pixels.shape == (405, 720, 3) and not photo.panorama
        assert photo.field_of_view.source == "assumed" and photo.heading is None and photo.position is None
        assert np.ptp(photo.pixels) > 100
