import numpy as np
import pytest

from tiercel.sim.vehicles import BUS, HATCHBACK, LORRY, SALOON, VAN, hit_vehicle, vehicle_at, vehicle_from_above

RED = (200.0, 20.0, 20.0)
SIZE = (4.6, 1.8, 1.45)


def test_a_slot_has_the_same_vehicle_all_day_and_another_one_tomorrow() -> None:
    today, again, tomorrow = ([vehicle_at(slot, day, 0) for slot in range(300)] for day in (4, 4, 5))
    assert today == again
    assert sum(first != second for first, second in zip(today, tomorrow, strict=True)) > 250


@pytest.mark.parametrize(("kind", "low", "high"), [(0, 0.5, 0.8), (1, 0.15, 0.4), (2, 0.2, 0.5)])
def test_how_many_slots_are_taken(kind: int, low: float, high: float) -> None:
    share = np.mean([vehicle_at(slot, 1, kind)[0] for slot in range(4000)])
    assert low < share < high


def test_large_vehicles_keep_to_their_lanes_and_bays() -> None:
    parked = {vehicle_at(slot, 1, 0)[1] for slot in range(500)}
    reserved = {vehicle_at(slot, 1, 2)[1] for slot in range(500)}
    assert parked <= {SALOON, HATCHBACK, 2, VAN}
    assert {BUS, LORRY} <= reserved


@pytest.mark.parametrize("model", range(6))
def test_rays_meet_the_ends_and_sides_of_every_type(model: int) -> None:
    slot = next(slot for slot in range(10_000) if vehicle_at(slot, 1, 2 if model >= LORRY else 0)[1] == model)
    length, width, height = vehicle_at(slot, 1, 2 if model >= LORRY else 0)[5:]
    for origin, direction, expected in (
        ((-20.0, 0.0, 0.6), (1.0, 0.0, 0.0), 20.0 - 0.5 * length),
        ((20.0, 0.0, 0.6), (-1.0, 0.0, 0.0), 20.0 - 0.5 * length),
        ((0.0, 20.0, 0.8), (0.0, -1.0, 0.0), 20.0 - 0.5 * width),
        ((0.0, -20.0, 0.8), (0.0, 1.0, 0.0), 20.0 - 0.5 * width),
    ):
        distance = hit_vehicle(model, *RED, length, width, height, *origin, *direction)[0]
        assert distance == pytest.approx(expected, abs=0.3)


def test_rays_over_and_beside_a_car_miss_it() -> None:
    for origin, direction in (
        ((-20.0, 0.0, 1.6), (1.0, 0.0, 0.0)),
        ((-20.0, 1.2, 0.6), (1.0, 0.0, 0.0)),
        ((-20.0, 0.0, 0.6), (-1.0, 0.0, 0.0)),
        ((2.1, 20.0, 1.2), (0.0, -1.0, 0.0)),  # above the bonnet
    ):
        assert hit_vehicle(SALOON, *RED, *SIZE, *origin, *direction)[0] < 0


def test_the_side_of_a_car_shows_wheels_paint_and_glass() -> None:
    def seen(along: float, height: float) -> tuple[float, ...]:
        return tuple(hit_vehicle(SALOON, *RED, *SIZE, along, 5.0, height, 0.0, -1.0, 0.0)[1:4])

    wheel, door, window = seen(1.44, 0.08), seen(0.0, 0.6), seen(0.35, 1.15)
    assert max(wheel) < 40
    assert door[0] > 150 and door[1] < 40
    assert max(window) - min(window) < 20


def test_from_above_a_car_is_paint_with_a_windscreen_in_front() -> None:
    assert vehicle_from_above(SALOON, *RED, -0.2, 0.0) == RED  # the roof
    assert vehicle_from_above(SALOON, *RED, 0.25, 0.0) != RED  # the windscreen
    assert vehicle_from_above(SALOON, *RED, 0.7, 0.3) == vehicle_from_above(SALOON, *RED, 0.7, -0.3) == RED
