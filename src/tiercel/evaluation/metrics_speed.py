"""``python -m tiercel.evaluation.metrics_speed FILE [SHARE]``: how fast ranks are found, beside the usual evaluation.

The usual evaluation multiplies all queries with all references in single precision, keeps the whole matrix, and goes
through the queries in one Python loop. At VIGOR's cross-area size the matrix takes 19 GB. Where that does not fit, the
loop is run on a share of the queries, as its cost is proportional to them, and the rows say so; SHARE, such as 8, asks
for an eighth.

Embeddings are simulated, for the cost depends on how steeply their spectrum falls and how far positives stand out.
Three kinds are measured: variances that fall as 1/i, as those of well-trained representations do (Agrawal et al.,
"alpha-ReQ", NeurIPS 2022, find exponents near 1); as 1/sqrt(i); and isotropic ones, which leave nothing to make use of.
The noise of each is such that recall is near what Sample4Geo publishes for VIGOR cross-area: R@1 61.7 %, R@5 83.5 %,
R@10 88.0 %, R@1% 98.2 %, hit rate 69.9 %.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tiercel.evaluation.metrics import Measured
from tiercel.evaluation.ranking import Ranks, one_percent, rank_references
from tiercel.evaluation.results import Row, machine, write_rows

COMMAND = "make bench"
SEED = 2026
REPEATS = 3
SPARE = 1.1
"""How much more memory than its matrix the loop has to find."""
WARM = 8000
"""Queries and references that are ranked before memory is measured."""


@dataclass(frozen=True)
class Size:
    """How much is compared.

    Attributes:
        name: In the rows.
        queries: Number of queries.
        references: Number of references.
        width: Numbers in an embedding.
    """

    name: str
    queries: int
    references: int
    width: int


VIGOR = Size("vigor_size", 53_000, 90_000, 1024)


@dataclass(frozen=True)
class Kind:
    """A kind of embeddings.

    Attributes:
        name: In the rows.
        slope: The i-th largest variance is i ** -slope.
        noise: Median of how much longer than what it shows a query's noise is, as a natural logarithm.
    """

    name: str
    slope: float
    noise: float


KINDS = (Kind("typical", 1.0, -0.35), Kind("flat", 0.5, 1.0), Kind("isotropic", 0.0, 1.3))


@dataclass(frozen=True)
class Embeddings:
    """Embeddings to rank.

    Attributes:
        queries: (n, d) float32 unit vectors.
        references: (m, d) float32 unit vectors.
        positives: (n,) int64.
        semi_positives: (n, 3) int64.
    """

    queries: NDArray[np.float32]
    references: NDArray[np.float32]
    positives: NDArray[np.int64]
    semi_positives: NDArray[np.int64]

    def rank(self) -> Ranks:
        """The ranks, by tiercel."""
        return rank_references(self.queries, self.references, self.positives, self.semi_positives.tolist())


ALIKE, SHARED, OWN = 0.88, 0.1, 0.02
"""Shares of a tile's variance: in common with `LOOKALIKES` tiles elsewhere, in common with its neighbours, its own."""
LOOKALIKES = 24
NOISE_SPREAD = 0.3
"""Standard deviation of the logarithm of queries' noise: some photos are harder than others."""


def simulate_embeddings(size: Size, kind: Kind, seed: int = SEED) -> Embeddings:
    """Embeddings of overlapping tiles, and of photos taken on them.

    Tiles lie on a square grid. A tile's vector is the sum of what its kind of scene looks like, of what lies at its
    four corners, each shared by four tiles, and of something of its own. A photo shows what the four tiles around it
    show, most of it the positive's and often nearly as much of a semi-positive's, and noise. Both have the same
    spectrum, on axes turned at random.
    """
    rng = np.random.default_rng(seed)
    n, m, width = size.queries, size.references, size.width
    deviations = np.arange(1, width + 1, dtype=np.float32) ** np.float32(-kind.slope / 2)
    deviations /= np.linalg.norm(deviations)
    side = math.ceil(math.sqrt(m))
    row, col = np.divmod(np.arange(m), side)
    tiles: NDArray[np.float32] = np.float32(math.sqrt(OWN)) * rng.standard_normal((m, width), np.float32)
    scenes = np.float32(math.sqrt(ALIKE)) * rng.standard_normal((m // LOOKALIKES + 1, width), np.float32)
    tiles += scenes[rng.integers(0, len(scenes), m)]
    corners = np.float32(math.sqrt(SHARED / 4)) * rng.standard_normal(((side + 1) ** 2, width), np.float32)
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        tiles += corners[(row + corner[0]) * (side + 1) + col + corner[1]]
    tiles *= deviations
    positives = rng.integers(0, m, n)
    down, across = (_towards(rng, place[positives], side) for place in (row, col))
    steps = (down * side, across, down * side + across)
    semi_positives = np.minimum(positives[:, None] + np.stack(steps, 1), m - 1)
    # A photo is taken in the middle half of its positive: from there to the border of that half.
    x, y = 0.5 * np.sqrt(rng.uniform(0, 1, (2, n, 1))).astype(np.float32)
    photos = (1 - x) * (1 - y) * tiles[positives]
    for part, semi in zip((x * (1 - y), (1 - x) * y, x * y), semi_positives.T, strict=True):
        photos += part * tiles[semi]
    _normalise(photos)
    level = np.exp(rng.normal(kind.noise, NOISE_SPREAD, (n, 1))).astype(np.float32)
    photos += level * deviations * rng.standard_normal((n, width), np.float32)
    axes: NDArray[np.float32] = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    photos, tiles = _normalise(photos @ axes), _normalise(tiles @ axes)
    return Embeddings(photos, tiles, positives, semi_positives)


def _towards(rng: np.random.Generator, place: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Towards which neighbour a photo lies, -1 or 1, never off the grid."""
    way = rng.choice([-1, 1], len(place))
    return np.where((place + way < 0) | (place + way >= side), -way, way)


def _normalise(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


@dataclass(frozen=True)
class Loop:
    """What the usual evaluation found, and its cost.

    Attributes:
        rank: (n,) references of greater similarity than the positive.
        hit: (n,) whether none of them is left once semi-positives are masked.
        products_s: Seconds for the matrix.
        loop_s: Seconds for the loop.
    """

    rank: NDArray[np.int64]
    hit: NDArray[np.bool_]
    products_s: float
    loop_s: float


def usual_evaluation(data: Embeddings, step: int = 1000) -> Loop:
    """The usual evaluation: the whole matrix of similarities, then one query after the other.

    The matrix is made in place. Published code collects pieces of it in a list and copies them together, which takes
    twice the memory and longer.
    """
    queries, references = torch.from_numpy(data.queries), torch.from_numpy(data.references)
    started = time.perf_counter()
    matrix = torch.empty(len(queries), len(references))
    for first in range(0, len(queries), step):
        torch.mm(queries[first : first + step], references.T, out=matrix[first : first + step])
    multiplied = time.perf_counter()
    ranks, hits = [], []
    counts = dict.fromkeys((1, 5, 10, one_percent(len(references))), 0)
    for query, positive in enumerate(data.positives.tolist()):
        higher = matrix[query] > matrix[query, positive]
        rank = higher.sum()
        for k in counts:
            counts[k] += int(rank < k)
        mask = torch.ones(len(references))
        for semi in data.semi_positives[query].tolist():
            mask[semi] = 0
        hits.append(bool((higher * mask).sum() < 1))
        ranks.append(int(rank))
    done = time.perf_counter()
    return Loop(np.array(ranks), np.array(hits), multiplied - started, done - multiplied)


def share_that_fits(size: Size, available: int) -> int:
    """One in how many queries the loop can be run on: 1, 2, 4, ...

    Args:
        size: What is compared.
        available: Bytes of memory.
    """
    share = 1
    while SPARE * 4 * size.queries / share * size.references > available and share < size.queries:
        share *= 2
    return share


def recalls(ranks: Ranks, references: int) -> dict[str, Measured]:
    """All that is measured of ranks, with intervals."""
    named = {f"r{k}": ranks.recall_at(k) for k in (1, 5, 10)}
    return named | {"r1_percent": ranks.recall_at(one_percent(references)), "hit_rate": ranks.hit_rate()}


def extra_memory(data: Embeddings) -> float:
    """Gigabytes that ranks and all recalls take at most, beyond the embeddings.

    Measured in a process of its own, which has ranked a few before: what is loaded and compiled does not count.
    """
    with tempfile.TemporaryDirectory() as folder:
        for field in dataclasses.fields(data):
            np.save(Path(folder) / f"{field.name}.npy", getattr(data, field.name))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            return alone.submit(_extra_memory, Path(folder)).result()


def _extra_memory(folder: Path) -> float:
    data = Embeddings(**{field.name: np.load(folder / f"{field.name}.npy") for field in dataclasses.fields(Embeddings)})
    few = slice(min(WARM, len(data.references)))
    there = [truth[few] % few.stop for truth in (data.positives, data.semi_positives)]
    recalls(Embeddings(data.queries[few], data.references[few], *there).rank(), few.stop)
    # Makes the kernel forget the highest use of memory so far.
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    recalls(data.rank(), len(data.references))
    return (_memory("VmHWM") - before) / 1e9


def _memory(what: str, of: str = "/proc/self/status") -> int:
    """Bytes, as the kernel accounts for them."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(of).read_text())
    assert found is not None, f"{of} says nothing of {what}"
    return 1024 * int(found[1])


def measure(size: Size = VIGOR, kinds: Sequence[Kind] = KINDS, share: int | None = None) -> list[Row]:
    """Rank simulated embeddings by tiercel and by the usual evaluation.

    Args:
        size: How much is compared.
        kinds: Of embeddings.
        share: One in how many queries the loop is run on; None for as many as memory holds.

    Returns:
        Rows named ``<metric>/<kind>/<size>/<method>``; the loop is ``loop``, or ``loop_on_one_in_<share>``.
    """
    return [row for kind in kinds for row in _measure(size, kind, share)]


def _measure(size: Size, kind: Kind, share: int | None) -> Iterator[Row]:
    def row(metric: str, method: str, unit: str, value: float, n: int, low: float | None, high: float | None) -> Row:
        name = f"{metric}/{kind.name}/{size.name}/{method}"
        threads = f"{machine()}, {torch.get_num_threads()} threads"
        return Row(name, value, unit, n, low, high, (SEED,), threads, COMMAND)

    data = simulate_embeddings(size, kind)
    share = share or share_that_fits(size, _memory("MemAvailable", "/proc/meminfo"))
    loop_name = "loop" if share == 1 else f"loop_on_one_in_{share}"
    loop = usual_evaluation(
        Embeddings(data.queries[::share], data.references, data.positives[::share], data.semi_positives[::share])
    )
    # Of as many queries as there are.
    scale = size.queries / len(loop.rank)
    loop_s, products_s = scale * (loop.products_s + loop.loop_s), scale * loop.products_s
    ranks, seconds = _timed(data)
    low, high = float(seconds.min()), float(seconds.max())
    ours = float(np.median(seconds))
    method = f"tiercel_over_{loop_name}" if share > 1 else "tiercel"
    yield row("speedup_over_loop", method, "x", loop_s / ours, len(loop.rank), loop_s / high, loop_s / low)
    yield row(
        "speedup_over_products", method, "x", products_s / ours, len(loop.rank), products_s / high, products_s / low
    )
    yield row("seconds", "tiercel", "s", ours, size.queries, low, high)
    yield row("seconds", loop_name, "s", loop_s / scale, len(loop.rank), None, None)
    yield row("seconds_of_products", loop_name, "s", products_s / scale, len(loop.rank), None, None)
    yield row("extra_memory_gb", "tiercel", "GB", extra_memory(data), size.queries, None, None)
    yield row("extra_memory_gb", loop_name, "GB", 4e-9 * len(loop.rank) * size.references, len(loop.rank), None, None)
    # Sums in single precision, in whatever order the processor likes, are not those that count.
    differing = (loop.rank.clip(max=ranks.counted) != ranks.rank[::share]) | (loop.hit != ranks.hit[::share])
    yield row(
        "different_ranks", f"tiercel_and_{loop_name}", "queries", float(differing.sum()), len(loop.rank), None, None
    )
    for metric, one in recalls(ranks, size.references).items():
        yield row(metric, "tiercel", "%", one.value, one.n, one.low, one.high)


def _timed(data: Embeddings) -> tuple[Ranks, NDArray[np.float64]]:
    """Ranks, and the seconds of each time they were found but the first, which may compile."""
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        ranks = data.rank()
        seconds.append(time.perf_counter() - started)
    return ranks, np.array(seconds[1:])


if __name__ == "__main__":
    measured = measure(share=int(sys.argv[2]) if len(sys.argv) > 2 else None)
    write_rows(Path(sys.argv[1]), measured)
    for one in measured:
        print(f"{one.name:64} {one.value:10.3f} {one.unit}")
