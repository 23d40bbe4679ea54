import pytest

from tests.rerank.tournaments.made_up import photo
from tiercel.errors import TiercelError
from tiercel.rerank.judge import Cost, Judge, Score
from tiercel.rerank.tournaments import ByScore


class Scores(Judge):
    def __init__(self, *values: float | None) -> None:
        self.values = values

    def score_each(self, query, candidates) -> list[Score]:
        return [Score(self.values[one.cell], "Mumbles.", cost=Cost(calls=1)) for one in candidates]


def test_the_highest_score_comes_first_and_ties_stay() -> None:
    outcome = ByScore().run(Scores(50, 80, 50, 90), photo(4))
    assert outcome.order == (3, 1, 0, 2)
    assert [one.value for one in outcome.scores] == [50, 80, 50, 90]
    assert outcome.cost.calls == 4


def test_an_unreadable_score_keeps_its_place() -> None:
    outcome = ByScore().run(Scores(10, None, 90, 50), photo(4))
    assert (outcome.order, outcome.unreadable, outcome.trouble) == ((2, 1, 3, 0), 1, "")


def test_too_many_unreadable_scores_leave_the_first_stage() -> None:
    outcome = ByScore().run(Scores(None, None, 90), photo(3))
    assert outcome.order == (0, 1, 2)
    assert "2 of 3 answers were unreadable" in outcome.trouble and "Mumbles." in outcome.trouble


def test_the_first_stage_is_worth_so_many_points() -> None:
    query = photo(2, [1.0, -1.0])  # one standard deviation either side
    assert ByScore(prior_weight=5.0).run(Scores(50, 59), query).order == (0, 1)
    assert ByScore(prior_weight=5.0).run(Scores(50, 61), query).order == (1, 0)
    with pytest.raises(TiercelError, match="prior_weight"):
        ByScore(prior_weight=-1)
