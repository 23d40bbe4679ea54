"""Faults of real photos: what they may change, and what they must leave alone."""

import numpy as np
import pytest
import torch

from tiercel.training.faults import FAULTS, Shot, faulty_photos


def strips(count, columns=96) -> torch.Tensor:
    """Scenes of blocks in which a few rows and columns are not seen."""
    chance = torch.Generator().manual_seed(0)
    scene = torch.rand((count, 3, 16, columns // 4), generator=chance).repeat_interleave(4, 2).repeat_interleave(4, 3)
    seen = torch.ones(count, 1, 64, columns)
    seen[:, :, :9] = 0
    seen[:, :, :, -7:] = 0
    return torch.cat([(scene * 1.4 - 0.7) * seen, seen], 1).contiguous(memory_format=torch.channels_last)


def shot(strength=1.0, seed=0) -> Shot:
    one = strips(1)[0]
    light = np.ascontiguousarray(one[:3].permute(1, 2, 0).numpy()) * 0.5 + 0.5
    return Shot(light, one[3].numpy() > 0, np.random.default_rng(seed), strength)


def test_the_share_of_photos_has_faults_and_the_input_none() -> None:
    photos = strips(200)
    before = photos.clone()
    assert torch.equal(faulty_photos(photos, 0.0, np.random.default_rng(0)), photos)
    changed = (faulty_photos(photos, 0.5, np.random.default_rng(0)) != photos).flatten(1).any(1)
    assert 0.4 < changed.float().mean() < 0.6
    assert (faulty_photos(photos, 1.0, np.random.default_rng(0)) != photos).flatten(1).any(1).float().mean() > 0.97
    assert torch.equal(photos, before)


def test_what_nobody_saw_stays_hidden_and_the_mask_as_it_is() -> None:
    photos = strips(150)
    faulty = faulty_photos(photos, 1.0, np.random.default_rng(1), strength=1.5)
    assert torch.equal(faulty[:, 3], photos[:, 3])
    assert (faulty[:, :3, :9] == 0).all() and (faulty[:, :3, :, -7:] == 0).all()
    assert faulty.abs().max() <= 1 and faulty.isfinite().all()


def test_the_same_chance_gives_the_same_faults_and_each_photo_its_own() -> None:
    same = strips(1).expand(30, -1, -1, -1)
    once, again = (faulty_photos(same, 1.0, np.random.default_rng(2)) for _ in range(2))
    assert torch.equal(once, again)
    assert len({float(one.mean()) for one in once}) > 27


def test_a_photo_that_saw_nothing_is_left_alone() -> None:
    assert torch.equal(
        faulty_photos(torch.zeros(3, 4, 64, 40), 1.0, np.random.default_rng(0)), torch.zeros(3, 4, 64, 40)
    )


@pytest.mark.parametrize("fault", [fault for _, fault in FAULTS], ids=lambda fault: fault.__name__)
def test_strength_makes_every_fault_stronger(fault) -> None:
    weak, strong = [], []
    for seed in range(12):
        for changes, strength in ((weak, 0.15), (strong, 1.0)):
            one = shot(strength, seed)
            before = one.light.copy()
            fault(one)
            changes.append(np.abs(np.clip(one.light, 0, 1) - before)[one.seen].mean())
    assert 0 < np.mean(weak) < np.mean(strong)


def test_a_bonnet_covers_the_lowest_rows_that_are_seen_and_no_others() -> None:
    bonnet = next(fault for _, fault in FAULTS if fault.__name__ == "_bonnet")
    for seed in range(10):
        one = shot(seed=seed)
        before = one.light.copy()
        bonnet(one)
        changed = (one.light != before).any(2)
        assert changed[-1, 30:60].all()
        assert not changed[:40].any()


def test_blur_draws_nothing_in_from_where_nothing_is_seen() -> None:
    defocus = next(fault for _, fault in FAULTS if fault.__name__ == "_defocus")
    one = shot()
    one.light = np.where(one.seen[..., None], np.float32(0.8), np.float32(0.5)).repeat(3, 2)
    defocus(one)
    assert one.light[one.seen] == pytest.approx(0.8, abs=0.01)
