"""The same work on many things in a few threads, each result handed over when it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    work: Callable[[T, threading.Event], R], things: Sequence[T], threads: int
) -> Generator[tuple[int, R], None, None]:
    """Does work in threads.

    The threads do not keep the process alive: whoever presses Ctrl-C need not wait until a server has answered.

    Args:
        work: Gets a thing, and an event that is set once nobody waits for results any more.
        things: To work on, begun in this order.
        threads: How many at once.

    Yields:
        The index of a thing, and its result.

    Raises:
        BaseException: What `work` raised first, after all results that were there by then.
    """
    todo: SimpleQueue[tuple[int, T]] = SimpleQueue()
    done: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
    over = threading.Event()
    for numbered in enumerate(things):
        todo.put(numbered)

    def take() -> None:
        while not over.is_set():
            try:
                index, thing = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((index, work(thing, over), None))
            except BaseException as error:
                done.put((index, None, error))

    for _ in range(min(threads, len(things))):
        threading.Thread(target=take, daemon=True).start()
    raised: BaseException | None = None
    try:
        for _ in things:
            try:
                index, result, error = done.get(block=raised is None)
            except Empty:
                break
            if error is None:
                yield index, result  # type: ignore[misc]  # without an error there is a result
            elif raised is None:
                raised = error
                over.set()
        if raised is not None:
            raise raised
    finally:
        over.set()
