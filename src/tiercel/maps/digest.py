"""Fingerprints of files that may be too large to read whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_SAMPLES = 64
_SAMPLE_BYTES = 8192


def sampled(path: Path) -> bytes:
    """Digest of a file's size and of bytes from its beginning, its end and evenly in between."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    digest.update(str(size).encode())
    last = max(0, size - _SAMPLE_BYTES)
    with path.open("rb") as file:
        for offset in sorted({last * i // (_SAMPLES - 1) for i in range(_SAMPLES)}):
            file.seek(offset)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.digest()


def combined(parts: Iterable[str | bytes]) -> str:
    """One fingerprint of several parts, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]
