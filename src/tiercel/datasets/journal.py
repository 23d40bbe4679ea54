"""A file that grows by one JSON object a line, and survives being cut off in the middle of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol


class Append(Protocol):
    """Writes one more object."""

    def __call__(self, entry: dict[str, Any]) -> None:
        """Writes it, so that it is there even if the next moment everything stops."""


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The whole objects of a journal, none where there is no such file; a line that was cut off is passed over."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


@contextmanager
def appending(path: Path) -> Iterator[Append]:
    """Gives a function that adds to a journal, which is made if missing."""
    with path.open("a+b") as file:
        if file.seek(0, 2):
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")  # ends the line that was cut off

        def append(entry: dict[str, Any]) -> None:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()

        yield append
