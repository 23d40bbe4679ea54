import pytest

from tests.rerank.tournaments.made_up import Fixed, Perfect, photo
from tiercel.errors import TiercelError
from tiercel.rerank.controls import AlwaysFirst
from tiercel.rerank.tournaments import Insertion, Sliding


def test_insertion_takes_n_minus_1_questions_if_the_judge_agrees_and_all_pairs_if_it_turns_the_order_round() -> None:
    assert len(Insertion("single").run(Perfect(range(7)), photo(7)).asked) == 6
    assert len(Insertion("single").run(Perfect(range(6, -1, -1)), photo(7)).asked) == 21


def test_one_lost_comparison_ends_a_climb() -> None:
    # 3 would beat 0, but 2 stops it.
    assert Insertion("single").run(Fixed(lambda a, b: float((a, b) != (0, 3))), photo(4)).order == (0, 1, 2, 3)


def test_each_pass_carries_one_more_to_its_place() -> None:
    worst_first = Perfect([4, 3, 2, 1, 0])
    assert Sliding("single", passes=1).run(worst_first, photo(5)).order == (4, 0, 1, 2, 3)
    assert Sliding("single", passes=2).run(worst_first, photo(5)).order == (4, 3, 0, 1, 2)


def test_a_pass_asks_no_pair_again() -> None:
    outcome = Sliding("single", passes=3).run(AlwaysFirst(), photo(6))
    assert len(outcome.asked) == 5  # the second and third pass meet the same neighbours


def test_half_an_answer_moves_nothing() -> None:
    # 1 wins where it is shown first; the other order is unreadable.
    outcome = Insertion("both").run(Fixed(lambda a, b: 1.0 if a > b else None), photo(2))
    assert (outcome.order, outcome.unreadable, outcome.trouble) == ((0, 1), 1, "")


def test_a_clear_answer_outweighs_a_doubtful_one_in_the_other_order() -> None:
    # Both name the first, yet the one for 1 is clearer.
    assert Insertion("both").run(Fixed(lambda a, b: 0.9 if a > b else 0.6), photo(2)).order == (1, 0)


def test_with_random_orders_one_more_question_tells_a_judge_that_looks_from_one_that_does_not() -> None:
    for name in (f"{number}.jpg" for number in range(8)):
        turned = Insertion("random").run(Perfect([1, 0]), photo(2, name=name))
        assert (turned.order, len(turned.asked), turned.consistency) == ((1, 0), 2, 1.0)
        blind = Insertion("random").run(AlwaysFirst(), photo(2, name=name))
        assert (blind.order, len(blind.asked), blind.consistency) == ((0, 1), 2, 0.0)


def test_settings_are_checked() -> None:
    with pytest.raises(TiercelError, match="at least 1"):
        Sliding(passes=0)
    with pytest.raises(TiercelError, match="choose from single, both, random"):
        Insertion("twice")
