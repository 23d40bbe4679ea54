"""What stands on a lot: buildings, yards, gardens, car parks, sports grounds, ponds and landmarks, by district."""

from __future__ import annotations

import itertools
import math

from tiercel.sim import site as kit
from tiercel.sim.character import Colour, District, from_hsv, vary
from tiercel.sim.lots import Lot
from tiercel.sim.plan import Plan, Rank
from tiercel.sim.shapes import Point, Polygon, area, centroid, clip, ellipse, extent, inset, largest_scale, rectangle
from tiercel.sim.site import Look, Site
from tiercel.sim.world import Roof, Surface

STALL_WIDTH, STALL_DEPTH, AISLE = 2.6, 5.0, 6.0
"""A car park's bays and aisles in metres; the pattern repeats every two bay depths and one aisle."""

LINE: Colour = (222.0, 222.0, 216.0)


class Ground:
    """A lot's frame: its front edge runs along `axis`, `inward` points away from the street."""

    def __init__(self, lot: Lot) -> None:
        """Measure a lot's frame."""
        polygon = lot.polygon
        (x0, y0), (x1, y1) = polygon[lot.front], polygon[(lot.front + 1) % len(polygon)]
        length = math.dist((x0, y0), (x1, y1)) or 1.0
        self.axis = ((x1 - x0) / length, (y1 - y0) / length)
        self.inward = (-self.axis[1], self.axis[0])
        self.middle = (0.5 * (x0 + x1), 0.5 * (y0 + y1))
        self.clear = lot.clear[lot.front] + max(0.0, lot.bulge[lot.front])
        a0, a1, w0, w1 = extent(polygon, *self.axis)
        self.width, self.depth = a1 - a0, w1 - w0
        self.centre = centroid(polygon)

    def at(self, along: float, inward: float) -> Point:
        """Point by its distance along the front from its middle, and from the building line inwards."""
        (ax, ay), (nx, ny) = self.axis, self.inward
        deep = self.clear + inward
        return self.middle[0] + ax * along + nx * deep, self.middle[1] + ay * along + ny * deep

    def box(self, along: float, inward: float, length: float, depth: float) -> Polygon:
        """Rectangle by its middle along the front, its near side's distance from the building line, and its size."""
        return rectangle(*self.at(along, inward + 0.5 * depth), *self.axis, 0.5 * length, 0.5 * depth)


# Looks ---------------------------------------------------------------------------------------------------------------


def _traditional(site: Site, shop: bool, pitched: bool) -> Look:
    """A rendered, brick or stone town house."""
    rng, city = site.rng, site.character
    if rng.random() < city.brick_share:
        wall, material = site.pick(city.brick), kit.BRICK
    elif rng.random() < 0.25:
        wall, material = site.pick(city.stone), kit.STONE
    else:
        wall, material = site.pick(city.plaster), kit.PLASTER
    roof = site.pick(city.tiles, 0.12) if pitched else site.pick(city.flat, 0.1)
    accent = from_hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.85))
    facade = kit.SHOP if shop else kit.WINDOWS
    return Look(
        wall, roof, vary(rng, (70.0, 84.0, 98.0), 0.3), accent, material, facade,
        rng.uniform(2.9, 3.6), rng.uniform(2.2, 3.6), rng.uniform(0.32, 0.6),
    )  # fmt: skip


def _office(site: Site) -> Look:
    """An office building: concrete bands, a grid of windows or a curtain wall."""
    rng, city = site.rng, site.character
    kind = rng.choice([kit.WINDOWS, kit.RIBBONS, kit.CURTAIN, kit.CURTAIN])
    window = site.pick(city.glass, 0.25)
    wall = window if kind == kit.CURTAIN and rng.random() < 0.6 else site.pick(city.concrete, 0.15)
    material = kit.GLASS if kind == kit.CURTAIN else rng.choice([kit.CONCRETE, kit.CONCRETE, kit.STONE])
    accent = from_hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.4, 0.9))
    return Look(
        wall, site.pick(city.flat, 0.15), window, accent, material, kind,
        rng.uniform(3.3, 4.0), rng.uniform(1.6, 4.2), rng.uniform(0.5, 0.92),
    )  # fmt: skip


def _panels(site: Site) -> Look:
    """A slab of flats: panels with ribbons of windows and balconies."""
    rng, city = site.rng, site.character
    wall = site.pick(city.concrete) if rng.random() < 0.6 else site.pick(city.plaster)
    facade = rng.choice([kit.WINDOWS, kit.RIBBONS])
    return Look(
        wall, site.pick(city.flat, 0.12), vary(rng, (74.0, 88.0, 100.0), 0.25), site.pick(city.plaster), kit.CONCRETE,
        facade, rng.uniform(2.7, 3.0), rng.uniform(2.6, 4.0), rng.uniform(0.4, 0.7),
    )  # fmt: skip


def _shed(site: Site) -> Look:
    """An industrial hall."""
    rng, city = site.rng, site.character
    roof = site.pick(city.metal, 0.12) if rng.random() < 0.7 else site.pick(city.flat, 0.12)
    wall = vary(rng, roof, 0.2) if rng.random() < 0.5 else site.pick(city.brick if rng.random() < 0.5 else city.metal)
    accent = from_hsv(rng.random(), rng.uniform(0.4, 0.85), rng.uniform(0.4, 0.85))
    return Look(
        wall,
        roof,
        vary(rng, (86.0, 98.0, 108.0), 0.25),
        accent,
        kit.METAL,
        kit.INDUSTRIAL,
        5.0,
        rng.uniform(4.5, 8.0),
        0.5,
    )


def _house(site: Site, pitched: bool = True) -> Look:
    """A detached or terraced house."""
    rng, city = site.rng, site.character
    u = rng.random()
    if u < city.brick_share:
        wall, material = site.pick(city.brick), kit.BRICK
    elif u > 0.88:
        wall, material = from_hsv(rng.uniform(0.04, 0.12), rng.uniform(0.2, 0.5), rng.uniform(0.35, 0.7)), kit.TIMBER
    else:
        wall, material = site.pick(city.plaster), kit.PLASTER
    roof = site.pick(city.tiles, 0.15) if pitched else site.pick(city.flat, 0.12)
    door = from_hsv(rng.random(), rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.7))
    return Look(
        wall,
        roof,
        vary(rng, (68.0, 80.0, 92.0), 0.3),
        door,
        material,
        kit.HOUSE,
        2.75,
        rng.uniform(2.4, 3.8),
        rng.uniform(0.35, 0.6),
    )


def _hedge(site: Site) -> tuple[Look, float, float]:
    """A hedge, wall or fence with its thickness and height in metres."""
    rng, city = site.rng, site.character
    if rng.random() < city.hedges:
        green = from_hsv(rng.uniform(0.2, 0.3), rng.uniform(0.35, 0.55), rng.uniform(0.24, 0.4))
        return Look(green, green, green, green, kit.TIMBER, kit.FENCE), rng.uniform(0.6, 1.1), rng.uniform(1.0, 2.0)
    wood = from_hsv(rng.uniform(0.05, 0.12), rng.uniform(0.05, 0.4), rng.uniform(0.35, 0.8))
    return Look(wood, wood, wood, wood, kit.TIMBER, kit.FENCE), 0.3, rng.uniform(0.9, 1.8)


# Pieces shared by districts ------------------------------------------------------------------------------------------


def _lawn(site: Site, lot: Lot, ground: Ground, surface: Surface, colour: Colour, density: float) -> int:
    """Paint the whole lot. Returns the feature's row."""
    feature = site.feature(1, colour, site.character.plaza, density=density)
    site.patch(lot.outline, surface, feature, (*ground.centre, *ground.axis))
    return feature


def _grass(site: Site) -> Colour:
    return vary(site.rng, site.character.grass, 0.14, 0.05)


def _yard(site: Site) -> Colour:
    city = site.character
    return vary(site.rng, site.rng.choice([city.paving, city.gravel, city.asphalt, city.plaza]), 0.12, 0.04)


def _car_park(site: Site, polygon: Polygon, axis: Point) -> None:
    """A car park that fills a convex polygon: bays in rows along the axis, a vehicle's place in each bay."""
    if len(polygon) < 3 or area(polygon) < 120.0:
        return
    ax, ay = axis
    rng = site.rng
    a0, a1, w0, w1 = extent(polygon, ax, ay)
    module = 2.0 * STALL_DEPTH + AISLE
    rows = max(1, int((w1 - w0) // module))
    start = 0.5 * (w0 + w1) - 0.5 * rows * module
    origin = (ax * a0 - ay * start, ay * a0 + ax * start)
    feature = site.feature(1, vary(rng, site.character.asphalt, 0.15), LINE)
    site.patch(polygon, Surface.PARKING, feature, (*origin, ax, ay))
    azimuth = math.atan2(-ay, ax)
    for row in range(rows):
        for column in range(int((a1 - a0) // STALL_WIDTH)):
            for depth, turn in ((0.5 * STALL_DEPTH, 0.0), (1.5 * STALL_DEPTH + AISLE, math.pi)):
                u, v = (column + 0.5) * STALL_WIDTH, row * module + depth
                x, y = origin[0] + ax * u - ay * v, origin[1] + ay * u + ax * v
                if largest_scale(polygon, x, y, ax, ay, 0.5 * STALL_WIDTH, 0.5 * STALL_DEPTH) >= 1.0:
                    site.slots.append((x, y, azimuth + turn + (math.pi if rng.random() < 0.3 else 0.0), 0))


def _court(site: Site, x: float, y: float, axis: Point, kind: int) -> None:
    """A sports ground about a point: 0 football pitch, 1 tennis court, 2 hard court, 3 running track with a pitch."""
    rng = site.rng
    half_length, half_width = ((52.0, 34.0), (18.0, 9.0), (14.0, 8.0), (84.0, 46.0))[kind]
    if kind in (0, 3):
        colour = vary(rng, site.character.grass, 0.1)
        accent: Colour = (232.0, 234.0, 230.0) if kind == 0 else vary(rng, (176.0, 84.0, 62.0), 0.12)
    else:
        colour = from_hsv(rng.choice([0.02, 0.3, 0.36, 0.58, 0.06]), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.65))
        accent = from_hsv(rng.choice([0.02, 0.3, 0.58]), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.65))
    scale = rng.uniform(0.6, 1.0) if kind == 0 else 1.0
    half_length, half_width = half_length * scale, half_width * scale
    feature = site.feature(1, colour, accent, half_width, half_length, kind)
    outline = rectangle(x, y, *axis, half_length + 3.0, half_width + 3.0)
    if kind == 3:
        outline = ellipse(x, y, *axis, half_length + 2.0, half_width + 2.0, 40)
    site.patch(outline, Surface.SPORT, feature, (x, y, *axis))


def _pond(site: Site, x: float, y: float, axis: Point, half_length: float, half_width: float) -> None:
    """A pond of irregular outline."""
    rng = site.rng
    phase, wave = rng.uniform(0, math.tau), rng.uniform(0.08, 0.2)
    outline: Polygon = []
    for k in range(32):
        angle = math.tau * k / 32
        r = 1.0 + wave * math.sin(3.0 * angle + phase) + 0.4 * wave * math.sin(5.0 * angle + 2.0 * phase)
        along, across = r * math.cos(angle) * half_length, r * math.sin(angle) * half_width
        outline.append((x + axis[0] * along - axis[1] * across, y + axis[1] * along + axis[0] * across))
    feature = site.feature(1, vary(rng, site.character.water, 0.15), site.character.water)
    site.patch(outline, Surface.WATER, feature, (x, y, *axis))


def _path(
    site: Site, points: list[Point], width: float, surface: Surface = Surface.PATH, colour: Colour | None = None
) -> None:
    """A path along points."""
    feature = site.feature(1, colour or vary(site.rng, site.character.gravel, 0.08), site.character.plaza, 0.5 * width)
    for a, b in itertools.pairwise(points):
        length = math.dist(a, b)
        if length > 0.1:
            ax, ay = (b[0] - a[0]) / length, (b[1] - a[1]) / length
            middle = (0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]))
            site.patch(
                rectangle(*middle, ax, ay, 0.5 * length + 0.3 * width, 0.5 * width), surface, feature, (*a, ax, ay)
            )


def _winding(site: Site, a: Point, b: Point, bend: float, steps: int = 12) -> list[Point]:
    """Points of a curve from a to b that swings to a side by `bend` metres."""
    length = math.dist(a, b) or 1.0
    nx, ny = -(b[1] - a[1]) / length, (b[0] - a[0]) / length
    points = []
    for k in range(steps + 1):
        t = k / steps
        swing = bend * math.sin(math.pi * t) + 0.25 * bend * math.sin(3.0 * math.pi * t)
        points.append((a[0] + (b[0] - a[0]) * t + nx * swing, a[1] + (b[1] - a[1]) * t + ny * swing))
    return points


def _fences(site: Site, lot: Lot, back: float) -> None:
    """Fences towards neighbours; of two neighbours the one whose edge runs upwards builds the common one."""
    look, thickness, height = _hedge(site)
    polygon = lot.polygon
    for k, label in enumerate(lot.edges):
        (x0, y0), (x1, y1) = polygon[k], polygon[(k + 1) % len(polygon)]
        if label >= 0 or (y1 - y0, x1 - x0) < (0.0, 0.0):
            continue
        if site.rng.random() < 0.1:
            continue
        length = math.dist((x0, y0), (x1, y1)) or 1.0
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        before, after = lot.clear[k - 1], lot.clear[(k + 1) % len(polygon)]
        start, stop = (before + back if before else 0.0), length - (after + back if after else 0.0)
        if stop - start > 2.0:
            shift = 0.5 * thickness
            site.fence(
                x0 + ux * start - uy * shift,
                y0 + uy * start + ux * shift,
                x0 + ux * stop - uy * shift,
                y0 + uy * stop + ux * shift,
                thickness,
                height,
                look,
            )


def _roof_boxes(site: Site, footprint: Polygon, height: float, look: Look, axis: Point, count: int) -> None:
    """Lift housings and machine rooms on a flat roof."""
    rng = site.rng
    cx, cy = centroid(footprint)
    for _ in range(count):
        a0, a1, w0, w1 = extent(footprint, *axis)
        along, across = rng.uniform(-0.25, 0.25) * (a1 - a0), rng.uniform(-0.25, 0.25) * (w1 - w0)
        x, y = cx + axis[0] * along - axis[1] * across, cy + axis[1] * along + axis[0] * across
        half_length, half_width = rng.uniform(1.5, 4.5), rng.uniform(1.2, 3.0)
        if largest_scale(footprint, x, y, *axis, half_length + 1.0, half_width + 1.0) < 1.0:
            continue
        grey = site.pick(site.character.flat, 0.15)
        box = Look(grey, vary(rng, grey, 0.15), look.window, look.shop, kit.METAL, kit.BLANK)
        site.prism(rectangle(x, y, *axis, half_length, half_width), height + rng.uniform(1.8, 3.4), box, axis)


def _perimeter(
    site: Site, lot: Lot, depth: float, height: float, look: Look, pitched: bool, setback: float, gap: float
) -> None:
    """Wings along every street of a lot, the yard behind them."""
    rng = site.rng
    core = inset(lot.polygon, lot.margins(setback, gap))
    if len(core) < 3 or area(core) < 20.0:
        return
    order = sorted((k for k, label in enumerate(lot.edges) if label >= 0), key=lambda k: k != lot.front)
    if not order:
        order = [lot.front]
        height *= 0.6
    for k in order[:3]:
        (x0, y0), (x1, y1) = lot.polygon[k], lot.polygon[(k + 1) % len(lot.polygon)]
        length = math.dist((x0, y0), (x1, y1))
        if length < 4.0:
            continue
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        near = min(-uy * x + ux * y for x, y in core)
        wing = clip(core, -uy, ux, near + depth)
        core = clip(core, uy, -ux, -(near + depth))
        if len(wing) >= 3 and area(wing) > 18.0:
            roof, rise = Roof.FLAT, 0.0
            if pitched:
                roof = Roof.HIP if rng.random() < 0.12 else Roof.GABLE
                rise = 0.5 * depth * rng.uniform(0.6, 1.0)
            site.prism(wing, height, look, (ux, uy), roof, rise)
            if not pitched and rng.random() < 0.5:
                _roof_boxes(site, wing, height, look, (ux, uy), 1)
        if len(core) < 3:
            return
    if area(core) > 90.0 and rng.random() < 0.55:
        _back_wing(site, lot, core, height * rng.uniform(0.3, 0.95), look, pitched)


def _back_wing(site: Site, lot: Lot, core: Polygon, height: float, look: Look, pitched: bool) -> None:
    """A wing along one side of the yard, or a low building at its end."""
    ground = Ground(lot)
    rng = site.rng
    a0, a1, w0, w1 = extent(core, *ground.axis)
    ax, ay = ground.axis
    if rng.random() < 0.6:
        width = min(0.45 * (a1 - a0), rng.uniform(4.5, 8.0))
        wing = clip(core, ax, ay, a0 + width) if rng.random() < 0.5 else clip(core, -ax, -ay, -(a1 - width))
        wing = clip(wing, -ay, ax, w0 + (w1 - w0) * rng.uniform(0.4, 0.9)) if wing else wing
        axis = ground.inward
    else:
        wing = clip(core, ay, -ax, -(w1 - min(0.4 * (w1 - w0), rng.uniform(4.0, 9.0))))
        axis, height = ground.axis, min(height, rng.uniform(3.0, 6.0))
    if len(wing) >= 3 and area(wing) > 14.0:
        shape = Roof.SHED if pitched else Roof.FLAT
        site.prism(wing, height, look, axis, shape, rng.uniform(0.8, 2.0) if pitched else 0.0)


# Districts -----------------------------------------------------------------------------------------------------------


def _old_town(site: Site, lot: Lot) -> None:
    rng = site.rng
    ground = Ground(lot)
    _lawn(site, lot, ground, Surface.YARD, _yard(site), 0.03)
    pitched = rng.random() < 0.95
    look = _traditional(site, rng.random() < 0.45, pitched)
    _perimeter(site, lot, rng.uniform(9.0, 12.5), rng.uniform(7.0, 15.0), look, pitched, 0.0, 0.0)


def _inner(site: Site, lot: Lot) -> None:
    rng = site.rng
    ground = Ground(lot)
    if rng.random() < 0.03:
        _small_square(site, lot, ground)
        return
    green = rng.random() < 0.5
    _lawn(
        site,
        lot,
        ground,
        Surface.GRASS if green else Surface.YARD,
        _grass(site) if green else _yard(site),
        0.22 if green else 0.05,
    )
    pitched = rng.random() < site.character.pitched
    look = _traditional(site, rng.random() < 0.55, pitched)
    if rng.random() < 0.12:
        look = _office(site)
        pitched = False
    height = look.floor_height * rng.choice([4, 4, 5, 5, 6, 7]) * (0.8 + 0.2 * site.character.scale) + 1.0
    _perimeter(site, lot, rng.uniform(11.0, 14.5), height, look, pitched, 0.0 if rng.random() < 0.9 else 2.5, 0.0)


def _small_square(site: Site, lot: Lot, ground: Ground) -> None:
    """An open lot: a green, a square with trees, or a car park."""
    rng = site.rng
    kind = rng.random()
    if kind < 0.4:
        _lawn(site, lot, ground, Surface.PARK, _grass(site), 0.3)
        _court(site, *ground.centre, ground.axis, 2) if rng.random() < 0.4 and min(
            ground.width, ground.depth
        ) > 40.0 else None
    elif kind < 0.7:
        _lawn(site, lot, ground, Surface.PLAZA, vary(rng, site.character.plaza, 0.1), 0.12)
    else:
        _lawn(site, lot, ground, Surface.YARD, _yard(site), 0.02)
        _car_park(site, inset(lot.polygon, lot.margins(1.5, 1.0)), ground.axis)


def _downtown(site: Site, lot: Lot) -> None:
    rng = site.rng
    ground = Ground(lot)
    scale = site.character.scale
    kind = rng.random()
    if kind < 0.08:
        _small_square(site, lot, ground)
        return
    _lawn(site, lot, ground, Surface.PLAZA, vary(rng, site.character.plaza, 0.12), 0.03)
    core = inset(lot.polygon, lot.margins(rng.choice([0.0, 0.0, 1.0, 3.0]), rng.choice([0.0, 0.0, 1.5])))
    if len(core) < 3 or area(core) < 60.0:
        return
    look = _office(site)
    cx, cy = centroid(core)
    a0, a1, w0, w1 = extent(core, *ground.axis)
    if kind < 0.45:
        podium = rng.uniform(5.0, 16.0)
        site.prism(core, podium, look, ground.axis)
        hl, hw = 0.5 * (a1 - a0) * rng.uniform(0.5, 0.85), 0.5 * (w1 - w0) * rng.uniform(0.5, 0.85)
        fit = min(1.0, 0.94 * largest_scale(core, cx, cy, *ground.axis, hl, hw))
        if fit > 0.3:
            height = podium + rng.uniform(14.0, 70.0) * scale
            if rng.random() < 0.12:
                tower = ellipse(cx, cy, *ground.axis, min(hl, hw) * fit, min(hl, hw) * fit, 24)
            else:
                tower = rectangle(cx, cy, *ground.axis, hl * fit, hw * fit)
            site.prism(tower, height, look, ground.axis)
            if rng.random() < 0.3:
                site.prism(
                    rectangle(cx, cy, *ground.axis, hl * fit * 0.6, hw * fit * 0.6),
                    height * rng.uniform(1.1, 1.35),
                    look,
                    ground.axis,
                )
            else:
                _roof_boxes(site, tower, height, look, ground.axis, 2)
    elif kind < 0.75:
        height = rng.uniform(12.0, 34.0) * scale
        if rng.random() < 0.4 and ground.depth > 26.0:
            _perimeter(site, lot, rng.uniform(12.0, 16.0), height, look, False, 0.0, 0.0)
        else:
            site.prism(core, height, look, ground.axis)
            _roof_boxes(site, core, height, look, ground.axis, rng.randint(1, 4))
    else:
        pitched = rng.random() < 0.4 * site.character.pitched
        old = _traditional(site, True, pitched)
        _perimeter(site, lot, rng.uniform(13.0, 17.0), rng.uniform(14.0, 26.0), old, pitched, 0.0, 0.0)


def _suburb(site: Site, lot: Lot) -> None:
    rng = site.rng
    ground = Ground(lot)
    villa = site.style == District.VILLAS
    _lawn(site, lot, ground, Surface.GRASS, _grass(site), rng.uniform(0.1, 0.36) if villa else rng.uniform(0.03, 0.26))
    if ground.width < 9.0 or ground.depth < 16.0:
        return
    look = _house(site, rng.random() < 0.92)
    room = inset(lot.polygon, lot.margins(2.5, 1.4))
    if len(room) < 3:
        return
    setback = rng.uniform(4.0, 9.0) + (4.0 if villa else 0.0)
    length = min(0.74 * ground.width, rng.uniform(9.5, 15.0) * (1.35 if villa else 1.0))
    depth = rng.uniform(7.5, 10.5) * (1.25 if villa else 1.0)
    along = rng.uniform(-0.08, 0.08) * ground.width
    centre = ground.at(along, setback + 0.5 * depth)
    fit = largest_scale(room, *centre, *ground.axis, 0.5 * length, 0.5 * depth)
    if fit < 0.6:
        centre = centroid(room)
        fit = largest_scale(room, *centre, *ground.axis, 0.5 * length, 0.5 * depth)
    if fit < 0.5:
        return
    length, depth = length * min(1.0, fit), depth * min(1.0, fit)
    height = rng.choice([3.1, 5.6, 5.9]) + (rng.uniform(0.0, 3.0) if villa else 0.0)
    flat = look.roof in site.character.flat
    turned = rng.random() < 0.3
    axis = ground.inward if turned else ground.axis
    footprint = rectangle(*centre, *ground.axis, 0.5 * length, 0.5 * depth)
    roof = Roof.FLAT if flat else rng.choice([Roof.GABLE, Roof.GABLE, Roof.HIP, Roof.HIP, Roof.PYRAMID])
    span = length if turned else depth
    site.prism(footprint, height, look, axis, roof, 0.0 if roof == Roof.FLAT else 0.5 * span * rng.uniform(0.45, 0.95))
    _extensions(site, ground, room, centre, length, depth, height, look)
    _drive(site, ground, centre, length, setback)
    if rng.random() < 0.8:
        _fences(site, lot, 1.0)
    _garden(site, ground, room, centre, depth)


def _extensions(
    site: Site, ground: Ground, room: Polygon, centre: Point, length: float, depth: float, height: float, look: Look
) -> None:
    """A wing behind the house and a garage beside it."""
    rng = site.rng
    (ax, ay), (nx, ny) = ground.axis, ground.inward
    if rng.random() < 0.5:
        shift, back = rng.choice([-1, 1]) * 0.22 * length, 0.5 * depth + 0.2 * depth
        x, y = centre[0] + ax * shift + nx * back, centre[1] + ay * shift + ny * back
        half_length, half_width = 0.26 * length, 0.42 * depth
        if largest_scale(room, x, y, ax, ay, half_length, half_width) >= 1.0:
            roof = rng.choice([Roof.GABLE, Roof.HIP, Roof.FLAT])
            rise = 0.0 if roof == Roof.FLAT else half_length * 0.7
            site.prism(
                rectangle(x, y, ax, ay, half_length, half_width),
                height * rng.uniform(0.6, 0.95),
                look,
                (nx, ny),
                roof,
                rise,
            )
    if rng.random() < 0.55:
        side = rng.choice([-1, 1])
        shift, back = side * (0.5 * length + 1.7), rng.uniform(-0.2, 0.5) * depth
        x, y = centre[0] + ax * shift + nx * back, centre[1] + ay * shift + ny * back
        if largest_scale(room, x, y, ax, ay, 1.7, 3.0) >= 1.0:
            flat = Look(look.wall, site.pick(site.character.flat), look.window, look.shop, look.material, kit.BLANK)
            site.prism(rectangle(x, y, ax, ay, 1.6, 3.0), 2.6, flat, (nx, ny))


def _drive(site: Site, ground: Ground, centre: Point, length: float, setback: float) -> None:
    """A drive from the street along one side of the house, with a place for a car, and a path to the door."""
    rng = site.rng
    (ax, ay), (nx, ny) = ground.axis, ground.inward
    along = (centre[0] - ground.middle[0]) * ax + (centre[1] - ground.middle[1]) * ay
    shift = along + rng.choice([-1, 1]) * (0.5 * length + 1.6)
    colour = _yard(site)
    _path(site, [ground.at(shift, -0.3), ground.at(shift, setback + 4.0)], 2.9, Surface.YARD, colour)
    _path(site, [ground.at(along, -0.3), ground.at(along, setback)], 1.3, Surface.YARD, colour)
    x, y = ground.at(shift, setback * 0.5 + 1.0)
    site.slots.append((x, y, math.atan2(nx, ny) + rng.choice([0.0, math.pi]), 0))


def _garden(site: Site, ground: Ground, room: Polygon, centre: Point, depth: float) -> None:
    """Terrace, pool, shed, vegetable bed and trees behind a house."""
    rng = site.rng
    (ax, ay), (nx, ny) = ground.axis, ground.inward

    def place(shift: float, back: float, half_length: float, half_width: float) -> Point | None:
        x, y = centre[0] + ax * shift + nx * (0.5 * depth + back), centre[1] + ay * shift + ny * (0.5 * depth + back)
        return (x, y) if largest_scale(room, x, y, ax, ay, half_length, half_width) >= 1.0 else None

    spot = place(0.0, 1.7, 3.0, 1.6)
    if spot and rng.random() < 0.7:
        _path(
            site,
            [(spot[0] - ax * 2.5, spot[1] - ay * 2.5), (spot[0] + ax * 2.5, spot[1] + ay * 2.5)],
            3.2,
            Surface.YARD,
            _yard(site),
        )
    spot = place(rng.uniform(-3.0, 3.0), rng.uniform(7.0, 10.0), 4.6, 2.8)
    if spot and rng.random() < site.character.pools:
        rim = site.feature(1, site.character.plaza, LINE)
        pool = site.feature(1, from_hsv(rng.uniform(0.48, 0.56), 0.5, 0.8), LINE)
        half_length, half_width = rng.uniform(2.8, 4.0), rng.uniform(1.6, 2.2)
        site.patch(rectangle(*spot, ax, ay, half_length + 0.7, half_width + 0.7), Surface.PLAZA, rim, (*spot, ax, ay))
        site.patch(rectangle(*spot, ax, ay, half_length, half_width), Surface.WATER, pool, (*spot, ax, ay))
    spot = place(rng.uniform(-6.0, 6.0), rng.uniform(9.0, 16.0), 2.0, 1.6)
    if spot and rng.random() < 0.4:
        timber = _house(site)
        timber.facade = kit.BLANK
        site.prism(rectangle(*spot, ax, ay, 1.7, 1.3), 2.1, timber, ground.axis, Roof.GABLE, 0.7)
    spot = place(rng.uniform(-5.0, 5.0), rng.uniform(10.0, 15.0), 3.2, 2.2)
    if spot and rng.random() < 0.25:
        soil = site.feature(1, vary(rng, (112.0, 88.0, 64.0), 0.2), site.character.grass)
        site.patch(rectangle(*spot, ax, ay, 3.0, 2.0), Surface.SOIL, soil, (*spot, ax, ay))


def _terraces(site: Site, lot: Lot) -> None:
    rng = site.rng
    ground = Ground(lot)
    _lawn(site, lot, ground, Surface.GRASS, _grass(site), 0.06)
    key = f"{lot.block}:{round(math.atan2(ground.axis[1], ground.axis[0]), 1)}"
    row = type(rng)(f"{site.character.water}{key}")
    setback, depth, height = row.choice([0.0, 1.5, 3.0, 4.5]), row.uniform(8.0, 10.5), row.choice([5.6, 6.0, 8.4])
    kept, site.rng = site.rng, row
    look = _house(site)
    site.rng = kept
    if rng.random() < 0.35:
        other = _house(site)
        look.wall, look.shop = other.wall, other.shop
    look.roof = vary(rng, look.roof, 0.1)
    core = inset(lot.polygon, lot.margins(setback, 0.0))
    if len(core) < 3:
        return
    ax, ay = ground.axis
    near = min(-ay * x + ax * y for x, y in core)
    unit = clip(core, -ay, ax, near + depth)
    if len(unit) < 3 or area(unit) < 25.0:
        return
    site.prism(unit, height, look, ground.axis, Roof.GABLE, 0.5 * depth * 0.75)
    if rng.random() < 0.5 and ground.depth > setback + depth + 10.0:
        back = clip(clip(core, ay, -ax, -(near + depth)), -ay, ax, near + depth + rng.uniform(2.5, 4.5))
        if len(back) >= 3:
            a0, a1, _, _ = extent(back, ax, ay)
            back = (
                clip(back, ax, ay, a0 + 0.55 * (a1 - a0))
                if rng.random() < 0.5
                else clip(back, -ax, -ay, -(a1 - 0.55 * (a1 - a0)))
            )
            if len(back) >= 3 and area(back) > 6.0:
                site.prism(back, rng.choice([2.8, 5.2]), look, ground.inward, Roof.SHED, 0.9)
    if setback > 1.0:
        _path(site, [ground.at(0.0, -0.3), ground.at(0.0, setback)], 1.2, Surface.YARD, _yard(site))
    if rng.random() < 0.8:
        _fences(site, lot, setback + depth)


def _slabs(site: Site, lot: Lot) -> None:
    """Rows of slabs or point blocks on a common lawn."""
    rng = site.rng
    ground = Ground(lot)
    _lawn(site, lot, ground, Surface.GRASS, _grass(site), rng.uniform(0.03, 0.12))
    room = inset(lot.polygon, lot.margins(5.0, 5.0))
    if len(room) < 3 or area(room) < 600.0:
        return
    across = rng.random() < 0.5
    axis = ground.inward if across else ground.axis
    look = _panels(site)
    floors = rng.choice([4, 5, 5, 8, 9, 11, 12, 16])
    height = floors * look.floor_height + 1.0
    a0, a1, w0, w1 = extent(room, *axis)
    half_width = rng.uniform(5.0, 7.0)
    pitch = 2.0 * half_width + max(18.0, height * rng.uniform(0.7, 1.2))
    rows = max(1, int((w1 - w0 + pitch - 2.0 * half_width) // pitch))
    towers = rng.random() < 0.2
    nx, ny = -axis[1], axis[0]
    free = rng.randrange(rows + 2)
    for row in range(rows):
        middle = 0.5 * (w0 + w1) + (row - 0.5 * (rows - 1)) * pitch
        if row == free:
            _slab_yard(site, room, axis, middle, a0, a1)
            continue
        pieces = max(1, round((a1 - a0) / (26.0 + 14.0 if towers else rng.uniform(50.0, 100.0))))
        for piece in range(pieces):
            span = (a1 - a0) / pieces
            along = a0 + (piece + 0.5) * span
            half_length = half_width * 1.3 if towers else 0.5 * span - rng.uniform(4.0, 9.0)
            x, y = axis[0] * along + nx * middle, axis[1] * along + ny * middle
            fit = largest_scale(room, x, y, *axis, half_length, 0.0001) * 0.95
            half_length = min(half_length, half_length * fit)
            if half_length < 7.0 or largest_scale(room, x, y, *axis, half_length, half_width) < 0.98:
                continue
            own = height + rng.choice([0.0, 0.0, 0.0, look.floor_height])
            footprint = rectangle(x, y, *axis, half_length, half_width)
            site.prism(footprint, own, look, axis)
            _roof_boxes(site, footprint, own, look, axis, 1 + int(half_length > 25.0))
            side = half_width + 4.0
            a, b = (
                (x - axis[0] * half_length + nx * side, y - axis[1] * half_length + ny * side),
                (x + axis[0] * half_length + nx * side, y + axis[1] * half_length + ny * side),
            )
            _path(site, [a, b], 2.4, Surface.PATH, vary(rng, site.character.paving, 0.08))


def _slab_yard(site: Site, room: Polygon, axis: Point, middle: float, a0: float, a1: float) -> None:
    """Between slabs: a car park, a playground or a court."""
    rng = site.rng
    along = 0.5 * (a0 + a1)
    x, y = axis[0] * along - axis[1] * middle, axis[1] * along + axis[0] * middle
    half_length = 0.5 * (a1 - a0)
    while half_length > 8.0 and largest_scale(room, x, y, *axis, half_length, 8.2) < 1.0:
        half_length *= 0.8
    if half_length > 14.0 and rng.random() < 0.65:
        _car_park(site, rectangle(x, y, *axis, half_length, 8.2), axis)
    elif half_length > 14.0:
        _court(site, x, y, axis, 2)


def _industrial(site: Site, lot: Lot) -> None:
    rng = site.rng
    ground = Ground(lot)
    surface = rng.choice([Surface.YARD, Surface.YARD, Surface.GRAVEL])
    colour = vary(rng, site.character.gravel if surface == Surface.GRAVEL else (140.0, 138.0, 132.0), 0.15)
    _lawn(site, lot, ground, surface, colour, 0.01)
    room = inset(lot.polygon, lot.margins(rng.uniform(6.0, 16.0), 5.0))
    if len(room) < 3 or area(room) < 500.0:
        return
    look = _shed(site)
    fence = Look((120.0, 124.0, 126.0), (120.0, 124.0, 126.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), kit.METAL, kit.FENCE)
    a0, a1, w0, w1 = extent(room, *ground.axis)
    cx, cy = centroid(room)
    ax, ay = ground.axis
    if rng.random() < 0.12:
        _tanks(site, room, ground.axis)
        return
    share = rng.uniform(0.45, 0.8)
    hl, hw = 0.5 * (a1 - a0) * share, 0.5 * (w1 - w0) * rng.uniform(0.5, 0.85)
    shift = 0.5 * (a1 - a0) * (1.0 - share) * rng.choice([-0.85, 0.85])
    x, y = cx + ax * shift, cy + ay * shift
    fit = min(1.0, largest_scale(room, x, y, ax, ay, hl, hw) * 0.98)
    if fit < 0.35:
        x, y = cx, cy
        fit = min(1.0, largest_scale(room, x, y, ax, ay, hl, hw) * 0.98)
    if fit <= 0.2:
        return
    hl, hw = hl * fit, hw * fit
    height = rng.uniform(6.0, 12.0)
    roof = rng.choice([Roof.FLAT, Roof.FLAT, Roof.GABLE, Roof.SAWTOOTH])
    bays = max(1, round(2.0 * hw / rng.uniform(18.0, 30.0))) if roof == Roof.GABLE else 1
    for bay in range(bays):
        deep = (bay + 0.5) / bays * 2.0 * hw - hw
        part = rectangle(x - ay * deep, y + ax * deep, ax, ay, hl, hw / bays)
        site.prism(part, height, look, ground.axis, roof, {Roof.FLAT: 0.0, Roof.GABLE: 2.2, Roof.SAWTOOTH: 2.4}[roof])
    if rng.random() < 0.6:
        office = _office(site)
        deep = hw + 4.2
        part = rectangle(x - ax * hl * 0.6 + ay * deep, y - ay * hl * 0.6 - ax * deep, ax, ay, hl * 0.35, 4.0)
        if (
            largest_scale(
                lot.polygon, x - ax * hl * 0.6 + ay * deep, y - ay * hl * 0.6 - ax * deep, ax, ay, hl * 0.35, 4.0
            )
            >= 1.0
            and ground.clear < 14.0
        ):
            site.prism(part, rng.uniform(4.0, 9.0), office, ground.axis)
    side = -1.0 if shift > 0.0 else 1.0
    yard = clip(room, -side * ax, -side * ay, -(side * (ax * x + ay * y) + hl + 2.0))
    _car_park(site, yard, ground.axis if rng.random() < 0.5 else ground.inward)
    if rng.random() < 0.5:
        polygon = inset(lot.polygon, lot.margins(0.6, 0.4))
        for k, p in enumerate(polygon):
            if k != lot.front % len(polygon):
                site.fence(*p, *polygon[(k + 1) % len(polygon)], 0.3, 2.0, fence)


def _tanks(site: Site, room: Polygon, axis: Point) -> None:
    """A tank farm: cylinders in rows."""
    rng = site.rng
    radius = rng.uniform(6.0, 12.0)
    a0, a1, w0, w1 = extent(room, *axis)
    white = from_hsv(rng.random(), 0.05, rng.uniform(0.6, 0.92))
    look = Look(white, vary(rng, white, 0.1), white, white, kit.METAL, kit.BLANK)
    height = rng.uniform(6.0, 14.0)
    for i in range(int((a1 - a0) // (2.6 * radius))):
        for j in range(int((w1 - w0) // (2.6 * radius))):
            u, v = a0 + (i + 0.5) * 2.6 * radius, w0 + (j + 0.5) * 2.6 * radius
            x, y = axis[0] * u - axis[1] * v, axis[1] * u + axis[0] * v
            if largest_scale(room, x, y, *axis, radius, radius) >= 1.0 and rng.random() < 0.85:
                site.prism(ellipse(x, y, *axis, radius, radius, 20), height, look, axis, Roof.DOME, 1.2)


def _retail(site: Site, lot: Lot) -> None:
    """A large shop behind a larger car park."""
    rng = site.rng
    ground = Ground(lot)
    _lawn(site, lot, ground, Surface.GRASS, _grass(site), 0.05)
    room = inset(lot.polygon, lot.margins(4.0, 4.0))
    if len(room) < 3 or area(room) < 1500.0:
        return
    ax, ay = ground.axis
    _a0, _a1, w0, w1 = extent(room, ax, ay)
    cut = w0 + (w1 - w0) * rng.uniform(0.45, 0.62)
    front, back = clip(room, -ay, ax, cut - 4.0), clip(room, ay, -ax, -cut)
    _car_park(site, front, ground.axis)
    if len(back) < 3:
        return
    yard = site.feature(1, vary(rng, (150.0, 146.0, 140.0), 0.1), LINE)
    site.patch(clip(room, ay, -ax, -(cut - 4.0)), Surface.YARD, yard, (*ground.centre, ax, ay))
    cx, cy = centroid(back)
    b0, b1, v0, v1 = extent(back, ax, ay)
    hl, hw = 0.5 * (b1 - b0) * 0.9, 0.5 * (v1 - v0) * 0.85
    fit = min(1.0, largest_scale(back, cx, cy, ax, ay, hl, hw) * 0.98)
    look = _shed(site)
    look.facade, look.roof = kit.SHOP, site.pick(site.character.flat, 0.1)
    height = rng.uniform(6.0, 11.0)
    pieces = rng.choice([1, 1, 2, 3])
    for piece in range(pieces):
        deep = ((piece + 0.5) / pieces * 2.0 - 1.0) * hl * fit
        part = rectangle(cx + ax * deep, cy + ay * deep, ax, ay, hl * fit / pieces, hw * fit)
        tall = height + rng.uniform(-1.5, 1.5)
        site.prism(part, tall, look, ground.axis)
        _roof_boxes(site, part, tall, look, ground.axis, 4)


def _campus(site: Site, lot: Lot) -> None:
    """Schools, hospitals and institutes: large blocks of wings on lawns, paths, a court."""
    rng = site.rng
    ground = Ground(lot)
    _lawn(site, lot, ground, Surface.GRASS, _grass(site), rng.uniform(0.04, 0.16))
    room = inset(lot.polygon, lot.margins(7.0, 7.0))
    if len(room) < 3 or area(room) < 1200.0:
        return
    look = _office(site) if rng.random() < 0.6 else _traditional(site, False, False)
    ax, ay = ground.axis
    a0, a1, w0, w1 = extent(room, ax, ay)
    columns, rows = max(1, round((a1 - a0) / 75.0)), max(1, round((w1 - w0) / 62.0))
    for i in range(columns):
        for j in range(rows):
            u, v = a0 + (i + 0.5) * (a1 - a0) / columns, w0 + (j + 0.5) * (w1 - w0) / rows
            x, y = ax * u - ay * v, ay * u + ax * v
            hl, hw = 0.5 * (a1 - a0) / columns - 5.0, 0.5 * (w1 - w0) / rows - 5.0
            fit = min(1.0, largest_scale(room, x, y, ax, ay, hl, hw))
            if fit < 0.5:
                continue
            hl, hw = hl * fit, hw * fit
            use = rng.random()
            if use < 0.16 and min(hl, hw) > 9.0:
                _car_park(site, rectangle(x, y, ax, ay, hl, hw), ground.axis)
            elif use < 0.34 and hl > 17.0 and hw > 11.0:
                kind = 0 if hl > 36.0 and hw > 25.0 else rng.choice([1, 2])
                _court(site, x, y, ground.axis, kind)
            elif use < 0.44:
                plaza = site.feature(1, vary(rng, site.character.plaza, 0.1), LINE, density=0.1)
                site.patch(rectangle(x, y, ax, ay, hl, hw), Surface.PLAZA, plaza, (x, y, ax, ay))
            else:
                _winged(site, x, y, ground.axis, hl, hw, rng.choice([7.5, 11.0, 14.5, 18.0]), look)
    for u in range(1, columns):
        along = a0 + u * (a1 - a0) / columns
        _path(site, [(ax * along - ay * w0, ay * along + ax * w0), (ax * along - ay * w1, ay * along + ax * w1)], 2.6)
    for v in range(1, rows):
        across = w0 + v * (w1 - w0) / rows
        _path(
            site, [(ax * a0 - ay * across, ay * a0 + ax * across), (ax * a1 - ay * across, ay * a1 + ax * across)], 2.6
        )


def _winged(site: Site, x: float, y: float, axis: Point, hl: float, hw: float, height: float, look: Look) -> None:
    """A building of wings in the shape of an L, U, H or a bar, within a rectangle."""
    rng = site.rng
    ax, ay = axis
    thick = min(7.5, 0.42 * min(hl, hw))
    shape = rng.choice("LUHIO")
    pitched = rng.random() < 0.25
    roof, rise = (Roof.GABLE, thick * 0.7) if pitched else (Roof.FLAT, 0.0)
    if pitched:
        look = Look(
            look.wall,
            site.pick(site.character.tiles),
            look.window,
            look.shop,
            look.material,
            look.facade,
            look.floor_height,
            look.bay,
            look.window_share,
        )

    def bar(u: float, v: float, half_length: float, half_width: float, along: Point) -> None:
        part = rectangle(x + ax * u - ay * v, y + ay * u + ax * v, ax, ay, half_length, half_width)
        site.prism(part, height * rng.choice([1.0, 1.0, 0.75]), look, along, roof, rise)

    if shape == "H":
        bar(0.0, 0.0, hl - 2.0 * thick, thick, axis)
    else:
        bar(0.0, -hw + thick, hl, thick, axis)
    across = (-ay, ax)
    side = hw - thick
    if shape in "LUO":
        bar(-hl + thick, thick, thick, side, across)
    if shape in "UO":
        bar(hl - thick, thick, thick, side, across)
    if shape == "O" and hw > 3.0 * thick:
        bar(0.0, hw - thick, hl - 2.0 * thick, thick, axis)
    if shape == "H":
        bar(-hl + thick, 0.0, thick, hw, across)
        bar(hl - thick, 0.0, thick, hw, across)


def _park(site: Site, lot: Lot, plan: Plan) -> None:
    """A park or a wood: winding paths from gate to gate, a pond, meadows, groves, courts, a pavilion."""
    rng = site.rng
    ground = Ground(lot)
    woods = site.style == District.WOODS
    _lawn(site, lot, ground, Surface.PARK, _grass(site), rng.uniform(0.55, 0.85) if woods else rng.uniform(0.08, 0.3))
    room = inset(lot.polygon, lot.margins(2.0, 2.0))
    if len(room) < 3:
        return
    cx, cy = centroid(room)
    ax, ay = ground.axis
    a0, a1, w0, w1 = extent(room, ax, ay)
    strip = any(label >= 0 and plan.streets[label].rank == Rank.RIVER for label in lot.edges)
    if area(room) < 3500.0 or strip:
        return
    if not woods:
        for _ in range(rng.choice([2, 3, 4])):
            u, v = rng.uniform(-0.35, 0.35) * (a1 - a0), rng.uniform(-0.35, 0.35) * (w1 - w0)
            x, y = cx + ax * u - ay * v, cy + ay * u + ax * v
            reach = rng.uniform(14.0, 0.16 * (a1 - a0 + w1 - w0) + 16.0)
            if largest_scale(room, x, y, ax, ay, reach, reach) > 1.1:
                meadow = site.feature(1, _grass(site), site.character.plaza, density=rng.choice([0.0, 0.0, 0.6]))
                site.patch(
                    ellipse(x, y, ax, ay, reach, reach * rng.uniform(0.5, 0.9), 28),
                    Surface.PARK,
                    meadow,
                    (x, y, ax, ay),
                )
    gates = [(0.5 * (p[0] + q[0]), 0.5 * (p[1] + q[1])) for p, q in zip(room, room[1:] + room[:1], strict=True)]
    for i, gate in enumerate(gates):
        other = gates[(i + 1) % len(gates)]
        if math.dist(gate, other) > 25.0:
            _path(
                site,
                _winding(site, gate, other, rng.uniform(-0.18, 0.3) * math.dist(gate, other)),
                rng.uniform(2.2, 3.6),
            )
    if len(gates) > 3:
        _path(
            site,
            _winding(site, gates[0], gates[2], rng.uniform(-0.1, 0.1) * math.dist(gates[0], gates[2])),
            rng.uniform(2.4, 4.0),
        )
    if rng.random() < 0.6 and min(a1 - a0, w1 - w0) > 70.0:
        hl, hw = rng.uniform(0.1, 0.22) * (a1 - a0), rng.uniform(0.1, 0.2) * (w1 - w0)
        _pond(site, cx + rng.uniform(-0.1, 0.1) * (a1 - a0) * ax, cy, ground.axis, hl, hw)
    elif not woods and min(a1 - a0, w1 - w0) > 60.0 and rng.random() < 0.5:
        kind = 3 if min(a1 - a0, w1 - w0) > 210.0 and rng.random() < 0.5 else 0 if min(a1 - a0, w1 - w0) > 130.0 else 2
        _court(site, cx, cy, ground.axis, kind)
    if not woods and rng.random() < 0.5:
        u, v = rng.uniform(-0.3, 0.3) * (a1 - a0), rng.uniform(0.2, 0.32) * (w1 - w0)
        x, y = cx + ax * u - ay * v, cy + ay * u + ax * v
        look = _traditional(site, False, True)
        if largest_scale(room, x, y, ax, ay, 9.0, 6.0) > 1.0:
            site.prism(rectangle(x, y, ax, ay, 8.0, 5.0), 4.0, look, ground.axis, Roof.HIP, 2.5)


# Landmarks -----------------------------------------------------------------------------------------------------------


def _church(site: Site, lot: Lot, ground: Ground, room: Polygon) -> bool:
    rng = site.rng
    cx, cy = centroid(room)
    ax, ay = ground.axis
    size = min(1.6, largest_scale(room, cx, cy, ax, ay, 22.0, 10.0))
    if size < 0.55:
        return False
    stone = site.pick(site.character.stone if rng.random() < 0.6 else site.character.brick)
    look = Look(
        stone,
        site.pick(site.character.tiles),
        (60.0, 70.0, 90.0),
        (90.0, 60.0, 40.0),
        kit.STONE,
        kit.CHURCH,
        6.0,
        5.0,
        0.3,
    )
    height = rng.uniform(10.0, 14.0) * size
    nave, aisle = 6.5 * size, 9.5 * size
    site.prism(rectangle(cx, cy, ax, ay, 14.0 * size, aisle), height * 0.6, look, ground.axis, Roof.GABLE, 3.0 * size)
    site.prism(rectangle(cx, cy, ax, ay, 16.0 * size, nave), height, look, ground.axis, Roof.GABLE, nave * 1.1)
    if rng.random() < 0.5:
        site.prism(
            rectangle(cx + 7.0 * size * ax, cy + 7.0 * size * ay, -ay, ax, 9.5 * size, 4.5 * size),
            height,
            look,
            (-ay, ax),
            Roof.GABLE,
            nave,
        )
    x, y = cx - 18.5 * size * ax, cy - 18.5 * size * ay
    spire = Look(
        look.wall,
        vary(rng, rng.choice([(96.0, 140.0, 124.0), look.roof]), 0.1),
        look.window,
        look.shop,
        kit.STONE,
        kit.CHURCH,
        6.0,
        3.0,
        0.3,
    )
    site.prism(
        rectangle(x, y, ax, ay, 3.4 * size, 3.4 * size),
        height * rng.uniform(1.7, 2.4),
        spire,
        ground.axis,
        Roof.PYRAMID,
        rng.uniform(6.0, 22.0) * size,
    )
    site.prism(
        ellipse(cx + 16.0 * size * ax, cy + 16.0 * size * ay, ax, ay, 4.5 * size, 4.5 * size, 12),
        height * 0.8,
        look,
        ground.axis,
        Roof.DOME,
        3.0,
    )
    return True


def _dome(site: Site, lot: Lot, ground: Ground, room: Polygon) -> bool:
    rng = site.rng
    cx, cy = centroid(room)
    ax, ay = ground.axis
    size = min(1.5, largest_scale(room, cx, cy, ax, ay, 28.0, 18.0))
    if size < 0.5:
        return False
    look = _traditional(site, False, False)
    look.wall, look.material = site.pick(site.character.stone), kit.STONE
    copper = Look(
        look.wall,
        rng.choice([(110.0, 150.0, 135.0), (190.0, 192.0, 190.0), (176.0, 140.0, 70.0)]),
        look.window,
        look.shop,
        kit.STONE,
        kit.CHURCH,
        6.0,
        3.0,
        0.4,
    )
    height = rng.uniform(10.0, 18.0)
    site.prism(rectangle(cx, cy, ax, ay, 27.0 * size, 11.0 * size), height, look, ground.axis)
    site.prism(rectangle(cx, cy, ax, ay, 10.0 * size, 17.0 * size), height * 1.1, look, ground.axis, Roof.GABLE, 3.0)
    site.prism(
        ellipse(cx, cy, ax, ay, 9.0 * size, 9.0 * size, 32), height * 1.6, copper, ground.axis, Roof.DOME, 8.0 * size
    )
    return True


def _stadium(site: Site, lot: Lot, ground: Ground, room: Polygon) -> bool:
    rng = site.rng
    cx, cy = centroid(room)
    ax, ay = ground.axis
    size = min(1.0, largest_scale(room, cx, cy, ax, ay, 98.0, 72.0))
    if size < 0.5:
        return False
    _court(site, cx, cy, ground.axis, 0)
    stand = site.pick(site.character.concrete)
    look = Look(
        stand,
        rng.choice([(200.0, 202.0, 204.0), (150.0, 60.0, 56.0), (70.0, 90.0, 140.0), (176.0, 178.0, 182.0)]),
        (80.0, 90.0, 100.0),
        (180.0, 50.0, 50.0),
        kit.CONCRETE,
        kit.RIBBONS,
        4.0,
        6.0,
        0.5,
    )
    inner = ellipse(cx, cy, ax, ay, 68.0 * size, 48.0 * size, 28)
    outer = ellipse(cx, cy, ax, ay, 96.0 * size, 72.0 * size, 28)
    height, rise = rng.uniform(8.0, 12.0), rng.uniform(8.0, 14.0)
    for k in range(28):
        j = (k + 1) % 28
        footprint = [inner[k], outer[k], outer[j], inner[j]]
        (x0, y0), (x1, y1) = outer[k], outer[j]
        length = math.dist((x0, y0), (x1, y1))
        site.prism(footprint, height, look, ((x0 - x1) / length, (y0 - y1) / length), Roof.SHED, rise)
    return True


def _water_tower(site: Site, lot: Lot, ground: Ground, room: Polygon) -> bool:
    rng = site.rng
    cx, cy = centroid(room)
    look = _shed(site)
    look.facade = kit.BLANK
    site.prism(ellipse(cx, cy, *ground.axis, 4.0, 4.0, 20), rng.uniform(22.0, 34.0), look, ground.axis, Roof.DOME, 3.5)
    return True


def _tall_tower(site: Site, lot: Lot, ground: Ground, room: Polygon) -> bool:
    rng = site.rng
    cx, cy = centroid(room)
    half = rng.uniform(11.0, 17.0)
    fit = min(1.0, largest_scale(room, cx, cy, *ground.axis, half, half))
    if fit < 0.6:
        return False
    look = _office(site)
    height = rng.uniform(90.0, 150.0) * (0.7 + 0.3 * site.character.scale)
    half *= fit
    for share, level in ((1.0, 0.6), (0.8, 0.85), (0.55, 1.0)):
        site.prism(rectangle(cx, cy, *ground.axis, half * share, half * share), height * level, look, ground.axis)
    return True


def _landmark(site: Site, lot: Lot) -> bool:
    """Build a landmark on the whole lot, where one fits. Returns whether it did."""
    rng = site.rng
    ground = Ground(lot)
    room = inset(lot.polygon, lot.margins(4.0, 4.0))
    if len(room) < 3 or area(room) < 700.0:
        return False
    if area(lot.polygon) > 11000.0:
        _lawn(site, lot, ground, Surface.GRASS, _grass(site), 0.12)
        return _stadium(site, lot, ground, room)
    builders = {
        District.DOWNTOWN: [_tall_tower, _dome, _church],
        District.OLD_TOWN: [_church, _church, _dome],
        District.INNER: [_church, _church, _dome],
        District.INDUSTRIAL: [_water_tower],
        District.CAMPUS: [_dome, _church],
    }.get(site.style, [_church])
    green = rng.random() < 0.4
    marks = (len(site.parts), len(site.patches))
    surface = Surface.GRASS if green else Surface.PLAZA
    _lawn(site, lot, ground, surface, _grass(site) if green else vary(rng, site.character.plaza, 0.1), 0.1)
    if rng.choice(builders)(site, lot, ground, room):
        return True
    del site.parts[marks[0] :], site.corners[marks[0] :], site.anchors[marks[0] :], site.patches[marks[1] :]
    return False


def build_lot(site: Site, lot: Lot, plan: Plan, landmark: bool) -> None:
    """Build everything that stands on a lot.

    Args:
        site: Where to build.
        lot: The lot.
        plan: The city's plan.
        landmark: Whether the lot is to bear a landmark, where one fits.
    """
    site.style = lot.style
    site.anchor = centroid(lot.polygon)
    if landmark and _landmark(site, lot):
        return
    style = lot.style
    if style == District.OLD_TOWN:
        _old_town(site, lot)
    elif style == District.INNER:
        _inner(site, lot)
    elif style == District.DOWNTOWN:
        _downtown(site, lot)
    elif style in (District.SUBURB, District.VILLAS):
        _suburb(site, lot)
    elif style == District.TERRACES:
        _terraces(site, lot)
    elif style == District.SLABS:
        _slabs(site, lot)
    elif style == District.INDUSTRIAL:
        _industrial(site, lot)
    elif style == District.RETAIL:
        _retail(site, lot)
    elif style == District.CAMPUS:
        _campus(site, lot)
    else:
        _park(site, lot, plan)
