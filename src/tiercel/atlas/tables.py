"""The tables of an atlas: what is in them, and how they are read and written with Lance.

A table is written in pieces, so that a killed build goes on where it stopped. Each piece is a data file of its own,
and a note beside the table says that it is complete. One commit at the end makes a table of them all, in the order of
their numbers, however often the writing was broken off.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
from lance.fragment import FragmentMetadata, LanceFragment
from numpy.typing import NDArray

from tiercel.atlas.manifest import Sizes

Array = NDArray[Any]

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


def leaf_table(folder: Path) -> Path:
    """Where an atlas keeps its table of leaves."""
    return folder / "leaves.lance"


def zoom_table(folder: Path, level: int) -> Path:
    """Where an atlas keeps the zoom keys of the cells of a level of the tree."""
    return folder / f"zoom_{level}.lance"


def square_table(folder: Path, level: int) -> Path:
    """Where an atlas keeps the decoder's tokens of the squares of a level of the tree."""
    return folder / f"squares_{level}.lance"


class Pieces:
    """A table while it is written."""

    def __init__(self, table: Path, columns: Columns) -> None:
        """Opens the table for writing, whether it is new or was begun before.

        Args:
            table: Folder of the Lance table.
            columns: Its columns.
        """
        self._table = table
        self._schema = pa.schema([(name, column.arrow) for name, column in columns.items()])
        self._notes = notes_folder(table.parent) / table.stem
        # Committing is what comes last; then notes are no longer needed, and may be gone.
        self._committed = is_complete(table)
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

    def commit(self) -> bool:
        """Makes one table of all pieces, and removes data files that a killed build left behind.

        Returns:
            False if no piece has any rows; there is no table then.
        """
        if self._committed:
            return True
        notes = [json.loads(path.read_text()) for path in sorted(self._notes.iterdir()) if path.suffix == ".json"]
        fragments = [FragmentMetadata.from_json(json.dumps(note)) for note in notes if note is not None]
        if not fragments:
            return False
        complete = {file.path for fragment in fragments for file in fragment.files}
        for path in (self._table / "data").iterdir():
            if path.name not in complete:
                path.unlink()
        lance.LanceDataset.commit(str(self._table), lance.LanceOperation.Overwrite(self._schema, fragments))
        self._committed = True
        return True

    def _note(self, piece: int) -> Path:
        return self._notes / f"{piece:09d}.json"


def notes_folder(folder: Path) -> Path:
    """Where a build that is not complete keeps its notes."""
    return folder / "pieces"


def is_complete(table: Path) -> bool:
    """Whether a table was committed."""
    return any(table.glob("_versions/*.manifest"))


def check_table(table: Path) -> int:
    """Makes sure that all of a table is on disk.

    Returns:
        Its number of rows.

    Raises:
        ValueError: A file is missing or cut short.
    """
    dataset = lance.dataset(str(table))
    for fragment in dataset.get_fragments():
        for file in fragment.metadata.files:
            path = table / "data" / file.path
            if not path.is_file() or path.stat().st_size != file.file_size_bytes:
                raise ValueError(f"{path} is missing or cut short")
    return int(dataset.count_rows())


def read_column(table: Path, name: str, column: Column) -> Array:
    """A whole column as one contiguous array.

    Args:
        table: Folder of the Lance table.
        name: Name of the column.
        column: Its type and shape.

    Returns:
        (rows, *column.shape) in the order in which the rows were written.
    """
    dataset = lance.dataset(str(table))
    values = np.empty((dataset.count_rows(), *column.shape), column.dtype)
    start = 0
    # Batch by batch into place: the column is never in memory twice.
    for batch in dataset.to_batches(columns=[name], batch_size=_ROWS_AT_ONCE, scan_in_order=True):
        rows = batch[name].flatten() if column.shape else batch[name]
        values[start : start + batch.num_rows] = rows.to_numpy().reshape(-1, *column.shape)
        start += batch.num_rows
    return values


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
