"""Are the probabilities honest? What answers said of themselves against what was so, on the same queries.

Two questions. Of the answers that were given a probability of p, was a share p right (reliability, expected calibration
error)? And do the regions that should hold a share s of all truths hold that share (coverage)? Each is asked before and
after calibration: methods whose name ends in ``_uncalibrated`` take the raw scores at their word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.evaluation.methods import alone
from tiercel.evaluation.metrics import Measured, recall_within
from tiercel.evaluation.results import Row
from tiercel.locate import Analysis
from tiercel.search import Descent, Policy, Posterior, greedy, posterior
from tiercel.search.descent import sibling_log_probability

BINS = 10
"""Bins of equal mass, in the order of the predicted probability, behind reliability and its error."""
SHARES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
"""Shares in percent at which coverage is measured."""
ALL = "all"
"""In place of a query's name in rows: all kinds of queries together."""
NEAR_M = 50.0
RAW = "_uncalibrated"

RESAMPLES = 400
"""Bootstrap resamples behind the interval of a calibration error."""

Numbers = NDArray[np.float64]
MakeRow = Callable[[str, str, str, str, Measured], Row]


@dataclass(frozen=True)
class Judged:
    """What the answers to one query said of themselves.

    Attributes:
        claims: For each method, predicted probabilities and whether what they were given to was so.
        masses: For each method with regions, the probability it gives to what lies closer to its answer than the truth.
            The truth is inside the region of every share above that.
    """

    claims: Mapping[str, tuple[tuple[float, bool], ...]]
    masses: Mapping[str, float]


def judge(analysis: Analysis, x: float, y: float) -> Judged:
    """Compare what an analysis claims with the truth.

    Args:
        analysis: What every method says about a photo.
        x: True easting, metres.
        y: True northing, metres.
    """
    tree, heads = analysis.locator.atlas.tree, analysis.locator.model.config.heads
    truth = int(tree.flat(tree.depth, *tree.cell_at(x, y, tree.depth)))
    zoom = "zoom" in heads and alone(analysis)
    claims = _zoom_claims(analysis, truth) if zoom else {}
    masses: dict[str, float] = {}
    if "match" in heads:
        claims["match"] = (_best_leaf(analysis.final, truth),)
    for method, known in (("global", zoom), ("match", "match" in heads)):
        for suffix in ("", RAW) if known else ():
            region = analysis.region(method, calibrated=not suffix)
            error = float(np.hypot(x - region.disc.around[0], y - region.disc.around[1]))
            masses[f"{method}{suffix}"] = region.mass_within(error)
            claims[f"{method}_within_{NEAR_M:.0f}m{suffix}"] = ((region.mass_within(NEAR_M), error <= NEAR_M),)
    return Judged(claims, masses)


def _zoom_claims(analysis: Analysis, truth: int) -> dict[str, tuple[tuple[float, bool], ...]]:
    """What zooming claims pick by pick, by greedy descent, and over all leaves, before and after calibration."""
    claims: dict[str, tuple[tuple[float, bool], ...]] = {}
    for suffix, policy, answer in (
        ("", analysis.zoom_tempered, analysis.zoom_global),
        (RAW, analysis.zoom, posterior(analysis.zoom)),
    ):
        levels = _picks(policy, truth, analysis.zoom_levels)
        claims |= {f"local_level_{level}{suffix}": (pick,) for level, pick in levels.items()}
        if levels:
            claims[f"local{suffix}"] = tuple(levels.values())
        claims[f"greedy{suffix}"] = (_came_down(greedy(policy), truth),)
        claims[f"global{suffix}"] = (_best_leaf(answer, truth),)
    return claims


def _picks(policy: Policy, truth: int, scored: int) -> dict[int, tuple[float, bool]]:
    """At each scored level: how probable the best child of the right parent is, and whether it is the right one."""
    tree, found = policy.tree, {}
    path = tree.path(tree.depth, *tree.unflat(tree.depth, truth))
    for level in range(max(1, tree.depth - scored + 1), tree.depth + 1):
        row, col = tree.from_path(path[None, : level - 1])
        logs = sibling_log_probability(policy, level - 1, row, col)[0]
        found[level] = (float(np.exp(logs.max())), int(logs.argmax()) == int(path[level - 1]))
    return found


def _came_down(search: Descent, truth: int) -> tuple[float, bool]:
    return float(np.exp(search.log_probability[0])), int(search.leaves[0]) == truth


def _best_leaf(answer: Posterior, truth: int) -> tuple[float, bool]:
    return float(answer.probability[answer.best]), answer.best == truth


def calibration_error(predicted: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015, with bins of equal mass).

    The answers are put into bins in the order of their predicted probability; the error is the mean over all answers of
    the distance between what their bin predicted on average and how often it was right.

    Args:
        predicted: (n,) probabilities.
        right: (n,) whether it was so.
        bins: How many.

    Returns:
        0 to 1; NaN without answers.
    """
    sure, so = np.asarray(predicted, np.float64), np.asarray(right, np.float64)
    if not len(sure):
        return float("nan")
    order = np.argsort(sure, kind="stable")
    parts = np.array_split((sure - so)[order], bins)
    return float(sum(abs(part.sum()) for part in parts) / len(sure))


def reliability(predicted: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[tuple[float, Measured]]:
    """Mean predicted probability in percent, and how often it was so, bin by bin from the least sure."""
    order = np.argsort(np.asarray(predicted, np.float64), kind="stable")
    sure, so = np.asarray(predicted, np.float64)[order], np.asarray(right, np.bool_)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), bins) if len(part)]
    return [(100.0 * float(sure[part].mean()), recall_within(~so[part], 0.5)) for part in parts]


def reliability_rows(judged: Mapping[str, Sequence[Judged]], row: MakeRow) -> Iterator[Row]:
    """Rows of coverage and of calibration errors for each kind of query and for all, and of reliability for all.

    A method counts in those queries that it answers.

    Args:
        judged: For each query's name, what was judged.
        row: Makes a row from metric, query, method, unit and the number.
    """
    everything = {**judged, ALL: [one for some in judged.values() for one in some]}
    for query, some in everything.items():
        for method in dict.fromkeys(method for one in some for method in one.masses):
            masses = np.array([one.masses[method] for one in some if method in one.masses])
            for share in SHARES:
                yield row(f"coverage_{share}", query, method, "%", recall_within(masses, share / 100))
        for method in dict.fromkeys(method for one in some for method in one.claims):
            predicted, right = _claims(some, method)
            yield row("expected_calibration_error", query, method, "%", _measured_error(predicted, right))
            if query == ALL:
                for number, (sure, so) in enumerate(reliability(predicted, right), 1):
                    alone = Measured(sure, float("nan"), float("nan"), so.n)
                    yield row(f"predicted_bin_{number}", query, method, "%", alone)
                    yield row(f"right_bin_{number}", query, method, "%", so)


def _claims(some: Sequence[Judged], method: str) -> tuple[Numbers, Numbers]:
    pairs = np.array([pair for one in some for pair in one.claims.get(method, ())], np.float64)
    return pairs[:, 0], pairs[:, 1]


def _measured_error(predicted: Numbers, right: Numbers) -> Measured:
    """With a bootstrap over answers, shifted to the value: drawing anew adds to an error that cannot be negative."""
    value = 100.0 * calibration_error(predicted, right)
    draws = np.random.default_rng(0).integers(0, len(right), (RESAMPLES, len(right)))
    errors = [100.0 * calibration_error(predicted[draw], right[draw]) for draw in draws]
    low, middle, high = np.percentile(errors, [2.5, 50.0, 97.5])
    return Measured(value, max(0.0, value + float(low - middle)), value + float(high - middle), len(right))
