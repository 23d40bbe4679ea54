"""Which photos stay, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tiercel.datasets.curation.duplicates import Seen, near_duplicates
from tiercel.datasets.curation.examine import Examined
from tiercel.datasets.curation.ground import LEAF, on_map
from tiercel.datasets.curation.quality import Thresholds
from tiercel.datasets.curation.sequences import Stop, sequences
from tiercel.datasets.curation.sources import Listed
from tiercel.maps import Basemap

REASONS = (
    "bad row", "unreadable", "no position", "off the map", "dark", "sky only", "blurred", "obstructed", "indoors",
    "near-duplicate", "bad calibration",
)  # fmt: skip
"""Why photos are dropped, in the order in which it is looked for; the first that holds is the one that is counted."""


@dataclass(frozen=True)
class Choices:
    """What a user may decide; the defaults are documented in `docs/datasets.md`.

    Attributes:
        leaf: Side of a leaf cell, metres.
        depth: Picks from the root to a leaf; the fewest that hold all photos unless given.
        centre: Latitude and longitude of the root square's centre; chosen unless given.
        thresholds: What a photo has to look like.
        duplicate_distance: Metres within which two photos may be duplicates; with 0, none are.
        duplicate_turn: Degrees between their headings likewise.
        duplicate_difference: Share of the bits of their perceptual hashes likewise.
        pause: Seconds after which a new sequence begins.
        step: Metres after which one does.
        split: "block", "sequence" or "random".
        validation: Share of the photos that go into validation.
        block: Side of the blocks, metres; a twelfth of the square, but no more than 500, unless given.
        seed: Of the split.
        long_side: Pixels that photos may be long.
        photo_licence: Of the photos that do not say their own.
        photo_attribution: Whom to name for those.
        map_attribution: Whom to name for the map, and its licence.
    """

    leaf: float = LEAF
    depth: int | None = None
    centre: tuple[float, float] | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    duplicate_distance: float = 10.0
    duplicate_turn: float = 20.0
    duplicate_difference: float = 0.12
    pause: float = 60.0
    step: float = 100.0
    split: str = "block"
    validation: float = 0.1
    block: float | None = None
    seed: int = 0
    long_side: int = 2048
    photo_licence: str = ""
    photo_attribution: str = ""
    map_attribution: str = ""


@dataclass(frozen=True)
class Fate:
    """What becomes of a photo.

    Attributes:
        listed: What was said of it.
        examined: What was found in it.
        reasons: Why it is dropped, the counted reason first; empty if it stays.
        words: What to say of it in the list of dropped photos.
        drive: The sequence that it belongs to, empty if it has no place.
        image_id: Its name in the benchmark.
    """

    listed: Listed
    examined: Examined
    reasons: tuple[str, ...] = ()
    words: str = ""
    drive: str = ""
    image_id: str = ""

    @property
    def kept(self) -> bool:
        """Whether it stays."""
        return not self.reasons

    def dropped(self, reason: str, words: str) -> Fate:
        """The same photo with one more reason to drop it."""
        return replace(self, reasons=(*self.reasons, reason), words=self.words or words)


def choose(listed: Sequence[Listed], examined: Sequence[Examined], basemap: Basemap, choices: Choices) -> list[Fate]:
    """Decides what becomes of every photo."""
    fates = [_readable(one, found) for one, found in zip(listed, examined, strict=True)]
    latitude, longitude = positions(fates)
    placed = np.isfinite(latitude)
    shown = np.zeros(len(fates), np.bool_)
    shown[placed] = on_map(basemap, latitude[placed], longitude[placed], choices.leaf)
    for index in np.flatnonzero(placed & ~shown):
        fates[index] = fates[index].dropped("off the map", "The map shows too little of the ground around it.")
    x, y = (np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) for values in _metres(basemap, latitude, longitude))
    fates = _with_drives(fates, placed, x, y, choices)
    fates = [_looked_at(fate, choices.thresholds) for fate in fates]
    return _named(_without_duplicates(fates, x, y, choices))


def positions(fates: Sequence[Fate]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitudes and longitudes, degrees, NaN where unknown."""
    pairs = [(fate.examined.latitude, fate.examined.longitude) for fate in fates]
    values = np.array([(np.nan, np.nan) if None in pair else pair for pair in pairs], np.float64).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def _readable(listed: Listed, examined: Examined) -> Fate:
    fate = Fate(listed, examined)
    if listed.trouble:
        return fate.dropped("bad row", examined.error)
    if examined.error:
        return fate.dropped("unreadable", examined.error)
    if examined.latitude is None or examined.longitude is None:
        return fate.dropped("no position", "Neither the photo's EXIF nor a table says where it was taken.")
    return fate


def _metres(
    basemap: Basemap, latitude: NDArray[np.float64], longitude: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return basemap.frame.from_wgs84(np.nan_to_num(latitude), np.nan_to_num(longitude))


def _with_drives(
    fates: list[Fate], placed: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64], choices: Choices
) -> list[Fate]:
    """Sequences are told before anything is dropped: a photo left out is no gap in a drive."""
    members = [int(index) for index in np.flatnonzero(placed)]
    stops = [
        Stop(
            fates[index].listed.name, fates[index].listed.sequence, fates[index].examined.captured_at,
            float(x[index]), float(y[index]),
        )
        for index in members
    ]  # fmt: skip
    names = sequences(stops, choices.pause, choices.step)
    drives = dict(zip(members, names, strict=True))
    return [replace(fate, drive=drives.get(index, "")) for index, fate in enumerate(fates)]


def _looked_at(fate: Fate, thresholds: Thresholds) -> Fate:
    measures = fate.examined.measures
    if measures is None:
        return fate
    for reason in thresholds.reasons(measures):
        fate = fate.dropped(reason, thresholds.words(reason, measures))
    return fate


def _without_duplicates(
    fates: list[Fate], x: NDArray[np.float64], y: NDArray[np.float64], choices: Choices
) -> list[Fate]:
    left = [index for index, fate in enumerate(fates) if fate.kept]
    if choices.duplicate_distance <= 0:
        return fates
    photos = [_seen(fates[index].examined, float(x[index]), float(y[index])) for index in left]
    repeats = near_duplicates(photos, choices.duplicate_distance, choices.duplicate_turn, choices.duplicate_difference)
    for repeat, original in repeats.items():
        words = f"It shows the same as {fates[left[original]].listed.name}, which is sharper or came first."
        fates[left[repeat]] = fates[left[repeat]].dropped("near-duplicate", words)
    return fates


def _seen(examined: Examined, x: float, y: float) -> Seen:
    blur = examined.measures.blur if examined.measures else 1.0
    return Seen(x, y, examined.heading, blur, bytes.fromhex(examined.look), examined.digest)


def _named(fates: list[Fate]) -> list[Fate]:
    """Gives every photo that stays a name of its own: its file's, with a number where another has the same."""
    taken: set[str] = set()
    named = []
    for fate in fates:
        if not fate.kept:
            named.append(fate)
            continue
        stem = fate.listed.file.stem.removesuffix("_undistorted")
        plain = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in stem
        )
        name, count = plain, 1
        while name.lower() in taken:  # file names that differ in case alone are one file on some systems
            count += 1
            name = f"{plain}-{count}"
        taken.add(name.lower())
        named.append(replace(fate, image_id=name))
    return named
