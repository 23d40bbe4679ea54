"""Writing pictures of the ground as GeoTIFF."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from tiercel.errors import TiercelError
from tiercel.geo import Frame

_TILE = 256


def write_geotiff(
    path: str | Path,
    rgb: NDArray[np.uint8],
    frame: Frame,
    west: float,
    north: float,
    resolution: float,
    covered: NDArray[np.bool_] | None = None,
) -> None:
    """Writes a picture with its place, tiled, losslessly compressed and with overviews.

    The file appears whole or not at all.

    Args:
        path: The file to write.
        rgb: (rows, columns, 3) uint8, row 0 in the north.
        frame: The frame of the coordinates.
        west: Easting of the western edge, metres.
        north: Northing of the northern edge, metres.
        resolution: Metres per pixel.
        covered: (rows, columns) bool; what is not covered becomes a mask in the file and black.

    Raises:
        TiercelError: The disk is full or the folder cannot be written to.
    """
    with MemoryFile() as memory:
        _encode(memory, rgb, frame, west, north, resolution, covered)
        _replace(Path(path), memory)


def _encode(
    memory: MemoryFile,
    rgb: NDArray[np.uint8],
    frame: Frame,
    west: float,
    north: float,
    resolution: float,
    covered: NDArray[np.bool_] | None,
) -> None:
    rows, columns, _ = rgb.shape
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "height": rows, "width": columns, "crs": frame.name,
        "transform": from_origin(west, north, resolution, resolution), "photometric": "RGB", "interleave": "pixel",
        "tiled": True, "blockxsize": _TILE, "blockysize": _TILE, "compress": "deflate", "predictor": 2,
        "bigtiff": "IF_SAFER",
    }  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), memory.open(**profile) as dataset:
        if covered is not None:
            rgb = np.where(covered[..., None], rgb, np.uint8(0))
            dataset.write_mask(covered)
        dataset.write(np.moveaxis(rgb, -1, 0))
        factors = [2**level for level in range(1, 12) if max(rows, columns) > _TILE * 2 ** (level - 1)]
        if factors:
            dataset.build_overviews(factors, Resampling.average)


def _replace(path: Path, memory: MemoryFile) -> None:
    # GDAL may miss that a disk is full; Python's own files do not.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(memory.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise TiercelError(
            f"Cannot write {path}: {error.strerror}; free some space or choose another --out."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
