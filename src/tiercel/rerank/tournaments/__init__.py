"""Tournaments: which candidates a judge is asked about, in what order, and what its answers come to.

A `Tournament` runs on a judge and a photo's candidates and gives an `Outcome`; `tournament` finds one by its name. All
but `PaperSelection` hold to two rules. An unreadable answer is never a vote. And a judge that always names the same
position, asked in both orders or in random ones, changes nothing and is told of.
"""

from tiercel.rerank.tournaments.adaptive import Adaptive
from tiercel.rerank.tournaments.all_pairs import AllPairs
from tiercel.rerank.tournaments.bradley_terry import BradleyTerry, Strengths
from tiercel.rerank.tournaments.knockout import Knockout
from tiercel.rerank.tournaments.listwise import ByRanking
from tiercel.rerank.tournaments.names import tournament, tournament_names
from tiercel.rerank.tournaments.outcome import Asked, Outcome
from tiercel.rerank.tournaments.paper import PaperSelection
from tiercel.rerank.tournaments.pointwise import ByScore
from tiercel.rerank.tournaments.sorting import Insertion, Sliding
from tiercel.rerank.tournaments.tournament import Tournament

__all__ = [
    "Adaptive", "AllPairs", "Asked", "BradleyTerry", "ByRanking", "ByScore", "Insertion", "Knockout", "Outcome",
    "PaperSelection", "Sliding", "Strengths", "Tournament", "tournament", "tournament_names",
]  # fmt: skip
