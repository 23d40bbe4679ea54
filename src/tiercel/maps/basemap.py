"""What every map can do, and the reading that all kinds of map share."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tiercel.geo import Frame, Square
from tiercel.maps.sampling import fill

#: Points along a side at which a read projects exactly. Between two web mercator points of a 20 km square,
#: linear interpolation is then off by less than 5 cm anywhere below 80 degrees of latitude.
_NODES = 33
#: Source pixels held at once. A read that needs more is made in quarters.
_MOST_PIXELS = 32_000_000
#: Points along a side of an output pixel, even where it spans more source pixels: their mean changes no more.
_MOST_TAPS = 16

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Plane:
    """The plane of a map's native pixels: columns to the east, rows to the south, as the imagery is stored.

    Attributes:
        crs: Coordinate system of the imagery, "EPSG:3857" or WKT.
        matrix: (a, b, c, d, e, f): column = a x + b y + c and row = d x + e y + f, for x before y in `crs`.
        extent: (left, top, right, bottom) native pixels that the map may cover.
    """

    crs: str
    matrix: tuple[float, float, float, float, float, float]
    extent: Window

    def pixel(
        self, frame: Frame, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns and rows of points of the frame."""
        east, north = frame.to_crs(self.crs, x, y)
        a, b, c, d, e, f = self.matrix
        return a * east + b * north + c, d * east + e * north + f

    def ground(
        self, frame: Frame, column: NDArray[np.float64], row: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eastings and northings in the frame of columns and rows."""
        return frame.from_crs(self.crs, *self.stored(column, row))

    def stored(
        self, column: NDArray[np.float64], row: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates in the imagery's own system of columns and rows."""
        a, b, c, d, e, f = self.matrix
        determinant = a * e - b * d
        return (e * (column - c) - b * (row - f)) / determinant, (a * (row - f) - d * (column - c)) / determinant

    def outline(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns and rows of points along the four edges of the extent, corners and middle included."""
        left, top, right, bottom = self.extent
        across, down = np.linspace(left, right, 21), np.linspace(top, bottom, 21)
        column = np.concatenate([across, across, np.full(21, left), np.full(21, right), [(left + right) / 2]])
        row = np.concatenate([np.full(21, top), np.full(21, bottom), down, down, [(top + bottom) / 2]])
        return column, row

    def metric_frame(self) -> Frame:
        """The metric frame for a map in the middle of this plane's extent."""
        column, row = self.outline()
        x, y = self.stored(column[-1:], row[-1:])
        latitude, longitude = Frame(self.crs).to_wgs84(x, y)
        return Frame.of(self.crs, float(latitude[0]), float(longitude[0]))


@dataclass(frozen=True)
class Patch:
    """Some pixels of a map.

    Attributes:
        rgb: (h, w, 3) uint8.
        present: (h, w) whether a pixel holds imagery.
        left: Native column of the western edge.
        top: Native row of the northern edge.
        step: (across, down) native pixels per pixel of the patch.
    """

    rgb: NDArray[np.uint8]
    present: NDArray[np.bool_]
    left: float
    top: float
    step: tuple[float, float]


class Basemap(ABC):
    """An overhead map that can be read at any place and scale.

    Attributes:
        name: What to call the map: its file name, or the host of its tiles.
        source: The path or URL it was opened from.
        frame: The metric frame in which squares are read.
        bounds: (west, south, east, north), metres in the frame, around all that the map may cover.
        resolution: Metres on the ground per native pixel, in the middle of the map.
    """

    def __init__(self, name: str, source: str, plane: Plane) -> None:
        """Places the map on the ground.

        Args:
            name: What to call the map.
            source: The path or URL it was opened from.
            plane: Its native pixels.
        """
        self.name = name
        self.source = source
        self.frame = plane.metric_frame()
        self._plane = plane
        self._lock = threading.Lock()
        self._place()

    def _place(self) -> None:
        """Works out bounds and resolution in the frame."""
        x, y = self._plane.ground(self.frame, *self._plane.outline())
        self.bounds = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
        self.resolution = self._resolution(float(x[-1]), float(y[-1]))

    def _resolution(self, x: float, y: float) -> float:
        column, row = self._plane.pixel(self.frame, np.array([x, x + 1, x]), np.array([y, y, y + 1]))
        area = (column[1] - column[0]) * (row[2] - row[0]) - (column[2] - column[0]) * (row[1] - row[0])
        return float(1 / math.sqrt(abs(area)))

    def in_frame(self, frame: Frame) -> Self:
        """The same map read in another metric frame; it is closed with this one.

        Bounds are not finite where the frame has no coordinates for it.
        """
        other = copy(self)
        other.frame = frame
        other._place()
        return other

    def read(self, square: Square, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A north-up picture of a square.

        Pixels are averaged over their area where the map is finer than asked and interpolated bilinearly where
        it is coarser. Whatever the map does not cover is black and marked as not covered.

        Args:
            square: The ground to show, in this map's frame.
            pixels: Pixels along a side.

        Returns:
            (pixels, pixels, 3) uint8, row 0 in the north, and (pixels, pixels) bool, whether a pixel is covered.

        Raises:
            TiercelError: The imagery is there but cannot be read.
        """
        rgb = np.zeros((pixels, pixels, 3), np.uint8)
        covered = np.zeros((pixels, pixels), np.bool_)
        self._read_into(square, rgb, covered)
        return rgb, covered

    def _read_into(self, square: Square, rgb: NDArray[np.uint8], covered: NDArray[np.bool_]) -> None:
        pixels = len(rgb)
        nodes = self._nodes(square)
        window = _around(nodes, self._plane.extent)
        if window is None:
            return
        finest, coarsest = _native_pixels_per_pixel(nodes, pixels)
        level = max(0, math.floor(math.log2(finest) + 1e-6)) if finest > 0 else 0
        step = self._step(level)
        if (window[2] - window[0]) * (window[3] - window[1]) > _MOST_PIXELS * step**2 and pixels > 1:
            self._read_quarters(square, rgb, covered)
            return
        decided = np.zeros_like(covered)
        with self._lock:
            for patch in self._patches(level, window):
                across, down = patch.step
                on_patch = (nodes - (patch.left, patch.top)) / (across, down)
                # A scale difference of a quarter is left to plain interpolation, which keeps equal scales exact.
                taps = min(max(1, math.ceil(coarsest / min(across, down) - 0.25)), _MOST_TAPS)
                fill(patch.rgb, patch.present, on_patch, taps, rgb, covered, decided)

    def _read_quarters(self, square: Square, rgb: NDArray[np.uint8], covered: NDArray[np.bool_]) -> None:
        """Reads four overlapping-free squares of half the pixels; the last of an odd number is read again."""
        pixels = len(rgb)
        half = (pixels + 1) // 2
        pitch = square.side / pixels
        for top in (0, pixels - half):
            for left in (0, pixels - half):
                x = square.west + (left + half / 2) * pitch
                y = square.north - (top + half / 2) * pitch
                part = (slice(top, top + half), slice(left, left + half))
                self._read_into(Square(x, y, half * pitch), rgb[part], covered[part])

    def _nodes(self, square: Square) -> NDArray[np.float64]:
        """(nodes, nodes, 2) native columns and rows of an even grid over the square, corners included."""
        x = np.linspace(square.west, square.east, _NODES)
        y = np.linspace(square.north, square.south, _NODES)
        return np.stack(self._plane.pixel(self.frame, *np.meshgrid(x, y)), axis=-1)

    @abstractmethod
    def _step(self, level: int) -> int:
        """Native pixels along a side of the pixels in which a level is read: 2**level, or less if it has none."""

    @abstractmethod
    def _patches(self, level: int, window: Window) -> Iterator[Patch]:
        """The imagery in a window of native pixels, best first.

        Args:
            level: Asks for pixels of 2**level native pixels, or finer.
            window: (left, top, right, bottom) in native pixels, inside the extent.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A short text that changes when the map's content does, and not with its place or date."""

    def close(self) -> None:  # noqa: B027  (nothing to do for most)
        """Lets go of files and connections."""

    def __enter__(self) -> Self:
        """The map itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the map."""
        self.close()


def _around(nodes: NDArray[np.float64], extent: Window) -> Window | None:
    """The part of the extent that the nodes span; None where they miss it or have no place in the imagery."""
    if not np.isfinite(nodes).all():
        return None
    low, high = np.floor(nodes.min((0, 1))).astype(int), np.ceil(nodes.max((0, 1))).astype(int)
    left, top = max(int(low[0]), extent[0]), max(int(low[1]), extent[1])
    right, bottom = min(int(high[0]), extent[2]), min(int(high[1]), extent[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _native_pixels_per_pixel(nodes: NDArray[np.float64], pixels: int) -> tuple[float, float]:
    """Native pixels that an output pixel spans: along the axis where they are fewer, and where more."""
    across = np.abs(nodes[:, -1] - nodes[:, 0]).mean(0)
    down = np.abs(nodes[-1] - nodes[0]).mean(0)
    spans = np.hypot(across, down) / pixels
    return float(spans.min()), float(spans.max())
