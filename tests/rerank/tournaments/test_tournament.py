"""What holds for every tournament."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rerank.tournaments.made_up import Fixed, Perfect, photo
from tiercel.rerank.controls import AlwaysFirst, AlwaysSecond, Oracle, RandomJudge
from tiercel.rerank.judge import Cost
from tiercel.rerank.tournaments import tournament, tournament_names

NAMES = tournament_names()
ONE_BY_ONE = ["scores", "ranking-single", "ranking-both"]
PAIRWISE = [name for name in NAMES if name not in ONE_BY_ONE]
CAREFUL = [name for name in PAIRWISE if name != "paper"]
FAIR = [name for name in CAREFUL if "single" not in name]  # those in which no position has an advantage
COUNTS = st.integers(0, 9)
quick = settings(max_examples=8, deadline=None)


@pytest.mark.parametrize("name", NAMES)
@quick
@given(count=COUNTS, seed=st.integers(0, 99))
def test_an_order_holds_each_candidate_once_and_takes_no_more_questions_than_it_says(name, count, seed) -> None:
    decided = tournament(name)
    outcome = decided.run(RandomJudge(seed), photo(count))
    assert sorted(outcome.order) == list(range(count))
    assert len(outcome.asked) + len(outcome.scores) + len(outcome.rankings) <= decided.questions(count)


@pytest.mark.parametrize("name", NAMES)
@quick
@given(data=st.data())
def test_a_perfect_judge_finds_its_winner(name, data) -> None:
    order = data.draw(st.permutations(range(data.draw(st.integers(1, 8)))))
    without_prior = {"prior_weight": 0.0} if "bradley_terry" in name else {}
    if name == "adaptive":
        without_prior = {"prior_weight": 0.0, "budget": 99, "certainty": 1.0}
    outcome = tournament(name, **without_prior).run(Perfect(order), photo(len(order)))
    assert outcome.order[0] == order[0]


@pytest.mark.parametrize("name", [one for one in NAMES if one.startswith(("all_pairs", "insertion", "scores", "rank"))])
@quick
@given(data=st.data())
def test_a_perfect_judge_finds_its_whole_order(name, data) -> None:
    order = data.draw(st.permutations(range(data.draw(st.integers(1, 8)))))
    without_prior = {"prior_weight": 0.0} if "bradley_terry" in name else {}
    assert tournament(name, **without_prior).run(Perfect(order), photo(len(order))).order == tuple(order)


@pytest.mark.parametrize("name", [one for one in PAIRWISE if one.startswith(("paper", "sliding"))])
@quick
@given(data=st.data())
def test_a_perfect_judge_finds_its_best_three(name, data) -> None:
    order = data.draw(st.permutations(range(data.draw(st.integers(3, 8)))))
    assert tournament(name).run(Perfect(order), photo(len(order))).order[:3] == tuple(order)[:3]


@pytest.mark.parametrize("name", NAMES)
@quick
@given(count=COUNTS)
def test_always_first_changes_nothing(name, count) -> None:
    if name != "scores":
        assert tournament(name).run(AlwaysFirst(), photo(count)).order == tuple(range(count))


@pytest.mark.parametrize("name", [*FAIR, "ranking-both"])
@pytest.mark.parametrize(("judge", "position"), [(AlwaysFirst(), "first"), (AlwaysSecond(), "second")])
@quick
@given(count=st.integers(2, 9), name_of_photo=st.sampled_from(["a.jpg", "b.jpg", "c.jpg"]))
def test_a_preference_for_a_position_is_found_and_cancelled(name, judge, position, count, name_of_photo) -> None:
    outcome = tournament(name).run(judge, photo(count, name=name_of_photo))
    assert outcome.order == tuple(range(count))
    assert outcome.constant == position
    assert outcome.consistency == (None if name == "ranking-both" else 0.0)


@pytest.mark.parametrize("name", [one for one in CAREFUL if "single" in one])
def test_single_orders_are_flagged_too(name) -> None:
    outcome = tournament(name).run(AlwaysFirst(), photo(6))
    assert (outcome.constant, outcome.consistency) == ("first", None)


@pytest.mark.parametrize("name", PAIRWISE)
def test_one_answer_alone_is_not_called_constant(name) -> None:
    outcome = tournament(name).run(Perfect([0, 1]), photo(2))
    assert outcome.constant == ""


@pytest.mark.parametrize("name", CAREFUL)
def test_nothing_but_unreadable_answers_leaves_the_first_stage_and_says_so(name) -> None:
    outcome = tournament(name).run(Fixed(lambda a, b: None), photo(5))
    assert outcome.order == (0, 1, 2, 3, 4)
    assert outcome.unreadable == len(outcome.asked) > 0
    assert outcome.trouble.startswith("The first stage's order stands") and outcome.trouble.endswith("Mumbles.")
    assert outcome.probability is None


@pytest.mark.parametrize("name", [one for one in FAIR if "both" in one or one.startswith("all_pairs")])
@quick
@given(count=st.integers(2, 8), seed=st.integers(0, 99))
def test_an_unreadable_answer_is_no_vote_for_a_position(name, count, seed) -> None:
    # Every answer that can be read names the first, so nothing can be learned, whichever ones are missing.
    some = Fixed(lambda a, b: None if (7 * a + 13 * b + seed) % 3 == 0 else 1.0)
    assert tournament(name).run(some, photo(count)).order == tuple(range(count))


@pytest.mark.parametrize("name", PAIRWISE)
def test_the_oracle_is_consistent_and_costs_add_up(name) -> None:
    right = 3
    outcome = tournament(name).run(Fixed(lambda a, b: 0.5 + 0.5 * ((a == right) - (b == right))), photo(6))
    assert outcome.order[0] == right
    assert outcome.consistency in (None, 1.0)
    asked = len(outcome.asked)
    assert outcome.cost == Cost(asked, asked, 10 * asked, 2 * asked, 0.5 * asked)


@pytest.mark.parametrize("name", [one for one in CAREFUL if "both" in one])
def test_in_both_orders_the_oracle_is_wholly_consistent(name) -> None:
    marked = photo(4)
    marked = type(marked)(
        marked.query, tuple(type(one)(cell=one.cell, correct=one.cell == 2) for one in marked.candidates)
    )
    assert tournament(name).run(Oracle(), marked).consistency == 1.0


@pytest.mark.parametrize("name", CAREFUL)
def test_no_question_is_asked_twice(name) -> None:
    outcome = tournament(name).run(RandomJudge(4), photo(8))
    questions = [(one.first, one.second) for one in outcome.asked]
    assert len(set(questions)) == len(questions)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_can_be_repeated(name) -> None:
    assert tournament(name).run(RandomJudge(1), photo(7)) == tournament(name).run(RandomJudge(1), photo(7))


def test_the_counts_are_as_documented() -> None:
    expected = {
        "paper": 24, "all_pairs-single": 45, "all_pairs-both": 90, "all_pairs-random": 46, "insertion-single": 45,
        "insertion-both": 90, "sliding-single": 24, "sliding-both": 48, "knockout-single": 9, "knockout-both": 18,
        "knockout-random": 10, "adaptive": 30, "scores": 10, "ranking-single": 1, "ranking-both": 2,
    }  # fmt: skip
    assert {name: tournament(name).questions(10) for name in expected} == expected


@pytest.mark.parametrize("name", ["all_pairs-single", "all_pairs-both", "knockout-single", "knockout-both", "paper"])
def test_the_fixed_counts_are_met_exactly(name) -> None:
    for count in range(8):
        decided = tournament(name)
        assert len(decided.run(RandomJudge(2), photo(count)).asked) == decided.questions(count)


def test_all_pairs_are_asked_at_once_and_a_knockout_round_by_round() -> None:
    for name, batches in [("all_pairs-both", [20]), ("knockout-both", [2, 4, 2]), ("knockout-single", [1, 2, 1])]:
        judge = Fixed(lambda a, b: float(a < b))
        tournament(name).run(judge, photo(5))
        assert judge.batches == batches
