"""How likely an answer begins with one of a few words, from the probabilities of next tokens.

A word can be written in several ways (with a space before it or without, in lower case or with a capital), each a
sequence of tokens. All sequences of all words together are a tree. What can only be one word counts for that word at
the first token that tells it from the others, so mostly one step of the model is enough. Where words share a beginning,
as "1" and "10" do, or all words behind a token that is nothing but a space, the model is asked again behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Tokens = tuple[int, ...]
NEGLIGIBLE = 1e-4
"""A beginning shared by several words is not followed if it is less likely than this part of what is told apart."""


def spellings(word: str, others: Sequence[str]) -> list[str]:
    """The ways to begin an answer with a word, each once.

    Args:
        word: As it was given.
        others: The other words; one that differs in capitals alone forbids changing them.
    """
    forms = [word]
    if word.casefold() not in {other.casefold() for other in others}:
        forms += [word.lower(), word[:1].upper() + word[1:]]
    return list(dict.fromkeys(space + form for form in forms for space in ("", " ")))


def sequences(choices: Sequence[str], tail: str, encode: Callable[[str], list[int]]) -> dict[str, set[Tokens]]:
    """For each choice the token sequences with which an answer can begin with it.

    Args:
        choices: The words.
        tail: The end of the prompt. Tokens depend on what stands before them: some tokenizers put a space before the
            first word of a text.
        encode: From text to tokens, without those that stand around a text.
    """
    before = encode(tail)
    found: dict[str, set[Tokens]] = {}
    for choice in choices:
        others = [other for other in choices if other != choice]
        whole = [encode(tail + form) for form in spellings(choice.strip(), others)]
        # Where the end of the prompt and the word melt into one token, an answer cannot begin that way.
        found[choice] = {tuple(ids[len(before) :]) for ids in whole if ids[: len(before)] == before} - {()}
    return found


@dataclass
class ChoiceTree:
    """The tree of the sequences of all choices, followed as far as it is needed.

    Attributes:
        choices: The sequences of each; no two choices may share a whole one.
        found: For each choice the natural logarithms of the probabilities found to be its own.
        pending: Shared beginnings that may have to be followed, with the logarithms of their probabilities.
    """

    choices: dict[str, set[Tokens]]
    found: dict[str, list[float]] = field(init=False)
    pending: dict[Tokens, float] = field(init=False)

    def __post_init__(self) -> None:
        """Begins behind the prompt."""
        self.found = {choice: [] for choice in self.choices}
        self.pending = {(): 0.0}

    @property
    def trouble(self) -> str:
        """Why the choices cannot be told apart by any model; empty if they can."""
        taken: dict[Tokens, str] = {}
        for choice, written in self.choices.items():
            if not written:
                return f"choice '{choice}' has no tokens of its own behind this prompt: choose another word"
            for sequence in written:
                if sequence in taken:
                    return f"choices '{taken[sequence]}' and '{choice}' are the same tokens: choose other words"
                taken[sequence] = choice
        return ""

    def to_follow(self) -> list[Tokens]:
        """The beginnings behind which the model is to be asked next; none when all is known."""
        known = sum(math.exp(value) for values in self.found.values() for value in values)
        likely = [prefix for prefix, value in self.pending.items() if math.exp(value) > NEGLIGIBLE * known]
        if likely:
            return likely
        lacking = [choice for choice, values in self.found.items() if not values]
        needed = [prefix for prefix in self.pending if any(choice in lacking for choice in self._through(prefix))]
        return [max(needed, key=self.pending.__getitem__)] if needed else []

    def follow(self, prefix: Tokens, log_probabilities: Tensor) -> None:
        """Takes in what the model says behind one of these beginnings.

        Args:
            prefix: The beginning.
            log_probabilities: (vocabulary,) of the next token.
        """
        reached = self.pending.pop(prefix)
        owners: dict[int, set[str]] = {}
        for choice in self._through(prefix):
            for sequence in self.choices[choice]:
                if len(sequence) > len(prefix) and sequence[: len(prefix)] == prefix:
                    owners.setdefault(sequence[len(prefix)], set()).add(choice)
        ended = next((choice for choice, written in self.choices.items() if prefix in written), None)
        elsewhere = 0.0
        for token, sharing in owners.items():
            step = float(log_probabilities[token])
            if len(sharing) > 1:
                self.pending[*prefix, token] = reached + step
            elif ended not in sharing:
                self.found[next(iter(sharing))].append(reached + step)
            if sharing != {ended}:
                elsewhere += math.exp(step)
        if ended is not None:
            # The word ends here unless it goes on as another: "1", not "10".
            self.found[ended].append(reached + math.log(max(1.0 - elsewhere, 1e-12)))

    def log_probabilities(self) -> dict[str, float]:
        """Of each choice, the natural logarithm of the probability that the answer begins with it."""
        return {choice: _log_sum_exp(values) for choice, values in self.found.items()}

    def _through(self, prefix: Tokens) -> list[str]:
        return [
            choice
            for choice, written in self.choices.items()
            if any(sequence[: len(prefix)] == prefix for sequence in written)
        ]


def _log_sum_exp(values: list[float]) -> float:
    highest = max(values)
    return highest + math.log(sum(math.exp(value - highest) for value in values))
