"""Dividing the photos of a benchmark into those that may train and those that are asked for.

A random split as published leaves neighbours of one drive on both sides: metres apart, on the same day, by the same
camera. The splits by drive and by block keep them together, so that what is measured is how a model does elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.datasets.justzoomin import JustZoomIn, ZoomSample
from tiercel.errors import TiercelError
from tiercel.geo.sphere import EARTH_RADIUS_M

SHARE = 0.1
"""Share of the photos that is asked for, as published."""
BLOCK_M = 500.0
"""Side of the blocks of `block_disjoint`."""
BUFFER_M = 100.0
"""Photos this close to a block that is asked for train nothing: they see the same houses."""


@dataclass(frozen=True)
class Split:
    """Photos for training and photos to ask for.

    Attributes:
        train: May train.
        val: Are asked for.
        left_out: In neither, being too close to both.
    """

    train: tuple[ZoomSample, ...]
    val: tuple[ZoomSample, ...]
    left_out: tuple[ZoomSample, ...] = ()


Splitter = Callable[[JustZoomIn, int | None], Split]
"""Divides the photos of a benchmark; the seed says how, where there is a choice."""


def everything(data: JustZoomIn, seed: int | None = None) -> Split:
    """All photos are asked for, whatever the seed: for models that were trained elsewhere."""
    return Split((), _all(data))


def random_split(data: JustZoomIn, seed: int | None = None, share: float = SHARE) -> Split:
    """Photo by photo, whatever its neighbours do, as published.

    Args:
        data: The benchmark.
        seed: Of a draw from both tables together; None for the split of the tables as they stand.
        share: Of the photos that are asked for, where they are drawn.
    """
    if seed is None:
        return Split(tuple(data.samples("train")), tuple(data.samples("val")))
    samples = _all(data)
    order = np.random.default_rng(seed).permutation(len(samples))
    asked = np.zeros(len(samples), np.bool_)
    asked[order[: max(1, round(share * len(samples)))]] = True
    return _divided(samples, asked, ~asked)


def sequence_disjoint(data: JustZoomIn, seed: int | None = None, share: float = SHARE) -> Split:
    """Whole drives are asked for, until they hold the share of the photos.

    Args:
        data: The benchmark, of which both tables are taken together.
        seed: Of the draw, None for 0.
        share: Of the photos that are asked for.

    Raises:
        TiercelError: Some photos belong to no known drive, or all to one.
    """
    samples = _all(data)
    unknown = [sample.image_id for sample in samples if sample.drive is None]
    if unknown:
        raise TiercelError(
            f"{data.folder} does not say which drive {len(unknown)} of its {len(samples)} photos belong to (the first "
            f"is {unknown[0]}); add a column drive to metadata/photos.csv, or use block_disjoint."
        )
    drives = np.array([sample.drive for sample in samples])
    asked = _drawn(drives, len(samples), seed, share)
    if asked.all():
        raise TiercelError(f"All photos of {data.folder} belong to one drive; use block_disjoint.")
    return _divided(samples, asked, ~asked)


def block_disjoint(
    data: JustZoomIn,
    seed: int | None = None,
    share: float = SHARE,
    block_m: float = BLOCK_M,
    buffer_m: float = BUFFER_M,
) -> Split:
    """Square blocks of ground are asked for; photos just outside them are left out.

    Args:
        data: The benchmark, of which both tables are taken together.
        seed: Of the draw, None for 0.
        share: Of the photos that are asked for.
        block_m: Side of a block, metres.
        buffer_m: No photo that trains is closer than this to one that is asked for, metres; at most a block's side.

    Raises:
        TiercelError: The photos lie in a single block.
    """
    if not 0 <= buffer_m <= block_m:
        raise ValueError(f"a buffer of {buffer_m} m does not fit blocks of {block_m} m")
    samples = _all(data)
    east, north = _metres(data, samples)
    asked = _drawn(_block(east, north, block_m), len(samples), seed, share)
    if asked.all():
        raise TiercelError(
            f"The photos of {data.folder} lie in one block of {block_m:g} m; there is nothing to hold apart."
        )
    held = np.unique(_block(east[asked], north[asked], block_m))
    near = np.zeros(len(samples), np.bool_)
    for right in (-buffer_m, 0.0, buffer_m):
        for up in (-buffer_m, 0.0, buffer_m):
            near |= np.isin(_block(east + right, north + up, block_m), held)
    return _divided(samples, asked, ~near)


def _all(data: JustZoomIn) -> tuple[ZoomSample, ...]:
    return (*data.samples("train"), *data.samples("val"))


def _divided(samples: Sequence[ZoomSample], asked: NDArray[np.bool_], trains: NDArray[np.bool_]) -> Split:
    train = tuple(sample for sample, chosen in zip(samples, trains, strict=True) if chosen)
    val = tuple(sample for sample, chosen in zip(samples, asked, strict=True) if chosen)
    neither = ~(asked | trains)
    return Split(train, val, tuple(sample for sample, chosen in zip(samples, neither, strict=True) if chosen))


def _drawn(groups: NDArray[np.generic], count: int, seed: int | None, share: float) -> NDArray[np.bool_]:
    """Which members belong to groups drawn one by one until they hold the share, at least one."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed or 0).permutation(len(sizes))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), share * count)) + 1
    return np.isin(group, order[:enough])


def _metres(data: JustZoomIn, samples: Sequence[ZoomSample]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres to the east and to the north of the root's centre, near enough for blocks."""
    place = np.array([(sample.latitude, sample.longitude) for sample in samples]).reshape(-1, 2)
    degree = np.radians(EARTH_RADIUS_M)
    east = (place[:, 1] - data.division.longitude) * degree * np.cos(np.radians(data.division.latitude))
    return east, (place[:, 0] - data.division.latitude) * degree


def _block(east: NDArray[np.float64], north: NDArray[np.float64], block_m: float) -> NDArray[np.int64]:
    """A number for the block that each place lies in."""
    column, row = (np.floor(value / block_m).astype(np.int64) for value in (east, north))
    return column * (1 << 32) + row
