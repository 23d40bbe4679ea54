"""Of photos that show the same from the same place, the sharpest stays."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.datasets.curation.town import street
from tiercel.datasets.curation.duplicates import HASH_BYTES, Seen, near_duplicates, perceptual_hash

DISTANCE, TURN, DIFFERENCE = 10.0, 20.0, 0.12


def bits(one: np.ndarray, other: np.ndarray) -> int:
    both = (np.frombuffer(perceptual_hash(pixels), np.uint8) for pixels in (one, other))
    return int(np.bitwise_count(next(both) ^ next(both)).sum())


def recompressed(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


def seen(seed: int, x: float = 0.0, heading: float | None = 0.0, blur: float = 0.2, name: str = "") -> Seen:
    return Seen(x, 0.0, heading, blur, perceptual_hash(street(seed)), name or f"{seed} {x} {heading} {blur}")


def find(*photos: Seen) -> dict[int, int]:
    return near_duplicates(photos, DISTANCE, TURN, DIFFERENCE)


@pytest.mark.parametrize("seed", range(5))
def test_a_hash_outlives_what_happens_to_a_copy(seed: int) -> None:
    photo = street(seed, (480, 320))
    smaller = np.asarray(Image.fromarray(photo).resize((240, 160), Image.Resampling.LANCZOS))
    brighter = np.clip(photo * 1.1 + 8.0, 0, 255).astype(np.uint8)
    for copy in (recompressed(photo), smaller, brighter):
        assert bits(photo, copy) <= DIFFERENCE * 8 * HASH_BYTES
    assert bits(photo, street(seed + 50, (480, 320))) > 2 * DIFFERENCE * 8 * HASH_BYTES
    assert len(perceptual_hash(photo)) == HASH_BYTES


def test_the_sharpest_stays() -> None:
    assert find(seen(1, blur=0.3), seen(1, x=2, blur=0.2), seen(1, x=4, blur=0.4)) == {0: 1, 2: 1}


def test_what_was_taken_elsewhere_or_looks_elsewhere_stays() -> None:
    assert find(seen(1), seen(1, x=11)) == {}
    assert find(seen(1), seen(1, heading=25)) == {}
    assert find(seen(1, heading=355), seen(1, heading=10, blur=0.3)) == {1: 0}
    assert find(seen(1), seen(2)) == {}


def test_unknown_headings_may_be_any() -> None:
    assert find(seen(1), seen(1, heading=None, blur=0.3)) == {1: 0}


def test_equal_files_are_duplicates_wherever_they_are_said_to_be() -> None:
    assert find(seen(1, name="a"), seen(1, x=5000, name="a")) == {1: 0}


def test_neighbours_across_the_cells_of_the_search_are_found() -> None:
    assert find(seen(1, x=9.9), seen(1, x=10.1, blur=0.3)) == {1: 0}
    assert find(seen(1, x=-0.1), seen(1, x=0.1, blur=0.3)) == {1: 0}


def test_a_chain_is_not_followed_away_from_what_stays() -> None:
    photos = [seen(1, x=6.0 * index, blur=0.2 + index / 100) for index in range(4)]
    assert find(*photos) == {1: 0, 3: 2}


def test_none_at_all() -> None:
    assert find() == {}
