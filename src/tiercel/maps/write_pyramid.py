"""Writing a tiledwebmaps pyramid: layout.yaml beside JPEG tiles of several zooms.

Tiles are made one at a time, the four children of a tile before the tile itself, so memory holds a few tiles however
large the map is. The layout is written last: a folder with a layout holds a whole pyramid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.maps.basemap import Basemap

Render = Callable[[Square, int], NDArray[np.uint8] | None]
"""Draws a square of the ground: (pixels, pixels, 3) uint8, row 0 in the north, or None where there is nothing."""
Progress = Callable[[int, int], None]

LAYOUT_FILE = "layout.yaml"
_UNFINISHED = "layout.yaml.partial"
_PATH = "{zoom}/{x}/{y}.jpg"


@dataclass(frozen=True)
class _Job:
    """A pyramid to be written.

    Attributes:
        folder: Where to.
        render: Draws the tiles of zoom 0.
        bounds: West, south, east and north of the ground to show, in units of the CRS.
        pixels: Side of a tile, pixels.
        side: Side of a tile of zoom 0, in units of the CRS.
        quality: JPEG quality.
        step: Called after each tile.
    """

    folder: Path
    render: Render
    bounds: tuple[float, float, float, float]
    pixels: int
    side: float
    quality: int
    step: Callable[[], None]

    def tiles(self, zoom: int) -> tuple[int, int]:
        """Tiles to the east and to the north of a zoom."""
        west, south, east, north = self.bounds
        side = self.side * 2.0**-zoom
        return _ceil((east - west) / side), _ceil((north - south) / side)


def write_pyramid(
    folder: str | Path,
    source: Basemap | Render,
    *,
    crs: str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    tile_pixels: int = 250,
    tile_side_m: float = 20.0,
    min_zoom: int | None = None,
    quality: int = 92,
    progress: Progress | None = None,
) -> Path:
    """Writes a map as a tiledwebmaps pyramid, which the package and `open_map` read.

    A pyramid that is there already is left as it is, and one that was interrupted goes on where it stopped. No tile is
    ever seen half-written.

    Args:
        folder: Where to; made if missing.
        source: A map, or a function that draws squares of the ground.
        crs: Coordinate system of the tiles, in metres; that of the map unless given, needed for a function.
        bounds: West, south, east and north of what to write, metres in the CRS; all of the map unless given.
        tile_pixels: Pixels along a side of every tile; 250 as published.
        tile_side_m: Metres along a side of the tiles of zoom 0; 20 as published, which makes 8 cm a pixel.
        min_zoom: The coarsest zoom, 0 or less; by default the first at which one tile shows everything.
        quality: JPEG quality.
        progress: Called after each tile with the tiles done and the tiles there may be.

    Returns:
        The layout file.

    Raises:
        TiercelError: The folder holds another pyramid or cannot be written to, or nothing is there to write.
    """
    folder = Path(folder)
    if isinstance(source, Basemap):
        if crs is not None and crs.lower() != source.frame.name.lower():
            raise TiercelError(f"{source.source} is read in {source.frame.name}, not in {crs}; leave the CRS out.")
        crs, bounds = source.frame.name, bounds or source.bounds
    if crs is None or bounds is None:
        raise ValueError("a function that draws needs a CRS and bounds")
    if not crs.upper().startswith("EPSG:"):
        raise TiercelError(f"A pyramid's layout names its CRS by EPSG code, which {crs[:60]!r} has not; give crs.")
    if min_zoom is None:
        min_zoom = -max(0, math.ceil(math.log2(max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / tile_side_m)))
    layout: dict[str, Any] = {
        "crs": crs.lower(), "tile_shape_px": [tile_pixels, tile_pixels],
        "tile_shape_crs": [float(tile_side_m), float(tile_side_m)], "origin_crs": [float(bounds[0]), float(bounds[1])],
        "tile_axes": ["east", "north"], "path": _PATH, "min_zoom": min_zoom, "max_zoom": 0,
    }  # fmt: skip
    if isinstance(source, Basemap):
        layout["source_fingerprint"] = source.fingerprint()  # the package looks at the keys it knows
    if _claim(folder, layout, {**layout, "bounds": [float(value) for value in bounds], "quality": quality}):
        return folder / LAYOUT_FILE
    render = _reader(source) if isinstance(source, Basemap) else source
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(min(done, total), total)

    job = _Job(folder, render, bounds, tile_pixels, tile_side_m, quality, step)
    total = sum(math.prod(job.tiles(zoom)) for zoom in range(min_zoom, 1))
    across, up = job.tiles(min_zoom)
    drawn = [_write(job, min_zoom, x, y) is not None for x in range(across) for y in range(up)]
    if not any(drawn):
        raise TiercelError(f"There is nothing to write into {folder}: the map covers none of the ground asked for.")
    _save(folder / LAYOUT_FILE, yaml.safe_dump(layout, sort_keys=False).encode())
    (folder / _UNFINISHED).unlink()
    if progress is not None:
        progress(total, total)
    return folder / LAYOUT_FILE


def _reader(basemap: Basemap) -> Render:
    def render(square: Square, pixels: int) -> NDArray[np.uint8] | None:
        rgb, covered = basemap.read(square, pixels)
        return rgb if covered.any() else None

    return render


def _claim(folder: Path, layout: dict[str, Any], identity: dict[str, Any]) -> bool:
    """Takes hold of the folder. Returns whether the pyramid is there already."""
    done, begun = folder / LAYOUT_FILE, folder / _UNFINISHED
    try:
        if done.is_file():
            if yaml.safe_load(done.read_text()) != layout:
                raise TiercelError(f"{folder} holds another pyramid; choose another folder.")
            begun.unlink(missing_ok=True)
            return True
        if begun.is_file():
            if yaml.safe_load(begun.read_text()) != identity:
                raise TiercelError(f"{folder} holds a part of another pyramid; delete it or choose another folder.")
            return False
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, yaml.YAMLError) as error:
        raise TiercelError(f"{folder} cannot be used for a pyramid ({error}); choose another folder.") from error
    _save(begun, yaml.safe_dump(identity, sort_keys=False).encode())
    return False


def _write(job: _Job, zoom: int, x: int, y: int) -> NDArray[np.uint8] | None:
    """Writes a tile and all below it, unless it is there; returns its pixels, None where there is nothing."""
    across, up = job.tiles(zoom)
    if x >= across or y >= up:
        return None
    path = job.folder / _PATH.format(zoom=zoom, x=x, y=y)
    kept = _read(path)
    if kept is None:
        kept = _draw(job, x, y) if zoom == 0 else _gather(job, zoom, x, y)
        if kept is not None:
            _save(path, kept, job.quality)
    job.step()
    return kept


def _draw(job: _Job, x: int, y: int) -> NDArray[np.uint8] | None:
    west, south, _, _ = job.bounds
    return job.render(Square(west + (x + 0.5) * job.side, south + (y + 0.5) * job.side, job.side), job.pixels)


def _gather(job: _Job, zoom: int, x: int, y: int) -> NDArray[np.uint8] | None:
    """A tile from its four children, each shrunk to half; black where there is none."""
    size = job.pixels
    whole, found = np.zeros((2 * size, 2 * size, 3), np.uint8), False
    for south in (0, 1):
        for east in (0, 1):
            child = _write(job, zoom + 1, 2 * x + east, 2 * y + south)
            if child is not None:
                found = True
                whole[(1 - south) * size : (2 - south) * size, east * size : (east + 1) * size] = child
    if not found:
        return None
    mean = whole.reshape(size, 2, size, 2, 3).mean((1, 3), dtype=np.float32)
    return np.asarray(mean + 0.5).astype(np.uint8)


def _read(path: Path) -> NDArray[np.uint8] | None:
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _save(path: Path, content: bytes | NDArray[np.uint8], quality: int = 92) -> None:
    """Writes a file under another name, then moves it into place."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            part.write_bytes(content)
        else:
            Image.fromarray(content).save(part, "JPEG", quality=quality, subsampling=0)
        part.replace(path)
    except OSError as error:
        raise TiercelError(
            f"{path} cannot be written ({error.strerror or error}); free some space and run the same command again."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _ceil(value: float) -> int:
    """Rounded up, but not for a rounding error."""
    return max(1, math.ceil(value - 1e-6))
