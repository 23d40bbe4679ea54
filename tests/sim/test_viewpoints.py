import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.errors import TiercelError
from tiercel.sim.viewpoints import sample_viewpoints
from tiercel.sim.world import TEXEL, Surface, World


@pytest.mark.parametrize(("kind", "surfaces"), [
    ("street", {Surface.ROAD}),
    ("pavement", {Surface.PAVEMENT, Surface.PATH, Surface.PLAZA}),
])  # fmt: skip
def test_viewpoints_stand_where_a_camera_can(world: World, kind: str, surfaces: set[Surface]) -> None:
    points = sample_viewpoints(world, 200, np.random.default_rng(1), kind=kind, margin=40.0)  # type: ignore[arg-type]
    assert len(points) == 200
    assert min(points["x"].min(), points["y"].min()) >= 40.0
    assert max(points["x"].max(), points["y"].max()) <= world.size - 40.0
    row = ((world.size - points["y"]) / TEXEL).astype(int)
    column = (points["x"] / TEXEL).astype(int)
    assert set(world.surface[row, column].tolist()) <= {int(surface) for surface in surfaces}
    assert not world.building[row, column].any()
    gaps = np.hypot(world.plants["x"] - points["x"][:, None], world.plants["y"] - points["y"][:, None])
    assert gaps.min() >= 1.0
    assert ((points["heading"] >= 0) & (points["heading"] < 360)).all()


def test_a_mapping_car_keeps_right_and_in_its_lane() -> None:
    points = sample_viewpoints(handmade(), 100, np.random.default_rng(2), margin=20.0)
    east = points["x"] > 80.0
    assert east.any() and not east.all()
    assert points["heading"][east] == pytest.approx(0.0, abs=1.0)  # north on the eastern side
    assert points["heading"][~east] == pytest.approx(180.0, abs=1.0)
    assert np.abs(points["x"] - 80.0) == pytest.approx(2.5, abs=0.8)  # the middle of a lane of 5 m


def test_the_same_state_gives_the_same_places(world: World) -> None:
    first, second = (sample_viewpoints(world, 20, np.random.default_rng(5), margin=40.0) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_city_without_room_is_an_error(world: World) -> None:
    with pytest.raises(TiercelError, match="too few places"):
        sample_viewpoints(world, 5, np.random.default_rng(0), margin=world.size / 2)


def test_an_unknown_kind_is_an_error(world: World) -> None:
    with pytest.raises(TiercelError, match="'street' or 'pavement'"):
        sample_viewpoints(world, 5, np.random.default_rng(0), kind="roof")  # type: ignore[arg-type]
