"""Temperatures and regions fitted to queries whose honesty is known."""

import dataclasses

import numpy as np
import pytest

from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.evaluation.honesty import Evidence, fit_honesty, fit_shares, fit_temperature, gather
from tiercel.geo import Square, ZoomTree
from tiercel.locate import Analysis, Locator
from tiercel.models import Calibration
from tiercel.search import Disc, Posterior, Region
from tiercel.search.disc import KNOTS

TREE = ZoomTree(Square(1000.0, 500.0, 320.0), 2, 3)  # 8 x 8 leaves of 40 m
ROOT = np.array([1000.0, 500.0, 320.0, 2, 3])


def city(seed, count=600, sure=2.0, scale=0.5) -> Evidence:
    """Queries that are `sure` times too sure of the leaf, and whose matches err by `scale` metres where it is right."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (count, 64))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([rng.choice(64, p=p) for p in honest])
    best = honest.argmax(1)
    row, col = TREE.unflat(3, truth)
    at = np.stack(TREE.centre(3, row, col), -1) + rng.uniform(-15, 15, (count, 2))
    share, angle = rng.random(count) * 0.99, rng.uniform(0, 2 * np.pi, count)
    error = scale * np.sqrt(share / (1 - share))
    near = at + np.stack([error * np.sin(angle), error * np.cos(angle)], -1)
    elsewhere = np.stack(TREE.centre(3, *TREE.unflat(3, best)), -1)
    matched = np.where((best == truth)[:, None], near, elsewhere)
    zoom, match = (
        np.stack([Posterior.from_scores(TREE, factor * one).log_probability for one in logits])
        for factor in (sure, 1.0)
    )
    family = rng.normal(0, 2, (count, 1, 4))
    odds = np.exp(family[:, 0]) / np.exp(family[:, 0]).sum(1, keepdims=True)
    picks = np.array([[rng.choice(4, p=p)] for p in odds])
    kind = np.array(["panorama", "photo_north"])[np.arange(count) % 2]
    return Evidence(kind, at, (sure * family).astype(np.float32), picks, zoom, match, matched, ROOT)


def coverage(cities, calibration, method, share) -> float:
    inside = []
    for some in cities:
        for n, kind in enumerate(some.kind.tolist()):
            fit = calibration.regions[f"{method}/{kind}"]
            if method == "match":
                answer, around = Posterior(TREE, some.match[n]), tuple(some.matched[n])
            else:
                answer = Posterior(TREE, some.zoom[n]).tempered(calibration.global_temperature)
                around = answer.centre
            region = Region(Disc(TREE, answer.probability, around, fit.scale_m), fit.shares)
            inside.append(region.mass_within(float(np.hypot(*(some.at[n] - around)))) <= share)
    return float(np.mean(inside))


def test_regions_hold_what_they_say_on_cities_that_nothing_was_fitted_on() -> None:
    fitted = fit_honesty(Calibration(zoom_weight=0.3), [city(0), city(1)])
    assert fitted.zoom_weight == 0.3
    assert fitted.global_temperature == pytest.approx(2.0, rel=0.1)
    assert fitted.sibling_temperatures == pytest.approx((2.0,), rel=0.15)
    assert set(fitted.regions) == {f"{m}/{k}" for m in ("match", "global") for k in ("panorama", "photo_north")}
    assert fitted.regions["match/panorama"].scale_m == pytest.approx(0.5, abs=0.1)
    unseen = [city(2), city(3)]
    for method in ("match", "global"):
        for share in (0.5, 0.9):
            assert coverage(unseen, fitted, method, share) == pytest.approx(share, abs=0.045)
    # At its word, a region is never much smaller than a leaf, and holds nearly all that was matched well.
    names = {name: dataclasses.replace(fit, scale_m=0.0, shares=()) for name, fit in fitted.regions.items()}
    assert coverage(unseen, dataclasses.replace(fitted, regions=names), "match", 0.5) > 0.6


def test_the_temperature_of_scores_that_are_too_sure() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (4000, 5))
    honest[:, 4] = np.where(rng.random(4000) < 0.3, -np.inf, honest[:, 4])  # not covered
    odds = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    truths = np.array([rng.choice(5, p=p) for p in odds])
    for sure in (0.5, 1.0, 3.0):
        assert fit_temperature(sure * honest, truths) == pytest.approx(sure, rel=0.08)
    assert fit_temperature(np.where(np.isfinite(honest), 0.0, -np.inf), truths) == 1.0


def test_shares_are_quantiles_and_always_grow() -> None:
    assert fit_shares(np.linspace(0, 1, 1001)) == pytest.approx(KNOTS, abs=1e-5)
    assert fit_shares(np.linspace(0, 1, 1001) ** 2) == pytest.approx(np.square(KNOTS), abs=1e-3)
    for alike in (np.zeros(9), np.ones(9), np.full(9, 0.4), [0.3]):
        shares = fit_shares(alike)
        assert shares[0] > 0 and shares[-1] < 1 and (np.diff(shares) > 0).all()


def test_evidence_of_a_planted_photo_is_kept_and_read_again(tmp_path) -> None:
    model, atlas = prepared()
    x, y = WEST + 210.0, NORTH - 140.0
    locator = Locator(atlas, model)
    photos = [planted(atlas, model, x, y, 123.75, told=told) for told in (True, False)]
    found = gather((Analysis(locator, photo), x, y) for photo in photos)
    assert [kind.endswith("_north") for kind in found.kind] == [True, False]
    assert found.matched[0] == pytest.approx((x, y), abs=3)
    assert found.families.shape[:2] == found.picks.shape == (2, atlas.tree.depth)
    found.save(tmp_path / "evidence.npz")
    again = Evidence.load(tmp_path / "evidence.npz")
    assert again.tree == atlas.tree == found.tree
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert [file.name for file in tmp_path.iterdir()] == ["evidence.npz"]
    assert set(fit_honesty(Calibration(), [again]).regions) == {
        f"{m}/{k}" for m in ("match", "global") for k in found.kind
    }
