"""One function over many photos, in several processes, stoppable at any moment."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tiercel.errors import TiercelError

_AT_ONCE = 8  # photos a task, so that passing them on costs little

T = TypeVar("T")
R = TypeVar("R")


def each(function: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[tuple[int, R]]:
    """Calls a function for every item.

    Args:
        function: Of a module, so that other processes find it.
        items: What to call it with.
        workers: Processes; with 1, or for a handful of items, this process does it all.

    Yields:
        The index of an item and its result, in the order in which they are done.

    Raises:
        TiercelError: A process was killed, as it is where memory runs out.
    """
    if workers <= 1 or len(items) <= _AT_ONCE:
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    # Spawned rather than forked: the maps of this process hold files and threads that must not be shared.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(items)), context, _leave_interrupts_to_the_parent)
    try:
        starts = range(0, len(items), _AT_ONCE)
        tasks = {pool.submit(_batch, function, items[start : start + _AT_ONCE]): start for start in starts}
        for task in as_completed(tasks):
            yield from enumerate(task.result(), tasks[task])
    except BrokenProcessPool as error:
        raise TiercelError(
            "A worker process was killed, perhaps for want of memory: run the same command again with fewer "
            "--workers, it goes on where it stopped."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _batch(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
