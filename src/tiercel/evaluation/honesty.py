"""Fitting what makes probabilities and regions honest, on validation cities: temperatures, and the shares of regions.

The regions are recalibrated by the probability integral transform (Kuleshov et al. 2018): if half of the validation
truths lie within the raw region of 30 %, the region that is said to hold half is the raw one of 30 %. It is done for
each kind of query by itself, so that each holds what it says and not only all of them together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.geo import Square, ZoomTree
from tiercel.locate import Analysis
from tiercel.models import Calibration, RegionFit
from tiercel.search import Disc, Posterior, posterior
from tiercel.search.disc import KNOTS
from tiercel.search.policy import log_sum_exp

TEMPERATURES: tuple[float, ...] = tuple(
    sorted(np.geomspace(1 / 32, 32, 201).tolist(), key=lambda value: abs(np.log(value)))
)
"""Tried for siblings and for the whole tree; where scores say nothing, the first one stays: 1."""
_LEAST_STEP = 1e-6

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is needed of n validation queries on one map.

    Attributes:
        kind: (n,) names, see `Analysis.kind`.
        at: (n, 2) true easting and northing, metres.
        families: (n, levels, g * g) scores of the right parents' children, at each scored level, leaves first.
        picks: (n, levels) the right child of each.
        zoom: (n, leaves) log-probabilities by the zoom head at temperature 1.
        match: (n, leaves) log-probabilities by the full pipeline.
        matched: (n, 2) the place that the full pipeline names.
        root: (5,) easting, northing and side of the tree's root, its branching and depth.
    """

    kind: NDArray[np.str_]
    at: Floats
    families: Singles
    picks: NDArray[np.int64]
    zoom: Singles
    match: Singles
    matched: Floats
    root: Floats

    @property
    def tree(self) -> ZoomTree:
        """The map's tree."""
        x, y, side, branching, depth = self.root.tolist()
        return ZoomTree(Square(x, y, side), int(branching), int(depth))

    def save(self, path: Path) -> None:
        """Write as NPZ, in one step."""
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **vars(self))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(**stored)


@dataclass(frozen=True, eq=False)
class _Query:
    """One query of an `Evidence`."""

    kind: str
    at: tuple[float, float]
    truth: int
    zoom: Posterior
    match: Posterior
    matched: tuple[float, float]


def gather(queries: Iterable[tuple[Analysis, float, float]]) -> Evidence:
    """Evidence from analyses of photos on one map, each with its true easting and northing in metres."""
    parts: list[dict[str, object]] = []
    for analysis, x, y in queries:
        tree, policy, best = analysis.locator.atlas.tree, analysis.zoom, analysis.matches
        path = tree.path(tree.depth, *tree.cell_at(x, y, tree.depth))
        levels = range(tree.depth, max(0, tree.depth - analysis.zoom_levels), -1)
        parents = [(level - 1, *tree.from_path(path[None, : level - 1])) for level in levels]
        parts.append(
            {
                "kind": analysis.kind,
                "at": (x, y),
                "families": np.array([policy.child_scores(*parent)[0] for parent in parents], np.float32),
                "picks": np.array([path[level - 1] for level in levels], np.int64),
                "zoom": posterior(analysis.zoom_weighed).log_probability,
                "match": analysis.final.log_probability,
                "matched": (float(best.x[0]), float(best.y[0])),
            }
        )
    root = np.array([tree.root.x, tree.root.y, tree.root.side, tree.branching, tree.depth])
    return Evidence(**{name: np.array([part[name] for part in parts]) for name in parts[0]}, root=root)


def fit_honesty(before: Calibration, evidence: Sequence[Evidence]) -> Calibration:
    """The calibration with temperatures and regions fitted to validation queries; its other numbers stay."""
    families, picks = (np.concatenate(part) for part in zip(*((e.families, e.picks) for e in evidence), strict=True))
    siblings = tuple(fit_temperature(families[:, level], picks[:, level]) for level in range(picks.shape[1]))
    queries = [query for some in evidence for query in _queries(some)]
    zoom = np.stack([query.zoom.log_probability for query in queries])
    whole = fit_temperature(zoom, np.array([query.truth for query in queries])) if siblings else 1.0
    regions: dict[str, RegionFit] = {}
    for kind in sorted({query.kind for query in queries}):
        some = [query for query in queries if query.kind == kind]
        regions[f"match/{kind}"] = _match_region(some)
        regions[f"global/{kind}"] = _global_region(some, whole)
    return dataclasses.replace(before, sibling_temperatures=siblings, global_temperature=whole, regions=regions)


def fit_temperature(scores: NDArray[np.floating], truths: NDArray[np.int64]) -> float:
    """The temperature that makes the truths likeliest (Guo et al. 2017).

    Args:
        scores: (n, k) scores on a logarithmic scale; minus infinity where not covered.
        truths: (n,) the right one of each.
    """
    rows = np.arange(len(truths))
    losses = []
    for temperature in TEMPERATURES:
        tempered = scores / scores.dtype.type(temperature)
        losses.append(np.mean(log_sum_exp(tempered) - tempered[rows, truths], dtype=np.float64))
    return round(TEMPERATURES[int(np.argmin(losses))], 4)


def fit_shares(masses: Sequence[float]) -> tuple[float, ...]:
    """For each share of `KNOTS`, the raw share that so many of the truths lie within.

    Args:
        masses: For each query the raw probability of what lies closer to the answer than the truth.

    Returns:
        Growing, above 0 and below 1.
    """
    quantiles = np.quantile(np.asarray(masses, np.float64), KNOTS)
    steps = _LEAST_STEP * np.arange(1, len(KNOTS) + 1)
    grown = np.maximum.accumulate(quantiles - steps) + steps
    return tuple(round(float(share), 6) for share in np.clip(grown, steps, 1.0 - steps[::-1]))


def _queries(evidence: Evidence) -> Iterable[_Query]:
    tree = evidence.tree
    truths = tree.flat(tree.depth, *tree.cell_at(evidence.at[:, 0], evidence.at[:, 1], tree.depth))
    for row, kind in enumerate(evidence.kind.tolist()):
        zoom, match = (Posterior(tree, logs[row]) for logs in (evidence.zoom, evidence.match))
        at, matched = (tuple(places[row].tolist()) for places in (evidence.at, evidence.matched))
        yield _Query(kind, at, int(truths[row]), zoom, match, matched)


def _match_region(some: Sequence[_Query]) -> RegionFit:
    errors = np.array([_distance(query.at, query.matched) for query in some])
    tree = some[0].match.tree
    right = errors <= tree.side(tree.depth)
    scale = round(float(np.median(errors[right])), 3) if right.any() else 0.0
    discs = [Disc(query.match.tree, query.match.probability, query.matched, scale) for query in some]
    return RegionFit(scale, fit_shares([disc.mass(error) for disc, error in zip(discs, errors, strict=True)]))


def _global_region(some: Sequence[_Query], temperature: float) -> RegionFit:
    masses = []
    for query in some:
        answer = query.zoom.tempered(temperature)
        masses.append(answer.mass_within(_distance(query.at, answer.centre)))
    return RegionFit(0.0, fit_shares(masses))


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))


__all__ = ["Evidence", "fit_honesty", "fit_shares", "fit_temperature", "gather"]
