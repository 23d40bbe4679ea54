"""The heat map as GIS software sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS

from tiercel.errors import TiercelError
from tiercel.fix import Fix
from tiercel.geo import Square, ZoomTree


def test_values_place_and_nodata(fix: Fix, tmp_path: Path) -> None:
    fix.to_geotiff(tmp_path / "heat.tif")
    with rasterio.open(tmp_path / "heat.tif") as file:
        assert file.crs == CRS.from_epsg(32633) and file.dtypes == ("float32",) and np.isnan(file.nodata)
        assert file.bounds == fix.tree.root.bounds and file.res == (31.25, 31.25)
        assert file.descriptions == ("probability",) and file.tags()["photo"] == "street.jpg"
        assert np.array_equal(file.read(1), fix.heat, equal_nan=True)
        assert not file.read_masks(1)[:16, :16].any() and file.read_masks(1)[16:].all()
        row, col = file.index(fix.x, fix.y)
        assert (row, col) == (20, 30) and file.read(1)[row, col] == np.float32(0.6)
    assert [path.name for path in tmp_path.iterdir()] == ["heat.tif"]


def test_large_heat_maps_are_tiled(fix: Fix, tmp_path: Path) -> None:
    tree = ZoomTree(Square(0, 0, 8000), 4, 4)
    large = replace(fix, tree=tree, heat=np.full((256, 256), 1 / 65536, np.float32))
    large.to_geotiff(tmp_path / "heat.tif")
    with rasterio.open(tmp_path / "heat.tif") as file:
        assert file.block_shapes == [(256, 256)] and file.read(1).sum() == pytest.approx(1, rel=1e-5)


def test_nothing_is_left_where_nothing_can_be_written(fix: Fix, tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"heat\.tif cannot be written"):
        fix.to_geotiff(tmp_path / "none" / "heat.tif")
    (tmp_path / "heat.tif").mkdir()
    with pytest.raises(TiercelError, match=r"heat\.tif cannot be written"):
        fix.to_geotiff(tmp_path / "heat.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["heat.tif"]
