"""A seed's world for the street, the same world for the map, and the light in which each is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tiercel.sim.ageing import older
from tiercel.sim.city import make_world
from tiercel.sim.difficulty import Difficulty, Range
from tiercel.sim.difficulty import difficulty as named
from tiercel.sim.overhead import OverheadLook
from tiercel.sim.sky import StreetLook
from tiercel.sim.world import World


@dataclass(frozen=True)
class Scenario:
    """What one data set, or one training city, is made of.

    Attributes:
        difficulty: How hard it is.
        world: The world as it is: what street pictures show.
        overhead_look: Light, season and sensor of the map, and how buildings lean on it.
    """

    difficulty: Difficulty
    world: World
    overhead_look: OverheadLook

    @classmethod
    def of(cls, world: World, difficulty: str | Difficulty, rng: np.random.Generator) -> Scenario:
        """A scenario in a world that has been made for its difficulty already.

        Args:
            world: The world as it is.
            difficulty: A difficulty or its name.
            rng: Draws the map's look.
        """
        level = named(difficulty)
        look = OverheadLook.sample(rng)
        if level.lean[1] > 0.0:
            nadir = rng.uniform(0.2, 0.8, 2)
            look = replace(look, lean=float(rng.uniform(*level.lean)), nadir=(float(nadir[0]), float(nadir[1])))
        return cls(level, world, look)

    @cached_property
    def map_world(self) -> World:
        """The world when its map was flown; the same one where the difficulty has it that nothing changed since."""
        return older(self.world, np.random.default_rng([self.world.seed, 102]), self.difficulty)

    @property
    def eye_heights(self) -> dict[str, Range]:
        """Between which heights cameras are held, metres, by who holds them: "foot", "car" and "roof"."""
        return self.difficulty.eye_heights

    def street_look(self, rng: np.random.Generator) -> StreetLook:
        """Draw the look of one street picture, of another season than the map's where the difficulty has it so."""
        look, level = StreetLook.sample(rng), self.difficulty
        if level.seasons_apart > 0.0:
            later = rng.uniform(level.seasons_apart, 4.0 - level.seasons_apart)
            look = replace(look, season=float((self.overhead_look.season + later) % 4.0))
        if level.noise != 1.0:
            look = replace(look, noise=level.noise * look.noise)
        if level.sharpest < 1.0:
            look = replace(look, sharpness=0.5 * (look.sharpness + 1.0) * (level.sharpest + 1.0) - 1.0)
        return look


def scenario(seed: int, size: float, difficulty: str | Difficulty, rng: np.random.Generator) -> Scenario:
    """Make a world and draw how its map looks.

    Args:
        seed: Of the world; a world's age and its hills follow from it as well.
        size: Side of the world, metres.
        difficulty: A difficulty or its name.
        rng: Draws the map's look, and nothing else.

    Raises:
        TiercelError: There is no such difficulty.
    """
    return Scenario.of(make_world(seed, size, difficulty=difficulty), difficulty, rng)
