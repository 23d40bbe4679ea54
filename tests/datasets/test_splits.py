"""Splits that keep neighbours together."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.benchmark import write_benchmark
from tiercel.datasets.justzoomin import JustZoomIn, ZoomSample
from tiercel.datasets.splits import block_disjoint, everything, random_split, sequence_disjoint
from tiercel.errors import TiercelError
from tiercel.geo.sphere import haversine_m


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> JustZoomIn:
    """Ten drives of twelve photos, 8 m apart."""
    rng = np.random.default_rng(3)
    places, drives = [], []
    for drive in range(10):
        start, step = rng.uniform(-380, 380, 2), rng.normal(0, 1, 2)
        places += [tuple(start + 8 * k * step / np.hypot(*step)) for k in range(12)]
        drives += [f"d{drive}"] * 12
    return JustZoomIn.open(
        write_benchmark(tmp_path_factory.mktemp("splits") / "town", places, train=100, drives=drives)
    )


def names(samples: tuple[ZoomSample, ...]) -> set[str]:
    return {sample.image_id for sample in samples}


def nearest_m(one: tuple[ZoomSample, ...], other: tuple[ZoomSample, ...]) -> float:
    here, there = (np.array([(s.latitude, s.longitude) for s in samples]) for samples in (one, other))
    return float(haversine_m(here[:, :1], here[:, 1:], there[None, :, 0], there[None, :, 1]).min())


def test_the_published_split_is_that_of_the_tables(data) -> None:
    split = random_split(data)
    assert [s.image_id for s in split.train] == [f"p{i}" for i in range(100)] and len(split.val) == 20
    assert len(everything(data).val) == 120 and everything(data).train == ()


@pytest.mark.parametrize("splitter", [random_split, sequence_disjoint, block_disjoint])
def test_no_photo_is_on_both_sides_and_none_is_lost(data, splitter) -> None:
    seen = set()
    for seed in range(5):
        split = splitter(data, seed=seed, share=0.2)
        assert not names(split.train) & names(split.val) and split.train
        assert names(split.train) | names(split.val) | names(split.left_out) == {f"p{i}" for i in range(120)}
        assert len(split.train) + len(split.val) + len(split.left_out) == 120
        assert 0.2 * 120 <= len(split.val) <= 0.6 * 120
        seen.add(frozenset(names(split.val)))
        assert names(splitter(data, seed=seed, share=0.2).val) == names(split.val)
    assert len(seen) > 2


def test_a_random_split_leaves_neighbours_on_both_sides(data) -> None:
    split = random_split(data, 0, 0.2)
    assert len(split.val) == 24 and nearest_m(split.train, split.val) < 10


def test_drives_are_kept_whole(data) -> None:
    split = sequence_disjoint(data, share=0.2)
    assert not {s.drive for s in split.train} & {s.drive for s in split.val}
    assert len(split.val) == 24 and not split.left_out


@pytest.mark.parametrize("buffer_m", [0.0, 30.0, 100.0])
def test_blocks_keep_their_distance(data, buffer_m) -> None:
    splits = [block_disjoint(data, seed=seed, share=0.2, block_m=200.0, buffer_m=buffer_m) for seed in range(5)]
    assert all(nearest_m(split.train, split.val) >= buffer_m * 0.999 for split in splits)
    assert any(split.left_out for split in splits) == (buffer_m > 0)
    with pytest.raises(ValueError, match="does not fit"):
        block_disjoint(data, block_m=50.0, buffer_m=60.0)


def test_photos_without_drives_and_in_one_block(tmp_path: Path) -> None:
    data = JustZoomIn.open(write_benchmark(tmp_path / "bare", [(0.5, 5.0), (9.0, 9.0), (5.0, 1.0)], train=2))
    with pytest.raises(TiercelError, match=r"3 of its 3 photos .*p0.* use block_disjoint"):
        sequence_disjoint(data)
    with pytest.raises(TiercelError, match="in one block of 500 m"):
        block_disjoint(data)
