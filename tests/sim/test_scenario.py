"""What a data set or a training city is made of."""

import numpy as np
import pytest

from tiercel.sim import EYE_HEIGHTS, OverheadLook, Scenario, StreetLook, make_world, scenario
from tiercel.sim.difficulty import DIFFICULTIES
from tiercel.sim.world import World


def test_a_plain_scenario_draws_what_would_be_drawn_without_one() -> None:
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    scene = scenario(11, 300.0, "plain", one)
    assert scene.overhead_look == OverheadLook.sample(other)
    assert [scene.street_look(one) for _ in range(3)] == [StreetLook.sample(other) for _ in range(3)]
    assert scene.map_world is scene.world and scene.eye_heights == EYE_HEIGHTS
    assert np.array_equal(scene.world.ground, make_world(11, 300.0).ground)


@pytest.mark.parametrize("seed", range(4))
def test_the_map_of_a_hard_scenario_is_of_another_season(world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = Scenario.of(world, "hard", rng)
    apart = [abs(scene.street_look(rng).season - scene.overhead_look.season) for _ in range(50)]
    assert min(min(gap, 4.0 - gap) for gap in apart) >= 1.0 - 1e-9
    assert max(min(gap, 4.0 - gap) for gap in apart) > 1.5


def test_a_hard_scenario_has_an_older_map_with_leaning_houses(world: World) -> None:
    rng = np.random.default_rng(1)
    scene = Scenario.of(world, "hard", rng)
    assert scene.map_world is not scene.world and scene.map_world is scene.map_world
    low, high = DIFFICULTIES["hard"].lean
    assert low <= scene.overhead_look.lean <= high
    assert scene.eye_heights["foot"][0] < EYE_HEIGHTS["foot"][0] and scene.eye_heights["roof"][1] > 3.0


def test_hard_pictures_are_noisier_and_softer(world: World) -> None:
    looks = [
        [Scenario.of(world, name, np.random.default_rng(1)).street_look(np.random.default_rng(k)) for k in range(60)]
        for name in ("plain", "hard")
    ]
    noise, sharpness = (
        [[getattr(look, name) for look in all_of] for all_of in looks] for name in ("noise", "sharpness")
    )
    assert np.mean(noise[1]) > 1.5 * np.mean(noise[0])
    assert max(sharpness[1]) < 0.31 < max(sharpness[0]) and min(sharpness[1]) >= -1.0
