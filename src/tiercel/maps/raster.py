"""Maps that rasterio reads: GeoTIFF, COG, VRT and all else GDAL knows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow

from tiercel.errors import TiercelError
from tiercel.maps.basemap import Basemap, Patch, Plane, Window
from tiercel.maps.digest import combined, sampled

#: Side of the thumbnail from which the range of 16-bit values is taken and coverage is judged.
_THUMBNAIL = 512


class RasterMap(Basemap):
    """A map in one raster file."""

    def __init__(self, source: str, crs: str | None = None) -> None:
        """Opens a raster file.

        Args:
            source: A path, or a URL that GDAL can read.
            crs: Coordinate system, for a file that does not say its own.

        Raises:
            TiercelError: The file is no raster, is not placed on the ground or covers nothing.
        """
        self._dataset = _open(source)
        try:
            plane = _plane(self._dataset, source, crs)
            self._bands = _colour_bands(self._dataset)
            self._palette = _palette(self._dataset, self._bands)
            self._range = self._value_range(source)
            super().__init__(Path(source).name, source, plane)
        except BaseException:
            self._dataset.close()
            raise

    def _value_range(self, source: str) -> tuple[float, float] | None:
        """The values shown as black and white, None for 8-bit pictures; makes sure that there are any values."""
        whole = (0, 0, self._dataset.width, self._dataset.height)
        step = max(1, math.ceil(max(whole[2:]) / _THUMBNAIL))
        values, present = self._values(whole, step, Resampling.nearest)
        if not present.any():
            # The thumbnail's pixels may have missed small islands of imagery.
            values, present = self._values(whole, step, Resampling.average, least=1)
        if not present.any():
            raise TiercelError(f"{source} covers nothing: every pixel is nodata or masked; give a map with imagery.")
        if values.dtype == np.uint8:
            return None
        low, high = np.percentile(values[:, present].astype(np.float64), (1, 99))
        return float(low), float(max(high, low + 1e-6))

    def _values(
        self, window: Window, step: int, resampling: Resampling, least: int = 128
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Raw values (bands, h, w) of a window, and whether the mask (0 to 255) reaches `least` there."""
        left, top, right, bottom = window
        shape = (math.ceil((bottom - top) / step), math.ceil((right - left) / step))
        place = {"window": RasterWindow(left, top, right - left, bottom - top), "resampling": resampling}
        try:
            values = self._dataset.read(self._bands, out_shape=(len(self._bands), *shape), **place)
            mask = self._dataset.dataset_mask(out_shape=shape, **place)
        except (RasterioError, OSError) as error:
            raise TiercelError(
                f"{self._dataset.name} cannot be read ({error}); copy or download the file again."
            ) from error
        present = np.asarray(mask >= least)
        if values.dtype.kind == "f":
            present &= np.isfinite(values).all(0)
        return values, present

    def _step(self, level: int) -> int:
        return int(2**level)

    def _patches(self, level: int, window: Window) -> Iterator[Patch]:
        step = self._step(level)
        left, top, right, bottom = self._plane.extent
        window = (
            max(left, (window[0] // step - 2) * step),
            max(top, (window[1] // step - 2) * step),
            min(right, (-(-window[2] // step) + 2) * step),
            min(bottom, (-(-window[3] // step) + 2) * step),
        )
        averaged = step > 1 and self._palette is None
        values, present = self._values(window, step, Resampling.average if averaged else Resampling.nearest)
        height, width = present.shape
        # GDAL spreads the pixels of a level evenly over the window, also where the step does not divide it.
        scale = ((window[2] - window[0]) / width, (window[3] - window[1]) / height)
        yield Patch(self._rgb(values), present, window[0], window[1], scale)

    def _rgb(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if self._palette is not None:
            return np.asarray(np.take(self._palette, values[0], axis=0, mode="clip"))
        if self._range is not None:
            low, high = self._range
            scaled = (np.nan_to_num(values.astype(np.float32)) - low) * (255 / (high - low))
            values = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(np.moveaxis(values, 0, -1), (*values.shape[1:], 3)))

    def fingerprint(self) -> str:
        """A digest of the sampled bytes of all the files the raster is made of, and of where it lies."""
        # Statistics that other programs leave beside a raster do not change it.
        files = [Path(name) for name in sorted(self._dataset.files) if not name.endswith(".aux.xml")]
        parts = [sampled(path) for path in files if path.is_file()]
        return combined([self._plane.crs, *parts] if parts else [self._plane.crs, self.source])

    def close(self) -> None:
        """Closes the file."""
        self._dataset.close()


def _open(source: str) -> Any:  # noqa: ANN401  (rasterio has no types)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(source)
    except (RasterioError, OSError) as error:
        raise TiercelError(
            f"{source} is not a map that can be read; give a GeoTIFF, COG, VRT or MBTiles file, a tile folder, "
            "a tile URL or a layout.yaml."
        ) from error
    if dataset.count == 0:
        dataset.close()
        raise TiercelError(f"{source} holds several pictures or none; name one of them, as gdalinfo lists them.")
    return dataset


def _plane(dataset: Any, source: str, crs: str | None) -> Plane:  # noqa: ANN401
    stored = crs or (dataset.crs.to_wkt() if dataset.crs else None)
    if stored is None:
        raise TiercelError(
            f"{source} has no coordinate system; add --crs EPSG:... or write one into it with gdal_edit -a_srs EPSG:..."
        )
    if dataset.transform.is_identity or dataset.transform.is_degenerate:
        raise TiercelError(f"{source} is not placed on the ground; write its place into it with gdal_edit -a_ullr.")
    inverse = ~dataset.transform
    matrix = (inverse.a, inverse.b, inverse.c, inverse.d, inverse.e, inverse.f)
    return Plane(stored, matrix, (0, 0, dataset.width, dataset.height))


def _colour_bands(dataset: Any) -> list[int]:  # noqa: ANN401
    """The bands of red, green and blue, or the one that is shown as grey."""
    meaning = list(dataset.colorinterp)
    primaries = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(colour in meaning for colour in primaries):
        return [meaning.index(colour) + 1 for colour in primaries]
    shown = [band + 1 for band, colour in enumerate(meaning) if colour != ColorInterp.alpha]
    return shown[:3] if len(shown) >= 3 else shown[:1] or [1]


def _palette(dataset: Any, bands: list[int]) -> NDArray[np.uint8] | None:  # noqa: ANN401
    if len(bands) > 1 or dataset.colorinterp[bands[0] - 1] != ColorInterp.palette:
        return None
    colours = dataset.colormap(bands[0])
    palette = np.zeros((max(colours) + 1, 3), np.uint8)
    for value, colour in colours.items():
        palette[value] = colour[:3]
    return palette
