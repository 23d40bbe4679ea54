"""Candidates scored one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tiercel.candidates.lists import CandidateList
from tiercel.errors import TiercelError
from tiercel.rerank.judge import Cost, Judge, Score
from tiercel.rerank.tournaments.bradley_terry import PriorScale, scaled_scores
from tiercel.rerank.tournaments.log_odds import best_first
from tiercel.rerank.tournaments.outcome import Outcome
from tiercel.rerank.tournaments.tournament import MOST_UNREADABLE, Tournament, first_stage_stands


@dataclass(frozen=True)
class ByScore(Tournament):
    """Orders candidates by the judge's scores of each alone, and equal ones as the first stage does: n questions.

    A candidate whose score is unreadable keeps its place; the others are sorted among the places that remain.

    Attributes:
        prior_weight: So many points, of 100, for each standard deviation of the first stage's score.
        prior_scale: How its scores are scaled, see `BradleyTerry`.
    """

    prior_weight: float = 0.0
    prior_scale: PriorScale = "standard"

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.prior_weight < 0:
            raise TiercelError(f"prior_weight is {self.prior_weight}: give 0 or more.")

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return "scores"

    def questions(self, count: int) -> int:
        """The questions that so many candidates take."""
        return count if count > 1 else 0

    def run(self, judge: Judge, query: CandidateList) -> Outcome:
        """Has every candidate scored, and sorts."""
        count = len(query.candidates)
        scores = judge.score_each(query, query.candidates) if count > 1 else []
        outcome = Outcome(
            tuple(range(count)),
            scores=tuple(scores),
            cost=sum((one.cost for one in scores), Cost()),
            unreadable=sum(one.value is None for one in scores),
        )
        if outcome.unreadable > MOST_UNREADABLE * len(scores):
            why = next(one.trouble for one in scores if one.value is None)
            return replace(outcome, trouble=first_stage_stands(outcome.unreadable, count, why))
        return replace(outcome, order=sorted_scores(scores, self._bonus(query))) if scores else outcome

    def _bonus(self, query: CandidateList) -> NDArray[np.float64]:
        return self.prior_weight * scaled_scores(query, self.prior_scale)


def sorted_scores(scores: list[Score], bonus: NDArray[np.float64]) -> tuple[int, ...]:
    """Indices by falling score and bonus together; those without a score keep their places."""
    readable = [one for one, score in enumerate(scores) if score.value is not None]
    values = [float(scores[one].value or 0.0) + bonus[one] for one in readable]
    order = list(range(len(scores)))
    for place, one in zip(readable, best_first(values), strict=True):
        order[place] = readable[one]
    return tuple(order)
