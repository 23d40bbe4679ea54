"""Products of spectra, summed over channels: what correlating templates with a map spends its time on.

On one core, torch goes through memory once for each channel; here a piece of the sum stays in registers and in the
innermost cache until all channels are added, which takes a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Spectra = NDArray[np.complex64]

PIECE = 512
"""Frequencies that are worked on at once."""
FEW_THREADS = 4
"""With more threads, torch's own products are as fast."""


def multiply(templates: Tensor, features: Sequence[Tensor] | Tensor, out: Tensor) -> None:
    """``einsum("hcyx,kcyx->hkyx")``.

    Args:
        templates: (H, C, S, F) complex, may be conjugated lazily.
        features: K times (C, S, F).
        out: (H, K, S, F), each (S, F) in one piece.
    """
    if out.dtype != torch.complex64 or out.device.type != "cpu" or torch.get_num_threads() > FEW_THREADS:
        for index, one in enumerate(features):
            torch.mul(templates[:, 0], one[0], out=out[:, index])
            for channel in range(1, len(one)):
                out[:, index].addcmul_(templates[:, channel], one[channel])
        return
    conjugated = templates.is_conj()
    plain = (templates.conj() if conjugated else templates).detach().contiguous().flatten(2).numpy()
    lines = out.detach().flatten(2).numpy()
    for index, one in enumerate(features):
        _multiply(plain, one.detach().resolve_conj().contiguous().flatten(1).numpy(), lines[:, index], conjugated)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _multiply(templates: Spectra, features: Spectra, out: Spectra, conjugated: bool) -> None:
    """`multiply` for spectra laid out in a line each, (H, C, n), (C, n) and (H, n)."""
    turns, channels, size = templates.shape
    total = np.empty(PIECE, np.complex64)
    for start in range(0, size, PIECE):
        end = min(start + PIECE, size)
        for turn in range(turns):
            total[:] = 0
            for channel in range(0, channels - 1, 2):  # in pairs: the sum is fetched and put back half as often
                one, two = templates[turn, channel, start:end], templates[turn, channel + 1, start:end]
                other, another = features[channel, start:end], features[channel + 1, start:end]
                if conjugated:
                    for at in range(end - start):
                        total[at] += np.conj(one[at]) * other[at] + np.conj(two[at]) * another[at]
                else:
                    for at in range(end - start):
                        total[at] += one[at] * other[at] + two[at] * another[at]
            if channels % 2:
                one, other = templates[turn, channels - 1, start:end], features[channels - 1, start:end]
                for at in range(end - start):
                    total[at] += (np.conj(one[at]) if conjugated else one[at]) * other[at]
            out[turn, start:end] = total[: end - start]
