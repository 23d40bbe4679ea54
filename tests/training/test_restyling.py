"""Overhead pictures in another style: the layout stays, and so does what is not covered."""

import numpy as np
import pytest
import torch

from tiercel.training.restyling import CHANGES, restyled_overhead


def pictures(count, side=96) -> torch.Tensor:
    """Blocks of colours, 12 pixels wide."""
    blocks = torch.rand((count, 3, side // 12, side // 12), generator=torch.Generator().manual_seed(0))
    return blocks.repeat_interleave(12, 2).repeat_interleave(12, 3) * 1.6 - 0.8


def test_the_share_is_restyled_and_the_input_left_alone() -> None:
    images = pictures(200, 24)
    before = images.clone()
    assert torch.equal(restyled_overhead(images, 0.0, np.random.default_rng(0)), images)
    changed = (restyled_overhead(images, 0.5, np.random.default_rng(0)) != images).flatten(1).any(1)
    assert 0.4 < changed.float().mean() < 0.6
    assert torch.equal(images, before)


def test_shapes_with_more_dimensions_are_kept() -> None:
    images = pictures(6, 24).view(2, 3, 3, 24, 24)
    restyled = restyled_overhead(images, 1.0, np.random.default_rng(1))
    assert restyled.shape == images.shape
    assert restyled.abs().max() <= 1


def test_what_is_not_covered_stays_so() -> None:
    images = pictures(60)
    images[:, :, 50:] = 0
    restyled = restyled_overhead(images, 1.0, np.random.default_rng(2), strength=1.5)
    assert (restyled[:, :, 50:] == 0).all()
    assert (restyled[:, :, :50] == 0).float().mean() < 0.01


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=lambda change: change.__name__)
def test_every_change_keeps_the_layout(change, monkeypatch) -> None:
    """What is uniform in the middle of blocks stays more alike within a block than between blocks."""
    monkeypatch.setattr("tiercel.training.restyling.CHANGES", ((1.0, change),))
    images = pictures(12)
    restyled = restyled_overhead(images, 1.0, np.random.default_rng(3))
    assert (restyled != images).any()
    blocks = restyled.unfold(2, 12, 12).unfold(3, 12, 12)[..., 3:9, 3:9]
    within = blocks.std((-1, -2)).mean()
    between = blocks.mean((-1, -2)).flatten(2).std(2).mean()
    assert between > 1.5 * within


def test_styles_are_many() -> None:
    same = pictures(1, 24).expand(40, -1, -1, -1)
    restyled = restyled_overhead(same, 1.0, np.random.default_rng(4))
    assert len({round(float(one.mean()), 5) for one in restyled}) > 36
    again = restyled_overhead(same, 1.0, np.random.default_rng(4))
    assert torch.equal(restyled, again)
