"""Honesty measured: by hand, on answers that are honest by construction, and on a tiny map."""

import numpy as np
import pytest

from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.errors import TiercelError
from tiercel.evaluation.diagram import draw_reliability
from tiercel.evaluation.protocol import QUERIES
from tiercel.evaluation.reliability import (
    BINS,
    RAW,
    SHARES,
    Judged,
    calibration_error,
    judge,
    reliability,
    reliability_rows,
)
from tiercel.evaluation.results import Row
from tiercel.locate import Analysis, Locator


def make(metric, query, method, unit, measured) -> Row:
    name = f"{metric}/{query}/unseen/{method}"
    return Row(name, measured.value, unit, measured.n, measured.low, measured.high, (0,), "here", "now")


def test_the_calibration_error_by_hand() -> None:
    # Two bins of three: the first predicts 0.2 on average and is right a third of the time, the second 0.8 and always.
    predicted, right = [0.9, 0.1, 0.2, 0.3, 0.7, 0.8], [1, 0, 1, 0, 1, 1]
    assert calibration_error(predicted, right, 2) == pytest.approx((abs(1 / 3 - 0.2) + abs(1 - 0.8)) / 2)
    # One bin: 0.5 on average, right two thirds of the time.
    assert calibration_error(predicted, right, 1) == pytest.approx(4 / 6 - 0.5)
    assert calibration_error([1.0, 0.0], [1, 0]) == 0
    assert calibration_error([1.0, 0.0], [0, 1]) == 1
    assert np.isnan(calibration_error([], []))
    first, second = reliability(predicted, right, 2)
    assert (first[0], first[1].value, first[1].n) == (pytest.approx(20), pytest.approx(100 / 3), 3)
    assert (second[0], second[1].value, second[1].n) == (pytest.approx(80), 100, 3)


def test_an_honest_answer_has_little_error_and_a_boastful_one_much() -> None:
    rng = np.random.default_rng(0)
    honest = rng.random(20_000)
    right = rng.random(20_000) < honest
    assert calibration_error(honest, right) < 0.015
    assert calibration_error(np.sqrt(honest), right) == pytest.approx(2 / 3 - 1 / 2, abs=0.02)


def judged(count, power=1.0) -> list[Judged]:
    """Queries whose claims and regions are honest before they are raised to a power."""
    rng = np.random.default_rng(1)
    sure, mass = rng.random(count), rng.random(count)
    right = rng.random(count) < sure
    claims = [{"local_level_1": ((p**power, bool(so)),)} for p, so in zip(sure, right, strict=True)]
    return [Judged(one, {"match": m**power}) for one, m in zip(claims, mass, strict=True)]


def test_rows_of_honest_and_boastful_answers() -> None:
    made = list(reliability_rows({query.name: judged(1500) for query in QUERIES}, make))
    rows = {row.name: row for row in made}
    assert len(rows) == len(made)
    for query in [*(query.name for query in QUERIES), "all"]:
        for share in SHARES:
            row = rows[f"coverage_{share}/{query}/unseen/match"]
            assert row.value == pytest.approx(share, abs=4) and row.low <= row.value <= row.high
            assert row.n == (6000 if query == "all" else 1500)
        error = rows[f"expected_calibration_error/{query}/unseen/local_level_1"]
        assert error.value < 5 and 0 <= error.low <= error.value <= error.high
    for number in range(1, BINS + 1):
        predicted = rows[f"predicted_bin_{number}/all/unseen/local_level_1"]
        assert predicted.value == pytest.approx(10 * number - 5, abs=3)
        assert rows[f"right_bin_{number}/all/unseen/local_level_1"].value == pytest.approx(predicted.value, abs=8)
    boast = {row.name: row for row in reliability_rows({"panorama": judged(1500, 0.5)}, make)}
    assert boast["expected_calibration_error/panorama/unseen/local_level_1"].value > 12
    assert boast["coverage_50/panorama/unseen/match"].value == pytest.approx(25, abs=4)


def test_the_picture_has_a_panel_for_what_was_measured() -> None:
    some = {query.name: judged(60) for query in QUERIES}
    one, two = (
        draw_reliability([row for row in reliability_rows(some, make) if keep(row.name)])
        for keep in (lambda name: "coverage" in name, lambda _: True)
    )
    assert two.width > one.width and two.height == one.height
    pixels = np.asarray(one).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 20
    with pytest.raises(TiercelError, match="hold no reliability"):
        draw_reliability([make("r1_50m", "panorama", "match", "%", reliability([0.5], [1], 1)[0][1])])


@pytest.mark.parametrize("told", [True, False])
def test_judging_a_planted_photo(told) -> None:
    model, atlas = prepared()
    x, y = WEST + 210.0, NORTH - 140.0
    analysis = Analysis(Locator(atlas, model), planted(atlas, model, x, y, 123.75, told=told))
    found = judge(analysis, x, y)
    assert set(found.masses) == {"global", f"global{RAW}", "match", f"match{RAW}"}
    assert found.claims["match"][0][1] is True and found.claims["match"][0][0] > 0.9
    assert found.claims["match_within_50m"][0][1] is True
    levels = [name for name in found.claims if name.startswith("local_level_") and not name.endswith(RAW)]
    assert len(levels) == atlas.tree.depth
    assert found.claims.get("local", ()) == tuple(found.claims[name][0] for name in levels)
    for method in ("match", "global"):
        region = analysis.region(method)
        error = np.hypot(x - region.disc.around[0], y - region.disc.around[1])
        for share in (0.2, 0.5, 0.9):
            assert (error <= region.radius(share)) == (found.masses[method] <= share)
    off = judge(analysis, x + 100, y)
    assert off.claims["match"][0][1] is False and off.claims["match_within_50m"][0][1] is False
    assert off.masses["match"] > 0.99
