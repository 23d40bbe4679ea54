"""Trees and bushes as a person in the street sees them: where a ray meets a trunk, leaves, needles or bare twigs."""

from __future__ import annotations

import math

from tiercel.sim.compiled import compiled
from tiercel.sim.inlined import inlined
from tiercel.sim.noise import hash_unit, smooth_step, value_noise
from tiercel.sim.world import Plant

_CONIFER, _PALM, _BUSH = int(Plant.CONIFER), int(Plant.PALM), int(Plant.BUSH)

Hit = tuple[float, float, float, float, float]
"""Distance (-1 when missed), tone (factor on the leaf colour; negative: bark), normal east, north, up."""


@compiled
def trunk_radius(height: float, kind: int) -> float:
    """Radius of a trunk, metres."""
    if kind == _PALM:
        return 0.16
    if kind == _BUSH:
        return 0.03
    return min(0.45, 0.05 + 0.022 * height)


@inlined
def hit_crown(
    kind: int, leaves: float, seed: int, height: float, crown: float, clear: float, aside: float, ahead: float,
    dx: float, dy: float, level: float, tangent: float, detail: float,
) -> Hit:  # fmt: skip
    """Where a ray meets the crown of a plant.

    Args:
        kind: `Plant`.
        leaves: Share of its leaves it wears, 0..1.
        seed: Of the plant.
        height: Total height, metres.
        crown: Radius of the crown.
        clear: Height of the trunk below the crown.
        aside: How far the ray passes to the left of the trunk's axis, metres.
        ahead: Horizontal distance to the point nearest to the axis.
        dx: East part of the ray's azimuth.
        dy: North part.
        level: Height of the eye above the plant's foot.
        tangent: Tangent of the ray's elevation.
        detail: Size of a pixel there, metres.
    """
    if kind == _CONIFER:
        return _conifer(seed, height, crown, clear, aside, ahead, dx, dy, level, tangent, detail)
    if kind == _PALM:
        return _palm(seed, height, crown, aside, ahead, dx, dy, level, tangent)
    low = 0.0 if kind == _BUSH else max(0.0, clear - 0.25)
    high = 0.5 * (height - low)
    middle = low + high
    across, up = 1.0 / (crown * crown), 1.0 / (high * high)
    offset = level - middle
    a = across + tangent * tangent * up
    b = -ahead * across + tangent * offset * up
    c = (ahead * ahead + aside * aside) * across + offset * offset * up - 1.0
    impact = c + 1.0 - b * b / a
    if impact >= 1.0 or c <= 0.0:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    half = math.sqrt((1.0 - impact) / a)
    distance = -b / a - half
    if distance < 0.25:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    z = (level + tangent * distance - middle) / high
    side = aside / crown
    front = (distance - ahead) / crown
    size = max(1.5, 0.75 * crown)
    clump = value_noise(2.1 * size * side + 31.0, 2.1 * size * z * high / crown, seed)
    if leaves < 1.0 and kind != _BUSH:
        # Leaves come and go by clumps and one by one; where there are none, branches fork from the foot of the crown.
        single = value_noise(31.0 * size * side, 31.0 * size * z * high / crown + 3.0, seed + 6)
        if min(1.0, max(0.01, clump + 1.3 * (single - 0.5))) > leaves:
            return _twigs(seed, aside, (z + 1.0) * high, crown, high, distance + half, detail)
    edge = 0.84 + 0.30 * (clump - 0.35)
    fine = 0.5
    if detail < 0.4:
        fine = value_noise(7.0 * size * side, 7.0 * size * z * high / crown + 7.0, seed + 5)
        if detail < 0.06:
            fine = 0.55 * fine + 0.45 * value_noise(23.0 * size * side, 23.0 * size * z * high / crown, seed + 8)
        edge += (fine - 0.5) * 0.24 * (1.0 - smooth_step(0.15, 0.4, detail))
    if impact > edge * edge:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    if fine < 0.13 and impact > 0.4 and kind != _BUSH:  # the sky through a gap
        return -1.0, 0.0, 0.0, 0.0, 0.0
    tone = 0.62 + 0.52 * clump + 0.42 * (fine - 0.5) * (1.0 - smooth_step(0.1, 0.5, detail))
    tone *= 0.80 + 0.26 * (0.5 + 0.5 * z)
    return distance, tone, front * dx + side * -dy, front * dy + side * dx, z


@compiled
def _twigs(seed: int, aside: float, above: float, crown: float, high: float, distance: float, detail: float) -> Hit:
    """Bare branches in the plane of the crown, ``above`` metres over its foot.

    A branch ends in a fork of two, each shorter, thinner and turned its own way. Only the one on the point's side of a
    fork is followed, so that a tree of many branches costs a few steps.
    """
    x, y = aside * high / crown, above
    length, thick, path = 0.42 * high, 0.05 + 0.03 * high, 1
    grain = 0.2 * min(detail, 0.25)
    for order in range(9):
        lean = 0.10 * (hash_unit(path, order, seed) - 0.5)
        along = min(1.0, max(0.0, y / length))
        bow = lean * length * math.sin(math.pi * along)
        off, over = x - bow, y - along * length
        width = thick * (1.0 - 0.3 * along) + grain
        if off * off + over * over < width * width:
            return distance, -1.0, 0.0, 0.0, 0.6
        if y < 0.55 * length * hash_unit(path, order + 20, seed):
            break
        side = 1.0 if x > 0.0 else -1.0
        path = 2 * path + (1 if x > 0.0 else 0)
        turn = side * (0.22 + 0.38 * hash_unit(path, order + 40, seed))
        y -= length * (0.72 + 0.28 * hash_unit(path, order + 60, seed))
        cos, sin = math.cos(turn), math.sin(turn)
        x, y = x * cos - y * sin, x * sin + y * cos
        length *= 0.70 + 0.20 * hash_unit(path, order + 80, seed)
        thick = max(0.007, 0.66 * thick)
    return -1.0, 0.0, 0.0, 0.0, 0.0


@compiled
def _conifer(
    seed: int, height: float, crown: float, clear: float, aside: float, ahead: float, dx: float, dy: float,
    level: float, tangent: float, detail: float,
) -> Hit:  # fmt: skip
    """A cone of drooping branches in tiers."""
    if ahead < 0.6 * crown:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    low = min(clear, 0.25 * height)
    share = (level + tangent * ahead - low) / (height - low)
    if share < -0.04 or share > 1.0:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    tier = share * (3.0 + 0.9 * height)
    tier += 0.7 * abs(aside) / crown
    tier -= math.floor(tier)
    width = crown * (1.0 - share) ** 0.9 * (0.74 + 0.26 * (1.0 - tier))
    noise = 0.5
    if detail < 0.5:
        noise = value_noise(3.5 * aside + 17.0, 3.5 * share * height, seed)
        width *= 0.86 + 0.28 * noise
    if abs(aside) > width:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    side = aside / max(0.05, width)
    front = -math.sqrt(max(0.0, 1.0 - side * side))
    tone = (0.60 + 0.34 * (1.0 - tier) + 0.34 * (noise - 0.5)) * (0.85 + 0.25 * share)
    distance = ahead + 0.8 * front * width
    return distance, tone, front * dx - side * dy, front * dy + side * dx, 0.35


@compiled
def _palm(
    seed: int, height: float, crown: float, aside: float, ahead: float, dx: float, dy: float, level: float,
    tangent: float,
) -> Hit:  # fmt: skip
    """A tuft of hanging fronds on top of a pole."""
    if ahead < 0.5 * crown:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    over = level + tangent * ahead - (height - 0.50 * crown)
    over += 0.45 * aside * aside / crown
    over *= 2.0 if over > 0.0 else 1.0
    reach = math.sqrt(aside * aside + over * over)
    if reach > crown:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    angle = math.atan2(over, aside)
    share = reach / crown
    wave = abs(math.sin(angle * 5.5 + 6.0 * hash_unit(seed, 1, 1)))
    leaflets = 0.12 * math.sin(reach * 40.0)
    if wave < 0.25 + 0.55 * share + leaflets or over < -0.5 * crown:
        return -1.0, 0.0, 0.0, 0.0, 0.0
    return ahead, 0.7 + 0.4 * wave, -0.5 * dx, -0.5 * dy, 0.6
