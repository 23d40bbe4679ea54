"""The tables of an atlas: what is in them, and how they are read and written with Lance.

A table is written in pieces, so that a killed build goes on where it stopped. Each piece is a data file of its own,
and a note beside the table says that it is complete. One commit at the end makes a table of them all, in the order of
their numbers, however often the writing was broken off.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
from lance.fragment import FragmentMetadata, LanceFragment
from numpy.typing import NDArray

from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.atlas.manifest import Sizes

Array = NDArray[Any]

#: Cells are stored from this covered share on.
MINIMUM_COVERED = 0.5
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Column:
    """A column: the numpy name of its number type, and the shape of what one row holds."""

    dtype: str
    shape: tuple[int, ...] = ()

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type; rows that hold arrays become flat lists of fixed size."""
        item = pa.from_numpy_dtype(np.dtype(self.dtype))
        return pa.list_(item, math.prod(self.shape)) if self.shape else item


Columns = Mapping[str, Column]


def leaf_columns(sizes: Sizes) -> Columns:
    """Columns of the table of leaves, one row for each covered leaf; features only of heads that the model has."""
    columns = {"leaf": Column("int64"), "covered": Column("float32")}
    if "retrieval" in sizes.heads:
        columns["keys"] = Column("float16", (sizes.positions, sizes.headings, sizes.key_width))
        columns["bias"] = Column("float16", (sizes.positions,))
    if "match" in sizes.heads:
        columns["match"] = Column("float16", (sizes.match_cells, sizes.match_cells, sizes.match_width))
    return columns


def zoom_columns(sizes: Sizes) -> Columns:
    """Columns of the table of zoom keys of one level, one row for each covered cell."""
    return {"cell": Column("int64"), "key": Column("float16", (sizes.zoom_width,))}


def square_columns(sizes: Sizes) -> Columns:
    """Columns of the table of a decoder's squares of one level, one row for each covered square."""
    return {"cell": Column("int64"), "token": Column("float32", (sizes.square_width,))}


def gallery_columns(width: int) -> Columns:
    """Columns of the gallery, one row for each covered cell.

    Args:
        width: Numbers in an embedding.
    """
    return {
        "cell": Column("int64"),
        "x": Column("float64"),
        "y": Column("float64"),
        "side": Column("float32"),
        "covered": Column("float32"),
        "embedding": Column("float16", (width,)),
    }


def leaf_table(folder: Path) -> Path:
    """Where an atlas keeps its table of leaves."""
    return folder / "leaves.lance"


def zoom_table(folder: Path, level: int) -> Path:
    """Where an atlas keeps the zoom keys of the cells of a level of the tree."""
    return folder / f"zoom_{level}.lance"


def square_table(folder: Path, level: int) -> Path:
    """Where an atlas keeps the decoder's tokens of the squares of a level of the tree."""
    return folder / f"squares_{level}.lance"


def gallery_table(folder: Path) -> Path:
    """Where an atlas keeps its gallery: the embeddings of cells."""
    return folder / "gallery.lance"


class Pieces:
    """A table while it is written, or while rows are added to it."""

    def __init__(self, table: Path, columns: Columns, *, live: int | None = None, extend: bool = True) -> None:
        """Opens the table for writing, whether it is new or was begun before.

        Args:
            table: Folder of the Lance table.
            columns: Its columns.
            live: For a table that is in use: its version that readers see meanwhile. All of it stays on disk.
            extend: Whether its rows stay in the new version too, before those of the pieces.
        """
        self._table, self._live, self._extend = table, live, extend
        self._schema = pa.schema([(name, column.arrow) for name, column in columns.items()])
        self._notes = notes_folder(table.parent) / table.stem
        # Committing is what comes last; then notes are no longer needed, and may be gone.
        self._committed = live is None and is_complete(table)
        if not self._committed:
            self._notes.mkdir(parents=True, exist_ok=True)

    def has(self, piece: int) -> bool:
        """Whether a piece is complete."""
        return self._committed or self._note(piece).exists()

    def write(self, piece: int, values: Mapping[str, Array] | None) -> None:
        """Writes a piece.

        Args:
            piece: Its number: 0 or more.
            values: For each column an array with one entry a row; None for a piece without rows.
        """
        note = None
        if values is not None:
            note = LanceFragment.create(str(self._table), _to_arrow(values, self._schema)).to_json()
        write_atomically(self._note(piece), json.dumps(note).encode())

    def commit(self) -> int | None:
        """Makes one table of all pieces, and removes data files that a killed build left behind.

        Returns:
            The version of the table to read: the live one if no piece has any rows, None if there is no table then.
        """
        if self._committed:
            return latest_version(self._table)
        notes = [json.loads(path.read_text()) for path in sorted(self._notes.iterdir()) if path.suffix == ".json"]
        fragments = [FragmentMetadata.from_json(json.dumps(note)) for note in notes if note is not None]
        if not fragments:
            return self._live
        live = [] if self._live is None else lance.dataset(str(self._table), version=self._live).get_fragments()
        present = [fragment.metadata for fragment in live]
        needed = {file.path for fragment in present + fragments for file in fragment.files}
        for path in (self._table / "data").iterdir():
            if path.name not in needed:
                path.unlink()
        rows = present + fragments if self._extend else fragments
        dataset = lance.LanceDataset.commit(str(self._table), lance.LanceOperation.Overwrite(self._schema, rows))
        self._committed = True
        return int(dataset.version)

    def _note(self, piece: int) -> Path:
        return self._notes / f"{piece:09d}.json"


def notes_folder(folder: Path) -> Path:
    """Where a build that is not complete keeps its notes."""
    return folder / "pieces"


def is_complete(table: Path) -> bool:
    """Whether a table was committed."""
    return any(table.glob("_versions/*.manifest"))


def latest_version(table: Path) -> int:
    """The version of a table that was committed last."""
    return int(lance.dataset(str(table)).version)


def check_table(table: Path, version: int | None = None) -> int:
    """Makes sure that all of a table is on disk.

    Args:
        table: Folder of the Lance table.
        version: Which of its versions; the last if left out.

    Returns:
        Its number of rows.

    Raises:
        ValueError: A file is missing or cut short.
    """
    dataset = lance.dataset(str(table), version=version)
    for fragment in dataset.get_fragments():
        for file in fragment.metadata.files:
            path = table / "data" / file.path
            if not path.is_file() or path.stat().st_size != file.file_size_bytes:
                raise ValueError(f"{path} is missing or cut short")
    return int(dataset.count_rows())


def check_width(table: Path, version: int | None, width: int) -> int:
    """Makes sure that a gallery holds embeddings of a width.

    Args:
        table: Folder of the Lance table.
        version: Which of its versions; the last if left out.
        width: Numbers in an embedding.

    Returns:
        The version.

    Raises:
        TiercelError: It is of another width, or no gallery.
    """
    try:
        dataset = lance.dataset(str(table), version=version)
        found = dataset.schema.field("embedding").type.list_size
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TiercelError(f"{table} is missing or damaged; build the atlas again with --overwrite.") from error
    if found != width:
        raise TiercelError(
            f"{table} holds embeddings of width {found} and not {width}; build the atlas again with --overwrite."
        )
    return int(dataset.version)


def read_column(table: Path, name: str, column: Column, version: int | None = None) -> Array:
    """A whole column as one contiguous array.

    Args:
        table: Folder of the Lance table.
        name: Name of the column.
        column: Its type and shape.
        version: Which version of the table; the last if left out.

    Returns:
        (rows, *column.shape) in the order in which the rows were written.
    """
    values = np.empty((lance.dataset(str(table), version=version).count_rows(), *column.shape), column.dtype)
    start = 0
    # Batch by batch into place: the column is never in memory twice.
    for rows in read_batches(table, name, column, version):
        values[start : start + len(rows)] = rows
        start += len(rows)
    return values


def read_rows(table: Path, name: str, column: Column, rows: Array, version: int | None = None) -> Array:
    """Some rows of a column.

    Args:
        table: Folder of the Lance table.
        name: Name of the column.
        column: Its type and shape.
        rows: (n,) int64 numbers of rows, in any order.
        version: Which version of the table; the last if left out.

    Returns:
        (n, *column.shape).
    """
    # Lance reads each fragment once if the rows come in their order.
    order, place = np.unique(rows, return_inverse=True)
    found = lance.dataset(str(table), version=version).take(pa.array(order), columns=[name])[name].combine_chunks()
    values = found.flatten() if column.shape else found
    return np.asarray(values.to_numpy(zero_copy_only=False).reshape(-1, *column.shape)[place])


def read_batches(
    table: Path, name: str, column: Column, version: int | None = None, rows: int = _ROWS_AT_ONCE
) -> Iterator[Array]:
    """A column batch by batch.

    Args:
        table: Folder of the Lance table.
        name: Name of the column.
        column: Its type and shape.
        version: Which version of the table; the last if left out.
        rows: Most rows in a batch.

    Yields:
        (rows, *column.shape), in the order in which the rows were written.
    """
    dataset = lance.dataset(str(table), version=version)
    for batch in dataset.to_batches(columns=[name], batch_size=rows, scan_in_order=True):
        values = batch[name].flatten() if column.shape else batch[name]
        yield values.to_numpy(zero_copy_only=False).reshape(-1, *column.shape)


def forget_versions(table: Path, keep: Collection[int]) -> None:
    """Removes versions of a table, and what only they need.

    Args:
        table: Folder of the Lance table.
        keep: Versions that stay, beside the last.
    """
    dataset = lance.dataset(str(table))
    others = [entry["version"] for entry in dataset.versions() if entry["version"] not in keep]
    if others:
        dataset.cleanup_old_versions(versions=others, delete_unverified=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that is either there in full or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _to_arrow(values: Mapping[str, Array], schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        flat = pa.array(np.ascontiguousarray(values[field.name]).reshape(-1))
        fixed = pa.types.is_fixed_size_list(field.type)
        columns.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size) if fixed else flat)
    return pa.table(columns, schema=schema)
