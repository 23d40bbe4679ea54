"""One function over many items, in one process or several."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiercel.datasets.curation.examine import file_state
from tiercel.datasets.curation.parallel import each
from tiercel.errors import TiercelError


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_comes_back_with_its_index(workers: int) -> None:
    paths = [Path(__file__), Path("/no/such/file")] * 10
    found = dict(each(file_state, paths, workers))
    assert sorted(found) == list(range(20))
    assert all(found[index] == ("missing" if index % 2 else file_state(Path(__file__))) for index in range(20))


def test_nothing_to_do() -> None:
    assert list(each(file_state, [], 4)) == []


def test_a_process_that_is_killed_is_one_sentence() -> None:
    with pytest.raises(
        TiercelError, match=r"A worker process was killed.*fewer --workers, it goes on where it stopped"
    ):
        list(each(os._exit, [1] * 20, 2))
