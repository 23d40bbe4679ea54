"""The indexes that are measured side by side, each built from the same vectors and opened again from disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.evaluation.index_vectors import NEIGHBOURS, Floats, Vectors

if TYPE_CHECKING:
    from tiercel.search.gallery import Gallery

RECALL = 0.99
"""What an approximate index has to reach, of the 10 most similar cells."""

CELL_M = 31.25
_RECORD = "index.json"

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


class TiercelExact:
    """A gallery of tiercel, every cell compared: in memory in float16 up to a million cells, read from disk beyond."""

    exact = True

    def load(self) -> None:
        """Import Lance."""
        import tiercel.search.indexing  # noqa: F401

    def build(self, vectors: Vectors, folder: Path) -> None:
        """Write the table as the building of an atlas does, in pieces as small."""
        from tiercel.atlas.gallery import BLOCK_CELLS
        from tiercel.atlas.tables import Pieces, gallery_columns, gallery_table

        pieces = Pieces(gallery_table(folder), gallery_columns(vectors.statistics.width))
        first = 0
        for number, chunk in enumerate(vectors.chunks(BLOCK_CELLS**2)):
            cell = np.arange(first, first + len(chunk))
            row, column = np.divmod(cell, vectors.side)
            sides, covered = np.full(len(cell), CELL_M, np.float32), np.ones(len(cell), np.float32)
            values: dict[str, NDArray[Any]] = {"cell": cell, "x": column * CELL_M, "y": -row * CELL_M}
            values |= {"side": sides, "covered": covered, "embedding": chunk.astype(np.float16)}
            pieces.write(number, values)
            first += len(cell)
        pieces.commit()

    def open(self, folder: Path) -> _TiercelOpened:
        """Open the table."""
        return _TiercelOpened(_gallery(folder), self.exact)


class TiercelIndex(TiercelExact):
    """A gallery of tiercel with its approximate index, which settles by itself how thoroughly it searches."""

    exact = False

    def build(self, vectors: Vectors, folder: Path) -> None:
        """Write the table, and build the index as ``tiercel index`` does."""
        from tiercel.search.indexing import build_index

        super().build(vectors, folder)
        (folder / _RECORD).write_text(build_index(_gallery(folder)).model_dump_json())


class _TiercelOpened:
    def __init__(self, gallery: Gallery, exact: bool) -> None:
        self._gallery, self._exact = gallery, exact

    def search(self, queries: Floats) -> Cells:
        return self._gallery.search(queries, NEIGHBOURS, exact=self._exact).cells

    def tune(self, vectors: Vectors) -> dict[str, float]:
        index = self._gallery.index
        return {} if index is None else {"effort": index.effort, "partitions": index.partitions}


def _gallery(folder: Path) -> Gallery:
    """The gallery in a folder, with its index if it has one."""
    import lance

    from tiercel.atlas.manifest import IndexRecord
    from tiercel.atlas.tables import gallery_table
    from tiercel.search.gallery import Gallery

    table, record = gallery_table(folder), folder / _RECORD
    index = IndexRecord.model_validate_json(record.read_text()) if record.exists() else None
    width = lance.dataset(str(table)).schema.field("embedding").type.list_size
    return Gallery(table, width, index.version if index else None, index)


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


METHODS: dict[str, Method] = {
    "tiercel_exact": TiercelExact(),
    "tiercel_index": TiercelIndex(),
    "faiss_flat": FaissFlat(),
    "faiss_hnsw": FaissHnsw(),
}
"""By their names in result rows."""
