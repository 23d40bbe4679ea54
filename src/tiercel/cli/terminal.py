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
    with progress_of_steps() as step:
        yield step(what)


@contextmanager
def progress_of_steps() -> Iterator[Callable[[str], Report]]:
    """Show a bar on standard error for each step of the block, where standard error is a terminal.

    Yields:
        A function to call with what a step does, in two or three words; it gives one to call with (done, total),
        and the step's bar appears when that is called for the first time.
    """
    if not sys.stderr.isatty():
        yield lambda what: lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def step(what: str) -> Report:
            task: TaskID | None = None

            def report(done: int, total: int) -> None:
                nonlocal task
                if task is None:
                    task = bars.add_task(what, total=total)
                bars.update(task, completed=done, total=total)

            return report

        yield step


@contextmanager
def stoppable() -> Iterator[None]:
    """Tell whoever stops the block that nothing is lost.

    Raises:
        KeyboardInterrupt: with the sentence to say.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped; run the same command again to go on.") from None
