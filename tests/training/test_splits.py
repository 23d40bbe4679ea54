import itertools

import pytest

from tiercel.errors import TiercelError
from tiercel.training import SPLITS, seeds, split_of


def test_no_seed_is_in_two_splits() -> None:
    for one, other in itertools.combinations(SPLITS.values(), 2):
        assert max(one.start, other.start) >= min(one.stop, other.stop)


@pytest.mark.parametrize("split", SPLITS)
def test_seeds_belong_to_their_split(split) -> None:
    chosen = seeds(split, 5, first=3)
    assert chosen == seeds(split, 8)[3:]
    assert {split_of(seed) for seed in chosen} == {split}


def test_seeds_of_no_split_are_free() -> None:
    assert split_of(5_000) == "none"


def test_there_are_not_that_many_seeds() -> None:
    with pytest.raises(TiercelError, match="'test' has 1000 seeds"):
        seeds("test", 10, first=995)


def test_there_is_no_such_split() -> None:
    with pytest.raises(TiercelError, match="no split 'holdout'"):
        seeds("holdout", 1)
