"""Vehicles: which one stands in a slot on a given day, what it looks like from the street and from above.

A vehicle is two convex bodies (the body, and the cabin or cargo box on it) cut by planes, plus wheels. Shapes are
stated as shares of length and height, so every vehicle of a type may have its own size. The local frame has ``along``
forward, ``across`` to the right and ``height`` up, its origin on the ground below the middle.
"""

from __future__ import annotations

import math

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.noise import hash_unit

SALOON, HATCHBACK, ESTATE, VAN, LORRY, BUS = range(6)

# One row a type: length, width, height (metres), belt (top of the body, share of the height), nose (height of the
# front end), tail (height of the rear end), then along the length from the middle, as shares of the half length:
# windscreen foot, windscreen top, rear window top, rear window foot; where the bonnet and the boot lid begin.
_SHAPES = np.array(
    [
        [4.60, 1.80, 1.45, 0.62, 0.47, 0.57, 0.42, 0.08, -0.46, -0.76, 0.42, -0.74],
        [3.90, 1.72, 1.48, 0.61, 0.46, 0.60, 0.54, 0.18, -0.80, -0.98, 0.54, -0.99],
        [4.65, 1.86, 1.62, 0.62, 0.52, 0.61, 0.48, 0.18, -0.84, -0.98, 0.48, -0.99],
        [5.40, 2.00, 2.35, 0.52, 0.40, 0.52, 0.78, 0.50, -0.99, -1.00, 0.78, -1.00],
        [8.00, 2.45, 3.30, 0.30, 0.30, 0.30, 0.99, 0.95, -0.99, -1.00, 1.00, -1.00],
        [11.8, 2.52, 3.05, 0.36, 0.36, 0.36, 0.99, 0.96, -0.97, -0.99, 1.00, -1.00],
    ],
    dtype=np.float32,
)
_WHEELS = np.array(  # front axle, rear axle (metres from the front and from the rear end), wheel radius
    [[0.86, 0.98, 0.31], [0.74, 0.66, 0.30], [0.88, 0.95, 0.34], [0.95, 1.15, 0.34], [1.35, 1.75, 0.48],
     [2.60, 3.20, 0.48]],
    dtype=np.float32,
)  # fmt: skip
_PAINTS = np.array(  # red, green, blue, share of the traffic: white, black, greys, silver, blues, red, green, brown
    [
        [228, 229, 228, 0.22],
        [30, 31, 34, 0.19],
        [82, 86, 91, 0.17],
        [172, 175, 178, 0.15],
        [38, 60, 104, 0.08],
        [88, 120, 162, 0.04],
        [158, 28, 30, 0.07],
        [52, 74, 58, 0.03],
        [112, 92, 74, 0.03],
        [198, 160, 44, 0.02],
    ],
    dtype=np.float32,
)
BUSY = 3
"""Added to the kind of a slot in a busy city: more such slots are taken, and more of them by vans and lorries."""
_PRESENT = np.array([0.62, 0.26, 0.34, 0.8, 0.42, 0.5])
"""Share of slots taken, by kind of slot: parked, driving, bus lane or lorry bay, and the same in a busy city."""


@compiled
def vehicle_at(slot_index: int, day: int, kind: int) -> tuple[bool, int, float, float, float, float, float, float]:
    """The vehicle in a slot on a day; another day has other vehicles.

    Args:
        slot_index: Row of ``World.slots``.
        day: Any integer.
        kind: Kind of the slot: 0 parked, 1 driving lane, 2 bus lane or lorry bay; `BUSY` more in a busy city.

    Returns:
        present, type (0 saloon, 1 hatchback, 2 estate, 3 van, 4 lorry, 5 bus), red, green, blue (0..255),
        length, width, height (metres).
    """
    # Whole neighbourhoods fill and empty together: some days are busier than others.
    busy = 0.8 + 0.45 * hash_unit(slot_index // 40, day, 11)
    present = hash_unit(slot_index, day, 1) < _PRESENT[kind] * busy
    draw = hash_unit(slot_index, day, 2)
    large = hash_unit(slot_index, day, 10) if kind >= BUSY else 1.0
    if kind % BUSY == 2:
        model = BUS if draw < 0.6 else (LORRY if draw < 0.85 else VAN)
    elif large < 0.2:
        model = LORRY if large < 0.1 and kind % BUSY == 1 else VAN
    elif draw < 0.30:
        model = SALOON
    elif draw < 0.62:
        model = HATCHBACK
    elif draw < 0.90:
        model = ESTATE
    else:
        model = VAN
    size = 0.95 + 0.1 * hash_unit(slot_index, day, 3)
    length = _SHAPES[model, 0] * size
    width = _SHAPES[model, 1] * (0.98 + 0.04 * hash_unit(slot_index, day, 4))
    height = _SHAPES[model, 2] * (0.97 + 0.06 * hash_unit(slot_index, day, 5))
    pick = hash_unit(slot_index, day, 6)
    paint = 0
    while paint < _PAINTS.shape[0] - 1 and pick > _PAINTS[paint, 3]:
        pick -= _PAINTS[paint, 3]
        paint += 1
    if model == VAN and hash_unit(slot_index, day, 7) < 0.55:
        paint = 0
    shade = 0.88 + 0.2 * hash_unit(slot_index, day, 8)
    red = min(250.0, _PAINTS[paint, 0] * shade)
    green = min(250.0, _PAINTS[paint, 1] * shade)
    blue = min(250.0, _PAINTS[paint, 2] * shade)
    if model == BUS:  # a bus wears its city's livery
        livery = hash_unit(slot_index // 4000, 77, 9)
        red, green, blue = (
            (196.0, 40.0, 36.0) if livery < 0.4 else ((226.0, 190.0, 60.0) if livery < 0.7 else (40.0, 96.0, 160.0))
        )
    return present, model, float(red), float(green), float(blue), float(length), float(width), float(height)


@compiled
def vehicle_from_above(
    model: int, red: float, green: float, blue: float, along: float, across: float
) -> tuple[float, float, float]:
    """The colour of a vehicle seen from above.

    Args:
        model: Type, as `vehicle_at` returns it.
        red: Paint, 0..255.
        green: Paint, 0..255.
        blue: Paint, 0..255.
        along: Place along the vehicle, -1 at the rear end to 1 at the front end.
        across: Place across it, -1 left to 1 right.

    Returns:
        Red, green, blue, 0..255, before light and shadow.
    """
    shape = _SHAPES[model]
    side = abs(across)
    glass = (52.0, 58.0, 66.0)
    if model == LORRY:
        if along > 0.44:
            return red, green, blue
        if along > 0.40:
            return 40.0, 40.0, 42.0
        return 214.0, 214.0, 210.0
    if model == BUS:
        if side < 0.5 and (abs(along - 0.45) < 0.12 or abs(along + 0.4) < 0.15):
            return 176.0, 178.0, 180.0
        return 0.6 * red + 92.0, 0.6 * green + 92.0, 0.6 * blue + 92.0
    if shape[7] < along < shape[6] and side < 0.84:
        return glass
    if shape[9] < along < shape[8] and side < 0.82 and model != VAN:
        return glass
    if shape[8] <= along <= shape[7] and 0.80 < side < 0.93:
        return glass
    if abs(along) > 0.96 or side > 0.96:
        return 0.7 * red, 0.7 * green, 0.7 * blue
    return red, green, blue


@compiled
def _clip(entry: float, leave: float, face: int, number: int, offset: float, speed: float) -> tuple[float, float, int]:
    """Cut the interval of a ray by one plane: the inside is where ``offset + distance * speed <= 0``."""
    if speed < -1e-9:
        distance = -offset / speed
        if distance > entry:
            return distance, leave, number
    elif speed > 1e-9:
        distance = -offset / speed
        if distance < leave:
            return entry, distance, face
    elif offset > 0.0:
        return entry, -1.0, face
    return entry, leave, face


@compiled
def _hit_body(
    shape: np.ndarray, length: float, width: float, height: float, oa: float, oc: float, oh: float,
    da: float, dc: float, dh: float,
) -> tuple[float, int]:  # fmt: skip
    """Where the ray (origin o, direction d; along, across, height) enters the lower body: distance (-1), face."""
    half = 0.5 * length
    side = 0.5 * width
    belt = shape[3] * height
    nose = shape[4] * height
    tail = shape[5] * height
    entry, leave, face = 0.0, 1e9, -1
    entry, leave, face = _clip(entry, leave, face, 0, oc - side, dc)
    entry, leave, face = _clip(entry, leave, face, 1, -oc - side, -dc)
    # Front and rear lean a little, like bumpers under a bonnet.
    entry, leave, face = _clip(entry, leave, face, 2, oa + 0.12 * oh - half, da + 0.12 * dh)
    entry, leave, face = _clip(entry, leave, face, 3, -oa + 0.08 * oh - half, -da + 0.08 * dh)
    entry, leave, face = _clip(entry, leave, face, 4, oh - belt, dh)
    entry, leave, face = _clip(entry, leave, face, 5, 0.2 - oh, -dh)
    bonnet = shape[10] * half
    if half - bonnet > 0.05:
        slope = (belt - nose) / (half - bonnet)
        entry, leave, face = _clip(entry, leave, face, 6, oh + slope * (oa - bonnet) - belt, dh + slope * da)
    boot = shape[11] * half
    if half + boot > 0.05:
        slope = (belt - tail) / (half + boot)
        entry, leave, face = _clip(entry, leave, face, 7, oh - slope * (oa - boot) - belt, dh - slope * da)
    # A shoulder: the sides lean in above the wheels.
    lean = 0.10
    entry, leave, face = _clip(entry, leave, face, 0, oc + lean * (oh - 0.5 * belt) - side, dc + lean * dh)
    entry, leave, face = _clip(entry, leave, face, 1, -oc + lean * (oh - 0.5 * belt) - side, -dc + lean * dh)
    if face < 0 or entry >= leave:
        return -1.0, -1
    return entry, face


@compiled
def _hit_cabin(
    model: int, shape: np.ndarray, length: float, width: float, height: float, oa: float, oc: float, oh: float,
    da: float, dc: float, dh: float,
) -> tuple[float, int]:  # fmt: skip
    """As `_hit_body`, for the cabin or the cargo box above the belt."""
    half = 0.5 * length
    belt = shape[3] * height
    rise = height - belt
    side = 0.5 * width - 0.05 * belt
    lean = 0.30 if model <= ESTATE else 0.03
    entry, leave, face = 0.0, 1e9, -1
    entry, leave, face = _clip(entry, leave, face, 0, oc + lean * (oh - belt) - side, dc + lean * dh)
    entry, leave, face = _clip(entry, leave, face, 1, -oc + lean * (oh - belt) - side, -dc + lean * dh)
    slope = (shape[6] - shape[7]) * half / rise
    entry, leave, face = _clip(entry, leave, face, 2, oa + slope * (oh - belt) - shape[6] * half, da + slope * dh)
    slope = (shape[8] - shape[9]) * half / rise
    entry, leave, face = _clip(entry, leave, face, 3, -oa + slope * (oh - belt) + shape[9] * half, -da + slope * dh)
    entry, leave, face = _clip(entry, leave, face, 4, oh - height, dh)
    entry, leave, face = _clip(entry, leave, face, 5, belt - 0.04 - oh, -dh)
    if model <= ESTATE:  # the edge between roof and sides is rounded off by one more plane
        entry, leave, face = _clip(entry, leave, face, 4, oh - height + 0.5 * (oc - 0.42 * width + 0.2), dh + 0.5 * dc)
        entry, leave, face = _clip(entry, leave, face, 4, oh - height + 0.5 * (-oc - 0.42 * width + 0.2), dh - 0.5 * dc)
    if face < 0 or entry >= leave:
        return -1.0, -1
    return entry, face


@compiled
def _hit_wheel(
    model: int, length: float, width: float, oa: float, oc: float, oh: float, da: float, dc: float, dh: float
) -> tuple[float, float]:
    """Where the ray meets the outside of a wheel: distance (-1 when it misses), radius there as share of the wheel."""
    if abs(dc) < 1e-6:
        return -1.0, 0.0
    plane = math.copysign(0.5 * width + 0.01, oc)
    distance = (plane - oc) / dc
    if distance <= 0.0:
        return -1.0, 0.0
    along = oa + distance * da
    radius = _WHEELS[model, 2]
    height = oh + distance * dh - radius
    axle = 0.5 * length - _WHEELS[model, 0]
    if along < 0.0:
        axle = -0.5 * length + _WHEELS[model, 1]
    squared = (along - axle) ** 2 + height * height
    if squared > radius * radius:
        return -1.0, 0.0
    return distance, math.sqrt(squared) / radius


@compiled
def hit_vehicle(
    model: int, red: float, green: float, blue: float, length: float, width: float, height: float,
    oa: float, oc: float, oh: float, da: float, dc: float, dh: float,
) -> tuple[float, float, float, float, float, float, float, float]:  # fmt: skip
    """The first point of a vehicle on a ray.

    Args:
        model: Type, colour and size as `vehicle_at` returns them.
        red: Paint, 0..255.
        green: Paint, 0..255.
        blue: Paint, 0..255.
        length: Metres.
        width: Metres.
        height: Metres.
        oa: Ray origin along the vehicle, metres.
        oc: Ray origin across it.
        oh: Ray origin above the ground.
        da: Ray direction along; distances are in multiples of the direction's length.
        dc: Ray direction across.
        dh: Ray direction up.

    Returns:
        distance (-1 when missed), red, green, blue, gloss (share of mirrored sky), normal along, across, up.
    """
    shape = _SHAPES[model]
    cabin, cabin_face = _hit_cabin(model, shape, length, width, height, oa, oc, oh, da, dc, dh)
    body, body_face = _hit_body(shape, length, width, height, oa, oc, oh, da, dc, dh)
    wheel, radius = _hit_wheel(model, length, width, oa, oc, oh, da, dc, dh)
    distance = cabin
    if distance < 0.0 or (0.0 <= body < distance):
        distance = body
    if wheel >= 0.0 and (distance < 0.0 or wheel < distance + 0.15):
        if radius < 0.62:
            grey = 120.0 + 60.0 * (radius < 0.5) - 50.0 * (radius < 0.16)
            return wheel, grey, grey, grey + 3.0, 0.1, 0.0, math.copysign(1.0, oc), 0.0
        return wheel, 26.0, 26.0, 28.0, 0.0, 0.0, math.copysign(1.0, oc), 0.0
    if distance < 0.0:
        return -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    along = oa + distance * da
    across = oc + distance * dc
    up = oh + distance * dh
    if distance == cabin:
        r, g, b, gloss = _cabin_colour(model, cabin_face, red, green, blue, length, width, height, along, across, up)
        face = cabin_face
    else:
        r, g, b, gloss = _body_colour(model, body_face, red, green, blue, length, width, height, along, across, up)
        face = body_face
    if face == 0:
        return distance, r, g, b, gloss, 0.0, 0.97, 0.25
    if face == 1:
        return distance, r, g, b, gloss, 0.0, -0.97, 0.25
    if face == 2:
        return distance, r, g, b, gloss, 0.9, 0.0, 0.43
    if face == 3:
        return distance, r, g, b, gloss, -0.95, 0.0, 0.3
    return distance, r, g, b, gloss, 0.0, 0.0, 1.0


@compiled
def _cabin_colour(
    model: int, face: int, red: float, green: float, blue: float, length: float, width: float, height: float,
    along: float, across: float, up: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    shape = _SHAPES[model]
    half = 0.5 * length
    belt = shape[3] * height
    rise = (up - belt) / (height - belt)
    if model == LORRY and along > 0.40 * half:  # the cab, and the gap behind it
        if along < 0.44 * half:
            return 40.0, 40.0, 42.0, 0.0
        window = along > 0.6 * half if face <= 1 else face == 2 and abs(across) < 0.44 * width
        if window and 0.2 < rise < 0.62 and (face == 2 or along < 0.9 * half):
            return 40.0, 46.0, 53.0, 0.4
        return red, green, blue, 0.1
    if model == LORRY:
        stripe = 0.45 < rise < 0.62 and face <= 1
        if stripe:
            return red, green, blue, 0.05
        return 216.0, 216.0, 212.0, 0.05
    if face == 4 or face == 5:
        return red, green, blue, 0.14
    if face <= 1:
        front = (shape[6] + (shape[7] - shape[6]) * rise) * half
        rear = (shape[9] + (shape[8] - shape[9]) * rise) * half
        if model == BUS:
            if rise > 0.72:
                return red, green, blue, 0.1
            post = (along / 1.45) - math.floor(along / 1.45)
            if post < 0.07 or rise < 0.04:
                return 30.0, 32.0, 34.0, 0.1
            return 44.0, 52.0, 58.0, 0.42
        if model == VAN and along < 0.28 * half:
            return red, green, blue, 0.12
        pillar = 0.06 * length if model != VAN else 0.02 * length
        middle = 0.5 * (front + rear) + 0.02 * length
        if (
            rise > 0.86
            or along > front - 0.05
            or along < rear + pillar
            or (model != VAN and abs(along - middle) < 0.045)
        ):
            return 0.9 * red, 0.9 * green, 0.9 * blue, 0.1
        if rise < 0.05:
            return 30.0, 30.0, 32.0, 0.1
        return 34.0, 39.0, 45.0, 0.38
    edge = 0.5 * width - abs(across) - (0.30 if model <= ESTATE else 0.03) * (up - belt)
    if edge < 0.13 or rise > 0.9 or (model == VAN and face == 3):
        if model == VAN and face == 3 and abs(across) < 0.02:
            return 0.4 * red, 0.4 * green, 0.4 * blue, 0.05
        return red, green, blue, 0.12
    if model == BUS and rise > 0.78:
        return (240.0, 170.0, 50.0, 0.0) if abs(across) < 0.7 and face == 2 else (24.0, 26.0, 28.0, 0.1)
    return 40.0, 46.0, 53.0, 0.45


@compiled
def _body_colour(
    model: int, face: int, red: float, green: float, blue: float, length: float, width: float, height: float,
    along: float, across: float, up: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    shape = _SHAPES[model]
    half = 0.5 * length
    belt = shape[3] * height
    side = abs(across)
    rim = 0.5 * width - side
    if model == LORRY and along < 0.42 * half:
        return 52.0, 54.0, 56.0, 0.0
    if face <= 1:
        radius = _WHEELS[model, 2]
        axle = half - _WHEELS[model, 0] if along > 0.0 else -half + _WHEELS[model, 1]
        if (along - axle) ** 2 + (up - radius) ** 2 < (radius + 0.05) ** 2:
            return 16.0, 16.0, 17.0, 0.0
        if up < 0.3:
            return 36.0, 36.0, 38.0, 0.0
        if along > half - 0.25 and 0.62 * belt < up < 0.85 * belt:
            return 226.0, 228.0, 226.0, 0.1
        if along < -half + 0.22 and 0.62 * belt < up < 0.92 * belt:
            return 168.0, 24.0, 22.0, 0.1
        if model <= VAN:
            door = 0.5 * (shape[6] + shape[9]) * half + 0.02 * length
            if abs(along - door) < 0.014 or abs(along - shape[6] * half) < 0.014:
                return 0.5 * red, 0.5 * green, 0.5 * blue, 0.05
            if abs(up - 0.82 * belt) < 0.018 and 0.10 < along - door + 0.28 < 0.26:
                return 0.6 * red, 0.6 * green, 0.6 * blue, 0.1
        return red, green, blue, 0.12
    if face == 2:
        if up < 0.34:
            return 40.0, 40.0, 42.0, 0.0
        if 0.60 * belt < up < 0.80 * belt and rim < 0.42:
            return 236.0, 238.0, 236.0, 0.15
        if 0.44 * belt < up < 0.56 * belt and side < 0.27:
            return 232.0, 232.0, 226.0, 0.0
        if 0.40 * belt < up < 0.72 * belt and rim > 0.46:
            return 30.0, 31.0, 33.0, 0.1
        return red, green, blue, 0.12
    if face == 3:
        if up < 0.36:
            return 40.0, 40.0, 42.0, 0.0
        if 0.62 * belt < up < 0.92 * belt and rim < 0.30:
            return 176.0, 22.0, 20.0, 0.12
        if 0.58 * belt < up < 0.72 * belt and side < 0.27:
            return 232.0, 232.0, 222.0, 0.0
        if abs(up - 0.5 * belt) < 0.02:
            return 0.5 * red, 0.5 * green, 0.5 * blue, 0.0
        return red, green, blue, 0.12
    if model in (LORRY, BUS):
        return red, green, blue, 0.08
    return red, green, blue, 0.2
