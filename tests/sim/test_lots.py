"""Lots: rows along streets, on the ground."""

import random

import pytest

from tiercel.sim.character import District, draw_character
from tiercel.sim.lots import FRONTAGE, Lot, make_lots
from tiercel.sim.plan import Plan, Rank, draw_plan
from tiercel.sim.shapes import area, inset


@pytest.fixture(scope="module")
def land() -> tuple[Plan, list[Lot]]:
    rng = random.Random(5)
    plan = draw_plan(rng, draw_character(rng), 900.0)
    return plan, make_lots(rng, plan)


def test_lots_are_counter_clockwise_and_touch_the_city(land: tuple[Plan, list[Lot]]) -> None:
    plan, lots = land
    assert len(lots) > 50
    for lot in lots:
        assert area(lot.outline) > 0.0
        assert max(x for x, _ in lot.outline) >= 0.0
        assert min(x for x, _ in lot.outline) <= plan.size


def test_nearly_every_lot_has_a_street_in_front(land: tuple[Plan, list[Lot]]) -> None:
    plan, lots = land
    fronted = [lot.edges[lot.front] >= 0 and plan.streets[lot.edges[lot.front]].rank < Rank.RAIL for lot in lots]
    assert sum(fronted) > 0.9 * len(lots)


def test_margins_keep_clear_of_streets_only(land: tuple[Plan, list[Lot]]) -> None:
    _, lots = land
    for lot in lots:
        for label, clear, margin in zip(lot.edges, lot.clear, lot.margins(3.0, 1.0), strict=True):
            assert margin == 1.0 if label < 0 else margin >= clear + 3.0
        assert area(inset(lot.polygon, lot.margins(0.0, 0.0)) or lot.polygon) <= area(lot.polygon) + 1e-6


def test_a_district_sets_the_width_of_its_lots() -> None:
    assert FRONTAGE[District.TERRACES][1] < FRONTAGE[District.SUBURB][0] < FRONTAGE[District.INDUSTRIAL][0]
