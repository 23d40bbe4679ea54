"""The simulated world as plain arrays: what both renderers look at.

Coordinates are metres in the city's own frame: x east, y north, the origin at the south-west corner. Rasters
have row 0 in the north: texel ``(row, col)`` has its centre at ``x = (col + 0.5) * texel``,
``y = size - (row + 0.5) * texel``. Angles are radians here (numba code); azimuths are clockwise from north.

The ground is stored as *smooth fields* (which street or lot, and where in its own coordinates), not as colours:
markings and paving are computed from them at any resolution, so they look alike from above and from one metre away.
Buildings and objects are stored as vectors, so that walls are straight and corners crisp at any distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

TEXEL = 0.5
"""Side of a ground texel in metres."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]


class Surface(IntEnum):
    """What the ground is made of."""

    ROAD = 0
    PAVEMENT = 1
    GRASS = 2
    PARK = 3
    PLAZA = 4
    PARKING = 5
    WATER = 6
    SPORT = 7
    PATH = 8
    GRAVEL = 9
    SOIL = 10
    YARD = 11


class Roof(IntEnum):
    """Roof shapes; the ridge of a gable runs along the part's long axis."""

    FLAT = 0
    GABLE = 1
    HIP = 2
    SHED = 3
    PYRAMID = 4
    DOME = 5
    SAWTOOTH = 6


class Plant(IntEnum):
    """Kinds of trees and bushes."""

    BROADLEAF = 0
    CONIFER = 1
    POPLAR = 2
    PALM = 3
    BUSH = 4


class Furniture(IntEnum):
    """Small fixed objects along streets. Too small to matter from above, but a person in the street sees them."""

    LAMP = 0
    SIGN = 1
    TRAFFIC_LIGHT = 2
    BENCH = 3
    BUS_SHELTER = 4
    BOLLARD = 5


@dataclass(frozen=True)
class World:
    """A city. Structured arrays (``numpy.void`` fields) are used for every table; see the dtypes below.

    Attributes:
        seed: The seed that made it.
        size: Side of the square city in metres.
        ground: (N, N) float32, height of the ground in metres; bridge decks and the water surface included.
        surface: (N, N) uint8, a `Surface`.
        feature: (N, N) int32, row of `features`: the street or lot that owns the texel.
        u: (N, N) float32, metres. On a street (road, pavement, verge): signed offset from the centre line.
            On a lot: first coordinate of the lot's frame.
        v: (N, N) float32, metres. On a street: distance along it. On a lot: second coordinate of its frame.
        junction: (N, N) float32, metres along the street to the edge of the nearest junction, 1e3 where none is near;
            negative inside a junction.
        building: (N, N) int32, 1 + row of `parts` of the highest building part that touches the texel, 0 for none.
        features: table of `FEATURE`.
        parts: table of `PART`, prisms with a roof.
        corners: (M, 2) float32, footprint corners of all parts, counter-clockwise seen from above, x and y in metres;
            every footprint is convex.
        plants: table of `PLANT`.
        slots: table of `SLOT`, places where a vehicle may stand on a given day.
        furniture: table of `FURNITURE`.
        walkers: (K, 2) float32, places where a pedestrian may stand on a given day.
        palette_seed: seed of the city-wide look (materials, tree hues, marking colours).
    """

    seed: int
    size: float
    ground: Floats
    surface: Bytes
    feature: Ints
    u: Floats
    v: Floats
    junction: Floats
    building: Ints
    features: NDArray[np.void]
    parts: NDArray[np.void]
    corners: Floats
    plants: NDArray[np.void]
    slots: NDArray[np.void]
    furniture: NDArray[np.void]
    walkers: Floats
    palette_seed: int

    @property
    def texels(self) -> int:
        """Texels along one side."""
        return int(self.surface.shape[0])


FEATURE = np.dtype(
    [
        ("kind", np.int32),  # 0 street, 1 lot, 2 roundabout, 3 river bank, 4 square or plaza
        ("style", np.int32),  # district style, see tiercel.sim.plan
        ("half_width", np.float32),  # carriageway, metres (streets)
        ("pavement", np.float32),  # width of each pavement, metres (streets)
        ("lanes", np.int32),  # per direction
        ("marking", np.int32),  # bit set: 1 centre line dashed, 2 centre line solid, 4 lane lines, 8 edge lines,
        # 16 zebra at junctions, 32 stop lines, 64 bus lane, 128 cycle lane, 256 parking bays, 512 median, 1024 tracks
        ("colour", np.float32, (3,)),  # base ground colour 0..255
        ("accent", np.float32, (3,)),  # painted lane, second paving colour, court colour
        ("paving", np.float32, (3,)),  # pavement (streets)
        ("line", np.float32, (3,)),  # centre line (streets)
        ("seed", np.uint32),
    ]
)
PART = np.dtype(
    [
        ("start", np.int32),  # first corner in World.corners
        ("count", np.int32),  # number of corners
        ("base", np.float32),  # absolute height of the foot, metres
        ("eave", np.float32),  # absolute height of the top of the walls
        ("rise", np.float32),  # height of the roof above the eave at its highest
        ("roof", np.int32),  # Roof
        ("centre", np.float32, (2,)),  # centre of the roof's frame
        ("axis", np.float32, (2,)),  # unit vector along the ridge
        ("half_length", np.float32),  # extent along the axis, metres
        ("half_width", np.float32),  # extent across it
        ("wall", np.float32, (3,)),  # colours 0..255
        ("roof_colour", np.float32, (3,)),
        ("window", np.float32, (3,)),
        ("shop", np.float32, (3,)),  # ground-floor accent: awnings, shop fronts, doors
        ("material", np.int32),  # 0 plaster, 1 brick, 2 stone, 3 concrete panels, 4 glass curtain, 5 timber, 6 metal
        ("facade", np.int32),  # 0 blank, 1 regular windows, 2 ribbon windows, 3 curtain wall, 4 shop below windows,
        # 5 industrial (few high windows, gates), 6 house (door, sparse windows), 7 church (tall arched windows),
        # 8 fence, wall or hedge
        ("floor_height", np.float32),
        ("bay", np.float32),  # width of one window bay, metres
        ("window_share", np.float32),  # share of the bay's width
        ("seed", np.uint32),
        ("style", np.int32),
    ]
)
PLANT = np.dtype(
    [
        ("x", np.float32),
        ("y", np.float32),
        ("ground", np.float32),  # absolute height of the foot
        ("height", np.float32),  # total height, metres
        ("crown", np.float32),  # crown radius, metres
        ("clear", np.float32),  # height of the trunk below the crown, metres
        ("kind", np.int32),  # Plant
        ("hue", np.float32),  # 0..1
        ("seed", np.uint32),
    ]
)
SLOT = np.dtype(
    [
        ("x", np.float32),
        ("y", np.float32),
        ("ground", np.float32),
        ("azimuth", np.float32),  # direction the vehicle points to, radians clockwise from north
        ("kind", np.int32),  # 0 parked at the kerb or in a car park, 1 driving lane, 2 bus lane or lorry bay;
        # 3 to 5 the same in a busy city
    ]
)
FURNITURE = np.dtype(
    [
        ("x", np.float32),
        ("y", np.float32),
        ("ground", np.float32),
        ("azimuth", np.float32),
        ("kind", np.int32),  # Furniture
        ("seed", np.uint32),
    ]
)
