"""From the likeliest next tokens to the probabilities of a few words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_SPACES = " \t\r\n\u2581\u0120\u010a"
"""Around a word: white space, and what tokenizers write for a space or a line break."""

_UNLIKELY = -9999.0
"""What servers write for a token that is not among those they know the probability of."""


def choice_log_probabilities(tokens: Iterable[tuple[str, float]], choices: Sequence[str]) -> dict[str, float]:
    """The log-probability of each choice as the next word.

    Tokens that differ from a choice in the spaces around it, or in upper and lower case, count as that choice, and
    their probabilities are added; case counts where choices differ in nothing else.

    Args:
        tokens: The likeliest next tokens, each once, with the natural logarithms of their probabilities.
        choices: Words.

    Returns:
        By choice; one that no token stands for is left out.
    """
    plain = len({_plain(choice) for choice in choices}) == len(choices)
    read = _plain if plain else _bare
    names = {read(choice): choice for choice in choices}
    found: dict[str, list[float]] = {}
    for token, value in tokens:
        if value > _UNLIKELY and read(token) in names:
            found.setdefault(names[read(token)], []).append(value)
    return {choice: _log_sum(found[choice]) for choice in choices if choice in found}


def _bare(token: str) -> str:
    return token.strip(_SPACES)


def _plain(token: str) -> str:
    return _bare(token).casefold()


def _log_sum(values: Sequence[float]) -> float:
    """Of what the values are the logarithms of."""
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
