"""In which order two candidates are shown, and what their answers come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.rerank.seeds import seed_of
from tiercel.rerank.tournaments.log_odds import log_odds
from tiercel.rerank.tournaments.sheet import Question, Sheet

Orders = Literal["single", "both", "random"]
"""`single` shows the one that the first stage ranks better first; `both` asks about each pair twice; `random` shows
either first, by a chance that hangs on the photo's path, each candidate first about as often as second."""


def check_orders(orders: str) -> None:
    """Complains about a word that is none of `Orders`."""
    if orders not in get_args(Orders):
        raise TiercelError(f"There are no orders {orders!r}: choose from {', '.join(get_args(Orders))}.")


def balanced(count: int, seed: int) -> NDArray[np.bool_]:
    """Which of two is shown first, so that each is first as often as second, give or take one.

    The candidates sit around a table at random, and each is shown before those in the half circle to its left.

    Returns:
        (count, count), true where the row's candidate comes before the column's.
    """
    seat = np.random.default_rng(seed).permutation(count)
    ahead = (seat[None, :] - seat[:, None]) % count
    opposite = (2 * ahead == count) & (seat[:, None] < seat[None, :])
    before: NDArray[np.bool_] = ((ahead > 0) & (2 * ahead < count)) | opposite
    return before


class Referee:
    """Shows pairs to the judge in the right order or orders.

    Attributes:
        sheet: Where the answers are.
        orders: Which order.
    """

    def __init__(self, sheet: Sheet, orders: Orders) -> None:
        """One for the candidates of one photo."""
        self.sheet = sheet
        self.orders = orders
        self._before = balanced(sheet.count, seed_of(sheet.query))

    def questions(self, i: int, j: int) -> list[Question]:
        """What is asked about two candidates."""
        if self.orders == "both":
            return [(i, j), (j, i)]
        first = i < j if self.orders == "single" else self._before[i, j]
        return [(i, j) if first else (j, i)]

    def ask(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Asks about pairs, all at once."""
        self.sheet.ask([question for pair in pairs for question in self.questions(*pair)])

    def margin(self, i: int, j: int) -> float:
        """Log-odds that i is the better match than j, as asked before; 0 where an answer is unreadable.

        Of both orders the mean counts, so that a preference for a position cancels. That takes both answers.
        """
        sides = []
        for first, second in self.questions(i, j):
            probability = self.sheet.known[first, second].probability
            if probability is None:
                return 0.0
            sides.append(float(log_odds(probability)) * (1 if first == i else -1))
        return sum(sides) / len(sides)

    def better(self, i: int, j: int) -> bool:
        """Whether i is a better match than j; asks if need be. Between equals the first stage decides."""
        self.ask([(i, j)])
        margin = self.margin(i, j)
        return margin > 0 if abs(margin) > 1e-9 else i < j

    def nothing_seen(self) -> bool:
        """Whether the judge just names a position, which random orders cannot tell from bad luck.

        So if every answer named the same position, one more question shows the last pair the other way round. A judge
        that looks changes its answer; if it does not, all that was decided was decided by the order of showing.
        """
        if self.orders != "random" or not self.sheet.position:
            return False
        self.sheet.ask([self.sheet.turned])
        return bool(self.sheet.position)


def questions_for(pairs: int, orders: Orders) -> int:
    """The most questions that a number of pairs takes."""
    return {"single": pairs, "both": 2 * pairs, "random": pairs + (pairs > 0)}[orders]
