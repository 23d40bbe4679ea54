"""A procedural city in 2.5 dimensions, seen from above and from the street."""

from tiercel.sim.ageing import older
from tiercel.sim.city import make_world
from tiercel.sim.difficulty import DIFFICULTIES, Difficulty, difficulty
from tiercel.sim.overhead import OverheadLook, OverheadRenderer, render_overhead
from tiercel.sim.scenario import Scenario, scenario
from tiercel.sim.shadows import cast_shadows
from tiercel.sim.sky import StreetLook
from tiercel.sim.street import StreetRenderer
from tiercel.sim.viewpoints import EYE_HEIGHTS, sample_drives, sample_viewpoints
from tiercel.sim.world import World

__all__ = [
    "DIFFICULTIES",
    "EYE_HEIGHTS",
    "Difficulty",
    "OverheadLook",
    "OverheadRenderer",
    "Scenario",
    "StreetLook",
    "StreetRenderer",
    "World",
    "cast_shadows",
    "difficulty",
    "make_world",
    "older",
    "render_overhead",
    "sample_drives",
    "sample_viewpoints",
    "scenario",
]
