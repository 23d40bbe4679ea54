"""One small city shared by all tests of the simulator: making it costs a moment, compiling what makes it costs more."""

import pytest

from tiercel.sim.city import make_world
from tiercel.sim.world import World


@pytest.fixture(scope="session")
def world() -> World:
    """A city of 400 m with a crossroads, a roundabout, a river and a bridge."""
    return make_world(SEED, 400.0)


SEED = 23
