import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tiercel.evaluation.significance import mcnemar


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 20))
def test_it_is_the_exact_binomial_test_on_what_differs(gained: int, lost: int, same: int) -> None:
    mine = np.array([True] * gained + [False] * lost + [True] * same)
    base = np.array([False] * gained + [True] * lost + [True] * same)
    wanted = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(mine, base) == pytest.approx(wanted, rel=1e-6)


def test_other_queries_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="not of the same queries"):
        mcnemar([True], [True, False])
