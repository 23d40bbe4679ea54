"""The knockout."""

from __future__ import annotations

from dataclasses import dataclass

from tiercel.rerank.tournaments.orders import Referee
from tiercel.rerank.tournaments.sorting import Sorting


@dataclass(frozen=True)
class Knockout(Sorting):
    """Who loses is out, and the pairs of a round are asked together: n - 1 pairs in ceil(log2 n) rounds.

    The first stage seeds it: its best two can meet in the last round only, and its best have a bye where the number of
    candidates is no power of two. Losers are ranked by the round they reached, and within it by the first stage.
    """

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return f"knockout-{self.orders}"

    def pairs(self, count: int) -> int:
        """The pairs that are compared."""
        return max(count - 1, 0)

    def sort(self, referee: Referee, count: int) -> list[int]:
        """The candidates, best first."""
        inside: list[int | None] = [seed if seed < count else None for seed in bracket(count)]
        out: list[int] = []
        while len(inside) > 1:
            ties = list(zip(inside[::2], inside[1::2], strict=True))
            referee.ask([(i, j) for i, j in ties if i is not None and j is not None])
            inside = [_winner(referee, *tie) for tie in ties]
            losers = sorted(one for tie in ties for one in tie if one is not None and one not in inside)
            out = losers + out
        return [one for one in inside if one is not None] + out


def bracket(count: int) -> list[int]:
    """Seeds from top to bottom of a bracket: neighbours meet, and the winners of neighbouring pairs after them.

    Its length is a power of two; seeds of `count` or more stand for nobody.
    """
    seeds = [0]
    while len(seeds) < count:
        size = 2 * len(seeds)
        seeds = [one for seed in seeds for one in (seed, size - 1 - seed)]
    return seeds


def _winner(referee: Referee, i: int | None, j: int | None) -> int | None:
    if i is None or j is None:
        return j if i is None else i
    return i if referee.better(i, j) else j
