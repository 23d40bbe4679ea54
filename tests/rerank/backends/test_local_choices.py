import math

import pytest
import torch

from tiercel.rerank.backends.local_choices import ChoiceTree, sequences, spellings


def distribution(**chances: float) -> torch.Tensor:
    """(8,) logarithms; tokens are t0 to t7, what is left over goes to t7."""
    values = torch.zeros(8)
    for name, chance in chances.items():
        values[int(name[1:])] = chance
    values[7] = 1 - values.sum()
    return (values + 1e-30).log()


def test_one_step_is_enough_where_first_tokens_differ_and_spellings_add_up() -> None:
    tree = ChoiceTree({"yes": {(0,), (1,)}, "no": {(2, 5)}})
    assert tree.to_follow() == [()]
    tree.follow((), distribution(t0=0.2, t1=0.1, t2=0.4))
    assert tree.to_follow() == []
    found = tree.log_probabilities()
    assert found["yes"] == pytest.approx(math.log(0.3), abs=1e-6)
    assert found["no"] == pytest.approx(math.log(0.4), abs=1e-6)


def test_a_word_that_begins_another_counts_where_it_does_not_go_on() -> None:
    tree = ChoiceTree({"1": {(1,)}, "10": {(1, 0)}, "100": {(1, 0, 0)}})
    tree.follow((), distribution(t1=0.5))
    assert tree.to_follow() == [(1,)]
    tree.follow((1,), distribution(t0=0.4))
    tree.follow((1, 0), distribution(t0=0.1))
    found = {choice: math.exp(value) for choice, value in tree.log_probabilities().items()}
    assert found == pytest.approx({"1": 0.3, "10": 0.18, "100": 0.02}, abs=1e-6)


def test_a_token_that_all_words_begin_with_is_followed_if_it_is_likely() -> None:
    written = {"left": {(1,), (0, 1)}, "right": {(2,), (0, 2)}}
    likely, unlikely = ChoiceTree(written), ChoiceTree(written)
    likely.follow((), distribution(t0=0.8, t1=0.1, t2=0.05))
    assert likely.to_follow() == [(0,)]
    likely.follow((0,), distribution(t1=0.25, t2=0.5))
    found = {choice: math.exp(value) for choice, value in likely.log_probabilities().items()}
    assert found == pytest.approx({"left": 0.3, "right": 0.45}, abs=1e-6)
    unlikely.follow((), distribution(t0=1e-6, t1=0.1, t2=0.05))
    assert unlikely.to_follow() == []


def test_a_shared_beginning_is_followed_however_unlikely_where_nothing_else_is_known() -> None:
    tree = ChoiceTree({"yes": {(3,)}, "1": {(1,), (0, 1)}, "10": {(1, 0), (0, 1, 0)}})
    tree.follow((), distribution(t3=0.9, t1=1e-7, t0=1e-9))
    assert tree.to_follow() == [(1,)], "the likelier of the two beginnings, and no more than is needed"
    tree.follow((1,), distribution(t0=0.5))
    assert tree.to_follow() == []
    assert tree.log_probabilities()["10"] == pytest.approx(math.log(0.5e-7), abs=1e-3)


def test_spellings_change_capitals_only_where_no_other_word_differs_by_them() -> None:
    assert spellings("yes", ["no"]) == ["yes", " yes", "Yes", " Yes"]
    assert spellings("a", ["A"]) == ["a", " a"]


def test_tokens_are_those_behind_the_prompt() -> None:
    # Of a tokenizer for which a smile is one token, and a word knows whether a space stands before it.
    vocabulary = [":", "\n\n", "\n", " yes", "yes", " no", "no", "Yes", " Yes", "No", " No", ":)", " )"]

    def encode(text: str) -> list[int]:
        found = []
        while text:
            token = max((word for word in vocabulary if text.startswith(word)), key=len)
            found.append(vocabulary.index(token))
            text = text.removeprefix(token)
        return found

    assert sequences(["yes", "no"], ":", encode) == {
        "yes": {(3,), (4,), (7,), (8,)},
        "no": {(5,), (6,), (9,), (10,)},
    }
    assert sequences([")"], ":", encode) == {")": {(vocabulary.index(" )"),)}}, "no answer begins within a token"


def test_choices_that_cannot_be_told_apart_are_told() -> None:
    assert "'a' and 'b' are the same tokens" in ChoiceTree({"a": {(1,)}, "b": {(1,)}}).trouble
    assert "'c' has no tokens" in ChoiceTree({"c": set()}).trouble
    assert ChoiceTree({"a": {(1,)}, "b": {(2,)}}).trouble == ""
