"""What every tournament has in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.candidates.lists import CandidateList
from tiercel.rerank.judge import Judge
from tiercel.rerank.tournaments.outcome import Outcome
from tiercel.rerank.tournaments.sheet import Sheet

MOST_UNREADABLE = 0.5
"""Where a larger share of the answers is unreadable, the first stage's order stands."""


@dataclass(frozen=True)
class Tournament:
    """Asks a judge about a photo's candidates and puts them in a new order.

    The candidates come in the first stage's order, and where the answers say nothing, that order stands. An unreadable
    answer is never a vote.
    """

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        raise NotImplementedError

    def questions(self, count: int) -> int:
        """The most questions that so many candidates take."""
        raise NotImplementedError

    def run(self, judge: Judge, query: CandidateList) -> Outcome:
        """Decides among the candidates of a photo.

        Args:
            judge: It is asked about two candidates at a time, unless the tournament says otherwise.
            query: The photo, its candidates in the first stage's order.
        """
        sheet = Sheet(judge, query)
        if sheet.count < 2:
            return sheet.outcome(range(sheet.count))
        order, probability = self.decide(sheet)
        if self._lost(sheet):
            why = next(one.answer.trouble for one in sheet.asked if one.answer.probability is None)
            trouble = first_stage_stands(sheet.unreadable, len(sheet.asked), why)
            return sheet.outcome(range(sheet.count), trouble=trouble)
        return sheet.outcome(order, probability)

    def decide(self, sheet: Sheet) -> tuple[Sequence[int], float | None]:
        """Asks, and puts two or more candidates in order.

        Returns:
            Indices of the candidates, best first, and the probability that the first of them is the best, if the
            tournament has one.
        """
        raise NotImplementedError

    def _lost(self, sheet: Sheet) -> bool:
        """Whether too many answers are unreadable."""
        return sheet.unreadable > MOST_UNREADABLE * len(sheet.asked)


def first_stage_stands(unreadable: int, asked: int, why: str) -> str:
    """Says that too many answers are unreadable, and why the first of them is."""
    example = f" The first of them: {why}" if why else ""
    return f"The first stage's order stands, because {unreadable} of {asked} answers were unreadable.{example}"
