"""Why an answer is wrong, as far as the simulator knows: which street, which district, what stood in the way.

Coordinates are metres in the city's own frame, x east and y north of its south-west corner.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.datasets.simulated import SimulatedSample, corner
from tiercel.sim import StreetLook, StreetRenderer, World
from tiercel.sim.landcover import CLASSES, land_cover
from tiercel.sim.world import TEXEL

CAUSES = {
    "same_street": "the same street, seen from elsewhere",
    "heading": "heading error: told the heading, it is right",
    "occluded": "vehicles, people or near trees hide much of it",
    "twin": "twin district: the map looks alike there",
    "nearly": "nearly right: 50 to 100 m off",
    "not_candidate": "the truth was not among the first stage's candidates",
    "other": "other",
}
"""In the order in which they are looked for; an answer counts once, for the first that holds."""

OCCLUDED_SHARE = 0.3
"""An answer counts as occluded from this share of the picture on."""
NEAR_TREE_M = 15.0
"""Trees nearer than this hide what a photo is to see; others are part of it."""
DIFFERENCE = 20
"""Grey levels by which a pixel has to change when movable things go."""
STREET_M = 12.0
"""How far off a street's own ground somebody may stand who is still on it."""
BESIDE_DEG, TURNED_DEG = 10.0, 15.0
"""How far the way from truth to answer may turn from the street, and the street itself from one to the other, where one
street goes on as another."""
LIKE = 0.9
"""Correlation of the shares of land cover from which two places look alike."""
AROUND_M, CELL_M = 60.0, 4.0
"""Half the side of the ground that is compared, and the cells it is compared in."""
NEARLY_M = 100.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Facts:
    """What is known about a wrong answer.

    Attributes:
        error_m: Its distance to the truth.
        same_street: Whether both lie on one street, or on streets that go on as one another.
        right_when_told: Whether the answer is right once the heading is told; None where it was.
        occluded: Share of the picture that vehicles, people and near trees hide.
        same_style: Whether both lie in districts of the same style.
        likeness: Correlation of the shares of land cover around both, -1 to 1.
        among_candidates: Whether one of the first stage's candidates was right.
    """

    error_m: float
    same_street: bool
    right_when_told: bool | None
    occluded: float
    same_style: bool
    likeness: float
    among_candidates: bool


def cause_of(facts: Facts) -> str:
    """The first of `CAUSES` that holds."""
    holds = {
        "same_street": facts.same_street,
        "heading": bool(facts.right_when_told),
        "occluded": facts.occluded >= OCCLUDED_SHARE,
        "twin": facts.same_style and facts.likeness >= LIKE,
        "nearly": facts.error_m <= NEARLY_M,
        "not_candidate": not facts.among_candidates,
        "other": True,
    }
    return next(cause for cause in CAUSES if holds[cause])


class Ground:
    """What lies where in a city, for comparing two places of it.

    Args:
        world: The city.
    """

    def __init__(self, world: World) -> None:
        """Looks at the land cover once."""
        self.world = world
        self._cover = land_cover(world, round(world.size / CELL_M))

    def street(self, at: Point) -> tuple[int, float] | None:
        """The nearest street within `STREET_M`: row of its feature, and the direction it runs in there, degrees."""
        row, col = self._texel(at)
        reach = round(STREET_M / TEXEL)
        top, left = max(0, row - reach), max(0, col - reach)
        window = (slice(top, row + reach + 1), slice(left, col + reach + 1))
        feature = self.world.feature[window]
        owned = (feature >= 0) & (self.world.features["kind"][np.maximum(feature, 0)] == 0)
        rows, cols = np.nonzero(owned)
        if not len(rows):
            return None
        away = np.hypot(rows + top - row, cols + left - col)
        nearest = int(away.argmin())
        if away[nearest] > reach:
            return None
        found = int(feature[rows[nearest], cols[nearest]])
        return found, self._direction(found, feature, self.world.v[window])

    @staticmethod
    def _direction(street: int, feature: NDArray[np.int32], along: NDArray[np.float32]) -> float:
        """Azimuth, modulo 180 degrees, in which the distance along a street grows in a window."""
        rows, cols = np.nonzero(feature == street)
        table = np.stack([cols, -rows, np.ones(len(rows))], 1).astype(np.float64)
        east, north, _ = np.linalg.lstsq(table, along[rows, cols].astype(np.float64), rcond=None)[0]
        return math.degrees(math.atan2(east, north)) % 180.0

    def same_street(self, truth: Point, answer: Point) -> bool:
        """Whether two places lie on one street, or on streets that go on as one another."""
        one, other = self.street(truth), self.street(answer)
        if one is None or other is None:
            return False
        if one[0] == other[0]:
            return True
        way = math.degrees(math.atan2(answer[0] - truth[0], answer[1] - truth[1]))
        return _apart(way, one[1]) <= BESIDE_DEG and _apart(one[1], other[1]) <= TURNED_DEG

    def same_style(self, truth: Point, answer: Point) -> bool:
        """Whether two places lie in districts of the same style."""
        styles = [int(self.world.features["style"][self.world.feature[self._texel(at)]]) for at in (truth, answer)]
        return styles[0] == styles[1]

    def likeness(self, truth: Point, answer: Point) -> float:
        """Correlation of how much of each land cover lies around two places."""
        shares = np.stack([self._shares(truth), self._shares(answer)])
        shares = shares[:, shares.any(0)]
        if shares.shape[1] < 2 or not shares.std(1).all():
            return float(np.allclose(shares[0], shares[1]))
        centred = shares - shares.mean(1, keepdims=True)
        return float(centred[0] @ centred[1] / np.prod(np.linalg.norm(centred, axis=1)))

    def _shares(self, at: Point) -> NDArray[np.float64]:
        row, col = (int(value / CELL_M) for value in (self.world.size - at[1], at[0]))
        reach = round(AROUND_M / CELL_M)
        part = self._cover[max(0, row - reach) : row + reach + 1, max(0, col - reach) : col + reach + 1]
        return np.bincount(part.ravel(), minlength=CLASSES) / max(1, part.size)

    def _texel(self, at: Point) -> tuple[int, int]:
        last = self.world.texels - 1
        row, col = int((self.world.size - at[1]) / TEXEL), int(at[0] / TEXEL)
        return min(max(row, 0), last), min(max(col, 0), last)


def _apart(one: float, other: float) -> float:
    """Degrees between two directions of a line, 0 to 90."""
    return abs((one - other + 90.0) % 180.0 - 90.0)


def occluded_share(renderer: StreetRenderer, sample: SimulatedSample, day: int) -> float:
    """Share of a photo that vehicles, people and near trees hide.

    It is rendered small and in flat light, with these and without; whatever then looks different was hidden.

    Args:
        renderer: Of the whole city.
        sample: The photo.
        day: Of its look: which vehicles and people there were.
    """
    world = renderer.world
    west, south = corner(world.seed)
    x, y = sample.x - west, sample.y - south
    far = np.hypot(world.plants["x"] - x, world.plants["y"] - y) > NEAR_TREE_M
    bare = dataclasses.replace(world, plants=world.plants[far], slots=world.slots[:0], walkers=world.walkers[:0])
    look = StreetLook(weather="overcast", day=day)
    with_them, without = (_small(one, sample, x, y, look) for one in (renderer, StreetRenderer(bare)))
    return float((np.abs(with_them - without).max(2) >= DIFFERENCE).mean())


def _small(
    renderer: StreetRenderer, sample: SimulatedSample, x: float, y: float, look: StreetLook
) -> NDArray[np.int64]:
    if sample.kind == "panorama":
        picture = renderer.cylinder(x, y, sample.eye_height, sample.heading, 64, 256, 0.786, look, samples=1)
    else:
        picture = renderer.perspective(
            x, y, sample.eye_height, sample.heading, sample.pitch, sample.field_of_view, 96, 128, look, samples=1
        )
    return picture.astype(np.int64)
