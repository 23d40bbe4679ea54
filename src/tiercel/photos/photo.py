"""A photo: upright pixels, and what is known of the camera, each with its source."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.errors import TiercelError
from tiercel.photos import metadata
from tiercel.photos.decode import BACKDROP, LONG_SIDE, decode
from tiercel.photos.metadata import Known, Position, Sphere

ASSUMED_FIELD_OF_VIEW = 70.0
"""Degrees across the long side of a photo that does not say: a phone's main camera."""

_WIDE = 120.0
"""A 2:1 image whose lens sees less than this is a photo of an unusual shape, not a panorama."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A street photo.

    Attributes:
        name: The file's name, or what the maker of the pixels called it.
        pixels: (height, width, 3) uint8 RGB, upright, at most 4096 pixels long. A panorama always spans 180 degrees
            of height; what its camera left out is mid grey.
        seen_rows: First row that the camera saw and the first below that it did not, (0, height) but for panoramas.
        panorama: Whether it is equirectangular.
        panorama_source: How that is known.
        field_of_view: Horizontal, degrees; 360 for a full panorama; 70 across the long side, "assumed", if unknown.
        heading: Azimuth of the centre column, degrees clockwise from north; None if unknown.
        position: Where the file says it was taken.
        path: The file, None for a photo that never was one.
        original_size: (width, height) of the upright image in the file.
    """

    name: str
    pixels: NDArray[np.uint8]
    seen_rows: tuple[int, int]
    panorama: bool
    panorama_source: str
    field_of_view: Known
    heading: Known | None
    position: Position | None
    path: Path | None
    original_size: tuple[int, int]

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        heading: float | None = None,
        field_of_view: float | None = None,
        panorama: bool | None = None,
        pixels: bool = True,
    ) -> Photo:
        """Reads a photo and what its metadata says.

        Args:
            path: JPEG, PNG, WebP or TIFF of any depth and colour model.
            heading: Azimuth of the centre column, degrees; overrides the file.
            field_of_view: Horizontal degrees, of the upright image; overrides the file.
            panorama: Whether the image is equirectangular; overrides the file and the shape.
            pixels: Whether they are wanted; without, the file's header alone is read and all pixels are grey.

        Raises:
            TiercelError: The file cannot be read as an image, or an override cannot be true of it.
        """
        path = Path(path)
        image = decode(path, pixels=pixels)
        size = image.original_size
        _check_overrides(heading, field_of_view)
        sphere = metadata.sphere(image.xmp) if panorama is not False else None
        seen = metadata.field_of_view(image.camera, size)
        is_panorama, source = _panorama(panorama, sphere, size, seen)
        common = cls(
            name=path.name,
            pixels=image.pixels,
            seen_rows=(0, len(image.pixels)),
            panorama=is_panorama,
            panorama_source=source,
            field_of_view=_given(field_of_view) or seen or _assumed(size),
            heading=_direction(heading) or metadata.heading(image.gps),
            position=metadata.position(image.gps),
            path=path,
            original_size=size,
        )
        if not is_panorama:
            return _checked_view(common)
        if sphere is None or field_of_view is not None:
            sphere = _sphere_of_shape(path, size, field_of_view, sphere.heading if sphere else None)
        return _on_sphere(common, sphere, heading, source if field_of_view is None else "given")

    @classmethod
    def from_array(
        cls,
        pixels: NDArray[np.uint8],
        *,
        panorama: bool,
        field_of_view: float,
        heading: float | None = None,
        name: str = "",
    ) -> Photo:
        """A photo from pixels, such as a simulated one.

        Args:
            pixels: (height, width, 3) uint8 RGB, upright. Kept as they are.
            panorama: Whether they are equirectangular.
            field_of_view: Horizontal degrees.
            heading: Azimuth of the centre column, degrees.
            name: What to call it.

        Raises:
            TiercelError: The pixels or the field of view are out of range.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
            raise TiercelError(f"A photo is (height, width, 3) uint8, not {pixels.shape} {pixels.dtype}.")
        _check_overrides(heading, field_of_view)
        photo = cls(
            name=name,
            pixels=pixels,
            seen_rows=(0, len(pixels)),
            panorama=panorama,
            panorama_source="given",
            field_of_view=Known(float(field_of_view), "given"),
            heading=_direction(heading),
            position=None,
            path=None,
            original_size=(pixels.shape[1], pixels.shape[0]),
        )
        return photo if panorama else _checked_view(photo)


def _given(value: float | None) -> Known | None:
    return None if value is None else Known(float(value), "given")


def _direction(heading: float | None) -> Known | None:
    return None if heading is None else _given(heading % 360)


def _assumed(size: tuple[int, int]) -> Known:
    """The assumed view across the long side, carried over to the width."""
    half = math.tan(math.radians(ASSUMED_FIELD_OF_VIEW / 2)) * size[0] / max(size)
    return Known(math.degrees(2 * math.atan(half)), "assumed")


def _check_overrides(heading: float | None, field_of_view: float | None) -> None:
    if heading is not None and not math.isfinite(heading):
        raise TiercelError(f"A heading of {heading} is no direction: give degrees clockwise from north.")
    if field_of_view is not None and not 1 <= field_of_view <= 360:
        raise TiercelError(f"A field of view of {field_of_view:g} degrees cannot be: give 1 to 360.")


def _checked_view(photo: Photo) -> Photo:
    if photo.field_of_view.value >= 175:
        raise TiercelError(
            f"{photo.name or 'The photo'} cannot see {photo.field_of_view.value:g} degrees through a flat lens: "
            "give the true field of view, or say that it is a panorama."
        )
    return photo


def _panorama(given: bool | None, sphere: Sphere | None, size: tuple[int, int], seen: Known | None) -> tuple[bool, str]:
    """Whether the image is a panorama, and how that is known."""
    if given is not None:
        return given, "given"
    if sphere is not None:
        return True, "XMP GPano"
    if size[0] == 2 * size[1]:
        narrow = seen is not None and seen.value < _WIDE
        return (False, seen.source) if narrow and seen else (True, "2:1 shape")
    return False, "shape"


def _sphere_of_shape(path: Path, size: tuple[int, int], field_of_view: float | None, heading: float | None) -> Sphere:
    """The part of the sphere of a panorama that does not say: around the horizon, with square pixels."""
    span = (field_of_view or 360.0) / 360
    tall = size[1] / size[0] * span * 2
    if tall > 1.02:
        raise TiercelError(
            f"{path} is {size[0]} x {size[1]} pixels and too tall for a panorama of {span * 360:g} degrees: "
            "give its true field of view, or say that it is no panorama."
        )
    tall = min(tall, 1.0)
    return Sphere(heading, (1 - span) / 2, (1 - tall) / 2, span, tall)


def _on_sphere(photo: Photo, sphere: Sphere, heading: float | None, source: str) -> Photo:
    """A panorama padded to 180 degrees of height, with the view and the heading of the part it shows."""
    if heading is None and sphere.heading is not None:
        # Where XMP and EXIF both state a heading, the panorama's own says which column it means.
        offset = (sphere.left + sphere.width / 2 - 0.5) * 360
        known = Known((sphere.heading + offset) % 360, "XMP GPano PoseHeadingDegrees")
        photo = replace(photo, heading=known)
    view = 360.0 if sphere.width > 0.998 else 360 * sphere.width
    padded, seen_rows = _padded(photo.pixels, sphere)
    return replace(photo, pixels=padded, seen_rows=seen_rows, field_of_view=Known(view, source))


def _padded(pixels: NDArray[np.uint8], sphere: Sphere) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Grey above and below a panorama so that its rows span 180 degrees, and the rows that are not such grey."""
    height, width = pixels.shape[:2]
    full = round(height / sphere.height)
    if full - height < 2:
        return pixels, (0, height)
    shrink = min(1.0, LONG_SIDE / full)
    if shrink < 1:  # a narrow, tall part of a sphere
        width, height, full = max(1, round(width * shrink)), max(1, round(height * shrink)), LONG_SIDE
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    top = min(round(sphere.top * full), full - height)
    canvas = np.full((full, width, 3), BACKDROP, np.uint8)
    canvas[top : top + height] = pixels
    return canvas, (top, top + height)
