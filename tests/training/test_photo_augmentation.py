from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tiercel.training import photo_augmentation as module
from tiercel.training.photo_augmentation import augment_photo, augment_square


def smooth(height, width, seed=0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(40, 216, (8, 16, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def only(monkeypatch) -> Callable[..., None]:
    """Switches all kinds off but one."""

    def switch(**kept) -> None:
        off = {"SCALE": (1.0, 1.0), "JITTER": 0.0, "HUE": 0.0, "GREY": 0.0, "SHARPNESS": 0.0, "DROPOUT": 0.0}
        for name, value in {**off, "QUALITY": (100, 100), **kept}.items():
            monkeypatch.setattr(module, name, value)

    return switch


def varied(pixels, side=64, count=1, seed=0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [augment_photo(pixels, side, rng) for _ in range(count)]


def test_with_everything_off_a_photo_is_only_resized(only) -> None:
    only()
    photo = smooth(64, 128)
    (found,) = varied(photo)
    assert found.shape == (64, 128, 3) and found.dtype == np.uint8
    assert abs(found.astype(int) - photo).mean() < 4  # JPEG, at its best
    assert abs(augment_square(photo[:, :64], np.random.default_rng(0)).astype(int) - photo[:, :64]).max() <= 3


@pytest.mark.parametrize("shape", [(100, 300), (300, 300), (400, 200), (64, 128)])
def test_crops_are_twice_as_wide_as_high_and_inside(only, shape) -> None:
    only(SCALE=(0.7, 1.0))
    # Columns and rows tell where they come from.
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    photo = np.stack([rows * 255 / shape[0], cols * 255 / shape[1], rows * 0], -1).astype(np.uint8)
    for found in varied(photo, count=10):
        tall, wide = (np.ptp(found[..., n].astype(float).mean(1 - n)) / 255 * shape[n] for n in (0, 1))
        assert wide / tall == pytest.approx(2, rel=0.12)
        share = wide * tall / (min(shape[1], 2 * shape[0]) ** 2 / 2)
        assert 0.6 < share < 1.05


def test_jitter_changes_colours_a_little(only) -> None:
    only(JITTER=0.2, HUE=0.05)
    photo = smooth(64, 128)
    difference = [abs(found.astype(int) - photo).mean() for found in varied(photo, count=20)]
    assert 3 < np.mean(difference) < 40
    assert max(difference) > 2 * min(difference)


@pytest.mark.parametrize(
    ("settings", "hit", "share"),
    [
        ({"GREY": 0.1}, lambda found, photo: np.ptp(found, axis=2).max() == 0, 0.1),
        ({"DROPOUT": 0.3}, lambda found, photo: (found.max(2) == 0).mean() > 0.001, 0.3),
        ({"SHARPNESS": 0.3}, lambda found, photo: abs(detail(found) / detail(photo) - 1) > 0.05, 0.3),
    ],
    ids=["grey", "dropout", "sharpness"],
)
def test_each_kind_comes_as_often_as_published(only, settings, hit, share) -> None:
    only(**settings)
    # The grain is grey: JPEG keeps colours at half the resolution.
    grain = np.random.default_rng(1).integers(-20, 20, (64, 128, 1))
    photo = np.clip(smooth(64, 128).astype(int) + grain, 1, 255).astype(np.uint8)
    found = [hit(one, photo) for one in varied(photo, count=300)]
    assert abs(np.mean(found) - share) < 0.08


def detail(pixels) -> float:
    return float(abs(np.diff(pixels.mean(2), axis=1)).mean())


def test_published_ranges() -> None:
    assert module.SCALE == (0.7, 1.0) and module.QUALITY == (90, 100)
    assert (module.JITTER, module.HUE, module.GREY, module.SHARPNESS, module.DROPOUT) == (0.2, 0.05, 0.1, 0.3, 0.3)


def test_squares_are_never_cropped_turned_or_grey(only) -> None:
    only(SCALE=(0.1, 0.1), GREY=1.0)
    square = smooth(64, 64)
    assert abs(augment_square(square, np.random.default_rng(0)).astype(int) - square).max() <= 3


def test_chance_comes_from_the_given_source_alone() -> None:
    photo = smooth(100, 200)
    one, again, other = (varied(photo, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
