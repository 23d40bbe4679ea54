import pytest

from tests.rerank.tournaments.made_up import Fixed, photo
from tiercel.errors import TiercelError
from tiercel.rerank.controls import AlwaysFirst, RandomJudge
from tiercel.rerank.tournaments import PaperSelection


@pytest.mark.parametrize("count", range(3, 21))
def test_three_places_take_3n_minus_6_questions(count) -> None:
    assert len(PaperSelection().run(RandomJudge(), photo(count)).asked) == 3 * count - 6


@pytest.mark.parametrize("judge", [AlwaysFirst(), Fixed(lambda a, b: None), Fixed(lambda a, b: 0.5)])
def test_always_first_and_never_readable_both_reproduce_the_first_stage(judge) -> None:
    outcome = PaperSelection().run(judge, photo(6))
    assert outcome.order == tuple(range(6))
    assert outcome.trouble == ""


def test_by_hand() -> None:
    # 2 beats everything, 1 beats 0: the places of those who rise are taken by those they beat.
    worth = {0: 1, 1: 2, 2: 3, 3: 0}
    outcome = PaperSelection().run(Fixed(lambda a, b: float(worth[a] > worth[b])), photo(4))
    assert [(one.first, one.second) for one in outcome.asked] == [(0, 1), (1, 2), (2, 3), (1, 0), (1, 3), (0, 3)]
    assert outcome.order == (2, 1, 0, 3)


def test_the_displaced_changes_places_with_the_winner() -> None:
    outcome = PaperSelection(top=1).run(Fixed(lambda a, b: float(b != 3)), photo(5))
    assert outcome.order == (3, 1, 2, 0, 4)


def test_the_incumbent_is_always_shown_first_even_if_it_came_from_below() -> None:
    outcome = PaperSelection(top=1).run(Fixed(lambda a, b: 0.0), photo(4))
    assert [(one.first, one.second) for one in outcome.asked] == [(0, 1), (1, 2), (2, 3)]
    assert outcome.constant == "second"


def test_a_selection_of_nothing_is_refused() -> None:
    with pytest.raises(TiercelError, match="at least 1"):
        PaperSelection(top=0)
