"""What is asked of a vision-language model, and what it answers, whichever way it is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in a question.

    Attributes:
        pixels: (height, width, 3) uint8 RGB.
    """

    pixels: NDArray[np.uint8]

    @cached_property
    def digest(self) -> str:
        """Of shape and pixels, hexadecimal."""
        head = ",".join(map(str, self.pixels.shape)).encode()
        return hashlib.sha256(head + b":" + np.ascontiguousarray(self.pixels).tobytes()).hexdigest()


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        parts: Texts and pictures in their order.
    """

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Picture, ...]


@dataclass(frozen=True)
class Request:
    """One question.

    Attributes:
        turns: The conversation so far; the last turn is the user's.
        choices: Where the answer is one of a few words: these words. Their next-token log-probabilities are what is
            wanted; a backend that has none generates text.
        max_tokens: At most so many tokens of text.
        prefix_parts: How many parts at the beginning of the first user turn are the same in all questions about one
            photo: instructions and the photo itself. A backend may compute them once.
        prompt: Name and version of the prompt that it was made from.
    """

    turns: tuple[Turn, ...]
    choices: tuple[str, ...] = ()
    max_tokens: int = 128
    prefix_parts: int = 0
    prompt: str = ""

    @cached_property
    def digest(self) -> str:
        """Of all that bears on the answer; `prefix_parts` does not."""
        turns = [
            [turn.role, [part if isinstance(part, str) else {"picture": part.digest} for part in turn.parts]]
            for turn in self.turns
        ]
        content = json.dumps([self.prompt, turns, self.choices, self.max_tokens], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def pictures(self) -> list[Picture]:
        """In their order."""
        return [part for turn in self.turns for part in turn.parts if isinstance(part, Picture)]


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        text: What was generated, with spaces around it removed; empty where log-probabilities were read instead.
        log_probabilities: For each choice the natural logarithm of its probability as the next token, among all tokens
            or at least relative to the other choices; None where the backend has none. A choice that the backend does
            not list among the likeliest tokens is left out.
        trouble: Why there is no answer, in one sentence that names the remedy if there is one; empty if there is.
        tokens_in: Tokens of the question, 0 where the backend does not say.
        tokens_out: Tokens of the answer.
        seconds: It took; in a batch, its share of it.
        cached: Whether it was found in the cache.
    """

    text: str = ""
    log_probabilities: dict[str, float] | None = None
    trouble: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = field(default=0.0, compare=False)
    cached: bool = field(default=False, compare=False)


class Backend:
    """Runs a model.

    Attributes:
        name: For people and result rows.
        single_image: Whether the model takes one picture in a question, so that several must be put into one.
    """

    name = "backend"
    single_image = False

    @property
    def settings(self) -> dict[str, Any]:
        """All that bears on the answers beside the request, as plain JSON values; the cache's keys are made of it.

        Such as the model, its revision or fingerprint, precision and temperature.
        """
        raise NotImplementedError

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers questions, in their order.

        A question that cannot be answered gets an `Answer` with `trouble`; others are answered all the same.

        Raises:
            TiercelError: None can be answered now or later: the server is down, the key is wrong, there is no such
                model, it takes no pictures.
        """
        raise NotImplementedError
