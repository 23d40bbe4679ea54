"""Tiles as files in folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.maps.basemap import Window
from tiercel.maps.digest import combined, sampled
from tiercel.maps.pyramid import WEB_MERCATOR, Tile, TilePyramid

#: Translates (zoom, x, y) as written in a path to (column, row), and back.
Numbering = Callable[[int, int, int], Tile]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_SAMPLED_TILES = 64


class TileFolder:
    """Tiles in files whose paths hold their zoom, x and y."""

    def __init__(self, template: str, numbering: Numbering) -> None:
        """Lists the tiles.

        Args:
            template: A path with {z}, {x} and {y}.
            numbering: Which tile a zoom, x and y are, counted east and south; must be its own inverse.
        """
        self._template = template
        self._numbering = numbering
        self._listing = sorted(self._list())
        self.extents: dict[int, Window] = extents_of(self._listing, numbering)

    def _list(self) -> Iterator[tuple[int, int, int]]:
        root, pattern = _split(self._template)
        parts = {"{z}": r"(?P<z>-?\d+)", "{x}": r"(?P<x>-?\d+)", "{y}": r"(?P<y>-?\d+)"}
        shape = re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"({[zxy]})", pattern)))
        for path in root.glob(re.sub(r"{[zxy]}", "*", pattern)):
            match = shape.fullmatch(path.relative_to(root).as_posix())
            if match:
                yield int(match["z"]), int(match["x"]), int(match["y"])

    def _path(self, zoom: int, x: int, y: int) -> Path:
        return Path(self._template.replace("{z}", str(zoom)).replace("{x}", str(x)).replace("{y}", str(y)))

    def tiles(self, zoom: int, wanted: Sequence[Tile]) -> Iterator[bytes | None]:
        """The encoded tiles (column, row), None for those that do not exist or are empty files."""
        for tile in wanted:
            path = self._path(zoom, *self._numbering(zoom, *tile))
            try:
                yield path.read_bytes() or None
            except FileNotFoundError:
                yield None
            except OSError as error:
                raise TiercelError(f"{path} cannot be read ({error.strerror}); make it readable.") from error

    def where(self, zoom: int, tile: Tile) -> str:
        """The path of a tile."""
        return str(self._path(zoom, *self._numbering(zoom, *tile)))

    def fingerprint(self) -> str:
        """A digest of the list of tiles and of sampled bytes of some of them."""
        last = len(self._listing) - 1
        some = sorted({last * i // (_SAMPLED_TILES - 1) for i in range(_SAMPLED_TILES)})
        sizes = (self._path(*tile).stat().st_size for tile in self._listing)
        return combined([str(self._listing), str(list(sizes)), *(sampled(self._path(*self._listing[i])) for i in some)])

    def close(self) -> None:
        """Has nothing to close."""


def extents_of(tiles: Iterable[tuple[int, int, int]], numbering: Numbering) -> dict[int, Window]:
    """The columns and rows that tiles (zoom, x, y) reach over, by zoom."""
    extents: dict[int, Window] = {}
    for zoom, x, y in tiles:
        column, row = numbering(zoom, x, y)
        left, top, right, bottom = extents.get(zoom, (column, row, column, row))
        extents[zoom] = (min(left, column), min(top, row), max(right, column + 1), max(bottom, row + 1))
    return extents


def from_north(zoom: int, x: int, y: int) -> Tile:
    """The numbering of XYZ tiles: rows count from the north."""
    return x, y


def from_south(zoom: int, x: int, y: int) -> Tile:
    """The numbering of TMS tiles: rows count from the south."""
    return x, 2**zoom - 1 - y


def open_folder(folder: Path) -> TilePyramid:
    """The map in a folder of {z}/{x}/{y} tiles; in TMS order where tilemapresource.xml says so.

    Raises:
        TiercelError: The folder holds no tiles.
    """
    suffixes = (path.suffix for path in sorted(folder.glob("*/*/*")) if path.suffix.lower() in _SUFFIXES)
    suffix = next(suffixes, None)
    if suffix is None:
        raise TiercelError(
            f"{folder} holds no map; give a folder with {{z}}/{{x}}/{{y}} pictures or with a layout.yaml."
        )
    numbering = from_south if (folder / "tilemapresource.xml").exists() else from_north
    template = f"{folder}/{{z}}/{{x}}/{{y}}{suffix}"
    return TilePyramid(folder.resolve().name, str(folder), TileFolder(template, numbering), WEB_MERCATOR)


def open_template(template: str) -> TilePyramid:
    """The map in files named like tiles/{z}/{x}/{y}.png, or with {-y} in TMS order.

    Raises:
        TiercelError: The template is incomplete, or no file is named so.
    """
    numbering = from_south if "{-y}" in template else from_north
    check_template(template)
    path = template.replace("{-y}", "{y}")
    return TilePyramid(_split(path)[0].resolve().name, template, TileFolder(path, numbering), WEB_MERCATOR)


def check_template(template: str) -> None:
    """Makes sure that a path or URL says where zoom, column and row go.

    Raises:
        TiercelError: A placeholder is missing or unknown.
    """
    named = sorted(re.findall(r"{([^{}]*)}", template))
    if named not in (["x", "y", "z"], ["-y", "x", "z"]):
        raise TiercelError(
            f"{template} does not name tiles; write {{z}}, {{x}} and {{y}} (or {{-y}}) once each into it."
        )


def _split(template: str) -> tuple[Path, str]:
    """The folder above all placeholders, and the rest of the template."""
    fixed = template[: template.index("{")]
    root, _, start = fixed.rpartition("/")
    return Path(root or ("/" if fixed.startswith("/") else ".")), start + template[len(fixed) :]
