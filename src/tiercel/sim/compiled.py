"""One decorator for all compiled code of the simulator, typed so that the functions keep their signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def _source_stamp() -> str:
    """A digest of all sources of compiled code.

    Numba's cache only watches the file of a function itself, yet compiled code contains the functions it calls: after
    a change in `materials.py` the renderers of the other modules would go on with the old colours.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if b"compiled" in source or path.name == "world.py":
            digest.update(path.name.encode() + b"\0" + source)
    return digest.hexdigest()


_STAMP = _source_stamp()


def compiled(function: Function) -> Function:
    """Compile with numba: cached on disk, without the interpreter lock, IEEE division, relaxed float order."""
    dispatcher: Any = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function)
    cache_file = getattr(dispatcher._cache, "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = _STAMP
    return cast(Function, dispatcher)
