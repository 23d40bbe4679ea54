"""Variation of colours and sharpness: what it may change, and what it must leave alone."""

import numpy as np
import torch

from tiercel.training.augmentation import augment_overhead, augment_photos


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def strips(count) -> torch.Tensor:
    seen = torch.ones(count, 1, 16, 32)
    seen[:, :, :5] = 0
    return torch.cat([pictures(count, 3, 16, 32) * seen, seen], 1)


def test_no_share_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    images, photos = pictures(2, 3, 3, 24, 24), strips(4)
    assert torch.equal(augment_overhead(images, 0.0, rng), images)
    assert torch.equal(augment_photos(photos, 0.0, rng), photos)


def test_the_share_is_kept_and_the_input_left_alone() -> None:
    images = pictures(400, 3, 4, 4)
    before = images.clone()
    changed = (augment_overhead(images, 0.5, np.random.default_rng(0)) != images).flatten(1).any(1)
    assert torch.equal(images, before)
    # Half of them get other colours, and 15 % of all another sharpness.
    assert 0.45 < changed.float().mean() < 0.7
    photos = strips(400)
    before = photos.clone()
    varied = augment_photos(photos, 1.0, np.random.default_rng(0))
    assert torch.equal(photos, before)
    assert (varied != photos).flatten(1).any(1).all()


def test_every_picture_is_varied_on_its_own() -> None:
    same = pictures(1, 3, 8, 8).expand(50, -1, -1, -1)
    varied = augment_overhead(same, 1.0, np.random.default_rng(1))
    assert len({float(one.mean()) for one in varied}) == 50
    assert varied.abs().max() <= 1


def test_what_nobody_saw_stays_hidden() -> None:
    photos = strips(200)
    varied = augment_photos(photos, 1.0, np.random.default_rng(2))
    assert torch.equal(varied[:, 3:], photos[:, 3:])
    assert (varied[:, :3, :5] == 0).all()
    assert varied[:, :3, 5:].abs().max() <= 1
    images = pictures(200, 3, 8, 8)
    images[:, :, 4:] = 0
    bare = augment_overhead(images, 1.0, np.random.default_rng(4))
    # Only the 30 % that became coarser may bleed across the border; colours never fill what is not covered.
    filled = (bare[:, :, 4:] != 0).flatten(1).any(1)
    assert 0.15 < filled.float().mean() < 0.45
