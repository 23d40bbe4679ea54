"""How far a measurement is, told from what lies on disk already, whichever process put it there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[int, int], None]
"""Called with how many pieces are done and how many there are."""
EVERY_S = 2.0


@contextmanager
def watched(done: Callable[[], int], total: int, progress: Progress, every_s: float = EVERY_S) -> Iterator[None]:
    """Tell how much is done, now and then while the block runs and once at its end.

    Args:
        done: Counts the pieces that are done.
        total: How many there are.
        progress: Told from another thread.
        every_s: Seconds between looks.
    """
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every_s):
            progress(min(done(), total), total)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        progress(min(done(), total), total)


def count_lines(files: Iterable[Path]) -> int:
    """Lines in those files that exist."""
    return sum(file.read_bytes().count(b"\n") for file in files if file.is_file())


def count_files(folders: Iterable[Path], pattern: str) -> int:
    """Files of a pattern in those folders that exist."""
    return sum(1 for folder in folders if folder.is_dir() for _ in folder.glob(pattern))
