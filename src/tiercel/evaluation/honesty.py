"""Fitting what makes probabilities and regions honest, on validation cities: temperatures, and the shares of regions.

The regions are recalibrated by the probability integral transform (Kuleshov et al. 2018): if half of the validation
truths lie within the raw region of 30 %, the region that is said to hold half is the raw one of 30 %. It is done for
each kind of query by itself, so that each holds what it says and not only all of them together.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.locate import Analysis
from tiercel.models import Calibration, RegionFit
from tiercel.search import Disc, Posterior, posterior
from tiercel.search.disc import KNOTS
from tiercel.search.policy import log_sum_exp

TEMPERATURES = np.geomspace(0.1, 20.0, 160)
"""Tried for siblings and for the whole tree."""
_LEAST_STEP = 1e-6

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What is needed of one validation query.

    Attributes:
        kind: See `Analysis.kind`.
        at: True easting and northing, metres.
        families: For each scored level from the leaves upwards, the scores of the children of the right parent.
        picks: The right child of each.
        zoom: The zoom head's answer at temperature 1.
        match: The full pipeline's answer.
        matched: The place that the full pipeline names.
    """

    kind: str
    at: tuple[float, float]
    families: tuple[Numbers, ...]
    picks: tuple[int, ...]
    zoom: Posterior
    match: Posterior
    matched: tuple[float, float]


def gather_evidence(analysis: Analysis, x: float, y: float) -> Evidence:
    """Of a query whose photo was taken at an easting and a northing, metres."""
    tree, policy = analysis.locator.atlas.tree, analysis.zoom
    path = tree.path(tree.depth, *tree.cell_at(x, y, tree.depth))
    families, picks = [], []
    for level in range(tree.depth, max(0, tree.depth - len(analysis.photo.zoom)), -1):
        row, col = tree.from_path(path[None, : level - 1])
        families.append(policy.child_scores(level - 1, row, col)[0].astype(np.float64))
        picks.append(int(path[level - 1]))
    matched = (float(analysis.matches.x[0]), float(analysis.matches.y[0]))
    return Evidence(analysis.kind, (x, y), tuple(families), tuple(picks), posterior(policy), analysis.final, matched)


def fit_honesty(before: Calibration, evidence: Sequence[Evidence]) -> Calibration:
    """The calibration with temperatures and regions fitted to validation queries; its other numbers stay."""
    levels = range(min(len(one.families) for one in evidence))
    siblings = tuple(
        fit_temperature([one.families[level] for one in evidence], [one.picks[level] for one in evidence])
        for level in levels
    )
    tree = evidence[0].zoom.tree
    truths = [int(tree.flat(tree.depth, *tree.cell_at(*one.at, tree.depth))) for one in evidence]
    whole = fit_temperature([one.zoom.log_probability for one in evidence], truths) if levels else 1.0
    by_kind: dict[str, list[Evidence]] = defaultdict(list)
    for one in evidence:
        by_kind[one.kind].append(one)
    regions = {f"match/{kind}": _match_region(some) for kind, some in sorted(by_kind.items())}
    regions |= {f"global/{kind}": _global_region(some, whole) for kind, some in sorted(by_kind.items())}
    return dataclasses.replace(before, sibling_temperatures=siblings, global_temperature=whole, regions=regions)


def fit_temperature(scores: Sequence[NDArray[np.floating]], truths: Sequence[int]) -> float:
    """The temperature that makes the truths likeliest (Guo et al. 2017).

    Args:
        scores: For each query (k,) scores on a logarithmic scale; minus infinity where not covered.
        truths: The right one of each.
    """
    values, right = np.stack(scores), np.asarray(truths)
    rows = np.arange(len(right))
    losses = []
    for temperature in TEMPERATURES:
        tempered = values / values.dtype.type(temperature)
        losses.append(np.mean(log_sum_exp(tempered) - tempered[rows, right], dtype=np.float64))
    return round(float(TEMPERATURES[int(np.argmin(losses))]), 4)


def _match_region(some: Sequence[Evidence]) -> RegionFit:
    errors = np.array([np.hypot(one.at[0] - one.matched[0], one.at[1] - one.matched[1]) for one in some])
    tree = some[0].match.tree
    right = errors <= tree.side(tree.depth)
    scale = round(float(np.median(errors[right])), 3) if right.any() else 0.0
    discs = [Disc(one.match.tree, one.match.probability, one.matched, scale) for one in some]
    return RegionFit(scale, fit_shares([disc.mass(error) for disc, error in zip(discs, errors, strict=True)]))


def _global_region(some: Sequence[Evidence], temperature: float) -> RegionFit:
    answers = [one.zoom.tempered(temperature) for one in some]
    errors = [
        float(np.hypot(one.at[0] - a.centre[0], one.at[1] - a.centre[1])) for one, a in zip(some, answers, strict=True)
    ]
    return RegionFit(0.0, fit_shares([a.mass_within(error) for a, error in zip(answers, errors, strict=True)]))


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


__all__ = ["Evidence", "fit_honesty", "fit_shares", "fit_temperature", "gather_evidence"]
