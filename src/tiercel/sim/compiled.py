"""One decorator for all compiled code of the simulator, typed so that the functions keep their signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile with numba: cached on disk, without the interpreter lock, IEEE division, relaxed float order."""
    decorate = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
    return cast(Function, decorate(function))
