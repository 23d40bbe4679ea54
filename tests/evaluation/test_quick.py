"""A quickly trained model beside the bundled one."""

import json

import pytest

from tiercel.evaluation import quick as module
from tiercel.evaluation.quick import ASKED, main
from tiercel.evaluation.results import Row
from tiercel.training.splits import split_of


@pytest.fixture
def scores(monkeypatch) -> dict[str, float]:
    """What each model is said to reach."""
    reached = {"runs/quick": 80.0, "bundled": 90.0}

    def evaluate(model, *, protocol, **_: object) -> list[Row]:
        return [
            Row(f"r1_50m/{query.name}/unseen/match", reached[str(model)], "%", 100, 0, 99, protocol.seeds, "here", "x")
            for query in protocol.queries
        ]

    monkeypatch.setattr(module, "evaluate", evaluate)
    return reached


def test_both_are_asked_panoramas_of_an_unseen_city() -> None:
    assert {query.name for query in ASKED.queries} == {"panorama_north", "panorama"}
    assert {split_of(seed) for seed in ASKED.seeds} == {"test"}


@pytest.mark.parametrize(("quick", "code"), [(80.0, 0), (76.0, 0), (74.0, 1)])
def test_the_exit_code_says_whether_it_is_near_enough(scores, tmp_path, capsys, quick, code) -> None:
    scores["runs/quick"] = quick
    assert main(["runs/quick", str(tmp_path / "quick.json")]) == code
    assert f"panorama, north known: {quick:.1f} % within 50 m, the bundled model 90.0 %" in capsys.readouterr().out
    rows = json.loads((tmp_path / "quick.json").read_text())
    assert {row["name"].rpartition("@")[2] for row in rows} == {"quick", "bundled"}
