"""What a server's reply holds, read without trusting that it is complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tiercel.rerank.backends.troubles import said_in


@dataclass(frozen=True)
class Reply:
    """One chat completion.

    Attributes:
        text: Generated, without the spaces around it.
        refusal: What the model said instead; empty if it did not refuse.
        finish: Why it ended, in the server's words.
        likeliest: The likeliest first tokens with the natural logarithms of their probabilities; empty where the
            server gives none.
        tokens_in: Of the question; 0 where the server does not say.
        tokens_out: Of the answer.
        probe: Whether it was asked for one token with log-probabilities, so that its text is no answer.
    """

    text: str
    refusal: str = ""
    finish: str = ""
    likeliest: tuple[tuple[str, float], ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    probe: bool = False


def read_reply(body: Any, probe: bool = False) -> Reply:  # noqa: ANN401  (JSON of strangers)
    """Reads the body of a chat completion.

    Args:
        body: Read from JSON.
        probe: See `Reply`.

    Raises:
        ValueError: It is something else.
    """
    choice = _first(_get(body, "choices"))
    message = _get(choice, "message")
    if not isinstance(message, dict):
        raise ValueError(f"the server sent no answer but {said_in(body) or body!r:.100}")
    usage = _get(body, "usage")
    return Reply(
        text=_text(message.get("content")).strip(),
        refusal=_text(message.get("refusal")).strip(),
        finish=_text(_get(choice, "finish_reason")),
        likeliest=_likeliest(_first(_get(_get(choice, "logprobs"), "content"))),
        tokens_in=_count(_get(usage, "prompt_tokens")),
        tokens_out=_count(_get(usage, "completion_tokens")),
        probe=probe,
    )


def _likeliest(place: Any) -> tuple[tuple[str, float], ...]:  # noqa: ANN401
    """The tokens listed for one place, with the one that was drawn, which may not be among the likeliest."""
    top = _get(place, "top_logprobs")
    listed = [*(top if isinstance(top, list) else []), place]
    found: dict[str, float] = {}
    for entry in listed:
        token, value = _get(entry, "token"), _get(entry, "logprob")
        if isinstance(token, str) and isinstance(value, (int, float)):
            found.setdefault(token, float(value))
    return tuple(found.items())


def _get(value: Any, name: str) -> Any:  # noqa: ANN401
    return value.get(name) if isinstance(value, dict) else None


def _first(value: Any) -> Any:  # noqa: ANN401
    return value[0] if isinstance(value, list) and value else None


def _text(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:  # noqa: ANN401
    return value if isinstance(value, int) else 0
