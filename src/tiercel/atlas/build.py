"""Building an atlas: every cell of the tree through the model, in pieces that survive a killed build.

The work is done in a folder beside the final one, which gets its name only when it is complete. Leaves come first,
block by block; which of them the map covers decides which squares are then zoomed, from the top.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas import overview
from tiercel.atlas.atlas import Atlas, covered_cells, read_zoom_keys
from tiercel.atlas.manifest import FILE, Manifest
from tiercel.atlas.tables import (
    Pieces,
    leaf_columns,
    leaf_table,
    notes_folder,
    read_column,
    square_columns,
    square_table,
    write_atomically,
    zoom_columns,
    zoom_table,
)
from tiercel.errors import TiercelError
from tiercel.geo import Square

if TYPE_CHECKING:
    from tiercel.maps import Basemap
    from tiercel.models import Model

Progress = Callable[[int, int], None]

#: Leaves are stored from this covered share on.
MINIMUM_COVERED = 0.5
#: Squares that go through the zoom head at once, and make one piece.
SQUARES_AT_ONCE = 16


def build(
    basemap: Basemap,
    model: Model,
    folder: str | Path,
    *,
    root: Square | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Atlas:
    """Prepares a map for a model.

    An atlas that was built from the same map for the same model is left as it is. A build that was killed goes on
    where it stopped when it is called again. Until all is done, nothing is visible at `folder`, and an atlas that is
    to be overwritten stays.

    Args:
        basemap: The map.
        model: The model.
        folder: Where the atlas is to be.
        root: Root of the tree; the smallest that covers the map, centred on it, if left out.
        overwrite: Whether an atlas of something else, or a damaged one, may be replaced.
        progress: Called with the number of pieces done and the number of all.

    Returns:
        The atlas, opened.

    Raises:
        TiercelError: The folder holds something else, the map covers nothing, or the disk is full or not writable.
        KeyboardInterrupt: Ctrl-C, with a message that says how to go on.
    """
    folder = Path(folder).resolve()
    manifest = Manifest.of(basemap, model, root)
    if _is_built(folder, manifest, overwrite):
        return Atlas.open(folder, model)
    partial = folder.with_name(folder.name + ".partial")
    with _in_plain_words(partial):
        _start(partial, manifest)
        work = _Work(basemap, model, manifest, partial, _Counter(manifest, model, progress))
        _build_leaves(work)
        for level in manifest.zoom_levels:
            _build_children(work, level - 1)
        for level in range(manifest.tree.depth if manifest.sizes.square_width else 0):
            _build_squares(work, level)
        _build_overview(work)
        _publish(partial, folder)
    return Atlas.open(folder, model)


class _Counter:
    """Pieces done, of all pieces there are."""

    def __init__(self, manifest: Manifest, model: Model, callback: Progress | None) -> None:
        tree = manifest.zoom_tree
        squares = [tree.count(level - 1) for level in manifest.zoom_levels]
        squares += [tree.count(level) for level in range(tree.depth if manifest.sizes.square_width else 0)]
        self.total = blocks_per_side(manifest, model) ** 2 + sum(-(-count // SQUARES_AT_ONCE) for count in squares)
        self.done = 0
        self._callback = callback

    def step(self) -> None:
        """One more piece is done."""
        self.done += 1
        if self._callback is not None:
            self._callback(self.done, self.total)


@dataclass(frozen=True)
class _Work:
    """What every part of a build needs."""

    basemap: Basemap
    model: Model
    manifest: Manifest
    folder: Path
    counter: _Counter


def blocks_per_side(manifest: Manifest, model: Model) -> int:
    """Blocks along a side of the tree; the last may reach beyond it."""
    return -(-manifest.zoom_tree.cells_per_side(manifest.tree.depth) // model.config.block_leaves)


def _build_leaves(work: _Work) -> None:
    pieces = Pieces(leaf_table(work.folder), leaf_columns(work.manifest.sizes))
    blocks = blocks_per_side(work.manifest, work.model)
    for block in range(blocks**2):
        if not pieces.has(block):
            pieces.write(block, _encode_block(work, *divmod(block, blocks)))
        work.counter.step()
    if not pieces.commit():
        shutil.rmtree(work.folder)
        raise TiercelError(
            f"The map {work.basemap.name} covers no place, all of it is without data; check its nodata value."
        )


def _encode_block(work: _Work, block_row: int, block_col: int) -> dict[str, NDArray[Any]] | None:
    """Rows of the table of leaves for one block, or None where the map covers none of its leaves."""
    config, tree = work.model.config, work.manifest.zoom_tree
    leaves, margin, pixels = config.block_leaves, config.margin_leaves, config.pixels_per_leaf
    side = leaves * config.leaf_m
    block = Square(tree.root.west + (block_col + 0.5) * side, tree.root.north - (block_row + 0.5) * side, side)
    if not _meets(block, work.basemap.bounds):
        return None
    rgb, covered = work.basemap.read(block.expanded(margin * config.leaf_m), (leaves + 2 * margin) * pixels)
    inner = covered[margin * pixels : (margin + leaves) * pixels, margin * pixels : (margin + leaves) * pixels]
    share = inner.reshape(leaves, pixels, leaves, pixels).mean((1, 3), dtype=np.float32)
    row, col = np.nonzero(share >= MINIMUM_COVERED)
    # The last blocks of a tree may reach beyond it.
    last = tree.cells_per_side(tree.depth) - 1
    inside = (row + block_row * leaves <= last) & (col + block_col * leaves <= last)
    row, col = row[inside], col[inside]
    if not len(row):
        return None
    features = work.model.encode_block(rgb, covered)
    return {
        "leaf": tree.flat(tree.depth, row + block_row * leaves, col + block_col * leaves),
        "covered": share[row, col],
        "keys": features.keys[row, col],
        "bias": features.bias[row, col],
        "match": features.match[row, col],
    }


def _meets(square: Square, bounds: tuple[float, float, float, float]) -> bool:
    west, south, east, north = bounds
    return square.west < east and square.east > west and square.south < north and square.north > south


def _build_children(work: _Work, level: int) -> None:
    """Zoom keys of the children of all covered squares of a level."""
    manifest, tree = work.manifest, work.manifest.zoom_tree
    leaf = leaf_columns(manifest.sizes)["leaf"]
    leaves: NDArray[np.int64] = read_column(leaf_table(work.folder), "leaf", leaf)
    squares, children = covered_cells(tree, leaves, level), covered_cells(tree, leaves, level + 1)
    topmost = level == tree.depth - manifest.sizes.zoom_levels
    keys = None if topmost else read_zoom_keys(work.folder, manifest, level)
    pieces = Pieces(zoom_table(work.folder, level + 1), zoom_columns(manifest.sizes))
    for piece, start in enumerate(range(0, tree.count(level), SQUARES_AT_ONCE)):
        if not pieces.has(piece):
            some = start + np.flatnonzero(squares[start : start + SQUARES_AT_ONCE])
            pieces.write(piece, _encode_children(work, level, some, children, keys) if len(some) else None)
        work.counter.step()
    pieces.commit()


def _encode_children(
    work: _Work,
    level: int,
    squares: NDArray[np.int64],
    covered_children: NDArray[np.bool_],
    keys: NDArray[np.float16] | None,
) -> dict[str, NDArray[Any]]:
    """Rows of the table of zoom keys for the covered children of some squares."""
    config, tree = work.model.config, work.manifest.zoom_tree
    row, col = tree.unflat(level, squares)
    views = [
        work.basemap.read(
            tree.square(level, int(r), int(c)).expanded(config.zoom_margin * tree.side(level)), config.zoom_pixels
        )
        for r, c in zip(row, col, strict=True)
    ]
    rgb, covered = np.stack([view[0] for view in views]), np.stack([view[1] for view in views])
    encoded = work.model.encode_children(rgb, covered, None if keys is None else keys[squares], tree.depth - level)
    cells = tree.flat(level + 1, *tree.children(level, row, col))
    stored = covered_children[cells]
    return {"cell": cells[stored], "key": encoded[stored]}


def _build_squares(work: _Work, level: int) -> None:
    """The decoder's tokens of all covered squares of a level."""
    manifest, tree, decoder = work.manifest, work.manifest.zoom_tree, work.model.config.decoder
    assert decoder is not None
    leaf = leaf_columns(manifest.sizes)["leaf"]
    squares = covered_cells(tree, read_column(leaf_table(work.folder), "leaf", leaf), level)
    pieces = Pieces(square_table(work.folder, level), square_columns(manifest.sizes))
    for piece, start in enumerate(range(0, tree.count(level), SQUARES_AT_ONCE)):
        if not pieces.has(piece):
            some = start + np.flatnonzero(squares[start : start + SQUARES_AT_ONCE])
            views = [
                work.basemap.read(tree.square(level, int(row), int(col)), decoder.pixels)
                for row, col in zip(*tree.unflat(level, some), strict=True)
            ]
            rows: dict[str, NDArray[Any]] | None = None
            if views:
                rgb, covered = np.stack([view[0] for view in views]), np.stack([view[1] for view in views])
                rows = {"cell": some, "token": work.model.encode_squares(rgb, covered)}
            pieces.write(piece, rows)
        work.counter.step()
    pieces.commit()


def _build_overview(work: _Work) -> None:
    path = work.folder / overview.FILE
    if not path.exists():
        root = work.manifest.zoom_tree.root
        # Finer than the map itself would only be larger.
        pixels = min(overview.PIXELS, int(np.ceil(root.side / work.basemap.resolution)))
        write_atomically(path, overview.to_png(*work.basemap.read(root, pixels)))


def _is_built(folder: Path, manifest: Manifest, overwrite: bool) -> bool:
    """Whether the atlas is there already.

    Raises:
        TiercelError: Something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / FILE).is_file():
        raise TiercelError(f"{folder} is there already and is not an atlas; choose another place with -o.")
    try:
        different = Manifest.read(folder).differences(manifest)
        if not different:
            Atlas.open(folder)
    except TiercelError:
        if overwrite:
            return False
        raise
    if different and not overwrite:
        raise TiercelError(
            f"{folder} is an atlas of another {' and '.join(different)}; choose another place with -o, "
            "or replace it with --overwrite."
        )
    return not different


def _start(partial: Path, manifest: Manifest) -> None:
    """Makes the working folder, or keeps the one that a killed build of the same atlas left."""
    if (partial / FILE).is_file():
        try:
            if not Manifest.read(partial).differences(manifest):
                return
        except TiercelError:
            pass  # Of another format, or cut short: of no use.
        shutil.rmtree(partial)
    elif partial.exists() and any(partial.iterdir()):
        raise TiercelError(f"{partial} is in the way and is not a partial atlas; move it, or choose another -o.")
    partial.mkdir(parents=True, exist_ok=True)
    manifest.write(partial)


def _publish(partial: Path, folder: Path) -> None:
    """Gives the complete atlas its name."""
    shutil.rmtree(notes_folder(partial), ignore_errors=True)
    replaced = folder.with_name(folder.name + ".replaced")
    if folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        os.replace(folder, replaced)
    os.replace(partial, folder)
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def _in_plain_words(partial: Path) -> Iterator[None]:
    """Says what stopped a build and how to go on."""
    again = f"run the same command again to go on (what is done is kept in {partial})"
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped; {again}.") from None
    except TiercelError:
        raise
    except Exception as error:
        if _is_disk_full(error):
            raise TiercelError(f"The disk is full; free some space and {again}.") from error
        if isinstance(error, PermissionError | NotADirectoryError) or getattr(error, "errno", None) == errno.EROFS:
            raise TiercelError(f"{partial} cannot be written ({error}); choose another place with -o.") from error
        raise


def _is_disk_full(error: Exception) -> bool:
    """Lance tells errors of the operating system in words only."""
    numbers = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
    words = ("No space left on device", "Disk quota exceeded", "not enough space on the disk")
    return getattr(error, "errno", None) in numbers or any(word in str(error) for word in words)
