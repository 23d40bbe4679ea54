"""From the likeliest tokens to the probabilities of a few words."""

from __future__ import annotations

import math

import pytest

from tiercel.rerank.backends.choices import choice_log_probabilities


def test_spaces_and_case_make_variants_of_one_choice() -> None:
    tokens = [
        (token, math.log(0.1))
        for token in ("Yes", " yes", "YES", "\u2581Yes", "\u0120yes", "\u010aYes", "Yesterday", "Y")
    ]
    assert choice_log_probabilities(tokens, ["Yes", "No"]) == {"Yes": pytest.approx(math.log(0.6))}


def test_case_counts_where_choices_differ_in_nothing_else() -> None:
    tokens = [("a", -1.0), (" A", -2.0)]
    assert choice_log_probabilities(tokens, ["a", "A"]) == {"a": -1.0, "A": -2.0}
    assert choice_log_probabilities(tokens, ["A", "B"]) == {"A": pytest.approx(math.log(math.exp(-1) + math.exp(-2)))}


def test_a_number_is_not_the_beginning_of_another() -> None:
    assert choice_log_probabilities([("1", -0.5), ("10", -1.0)], ["1", "2", "10"]) == {"1": -0.5, "10": -1.0}


def test_very_small_probabilities_are_added_and_those_the_server_does_not_know_are_left_out() -> None:
    found = choice_log_probabilities([("1", -2000.0), (" 1", -2000.0), ("2", -9999.0)], ["1", "2"])
    assert found == {"1": pytest.approx(-2000 + math.log(2))}
