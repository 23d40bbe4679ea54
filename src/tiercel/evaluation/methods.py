"""What each method makes of a photo, in the order of tables; only methods that the model's heads allow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tiercel.locate import Analysis, TogetherAnalysis
from tiercel.search import BottomUp, Posterior, beam, best_first, greedy

BEAMS = (4, 16)
RANKED = 10
"""So many answers of a method are looked at, the best first."""


def descents(analysis: Analysis) -> dict[str, NDArray[np.int64]]:
    """The flat leaves that each search down the tree comes to, the best first: at most `RANKED`, some only one."""
    if not zooms(analysis):
        return {}
    held = BottomUp(analysis.locator.atlas.tree, analysis.zoom_global.log_probability)
    return {
        "greedy": analysis.zoom_greedy.leaves,
        **{f"beam{width}": beam(analysis.zoom_tempered, width).leaves[:RANKED] for width in BEAMS},
        "best_first": best_first(analysis.zoom_tempered, RANKED).leaves,
        "bottom_up": greedy(held).leaves,
    }


def posteriors(analysis: Analysis) -> dict[str, Posterior]:
    """The probability of all leaves by each method that weighs them against each other, but for the full pipeline."""
    heads, found = set(analysis.locator.model.config.heads), {}
    if zooms(analysis):
        found["global"] = analysis.zoom_global
    if "retrieval" in heads:
        found["retrieval"] = analysis.retrieval
        if "zoom" in heads:
            found["fusion"] = analysis.first
        if "match" in heads and alone(analysis):
            found["sweep"] = analysis.match_alone
    return found


def zooms(analysis: Analysis) -> bool:
    """Whether there is a head that zooms, and one photo for it."""
    return bool({"zoom", "decoder"} & set(analysis.locator.model.config.heads)) and alone(analysis)


def alone(analysis: Analysis) -> bool:
    """Whether it is of one photo, rather than of several from one spot."""
    return not isinstance(analysis, TogetherAnalysis)
