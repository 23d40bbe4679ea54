"""How far a measurement is can be seen from the disk while it runs."""

import time
from pathlib import Path

import pytest

from tiercel.evaluation.watching import count_files, count_lines, watched


def test_it_tells_while_the_block_runs_and_how_it_ended(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    file = tmp_path / "answers.jsonl"
    with watched(lambda: count_lines([file]), 3, lambda *part: told.append(part), every_s=0.01):
        file.write_text("one\ntwo\n")
        limit = time.monotonic() + 10
        while (2, 3) not in told and time.monotonic() < limit:
            time.sleep(0.01)
        seen = list(told)
        file.write_text("one\ntwo\nthree\nof another run\n")
    assert (2, 3) in seen and told[-1] == (3, 3)  # never more than there are


def test_what_was_done_is_told_when_the_block_fails() -> None:
    told: list[tuple[int, int]] = []

    with pytest.raises(KeyboardInterrupt), watched(lambda: 1, 2, lambda *part: told.append(part)):
        raise KeyboardInterrupt
    assert told == [(1, 2)]


def test_files_that_are_not_there_yet_count_nothing(tmp_path: Path) -> None:
    assert count_lines([tmp_path / "none.jsonl"]) == count_files([tmp_path / "none"], "*.jpg") == 0
    (tmp_path / "deep").mkdir()
    for name in ("a.jpg", "b.txt", "deep/c.jpg"):
        (tmp_path / name).touch()
    assert count_files([tmp_path], "**/*.jpg") == 2
