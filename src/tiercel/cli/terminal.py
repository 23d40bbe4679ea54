"""What is said on the terminal beside the answers: sentences and progress, all on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], None]
"""Called with how many pieces are done and how many there are."""


def say(sentence: str) -> None:
    """Print a sentence to standard error."""
    print(sentence, file=sys.stderr)


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """Show a bar on standard error while the block runs, where standard error is a terminal.

    Args:
        what: what is being done, in two or three words.

    Yields:
        A function to call with (done, total).
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
