"""``python -m tiercel.evaluation.index_speed FILE``: galleries of up to millions of cells, searched by several indexes.

Every index is built, and then searched, by a process of its own, on all cores and again on one. What a process has
measured is noted beside the gallery, so that an interrupted run goes on where it stopped; removing a note, such as
``*.search.json``, has it measured again. The vectors are made up, with the statistics of real ones (`index_vectors`).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.evaluation.index_methods import METHODS, Cells, Opened
from tiercel.evaluation.index_vectors import CITY, ISOTROPIC, SEED, Floats, Vectors
from tiercel.evaluation.results import Row, machine, read_rows, write_rows

COMMAND = "make bench"
SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
ISOTROPIC_CELLS = 100_000
BATCH = 100
_LEAST_CELLS = 1000
SECONDS = 30.0
"""Each latency is measured for as long as this, or until every query was asked once, whichever comes first."""
_LEAST_TIMES = 3
_BYTES_A_CELL = 4000
"""On disk, at most: the vectors and the largest index, while another is written."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_THREADS_OF_LANCE = ("LANCE_CPU_THREADS", "LANCE_IO_THREADS", "RAYON_NUM_THREADS")
"""By itself Lance takes as many as there are cores, and more for reading."""

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Task:
    """What one process measures.

    Attributes:
        what: ``build``, ``search`` on all cores, or ``search_one_core``.
        method: Name of the index.
        vectors: The gallery.
        area: Its name in rows.
    """

    what: str
    method: str
    vectors: Vectors
    area: str

    @property
    def note(self) -> Path:
        """Where what was measured is kept."""
        return self.vectors.folder / f"{self.method}.{self.what}.json"

    @property
    def index(self) -> Path:
        """Where the index is."""
        return self.vectors.folder / self.method

    def measure(self) -> list[Row]:
        """Measure it, in this process."""
        method = METHODS[self.method]
        method.load()
        if self.what == "build":
            return self._build()
        if self.what == "search_one_core" and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        return self._search()

    def _build(self) -> list[Row]:
        partial = self.index.with_name(self.index.name + ".partial")
        for left in (partial, self.index):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
        memory, started, cpu = Memory(), time.perf_counter(), time.process_time()
        METHODS[self.method].build(self.vectors, partial)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        partial.rename(self.index)
        disk = sum(file.stat().st_size for file in self.index.rglob("*") if file.is_file())
        return [
            self._row("build_s", "all", "s", seconds),
            self._row("build_cpu_s", "all", "s", cpu),
            self._row("build_memory_mb", "all", "MB", memory.peak_mb()),
            self._row("disk_mb", "all", "MB", disk / 1e6),
        ]

    def _search(self) -> list[Row]:
        queries, suffix = self.vectors.asked, self.what.removeprefix("search")
        memory, started = Memory(), time.perf_counter()
        opened = METHODS[self.method].open(self.index)
        opened.search(queries[:1])
        seconds = time.perf_counter() - started
        settings = opened.tune(self.vectors)
        batches = [queries[first : first + BATCH] for first in range(0, len(queries), BATCH)]
        found = np.concatenate([opened.search(batch) for batch in batches])
        rows: list[Row] = []
        for name, asked in (("one", queries[:, None]), (f"batch_{BATCH}", batches)):
            latency, cpu = _timed(opened, asked)
            low, high = (float(np.percentile(latency, share)) for share in (2.5, 97.5))
            median = float(np.median(latency))
            rows.append(self._row("latency_ms", f"{name}{suffix}", "ms", median, len(latency), low, high))
            rows.append(self._row("cpu_ms", f"{name}{suffix}", "ms", cpu, len(latency)))
        if self.what == "search":
            rows += self._found(found, settings)
            rows.append(self._row("first_answer_s", "one", "s", seconds))
            rows.append(self._row("memory_mb", "all", "MB", memory.peak_mb()))
        return rows

    def _found(self, found: Cells, settings: dict[str, float]) -> Iterator[Row]:
        recall = 100 * self.vectors.recall(found)
        means = np.random.default_rng(0).choice(recall, (2000, len(recall))).mean(1)
        low, high = (float(np.percentile(means, share)) for share in (2.5, 97.5))
        yield self._row("recall_at_10", "one", "%", float(recall.mean()), len(recall), low, high)
        for name, value in settings.items():
            yield self._row(name, "one", "", value)

    def _row(
        self,
        metric: str,
        query: str,
        unit: str,
        value: float | None,
        n: int = 1,
        low: float | None = None,
        high: float | None = None,
    ) -> Row:
        name = f"{metric}/{query}/{self.area}/{self.method}"
        return Row(name, value, unit, n, low, high, (SEED,), machine(), COMMAND)


class Memory:
    """How much memory this process comes to hold at most, beyond what it holds now."""

    def __init__(self) -> None:
        """Starts to watch."""
        self._start: float | None = None
        if sys.platform == "linux":
            # Forgets the peak so far.
            Path("/proc/self/clear_refs").write_text("5")
            self._start = _status_mb("VmRSS")

    def peak_mb(self) -> float | None:
        """In MB of 10^6 bytes; None where the system does not tell."""
        return None if self._start is None else _status_mb("VmHWM") - self._start


def _status_mb(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(f"/proc/self/status has no {name}")


def _timed(opened: Opened, batches: Sequence[Floats] | Floats) -> tuple[NDArray[np.float64], float]:
    """Milliseconds of each search, everything warm, and of the processor in each on average.

    The latter are also true on a machine that has other things to do.
    """
    milliseconds: list[float] = []
    cpu, end = time.process_time(), time.perf_counter() + SECONDS
    for times, batch in enumerate([*batches] * (1 if len(batches) > _LEAST_TIMES else _LEAST_TIMES)):
        if times >= _LEAST_TIMES and time.perf_counter() > end:
            break
        started = time.perf_counter()
        opened.search(batch)
        milliseconds.append(1000 * (time.perf_counter() - started))
    return np.array(milliseconds), 1000 * (time.process_time() - cpu) / len(milliseconds)


def _say(line: str) -> None:
    print(line, flush=True)


def measure(
    out: Path,
    sizes: Sequence[int] = SIZES,
    methods: Sequence[str] = tuple(METHODS),
    *,
    isotropic: int = ISOTROPIC_CELLS,
    scratch: Path = Path("runs/index"),
    keep: bool = False,
    width: int = CITY.width,
    say: Say = _say,
) -> list[Row]:
    """Measure indexes and write the rows, after every process that is done.

    Args:
        out: File of rows.
        sizes: Cells of the galleries.
        methods: Names of indexes.
        isotropic: Cells of the gallery of vectors that have nothing in common; 0 for none.
        scratch: Where galleries, indexes and notes are while it runs.
        keep: Leave them there.
        width: Numbers in an embedding.
        say: Told a line now and then.

    Returns:
        Rows named ``<metric>/<what was asked>/cells_<number>/<index>``, and how they grow.

    Raises:
        TiercelError: a size or a name is wrong, the disk is too small, or a process was killed; the others' rows are
            written then.
    """
    tasks = _tasks(sizes, methods, isotropic, scratch, width)
    _check_disk(scratch, max(task.vectors.cells for task in tasks))
    killed: list[str] = []
    for number, task in enumerate(tasks):
        if not task.note.exists() and f"{task.method} at {task.area}" not in killed:
            say(f"{task.area}: {task.method}: {task.what}")
            try:
                _make(task.vectors)
                write_rows(task.note, _in_a_process(task))
            except BrokenProcessPool:
                killed.append(f"{task.method} at {task.area}")
        rows = _gathered(tasks)
        write_rows(out, rows)
        if not keep:
            _tidy(task, tasks[number + 1 :])
    if killed:
        raise TiercelError(
            f"{' and '.join(killed)} could not be measured: the process was killed, most likely for want of memory. "
            f"Run it again on a machine with more, or with smaller --sizes."
        )
    if not keep:
        _remove_notes(tasks, scratch)
    return rows


def _tasks(sizes: Sequence[int], methods: Sequence[str], isotropic: int, scratch: Path, width: int) -> list[Task]:
    if unknown := [name for name in methods if name not in METHODS]:
        raise TiercelError(f"There is no index '{unknown[0]}': there are {', '.join(METHODS)}.")
    if min([*sizes, isotropic or _LEAST_CELLS], default=0) < _LEAST_CELLS:
        raise TiercelError(f"A gallery of less than {_LEAST_CELLS} cells needs no index: give more.")
    galleries = [(f"cells_{cells}", cells, CITY) for cells in sorted(set(sizes))]
    if isotropic:
        galleries.append((f"isotropic_{isotropic}", isotropic, ISOTROPIC))
    tasks: list[Task] = []
    for area, cells, statistics in sorted(galleries, key=lambda gallery: gallery[1]):
        vectors = Vectors(scratch / area, cells, dataclasses.replace(statistics, width=width))
        vectors = dataclasses.replace(vectors, folder=scratch / f"{area}-{vectors.digest}")
        tasks += [
            Task(what, method, vectors, area) for method in methods for what in ("build", "search", "search_one_core")
        ]
    return tasks


def _check_disk(scratch: Path, cells: int) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    needed, free = cells * _BYTES_A_CELL, shutil.disk_usage(scratch).free
    if free < needed:
        raise TiercelError(
            f"{scratch} has {free / 1e9:.1f} GB free and up to {needed / 1e9:.1f} GB are needed: make room, point "
            f"--scratch to another disk, or give smaller --sizes."
        )


def _make(vectors: Vectors) -> None:
    # Not in this process, which would hold on to some of the memory for hours.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(vectors.write).result()


def _in_a_process(task: Task) -> list[Row]:
    with _environment(task.what == "search_one_core"), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(task.measure).result()


@contextmanager
def _environment(one_core: bool) -> Iterator[None]:
    """For processes started in the block: how many threads they have. Those of OpenMP sleep while they wait."""
    before = dict(os.environ)
    threads = dict.fromkeys(_THREADS + _THREADS_OF_LANCE, "1") if one_core else dict.fromkeys(_THREADS, _cores())
    os.environ.update(threads, OMP_WAIT_POLICY="PASSIVE")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _cores() -> str:
    return str(os.cpu_count() or 1)


def _gathered(tasks: Sequence[Task]) -> list[Row]:
    rows = [row for task in tasks if task.note.exists() for row in read_rows(task.note)]
    return rows + growth(rows)


def _tidy(task: Task, left: Sequence[Task]) -> None:
    """Remove what no task that is left will read."""
    if all(other.index != task.index for other in left):
        shutil.rmtree(task.index, ignore_errors=True)
    if all(other.vectors != task.vectors for other in left):
        task.vectors.remove()


def _remove_notes(tasks: Sequence[Task], scratch: Path) -> None:
    for task in tasks:
        task.note.unlink(missing_ok=True)
    # What somebody else put there stays.
    for folder in [*{task.vectors.folder for task in tasks}, scratch]:
        with suppress(OSError):
            folder.rmdir()


def growth(rows: Sequence[Row]) -> list[Row]:
    """How what was measured grows with the number of cells: the exponent of a power law.

    Args:
        rows: Rows whose area is ``cells_<number>``, among others.

    Returns:
        ``growth_<metric>/<query>/cells_<first>_to_<last>/<index>`` for each step between sizes, and for a straight
        line through all of them in logarithms of both where there are more than two.
    """
    series: dict[tuple[str, str, str], dict[int, Row]] = {}
    for row in rows:
        metric, query, area, method = row.parts
        if area.startswith("cells_") and metric != "recall_at_10" and row.value:
            series.setdefault((metric, query, method), {})[int(area.removeprefix("cells_"))] = row
    found: list[Row] = []
    for (metric, query, method), by_size in series.items():
        sizes = sorted(by_size)
        spans = [sizes[at : at + 2] for at in range(len(sizes) - 1)]
        for span in [*spans, *([sizes] if len(sizes) > 2 else [])]:
            values = [by_size[size].value or math.nan for size in span]
            exponent = float(np.polyfit(np.log(span), np.log(np.maximum(values, 1e-9)), 1)[0])
            name = f"growth_{metric}/{query}/cells_{span[0]}_to_{span[-1]}/{method}"
            found.append(Row(name, exponent, "", len(span), None, None, (SEED,), by_size[sizes[0]].machine, COMMAND))
    return found


def table(rows: Sequence[Row]) -> Iterator[str]:
    """What was measured and how it grows, as lines of text: a block a metric, a line an index, a column a size."""
    plain = [row for row in rows if not row.name.startswith("growth_")]
    areas = list(dict.fromkeys(row.parts[2] for row in plain))
    exponents = {row.name: row for row in rows if row.name.startswith("growth_")}
    spans = list(dict.fromkeys(row.parts[2] for row in exponents.values()))
    columns = [area.replace("_", " ") for area in areas] + [span.removeprefix("cells_") for span in spans]
    methods = list(dict.fromkeys(row.parts[3] for row in plain))
    by_name = {row.name: row for row in plain} | exponents
    for what in dict.fromkeys(row.name.rsplit("/", 2)[0] for row in plain):
        yield f"{what:28}" + "".join(f"{column:>20}" for column in columns)
        for method in methods:
            names = [f"{what}/{area}/{method}" for area in areas] + [f"growth_{what}/{span}/{method}" for span in spans]
            cells = [_cell(by_name.get(name)) for name in names]
            if any(cells):
                yield f"  {method:26}" + "".join(f"{cell:>20}" for cell in cells)
        yield ""


def _cell(row: Row | None) -> str:
    return "" if row is None or row.value is None else f"{row.value:.4g}"


def main(arguments: Sequence[str]) -> None:
    """Measure and print.

    Raises:
        TiercelError: see `measure`.
    """
    parser = argparse.ArgumentParser(prog="python -m tiercel.evaluation.index_speed", description=measure.__doc__)
    parser.add_argument("out", type=Path, help="file of rows to write")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="cells of the galleries")
    parser.add_argument("--methods", nargs="+", default=tuple(METHODS), help=", ".join(METHODS))
    parser.add_argument("--isotropic", type=int, default=ISOTROPIC_CELLS, help="cells of the worst case; 0 for none")
    parser.add_argument("--scratch", type=Path, default=Path("runs/index"), help="for galleries, indexes and notes")
    parser.add_argument("--keep", action="store_true", help="leave galleries, indexes and notes there")
    print(*table(measure(**vars(parser.parse_args(arguments)))), sep="\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TiercelError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
