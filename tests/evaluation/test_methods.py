"""Every method is there where its head is, in the order of the tables."""

from __future__ import annotations

import numpy as np
import pytest

from tests.search.town import prepared
from tiercel.evaluation.evaluate import METHODS
from tiercel.evaluation.methods import descents, posteriors
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
    assert set(descents(analysis).values()) | {answer.best for answer in posteriors(analysis).values()} <= leaves
