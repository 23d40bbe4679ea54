"""The probability inside circles: how far around an answer a share of it reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.geo import ZoomTree

Numbers = NDArray[np.float64]

KNOTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Shares at which a recalibration says what share of the uncalibrated probability holds the truth so often."""
#: Leaves at most this part of a leaf away from a matched place are one place with it: their probability is the match's.
_NEAR = 0.25
#: Halvings of the search for a radius: from the size of a country to below a micrometre.
_HALVINGS = 48


class Disc:
    """Probability inside circles of any radius around one point.

    The probability of a leaf counts as spread evenly over its square. Where a match has placed the answer more finely
    than a leaf, the probability of the leaf it lies in, and of those that it almost lies in, is drawn together around
    it instead: of that, ``r^2 / (r^2 + scale^2)`` lies within r (a bell with heavy tails, half of it within the scale),
    cut off at a leaf's side.
    """

    def __init__(self, tree: ZoomTree, probability: Numbers, around: tuple[float, float], scale_m: float = 0.0) -> None:
        """Measures how far every leaf is.

        Args:
            tree: The tree.
            probability: (leaves,) in flat order.
            around: Easting and northing of the point, metres.
            scale_m: Typical error of a right match, metres; 0 where the point is just the centre of a leaf.
        """
        self.around = around
        leaves = np.flatnonzero(probability)
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaves))
        self._x, self._y, self._side = x - around[0], y - around[1], tree.side(tree.depth)
        half = self._side / 2
        self._far = np.hypot(abs(self._x) + half, abs(self._y) + half)
        self._near = np.hypot(np.maximum(abs(self._x) - half, 0), np.maximum(abs(self._y) - half, 0))
        self._scale = scale_m
        matched = (self._near <= _NEAR * self._side) & (scale_m > 0)
        self._matched = float(probability[leaves][matched].sum())
        self._probability = np.where(matched, 0.0, probability[leaves])

    @property
    def reach(self) -> float:
        """The radius that holds everything, metres."""
        spread = self._far[self._probability > 0]
        return float(max(spread.max(initial=0.0), self._side if self._matched else 0.0))

    def mass(self, radius: float) -> float:
        """Probability within the radius in metres."""
        inside = self._far <= radius
        cut = ~inside & (self._near < radius)
        shares = _overlap(self._x[cut], self._y[cut], self._side, radius) / self._side**2
        spread = float(self._probability[inside].sum() + (self._probability[cut] * shares).sum())
        return spread + (self._matched * self._bell(radius) if self._matched else 0.0)

    def radius(self, share: float) -> float:
        """The radius in metres that holds a share of the probability; it grows with the share.

        Raises:
            ValueError: The share is not above 0 and at most 1.
        """
        if not 0 < share <= 1:
            raise ValueError(f"a share of the probability lies above 0 and at most at 1, not {share}")
        low, high = 0.0, self.reach
        if share == 1:
            return high
        # All shares halve the same interval, which makes the answer monotone in the share to the last bit.
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.mass(middle) >= share else (middle, high)
        return high

    def _bell(self, radius: float) -> float:
        """Of what is drawn together, the share within the radius."""
        radius, most = min(max(radius, 0.0), self._side), self._side**2
        return radius**2 / (radius**2 + self._scale**2) * (most + self._scale**2) / most


@dataclass(frozen=True, eq=False)
class Region:
    """Circles around an answer that hold the truth as often as they say.

    Attributes:
        disc: The probability around the answer.
        shares: For each of `KNOTS`, the share of that probability within which the truth was found so often on
            validation queries, growing; empty where nothing was fitted: the probability is then taken at its word.
            Between the knots, and to 0 and 1 beyond them, the line is straight.
    """

    disc: Disc
    shares: Sequence[float] = ()

    def radius(self, share: float) -> float:
        """The radius in metres of the circle that holds the truth with probability `share`.

        Raises:
            ValueError: The share is not above 0 and at most 1.
        """
        if not 0 < share <= 1 or not self.shares:
            return self.disc.radius(share)
        return self.disc.radius(float(np.interp(share, *self._line)))

    def mass_within(self, radius: float) -> float:
        """The probability that the truth is at most so many metres away: the inverse of `radius`."""
        mass = min(self.disc.mass(radius), 1.0)
        return float(np.interp(mass, *self._line[::-1])) if self.shares else mass

    @property
    def _line(self) -> tuple[Sequence[float], Sequence[float]]:
        return (0.0, *KNOTS, 1.0), (0.0, *self.shares, 1.0)


def _overlap(x: Numbers, y: Numbers, side: float, radius: float) -> Numbers:
    """Area common to a circle around the origin and squares with centres x, y."""
    west, east, south, north = x - side / 2, x + side / 2, y - side / 2, y + side / 2
    area = (
        _corner(east, north, radius)
        - _corner(west, north, radius)
        - _corner(east, south, radius)
        + _corner(west, south, radius)
    )
    return np.clip(area, 0, side**2)


def _corner(a: Numbers, b: Numbers, radius: float) -> Numbers:
    """Area of the part of a circle around the origin with x <= a and y <= b.

    A column of the circle at x has half its height h(x) = sqrt(r^2 - x^2) on each side. Between -c and c, where h
    reaches |b|, the line y = b cuts the column to h + b; beyond, it is whole (2 h) if b is above and gone if below.
    """
    a, b = np.clip(a, -radius, radius), np.clip(b, -radius, radius)
    c = np.minimum(np.sqrt((radius - b) * (radius + b)), radius)
    middle = np.clip(a, -c, c)
    cut = b * (middle + c) + _under_arc(middle, radius) - _under_arc(-c, radius)
    whole = _under_arc(np.minimum(a, -c), radius) + _under_arc(np.maximum(a, c), radius) - _under_arc(c, radius)
    return np.asarray(cut + np.where(b > 0, 2 * whole, 0))


def _under_arc(t: Numbers, radius: float) -> Numbers:
    """Integral of sqrt(radius^2 - x^2) from -radius to t."""
    root = np.sqrt((radius - t) * (radius + t))
    return np.asarray((t * root + radius**2 * np.arcsin(t / radius)) / 2 + math.pi * radius**2 / 4)
