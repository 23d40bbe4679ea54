"""Which photos Mapillary has in a box: asked for in small boxes, smaller still where there are many.

The API answers for boxes of up to a hundredth of a degree a side, with up to 2,000 photos. Whatever it answered is kept
in a journal, so that no box is asked for twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tiercel.datasets.journal import Append, appending, read_journal
from tiercel.datasets.mapillary.client import Client, Gone, OverloadedError
from tiercel.errors import TiercelError

SIDE = 0.01
"""Longest side of a box that the API takes, degrees."""

LIMIT = 2000
"""Most photos that it gives for a box."""

FIELDS = (
    "id", "geometry", "computed_geometry", "captured_at", "compass_angle", "computed_compass_angle", "camera_type",
    "camera_parameters", "is_pano", "sequence", "thumb_2048_url", "thumb_original_url", "height", "width", "creator",
    "make", "model",
)  # fmt: skip

_MOST_BOXES = 20_000
_SMALLEST = 1e-5  # degrees, a metre: a box that is full at this side is not split any further
_DIGITS = 7

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees."""
Image = dict[str, Any]
Progress = Callable[[int, int], None]


def parse_box(text: str) -> Box:
    """A box written as "west,south,east,north".

    Raises:
        TiercelError: It is none.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        west = south = east = north = math.nan
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise TiercelError(
            f"--bbox {text!r} is no box: give west,south,east,north in degrees, such as 13.36,52.50,13.38,52.51."
        )
    return west, south, east, north


def boxes(whole: Box) -> list[Box]:
    """A box cut along the hundredths of a degree.

    Raises:
        TiercelError: It is too large.
    """
    west, south, east, north = whole
    columns, rows = _cuts(west, east), _cuts(south, north)
    count = (len(columns) - 1) * (len(rows) - 1)
    if count > _MOST_BOXES:
        raise TiercelError(
            f"--bbox takes {count:,} requests of a hundredth of a degree and {_MOST_BOXES:,} are the limit: "
            "ask for a smaller one at a time."
        )
    return [(w, s, e, n) for s, n in itertools.pairwise(rows) for w, e in itertools.pairwise(columns)]


def list_images(client: Client, whole: Box, journal: Path, progress: Progress) -> list[Image]:
    """What Mapillary knows about every photo in a box, each once.

    Args:
        client: To ask with.
        whole: The box.
        journal: File of what was answered before.
        progress: Called with boxes done and boxes there are.

    Raises:
        TiercelError: The API refuses or does not answer.
    """
    known = {tuple(entry["box"]): entry for entry in read_journal(journal)}
    wanted = boxes(whole)
    found: dict[str, Image] = {}
    with appending(journal) as append:
        for done, box in enumerate(wanted):
            progress(done, len(wanted))
            for image in _in_box(client, box, known, append):
                found.setdefault(str(image["id"]), image)
    progress(len(wanted), len(wanted))
    return list(found.values())


def all_listed(journal: Path) -> Iterator[Image]:
    """What the journal holds, of all boxes that were ever asked for; a photo may come more than once."""
    for entry in read_journal(journal):
        yield from entry.get("images", ())


def _in_box(client: Client, box: Box, known: dict[Any, dict[str, Any]], append: Append) -> Iterator[Image]:
    """The photos of a box, from the journal if it was asked for before."""
    if box not in known:
        images = _ask(client, box)
        known[box] = {"box": box, "split": True} if images is None else {"box": box, "images": images}
        append(known[box])
    if not known[box].get("split"):
        yield from known[box]["images"]
        return
    for quarter in _quarters(box):
        yield from _in_box(client, quarter, known, append)


def _ask(client: Client, box: Box) -> list[Image] | None:
    """The photos of a box; None where there are too many for one answer."""
    small = box[2] - box[0] < _SMALLEST
    try:
        answer = client.ask(
            "images", "data", fields=",".join(FIELDS), bbox=",".join(f"{value:.7f}" for value in box), limit=LIMIT
        )
    except OverloadedError:
        if small:
            raise
        return None
    except Gone as error:
        raise TiercelError(f"{client.api} has no list of images ({error}): check --api.") from None
    images = _whole(answer)
    while following := _next_page(answer):
        answer = client.follow(following, "data")
        images += _whole(answer)
    return None if len(answer["data"]) >= LIMIT and not small else images


def _next_page(answer: dict[str, Any]) -> str:
    paging = answer.get("paging")
    following = paging.get("next") if isinstance(paging, dict) and answer["data"] else ""
    return following if isinstance(following, str) else ""


def _whole(answer: dict[str, Any]) -> list[Image]:
    """The photos of an answer that have an id and a place."""
    data = answer["data"] if isinstance(answer["data"], list) else []
    return [image for image in data if isinstance(image, dict) and image.get("id") and place(image)]


def place(image: Image) -> tuple[float, float] | None:
    """Longitude and latitude of a photo, degrees: as computed from its neighbours, or else as its receiver had it."""
    return point(image, "computed_geometry") or point(image, "geometry")


def point(image: Image, name: str) -> tuple[float, float] | None:
    """Longitude and latitude, degrees, of a field that is a GeoJSON point."""
    try:
        longitude, latitude = (float(value) for value in image[name]["coordinates"][:2])
    except (KeyError, TypeError, ValueError):
        return None
    return (longitude, latitude) if abs(longitude) <= 180 and abs(latitude) <= 90 else None


def _cuts(low: float, high: float) -> list[float]:
    """From low to high by way of the hundredths in between."""
    first, last = math.floor(low / SIDE) + 1, math.ceil(high / SIDE)
    inner = [round(index * SIDE, _DIGITS) for index in range(first, last)]
    low, high = round(low, _DIGITS), round(high, _DIGITS)
    return [low, *(value for value in inner if low < value < high), high]


def _quarters(box: Box) -> list[Box]:
    west, south, east, north = box
    x, y = round((west + east) / 2, _DIGITS), round((south + north) / 2, _DIGITS)
    return [(west, south, x, y), (x, south, east, y), (west, y, x, north), (x, y, east, north)]
