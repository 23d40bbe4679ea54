"""The decorator for compiled functions that must be expanded into their callers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def inlined(function: Function) -> Function:
    """As `tiercel.sim.compiled.compiled`, and always expanded into the caller.

    An array is nine numbers to a compiled function and a scene of fifteen arrays more than a hundred; handing them to
    a function called for every pixel takes several times longer than what the function does.
    """
    decorate = numba.njit(
        cache=True, nogil=True, fastmath={"contract", "afn", "arcp", "nsz"}, error_model="numpy", forceinline=True
    )
    return cast(Function, decorate(function))
