"""Reading answers, strictly: what does not say exactly what was asked for is unreadable, and why is told."""

from __future__ import annotations

import json
import math
from typing import Any

from tiercel.rerank.backends.backend import Answer
from tiercel.rerank.prompt import Verdict

LEAST_SHARE = 0.01
"""Where the choices together are less likely than this as the next token, the model was about to say something else."""
_SHOWN = 60
"""Characters of an unreadable answer that are quoted."""


class UnreadableError(ValueError):
    """An answer says nothing that was asked for; the message tells why in one sentence."""


def choice_shares(answer: Answer, choices: tuple[str, ...]) -> list[float]:
    """Probabilities of the choices relative to one another, from next-token log-probabilities.

    Raises:
        UnreadableError: The model was about to say something else.
    """
    found = answer.log_probabilities or {}
    likely = [math.exp(found[choice]) if choice in found else 0.0 for choice in choices]
    total = sum(likely)
    if not total >= LEAST_SHARE:
        raise UnreadableError(
            f"the model was about to answer something other than {' or '.join(choices)} (they have {total:.1%})"
        )
    return [share / total for share in likely]


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that an answer is, alone or in a fenced block.

    Raises:
        UnreadableError: It is none.
    """
    if not text.strip():
        raise UnreadableError("the answer is empty")
    lines = text.strip().splitlines()
    if len(lines) > 2 and lines[0].strip() in ("```", "```json") and lines[-1].strip() == "```":
        lines = lines[1:-1]
    try:
        content = json.loads("\n".join(lines))
    except ValueError:
        raise UnreadableError(f"the answer is not JSON alone: {_quoted(text)}") from None
    if not isinstance(content, dict):
        raise UnreadableError(f"the answer is no JSON object: {_quoted(text)}")
    return content


def read_choice(content: dict[str, Any], verdict: Verdict) -> int:
    """Which of the choices an object names.

    Raises:
        UnreadableError: None of them.
    """
    value = _of(content, verdict.key)
    words = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    for number, choice in enumerate(verdict.choices):
        if words is not None and words.casefold() == choice.casefold():
            return number
    raise UnreadableError(f'"{verdict.key}" is {_quoted(json.dumps(value))}, not {" or ".join(verdict.choices)}')


def read_number(content: dict[str, Any], verdict: Verdict) -> float:
    """The number that an object names, scaled to 0 to 100.

    Raises:
        UnreadableError: It is none, or out of range.
    """
    value, (low, high) = _of(content, verdict.key), verdict.range or (0.0, 100.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnreadableError(f'"{verdict.key}" is {_quoted(json.dumps(value))}, not a number')
    if not low <= value <= high:
        raise UnreadableError(f'"{verdict.key}" is {value:g}, not from {low:g} to {high:g}')
    return 100.0 * (value - low) / (high - low)


def read_order(content: dict[str, Any], verdict: Verdict, count: int) -> tuple[int, ...]:
    """The order that an object names: each of 1 to `count` once, returned from 0.

    Raises:
        UnreadableError: It is no such order.
    """
    value = _of(content, verdict.key)
    plain = isinstance(value, list) and all(type(one) is int for one in value)
    if not plain or sorted(value) != list(range(1, count + 1)):
        raise UnreadableError(f'"{verdict.key}" is {_quoted(json.dumps(value))}, not each of 1 to {count} once')
    return tuple(one - 1 for one in value)


def _of(content: dict[str, Any], key: str) -> Any:  # noqa: ANN401  (whatever the model put there)
    if key not in content:
        raise UnreadableError(f'the answer has no "{key}": {_quoted(json.dumps(content))}')
    return content[key]


def _quoted(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= _SHOWN else short[: _SHOWN - 1] + "…"
