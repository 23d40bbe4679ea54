import pytest

from tiercel.errors import TiercelError
from tiercel.rerank.tournaments import Adaptive, AllPairs, BradleyTerry, Sliding, tournament, tournament_names


@pytest.mark.parametrize("name", tournament_names())
def test_a_full_name_is_the_name_of_what_it_makes(name) -> None:
    assert tournament(name).name == name


def test_what_is_left_out_has_its_default() -> None:
    assert tournament("all_pairs-random") == AllPairs("random")
    assert tournament("sliding", passes=2) == Sliding("both", passes=2)


def test_settings_reach_the_tournament_and_its_model() -> None:
    made = tournament("adaptive", budget=7, temperature=2.0, prior_spread=1.0)
    assert made == Adaptive(budget=7, model=BradleyTerry(temperature=2.0, prior_spread=1.0))


@pytest.mark.parametrize("name", ["elo", "", "all_pairs-", "knockout-both-wins", "ranking-random", "paper-both"])
def test_an_unknown_name_lists_the_choices(name) -> None:
    with pytest.raises(TiercelError, match=r"There is no tournament .* paper, .*all_pairs-both-log_odds"):
        tournament(name)


def test_an_unknown_setting_lists_the_choices() -> None:
    with pytest.raises(TiercelError, match=r"has no setting depth: choose from orders, passes"):
        tournament("sliding", depth=3)
