"""Which files of a data set are there: a folder is listed once, however many names are looked up in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.datasets.pairs.pairs import Missing, PairSplit, Part, Reference
from tiercel.errors import TiercelError
from tiercel.photos.decode import decode

_NAMED = 3  # of the missing files


class Listing:
    """Looks files up by name in their folders, each of which is listed once."""

    def __init__(self) -> None:
        """Starts with no folder listed."""
        self._names: dict[Path, frozenset[str]] = {}

    def has(self, file: Path) -> bool:
        """Whether a file is there; an empty file counts as missing, being what a cut-off extraction leaves."""
        parent = file.parent
        if parent not in self._names:
            self._names[parent] = _names_in(parent)
        return file.name in self._names[parent]

    def part(self, what: str, files: Iterable[Path], folder: Path) -> Part:
        """Counts files.

        Args:
            what: In words.
            files: Those that should be there.
            folder: That the names of the missing are told from.
        """
        wanted = list(files)
        absent = [file for file in wanted if not self.has(file)]
        first = tuple(file.relative_to(folder).as_posix() for file in absent[:_NAMED])
        return Part(what, len(wanted) - len(absent), len(absent), first)


def _names_in(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file() and entry.stat().st_size)
    except OSError:
        return frozenset()


def settled(split: PairSplit, missing: Missing, folder: Path) -> PairSplit:
    """The split with all its files, or without those that are missing where that is asked for.

    Args:
        split: As it is listed.
        missing: "error" or "skip".
        folder: That names are told from.

    Raises:
        TiercelError: Files are missing and may not be left out, or nothing is left.
    """
    if missing not in ("error", "skip"):
        raise TiercelError(f"Missing files cannot be dealt with by '{missing}': use 'error' or 'skip'.")
    listing = Listing()
    tiles = [listing.has(tile.file) for tile in split.gallery]
    photos = [listing.has(query.file) for query in split.queries]
    absent = [tile.file for tile, there in zip(split.gallery, tiles, strict=True) if not there]
    absent += [query.file for query, there in zip(split.queries, photos, strict=True) if not there]
    if not absent:
        return split
    if missing == "error":
        raise lacking(split.name, absent, len(tiles) + len(photos), folder)
    return without(split, tiles, photos, folder)


def lacking(split: str, absent: Sequence[Path], total: int, folder: Path) -> TiercelError:
    """What to say of files that are missing and may not be left out."""
    return TiercelError(
        f"{folder} lacks {len(absent):,} of the {total:,} pictures that its split '{split}' lists, the first "
        f"{absent[0].relative_to(folder)}: extract its archives again (`tiercel doctor {folder}` lists what is "
        "missing), or leave these out knowingly (--incomplete, or missing='skip' in Python)."
    )


def without(split: PairSplit, tiles: Sequence[bool], photos: Sequence[bool], folder: Path) -> PairSplit:
    """A split without some of its tiles and photos, and without the photos of these tiles; its indices are renumbered.

    Args:
        split: As it is.
        tiles: For each tile of the gallery whether it stays.
        photos: For each photo likewise.
        folder: Of the data set, for messages.

    Raises:
        TiercelError: No photo is left.
    """
    number = np.cumsum(tiles) - 1
    queries = []
    for query, there in zip(split.queries, photos, strict=True):
        if not (there and tiles[query.positive]):
            continue
        kept = [index for index, tile in enumerate(query.semi_positives) if tiles[tile]]
        queries.append(replace(
            query,
            positive=int(number[query.positive]),
            semi_positives=tuple(int(number[query.semi_positives[index]]) for index in kept),
            places=query.places[:1] + tuple(query.places[index + 1] for index in kept) if query.places else (),
        ))  # fmt: skip
    if not queries:
        raise TiercelError(
            f"{folder} has no pair of split '{split.name}' whose two pictures can be read: extract its archives again."
        )
    return replace(
        split,
        gallery=tuple(tile for tile, there in zip(split.gallery, tiles, strict=True) if there),
        queries=tuple(queries),
        queries_left_out=split.queries_left_out + len(photos) - len(queries),
        tiles_left_out=split.tiles_left_out + len(tiles) - sum(tiles),
    )


def read_lines(path: Path, remedy: str) -> list[str]:
    """The lines of a list, without those that are empty at its end.

    Args:
        path: A text file.
        remedy: What to do where it is missing, as in "copy the folder splits there".

    Raises:
        TiercelError: It is missing, or no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise TiercelError(f"{path} is missing; {remedy}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TiercelError(f"{path} cannot be read as text ({error}); {remedy}.") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def once(names: Iterable[str], path: Path, what: str) -> None:
    """Makes sure that no name is listed twice.

    Args:
        names: One a line, in order.
        path: The list.
        what: What they name, in words.

    Raises:
        TiercelError: One is.
    """
    seen: dict[str, int] = {}
    for line, name in enumerate(names, 1):
        first = seen.setdefault(name, line)
        if first != line:
            raise TiercelError(f"{path} lists the {what} {name} twice, in lines {first} and {line}: delete one.")


def parts_of(*steps: Callable[[], Iterable[Part]]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Counts kind by kind and goes on after what cannot be read.

    Returns:
        What was counted, and a sentence for each thing that could not be.
    """
    parts: list[Part] = []
    problems: list[str] = []
    for step in steps:
        try:
            parts += step()
        except TiercelError as error:
            if str(error) not in problems:
                problems.append(str(error))
    return tuple(parts), tuple(problems)


def read_tile(tile: Reference, pixels: int) -> NDArray[np.uint8]:
    """The picture of a tile.

    Args:
        tile: The tile.
        pixels: Side of the result.

    Returns:
        (pixels, pixels, 3) uint8 RGB, north up.

    Raises:
        TiercelError: The file is missing, damaged, or no square.
    """
    rgb = decode(tile.file).pixels
    if abs(rgb.shape[0] - rgb.shape[1]) > 1:
        raise TiercelError(
            f"{tile.file} is {rgb.shape[1]} x {rgb.shape[0]} pixels and no square tile: copy it again from its source."
        )
    return np.asarray(Image.fromarray(rgb).resize((pixels, pixels), Image.Resampling.BOX, reducing_gap=3.0))
