"""Which city seeds may be used for what. Test cities never train, and never fit a calibration number."""

from __future__ import annotations

from tiercel.errors import TiercelError

SPLITS = {
    "test": range(0, 1_000),
    "validation": range(1_000, 2_000),
    "train": range(10_000, 1_000_000_000),
}


def seeds(split: str, count: int, first: int = 0) -> list[int]:
    """The `count` seeds of a split from its `first` on.

    Raises:
        TiercelError: there is no such split, or it has no such seeds.
    """
    if split not in SPLITS:
        raise TiercelError(f"there is no split '{split}': use one of {', '.join(SPLITS)}.")
    chosen = SPLITS[split][first : first + count]
    if len(chosen) < count:
        raise TiercelError(
            f"split '{split}' has {len(SPLITS[split])} seeds, fewer than the {first + count} that are asked for."
        )
    return list(chosen)


def split_of(seed: int) -> str:
    """The split that a seed belongs to; the seeds in none are free for demonstrations and experiments."""
    return next((name for name, members in SPLITS.items() if seed in members), "none")
