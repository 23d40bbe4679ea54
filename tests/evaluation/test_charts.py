"""Charts: where values lie on an axis, and that what is drawn is there."""

from __future__ import annotations

import numpy as np
import pytest

from tiercel.evaluation.charts import HUES, Axis, Curve, Panel, draw


def test_axes_run_from_their_first_tick_to_their_last() -> None:
    assert [Axis("", (0, 5, 10)).share(value) for value in (0, 5, 10)] == [0, 0.5, 1]
    assert [Axis("", (1, 100), log=True).share(value) for value in (1, 10, 100)] == pytest.approx([0, 0.5, 1])


def test_a_panel_holds_its_curves_in_their_colours() -> None:
    curve = Curve("one", HUES[0], ((10, 10), (90, 90)), ((5, 15), (80, 95)))
    page = np.asarray(draw([Panel("title", Axis("across"), Axis("up"), (curve,))]))
    assert (page == HUES[0]).all(2).sum() > 500
    assert not (page == HUES[1]).all(2).any()


def test_panels_stand_side_by_side() -> None:
    panel = Panel("title", Axis("across"), Axis("up"), (Curve("one", HUES[0], ((0, 0), (100, 100))),))
    one, two, three = (draw([panel] * count) for count in (1, 2, 3))
    assert two.width > one.width and two.height == one.height
    assert three.width == two.width and three.height > two.height
