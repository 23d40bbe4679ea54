"""Finding files by what others wrote down of their paths, on other machines and from other folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class FileIndex:
    """Files, to be found by how their paths end.

    Args:
        files: Their paths.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        """Notes every end of every path."""
        self._numbers: dict[tuple[str, ...], int | None] = {}
        for number, file in enumerate(files):
            for first in range(len(file.parts)):
                end = file.parts[first:]
                self._numbers[end] = None if end in self._numbers else number

    def ending_in(self, path: Path) -> int | None:
        """Number of the one file whose path ends in all of this path; None if there is none, or several."""
        return self._numbers.get(path.parts)

    def most_like(self, path: Path) -> int | None:
        """Number of the one file whose path ends in as much of this path as any does; None if none does, or several."""
        ends = (path.parts[first:] for first in range(len(path.parts)))
        return next((self._numbers[end] for end in ends if end in self._numbers), None)
