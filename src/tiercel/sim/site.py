"""The drawing board on which lots are built: parts, painted patches and features are gathered here as plain tuples."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tiercel.sim.character import Character, Colour, District, vary
from tiercel.sim.shapes import Polygon, extent, rectangle
from tiercel.sim.world import Roof, Surface

BLANK, WINDOWS, RIBBONS, CURTAIN, SHOP, INDUSTRIAL, HOUSE, CHURCH, FENCE = range(9)
"""Kinds of facades, see `tiercel.sim.world.PART`."""

PLASTER, BRICK, STONE, CONCRETE, GLASS, TIMBER, METAL = range(7)
"""Materials of walls."""


@dataclass(slots=True)
class Look:
    """Colours and rhythm of a building: walls, roof, windows, shop fronts; floors and bays in metres."""

    wall: Colour
    roof: Colour
    window: Colour
    shop: Colour
    material: int
    facade: int
    floor_height: float = 3.0
    bay: float = 3.0
    window_share: float = 0.5


@dataclass(slots=True)
class Patch:
    """A polygon of one surface, painted on the ground, with the frame of its coordinates u and v."""

    polygon: Polygon
    surface: Surface
    feature: int
    frame: tuple[float, float, float, float]


@dataclass
class Site:
    """Everything built so far.

    Attributes:
        rng: Source of randomness.
        character: The city's character.
        parts: Rows of parts; heights are above the ground at `anchors`.
        corners: Footprints of the parts.
        anchors: Point whose ground height each part's storeys are counted from.
        patches: Painted polygons, later ones over earlier ones.
        features: Rows of features.
        density: Trees per jittered 4 m cell of the ground of each feature.
        standing: Single plants: x, y, height, kind.
        slots: Places of vehicles: x, y, azimuth, kind.
    """

    rng: random.Random
    character: Character
    parts: list[tuple[object, ...]] = field(default_factory=list)
    corners: list[Polygon] = field(default_factory=list)
    anchors: list[tuple[float, float]] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    features: list[tuple[object, ...]] = field(default_factory=list)
    density: list[float] = field(default_factory=list)
    standing: list[tuple[float, float, float, int]] = field(default_factory=list)
    slots: list[tuple[float, float, float, int]] = field(default_factory=list)
    anchor: tuple[float, float] = (0.0, 0.0)
    style: District = District.INNER

    def feature(
        self,
        kind: int,
        colour: Colour,
        accent: Colour,
        half_width: float = 0.0,
        pavement: float = 0.0,
        lanes: int = 0,
        marking: int = 0,
        density: float = 0.0,
        paving: Colour | None = None,
        line: Colour = (226.0, 226.0, 220.0),
    ) -> int:
        """Add a feature; see `tiercel.sim.world.FEATURE`. Returns its row."""
        seed = self.rng.getrandbits(31)
        self.features.append(
            (kind, int(self.style), half_width, pavement, lanes, marking, colour, accent, paving or accent, line, seed)
        )
        self.density.append(density)
        return len(self.features) - 1

    def patch(self, polygon: Polygon, surface: Surface, feature: int, frame: tuple[float, float, float, float]) -> None:
        """Paint a polygon; the frame is its origin and the unit vector of u."""
        self.patches.append(Patch(polygon, surface, feature, frame))

    def prism(
        self,
        footprint: Polygon,
        height: float,
        look: Look,
        axis: tuple[float, float],
        roof: Roof = Roof.FLAT,
        rise: float = 0.0,
    ) -> None:
        """Add a building part with walls of this height above the anchor, and a roof along the axis."""
        ax, ay = axis
        a0, a1, w0, w1 = extent(footprint, ax, ay)
        along, across = 0.5 * (a0 + a1), 0.5 * (w0 + w1)
        if roof == Roof.HIP and a1 - a0 < w1 - w0:
            ax, ay, along, across = -ay, ax, across, -along
            a0, a1, w0, w1 = w0, w1, a0, a1
        seed = self.rng.getrandbits(31)
        self.parts.append(
            (
                0, len(footprint), 0.0, height, rise, int(roof),
                (ax * along - ay * across, ay * along + ax * across), (ax, ay),
                max(0.1, 0.5 * (a1 - a0)), max(0.1, 0.5 * (w1 - w0)), look.wall, look.roof, look.window, look.shop,
                look.material, look.facade, look.floor_height, look.bay, look.window_share, seed, int(self.style),
            )
        )  # fmt: skip
        self.corners.append(footprint)
        self.anchors.append(self.anchor)

    def fence(self, x0: float, y0: float, x1: float, y1: float, thickness: float, height: float, look: Look) -> None:
        """Add a fence, wall or hedge from one point to another."""
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        if length > 1.5:
            ax, ay = (x1 - x0) / length, (y1 - y0) / length
            middle = (0.5 * (x0 + x1), 0.5 * (y0 + y1))
            kept, self.anchor = self.anchor, middle
            self.prism(rectangle(*middle, ax, ay, 0.5 * length, 0.5 * thickness), height, look, (ax, ay))
            self.anchor = kept

    def pick(self, colours: list[Colour], brightness: float = 0.08) -> Colour:
        """One of several colours, varied a little."""
        return vary(self.rng, self.rng.choice(colours), brightness)
