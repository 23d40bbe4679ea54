"""Sorting by comparisons: insertion and sliding windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.errors import TiercelError
from tiercel.rerank.tournaments.orders import Orders, Referee, check_orders, questions_for
from tiercel.rerank.tournaments.sheet import Sheet
from tiercel.rerank.tournaments.tournament import Tournament


@dataclass(frozen=True)
class Sorting(Tournament):
    """A tournament in which each answer decides who is compared next.

    What was asked about a pair once is not asked again. With random orders, a judge that names the same position
    throughout is asked one question more, and if it names it again the first stage's order stands.

    Attributes:
        orders: In which order or orders a pair is shown.
    """

    orders: Orders = "both"

    def __post_init__(self) -> None:
        """Checks the values."""
        check_orders(self.orders)

    def questions(self, count: int) -> int:
        """The most questions that so many candidates take."""
        return questions_for(self.pairs(count), self.orders)

    def decide(self, sheet: Sheet) -> tuple[Sequence[int], float | None]:
        """Sorts, unless the judge names positions only."""
        referee = Referee(sheet, self.orders)
        order = self.sort(referee, sheet.count)
        return (range(sheet.count) if referee.nothing_seen() else order), None

    def pairs(self, count: int) -> int:
        """The most pairs that are compared."""
        raise NotImplementedError

    def sort(self, referee: Referee, count: int) -> list[int]:
        """The candidates, best first."""
        raise NotImplementedError


@dataclass(frozen=True)
class Insertion(Sorting):
    """Linear insertion: from the top down, each candidate climbs past those above it as long as it wins.

    n candidates take n - 1 pairs where the judge agrees with the first stage and n(n - 1)/2 where it turns its order
    round. One lost comparison ends a climb, so a judge that errs now and then changes little.
    """

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return f"insertion-{self.orders}"

    def pairs(self, count: int) -> int:
        """The most pairs that are compared."""
        return count * (count - 1) // 2

    def sort(self, referee: Referee, count: int) -> list[int]:
        """The candidates, best first."""
        order: list[int] = []
        for one in range(count):
            place = len(order)
            while place and referee.better(one, order[place - 1]):
                place -= 1
            order.insert(place, one)
        return order


@dataclass(frozen=True)
class Sliding(Sorting):
    """Passes from the bottom to the top, each of which carries the best of what it meets upwards.

    Pairwise ranking prompting with a sliding window (PRP-Sliding-K; Qin et al. 2023, arXiv 2306.17563). K passes over n
    candidates compare at most (n - 1) + (n - 2) + ... + (n - K) pairs and find the K best.

    Attributes:
        passes: K.
    """

    passes: int = 3

    def __post_init__(self) -> None:
        """Checks the values."""
        super().__post_init__()
        if self.passes < 1:
            raise TiercelError(f"{self.passes} passes: give at least 1.")

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return f"sliding-{self.orders}"

    def pairs(self, count: int) -> int:
        """The most pairs that are compared."""
        return sum(range(max(count - self.passes, 0), count))

    def sort(self, referee: Referee, count: int) -> list[int]:
        """The candidates, best first."""
        order = list(range(count))
        for top in range(min(self.passes, count)):
            for place in range(count - 1, top, -1):
                if referee.better(order[place], order[place - 1]):
                    order[place - 1], order[place] = order[place], order[place - 1]
        return order
