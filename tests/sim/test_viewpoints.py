import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.errors import TiercelError
from tiercel.sim.viewpoints import sample_drives, sample_viewpoints
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


def test_a_drive_goes_along_streets_place_by_place(world: World) -> None:
    drives = sample_drives(world, 60, np.random.default_rng(4), length=12, margin=40.0)
    assert sum(len(drive) for drive in drives) == 60
    assert all(4 <= len(drive) <= 12 for drive in drives[:-1]) and len({len(drive) for drive in drives}) > 1
    for drive in drives:
        row = ((world.size - drive["y"]) / TEXEL).astype(int)
        column = (drive["x"] / TEXEL).astype(int)
        assert (world.surface[row, column] == Surface.ROAD).all()
        assert min(drive["x"].min(), drive["y"].min()) >= 40.0
        east, north = np.diff(drive["x"]), np.diff(drive["y"])
        assert (np.hypot(east, north) > 4.0).all() and (np.hypot(east, north) < 26.0).all()
        # It looks where it goes, give or take a change of lane.
        ahead = np.degrees(np.arctan2(east, north))
        assert (np.abs((ahead - drive["heading"][:-1] + 180) % 360 - 180) < 60).all()


def test_drives_repeat_and_differ(world: World) -> None:
    first, again, other = (
        np.concatenate(sample_drives(world, 20, np.random.default_rng(seed), margin=40.0)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_city_without_room_for_drives() -> None:
    with pytest.raises(TiercelError, match="too few streets"):
        sample_drives(handmade(), 5, np.random.default_rng(0), margin=90.0)
