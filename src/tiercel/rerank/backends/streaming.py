"""A backend that hands over each answer when it arrives, so that it is kept even if everything stops thereafter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from tiercel.rerank.backends.backend import Answer, Backend, Request


class StreamingBackend(Backend):
    """A backend whose answers arrive one after the other, in any order."""

    def stream(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Answers questions, each once.

        Args:
            requests: The questions.

        Yields:
            The index of a question, and its answer.

        Raises:
            TiercelError: As `Backend.answer`; what arrived before has been yielded.
        """
        raise NotImplementedError

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers questions, in their order."""
        answers: list[Answer | None] = [None] * len(requests)
        for index, answer in self.stream(requests):
            answers[index] = answer
        return cast(list[Answer], answers)
