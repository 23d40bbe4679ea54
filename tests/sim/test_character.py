"""The character of cities."""

import random

from tiercel.sim.character import draw_character, from_hsv, vary


def test_cities_differ_and_a_seed_repeats() -> None:
    assert draw_character(random.Random(1)) == draw_character(random.Random(1))
    assert len({draw_character(random.Random(seed)).asphalt for seed in range(20)}) == 20


def test_colours_stay_colours() -> None:
    rng = random.Random(0)
    for _ in range(200):
        colour = vary(rng, from_hsv(rng.random(), rng.uniform(-0.5, 1.5), rng.uniform(-0.5, 1.5)), 0.5, 0.5)
        assert all(8.0 <= channel <= 248.0 for channel in colour)
