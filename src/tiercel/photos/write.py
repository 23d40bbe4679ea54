"""Writing photos whose metadata says where they were taken, and files that are never half there."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from tiercel.errors import TiercelError
from tiercel.photos.metadata import FILM_DIAGONAL_MM

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" '
    'GPano:ProjectionType="equirectangular" GPano:UsePanoramaViewer="True" '
    'GPano:FullPanoWidthPixels="{width}" GPano:FullPanoHeightPixels="{height}" '
    'GPano:CroppedAreaImageWidthPixels="{width}" GPano:CroppedAreaImageHeightPixels="{height}" '
    'GPano:CroppedAreaLeftPixels="0" GPano:CroppedAreaTopPixels="0"{pose}/></rdf:RDF></x:xmpmeta>'
)


def write_photo(
    path: str | os.PathLike[str],
    pixels: NDArray[np.uint8],
    *,
    latitude: float | None = None,
    longitude: float | None = None,
    heading: float | None = None,
    field_of_view: float | None = None,
    panorama: bool = False,
    quality: int = 92,
) -> None:
    """Writes a JPEG with the metadata that `Photo.open` reads; the file appears whole or not at all.

    Positions keep a millionth of an arc second and headings a millionth of a degree. The field of view of a photo is
    written twice: as the whole millimetres of FocalLengthIn35mmFilm, which most software reads, and exactly, as
    FocalLength with FocalPlaneXResolution on a sensor of 36 mm.

    Args:
        path: Ends in .jpg or .jpeg; its folder exists.
        pixels: (height, width, 3) uint8 RGB, upright; 2:1 for a panorama.
        latitude: Degrees, WGS84; with `longitude`, or neither.
        longitude: Degrees, WGS84.
        heading: Azimuth of the centre column, degrees clockwise from true north.
        field_of_view: Horizontal degrees; of no matter for a panorama, which sees 360.
        panorama: Whether the pixels are a full equirectangular panorama.
        quality: JPEG quality.

    Raises:
        TiercelError: The file cannot be written, or its name says that it is no JPEG.
    """
    path = Path(path)
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise TiercelError(f"{path} would be written as a JPEG: end its name in .jpg.")
    exif = Image.Exif()
    _write_gps(exif, latitude, longitude, heading)
    if field_of_view is not None and not panorama:
        _write_lens(exif, field_of_view, pixels.shape[1], pixels.shape[0])
    options = {"exif": exif, "quality": quality, "subsampling": 0 if quality >= 90 else 2}
    if panorama:
        options["xmp"] = _gpano(pixels, heading)
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, "JPEG", **options)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the name of a temporary file beside `path`, which takes its place once the block has ended well.

    Raises:
        TiercelError: Writing failed, as on a full disk; neither file is left, and an older `path` stays as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise TiercelError(f"{path} cannot be written ({reason}): free some space or choose another folder.") from error
    finally:
        part.unlink(missing_ok=True)


def _write_gps(exif: Image.Exif, latitude: float | None, longitude: float | None, heading: float | None) -> None:
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if latitude is not None and longitude is not None:
        gps[ExifTags.GPS.GPSLatitudeRef] = "S" if latitude < 0 else "N"
        gps[ExifTags.GPS.GPSLatitude] = _sexagesimal(latitude)
        gps[ExifTags.GPS.GPSLongitudeRef] = "W" if longitude < 0 else "E"
        gps[ExifTags.GPS.GPSLongitude] = _sexagesimal(longitude)
    if heading is not None:
        gps[ExifTags.GPS.GPSImgDirectionRef] = "T"
        gps[ExifTags.GPS.GPSImgDirection] = _rational(heading % 360)


def _write_lens(exif: Image.Exif, field_of_view: float, width: int, height: int) -> None:
    """A full-frame camera whose sensor is 36 mm along the image's long side."""
    focal_pixels = width / 2 / math.tan(math.radians(field_of_view / 2))
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    film = round(focal_pixels / math.hypot(width, height) * FILM_DIAGONAL_MM)
    if film >= 1:  # zero would mean "unknown"
        tags[ExifTags.Base.FocalLengthIn35mmFilm] = film
    tags[ExifTags.Base.FocalLength] = _rational(focal_pixels * 36 / max(width, height))
    tags[ExifTags.Base.FocalPlaneXResolution] = _rational(max(width, height) / 36)
    tags[ExifTags.Base.FocalPlaneYResolution] = _rational(max(width, height) / 36)
    tags[ExifTags.Base.FocalPlaneResolutionUnit] = 4  # millimetres
    tags[ExifTags.Base.ExifImageWidth] = width
    tags[ExifTags.Base.ExifImageHeight] = height


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Degrees, minutes and seconds, the seconds to a millionth."""
    millionths = round(abs(degrees) * 3600 * 1_000_000)
    minutes, rest = divmod(millionths, 60 * 1_000_000)
    return IFDRational(minutes // 60), IFDRational(minutes % 60), IFDRational(rest, 1_000_000)


def _rational(value: float) -> IFDRational:
    """The value to a millionth."""
    fraction = Fraction(round(value * 1_000_000), 1_000_000)
    return IFDRational(fraction.numerator, fraction.denominator)


def _gpano(pixels: NDArray[np.uint8], heading: float | None) -> bytes:
    pose = "" if heading is None else f' GPano:PoseHeadingDegrees="{heading % 360:.6f}"'
    return _XMP.format(width=pixels.shape[1], height=pixels.shape[0], pose=pose).encode()
