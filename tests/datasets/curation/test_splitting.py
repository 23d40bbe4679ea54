"""The split of a benchmark, and the blocks that are drawn of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.curation.town import street, take, write_map
from tiercel.datasets.curation import Choices, build_dataset
from tiercel.datasets.curation.ground import shares
from tiercel.datasets.curation.splitting import LEFT_OUT, Block, split_photos
from tiercel.datasets.justzoomin import JustZoomIn, ZoomSample


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty photos all over the town, all in the table for training."""
    folder = tmp_path_factory.mktemp("splitting")
    rng = np.random.default_rng(9)
    for index in range(40):
        east, north = rng.uniform(60, 500, 2)
        take(folder / "photos" / f"{index:02d}.jpg", street(index), float(east), float(north))
    choices = Choices(leaf=40.0, validation=0.0, step=150.0)
    build_dataset(folder / "mine", write_map(folder), photos=folder / "photos", choices=choices)
    return folder / "mine"


def inside(block: Block, samples: list[ZoomSample], data: JustZoomIn) -> Iterator[str]:
    for sample in samples:
        east, south = shares(data.division, np.array(sample.latitude), np.array(sample.longitude))
        west, north, right, low = block.box
        if west <= east < right and north <= south < low:
            yield sample.image_id


def test_blocks_hold_the_photos_of_their_side_and_no_others(benchmark: Path) -> None:
    states, blocks = split_photos(benchmark, Choices(block=80.0, validation=0.2))
    counts = Counter(states.values())
    assert sum(counts.values()) == 40 and counts["val"] >= 8 and counts["train"] > counts["val"]
    with (data := JustZoomIn.open(benchmark)).basemap:
        samples = data.samples("train")
        held = {image_id for block in blocks if block.split == "val" for image_id in inside(block, samples, data)}
        assert held == {image_id for image_id, state in states.items() if state == "val"}
        others = {image_id for block in blocks if block.split == "train" for image_id in inside(block, samples, data)}
        assert others == {image_id for image_id, state in states.items() if state in ("train", LEFT_OUT)}
    side = 80.0 / data.side_m
    assert all(block.box[2] - block.box[0] == pytest.approx(side) for block in blocks)


def test_small_squares_have_small_blocks(benchmark: Path) -> None:
    _, blocks = split_photos(benchmark, Choices())
    assert blocks[0].box[2] - blocks[0].box[0] == pytest.approx(1 / 12)


def test_sequences_stay_whole_and_have_no_blocks(benchmark: Path) -> None:
    states, blocks = split_photos(benchmark, Choices(split="sequence", validation=0.2))
    with (data := JustZoomIn.open(benchmark)).basemap:
        drives = [{s.drive for s in data.samples("train") if states[s.image_id] == state} for state in ("train", "val")]
    assert blocks == [] and drives[0] and drives[1] and not drives[0] & drives[1]


def test_a_random_split_has_its_share_and_follows_its_seed(benchmark: Path) -> None:
    one, two, three = (split_photos(benchmark, Choices(split="random", validation=0.25, seed=n))[0] for n in (1, 1, 2))
    assert Counter(one.values()) == {"train": 30, "val": 10} and one == two != three


def test_without_validation_all_photos_train(benchmark: Path) -> None:
    states, blocks = split_photos(benchmark, Choices(validation=0.0))
    assert set(states.values()) == {"train"} and blocks == []
