"""What a tournament comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tiercel.rerank.judge import Cost, Preference, Ranking, Score

Position = Literal["first", "second", ""]


class Asked(NamedTuple):
    """A question and its answer.

    Attributes:
        first: Index of the candidate shown first.
        second: Index of the other.
        answer: To whether the first is the better match.
    """

    first: int
    second: int
    answer: Preference


@dataclass(frozen=True)
class Outcome:
    """A new order of a photo's candidates, and how it came about.

    Attributes:
        order: Indices of the candidates, best first, each once.
        asked: Every question about two candidates, in the order in which they were asked.
        scores: Of each candidate in the first stage's order, where candidates were scored one by one.
        rankings: Where candidates were ranked together: the answers, each about the candidates as they were shown.
        cost: Of all answers together.
        unreadable: How many answers were unreadable.
        consistency: Among the pairs that were asked in both orders and answered readably, the share whose answer
            followed the candidates when they changed places; None if there is no such pair.
        probability: That the first of `order` is the best, where the tournament says so.
        constant: The position that every readable answer named, if there are two answers or more: `first` or `second`;
            empty otherwise. Where no pair was asked in both orders, a judge that agrees with the first stage
            throughout looks the same as one that looks at nothing; only many photos tell them apart. For rankings,
            `first` is the order as shown and `second` its reverse.
        trouble: Why the first stage's order stands whatever was answered, in one sentence; empty if it does not.
    """

    order: tuple[int, ...]
    asked: tuple[Asked, ...] = ()
    scores: tuple[Score, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    cost: Cost = field(default_factory=Cost)
    unreadable: int = 0
    consistency: float | None = None
    probability: float | None = None
    constant: Position = ""
    trouble: str = ""
