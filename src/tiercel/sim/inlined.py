"""The decorator for compiled functions that must be expanded into their callers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from tiercel.sim.compiled import _STAMP

Function = TypeVar("Function", bound=Callable[..., object])


def inlined(function: Function) -> Function:
    """As `tiercel.sim.compiled.compiled`, and always expanded into the caller.

    An array is nine numbers to a compiled function and a scene of fifteen arrays more than a hundred; handing them to
    a function called for every pixel takes several times longer than what the function does.
    """
    dispatcher: Any = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy", forceinline=True)(function)
    cache_file = getattr(dispatcher._cache, "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = _STAMP
    return cast(Function, dispatcher)
