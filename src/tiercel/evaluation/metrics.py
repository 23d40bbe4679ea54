"""Recall, errors in metres and degrees, and how sure these numbers are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
"""Bootstrap resamples behind each interval."""
DRAWS = 1 << 20
"""Draws made at a time: tens of thousands of queries are resampled within a few megabytes."""


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval.

    Attributes:
        value: The number.
        low: Lower end; NaN where there is no sense in one.
        high: Upper end.
        n: Queries it was measured on.
    """

    value: float
    low: float
    high: float
    n: int


def share(right: ArrayLike) -> Measured:
    """Percentage of queries that were answered right, with a percentile bootstrap over queries."""
    return _bootstrapped(np.where(np.asarray(right, np.bool_), 100.0, 0.0), np.mean)


def recall_within(errors_m: ArrayLike, radius_m: float) -> Measured:
    """Percentage of answers at most `radius_m` metres from the truth, with a percentile bootstrap over queries."""
    return share(np.asarray(errors_m, np.float64) <= radius_m)


def median(values: ArrayLike) -> Measured:
    """Median with a percentile bootstrap over queries; NaN without queries."""
    return _bootstrapped(np.asarray(values, np.float64), np.median)


def mean(values: ArrayLike) -> Measured:
    """Mean with a percentile bootstrap over queries; NaN without queries."""
    return _bootstrapped(np.asarray(values, np.float64), np.mean)


def heading_error(answer_deg: ArrayLike, truth_deg: ArrayLike) -> NDArray[np.float64]:
    """Smallest angle between headings, 0 to 180 degrees."""
    difference = np.asarray(answer_deg, np.float64) - np.asarray(truth_deg, np.float64)
    return np.asarray(np.abs((difference + 180.0) % 360.0 - 180.0))


def chance_within(x: ArrayLike, y: ArrayLike, cells_x: ArrayLike, cells_y: ArrayLike, radius_m: float) -> Measured:
    """Expected recall, in percent, of an answer drawn evenly from cell centres.

    Args:
        x: (n,) true eastings, metres.
        y: (n,) true northings.
        cells_x: (c,) eastings of the cell centres.
        cells_y: (c,) northings.
        radius_m: Within how many metres an answer counts as right.
    """
    east = np.asarray(x, np.float64)[:, None] - np.asarray(cells_x, np.float64)
    north = np.asarray(y, np.float64)[:, None] - np.asarray(cells_y, np.float64)
    shares = 100.0 * (np.hypot(east, north) <= radius_m).mean(1)
    return Measured(float(shares.mean()), float("nan"), float("nan"), len(shares))


def _bootstrapped(values: NDArray[np.float64], statistic: object) -> Measured:
    assert callable(statistic)
    if not len(values):
        return Measured(float("nan"), float("nan"), float("nan"), 0)
    rng, some = np.random.default_rng(0), max(1, DRAWS // len(values))
    resampled = np.concatenate(
        [
            statistic(values[rng.integers(0, len(values), (min(some, RESAMPLES - done), len(values)))], axis=1)
            for done in range(0, RESAMPLES, some)
        ]
    )
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Measured(float(statistic(values)), float(low), float(high), len(values))
