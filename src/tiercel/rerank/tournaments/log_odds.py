"""Probabilities and log-odds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.rerank.tournaments.outcome import Asked

CLIP = 4.0
"""Log-odds of the most certain answer that is believed: 0.982."""

_NEVER = 1e-12  # a probability nearer to 0 or 1 is taken as this near


def sigmoid(log_odds: ArrayLike) -> NDArray[np.float64]:
    """Probabilities; does not overflow."""
    half: NDArray[np.float64] = np.tanh(0.5 * np.asarray(log_odds, np.float64))
    return 0.5 * (1.0 + half)


def log_odds(probabilities: ArrayLike, temperature: float = 1.0, clip: float = CLIP) -> NDArray[np.float64]:
    """Natural log-odds, divided by the temperature and then kept within the clip on either side.

    Args:
        probabilities: 0 to 1.
        temperature: Above 1 for a judge that is too certain of itself, below 1 for one that is not certain enough.
        clip: No answer counts for more.
    """
    p = np.clip(np.asarray(probabilities, np.float64), _NEVER, 1.0 - _NEVER)
    return np.clip((np.log(p) - np.log1p(-p)) / temperature, -clip, clip)


def log_odds_of(asked: Sequence[Asked], temperature: float = 1.0, clip: float = CLIP) -> NDArray[np.float64]:
    """The log-odds of readable answers, (answers,); see `log_odds`."""
    return log_odds(np.array([one.answer.probability for one in asked], np.float64), temperature, clip)


def best_first(values: ArrayLike) -> list[int]:
    """Indices by falling value; equal ones, give or take rounding, stay in their order."""
    order: list[int] = np.argsort(-np.round(np.asarray(values, np.float64), 9), kind="stable").tolist()
    return order
