"""Candidates ranked all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tiercel.candidates.lists import CandidateList
from tiercel.errors import TiercelError
from tiercel.rerank.judge import Cost, Judge, Ranking
from tiercel.rerank.tournaments.log_odds import best_first
from tiercel.rerank.tournaments.outcome import Outcome, Position
from tiercel.rerank.tournaments.tournament import Tournament, first_stage_stands


@dataclass(frozen=True)
class ByRanking(Tournament):
    """Takes the judge's ranking of all candidates together: 1 question, or 2 for both orders.

    Attributes:
        orders: `single` shows the candidates in the first stage's order; `both` shows them in the reverse order as well
            and adds up the ranks, so that a judge that repeats what it is shown changes nothing; that takes both
            answers.
    """

    orders: Literal["single", "both"] = "both"

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.orders not in ("single", "both"):
            raise TiercelError(f"Rankings know no orders {self.orders!r}: choose from single, both.")

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return f"ranking-{self.orders}"

    def questions(self, count: int) -> int:
        """The questions that so many candidates take."""
        return len(self._showings(count)) if count > 1 else 0

    def run(self, judge: Judge, query: CandidateList) -> Outcome:
        """Has all candidates ranked together."""
        count = len(query.candidates)
        showings = self._showings(count) if count > 1 else []
        rankings = [judge.rank(query, [query.candidates[one] for one in shown]) for shown in showings]
        outcome = Outcome(
            tuple(range(count)),
            rankings=tuple(rankings),
            cost=sum((one.cost for one in rankings), Cost()),
            unreadable=sum(one.order is None for one in rankings),
            constant=_constant(rankings),
        )
        # Half an answer would bring its preference for a position along.
        if outcome.unreadable:
            why = next(one.trouble for one in rankings if one.order is None)
            return replace(outcome, trouble=first_stage_stands(outcome.unreadable, len(rankings), why))
        return replace(outcome, order=_together(showings, rankings, count))

    def _showings(self, count: int) -> list[list[int]]:
        forward = list(range(count))
        return [forward, forward[::-1]] if self.orders == "both" else [forward]


def _together(showings: Sequence[Sequence[int]], rankings: Sequence[Ranking], count: int) -> tuple[int, ...]:
    """Indices by the sum of their ranks (Borda 1781); equal ones in the first stage's order."""
    ranks = np.zeros(count)
    for shown, ranking in zip(showings, rankings, strict=True):
        for rank, one in enumerate(ranking.order or ()):
            ranks[shown[one]] += rank
    return tuple(best_first(-ranks))


def _constant(rankings: Sequence[Ranking]) -> Position:
    """Whether every readable ranking repeats what was shown, or reverses it."""
    orders = [list(one.order) for one in rankings if one.order is not None]
    if orders and all(order == sorted(order) for order in orders):
        return "first"
    return "second" if orders and all(order == sorted(order, reverse=True) for order in orders) else ""
