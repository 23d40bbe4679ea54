"""Plain worlds are what they have always been; hard ones differ from them as announced."""

import hashlib
from dataclasses import fields
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest

from tests.sim.conftest import SEED
from tiercel.errors import TiercelError
from tiercel.sim import (
    DIFFICULTIES,
    Difficulty,
    OverheadLook,
    StreetLook,
    StreetRenderer,
    difficulty,
    make_world,
    render_overhead,
)
from tiercel.sim.difficulty import in_words
from tiercel.sim.vehicles import BUSY, LORRY, VAN, vehicle_at
from tiercel.sim.world import Surface, World

HERE = ("znver5", "0.68.1")
"""Where the hashes below were taken: compiled code may round the last bit otherwise on another processor."""
ABOVE = [81, 77, 79, 80, 73, 88, 71, 65, 85]
STREET = [67, 62, 132, 119, 77, 91, 104, 94, 98]
COUNTS = [292, 415, 513, 282]


@pytest.fixture(scope="module")
def hilly() -> World:
    return make_world(SEED, 400.0, difficulty="hard")


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def thumbnail(picture: np.ndarray) -> list[int]:
    """Mean brightness of three by three fields."""
    rows = np.array_split(picture.mean(axis=2), 3)
    return [round(float(field.mean())) for row in rows for field in np.array_split(row, 3, axis=1)]


def test_a_plain_world_and_its_pictures_are_those_from_before_there_were_difficulties(world: World) -> None:
    rng = np.random.default_rng([SEED, 1])
    above = render_overhead(world, 0.49, day=3, look=OverheadLook.sample(rng))
    street = StreetRenderer(world).perspective(200.0, 200.0, 1.7, 33.0, 2.0, 80.0, 120, 160, StreetLook.sample(rng))
    assert thumbnail(above) == pytest.approx(ABOVE, abs=1)
    assert thumbnail(street) == pytest.approx(STREET, abs=1)
    tables = [getattr(world, item.name) for item in fields(World)]
    assert [len(getattr(world, name)) for name in ("parts", "plants", "slots", "walkers")] == COUNTS
    if (llvmlite.binding.get_host_cpu_name(), numba.__version__) == HERE:
        assert digest(*(table for table in tables if isinstance(table, np.ndarray))) == "9e0b62c2ad5cd8df"
        assert (digest(above), digest(street)) == ("92dbed1fbcba53ad", "64bdf3dbdc7984a3")


def test_difficulties_go_by_their_names_and_an_unknown_one_is_refused() -> None:
    assert {name: difficulty(name) for name in DIFFICULTIES} == DIFFICULTIES
    assert difficulty(DIFFICULTIES["hard"]) is DIFFICULTIES["hard"]
    with pytest.raises(TiercelError, match="no difficulty 'harder': choose from plain, hard"):
        difficulty("harder")
    with pytest.raises(TiercelError, match="no difficulty"):
        make_world(SEED, 300.0, difficulty="harder")


def test_a_hard_world_has_the_same_streets_over_the_same_river(world: World, hilly: World) -> None:
    assert np.array_equal(world.surface, hilly.surface) and np.array_equal(world.u, hilly.u)
    river = world.features["kind"][world.feature] == 3
    water = river & (world.surface == Surface.WATER)
    assert np.array_equal(world.ground[water], hilly.ground[water])


def test_gentle_ground_becomes_hilly_and_no_hill_too_steep() -> None:
    plain, hard = (make_world(20010, 400.0, difficulty=name) for name in ("plain", "hard"))
    slopes = [np.hypot(*np.gradient(one.ground, 0.5)) for one in (plain, hard)]
    assert np.median(slopes[1]) > 3.0 * np.median(slopes[0])
    assert DIFFICULTIES["hard"].slope is not None
    assert np.quantile(slopes[1], 0.98) < 1.3 * DIFFICULTIES["hard"].slope[1]


def test_ponds_and_pitches_are_level(hilly: World) -> None:
    for kind in (Surface.SPORT, Surface.WATER):
        for row in np.unique(hilly.feature[hilly.surface == kind]):
            own = (hilly.feature == row) & (hilly.surface == kind)
            assert np.ptp(hilly.ground[own]) < 1.0


def test_houses_on_a_slope_reach_into_the_ground_and_stand_out_of_it(hilly: World) -> None:
    parts, texel = hilly.parts, (hilly.parts["centre"] / 0.5).astype(int)
    rows, cols = np.clip(hilly.texels - 1 - texel[:, 1], 0, hilly.texels - 1), np.clip(texel[:, 0], 0, None)
    ground = hilly.ground[rows, cols]
    houses = parts["facade"] != 8
    assert (parts["base"] <= ground + 0.5)[houses].mean() > 0.98
    assert (parts["eave"] > ground + 1.0)[houses].mean() > 0.98


def test_a_hard_world_is_crowded(world: World, hilly: World) -> None:
    assert len(hilly.walkers) > 2.0 * len(world.walkers)
    assert len(hilly.slots) > len(world.slots) and len(hilly.plants) >= len(world.plants)
    taken = [[vehicle_at(slot, 1, kind + more) for slot in range(3000)] for more in (0, BUSY) for kind in (0, 1)]
    here = [np.mean([vehicle[0] for vehicle in kind]) for kind in taken]
    large = [np.mean([vehicle[1] in (VAN, LORRY) for vehicle in kind]) for kind in taken]
    assert here[2] > here[0] + 0.1 and here[3] > here[1] + 0.1
    assert large[2] > large[0] + 0.1 and large[3] > large[1] + 0.1


def test_a_difficulty_of_ones_own_is_taken_as_it_is(world: World) -> None:
    lonely = make_world(SEED, 400.0, difficulty=Difficulty(name="lonely", crowd=0.0))
    assert len(lonely.walkers) == 0
    assert np.array_equal(lonely.ground, world.ground)


def test_the_documentation_has_the_numbers_of_the_hard_world() -> None:
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    words = " ".join(text.split())
    for line in in_words(DIFFICULTIES["hard"]):
        assert line in words
