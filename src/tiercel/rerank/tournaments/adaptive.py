"""Asks what tells most about the winner, until it is certain enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.rerank.tournaments.all_pairs import says_nothing
from tiercel.rerank.tournaments.bradley_terry import BradleyTerry, best_of
from tiercel.rerank.tournaments.log_odds import best_first, sigmoid
from tiercel.rerank.tournaments.sheet import Question, Sheet
from tiercel.rerank.tournaments.tournament import Tournament


@dataclass(frozen=True)
class Adaptive(Tournament):
    """Fits a Bradley-Terry model after each answer and asks next what tells most about who is the best.

    A question's worth is the information that its answer is expected to give about the winner (the mutual information
    of the two, as in active learning; Houlsby et al. 2011, arXiv 1112.5745), estimated from draws of the strengths and
    of the judge's preference for a position. Of a pair's two orders it takes the one that was not asked, or else
    the one that evens out who was shown first. It stops when the leader is the best with probability `certainty`, or
    when the budget is spent.

    A judge that names the same position every time is shown one pair the other way round, within the budget, before it
    is believed.

    Attributes:
        budget: The most questions, at least 2; if None, a third of what all pairs in both orders would take.
        certainty: Probability, 0 to 1.
        batch: How many of the best questions are asked at once: less well chosen, but a model answers them faster.
        model: Its prior, temperature and answer weight decide how soon the winner is certain.
    """

    budget: int | None = None
    certainty: float = 0.95
    batch: int = 1
    model: BradleyTerry = field(default_factory=BradleyTerry)

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.budget is not None and self.budget < 2:
            raise TiercelError(f"A budget of {self.budget} questions: give at least 2, to ask in both orders.")
        if not 0 < self.certainty <= 1:
            raise TiercelError(f"A certainty of {self.certainty}: give more than 0 and at most 1.")
        if self.batch < 1:
            raise TiercelError(f"A batch of {self.batch} questions: give at least 1.")

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return "adaptive"

    def questions(self, count: int) -> int:
        """The most questions that so many candidates take."""
        every = count * (count - 1)
        return min(every, max(2, -(-every // 3)) if self.budget is None else self.budget)

    def decide(self, sheet: Sheet) -> tuple[Sequence[int], float | None]:
        """Asks until the winner is certain."""
        prior = self.model.prior(sheet.query)
        budget = self.questions(sheet.count)
        strengths = None
        while True:
            strengths = self.model.fit(prior, sheet.readable, start=strengths)
            draws = strengths.draws()
            order = best_first(strengths.candidates)
            probability = float(best_of(draws).mean(axis=0)[order[0]])
            questions = self._next(sheet, draws, budget - len(sheet.asked), probability >= self.certainty)
            if not questions:
                break
            sheet.ask(questions)
        if sheet.readable and says_nothing(sheet.readable):
            return range(sheet.count), None
        return order, probability

    def _next(self, sheet: Sheet, draws: NDArray[np.float64], left: int, certain: bool) -> list[Question]:
        """What to ask with so many questions left; nothing when it is over."""
        if left <= 0:
            return []
        unchecked = bool(sheet.position) and not sheet.twice and sheet.turned not in sheet.known
        if unchecked and (certain or left == 1):
            return [sheet.turned]
        return [] if certain else most_informative(sheet, draws, min(self.batch, max(left - 1, 1)))


def most_informative(sheet: Sheet, draws: NDArray[np.float64], count: int) -> list[Question]:
    """The open questions that tell most about the winner, each about another pair, best first.

    Args:
        sheet: What was asked.
        draws: Of the strengths and the preference for a position, (draws, n + 1).
        count: At most so many.
    """
    questions = open_questions(sheet)
    if not questions:
        return []
    first, second = np.array(questions).T
    worth = information(sigmoid(draws[:, first] - draws[:, second] + draws[:, -1:]), best_of(draws))
    return [questions[one] for one in best_first(worth)[:count]]


def open_questions(sheet: Sheet) -> list[Question]:
    """For each pair that was not asked in both orders, the order to ask next."""
    n = sheet.count
    balance = np.zeros(n, int)  # how much more often first than second
    for one in sheet.asked:
        balance[one.first] += 1
        balance[one.second] -= 1
    questions = []
    for i in range(n):
        for j in range(i + 1, n):
            there, back = (i, j) in sheet.known, (j, i) in sheet.known
            if not (there and back):
                turn = there or (not back and balance[i] > balance[j])
                questions.append((j, i) if turn else (i, j))
    return questions


def information(chances: NDArray[np.float64], best: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the answers to questions are expected to tell about the winner, nats.

    Args:
        chances: (draws, questions) probability of the answer "first" if the strengths are as drawn.
        best: (draws, n) who is the best in each draw, 0 and 1.

    Returns:
        (questions,) the entropy of the answer, less its mean entropy where the winner is known.
    """
    often = best.sum(axis=0)
    given = (best.T @ chances) / np.maximum(often, 1.0)[:, None]
    gain: NDArray[np.float64] = _entropy(chances.mean(axis=0)) - (often / len(best)) @ _entropy(given)
    return gain


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(p, 1e-12, 1.0 - 1e-12)
    return -(p * np.log(p) + (1.0 - p) * np.log1p(-p))
