"""The published selection sort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.errors import TiercelError
from tiercel.rerank.tournaments.sheet import Sheet
from tiercel.rerank.tournaments.tournament import Tournament


@dataclass(frozen=True)
class PaperSelection(Tournament):
    """A selection sort for the best few, as published (arXiv 2603.27251); kept to compare with.

    For each of the first places in turn, the candidate that stands there is the incumbent. It is compared with every
    one below it; one that is preferred becomes the incumbent. For three places and n >= 3 candidates that takes
    (n - 1) + (n - 2) + (n - 3) = 3n - 6 questions. The paper does not tell what becomes of the candidate whose place
    is taken; here the two change places, as in any selection sort.

    The incumbent is always shown first, and an unreadable answer is a win for it. So a judge that always names the
    first, or is never readable, reproduces the first stage's order, and its failures look like agreement. Nothing else
    here behaves so.

    Attributes:
        top: How many places are filled.
    """

    top: int = 3

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.top < 1:
            raise TiercelError(f"A selection of the best {self.top}: give at least 1.")

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return "paper"

    def questions(self, count: int) -> int:
        """The questions that so many candidates take."""
        return sum(range(max(count - self.top, 0), count))

    def decide(self, sheet: Sheet) -> tuple[Sequence[int], float | None]:
        """Sorts the best few to the top."""
        order = list(range(sheet.count))
        for place in range(min(self.top, sheet.count)):
            best = place
            for challenger in range(place + 1, sheet.count):
                # The same question may come again, and counts again: the paper's sort has no memory.
                [answer] = sheet.put([(order[best], order[challenger])])
                if answer.probability is not None and answer.probability < 0.5:
                    best = challenger
            order[place], order[best] = order[best], order[place]
        return order, None

    def _lost(self, sheet: Sheet) -> bool:
        """Unreadable answers are wins here."""
        return False
