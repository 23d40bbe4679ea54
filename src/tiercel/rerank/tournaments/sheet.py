"""The sheet on which a tournament's questions and answers are written down."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tiercel.candidates.lists import CandidateList
from tiercel.rerank.judge import Cost, Judge, Preference
from tiercel.rerank.tournaments.outcome import Asked, Outcome, Position

Question = tuple[int, int]
"""Indices of two candidates in the order in which they are shown."""

_POSITIONS: dict[int, Position] = {1: "first", -1: "second", 0: ""}


class Sheet:
    """Puts questions about one photo's candidates to a judge, and keeps the answers.

    Attributes:
        judge: Who is asked.
        query: The photo with its candidates, in the first stage's order.
        count: How many candidates there are.
        asked: Questions and answers in their order.
        known: The answer to each question.
    """

    def __init__(self, judge: Judge, query: CandidateList) -> None:
        """An empty sheet."""
        self.judge = judge
        self.query = query
        self.count = len(query.candidates)
        self.asked: list[Asked] = []
        self.known: dict[Question, Preference] = {}

    def put(self, questions: Sequence[Question]) -> list[Preference]:
        """Asks, also what was asked before; all questions at once."""
        if not questions:
            return []
        shown = self.query.candidates
        answers = self.judge.prefer_each(self.query, [(shown[i], shown[j]) for i, j in questions])
        for (i, j), answer in zip(questions, answers, strict=True):
            self.asked.append(Asked(i, j, answer))
            self.known[i, j] = answer
        return answers

    def ask(self, questions: Sequence[Question]) -> list[Preference]:
        """Asks what was not asked before, all at once, and answers the rest from the sheet."""
        self.put([one for one in dict.fromkeys(questions) if one not in self.known])
        return [self.known[one] for one in questions]

    @property
    def readable(self) -> list[Asked]:
        """The questions that got an answer."""
        return [one for one in self.asked if one.answer.probability is not None]

    @property
    def unreadable(self) -> int:
        """How many questions got none."""
        return len(self.asked) - len(self.readable)

    @property
    def twice(self) -> list[tuple[float, float]]:
        """For each pair answered in both orders, the probabilities that the first shown is the better one."""
        known = {one: answer.probability for one, answer in self.known.items() if answer.probability is not None}
        return [(known[i, j], known[j, i]) for i, j in known if i < j and (j, i) in known]

    @property
    def consistency(self) -> float | None:
        """As in `Outcome`. Two answers that prefer neither agree."""
        twice = self.twice
        if not twice:
            return None
        return sum(_side(there) == -_side(back) for there, back in twice) / len(twice)

    @property
    def position(self) -> Position:
        """The position that every readable answer named; empty if there is none."""
        sides = {_side(one.answer.probability) for one in self.readable if one.answer.probability is not None}
        if len(sides) != 1:
            return ""
        return _POSITIONS[sides.pop()]

    @property
    def turned(self) -> Question:
        """The last question that got an answer, the other way round."""
        last = self.readable[-1]
        return last.second, last.first

    def outcome(self, order: Sequence[int], probability: float | None = None, trouble: str = "") -> Outcome:
        """What it came to, with all that the sheet tells."""
        return Outcome(
            tuple(int(one) for one in order),
            tuple(self.asked),
            cost=sum((one.answer.cost for one in self.asked), Cost()),
            unreadable=self.unreadable,
            consistency=self.consistency,
            probability=probability,
            constant=self.position if len(self.readable) > 1 else "",
            trouble=trouble,
        )


def _side(probability: float) -> int:
    """1 for the first shown, -1 for the second, 0 for neither."""
    return 0 if math.isclose(probability, 0.5) else (1 if probability > 0.5 else -1)
