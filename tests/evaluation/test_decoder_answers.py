"""A model that is nothing but the published decoder is measured like any other."""

import dataclasses

import numpy as np
import pytest

from tests.datasets.benchmark import DIVISION, write_benchmark
from tests.models.small_decoder import SMALL, small_net
from tiercel.evaluation.benchmark import evaluate_benchmark
from tiercel.models import Model, ModelConfig, save_model

SIZES = dataclasses.replace(SMALL, grid=DIVISION.branching, depth=DIVISION.depth)


def test_every_way_down_is_measured_on_a_benchmark(tmp_path) -> None:
    places = np.random.default_rng(0).uniform(-400, 400, (10, 2))
    data = write_benchmark(tmp_path / "town", [tuple(place) for place in places], 4)
    model = Model(ModelConfig.of_decoder(SIZES, leaf_m=DIVISION.side_m / DIVISION.branching**DIVISION.depth))
    model.decoder.load_state_dict(small_net(2, SIZES).state_dict())
    save_model(model, tmp_path / "model", "For tests.")
    rows, problems = evaluate_benchmark(
        data, tmp_path / "model", out=None, work=tmp_path / "work", report=lambda line: None
    )
    assert problems.photos == 6 and not problems.problems
    medians = {row.parts[3]: row for row in rows if row.parts[0] == "median_m"}
    assert medians.keys() >= {"greedy", "beam4", "beam16", "best_first", "bottom_up", "global"}
    assert all(row.n == 6 and row.value > 0 for row in medians.values())
    # One sum of log-probabilities, whether it is searched for or all of it is computed.
    assert medians["best_first"].value == pytest.approx(medians["global"].value)
