"""Which photos were taken on one drive or walk: neighbours in a sequence must not end up on both sides of a split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """A photo as a stop of some journey.

    Attributes:
        name: Path of the photo; journeys of different folders are different ones.
        sequence: As given, empty if not.
        captured_at: Seconds since 1970, None if unknown.
        x: Easting, metres.
        y: Northing, metres.
    """

    name: str
    sequence: str
    captured_at: float | None
    x: float
    y: float


def sequences(stops: Sequence[Stop], seconds: float, metres: float) -> list[str]:
    """Names the sequence of every photo.

    Photos that come with a sequence keep it. The others are walked through, folder by folder, in the order of time, or
    of their names where one of the folder has no time; a new sequence begins wherever more time passed, or more ground
    was left behind, than given.

    Args:
        stops: The photos.
        seconds: Longest pause within a sequence.
        metres: Longest step within a sequence.
    """
    names = [stop.sequence for stop in stops]
    folders: dict[str, list[int]] = {}
    for index, stop in enumerate(stops):
        if not stop.sequence:
            folders.setdefault(stop.name.rpartition("/")[0], []).append(index)
    count = 0
    for members in folders.values():
        timed = all(stops[index].captured_at is not None for index in members)
        members.sort(key=lambda index: (stops[index].captured_at or 0.0 if timed else 0.0, stops[index].name))
        before: Stop | None = None
        for index in members:
            stop = stops[index]
            if before is None or _apart(before, stop, seconds, metres):
                count += 1
            names[index] = f"sequence-{count:05d}"
            before = stop
    return names


def _apart(before: Stop, after: Stop, seconds: float, metres: float) -> bool:
    if math.hypot(after.x - before.x, after.y - before.y) > metres:
        return True
    if before.captured_at is None or after.captured_at is None:
        return False
    return after.captured_at - before.captured_at > seconds
