"""The heat map as a GeoTIFF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiercel.photos.write import replacing

if TYPE_CHECKING:
    from tiercel.fix.fix import Fix


def write_heat(path: Path, fix: Fix) -> None:
    """Writes one float32 band, "probability", one pixel a leaf cell, in the frame of the map.

    Leaves where the map shows nothing are NaN, declared as nodata. The file appears whole or not at all.

    Raises:
        TiercelError: The file cannot be written.
    """
    import rasterio
    from rasterio.crs import CRS
    from rasterio.transform import from_origin

    root, leaf, side = fix.tree.root, fix.tree.side(fix.tree.depth), fix.heat.shape[0]
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256} if side >= 256 else {}
    with (
        replacing(path) as part,
        rasterio.open(
            part, "w", driver="GTiff", width=side, height=side, count=1, dtype="float32", nodata=float("nan"),
            crs=CRS.from_user_input(fix.crs), transform=from_origin(root.west, root.north, leaf, leaf),
            compress="deflate", predictor=3, **tiles,
        ) as file,
    ):  # fmt: skip
        file.write(fix.heat.astype(np.float32), 1)
        file.set_band_description(1, "probability")
        file.update_tags(photo=fix.photo, latitude=fix.latitude, longitude=fix.longitude)
