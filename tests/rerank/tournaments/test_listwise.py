import pytest

from tests.rerank.tournaments.made_up import Perfect, photo
from tiercel.errors import TiercelError
from tiercel.rerank.judge import Judge, Ranking
from tiercel.rerank.tournaments import ByRanking


class Rankings(Judge):
    def __init__(self, *orders: tuple[int, ...] | None) -> None:
        self.orders = list(orders)

    def rank(self, query, candidates) -> Ranking:
        return Ranking(self.orders.pop(0), "Mumbles.")


def test_indices_are_of_the_candidates_as_shown() -> None:
    outcome = ByRanking("both").run(Perfect([2, 0, 1]), photo(3))
    assert outcome.order == (2, 0, 1)
    assert [one.order for one in outcome.rankings] == [(2, 0, 1), (0, 2, 1)]
    assert outcome.constant == ""


def test_ranks_add_up_and_ties_stay() -> None:
    # As shown: 1 0 2, and in reverse: 0 1 2. Ranks: 0 has 1 + 0, 1 has 0 + 1, 2 has 4.
    assert ByRanking("both").run(Rankings((1, 0, 2), (2, 1, 0)), photo(3)).order == (0, 1, 2)


def test_an_unreadable_ranking_leaves_the_first_stage() -> None:
    outcome = ByRanking("both").run(Rankings((2, 1, 0), None), photo(3))
    assert (outcome.order, outcome.unreadable) == ((0, 1, 2), 1)
    assert "1 of 2 answers were unreadable" in outcome.trouble


def test_settings_are_checked() -> None:
    with pytest.raises(TiercelError, match="single, both"):
        ByRanking("random")
