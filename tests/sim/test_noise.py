import numpy as np
import pytest

from tiercel.sim.noise import hash_unit, smooth_step, value_noise


def test_hashes_are_even_and_depend_on_every_argument() -> None:
    values = np.array([hash_unit(i, j, 3) for i in range(-40, 40) for j in range(-40, 40)])
    assert values.min() >= 0.0 and values.max() < 1.0
    assert np.histogram(values, 8, (0, 1))[0] == pytest.approx(np.full(8, 800), rel=0.15)
    assert len({hash_unit(1, 2, 3), hash_unit(2, 1, 3), hash_unit(1, 2, 4), hash_unit(1, 3, 3)}) == 4


def test_noise_is_smooth_and_meets_its_lattice() -> None:
    line = np.array([value_noise(x, 0.3, 5) for x in np.linspace(-3, 3, 601)])
    assert np.abs(np.diff(line)).max() < 0.02
    assert value_noise(2.0, -1.0, 5) == pytest.approx(hash_unit(2, -1, 5))


def test_a_smooth_step_is_flat_at_both_ends() -> None:
    assert smooth_step(1.0, 3.0, 0.0) == 0.0 and smooth_step(1.0, 3.0, 4.0) == 1.0
    assert smooth_step(1.0, 3.0, 2.0) == pytest.approx(0.5)
