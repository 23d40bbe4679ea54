"""What EXIF and XMP say about the camera: where it stood, where it looked, how wide it saw.

Tags are those of EXIF 3.0 (CIPA DC-008) and of Google's Photo Sphere XMP ("GPano"). Cameras write nonsense more often
than one would think (zero denominators, zeros for "unknown"): whatever cannot be true counts as not said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Rational
from typing import Any

from PIL import ExifTags

Tags = Mapping[int, Any]

_GPS = ExifTags.GPS
_BASE = ExifTags.Base

FILM_DIAGONAL_MM = math.hypot(36, 24)
"""Diagonal of a 35 mm film frame: what "35 mm equivalent" is reckoned by (CIPA DCG-001)."""

_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit: inch, centimetre; mm and um as some write
_SENSOR_MM = (2.0, 110.0)  # long sides of real sensors, from endoscopes to medium format


@dataclass(frozen=True)
class Known:
    """A number and where it came from.

    Attributes:
        value: Degrees.
        source: In words a user understands: "given", "EXIF GPSImgDirection (true north)", "assumed".
    """

    value: float
    source: str


@dataclass(frozen=True)
class Position:
    """Where a photo says it was taken: used to score an answer, never to find it unless asked.

    Attributes:
        latitude: Degrees, WGS84.
        longitude: Degrees, WGS84.
        source: Where this came from.
    """

    latitude: float
    longitude: float
    source: str


@dataclass(frozen=True)
class Sphere:
    """Which part of the full sphere an equirectangular panorama shows, in shares of the full width and height.

    Attributes:
        heading: Azimuth of the centre of the *full* panorama, degrees, if known.
        left: Where the image begins, 0 to 1 of the full width.
        top: Where it begins, 0 to 1 of the full height (0 the zenith).
        width: Its width, over 0 to 1 of 360 degrees.
        height: Its height, over 0 to 1 of 180 degrees.
    """

    heading: float | None
    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0


def position(gps: Tags) -> Position | None:
    """GPSLatitude and GPSLongitude.

    None without both references (a place on one of two hemispheres is no place), with a zero denominator, out of
    range, or at exactly 0, 0, which is what receivers without a fix write.
    """
    latitude = _degrees(gps.get(_GPS.GPSLatitude), _text(gps.get(_GPS.GPSLatitudeRef)), "N", "S")
    longitude = _degrees(gps.get(_GPS.GPSLongitude), _text(gps.get(_GPS.GPSLongitudeRef)), "E", "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return None if latitude == longitude == 0 else Position(latitude, longitude, "EXIF GPS")


def heading(gps: Tags) -> Known | None:
    """GPSImgDirection: the azimuth of the camera's axis, whichever way up the camera was held."""
    direction = _number(gps.get(_GPS.GPSImgDirection))
    if direction is None or not -360 <= direction <= 360:
        return None
    reference = {"T": "true north", "M": "magnetic north, declination not corrected"}.get(
        _text(gps.get(_GPS.GPSImgDirectionRef)), "reference not stated, taken as true north"
    )
    return Known(direction % 360, f"EXIF GPSImgDirection ({reference})")


def field_of_view(camera: Tags, size: tuple[int, int]) -> Known | None:
    """The horizontal field of view of the upright image.

    From FocalLengthIn35mmFilm, by the diagonal: f_px = f_35 * diagonal_px / 43.27 mm, and the view is
    2 * atan(width_px / (2 * f_px)). That tag is a whole number of millimetres; where FocalLength and
    FocalPlaneXResolution agree with it to within its rounding they are used, being finer, and they stand in where it
    is missing. No table of sensors by camera name is kept.

    Args:
        camera: EXIF tags about the exposure and the lens.
        size: (width, height) of the upright image.

    Returns:
        Degrees, or None where the photo does not say.
    """
    film = _number(camera.get(_BASE.FocalLengthIn35mmFilm))
    film = film if film is not None and 1 <= film <= 5000 else None
    sensor = _film_equivalent(camera, size)
    if sensor is not None and (film is None or abs(sensor - film) <= 0.5):
        return Known(_view(sensor, size), "EXIF FocalLength and FocalPlaneXResolution")
    if film is not None:
        return Known(_view(film, size), f"EXIF 35 mm focal length {film:g} mm")
    return None


def sphere(xmp: bytes) -> Sphere | None:
    """The GPano properties of an XMP packet, None where they do not declare an equirectangular panorama."""
    if _gpano(xmp, "ProjectionType").lower() != "equirectangular":
        return None
    pose = _number(_gpano(xmp, "PoseHeadingDegrees"))
    pose = pose % 360 if pose is not None else None
    names = ("FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels",
             "CroppedAreaImageHeightPixels", "CroppedAreaLeftPixels", "CroppedAreaTopPixels")  # fmt: skip
    full_width, full_height, width, height, left, top = (_number(_gpano(xmp, name)) for name in names)
    if not full_width or not full_height or not width or not height:
        return Sphere(pose)
    part = Sphere(pose, (left or 0) / full_width, (top or 0) / full_height, width / full_width, height / full_height)
    # A slack of half a percent: stitchers round each of the six numbers.
    possible = min(part.left, part.top) >= 0 and part.left + part.width <= 1.005 and part.top + part.height <= 1.005
    return part if possible and min(part.width, part.height) > 0 else Sphere(pose)


def _view(film: float, size: tuple[int, int]) -> float:
    """Horizontal field of view, degrees, at a 35 mm equivalent focal length."""
    return math.degrees(2 * math.atan(size[0] / math.hypot(*size) * FILM_DIAGONAL_MM / (2 * film)))


def _film_equivalent(camera: Tags, size: tuple[int, int]) -> float | None:
    """The 35 mm equivalent focal length, millimetres, by focal length and sensor resolution.

    Long sides are compared with long sides, so that it holds for turned and for shrunk images.
    """
    focal = _number(camera.get(_BASE.FocalLength))
    resolution = _number(camera.get(_BASE.FocalPlaneXResolution))
    unit = _UNIT_MM.get(int(_number(camera.get(_BASE.FocalPlaneResolutionUnit)) or 2))
    if not focal or not resolution or focal < 0 or resolution < 0 or unit is None:
        return None
    shot = [_number(camera.get(tag)) for tag in (_BASE.ExifImageWidth, _BASE.ExifImageHeight)]
    sensor = max(side or 0 for side in (*shot, *(() if any(shot) else size))) / resolution * unit
    if not _SENSOR_MM[0] <= sensor <= _SENSOR_MM[1]:
        return None
    zoom = _number(camera.get(_BASE.DigitalZoomRatio)) or 1
    return focal * max(zoom, 1) / (sensor * math.hypot(*size) / max(size)) * FILM_DIAGONAL_MM


def _degrees(value: object, reference: str, positive: str, negative: str) -> float | None:
    """Degrees, minutes, seconds and a hemisphere as one signed number."""
    if reference not in (positive, negative) or not isinstance(value, tuple) or not 1 <= len(value) <= 3:
        return None
    parts = [_number(part) for part in value]
    degrees = 0.0
    for part, scale in zip(parts, (1, 60, 3600), strict=False):
        if part is None or part < 0:
            return None
        degrees += part / scale
    return -degrees if reference == negative else degrees


def _number(value: object) -> float | None:
    """A finite float, or None: EXIF writes 0/0 for "unknown"."""
    if not isinstance(value, str | int | float | Rational):
        return None
    try:
        number = float(value)
    except (ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str:
    """An EXIF letter, however it was stored."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0").upper()


def _gpano(xmp: bytes, name: str) -> str:
    """A GPano property, written as an attribute or as an element; empty where absent.

    Two patterns do for the flat properties of this namespace, and no XML parser has to be trusted with a stranger's
    file.
    """
    tag = b"GPano:" + name.encode()
    match = re.search(tag + rb"\s*=\s*[\"']([^\"'<]{0,64})[\"']", xmp) or re.search(tag + rb"\s*>\s*([^<]{0,64})<", xmp)
    return match.group(1).decode("ascii", "replace").strip() if match else ""
