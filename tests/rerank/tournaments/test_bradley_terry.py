import choix
import numpy as np
import pytest

from tests.rerank.tournaments.made_up import photo
from tiercel.errors import TiercelError
from tiercel.rerank.judge import Preference
from tiercel.rerank.tournaments import Asked, BradleyTerry
from tiercel.rerank.tournaments.bradley_terry import DRAWS, best_of, scaled_scores
from tiercel.rerank.tournaments.log_odds import log_odds, sigmoid

SURE = 60.0  # log-odds that leave a 1 a 1


def answers(count: int, seed: int, number: int = 200) -> list[tuple[int, int]]:
    """(winner, loser) of random pairs."""
    chance = np.random.default_rng(seed)
    strengths = chance.normal(size=count)
    pairs = [chance.choice(count, 2, replace=False) for _ in range(number)]
    wins = [chance.random() < sigmoid(strengths[i] - strengths[j]) for i, j in pairs]
    return [(int(i), int(j)) if won else (int(j), int(i)) for (i, j), won in zip(pairs, wins, strict=True)]


def won(data) -> list[Asked]:
    return [Asked(i, j, Preference(1.0)) for i, j in data]


@pytest.mark.parametrize("seed", range(4))
def test_the_strengths_are_those_of_choix(seed) -> None:
    data = answers(6, seed)
    theirs = choix.opt_pairwise(6, data, alpha=0.05, tol=1e-10)
    ours = BradleyTerry(prior_spread=(1 / 0.1) ** 0.5, clip=SURE).fit(np.zeros(6), won(data), bias=False)
    assert ours.candidates == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_without_a_prior_they_are_the_likeliest(seed) -> None:
    data = answers(5, seed)
    theirs = choix.ilsr_pairwise(5, data, alpha=0.0)
    ours = BradleyTerry(prior_spread=1e3, clip=SURE).fit(np.zeros(5), won(data), bias=False)
    assert ours.candidates == pytest.approx(theirs - theirs.mean(), abs=1e-3)


def test_a_probability_counts_as_so_much_of_a_win() -> None:
    model = BradleyTerry(prior_spread=2.0, clip=SURE)
    soft = model.fit(np.zeros(3), [Asked(0, 1, Preference(0.7)), Asked(1, 2, Preference(0.4))], bias=False)
    hard = won([(0, 1)] * 7 + [(1, 0)] * 3 + [(1, 2)] * 4 + [(2, 1)] * 6)
    tenfold = BradleyTerry(prior_spread=2.0 / 10**0.5, clip=SURE).fit(np.zeros(3), hard, bias=False)
    assert soft.candidates == pytest.approx(tenfold.candidates, abs=1e-7)


def test_an_answer_that_weighs_three_times_counts_as_three() -> None:
    data = answers(4, seed=1, number=12)
    heavy = BradleyTerry(answer_weight=3.0).fit([1.0, 0.0, 0.0, -1.0], won(data))
    thrice = BradleyTerry().fit([1.0, 0.0, 0.0, -1.0], won(data * 3))
    assert heavy.mean == pytest.approx(thrice.mean, abs=1e-6)
    assert heavy.covariance == pytest.approx(thrice.covariance, abs=1e-6)


def test_the_preference_for_a_position_is_told_from_the_strengths() -> None:
    strengths = np.array([1.0, 0.2, -0.3, -0.9])
    asked = [
        Asked(i, j, Preference(float(sigmoid(strengths[i] - strengths[j] + 1.2))))
        for i in range(4)
        for j in range(4)
        if i != j
    ]
    model = BradleyTerry(prior_spread=1e3, bias_spread=1e3, clip=SURE)
    fitted = model.fit(np.zeros(4), asked)
    assert fitted.bias == pytest.approx(1.2, abs=1e-3)
    assert fitted.candidates == pytest.approx(strengths, abs=1e-3)
    assert model.fit(np.zeros(4), asked, bias=False).bias == 0.0


def test_a_temperature_makes_answers_less_certain() -> None:
    asked = [Asked(0, 1, Preference(float(sigmoid(3.0))))]
    hot = BradleyTerry(temperature=3.0).fit([0.0, 0.0], asked, bias=False)
    same = BradleyTerry().fit([0.0, 0.0], [Asked(0, 1, Preference(float(sigmoid(1.0))))], bias=False)
    assert hot.candidates == pytest.approx(same.candidates)


def test_with_no_answers_the_prior_remains() -> None:
    fitted = BradleyTerry(prior_spread=1.5, bias_spread=0.5).fit([1.0, -1.0], [])
    assert fitted.mean == pytest.approx([1.0, -1.0, 0.0])
    assert np.sqrt(np.diag(fitted.covariance)) == pytest.approx([1.5, 1.5, 0.5])
    leads = float(best_of(fitted.draws()).mean(axis=0)[0])
    assert leads == pytest.approx(0.827, abs=0.04)  # the normal distribution at 2 / (1.5 * sqrt 2)
    assert fitted.draws().shape == (DRAWS, 3)


def test_answers_against_a_strong_prior_do_not_make_the_fit_run_away() -> None:
    fitted = BradleyTerry(prior_spread=100.0, clip=SURE).fit([300.0, -300.0], won([(1, 0)] * 50))
    assert np.isfinite(fitted.mean).all()
    assert fitted.candidates[0] < 300.0


def test_scores_are_scaled_and_never_rise() -> None:
    assert scaled_scores(photo(3, [5.0, 3.0, 1.0])) == pytest.approx([1.5**0.5, 0.0, -(1.5**0.5)])
    assert scaled_scores(photo(3, [-1.0, -2.0, -6.0]), "log_probability") == pytest.approx([2.0, 1.0, -3.0])
    assert scaled_scores(photo(3, [2.0, 0.0, 1.0]), "log_probability") == pytest.approx([4 / 3, -2 / 3, -2 / 3])
    assert scaled_scores(photo(2, [1.0, 1.0])) == pytest.approx([0.0, 0.0])
    for missing in ([1.0, None, 0.0], [1.0, 0.0, -np.inf]):
        ranks = scaled_scores(photo(3, missing), "log_probability")
        assert ranks[0] - ranks[2] == pytest.approx(np.log(3))


def test_log_odds_and_probabilities() -> None:
    assert log_odds([0.0, 0.5, 1.0], clip=3.0) == pytest.approx([-3.0, 0.0, 3.0])
    assert log_odds([0.9], temperature=2.0) == pytest.approx(np.log(9) / 2)
    assert sigmoid([-1e4, 0.0, 1e4]) == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    "setting",
    [
        {"prior_weight": -1},
        {"prior_spread": 0},
        {"bias_spread": 0},
        {"temperature": 0},
        {"clip": -1},
        {"answer_weight": 0},
    ],
)
def test_settings_are_checked(setting) -> None:
    with pytest.raises(TiercelError, match=f"{next(iter(setting))} is"):
        BradleyTerry(**setting)
    with pytest.raises(TiercelError, match="standard, log_probability"):
        BradleyTerry(prior_scale="log")
