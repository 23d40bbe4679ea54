"""The plan: a network of streets with crossroads and roundabouts, bent without folding."""

import math
import random

import numpy as np
import pytest

from tiercel.sim.character import District, draw_character
from tiercel.sim.plan import Plan, Rank, draw_plan
from tiercel.sim.shapes import area


def plan_of(seed: int, size: float = 2000.0) -> Plan:
    rng = random.Random(seed)
    return draw_plan(rng, draw_character(rng), size)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [plan_of(seed) for seed in range(6)]


def arms_at(plan: Plan, node: int) -> int:
    """Streets that leave a junction; one that runs through counts twice."""
    return sum(1 if position in (0.0, 1.0) else 2 for _, position in plan.nodes[node].arms)


def test_there_are_crossroads_and_t_junctions(plans: list[Plan]) -> None:
    for plan in plans:
        arms = [arms_at(plan, node) for node in range(len(plan.nodes))]
        assert arms.count(4) > 40
        assert arms.count(3) > 40


def test_there_are_roundabouts_and_bridges(plans: list[Plan]) -> None:
    assert sum(node.radius > 0.0 for plan in plans for node in plan.nodes) >= 6
    rivers = [plan for plan in plans if any(street.rank == Rank.RIVER for street in plan.streets)]
    assert rivers
    for plan in rivers:
        river = next(k for k, street in enumerate(plan.streets) if street.rank == Rank.RIVER)
        crossing = {arm for _, node in plan.streets[river].nodes for arm, _ in plan.nodes[node].arms}
        assert any(plan.streets[arm].bridge for arm in crossing)


def test_blocks_tile_the_sheet(plans: list[Plan]) -> None:
    for plan in plans:
        side = plan.size + 540.0
        assert sum(area(block.polygon) for block in plan.blocks) == pytest.approx(side * side)
        for block in plan.blocks:
            assert len(block.edges) == len(block.polygon)


def test_every_inner_edge_of_a_block_lies_on_its_street(plans: list[Plan]) -> None:
    plan = plans[0]
    for block in plan.blocks:
        for k, label in enumerate(block.edges):
            if label < 0:
                continue
            street = plan.streets[label]
            length = math.dist(street.start, street.end)
            for x, y in (block.polygon[k], block.polygon[(k + 1) % len(block.polygon)]):
                dx, dy = street.end[0] - street.start[0], street.end[1] - street.start[1]
                assert abs(dx * (y - street.start[1]) - dy * (x - street.start[0])) / length < 1e-3


def test_the_warp_never_folds(plans: list[Plan]) -> None:
    axis = np.arange(-200.0, 2200.0, 20.0)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    for plan in plans:
        here, east, north = (
            plan.warp(np.stack([x + dx, y + dy], axis=1)) for dx, dy in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))
        )
        (a, c), (b, d) = ((east - here) / 0.5).T, ((north - here) / 0.5).T
        assert (a * d - b * c).min() > 0.1


def test_cities_mix_several_districts(plans: list[Plan]) -> None:
    mixtures = [{block.style for block in plan.blocks} for plan in plans]
    assert all(len(mixture) >= 4 for mixture in mixtures)
    assert set.union(*mixtures) >= {
        District.DOWNTOWN,
        District.INNER,
        District.SUBURB,
        District.INDUSTRIAL,
        District.PARK,
    }


def test_the_same_seed_gives_the_same_plan() -> None:
    first, again, other = plan_of(3, 500.0), plan_of(3, 500.0), plan_of(4, 500.0)
    assert [(s.start, s.end, s.half_width) for s in first.streets] == [
        (s.start, s.end, s.half_width) for s in again.streets
    ]
    assert [s.start for s in first.streets] != [s.start for s in other.streets]
