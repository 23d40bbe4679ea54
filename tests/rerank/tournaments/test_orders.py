import numpy as np
import pytest

from tiercel.rerank.tournaments.orders import balanced


@pytest.mark.parametrize("count", range(1, 21))
def test_each_is_shown_first_as_often_as_second(count) -> None:
    before = balanced(count, seed=5)
    assert (before ^ before.T ^ np.eye(count, dtype=bool)).all()  # exactly one of two comes first
    assert np.abs(before.sum(axis=1) - before.sum(axis=0)).max() <= (count + 1) % 2


def test_photos_differ() -> None:
    assert (balanced(8, seed=1) != balanced(8, seed=2)).any()
