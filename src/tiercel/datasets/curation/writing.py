"""Putting photos that stay into the benchmark: as they are where they can be, straightened or shrunk where not."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.datasets.curation.distortion import Lens, straightened, view_without_bending
from tiercel.errors import TiercelError
from tiercel.photos import Photo, write_photo
from tiercel.photos.write import replacing

QUALITY = 95
"""Of JPEGs that have to be written anew."""

_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Job:
    """A photo to put into the folder.

    Attributes:
        source: Where it is.
        target: Where to, a JPEG.
        long_side: Pixels that it may be long.
        lens: What bent its lines, if known.
        latitude: Degrees, WGS84.
        longitude: Degrees.
        heading: Degrees, None if unknown.
        field_of_view: Horizontal degrees, None to take what the photo says.
        panorama: Whether it is equirectangular.
    """

    source: Path
    target: Path
    long_side: int
    lens: Lens | None
    latitude: float
    longitude: float
    heading: float | None
    field_of_view: float | None
    panorama: bool


@dataclass(frozen=True)
class Written:
    """What was put into the folder.

    Attributes:
        how: "copied", "shrunk" or "straightened"; empty if it was not.
        field_of_view: Horizontal, degrees.
        error: Why it was not written, in one sentence; empty if it was.
    """

    how: str = ""
    field_of_view: float = 0.0
    error: str = ""


def write_one(job: Job) -> Written:
    """Puts one photo into the folder; a full disk is raised, a photo that cannot be is reported."""
    try:
        photo = Photo.open(job.source, heading=job.heading, field_of_view=job.field_of_view, panorama=job.panorama)
        pixels, view, bent = _flat(photo, job.lens)
    except TiercelError as error:
        return Written(error=f"{job.source}: {error}" if str(job.source) not in str(error) else str(error))
    if not bent and _fits(job, photo):
        with replacing(job.target) as part:
            shutil.copyfile(job.source, part)
        return Written("copied", view)
    write_photo(
        job.target, _shrunk(pixels, job.long_side), latitude=job.latitude, longitude=job.longitude,
        heading=photo.heading.value if photo.heading else None, field_of_view=view if view < 175 else None,
        panorama=photo.panorama and view == 360, quality=QUALITY,
    )  # fmt: skip
    return Written("straightened" if bent else "shrunk", view)


def _flat(photo: Photo, lens: Lens | None) -> tuple[NDArray[np.uint8], float, bool]:
    """Pixels without distortion, their horizontal field of view, and whether they were changed. Never a panorama's."""
    if photo.panorama or lens is None:
        return photo.pixels, photo.field_of_view.value, False
    if not lens.bends:
        height, width = photo.pixels.shape[:2]
        return photo.pixels, view_without_bending(lens, width, height), False
    pixels, view = straightened(photo.pixels, lens)
    return pixels, view, True


def _fits(job: Job, photo: Photo) -> bool:
    """Whether the file's own bytes will do: an upright JPEG of no more than the size, and no padded panorama."""
    if max(photo.original_size) > job.long_side or photo.seen_rows != (0, len(photo.pixels)):
        return False
    try:
        with Image.open(job.source) as image:
            return image.format == "JPEG" and image.mode == "RGB" and image.getexif().get(_ORIENTATION, 1) in (0, 1)
    except Exception:  # broken metadata: written anew, without it
        return False


def _shrunk(pixels: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    shrink = long_side / max(width, height)
    if shrink >= 1:
        return pixels
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
