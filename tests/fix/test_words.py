"""Numbers as words."""

from __future__ import annotations

import pytest

from tiercel.fix.words import coordinate, direction, metres, percent


def test_coordinate() -> None:
    assert coordinate(52.52, -13.4) == "52.520000° N, 13.400000° W"
    assert coordinate(-0.5, 0) == "0.500000° S, 0.000000° E"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0.0 m"), (4.24, "4.2 m"), (9.96, "10 m"), (310.4, "310 m"), (999.6, "1.0 km"), (1930, "1.9 km"),
     (float("inf"), "unknown")],
)  # fmt: skip
def test_metres(value: float, words: str) -> None:
    assert metres(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(1, "100 %"), (0.3449, "34 %"), (0.0996, "10 %"), (0.0123, "1.2 %"), (0.00024, "0.02 %"), (1e-6, "< 0.01 %"),
     (float("nan"), "unknown")],
)  # fmt: skip
def test_percent(value: float, words: str) -> None:
    assert percent(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0° N"), (359.7, "0° N"), (22, "22° N"), (23, "23° NE"), (-90, "270° W"), (338, "338° N")]
)
def test_direction(value: float, words: str) -> None:
    assert direction(value) == words
