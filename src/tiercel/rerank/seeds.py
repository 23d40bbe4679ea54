"""Chance that can be repeated."""

from __future__ import annotations

import hashlib

from tiercel.candidates.lists import CandidateList


def seed_of(query: CandidateList, *more: int) -> int:
    """A seed that hangs on the photo's path and some numbers, the same on every machine and in every run."""
    content = ",".join([query.query.as_posix(), *map(str, more)])
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")
