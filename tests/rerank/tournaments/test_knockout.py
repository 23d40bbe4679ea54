import pytest

from tests.rerank.tournaments.made_up import Perfect, photo
from tiercel.rerank.tournaments import Knockout
from tiercel.rerank.tournaments.knockout import bracket


@pytest.mark.parametrize("count", range(2, 20))
def test_a_bracket_seats_everybody_and_keeps_the_best_apart(count) -> None:
    seats = bracket(count)
    assert sorted(seats) == list(range(len(seats))) and count <= len(seats) < 2 * count
    assert all(i + j == len(seats) - 1 for i, j in zip(seats[::2], seats[1::2], strict=True))
    assert (0 in seats[: len(seats) // 2]) != (1 in seats[: len(seats) // 2])


def test_losers_are_ranked_by_the_round_they_reached() -> None:
    # 3 beats 0 and 1 beats 2 in the first round, 3 beats 1 in the second.
    assert Knockout("single").run(Perfect([3, 1, 0, 2]), photo(4)).order == (3, 1, 0, 2)


def test_the_best_have_a_bye() -> None:
    outcome = Knockout("single").run(Perfect([2, 1, 0]), photo(3))
    assert [(one.first, one.second) for one in outcome.asked] == [(1, 2), (0, 2)]
    assert outcome.order == (2, 0, 1)
