"""Indexes are measured each in a process of its own, and an interrupted run goes on where it stopped."""

import mmap
import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tiercel.errors import TiercelError
from tiercel.evaluation import index_speed
from tiercel.evaluation.index_speed import Memory, Task, growth, main, measure, table
from tiercel.evaluation.results import Row, read_rows


def test_everything_is_measured_written_and_tidied_away(tmp_path: Path) -> None:
    out, scratch = tmp_path / "index.json", tmp_path / "scratch"
    said: list[str] = []
    rows = measure(out, (2000,), ("faiss_flat",), isotropic=0, scratch=scratch, width=32, say=said.append)
    assert [row.name for row in read_rows(out)] == [row.name for row in rows]
    by_name = {row.name: row for row in rows}
    for metric in ("build_s", "build_cpu_s", "build_memory_mb", "memory_mb"):
        assert by_name[f"{metric}/all/cells_2000/faiss_flat"].value >= 0
    for query in ("one", "batch_100", "one_one_core", "batch_100_one_core"):
        row = by_name[f"latency_ms/{query}/cells_2000/faiss_flat"]
        assert 0 < row.low <= row.value <= row.high and row.n >= 3
    assert by_name["recall_at_10/one/cells_2000/faiss_flat"].value == 100
    # What faiss writes: every number in four bytes, and a few more.
    assert by_name["disk_mb/all/cells_2000/faiss_flat"].value == pytest.approx(2000 * 128 / 1e6, rel=0.01)
    assert len(said) == 3 and not scratch.exists()


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def stopped_at(what: str) -> None:
        def in_a_process(task: Task) -> list[Row]:
            if task.what == what:
                raise KeyboardInterrupt
            done.append(task.what)
            return task.measure()

        monkeypatch.setattr(index_speed, "_in_a_process", in_a_process)

    arguments = (tmp_path / "index.json", (2000,), ("faiss_flat",))
    stopped_at("search")
    with pytest.raises(KeyboardInterrupt):
        measure(*arguments, isotropic=0, scratch=tmp_path / "scratch", width=16)
    assert {row.parts[0] for row in read_rows(tmp_path / "index.json")} >= {"build_s", "disk_mb"}
    cores = os.sched_getaffinity(0)
    stopped_at("nothing")
    measure(*arguments, isotropic=0, scratch=tmp_path / "scratch", width=16, keep=True)
    os.sched_setaffinity(0, cores)
    assert done == ["build", "search", "search_one_core"]
    measure(*arguments, isotropic=0, scratch=tmp_path / "scratch", width=16)
    assert len(done) == 3


def test_a_process_that_was_killed_is_told_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_a_process(task: Task) -> list[Row]:
        if task.vectors.cells == 3000:
            raise BrokenProcessPool
        return task._build() if task.what == "build" else []

    monkeypatch.setattr(index_speed, "_in_a_process", in_a_process)
    with pytest.raises(TiercelError, match=r"faiss_flat at cells_3000 could not .* want of memory"):
        measure(tmp_path / "i.json", (2000, 3000), ("faiss_flat",), isotropic=0, scratch=tmp_path / "s", width=16)
    assert {row.parts[2] for row in read_rows(tmp_path / "i.json")} == {"cells_2000"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sizes", "10"], "less than 1000 cells"),
        (["--methods", "annoy"], "no index 'annoy': there are tiercel_exact"),
        (["--sizes", str(10**12)], r"GB free and up to 4000000\.0 GB are needed"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(TiercelError, match=sentence):
        main([str(tmp_path / "index.json"), "--scratch", str(tmp_path / "scratch"), *arguments])
    assert not (tmp_path / "index.json").exists()


def test_memory_is_the_peak_beyond_the_start() -> None:
    memory = Memory()
    with mmap.mmap(-1, 80_000_000) as held:  # fresh pages, which no allocator has at hand from before
        for _ in range(80):
            held.write(b"1" * 1_000_000)
    peak = memory.peak_mb()
    assert peak is None or 50 < peak < 120


def row(name: str, value: float | None) -> Row:
    return Row(name, value, "ms", 1, None, None, (), "", "")


def test_growth_is_the_exponent_between_sizes_and_through_all() -> None:
    rows = [row(f"latency_ms/one/cells_{cells}/a", cells**0.5) for cells in (10_000, 100_000, 1_000_000)]
    rows += [row("latency_ms/one/isotropic_100000/a", 9.0), row("latency_ms/one/cells_10000/b", 1.0)]
    rows += [row(f"recall_at_10/one/cells_{cells}/a", 99.0) for cells in (10_000, 100_000)]
    rows += [row(f"memory_mb/all/cells_{cells}/a", value) for cells, value in ((10_000, None), (100_000, 5.0))]
    found = {one.name: one.value for one in growth(rows)}
    assert set(found) == {
        "growth_latency_ms/one/cells_10000_to_100000/a",
        "growth_latency_ms/one/cells_100000_to_1000000/a",
        "growth_latency_ms/one/cells_10000_to_1000000/a",
    }
    assert list(found.values()) == pytest.approx([0.5] * 3)


def test_the_table_has_a_line_an_index_and_a_column_a_size() -> None:
    rows = [
        row(f"latency_ms/one/cells_{cells}/{method}", cells / 1000) for cells in (10_000, 100_000) for method in "ab"
    ]
    lines = list(table(rows + growth(rows)))
    assert lines[0].split() == ["latency_ms/one", "cells", "10000", "cells", "100000", "10000_to_100000"]
    assert [line.split() for line in lines[1:3]] == [[method, "10", "100", "1"] for method in "ab"]
