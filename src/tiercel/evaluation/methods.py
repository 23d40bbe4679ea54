"""What each method makes of a photo, in the order of tables; only methods that the model's heads allow."""

from __future__ import annotations

from tiercel.locate import Analysis
from tiercel.search import BottomUp, Posterior, beam, greedy

BEAMS = (4, 16)


def descents(analysis: Analysis) -> dict[str, int]:
    """The leaf that each search down the tree comes to, as a flat index."""
    if not zooms(analysis):
        return {}
    held = BottomUp(analysis.locator.atlas.tree, analysis.zoom_global.log_probability)
    return {
        "greedy": int(analysis.zoom_greedy.leaves[0]),
        **{f"beam{width}": int(beam(analysis.zoom_tempered, width).leaves[0]) for width in BEAMS},
        "best_first": int(analysis.zoom_best_first.leaves[0]),
        "bottom_up": int(greedy(held).leaves[0]),
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
        if "match" in heads:
            found["sweep"] = analysis.match_alone
    return found


def zooms(analysis: Analysis) -> bool:
    """Whether the model has a head that zooms."""
    return bool({"zoom", "decoder"} & set(analysis.locator.model.config.heads))
