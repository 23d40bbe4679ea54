import numpy as np
import pytest

from tests.rerank.tournaments.made_up import Fixed, Noisy, Perfect, photo
from tiercel.errors import TiercelError
from tiercel.rerank.tournaments import Adaptive, AllPairs, BradleyTerry, Outcome
from tiercel.rerank.tournaments.adaptive import information, most_informative, open_questions
from tiercel.rerank.tournaments.bradley_terry import best_of
from tiercel.rerank.tournaments.sheet import Sheet

PHOTOS = 60
COUNT = 10


def simulated(decided, bias: float, photos: int = PHOTOS) -> tuple[float, list[Outcome]]:
    """Share of made-up photos whose best candidate comes first, and all outcomes."""
    outcomes, right = [], 0
    for number in range(photos):
        chance = np.random.default_rng(number)
        strengths = chance.normal(0.0, 2.0, COUNT)
        scores = 0.4 * strengths + chance.normal(0.0, 1.0, COUNT)
        order = np.argsort(-scores)
        query = photo(COUNT, scores[order].tolist(), f"{number}.jpg")
        outcomes.append(decided.run(Noisy(strengths[order], bias, noise=0.5), query))
        right += outcomes[-1].order[0] == int(strengths[order].argmax())
    return right / photos, outcomes


@pytest.mark.parametrize("bias", [0.0, 2.0])
def test_a_third_of_the_questions_finds_nearly_as_many_winners(bias) -> None:
    everything, _ = simulated(AllPairs("both"), bias)
    a_third, outcomes = simulated(Adaptive(), bias)
    assert all(len(one.asked) <= -(-COUNT * (COUNT - 1) // 3) for one in outcomes)
    assert everything > 0.7
    assert a_third >= everything - 0.05


def test_a_bias_costs_a_single_order_winners_but_not_the_adaptive_one() -> None:
    fair, _ = simulated(Adaptive(), 0.0, photos=40)
    biased, _ = simulated(Adaptive(), 3.0, photos=40)
    single, _ = simulated(AllPairs("single", "wins"), 3.0, photos=40)
    assert biased > fair - 0.1
    assert biased > single + 0.1


def test_it_stops_when_it_is_certain() -> None:
    judge, query = Perfect([1, 0, 2, 3, 4]), photo(5, [1.0, 0.9, 0.0, 0.0, 0.0])
    soon = Adaptive(budget=20, certainty=0.7).run(judge, query)
    late = Adaptive(budget=20, certainty=0.8).run(judge, query)
    assert soon.probability >= 0.7 and late.probability >= 0.8
    assert 2 <= len(soon.asked) < len(late.asked) < 20
    assert soon.order[0] == late.order[0] == 1


def test_the_more_an_answer_weighs_the_sooner_it_is_certain() -> None:
    judge, query = Perfect([1, 0, 2, 3, 4]), photo(5)
    light, heavy = (
        Adaptive(budget=20, certainty=0.9, model=BradleyTerry(answer_weight=weight)).run(judge, query)
        for weight in (1.0, 10.0)
    )
    assert heavy.probability >= 0.9
    assert len(heavy.asked) < len(light.asked)


def test_where_the_first_stage_is_certain_nothing_is_asked() -> None:
    sure = Adaptive(certainty=0.9, model=BradleyTerry(prior_scale="log_probability", prior_spread=1.0))
    outcome = sure.run(Perfect([1, 0]), photo(2, [0.0, -20.0]))
    assert (outcome.order, outcome.asked) == ((0, 1), ())
    assert outcome.probability > 0.99


def test_one_answer_is_checked_in_the_other_order_before_it_is_believed() -> None:
    outcome = Adaptive(certainty=0.8).run(Perfect([0, 1]), photo(2))
    assert [one[:2] for one in outcome.asked] == [(0, 1), (1, 0)]
    believed = BradleyTerry().fit(BradleyTerry().prior(photo(2)), outcome.asked[:1])
    assert best_of(believed.draws()).mean(axis=0)[0] > 0.8  # so the first answer would have done


def test_the_most_informative_pair_is_the_one_between_the_likely_winners() -> None:
    model = BradleyTerry(prior_scale="log_probability", prior_spread=1.0)
    query = photo(4, [0.0, -0.1, -6.0, -6.1])
    draws = model.fit(model.prior(query), []).draws()
    sheet = Sheet(Perfect(range(4)), query)
    assert set(most_informative(sheet, draws, 1)[0]) == {0, 1}


def test_information_by_hand() -> None:
    # An answer that gives the winner away tells ln 2; one that hangs on nothing, or on something else, tells nothing.
    best = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    chances = np.array([[1.0, 0.5, 1.0], [1.0, 0.5, 0.0], [0.0, 0.5, 1.0], [0.0, 0.5, 0.0]])
    assert information(chances, best) == pytest.approx([np.log(2), 0.0, 0.0], abs=1e-9)


def test_the_order_asked_less_is_asked_next() -> None:
    sheet = Sheet(Perfect(range(3)), photo(3))
    sheet.ask([(0, 1), (0, 2)])
    assert open_questions(sheet) == [(1, 0), (2, 0), (1, 2)]
    sheet.ask([(1, 0)])
    # 2 was only ever shown second, so it goes first where neither order was asked.
    assert open_questions(sheet) == [(2, 0), (2, 1)]


def test_a_batch_asks_about_different_pairs() -> None:
    judge = Fixed(lambda a, b: float(a < b))
    outcome = Adaptive(budget=12, certainty=1.0, batch=5, model=BradleyTerry(prior_weight=0)).run(judge, photo(6))
    assert judge.batches[0] == 5 and sum(judge.batches) == 12
    assert len({frozenset(one[:2]) for one in outcome.asked[:5]}) == 5


def test_unreadable_answers_are_paid_for_and_not_asked_again() -> None:
    outcome = Adaptive(budget=30).run(Fixed(lambda a, b: None if a == 0 or b == 0 else float(a < b)), photo(5))
    assert 0 < outcome.unreadable <= 8
    assert sorted(outcome.order) == [0, 1, 2, 3, 4]


def test_draws_agree_with_who_is_best() -> None:
    draws = np.array([[1.0, 2.0, 9.0], [3.0, 2.0, 9.0]])  # the last column is the bias
    assert best_of(draws).tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("setting", [{"budget": 1}, {"certainty": 0}, {"certainty": 1.5}, {"batch": 0}])
def test_settings_are_checked(setting) -> None:
    with pytest.raises(TiercelError, match=next(iter(setting))):
        Adaptive(**setting)
