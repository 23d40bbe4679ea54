"""Photos from one spot, put together.

Scores of poses are log-likelihoods up to a constant, so those of several photos from one spot add: pose by pose where
it is known how far the camera turned between them, and position by position, each photo's heading summed out by itself,
where it is not.

A rig is photos of which the turns are known. What every head scores is linear in what it is given of a photo
(retrieval's weights, the embedding, zooming's queries, the template of the match), so adding these adds the scores, and
a rig goes through all that follows as one photo that looks several ways.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.models import Model, ModelConfig, PhotoFeatures
from tiercel.models.match import polar_columns
from tiercel.photos import Photo
from tiercel.photos.metadata import Known

CONTRADICTION_DEG = 60.0
"""Compasses in phones err by tens of degrees; further off than this, a compass and a turn that was told contradict."""

DEPENDENCE = 0.25
"""By which power of their number the evidence of photos from one spot is less than that of as many independent ones.

Fitted on two validation cities, as the mean log-probability of the cell that holds the truth: 0 would be independent
photos, 1 copies of one."""

Single = NDArray[np.float32]


@dataclass(frozen=True)
class Rig:
    """Photos from one spot whose headings are known from each other.

    Attributes:
        photos: At least one.
        headings: Of each one's centre column, degrees clockwise: from north if `north` is true, else from the first.
        north: Whether it is known where north is.
    """

    photos: tuple[Photo, ...]
    headings: tuple[float, ...]
    north: bool


def rigs(photos: Sequence[Photo], turns: Sequence[float] | None = None) -> list[Rig]:
    """Sort photos from one spot by what is known of how they looked; the first photo is the first of the first rig.

    Args:
        photos: At least one, with their headings from north where they are known.
        turns: Degrees clockwise from the first photo's centre to that of each other one, if they are known. One known
            heading is then one for all; of several the mean is taken.

    Raises:
        TiercelError: There are no photos, the turns are not one for each photo after the first, or a turn and the
            photos' headings contradict.
    """
    if not photos:
        raise TiercelError("There are no photos to locate together: give at least one.")
    if turns is not None:
        return [_turned(photos, turns)]
    known = [(photo, photo.heading.value) for photo in photos if photo.heading is not None]
    found = [Rig((photo,), (0.0,), False) for photo in photos if photo.heading is None]
    if known:
        rig = Rig(tuple(photo for photo, _ in known), tuple(heading for _, heading in known), True)
        found.insert(0 if photos[0].heading is not None else 1, rig)
    return found


def surplus(count: int) -> float:
    """What the added log-likelihoods of so many photos from one spot are divided by, to be no surer than is right."""
    return float(count**DEPENDENCE)


def _turned(photos: Sequence[Photo], turns: Sequence[float]) -> Rig:
    """One rig of all photos."""
    if len(turns) != len(photos) - 1 or not all(math.isfinite(turn) for turn in turns):
        raise TiercelError(
            f"{len(photos)} photos need {len(photos) - 1} turns in degrees, one for each after the first, "
            f"not {', '.join(f'{turn:g}' for turn in turns) or 'none'}."
        )
    turned = (0.0, *turns)
    # What each photo's own heading makes of the first one's.
    said = [(one.name, one.heading.value - turn) for one, turn in zip(photos, turned, strict=True) if one.heading]
    if not said:
        return Rig(tuple(photos), turned, False)
    first = math.degrees(cmath.phase(sum(cmath.rect(1.0, math.radians(heading)) for _, heading in said))) % 360
    for name, heading in said:
        off = abs((heading - first + 180) % 360 - 180)
        if off > CONTRADICTION_DEG:
            raise TiercelError(
                f"The heading of {name} lies {off:.0f} degrees off what the turns and the other photos' headings come "
                "to: correct the turns, or leave them out."
            )
    return Rig(tuple(photos), tuple((first + turn) % 360 for turn in turned), True)


def encode_rig(model: Model, rig: Rig) -> PhotoFeatures:
    """The features of a rig, as of one photo whose centre is that of the rig's first.

    Where north is not known, each photo is cut into the azimuth bins of the whole, so that turns are kept exactly.
    """
    if len(rig.photos) == 1:
        heading = Known(rig.headings[0], "given") if rig.north else None
        return model.encode_photos([replace(rig.photos[0], heading=heading)])[0]
    headings = [heading % 360 for heading in rig.headings]
    told = [replace(one, heading=Known(to, "given")) for one, to in zip(rig.photos, headings, strict=True)]
    strips, config = [model.strip(photo) for photo in told], model.config
    lefts = [to + strip.left_deg for to, strip in zip(headings, strips, strict=True)]
    if not rig.north:
        strips = [replace(strip, heading=None) for strip in strips]
    return added(config, model.encode_strips(strips), [round(left / config.bin_deg) for left in lefts])


def added(config: ModelConfig, parts: Sequence[PhotoFeatures], lefts: Sequence[int]) -> PhotoFeatures:
    """Features of photos as those of one that looks every way they look.

    Args:
        config: The model's sizes.
        parts: The photos, all with a known heading or all without.
        lefts: The azimuth bin at the left edge of each: from north, or from any direction that is one for all.

    Returns:
        Its polar features go once around, zero where nothing was seen; its headings are those of the first photo.
    """
    each = list(zip(parts, lefts, strict=True))
    first, bins = parts[0], np.arange(config.headings) * config.bin_deg
    polar = np.zeros((*first.polar.shape[:2], polar_columns(config)), np.float32)
    for one, left in each:
        start = left * polar.shape[2] // config.headings
        polar[:, :, (start + np.arange(one.polar.shape[2])) % polar.shape[2]] += one.polar
    return replace(
        first,
        headings_deg=_rolled(first.headings_deg, lefts[0]),
        retrieval=_sum([_rolled(one.retrieval, left) for one, left in each]),
        embedding=_sum([_rolled(one.embedding, left) for one, left in each]),
        zoom=tuple(_sum([_rolled(one.zoom[level], left) for one, left in each]) for level in range(len(first.zoom))),
        polar=polar if first.polar.size else first.polar,
        polar_start_deg=bins[: 1 if first.heading_known else None].astype(np.float32),
    )


def _rolled(rows: Single, left: int) -> Single:
    """Rows for each azimuth bin of a left edge, as rows for each turn of the whole; a single row is kept."""
    return np.roll(rows, -left, 0)


def _sum(parts: Sequence[Single]) -> Single:
    return np.asarray(np.sum(parts, axis=0))
