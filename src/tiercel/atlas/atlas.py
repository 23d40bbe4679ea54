"""Reading an atlas."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.atlas import overview
from tiercel.atlas.manifest import Manifest
from tiercel.atlas.tables import (
    check_table,
    gallery_table,
    leaf_columns,
    leaf_table,
    read_column,
    square_columns,
    square_table,
    zoom_columns,
    zoom_table,
)
from tiercel.errors import TiercelError
from tiercel.geo import Frame, Square, ZoomTree

if TYPE_CHECKING:
    from tiercel.models import Model

Half = NDArray[np.float16]


class Atlas:
    """A map prepared for one model. Open one with `Atlas.open`; arrays are read when they are first asked for.

    Leaves of which the map covers less than half are left out. Arrays over stored leaves are in the order of
    `leaf_index`.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Wraps a folder that is known to be whole; see `Atlas.open`.

        Args:
            folder: The atlas.
            manifest: What it was built from.
        """
        self.folder = folder
        self.manifest = manifest
        self.tree: ZoomTree = manifest.zoom_tree
        self.frame = Frame(manifest.frame)
        self.map_name, self.map_source = manifest.map.name, manifest.map.source
        self.versions = dict(manifest.versions)
        self._covered: dict[int, NDArray[np.bool_]] = {}
        self._zoom_keys: dict[int, Half] = {}

    @classmethod
    def open(cls, folder: str | Path, model: Model | None = None) -> Atlas:
        """Opens an atlas.

        Args:
            folder: Where it is.
            model: The model it is to be used with, if it is known already.

        Raises:
            TiercelError: The folder is no atlas, is incomplete or of another format, or belongs to another model.
        """
        folder = Path(folder)
        manifest = Manifest.read(folder)
        atlas = cls(folder, manifest)
        if model is not None:
            atlas.check_model(model)
        try:
            for table in atlas.tables:
                check_table(table, atlas.versions.get(table.stem))
        except (OSError, ValueError, RuntimeError) as error:
            raise _damaged(folder) from error
        if not (folder / manifest.overview).is_file():
            raise _damaged(folder)
        return atlas

    @property
    def tables(self) -> list[Path]:
        """Folders of its tables."""
        folder = self.folder
        tables = [leaf_table(folder), *(zoom_table(folder, level) for level in self.zoom_levels)]
        tables += [square_table(folder, level) for level in self.square_levels]
        return tables if self.manifest.gallery is None else [*tables, gallery_table(folder)]

    def check_model(self, model: Model) -> None:
        """Makes sure that the atlas was built for a model.

        Raises:
            TiercelError: It was built for another one.
        """
        built = self.manifest.model
        if built.fingerprint != model.fingerprint:
            raise TiercelError(
                f"{self.folder} was built for model {built.name} ({built.fingerprint[:12]}), not for {model.name} "
                f"({model.fingerprint[:12]}); locate with that model, or build another atlas."
            )

    @cached_property
    def leaf_index(self) -> NDArray[np.int64]:
        """(leaves_stored,) flat indices of the stored leaves."""
        return self._leaves("leaf")

    @cached_property
    def covered_share(self) -> NDArray[np.float32]:
        """(leaves_stored,) how much of each leaf the map covers, 0.5 to 1."""
        return self._leaves("covered")

    @cached_property
    def keys(self) -> Half:
        """(leaves_stored, positions, headings, key_width) retrieval keys.

        Raises:
            TiercelError: The model has no retrieval head.
        """
        return self._leaves("keys")

    @cached_property
    def bias(self) -> Half:
        """(leaves_stored, positions) what retrieval adds to each position's score.

        Raises:
            TiercelError: The model has no retrieval head.
        """
        return self._leaves("bias")

    @cached_property
    def match(self) -> Half:
        """(leaves_stored, match_cells, match_cells, match_width) features for the geometric match.

        Raises:
            TiercelError: The model has no match head.
        """
        return self._leaves("match")

    @cached_property
    def _row_of_leaf(self) -> NDArray[np.int64]:
        rows = np.full(self.tree.count(self.tree.depth), -1, np.int64)
        rows[self.leaf_index] = np.arange(len(self.leaf_index))
        return rows

    def rows(self, leaves: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where leaves are in the arrays over stored leaves.

        Args:
            leaves: Flat indices of leaves, any shape.

        Returns:
            Of the same shape; -1 for leaves that are not stored.
        """
        return np.asarray(self._row_of_leaf[leaves])

    def leaves_in(self, tree: ZoomTree) -> NDArray[np.int64]:
        """Flat indices of the stored leaves in another tree, whose leaves lie on the same grid."""
        if tree == self.tree:
            return self.leaf_index
        x, y = self.tree.centre(self.tree.depth, *self.tree.unflat(self.tree.depth, self.leaf_index))
        return tree.flat(tree.depth, *tree.cell_at(x, y, tree.depth))

    def covered(self, level: int) -> NDArray[np.bool_]:
        """Which cells of a level have any stored leaf: (count(level),) in flat order."""
        if level not in self._covered:
            self._covered[level] = covered_cells(self.tree, self.leaf_index, level)
        return self._covered[level]

    @property
    def zoom_levels(self) -> tuple[int, ...]:
        """Levels of the tree with zoom keys; none where the model has no zoom head."""
        return tuple(self.manifest.zoom_levels)

    def zoom_keys(self, level: int) -> Half:
        """Zoom keys of all cells of a level.

        Args:
            level: One of `zoom_levels`.

        Returns:
            (count(level), zoom_width) in flat order, NaN for cells that are not covered.

        Raises:
            ValueError: The level has no zoom keys.
        """
        if level not in self.zoom_levels:
            raise ValueError(f"level {level} has no zoom keys, only {self.zoom_levels} have")
        if level not in self._zoom_keys:
            self._zoom_keys[level] = self._whole(
                lambda: read_zoom_keys(self.folder, self.manifest, level, self.versions.get(f"zoom_{level}"))
            )
        return self._zoom_keys[level]

    @property
    def square_levels(self) -> tuple[int, ...]:
        """Levels of the tree with squares for a decoder; none where the model has no decoder."""
        return tuple(range(self.tree.depth)) if self.manifest.sizes.square_width else ()

    def square_tokens(self, level: int) -> NDArray[np.float32]:
        """A decoder's tokens of all squares of a level.

        Args:
            level: One of `square_levels`.

        Returns:
            (count(level), square_width) float32 in flat order, NaN for squares that are not covered.
        """
        if level not in self.square_levels:
            raise ValueError(f"level {level} has no squares for a decoder, only {self.square_levels} have")
        table, columns = square_table(self.folder, level), square_columns(self.manifest.sizes)
        version = self.versions.get(table.stem)
        tokens = np.full((self.tree.count(level), self.manifest.sizes.square_width), np.nan, np.float32)
        cells = self._whole(lambda: read_column(table, "cell", columns["cell"], version))
        tokens[cells] = self._whole(lambda: read_column(table, "token", columns["token"], version))
        return tokens

    @property
    def overview_resolution(self) -> float:
        """Metres per pixel of the picture of the whole map that is kept with the atlas."""
        return self.tree.root.side / self._picture.width

    def overview(self, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A picture of the whole tree.

        Args:
            pixels: Pixels a side.

        Returns:
            (pixels, pixels, 3) uint8 and (pixels, pixels) bool of what is covered.
        """
        return self.read(self.tree.root, pixels)

    def read(self, square: Square, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Reads a square like `Basemap.read`, but from the overview: coarse, and without the map.

        Args:
            square: Ground to show, in the atlas's frame.
            pixels: Pixels a side.

        Returns:
            (pixels, pixels, 3) uint8 and (pixels, pixels) bool of what is covered.
        """
        return overview.crop(self._picture, self.tree.root, square, pixels)

    @cached_property
    def _picture(self) -> Image.Image:
        try:
            with Image.open(self.folder / self.manifest.overview) as image:
                return image.convert("RGBA")
        except OSError as error:
            raise _damaged(self.folder) from error

    def _leaves(self, name: str) -> NDArray[Any]:
        columns = leaf_columns(self.manifest.sizes)
        if name not in columns:
            heads = ", ".join(self.manifest.sizes.heads)
            raise TiercelError(f"{self.folder} has no {name}: its model has only these heads: {heads}.")
        table = leaf_table(self.folder)
        return self._whole(lambda: read_column(table, name, columns[name], self.versions.get(table.stem)))

    def _whole(self, read: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What a table holds.

        Raises:
            TiercelError: It cannot be read.
        """
        try:
            return read()
        except (OSError, ValueError, RuntimeError) as error:
            raise _damaged(self.folder) from error


def _damaged(folder: Path) -> TiercelError:
    return TiercelError(f"{folder} is incomplete or damaged; build it again with --overwrite.")


def covered_cells(tree: ZoomTree, leaves: NDArray[np.int64], level: int) -> NDArray[np.bool_]:
    """Which cells of a level have any of the leaves below them: (count(level),) in flat order."""
    span = tree.cells_per_side(tree.depth) // tree.cells_per_side(level)
    row, col = tree.unflat(tree.depth, leaves)
    covered = np.zeros(tree.count(level), np.bool_)
    covered[tree.flat(level, row // span, col // span)] = True
    return covered


def read_zoom_keys(folder: Path, manifest: Manifest, level: int, version: int | None = None) -> Half:
    """Zoom keys of all cells of a level, NaN where not covered: (count(level), zoom_width)."""
    table, columns = zoom_table(folder, level), zoom_columns(manifest.sizes)
    keys = np.full((manifest.zoom_tree.count(level), manifest.sizes.zoom_width), np.nan, np.float16)
    keys[read_column(table, "cell", columns["cell"], version)] = read_column(table, "key", columns["key"], version)
    return keys
