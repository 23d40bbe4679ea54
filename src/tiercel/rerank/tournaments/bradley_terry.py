"""How good each candidate is, given the answers about pairs and the first stage's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.candidates.lists import CandidateList
from tiercel.errors import TiercelError
from tiercel.rerank.tournaments.log_odds import CLIP, log_odds_of, sigmoid
from tiercel.rerank.tournaments.outcome import Asked

PriorScale = Literal["standard", "log_probability"]
"""`standard` brings the first stage's scores to mean 0 and standard deviation 1 within a list, for scores of any kind;
`log_probability` takes them as they are."""

DRAWS = 512
"""Strengths are drawn so many times to see who is the best."""

_STEPS = 50  # Newton's method takes about five


@dataclass(frozen=True)
class BradleyTerry:
    """The model of Bradley and Terry (1952), with a prior and with a preference for a position.

    The log-odds that candidate i, shown first, is preferred to j are s_i - s_j + b. The strengths s have a normal prior
    around the first stage's scores, and the preference b for what is shown first has one around 0. An answer of
    probability p counts as p of a win and 1 - p of a defeat, `answer_weight` times.

    Attributes:
        prior_weight: Of the first stage's scores: the prior's mean is so many times the scaled score.
        prior_scale: How scores are scaled. Where a score is missing or not finite, the logarithm of the rank stands for
            all of them.
        prior_spread: Standard deviation of a strength around its mean, log-odds. The smaller it is, the more the first
            stage has to say.
        bias_spread: Standard deviation of b.
        temperature: The judge's log-odds are divided by it: above 1 if the judge is too certain of itself.
        clip: Log-odds of the most certain answer that is believed.
        answer_weight: How many comparisons an answer counts as. At 1, a judge's probability is worth no more than one
            game; where judges are reliable that leaves the winner less certain than it is.

    Raises:
        TiercelError: A value is out of range.
    """

    prior_weight: float = 1.0
    prior_scale: PriorScale = "standard"
    prior_spread: float = 2.0
    bias_spread: float = 2.0
    temperature: float = 1.0
    clip: float = CLIP
    answer_weight: float = 1.0

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.prior_weight < 0:
            raise TiercelError(f"prior_weight is {self.prior_weight}: give 0 or more.")
        for name in ("prior_spread", "bias_spread", "temperature", "clip", "answer_weight"):
            if not getattr(self, name) > 0:
                raise TiercelError(f"{name} is {getattr(self, name)}: give more than 0.")
        if self.prior_scale not in get_args(PriorScale):
            choices = ", ".join(get_args(PriorScale))
            raise TiercelError(f"There is no prior_scale {self.prior_scale!r}: choose from {choices}.")

    def prior(self, query: CandidateList) -> NDArray[np.float64]:
        """The mean of each strength before anything is asked, (n,) log-odds; never rising, sum 0."""
        return self.prior_weight * scaled_scores(query, self.prior_scale)

    def fit(
        self, prior: ArrayLike, asked: Sequence[Asked], *, bias: bool = True, start: Strengths | None = None
    ) -> Strengths:
        """The likeliest strengths and the normal distribution around them (Laplace's approximation).

        Args:
            prior: Mean of each strength, (n,).
            asked: Readable answers.
            bias: Whether to fit b. It takes questions that show the better ranked now first, now second.
            start: Strengths near which to look.
        """
        mean = np.append(np.asarray(prior, np.float64), 0.0)
        spread = np.append(np.full(len(mean) - 1, self.prior_spread), self.bias_spread)
        rows = comparisons(asked, len(mean) - 1, bias)
        wins = sigmoid(log_odds_of(asked, self.temperature, self.clip))
        # Dividing the prior and the answers by one number moves nothing; only the spread has to be scaled back.
        weight = self.answer_weight
        fitted = _newton(rows, wins, mean, spread**-2 / weight, mean if start is None else start.mean)
        return Strengths(fitted.mean, fitted.covariance / weight)


@dataclass(frozen=True, eq=False)
class Strengths:
    """How good the candidates are, as far as is known: a normal distribution.

    Attributes:
        mean: (n + 1,) the n strengths, and the preference for what is shown first, log-odds.
        covariance: (n + 1, n + 1).
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def candidates(self) -> NDArray[np.float64]:
        """The n strengths."""
        return self.mean[:-1]

    @property
    def bias(self) -> float:
        """The preference for what is shown first."""
        return float(self.mean[-1])

    def draws(self) -> NDArray[np.float64]:
        """`DRAWS` draws, (`DRAWS`, n + 1): the same chance every time."""
        root = np.linalg.cholesky(self.covariance)
        return np.asarray(self.mean + _normal(len(self.mean)) @ root.T)


def best_of(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Who is the best in each draw, (draws, n) of 0 and 1; the mean over the draws is the probability."""
    strengths = draws[:, :-1]
    return np.asarray(np.eye(strengths.shape[1])[strengths.argmax(axis=1)])


def scaled_scores(query: CandidateList, scale: PriorScale = "standard") -> NDArray[np.float64]:
    """The first stage's scores, (n,), with mean 0; see `BradleyTerry` for how they are scaled.

    They never rise down the list: the list's order is the first stage's word, whatever its scores are.
    """
    scores = np.array([np.nan if one.score is None else one.score for one in query.candidates], np.float64)
    if not np.isfinite(scores).all():
        scores = -np.log1p(np.arange(len(scores)))
    if not len(scores):
        return scores
    scores = np.minimum.accumulate(scores)
    scores = scores - scores.mean()
    return np.asarray(scores / (scores.std() or 1.0) if scale == "standard" else scores)


def comparisons(asked: Sequence[Asked], count: int, bias: bool = True) -> NDArray[np.float64]:
    """A row an answer: 1 for the first shown, -1 for the second, and whether b counts; (answers, n + 1)."""
    rows = np.arange(len(asked))
    design = np.zeros((len(asked), count + 1))
    design[rows, [one.first for one in asked]] = 1.0
    design[rows, [one.second for one in asked]] = -1.0
    design[:, -1] = float(bias)
    return design


def _newton(
    design: NDArray[np.float64],
    wins: NDArray[np.float64],
    mean: NDArray[np.float64],
    precision: NDArray[np.float64],
    start: NDArray[np.float64],
) -> Strengths:
    """Newton's method on the logarithm of the posterior, which is concave."""

    def value(at: NDArray[np.float64]) -> float:
        z = design @ at
        return float(wins @ z - np.logaddexp(0.0, z).sum() - 0.5 * precision @ (at - mean) ** 2)

    def curvature(chance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((design.T * (chance * (1.0 - chance))) @ design + np.diag(precision))

    at = start
    for _ in range(_STEPS):
        chance = sigmoid(design @ at)
        step = np.linalg.solve(curvature(chance), design.T @ (wins - chance) - precision * (at - mean))
        here = value(at)
        while value(at + step) < here - 1e-9:  # too far: only where answers and prior disagree by much
            step = 0.5 * step
        at = at + step
        if np.abs(step).max() < 1e-9:
            break
    return Strengths(at, np.asarray(np.linalg.inv(curvature(sigmoid(design @ at))), np.float64))


@lru_cache(maxsize=64)
def _normal(width: int) -> NDArray[np.float64]:
    """Standard normal numbers, (`DRAWS`, width), each with its negative so that their mean is 0."""
    half = np.random.default_rng(0).standard_normal((DRAWS // 2, width))
    return np.concatenate([half, -half])
