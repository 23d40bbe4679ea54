import numpy as np
import pytest

from tests.rerank.tournaments.made_up import Fixed, Noisy, photo
from tiercel.errors import TiercelError
from tiercel.rerank.tournaments import AllPairs, BradleyTerry

CYCLE = {(0, 1): 0.9, (1, 2): 0.9, (0, 2): 0.05}  # 0 beats 1, 1 beats 2, 2 beats 0 most clearly


def cyclic(a: int, b: int) -> float:
    return CYCLE[a, b] if a < b else 1 - CYCLE[b, a]


def test_wins_tie_where_log_odds_do_not() -> None:
    assert AllPairs("both", "wins").run(Fixed(cyclic), photo(3)).order == (0, 1, 2)
    assert AllPairs("both", "log_odds").run(Fixed(cyclic), photo(3)).order == (2, 1, 0)


def test_one_clear_answer_counts_no_more_than_the_clip() -> None:
    # 1 beats 0 beyond doubt; 0 beats 2 and 2 beats 1, each with log-odds of 2.
    odds = {(0, 1): -50.0, (0, 2): 2.0, (1, 2): -2.0}
    judge = Fixed(lambda a, b: 1 / (1 + np.exp(-(odds[a, b] if a < b else -odds[b, a]))))
    assert AllPairs("both", "log_odds", BradleyTerry(clip=8.0)).run(judge, photo(3)).order == (1, 2, 0)
    assert AllPairs("both", "log_odds", BradleyTerry(clip=1.0)).run(judge, photo(3)).order == (0, 1, 2)


@pytest.mark.parametrize("aggregation", ["wins", "log_odds", "bradley_terry"])
@pytest.mark.parametrize("orders", ["both", "random"])
@pytest.mark.parametrize("count", [2, 3, 6, 7])
def test_a_bias_stronger_than_every_difference_is_cancelled(orders, aggregation, count) -> None:
    strengths = np.linspace(0.0, 0.8, count)  # every answer names the first: what tells is by how much
    model = BradleyTerry(prior_weight=0.0, prior_spread=5.0)
    outcome = AllPairs(orders, aggregation, model).run(Noisy(strengths, bias=1.5), photo(count))
    assert outcome.constant == "first"
    if count > 2 or orders == "both":
        assert outcome.order == tuple(range(count))[::-1]


def test_a_single_order_is_led_astray_by_the_same_bias() -> None:
    outcome = AllPairs("single", "wins").run(Noisy([0.0, 0.4, 0.8], bias=1.5), photo(3))
    assert outcome.order == (0, 1, 2)


def test_the_first_stage_outweighs_doubtful_answers_but_not_certain_ones() -> None:
    query = photo(3, [3.0, 0.0, -3.0])
    doubtful = Fixed(lambda a, b: 0.45 if a < b else 0.55)
    certain = Fixed(lambda a, b: float(a > b))
    assert AllPairs("both").run(doubtful, query).order == (0, 1, 2)
    assert AllPairs("both").run(certain, query).order == (2, 1, 0)
    assert AllPairs("both", model=BradleyTerry(prior_weight=0)).run(doubtful, query).order == (2, 1, 0)


def test_only_the_model_tells_how_certain_the_winner_is() -> None:
    judge = Noisy([3.0, 0.0, 0.0])
    certain = AllPairs("both").run(judge, photo(3)).probability
    doubtful = AllPairs("both").run(Noisy([0.1, 0.0, 0.0]), photo(3)).probability
    assert 1 / 3 < doubtful < certain < 1
    assert AllPairs("both", "wins").run(judge, photo(3)).probability is None


def test_settings_are_checked() -> None:
    with pytest.raises(TiercelError, match="choose from wins, log_odds, bradley_terry"):
        AllPairs("both", "elo")
