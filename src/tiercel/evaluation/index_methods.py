"""The indexes that are measured side by side, each built from the same vectors and opened again from disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.evaluation.index_vectors import NEIGHBOURS, Floats, Vectors

RECALL = 0.99
"""What an approximate index has to reach, of the 10 most similar cells."""

Cells = NDArray[np.int64]


class Opened(Protocol):
    """An index that answers."""

    def search(self, queries: Floats) -> Cells:
        """The 10 most similar cells of each query: (n, width) to (n, 10), -1 where fewer were found."""
        ...

    def tune(self, vectors: Vectors) -> dict[str, float]:
        """Set how thoroughly it searches, where there is a choice, and tell the settings by their names."""
        ...


class Method(Protocol):
    """A kind of index."""

    def load(self) -> None:
        """Import what it needs, which does not count as its memory."""
        ...

    def build(self, vectors: Vectors, folder: Path) -> None:
        """Write the index, and all that a search needs, into an empty folder."""
        ...

    def open(self, folder: Path) -> Opened:
        """Get it ready to answer."""
        ...


class FaissFlat:
    """faiss, exact: every vector in memory in float32."""

    def load(self) -> None:
        """Import faiss."""
        _faiss()

    def build(self, vectors: Vectors, folder: Path) -> None:
        """Write the vectors as an index."""
        index = _faiss().IndexFlatIP(vectors.statistics.width)
        _fill(index, index, vectors)
        _faiss().write_index(index, str(folder / "index.faiss"))

    def open(self, folder: Path) -> _FaissOpened:
        """Read it into memory."""
        return _FaissOpened(_faiss().read_index(str(folder / "index.faiss")))


class FaissHnsw:
    """faiss, approximate: a graph over the vectors, all in memory in float32.

    32 neighbours a node; 40 nodes looked at for each that is added, the library's choice. With 128 the building of a
    hundred thousand cells took 2.3 times as long, and as many nodes had to be looked at for the same recall.
    """

    neighbours = 32

    def load(self) -> None:
        """Import faiss."""
        _faiss()

    def build(self, vectors: Vectors, folder: Path) -> None:
        """Build the graph."""
        faiss = _faiss()
        index = faiss.IndexHNSWFlat(vectors.statistics.width, self.neighbours, faiss.METRIC_INNER_PRODUCT)
        _fill(index, faiss.downcast_index(index.storage), vectors)
        faiss.write_index(index, str(folder / "index.faiss"))

    def open(self, folder: Path) -> _FaissHnswOpened:
        """Read it into memory."""
        return _FaissHnswOpened(_faiss().read_index(str(folder / "index.faiss")))


class _FaissOpened:
    def __init__(self, index: Any) -> None:  # noqa: ANN401  (faiss is loosely typed)
        self._index = index

    def search(self, queries: Floats) -> Cells:
        cells: Cells = self._index.search(queries, NEIGHBOURS)[1]
        return cells

    def tune(self, vectors: Vectors) -> dict[str, float]:
        return {}


class _FaissHnswOpened(_FaissOpened):
    def tune(self, vectors: Vectors) -> dict[str, float]:
        """The least number of nodes to look at that reaches the recall, to 5 %."""

        def enough(nodes: int) -> bool:
            self._index.hnsw.efSearch = nodes
            return float(vectors.recall(self.search(vectors.asked)).mean()) >= RECALL

        nodes = smallest(enough, NEIGHBOURS, vectors.cells)
        self._index.hnsw.efSearch = nodes
        return {"ef_search": nodes}


def smallest(enough: Callable[[int], bool], low: int, high: int, precision: float = 0.05) -> int:
    """The smallest number that is enough, to a relative precision, given that more is never worse.

    Args:
        enough: Whether a number is enough.
        low: The smallest to try.
        high: The largest; it is taken unasked where nothing smaller is enough.
        precision: How far above the smallest the answer may be, relative to it.
    """
    if low >= high or enough(low):
        return min(low, high)
    above = min(2 * low, high)
    while above < high and not enough(above):
        low, above = above, min(2 * above, high)
    while above - low > max(1, precision * low):
        middle = (low + above) // 2
        low, above = (low, middle) if enough(middle) else (middle, above)
    return above


def _fill(index: Any, storage: Any, vectors: Vectors) -> None:  # noqa: ANN401  (faiss is loosely typed)
    # Room for all at once: an array that grows by doubling would be in memory one and a half times.
    storage.codes.resize(4 * vectors.cells * vectors.statistics.width)
    storage.codes.clear()
    for chunk in vectors.chunks():
        index.add(chunk)


def _faiss() -> Any:  # noqa: ANN401  (faiss is loosely typed)
    try:
        import faiss
    except ModuleNotFoundError:
        raise TiercelError("faiss is not installed: install it with `pip install faiss-cpu`.") from None
    return faiss


METHODS: dict[str, Method] = {"faiss_flat": FaissFlat(), "faiss_hnsw": FaissHnsw()}
"""By their names in result rows."""
