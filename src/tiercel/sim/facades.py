"""What is on a wall: storeys, windows, doors, shop fronts, gates, hedges, in metres along the wall and above its foot.

Everything is computed at a continuous point, so a wall holds up at any distance; where a pixel covers more than the
pattern can show, the pattern fades into its mean.
"""

from __future__ import annotations

import math

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.noise import hash_unit, smooth_step, value_noise
from tiercel.sim.world import Floats

# Columns of the wall table: the part's numbers as plain floats, since reading records in an inner loop is slow.
BASE, EAVE, RISE, FLOOR, BAY, SHARE = 0, 1, 17, 13, 14, 15
WALL, WINDOW, SHOP = 2, 5, 8  # the first of three
MATERIAL, KIND, SEED = 11, 12, 16
COLUMNS = 18

Paint = tuple[float, float, float, float, float]
"""Red, green, blue (0..255), share of mirrored sky, light of its own (0..1, in the evening)."""


def wall_table(parts: np.ndarray) -> Floats:
    """The walls of all building parts as numbers.

    Args:
        parts: ``World.parts``.

    Returns:
        (parts, COLUMNS) float32; seeds are reduced to 20 bits so that they stay exact.
    """
    table = np.zeros((len(parts), COLUMNS), np.float32)
    table[:, BASE], table[:, EAVE], table[:, RISE] = parts["base"], parts["eave"], parts["rise"]
    table[:, WALL : WALL + 3], table[:, WINDOW : WINDOW + 3] = parts["wall"], parts["window"]
    table[:, SHOP : SHOP + 3] = parts["shop"]
    table[:, MATERIAL], table[:, KIND] = parts["material"], parts["facade"]
    table[:, FLOOR], table[:, BAY] = np.maximum(2.2, parts["floor_height"]), np.maximum(0.8, parts["bay"])
    table[:, SHARE], table[:, SEED] = parts["window_share"], parts["seed"] & np.uint32(0xFFFFF)
    return table


@compiled
def _masonry(wall: Floats, along: float, height: float, detail: float) -> tuple[float, float, float]:
    """The bare wall: its colour with courses, joints, boards or leaves where a pixel is small enough to show them."""
    material = int(wall[MATERIAL])
    seed = int(wall[SEED])
    tone = 1.0
    if detail < 1.2:
        fade = 1.0 - smooth_step(0.3, 1.2, detail)
        tone += 0.10 * fade * (value_noise(0.45 * along, 0.45 * height, seed) - 0.5)
    if material == 1 and detail < 0.09:
        row = math.floor(height / 0.085)
        shift = along / 0.26 + 0.5 * (int(row) & 1)
        brick = math.floor(shift)
        joint = height / 0.085 - row < 0.16 or shift - brick < 0.06
        fade = 1.0 - smooth_step(0.03, 0.09, detail)
        tone += fade * (0.16 if joint else 0.22 * (hash_unit(int(brick), int(row), seed) - 0.5))
    elif material == 2 and detail < 0.25:
        row = math.floor(height / 0.42)
        shift = along / 0.85 + 0.5 * (int(row) & 1)
        block = math.floor(shift)
        joint = height / 0.42 - row < 0.06 or shift - block < 0.035
        fade = 1.0 - smooth_step(0.1, 0.25, detail)
        tone += fade * (-0.14 if joint else 0.12 * (hash_unit(int(block), int(row), seed) - 0.5))
    elif material == 3 and detail < 0.5:
        fade = 1.0 - smooth_step(0.15, 0.5, detail)
        across = along / wall[BAY]
        up = height / wall[FLOOR]
        if across - math.floor(across) < 0.025 or up - math.floor(up) < 0.025:
            tone -= 0.22 * fade
    elif material == 5 and detail < 0.2:
        board = height / 0.18
        fade = 1.0 - smooth_step(0.06, 0.2, detail)
        tone += fade * (-0.18 if board - math.floor(board) < 0.12 else 0.08 * (hash_unit(int(board), 5, seed) - 0.5))
    elif material == 6 and detail < 0.3:
        rib = along / 0.3
        fade = 1.0 - smooth_step(0.1, 0.3, detail)
        tone += 0.10 * fade * math.sin(6.2832 * rib)
    elif material == 0 and detail < 0.05:
        tone += 0.05 * (value_noise(9.0 * along, 9.0 * height, seed) - 0.5)
    return wall[WALL] * tone, wall[WALL + 1] * tone, wall[WALL + 2] * tone


@compiled
def _glass(wall: Floats, bay: int, floor: int, x: float, y: float) -> Paint:
    """A pane at (x, y) in 0..1 of its window: dark room, curtains or blinds, lamplight behind some in the evening."""
    seed = int(wall[SEED])
    luck = hash_unit(bay, floor, seed)
    tone = 0.72 + 0.45 * luck + 0.10 * y
    r, g, b = wall[WINDOW] * tone, wall[WINDOW + 1] * tone, wall[WINDOW + 2] * tone
    gloss = 0.22
    if luck > 0.72 and (x < 0.24 or x > 0.76):
        r, g, b, gloss = r * 0.4 + 120.0, g * 0.4 + 116.0, b * 0.4 + 108.0, 0.1
    elif luck < 0.14 and y > 3.5 * luck + 0.2:
        r, g, b, gloss = r * 0.3 + 140.0, g * 0.3 + 138.0, b * 0.3 + 130.0, 0.08
    glow = 0.85 if hash_unit(floor, bay, seed + 31) < 0.34 else 0.0
    return r, g, b, gloss, glow


@compiled
def _window(wall: Floats, bay: int, floor: int, x: float, y: float, wide: float, high: float, panes: int) -> Paint:
    """A framed window at (x, y) metres from its lower left corner, ``wide`` by ``high`` metres."""
    frame = 0.055
    leaf = x / (wide / panes)
    leaf = (leaf - math.floor(leaf)) * (wide / panes)
    bar = high * 0.68
    if x < frame or wide - x < frame or y < frame or high - y < frame or leaf < 0.03 or abs(y - bar) < 0.025:
        dark = hash_unit(int(wall[SEED]), 3, 1) < 0.35
        tone = 74.0 if dark else 222.0
        return tone, tone, tone - 6.0, 0.02, 0.0
    r, g, b, gloss, glow = _glass(wall, bay, floor, x / wide, y / high)
    if high - y < frame + 0.10:  # the lintel's shadow
        r, g, b = 0.6 * r, 0.6 * g, 0.6 * b
    return r, g, b, gloss, glow


@compiled
def _door(wall: Floats, x: float, y: float, wide: float, high: float) -> Paint:
    """A door at (x, y) metres from its lower left corner."""
    if x < 0.08 or wide - x < 0.08 or high - y < 0.09:
        return 0.75 * wall[WALL] + 50.0, 0.75 * wall[WALL + 1] + 50.0, 0.75 * wall[WALL + 2] + 48.0, 0.0, 0.0
    if y > 2.05:
        return 60.0, 66.0, 72.0, 0.25, 0.9
    panel = 0.86 if 0.2 < x < wide - 0.2 and (0.25 < y < 0.95 or 1.15 < y < 1.85) else 1.0
    r, g, b = wall[SHOP] * 0.62 * panel, wall[SHOP + 1] * 0.62 * panel, wall[SHOP + 2] * 0.62 * panel
    if abs(x - wide + 0.2) < 0.04 and abs(y - 1.02) < 0.05:
        return 200.0, 190.0, 150.0, 0.1, 0.0
    return r, g, b, 0.02, 0.0


@compiled
def _shop_front(wall: Floats, along: float, bay: int, place: float, wide: float, z: float, high: float) -> Paint:
    """The ground floor of a shop: plinth, pane, door in some bays, sign board, awning over some bays."""
    seed = int(wall[SEED])
    group = bay // 3
    luck = hash_unit(group, 11, seed)
    tint = 0.75 + 0.5 * luck
    r, g, b = min(240.0, wall[SHOP] * tint), min(240.0, wall[SHOP + 1] * tint), min(240.0, wall[SHOP + 2] * tint)
    if luck > 0.55:  # neighbours choose other colours
        r, g, b = b * 0.8 + 20.0, r * 0.8 + 12.0, g * 0.8 + 10.0
    side = min(place, wide - place)
    if z > high - 0.75:
        letter = math.floor(along / 0.32)
        if hash_unit(group, 12, seed) < 0.7 and 0.22 < high - z < 0.55 and abs(bay % 3 - 1) < 1:
            stroke = along / 0.32 - letter
            if 0.15 < stroke < 0.8 and hash_unit(int(letter), group, seed) < 0.85:
                return 236.0, 232.0, 220.0, 0.0, 0.6
        if high - z < 0.06 or high - z > 0.70:
            return 0.6 * r, 0.6 * g, 0.6 * b, 0.0, 0.0
        return r, g, b, 0.02, 0.15
    if hash_unit(group, 13, seed) < 0.4 and high - 1.45 < z:
        stripe = math.floor(along / 0.28)
        if int(stripe) & 1 and luck > 0.3:
            return 228.0, 224.0, 214.0, 0.0, 0.0
        shade = 0.75 + 0.25 * (z - high + 1.45) / 0.7
        return r * shade, g * shade, b * shade, 0.0, 0.0
    if side < 0.14 or z < 0.12:
        return wall[WALL] * 0.78, wall[WALL + 1] * 0.78, wall[WALL + 2] * 0.78, 0.0, 0.0
    if bay % 3 == 1 and 0.32 * wide < place < 0.32 * wide + 1.05:
        edge = min(place - 0.32 * wide, 0.32 * wide + 1.05 - place)
        if edge < 0.07 or 2.15 < z < 2.25 or z < 0.25:
            return r * 0.5, g * 0.5, b * 0.5, 0.02, 0.0
        return 46.0, 52.0, 56.0, 0.30, 0.9
    if z < 0.48:
        return r * 0.62, g * 0.62, b * 0.62, 0.0, 0.0
    if side < 0.20 or z < 0.54 or abs(place - 0.5 * wide) < 0.03:
        return 58.0, 58.0, 60.0, 0.05, 0.0
    goods = hash_unit(int(along / 0.5), int(z / 0.45), seed + 5)
    if z < 1.5 and goods > 0.6:
        tone = 60.0 + 90.0 * goods
        return tone, tone * (0.75 + 0.3 * luck), tone * 0.85, 0.16, 0.9
    return 54.0, 60.0, 64.0, 0.28, 0.9


@compiled
def _barrier(wall: Floats, along: float, z: float, high: float, detail: float) -> Paint:
    """A fence, a garden wall or a hedge, by material and colour."""
    material = int(wall[MATERIAL])
    seed = int(wall[SEED])
    r, g, b = wall[WALL], wall[WALL + 1], wall[WALL + 2]
    if material == 5:
        plank = along / 0.14
        fade = 1.0 - smooth_step(0.04, 0.16, detail)
        tone = 0.95 + 0.16 * (hash_unit(math.floor(plank), 3, seed) - 0.5) * fade
        if plank - math.floor(plank) < 0.14:
            tone -= 0.4 * fade
        if abs(z - 0.25) < 0.05 or abs(z - high + 0.25) < 0.05:
            tone *= 1.0 - 0.15 * fade
        return r * tone, g * tone, b * tone, 0.0, 0.0
    if material == 6:
        bar = along / 0.13
        post = along / 2.4
        metal = bar - math.floor(bar) < 0.3 or post - math.floor(post) < 0.03 or z < 0.3 or high - z < 0.08
        fade = 1.0 - smooth_step(0.03, 0.12, detail)
        behind = 0.62 if not metal else 1.0
        tone = (1.0 - fade) * 0.75 + fade * behind
        return r * tone, g * tone, b * tone, 0.0, 0.0
    leafy = g > r + 4.0 and g > b + 4.0
    if leafy:
        coarse = value_noise(2.2 * along, 2.2 * z, seed)
        fine = 0.5 if detail > 0.15 else value_noise(9.0 * along, 9.0 * z, seed + 1)
        tone = 0.62 + 0.38 * coarse + 0.34 * (fine - 0.5) + 0.22 * z / max(0.5, high)
        return r * tone, g * tone, b * tone, 0.0, 0.0
    if high - z < 0.10:
        return min(250.0, 1.14 * r), min(250.0, 1.14 * g), min(250.0, 1.14 * b), 0.0, 0.0
    r, g, b = _masonry(wall, along, z, detail)
    return r, g, b, 0.0, 0.0


@compiled
def facade_colour(wall: Floats, along: float, length: float, height: float, detail: float) -> Paint:
    """The surface of a wall at a point.

    Args:
        wall: One row of `wall_table`.
        along: Metres from the wall's left end.
        length: Length of the wall, metres; windows are fitted to it.
        height: Metres above the part's foot.
        detail: Size of a pixel on the wall, metres.

    Returns:
        Red, green, blue (0..255, before light), share of mirrored sky, own light in the evening.
    """
    kind = int(wall[KIND])
    top = wall[EAVE] - wall[BASE]
    if kind == 8:
        return _barrier(wall, along, height, top, detail)
    bay = wall[BAY]
    bays = max(1, int(length / bay + 0.35))
    wide = length / bays
    column = math.floor(along / wide)
    place = along - column * wide
    number = min(bays - 1, max(0, int(column)))
    floor_height = wall[FLOOR]
    floors = max(1, int(top / floor_height + 0.4))
    ground_high = floor_height
    if kind == 4:
        ground_high = min(4.4, max(3.2, 1.2 * floor_height))
    if floors > 1:
        floor_height = (top - ground_high) / max(1, int((top - ground_high) / floor_height + 0.4))
    else:
        ground_high = top
    if height < ground_high:
        floor, up, high = 0, height, ground_high
    else:
        floor = 1 + int((height - ground_high) / floor_height)
        up = height - ground_high - (floor - 1) * floor_height
        high = floor_height
    seed = int(wall[SEED])
    r, g, b = _masonry(wall, along, height, detail)
    above = height > top + 0.01  # the gable above the eave
    small = length < 1.6 or kind == 0
    fade = smooth_step(0.45 * min(wide, high), 1.2 * min(wide, high), detail)
    if height < 0.55 and kind != 3:
        return r * 0.78, g * 0.78, b * 0.78, 0.0, 0.0
    if above:
        rise = height - top
        if kind in (1, 4, 6) and wall[RISE] > 2.6 and abs(along - 0.5 * length) < 0.5 and 0.6 < rise < 1.8:
            r, g, b, gloss, glow = _window(wall, 90, 9, along - 0.5 * length + 0.5, rise - 0.6, 1.0, 1.2, 2)
            return r, g, b, gloss, glow
        return r, g, b, 0.0, 0.0
    if top - height < 0.38 and kind != 3 and kind != 5:
        line = 0.84 if top - height > 0.30 else 1.10
        return min(250.0, r * line), min(250.0, g * line), min(250.0, b * line), 0.0, 0.0
    if small:
        return r, g, b, 0.0, 0.0
    share = min(0.92, max(0.15, wall[SHARE]))
    glass = share * 0.55
    mean_r = r + (wall[WINDOW] - r) * glass * 0.8
    mean_g = g + (wall[WINDOW + 1] - g) * glass * 0.8
    mean_b = b + (wall[WINDOW + 2] - b) * glass * 0.8
    if fade >= 1.0:
        return mean_r, mean_g, mean_b, 0.2 * glass, 0.3 * glass
    gloss, glow = 0.0, 0.0
    if kind == 4 and floor == 0:
        r, g, b, gloss, glow = _shop_front(wall, along, number, place, wide, height, ground_high)
    elif kind == 2:
        if 0.30 * high < up < 0.78 * high:
            post = place / wide
            if post < 0.05:
                r, g, b = 92.0, 94.0, 96.0
            else:
                r, g, b, gloss, glow = _glass(wall, number, floor, post, (up / high - 0.3) / 0.48)
        elif up < 0.05 * high:
            r, g, b = 0.88 * r, 0.88 * g, 0.88 * b
    elif kind == 3:
        post = place / wide
        post = post * 2.0 - math.floor(post * 2.0)
        if min(post, 1.0 - post) * wide * 0.5 < 0.05 or up < 0.07:
            r, g, b = 0.55 * wall[WALL] + 20.0, 0.55 * wall[WALL + 1] + 20.0, 0.55 * wall[WALL + 2] + 20.0
        elif up < 0.24 * high and floor > 0:
            r, g, b, gloss = 0.8 * wall[WALL], 0.8 * wall[WALL + 1], 0.8 * wall[WALL + 2], 0.2
        else:
            r, g, b, gloss, glow = _glass(wall, number, floor, 0.5, up / high)
            gloss = 0.5
    elif kind == 5:
        r, g, b, gloss, glow = _industry(wall, r, g, b, number, place, wide, height, top)
    elif kind == 7:
        r, g, b, gloss, glow = _church(wall, r, g, b, number, bays, place, wide, height, top)
    else:
        r, g, b, gloss, glow = _openings(wall, r, g, b, number, bays, floor, place, wide, up, high, kind)
    if fade > 0.0:
        r, g, b = r + (mean_r - r) * fade, g + (mean_g - g) * fade, b + (mean_b - b) * fade
        gloss += (0.2 * glass - gloss) * fade
        glow += (0.3 * glass - glow) * fade
    if kind == 1 and seed % 3 == 0 and floor > 0 and up < 0.10:
        r, g, b = min(250.0, 1.10 * r), min(250.0, 1.10 * g), min(250.0, 1.10 * b)
    return r, g, b, gloss, glow


@compiled
def _openings(
    wall: Floats, r: float, g: float, b: float, bay: int, bays: int, floor: int, place: float, wide: float,
    up: float, high: float, kind: int,
) -> Paint:  # fmt: skip
    """Regular windows in a wall, doors on the ground floor, balconies and shutters on some buildings."""
    seed = int(wall[SEED])
    share = min(0.92, max(0.15, wall[SHARE]))
    window = wide * share
    x = place - 0.5 * (wide - window)
    door_bay = int(hash_unit(seed, 7, 2) * min(bays, 5))
    if floor == 0 and bay % 6 == door_bay:
        door = min(1.3, 0.8 * wide)
        at = place - 0.5 * (wide - door)
        if 0.0 < at < door and up < 2.5:
            return _door(wall, at, up, door, 2.5)
        if kind == 6 and -0.3 < at < door + 0.3 and 2.5 < up < 2.65:
            return 0.6 * r, 0.6 * g, 0.6 * b, 0.0, 0.0
        if kind != 6:
            return r, g, b, 0.0, 0.0
    if kind == 6 and hash_unit(bay, floor, seed + 17) < 0.28:
        return r, g, b, 0.0, 0.0
    sill = 0.30 * high
    tall = 0.50 * high
    balconies = kind == 1 and seed % 4 == 1 and floor > 0 and bay % 3 == (seed // 7) % 3
    if balconies:
        if up < 0.09:
            return 0.82 * r + 14.0, 0.82 * g + 14.0, 0.82 * b + 14.0, 0.0, 0.0
        if up < 1.0:
            if seed % 8 == 1:
                return 0.6 * wall[SHOP] + 70.0, 0.6 * wall[SHOP + 1] + 70.0, 0.6 * wall[SHOP + 2] + 70.0, 0.04, 0.0
            rail = place / 0.12
            if up > 0.93 or rail - math.floor(rail) < 0.25:
                return 44.0, 46.0, 48.0, 0.0, 0.0
        sill, tall = 0.05 * high, 0.76 * high
    y = up - sill
    if -0.12 < y <= 0.0 and -0.08 < x < window + 0.08:
        return min(248.0, 0.6 * r + 92.0), min(248.0, 0.6 * g + 92.0), min(248.0, 0.6 * b + 88.0), 0.0, 0.0
    if 0.0 < y < tall:
        if 0.0 < x < window:
            panes = max(1, int(window / 0.75 + 0.5))
            return _window(wall, bay, floor, x, y, window, tall, panes)
        shutters = (kind == 6 or kind == 4) and seed % 5 < 2
        if shutters and -0.42 < x < window + 0.42 and share < 0.6:
            slat = y / 0.09
            tone = 0.8 if slat - math.floor(slat) < 0.3 else 0.95
            return wall[SHOP] * tone, wall[SHOP + 1] * tone, wall[SHOP + 2] * tone, 0.0, 0.0
        if seed % 3 == 2 and -0.13 < x < window + 0.13:
            return min(246.0, 1.12 * r + 8.0), min(246.0, 1.12 * g + 8.0), min(246.0, 1.12 * b + 8.0), 0.0, 0.0
    return r, g, b, 0.0, 0.0


@compiled
def _industry(
    wall: Floats, r: float, g: float, b: float, bay: int, place: float, wide: float, height: float, top: float
) -> Paint:
    """A hall: gates at the ground, a strip of high windows, a coloured band under the roof."""
    seed = int(wall[SEED])
    gate = min(4.2, 0.66 * wide)
    x = place - 0.5 * (wide - gate)
    tall = min(4.3, 0.62 * top)
    if hash_unit(bay, 3, seed) < 0.4 and -0.2 < x < gate + 0.2 and height < tall + 0.2:
        if x < 0.0 or x > gate or height > tall:
            return 0.55 * r, 0.55 * g, 0.55 * b, 0.0, 0.0
        slat = height / 0.5
        tone = 0.72 if slat - math.floor(slat) < 0.1 else 0.9
        return wall[SHOP] * tone, wall[SHOP + 1] * tone, wall[SHOP + 2] * tone, 0.03, 0.0
    if 0.68 * top < height < 0.86 * top and wall[SHARE] > 0.12:
        if place / 1.3 - math.floor(place / 1.3) < 0.08:
            return 96.0, 98.0, 100.0, 0.0, 0.0
        return _glass(wall, bay, int(place / 1.3), 0.5, 0.5)
    if height > top - 0.7:
        return 0.7 * wall[SHOP] + 30.0, 0.7 * wall[SHOP + 1] + 30.0, 0.7 * wall[SHOP + 2] + 30.0, 0.0, 0.0
    return r, g, b, 0.0, 0.0


@compiled
def _church(
    wall: Floats, r: float, g: float, b: float, bay: int, bays: int, place: float, wide: float, height: float,
    top: float,
) -> Paint:  # fmt: skip
    """Tall windows with round heads between buttresses; a portal in the middle of a short wall."""
    half = min(0.9, 0.22 * wide)
    x = abs(place - 0.5 * wide)
    if bays <= 3 and bay == bays // 2 and height < 4.0:
        arch = height - 2.8
        if x < 1.1 and (arch < 0.0 or x * x + arch * arch < 1.21):
            edge = x > 0.92 or (arch > 0.0 and x * x + arch * arch > 0.85)
            if edge or x < 0.03:
                return 0.6 * r, 0.6 * g, 0.6 * b, 0.0, 0.0
            return 84.0, 58.0, 40.0, 0.0, 0.0
    if place < 0.35 or wide - place < 0.35:
        return min(250.0, 1.08 * r), min(250.0, 1.08 * g), min(250.0, 1.08 * b), 0.0, 0.0
    low, spring = 0.26 * top, 0.72 * top
    if (
        x < half + 0.15
        and low < height < spring + half + 0.15
        and not (bays <= 3 and bay == bays // 2 and height < 4.6)
    ):
        arch = max(0.0, height - spring)
        radius = math.sqrt(x * x + arch * arch) if arch > 0.0 else x
        if radius < half:
            lead = (place / 0.45 - math.floor(place / 0.45) < 0.1) or (height / 0.7 - math.floor(height / 0.7) < 0.07)
            if lead:
                return 40.0, 40.0, 44.0, 0.0, 0.0
            tint = hash_unit(int(place / 0.45), int(height / 0.7), int(wall[SEED]))
            return 44.0 + 46.0 * tint, 48.0 + 20.0 * tint, 72.0 - 20.0 * tint, 0.16, 0.5
        if radius < half + 0.15:
            return min(250.0, 1.1 * r), min(250.0, 1.1 * g), min(250.0, 1.1 * b), 0.0, 0.0
    return r, g, b, 0.0, 0.0
