"""Every method is there where its head is, in the order of the tables."""

from __future__ import annotations

import numpy as np
import pytest

from tests.search.town import prepared
from tiercel.evaluation.evaluate import METHODS
from tiercel.evaluation.methods import RANKED, descents, posteriors
from tiercel.locate import Analysis, Locator
from tiercel.photos import Photo


@pytest.mark.parametrize(
    ("heads", "left_out"),
    [
        (("retrieval", "zoom", "match"), ("match",)),
        (("retrieval",), (*METHODS[:6], "fusion", "sweep", "match")),
        (("retrieval", "match"), (*METHODS[:6], "fusion", "match")),
    ],
)
def test_methods_follow_the_heads(heads, left_out) -> None:
    model, atlas = prepared(heads=heads)
    blank = Photo.from_array(np.zeros((8, 8, 3), np.uint8), panorama=False, field_of_view=90.0, heading=10.0)
    analysis = Analysis(Locator(atlas, model), model.encode_photos([blank])[0])
    found = [*descents(analysis), *posteriors(analysis)]
    assert found == [method for method in METHODS if method not in left_out]
    leaves = set(atlas.leaf_index.tolist())
    ranked = descents(analysis)
    assert {int(leaf) for some in ranked.values() for leaf in some} <= leaves
    assert {answer.best for answer in posteriors(analysis).values()} <= leaves
    for method, count in {"greedy": 1, "beam4": 4, "beam16": RANKED, "best_first": RANKED}.items():
        assert method not in ranked or len(set(ranked[method].tolist())) == len(ranked[method]) == count
    if ranked:
        assert ranked["best_first"][0] == analysis.zoom_best_first.leaves[0]
