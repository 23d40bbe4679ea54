"""Made-up embeddings of map cells for measuring indexes: as many as one likes, with the statistics of real ones.

Rendering and encoding millions of cells takes days, and an index sees no pictures. What decides how hard a search is
are the spectrum of the embeddings, how alike neighbouring cells are, and how far a photo is from its cell. These are
numbers here (`Statistics`), and the vectors are drawn with them, the same for every run and machine.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

SEED = 2026
NEIGHBOURS = 10
"""Neighbours that are asked for, and of which recall is measured."""
_CHUNK = 1 << 16

Floats = NDArray[np.float32]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Statistics:
    """What embeddings of overlapping cells are like.

    An embedding is a part that all cells share and a latent vector, brought to unit length. The latent's variances fall
    over directions that are turned at random, so that no number of an embedding is special. The latent is a sum of maps
    that are interpolated between random values, so many cells apart, and of what no other cell shows.

    Attributes:
        width: Numbers in an embedding.
        exponent: The variance of the i-th direction is (1 + i / knee) to the power of minus this; 0 is isotropic.
        knee: Where that bends into a power law.
        shared: Squared length of what all cells have in common: the mean cosine of two cells.
        scales: For each map, the cells between its random values and its share of the latent's variance. Values one
            cell apart lie at the corners of cells: next neighbours share half of theirs. What is left belongs to each
            cell alone.
        photo_noise: Length of what separates a photo from its cell, before the sum is brought to unit length.
        photo_exponent: That falls over the same directions, as a power law.
    """

    width: int = 256
    exponent: float = 2.6
    knee: float = 8.0
    shared: float = 0.175
    scales: tuple[tuple[int, float], ...] = ((8, 0.15), (1, 0.78))
    photo_noise: float = 1.44
    photo_exponent: float = 0.65


CITY = Statistics()
"""Measured on the compact dual encoder, 2,304 cells of 31 m that each show 125 m of a simulated city, and 30 panoramas.

Cells 1, 2, 4, 8 and 12 apart: cosines of 0.53, 0.16, 0.12, 0.04 and 0.00 beyond what all share. Variances of the 1st,
8th, 64th and 128th direction: 12.8, 3.9, 0.11 and 0.02 %. A panorama and its cell: a cosine of 0.57.
"""
ISOTROPIC = Statistics(exponent=0.0, shared=0.0, scales=(), photo_exponent=0.0)
"""Nothing in common between any two cells: the worst case of every index, and like no map."""


@dataclass(frozen=True)
class Vectors:
    """A gallery of made-up embeddings on disk.

    Attributes:
        folder: Where its files lie.
        cells: How many there are; they fill a square map row by row, the last row as far as it goes.
        statistics: What they are like.
        queries: How many photos ask.
    """

    folder: Path
    cells: int
    statistics: Statistics
    queries: int = 200

    @property
    def side(self) -> int:
        """Cells in a row of the map."""
        return math.ceil(math.sqrt(self.cells))

    @property
    def digest(self) -> str:
        """Changes with whatever the vectors depend on."""
        told = dataclasses.astuple(self.statistics), self.cells, self.queries, SEED
        return f"{crc32(repr(told).encode()):08x}"

    @property
    def file(self) -> Path:
        """(cells, width) float16, nothing else."""
        return self.folder / "vectors.f16"

    def chunks(self, rows: int = _CHUNK) -> Iterator[Floats]:
        """The embeddings in float32, some rows at a time; read, not mapped, so that memory is what is held of them."""
        width = self.statistics.width
        with self.file.open("rb") as file:
            while (some := np.fromfile(file, np.float16, rows * width)).size:
                yield some.reshape(-1, width).astype(np.float32)

    def rows(self, cells: NDArray[np.int64]) -> Floats:
        """Embeddings of cells of any shape, in float32: (..., width)."""
        mapped = np.memmap(self.file, np.float16, "r", shape=(self.cells, self.statistics.width))
        return mapped[cells].astype(np.float32)

    @property
    def asked(self) -> Floats:
        """(queries, width) unit vectors: photos."""
        with np.load(self._truth) as kept:
            asked: Floats = kept["queries"]
        return asked

    @property
    def _truth(self) -> Path:
        return self.folder / "truth.npz"

    def write(self, report: Report | None = None) -> None:
        """Make the files, unless they are there.

        Args:
            report: Called with cells done and cells in all.
        """
        if self._truth.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        done = 0
        with partial.open("wb") as file:
            for chunk in self._draw():
                file.write(chunk.astype(np.float16).tobytes())
                done += len(chunk)
                if report:
                    report(done, self.cells)
        partial.replace(self.file)
        queries = self._draw_queries()
        partial = self._truth.with_suffix(".partial.npz")
        np.savez(partial, queries=queries, scores=self._best_scores(queries))
        partial.replace(self._truth)

    def remove(self) -> None:
        """Take the files away."""
        for file in (self.file, self._truth):
            file.unlink(missing_ok=True)

    def recall(self, found: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of the 10 most similar cells that a search has found for each photo.

        Args:
            found: (queries, 10) cells; -1 for none.

        Returns:
            (queries,) in 0..1. What is as similar as the tenth, within the rounding of float32, counts as found.
        """
        with np.load(self._truth) as kept:
            tenth = kept["scores"][:, -1:]
        scores = np.einsum("qkd,qd->qk", self.rows(np.maximum(found, 0)), self.asked)
        ordered = np.sort(found, 1)
        again = np.zeros(found.shape, np.bool_)
        again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        # What was found twice counts once.
        right: NDArray[np.int64] = ((scores >= tenth - 1e-6) & (found >= 0)).sum(1) - (again & (ordered >= 0)).sum(1)
        share: NDArray[np.float64] = right / NEIGHBOURS
        return share

    def _best_scores(self, queries: Floats) -> Floats:
        """(queries, 10) inner products with the most similar cells, the best first."""
        best = np.full((len(queries), NEIGHBOURS), -np.inf, np.float32)
        for chunk in self.chunks():
            scores = np.concatenate([best, queries @ chunk.T], 1)
            best = -np.partition(-scores, NEIGHBOURS - 1, 1)[:, :NEIGHBOURS]
        return -np.sort(-best, 1)

    def _draw(self) -> Iterator[Floats]:
        """Unit vectors, row after row of the map."""
        rows = max(1, _CHUNK // self.side)
        left = self.cells
        for first in range(0, self.side, rows):
            latents = self._latents(first, min(rows, self.side - first))[:left]
            left -= len(latents)
            if len(latents):
                yield self._embedded(latents)

    def _latents(self, first: int, rows: int) -> Floats:
        """Latents of rows of the map: (rows * side, width) of variance 1."""
        width = self.statistics.width
        own = 1.0 - sum(share for _, share in self.statistics.scales)
        out = np.empty((rows, self.side, width), np.float32)
        for row in range(rows):
            out[row] = _rng("own", first + row).standard_normal((self.side, width), np.float32) * math.sqrt(own)
            for spacing, share in self.statistics.scales:
                out[row] += self._interpolated(spacing, first + row) * np.float32(math.sqrt(share))
        return out.reshape(-1, width)

    def _interpolated(self, spacing: int, row: int) -> Floats:
        """A row of a map between random values so many cells apart, of variance 1: (side, width)."""
        count = self.side // spacing + 2
        down, below_it = divmod(row + 0.5, spacing)
        above, below = (
            _rng(f"scale {spacing}", int(down) + step).standard_normal((count, self.statistics.width), np.float32)
            for step in (0, 1)
        )
        lattice = _between(above, below, np.full(1, below_it / spacing, np.float32))
        left, way = np.divmod(np.arange(self.side) + 0.5, spacing)
        first = left.astype(np.int64)
        return _between(lattice[first], lattice[first + 1], (way / spacing).astype(np.float32)[:, None])

    def _embedded(self, latents: Floats) -> Floats:
        variances = (1 + np.arange(1, self.statistics.width + 1) / self.statistics.knee) ** -self.statistics.exponent
        vectors = self._coloured(latents, variances, 1 - self.statistics.shared)
        vectors += self._common
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _coloured(self, latents: Floats, variances: NDArray[np.float64], squared: float) -> Floats:
        """Latents with variances along the directions, of a mean squared length."""
        width = self.statistics.width
        turned, _ = np.linalg.qr(_rng("turn").standard_normal((width, width)))
        coloured: Floats = latents @ (np.sqrt(variances / variances.sum() * squared)[:, None] * turned.T).astype(
            np.float32
        )
        return coloured

    @property
    def _common(self) -> Floats:
        direction = _rng("common").standard_normal(self.statistics.width)
        return (direction / np.linalg.norm(direction) * math.sqrt(self.statistics.shared)).astype(np.float32)

    def _draw_queries(self) -> Floats:
        """Embeddings of photos of random cells."""
        rng = _rng("queries")
        cells = rng.integers(self.cells, size=self.queries)
        noise = rng.standard_normal((self.queries, self.statistics.width), np.float32)
        variances = np.arange(1.0, self.statistics.width + 1) ** -self.statistics.photo_exponent
        queries = self.rows(cells) + self._coloured(noise, variances, self.statistics.photo_noise**2)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        return queries


def _between(one: Floats, other: Floats, way: Floats) -> Floats:
    """Interpolated so that the variance stays 1."""
    length: Floats = np.sqrt((1 - way) ** 2 + way**2, dtype=np.float32)
    mixed: Floats = one * (1 - way) + other * way
    mixed /= length
    return mixed


def _rng(what: str, number: int = 0) -> np.random.Generator:
    return np.random.default_rng([SEED, crc32(what.encode()), number])
