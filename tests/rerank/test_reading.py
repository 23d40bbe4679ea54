import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.rerank.backends.backend import Answer
from tiercel.rerank.prompt import load_prompt
from tiercel.rerank.reading import UnreadableError, choice_shares, json_object, read_choice, read_number, read_order

PAIR, SCORE, LIST = (load_prompt(arm).verdict for arm in ("pairwise", "score", "listwise"))


def test_shares_are_of_the_choices_among_themselves() -> None:
    answer = Answer(log_probabilities={"1": math.log(0.06), "2": math.log(0.02)})
    assert choice_shares(answer, ("1", "2")) == pytest.approx([0.75, 0.25])


def test_a_choice_that_is_not_listed_is_unlikely() -> None:
    assert choice_shares(Answer(log_probabilities={"2": -0.1}), ("1", "2")) == [0.0, 1.0]


def test_a_model_about_to_say_three_said_neither_one_nor_two() -> None:
    with pytest.raises(UnreadableError, match="something other than 1 or 2"):
        choice_shares(Answer(log_probabilities={"1": math.log(0.004), "2": math.log(0.004)}), ("1", "2"))


@pytest.mark.parametrize("text", ['{"preference": 2}', '```json\n{"preference": 2}\n```', ' {"preference": "2"} '])
def test_json_is_read_alone_or_in_a_fence(text: str) -> None:
    assert read_choice(json_object(text), PAIR) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("I would say place 1.", "not JSON alone: I would say place 1"),
        ('Sure: {"preference": 1}', "not JSON alone"),
        ("[1]", "no JSON object"),
        ('{"choice": 1}', 'no "preference"'),
        ('{"preference": 3}', "is 3, not 1 or 2"),
        ('{"preference": 1.0}', "not 1 or 2"),
        ('{"preference": true}', "not 1 or 2"),
        ('{"preference": null}', "not 1 or 2"),
    ],
)
def test_anything_else_is_unreadable_and_quoted(text: str, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        read_choice(json_object(text), PAIR)


@given(st.floats(0, 100))
def test_numbers_are_taken_in_range(value: float) -> None:
    assert read_number({"score": value}, SCORE) == pytest.approx(value)


@pytest.mark.parametrize("value", [-1, 101, True, "80", None, float("nan")])
def test_other_scores_are_unreadable(value: object) -> None:
    with pytest.raises(UnreadableError):
        read_number({"score": value}, SCORE)


def test_an_order_names_each_once() -> None:
    assert read_order({"ranking": [3, 1, 2]}, LIST, 3) == (2, 0, 1)


@pytest.mark.parametrize("value", [[1, 2], [1, 2, 2], [0, 1, 2], [1, 2, 4], "123", [1, 2, "3"], [1, 2, True]])
def test_other_orders_are_unreadable(value: object) -> None:
    with pytest.raises(UnreadableError, match="not each of 1 to 3 once"):
        read_order({"ranking": value}, LIST, 3)
