"""Whether one method is better than another on the same queries, or was lucky."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def mcnemar(right: ArrayLike, baseline: ArrayLike) -> float:
    """Exact two-sided p-value of McNemar's test (1947): is one of two methods right more often on the same queries?

    Args:
        right: (n,) whether the method was right.
        baseline: (n,) whether the other was.

    Returns:
        The probability that as many of the queries that only one of them had right, or more, would fall to the same
        side if each fell to either as often; 1 if there are none.
    """
    first, second = np.asarray(right, np.bool_), np.asarray(baseline, np.bool_)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} are not of the same queries")
    gained, lost = int((first & ~second).sum()), int((second & ~first).sum())
    total, fewer = gained + lost, min(gained, lost)
    logs = [math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) for k in range(fewer + 1)]
    tail = sum(math.exp(one - total * math.log(2.0)) for one in logs)
    return min(1.0, 2.0 * tail)
