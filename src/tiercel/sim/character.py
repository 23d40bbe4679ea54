"""What makes one city differ from the next: its mixture of districts, its materials, how it paints its streets."""

from __future__ import annotations

import colorsys
import random
from dataclasses import dataclass
from enum import IntEnum

Colour = tuple[float, float, float]


class District(IntEnum):
    """Characters of districts; the `style` of streets, lots and building parts."""

    DOWNTOWN = 0
    OLD_TOWN = 1
    INNER = 2
    SUBURB = 3
    SLABS = 4
    INDUSTRIAL = 5
    PARK = 6
    CAMPUS = 7
    TERRACES = 8
    VILLAS = 9
    RETAIL = 10
    WOODS = 11


@dataclass(frozen=True)
class Character:
    """Draws shared by a whole city.

    Attributes:
        centre_mix: Weight of each district near the centre.
        middle_mix: Weight half-way out.
        edge_mix: Weight at the edge.
        plaster: Wall colours of rendered houses, 0..255.
        brick: Brick colours.
        stone: Stone colours.
        concrete: Colours of slabs and offices.
        metal: Colours of sheds.
        glass: Window and curtain wall colours.
        tiles: Colours of pitched roofs.
        flat: Colours of flat roofs.
        asphalt: Colour of carriageways.
        paving: Colour of pavements.
        plaza: Colour of squares.
        grass: Colour of lawns.
        gravel: Colour of paths.
        water: Colour of water.
        line: Colour of centre lines.
        pitched: Share of inner-city roofs that are pitched.
        brick_share: Share of brick among traditional walls.
        trees: Multiplies the number of street trees.
        conifers: Share of conifers.
        palms: Share of palms among street trees.
        poplars: Share of poplars among street trees.
        hedges: Share of suburban lots with hedges.
        pools: Share of suburban lots with a pool.
        bus_colour: Colour of bus lanes, or of asphalt where the city does not paint them.
        cycle_colour: Colour of cycle lanes.
        scale: Multiplies heights of buildings in the centre.
        left_hand: Whether traffic keeps left.
    """

    centre_mix: dict[District, float]
    middle_mix: dict[District, float]
    edge_mix: dict[District, float]
    plaster: list[Colour]
    brick: list[Colour]
    stone: list[Colour]
    concrete: list[Colour]
    metal: list[Colour]
    glass: list[Colour]
    tiles: list[Colour]
    flat: list[Colour]
    asphalt: Colour
    paving: Colour
    plaza: Colour
    grass: Colour
    gravel: Colour
    water: Colour
    line: Colour
    pitched: float
    brick_share: float
    trees: float
    conifers: float
    palms: float
    poplars: float
    hedges: float
    pools: float
    bus_colour: Colour
    cycle_colour: Colour
    scale: float
    left_hand: bool


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """Colour 0..255 from hue, saturation and value in 0..1."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, min(1.0, max(0.0, saturation)), min(1.0, max(0.0, value)))
    return 255.0 * r, 255.0 * g, 255.0 * b


def vary(rng: random.Random, colour: Colour, brightness: float = 0.1, tint: float = 0.03) -> Colour:
    """A neighbour of a colour: brightness and tint vary by these shares."""
    scale = rng.uniform(1.0 - brightness, 1.0 + brightness)
    r, g, b = (min(248.0, max(8.0, c * scale * rng.uniform(1.0 - tint, 1.0 + tint))) for c in colour)
    return r, g, b


def _mix(rng: random.Random, weights: dict[District, float]) -> dict[District, float]:
    """Weights of districts, spread widely from city to city."""
    return {district: weight * rng.expovariate(1.0) ** 1.2 + 0.02 * weight for district, weight in weights.items()}


def _tile_colours(rng: random.Random) -> list[Colour]:
    """Pitched roofs: a city leans towards red, brown or slate."""
    red = [from_hsv(rng.uniform(0.0, 0.055), rng.uniform(0.34, 0.6), rng.uniform(0.48, 0.72)) for _ in range(3)]
    brown = [from_hsv(rng.uniform(0.03, 0.09), rng.uniform(0.2, 0.45), rng.uniform(0.3, 0.55)) for _ in range(3)]
    slate = [from_hsv(rng.uniform(0.54, 0.62), rng.uniform(0.03, 0.16), rng.uniform(0.28, 0.55)) for _ in range(3)]
    odd = [
        from_hsv(rng.choice([0.36, 0.45, 0.56, 0.12]), rng.uniform(0.08, 0.3), rng.uniform(0.4, 0.75)) for _ in range(2)
    ]
    families = [red, brown, slate, odd]
    shares = [rng.expovariate(1.0) for _ in families]
    shares[3] *= 0.08
    return [rng.choice(rng.choices(families, shares)[0]) for _ in range(14)]


def draw_character(rng: random.Random) -> Character:
    """Draw the character of a city."""
    d = District
    grey = rng.uniform(0.72, 1.05)
    warm = rng.uniform(-6.0, 12.0)
    asphalt = rng.uniform(72.0, 122.0)
    paving = rng.uniform(128.0, 190.0)
    white = (226.0, 226.0, 220.0)
    yellow = (226.0, 186.0, 70.0)
    painted = rng.choice([(150.0, 72.0, 62.0), (168.0, 92.0, 70.0), (120.0, 60.0, 58.0), (96.0, 122.0, 84.0)])
    cycle = rng.choice([(146.0, 70.0, 60.0), (70.0, 120.0, 82.0), (74.0, 104.0, 146.0), (asphalt, asphalt, asphalt)])
    hues = [rng.uniform(0.02, 0.16) for _ in range(9)] + [rng.uniform(0.5, 0.66) for _ in range(2)] + [rng.random()]
    return Character(
        centre_mix=_mix(rng, {d.DOWNTOWN: 3, d.OLD_TOWN: 2.2, d.INNER: 2.5, d.PARK: 0.4, d.CAMPUS: 0.3}),
        middle_mix=_mix(
            rng,
            {
                d.INNER: 2.5,
                d.TERRACES: 1.5,
                d.SLABS: 1.2,
                d.CAMPUS: 0.8,
                d.PARK: 0.7,
                d.DOWNTOWN: 0.4,
                d.OLD_TOWN: 0.5,
                d.SUBURB: 1.0,
                d.VILLAS: 0.8,
                d.INDUSTRIAL: 0.6,
                d.RETAIL: 0.3,
            },
        ),
        edge_mix=_mix(
            rng,
            {
                d.SUBURB: 2.2,
                d.VILLAS: 1.3,
                d.TERRACES: 1.2,
                d.SLABS: 1.2,
                d.INDUSTRIAL: 1.5,
                d.RETAIL: 0.6,
                d.PARK: 0.5,
                d.WOODS: 0.6,
                d.CAMPUS: 0.4,
                d.INNER: 0.4,
            },
        ),
        plaster=[from_hsv(h, rng.uniform(0.04, 0.42), rng.uniform(0.62, 0.97)) for h in hues],
        brick=[from_hsv(rng.uniform(0.0, 0.07), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.68)) for _ in range(5)],
        stone=[from_hsv(rng.uniform(0.08, 0.14), rng.uniform(0.06, 0.28), rng.uniform(0.55, 0.86)) for _ in range(5)],
        concrete=[from_hsv(rng.uniform(0.05, 0.65), rng.uniform(0.0, 0.1), rng.uniform(0.5, 0.88)) for _ in range(6)],
        metal=[(186, 188, 190), (120, 126, 134), (92, 118, 148), (148, 92, 78), (204, 202, 194), (96, 122, 104)],
        glass=[from_hsv(rng.uniform(0.5, 0.62), rng.uniform(0.12, 0.45), rng.uniform(0.28, 0.62)) for _ in range(5)],
        tiles=_tile_colours(rng),
        flat=[(v * grey, v * grey + 0.3 * warm, v * grey - 0.4 * warm) for v in (118, 150, 168, 186, 205, 222, 92)],
        asphalt=(asphalt, asphalt + rng.uniform(-2, 2), asphalt + rng.uniform(-3, 6)),
        paving=(paving, paving - rng.uniform(0, 7), paving - rng.uniform(2, 20)),
        plaza=from_hsv(rng.uniform(0.02, 0.14), rng.uniform(0.05, 0.25), rng.uniform(0.58, 0.8)),
        grass=from_hsv(rng.uniform(0.18, 0.28), rng.uniform(0.24, 0.46), rng.uniform(0.37, 0.52)),
        gravel=from_hsv(rng.uniform(0.07, 0.13), rng.uniform(0.1, 0.32), rng.uniform(0.55, 0.78)),
        water=from_hsv(rng.uniform(0.36, 0.6), rng.uniform(0.2, 0.5), rng.uniform(0.26, 0.46)),
        line=yellow if rng.random() < 0.4 else white,
        pitched=rng.choice([0.15, 0.5, 0.85, 0.95]),
        brick_share=rng.random() ** 1.6,
        trees=rng.uniform(0.35, 1.3),
        conifers=rng.random() ** 2 * 0.5,
        palms=0.5 if rng.random() < 0.12 else 0.0,
        poplars=rng.random() ** 3 * 0.5,
        hedges=rng.random(),
        pools=rng.random() ** 2 * 0.4,
        bus_colour=painted if rng.random() < 0.6 else (asphalt, asphalt, asphalt),
        cycle_colour=cycle,
        scale=rng.uniform(0.6, 1.5),
        left_hand=rng.random() < 0.3,
    )
