import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.geo import Square, ZoomTree
from tiercel.rerank.second_look import divided_anew
from tiercel.search import Posterior

TREE = ZoomTree(Square(0.0, 0.0, 1600.0), 4, 2)  # 16 x 16 leaves


def leaf(row: int, col: int) -> int:
    return int(TREE.flat(2, row, col))


def around(answer: Posterior, row: int, col: int) -> float:
    return sum(float(answer.probability[leaf(r, c)]) for r in range(row - 1, row + 2) for c in range(col - 1, col + 2))


def a_posterior() -> Posterior:
    scores = np.full(256, -12.0)
    scores[[leaf(3, 3), leaf(3, 4), leaf(10, 10), leaf(12, 2)]] = 0.0, -1.0, -0.5, -3.0
    return Posterior.from_scores(TREE, scores)


PLACES = np.array([leaf(10, 10), leaf(3, 3), leaf(12, 2)])


def test_the_winner_gets_the_largest_share_where_only_the_order_is_known() -> None:
    before, after = a_posterior(), divided_anew(a_posterior(), PLACES, None)
    shares = sorted((around(before, *at) for at in ((3, 3), (10, 10), (12, 2))), reverse=True)
    assert [around(after, *at) for at in ((10, 10), (3, 3), (12, 2))] == pytest.approx(shares, rel=1e-4)


@given(st.floats(0.55, 0.999))
def test_or_what_it_deserves(probability: float) -> None:
    before, after = a_posterior(), divided_anew(a_posterior(), PLACES, probability)
    held = sum(around(before, *at) for at in ((3, 3), (10, 10), (12, 2)))
    assert around(after, 10, 10) == pytest.approx(probability * held, rel=1e-3)


@given(st.floats(0.0, 1.0))
def test_the_order_holds_whatever_it_deserves(probability: float) -> None:
    after = divided_anew(a_posterior(), PLACES, probability)
    first, second, third = (around(after, *at) for at in ((10, 10), (3, 3), (12, 2)))
    assert first >= second * (1 - 1e-6) and second >= third


def test_the_rest_of_the_map_keeps_what_it_had() -> None:
    before, after = a_posterior(), divided_anew(a_posterior(), PLACES, 0.9)
    assert after.probability[leaf(6, 13)] == pytest.approx(before.probability[leaf(6, 13)], rel=1e-4)
    ratio = after.probability[leaf(3, 4)] / after.probability[leaf(3, 3)]
    assert ratio == pytest.approx(before.probability[leaf(3, 4)] / before.probability[leaf(3, 3)], rel=1e-4)


def test_a_winner_that_had_nothing_gets_its_share() -> None:
    scores = np.full(256, -np.inf)
    scores[leaf(3, 3)] = 0.0
    after = divided_anew(Posterior.from_scores(TREE, scores), np.array([leaf(10, 10), leaf(3, 3)]), 0.8)
    assert after.probability[leaf(10, 10)] == pytest.approx(0.8, rel=1e-3)
