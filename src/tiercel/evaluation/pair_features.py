"""Embeddings of a data set of pairs: encoded file by file and kept on disk, or read from a file that others made."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel.datasets.pairs import PairQuery, PairSplit, Reference, read_tile
from tiercel.errors import TiercelError
from tiercel.models import Model
from tiercel.models.config import ModelConfig
from tiercel.models.strips import Strip, photo_strip
from tiercel.photos import Photo
from tiercel.photos.write import replacing

Singles = NDArray[np.float32]
Progress = Callable[[int, int], None]
Broken = dict[int, str]
"""Numbers of files that cannot be read, and why."""

TILES = ("whole", "scaled")
"""How tiles are shown to a model: as they are, or so that a metre is as long as on the tiles of its training."""
SEED = 2026
"""Of the turns that hide headings."""

_AT_ONCE = 32
"""Pictures read and encoded together."""
_READERS = 4


@dataclass(frozen=True)
class Asked:
    """One kind of queries made from photos.

    Attributes:
        kind: ``panorama``, ``photo_<degrees>`` for what such a piece of a panorama shows, or ``photo`` for perspective
            photos as they are.
        field_of_view: Degrees of panoramas that are shown.
        north: Whether headings are known.
        members: Numbers of the photos.
    """

    kind: str
    field_of_view: float
    north: bool
    members: tuple[int, ...]

    @property
    def name(self) -> str:
        """As result rows have it."""
        return f"{self.kind}_north" if self.north else self.kind


@dataclass(frozen=True)
class Encoded:
    """Embeddings and what could not be encoded.

    Attributes:
        vectors: (n, ...) float32; what stands where a file cannot be read means nothing.
        broken: Such files.
    """

    vectors: Singles
    broken: Broken


class Encoder:
    """Encodes the tiles and photos of a split, and keeps what it made, so that an interrupted run goes on.

    Args:
        model: With an embedding head.
        tiles: One of `TILES`.
        work: Folder for what is made.
    """

    def __init__(self, model: Model, tiles: str, work: Path) -> None:
        """Checks the model.

        Raises:
            TiercelError: The model has no embedding head, or there is no such way to show tiles.
        """
        if model.config.embedding is None or model.embedding is None:
            raise TiercelError(
                f"Model {model.name} has no embedding head, which pairs are compared by: give --model a dual encoder, "
                "such as recipes/retrieval-sample4geo.yaml trains, or --features of your own."
            )
        if tiles not in TILES:
            raise TiercelError(f"Tiles cannot be shown '{tiles}': use {' or '.join(TILES)}.")
        self.model, self.sizes, self.tiles = model, model.config.embedding, tiles
        self.folder = work / f"pairs-{model.fingerprint[:8]}"

    def gallery(self, split: PairSplit, progress: Progress | None = None) -> Encoded:
        """Tiles to (m, width)."""
        if self.tiles == "scaled" and any(tile.side_m is None for tile in split.gallery):
            raise TiercelError(
                f"Nobody says how much ground the tiles of split '{split.name}' show, so that they cannot be shown to "
                "scale: give tile_side_m in pairs.csv, or leave out --tiles scaled."
            )
        sides = [tile.side_m for tile in split.gallery] if self.tiles == "scaled" else None
        files = [tile.file for tile in split.gallery]
        store = _Store(self.folder, f"gallery-{self.tiles}", files, (self.sizes.width,), sides)
        return store.fill(
            lambda number: self._tile(split.gallery[number]),
            lambda read: self.model.encode_tiles(*(np.stack(part) for part in zip(*read, strict=True))),
            progress,
        )

    def queries(self, split: PairSplit, asked: Asked, progress: Progress | None = None) -> Encoded:
        """Photos to (n, H, width), at each heading they may have."""
        queries = [split.queries[number] for number in asked.members]
        headings = 1 if asked.north or self.sizes.pooling == "mean" else self.model.config.headings
        told = [(query.name, query.heading, query.field_of_view, query.panorama) for query in queries]
        files = [query.file for query in queries]
        store = _Store(self.folder, asked.name, files, (headings, self.sizes.width), (asked.field_of_view, told))
        return store.fill(
            lambda number: query_strip(queries[number], asked, self.model.config),
            lambda strips: np.stack([one.embedding[:headings] for one in self.model.encode_strips(strips)]),
            progress,
        )

    def _tile(self, reference: Reference) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A tile's pixels and which of them show something."""
        side = self.sizes.tile_pixels
        if self.tiles == "whole":
            return read_tile(reference, side), np.ones((side, side), np.bool_)
        assert reference.side_m is not None
        shown = max(1, round(side * reference.side_m / self.sizes.tile_m))
        read = read_tile(reference, shown)
        pixels, covered = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.bool_)
        inner, outer = _middle(min(shown, side), shown), _middle(min(shown, side), side)
        pixels[outer, outer], covered[outer, outer] = read[inner, inner], True
        return pixels, covered


def _middle(count: int, of: int) -> slice:
    first = (of - count) // 2
    return slice(first, first + count)


def query_strip(query: PairQuery, asked: Asked, config: ModelConfig) -> Strip:
    """A photo as a model sees it.

    Of a panorama that is not shown whole a piece in a direction drawn at random is; and a whole one whose heading is
    not told begins at a random column, so that no model can tell the heading from the edges. The draw follows from
    the photo's name alone.

    Raises:
        TiercelError: The photo cannot be read.
    """
    photo = Photo.open(query.file, field_of_view=query.field_of_view, panorama=query.panorama)
    pixels, shown, turn = photo.pixels, photo.field_of_view.value, 0.0
    if query.panorama and shown >= 360.0 and (asked.field_of_view < 360.0 or not asked.north):
        drawn = np.random.default_rng([SEED, zlib.crc32(query.name.encode())]).uniform(-180.0, 180.0)
        columns = round(drawn / 360.0 * pixels.shape[1])
        turn = 360.0 * columns / pixels.shape[1]
        kept = max(2, 2 * round(pixels.shape[1] * asked.field_of_view / 720.0))  # as many on either side of the centre
        shown = 360.0 * kept / pixels.shape[1]
        pixels = np.roll(pixels, -columns, 1)[:, _middle(kept, pixels.shape[1])]
    return photo_strip(
        pixels,
        panorama=photo.panorama,
        field_of_view=shown,
        heading=(query.heading + turn) % 360.0 if asked.north and query.heading is not None else None,
        config=config,
        seen_rows=photo.seen_rows,
    )


@dataclass(frozen=True)
class _Store:
    """An array on disk that is filled row by row. Beside it stand the sizes and times of the files its rows are of.

    Attributes:
        folder: Where both are.
        name: What is in it.
        files: One for each row.
        shape: Of a row.
        more: What else the rows follow from.
    """

    folder: Path
    name: str
    files: Sequence[Path]
    shape: tuple[int, ...]
    more: object = None

    def fill(
        self,
        read: Callable[[int], Any],
        encode: Callable[[Sequence[Any]], Singles],
        progress: Progress | None,
    ) -> Encoded:
        """Read and encode the rows that are not there yet, or whose files have changed."""
        digest = hashlib.sha256(repr((self.more, [str(file.absolute()) for file in self.files])).encode()).hexdigest()
        vectors = self._open(f"{self.name}-{digest[:12]}.npy", np.float32, self.shape)
        stamps = self._open(f"{self.name}-{digest[:12]}.stamps.npy", np.int64, (2,))
        now = np.array([_stamp(file) for file in self.files], np.int64).reshape(-1, 2)
        todo = np.flatnonzero((stamps != now).any(1)).tolist()
        broken: Broken = {}
        done = len(self.files) - len(todo)
        with ThreadPoolExecutor(_READERS) as readers:
            for numbers, found in _ahead(readers, todo, partial(_read, read)):
                errors = {n: str(one) for n, one in zip(numbers, found, strict=True) if isinstance(one, TiercelError)}
                good = [number for number in numbers if number not in errors]
                if good:
                    made = encode([one for one in found if not isinstance(one, TiercelError)])
                    _check_finite(made, [str(self.files[number]) for number in good], "the model is damaged")
                    vectors[good] = made
                    vectors.flush()
                    stamps[good] = now[good]
                    stamps.flush()
                broken |= errors
                done += len(numbers)
                if progress is not None:
                    progress(done, len(self.files))
        return Encoded(vectors, broken)

    def _open(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
        """The array of that name, made if it is not there, to be written to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        if not path.is_file():
            with replacing(path) as part:
                np.lib.format.open_memmap(part, "w+", dtype, (len(self.files), *shape)).flush()
        return np.lib.format.open_memmap(path, "r+")


def _stamp(file: Path) -> tuple[int, int]:
    """Size and time of a file, so that it is read again once it has changed; (-1, -1) if it is not there."""
    try:
        status = file.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _ahead(
    readers: ThreadPoolExecutor, numbers: Sequence[int], read: Callable[[int], Any]
) -> Iterator[tuple[Sequence[int], list[Any]]]:
    """Batches of what is read; the next one is being read while one is used."""
    batches = [numbers[first : first + _AT_ONCE] for first in range(0, len(numbers), _AT_ONCE)]
    waiting = [readers.submit(read, number) for number in batches[0]] if batches else []
    for at, batch in enumerate(batches):
        following = batches[at + 1] if at + 1 < len(batches) else ()
        coming = [readers.submit(read, number) for number in following]
        yield batch, [one.result() for one in waiting]
        waiting = coming


def _read(read: Callable[[int], Any], number: int) -> Any:  # noqa: ANN401  (whatever it reads)
    try:
        return read(number)
    except TiercelError as error:
        return error


def _check_finite(vectors: Singles, names: Sequence[str], why: str) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors.reshape(len(vectors), math.prod(vectors.shape[1:]))).all(1))
    if len(bad):
        rest = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise TiercelError(
            f"The embedding of {names[int(bad[0])]}{rest} holds NaN or infinite numbers, so that nothing can be "
            f"ranked: {why}; encode it again."
        )


def read_features(path: Path, split: PairSplit) -> tuple[Singles, Singles]:
    """Embeddings of all photos and tiles of a split that were made elsewhere.

    Args:
        path: A NumPy ``.npz`` file with `queries` (n, d) and `references` (m, d), numbers of any kind, in the order of
            the split; or with `query_names` (n,) and `reference_names` (m,) beside them, in any order.
        split: Photos and tiles.

    Returns:
        Queries and references, float32.

    Raises:
        TiercelError: The file cannot be read, or does not hold an embedding of the same width, all finite, for every
            photo and every tile.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except Exception as error:  # whatever a damaged archive raises
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise TiercelError(f"{path} cannot be read as an .npz file ({why}): save it with numpy.savez.") from error
    queries = _ordered(path, arrays, "queries", "query_names", [query.name for query in split.queries])
    references = _ordered(path, arrays, "references", "reference_names", [tile.name for tile in split.gallery])
    if queries.shape[1] != references.shape[1]:
        raise TiercelError(
            f"{path}: queries have {queries.shape[1]} numbers each and references {references.shape[1]}: encode both "
            "with the same model."
        )
    return queries, references


def _ordered(path: Path, arrays: dict[str, NDArray[Any]], what: str, key: str, names: Sequence[str]) -> Singles:
    """Rows in the order of names, if the file has any, and as they are otherwise."""
    if what not in arrays or arrays[what].ndim != 2 or arrays[what].dtype.kind not in "fiu":
        raise TiercelError(f"{path} has no matrix of numbers named '{what}': save one, a row for each of them.")
    rows = np.asarray(arrays[what], np.float32)
    named = [str(name) for name in arrays[key].ravel()] if key in arrays else None
    if named is not None:
        if len(named) != len(rows) or len(set(named)) != len(named):
            raise TiercelError(f"{path}: {key} are not as many as {what} are, or not distinct: give one name for each.")
        at = {name: row for row, name in enumerate(named)}
        lacking = [name for name in names if name not in at]
        if lacking:
            raise TiercelError(
                f"{path}: {what} lack {len(lacking)} of the {len(names)} of the split, the first {lacking[0]}: encode "
                "all of them."
            )
        rows = rows[[at[name] for name in names]]
    elif len(rows) != len(names):
        raise TiercelError(
            f"{path} has {len(rows)} {what} and the split has {len(names)}: encode all of them in its order, or give "
            f"their names as '{key}'."
        )
    _check_finite(rows, [f"{what}' {name} in {path}" for name in names], "something went wrong where it was made")
    return rows
