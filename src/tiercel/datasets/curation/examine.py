"""Looking at every photo once: what it says, what it shows, or why it cannot be read.

What was found is kept in a file, a line a photo, so that a run that was stopped, or one with other thresholds, does not
look again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD, Base

from tiercel.datasets.curation.duplicates import perceptual_hash
from tiercel.datasets.curation.parallel import each
from tiercel.datasets.curation.quality import Measures, measure
from tiercel.datasets.curation.sources import Listed, moment
from tiercel.datasets.journal import appending, read_journal
from tiercel.errors import TiercelError
from tiercel.photos import Photo

_FORMAT = 1  # of the lines; another number makes older ones unread

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Examined:
    """What was found in a photo; the table's word counts before the photo's own.

    Attributes:
        error: Why it cannot be read, in one sentence; empty if it can.
        latitude: Degrees, WGS84, None if unknown.
        longitude: Likewise.
        heading: Azimuth of the centre column, degrees clockwise from north, None if unknown.
        field_of_view: Horizontal, degrees, before any straightening.
        panorama: Whether it is equirectangular.
        captured_at: Seconds since 1970, None if unknown.
        look: Perceptual hash, hexadecimal.
        digest: Of the file's bytes, hexadecimal.
        measures: What it looks like; None if it cannot be read.
    """

    error: str = ""
    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    field_of_view: float = 0.0
    panorama: bool = False
    captured_at: float | None = None
    look: str = ""
    digest: str = ""
    measures: Measures | None = None


def examine(listed: Listed) -> Examined:
    """Looks at one photo."""
    if listed.trouble:
        return Examined(error=listed.trouble)
    try:
        photo = Photo.open(
            listed.file, heading=listed.heading, field_of_view=listed.field_of_view, panorama=listed.panorama
        )
        digest = hashlib.sha256(listed.file.read_bytes()).hexdigest()[:32]
    except TiercelError as error:
        return Examined(error=str(error))
    except OSError as error:
        return Examined(error=f"{listed.file} cannot be read ({error.strerror}): check the path and its permissions.")
    place = photo.position
    given = listed.latitude is not None and listed.longitude is not None
    return Examined(
        latitude=listed.latitude if given else place.latitude if place else None,
        longitude=listed.longitude if given else place.longitude if place else None,
        heading=photo.heading.value if photo.heading else None,
        field_of_view=photo.field_of_view.value,
        panorama=photo.panorama,
        captured_at=listed.captured_at if listed.captured_at is not None else _captured_at(listed.file),
        look=perceptual_hash(photo.pixels).hex(),
        digest=digest,
        measures=measure(photo),
    )


def examine_all(listed: Sequence[Listed], cache: Path, workers: int, progress: Progress) -> list[Examined]:
    """Looks at every photo that the cache does not know yet.

    Args:
        listed: The photos.
        cache: File of what was found; appended to while it goes on.
        workers: Processes.
        progress: Called with how many are done and how many there are.

    Raises:
        TiercelError: A process was killed.
    """
    keys = [_key(one) for one in listed]
    known = _read(cache)
    new = [index for index, key in enumerate(keys) if key not in known]
    done = len(listed) - len(new)
    progress(done, len(listed))
    with appending(cache) as append:
        for position, found in each(examine, [listed[index] for index in new], workers):
            key = keys[new[position]]
            known[key] = found
            append({"key": key, "found": asdict(found)})
            done += 1
            progress(done, len(listed))
    return [known[key] for key in keys]


def file_state(path: Path) -> str:
    """What changes when a file does: its size and the time it was last written."""
    try:
        state = path.stat()
        return f"{state.st_size}.{state.st_mtime_ns}"
    except OSError:
        return "missing"


def _key(listed: Listed) -> str:
    """Changes with the file and with what the table says of it."""
    said = (listed.latitude, listed.longitude, listed.heading, listed.field_of_view, listed.captured_at)
    parts = (_FORMAT, str(listed.file), file_state(listed.file), *said, listed.panorama, listed.trouble)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _read(cache: Path) -> dict[str, Examined]:
    known = {}
    for entry in read_journal(cache):
        found = entry["found"]
        measures = Measures(**found["measures"]) if found["measures"] else None
        known[str(entry["key"])] = Examined(**{**found, "measures": measures})
    return known


def _captured_at(path: Path) -> float | None:
    """DateTimeOriginal, with its hundredths and its offset from UTC where they are given."""
    try:
        with Image.open(path) as image:
            tags = image.getexif().get_ifd(IFD.Exif)
        text = str(tags.get(Base.DateTimeOriginal, "")).strip("\0 ")
        part = str(tags.get(Base.SubsecTimeOriginal, "")).strip("\0 ")
        offset = str(tags.get(Base.OffsetTimeOriginal, "")).strip("\0 ")
        time = moment(text + offset)
        return time + float(f"0.{part}") if time is not None and part.isdecimal() else time
    except Exception:  # broken metadata costs the metadata, not the photo
        return None
