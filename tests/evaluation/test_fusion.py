"""Weighted sums of two policies: the weight is fitted on validation cities, what the sum gains counted in pairs."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tiercel.errors import TiercelError
from tiercel.evaluation.arms import Arms
from tiercel.evaluation.fusion import (
    Evidence,
    Fusion,
    Pair,
    errors_m,
    fit_weight,
    measure_fusion,
    pair_rows,
    read_fusion,
    total,
)
from tiercel.evaluation.metrics import Measured
from tiercel.evaluation.results import Row, read_rows
from tiercel.geo import Square, ZoomTree
from tiercel.search import LevelScores, WeightedSum, posterior

MODULE = sys.modules[measure_fusion.__module__]
RECIPES = Path(__file__).parents[2] / "recipes"
MEMBER = {"model": "bundled", "method": "retrieval"}
CONTENT = {
    "protocol": "fusion", "results": "rows.json", "seeds": [0], "photos": 2, "validation": [1010],
    "validation_photos": 2, "weights": [0.0, 1.0, 2.0],
    "pairs": [{"name": "two", "words": "", "first": MEMBER, "second": {**MEMBER, "method": "global"}}],
}  # fmt: skip


def evidence(scores: list[list[float]], right: list[int]) -> Evidence:
    """A city of as many leaves as there are scores, all of them 100 m from each other."""
    distance = np.full(np.shape(scores), 100.0, np.float32)
    distance[np.arange(len(right)), right] = 10.0
    return Evidence(np.array(scores, np.float32), distance)


def test_the_sum_is_that_of_the_policies() -> None:
    tree = ZoomTree(Square(0, 0, 64), 4, 2)
    rng = np.random.default_rng(0)
    policies = [
        LevelScores(tree, {level: rng.normal(size=tree.count(level)) for level in (1, 2)}),
        LevelScores(tree, {2: np.where(rng.random(256) < 0.1, -np.inf, rng.normal(size=256))}),
    ]
    alone = [posterior(policy).log_probability for policy in policies]
    summed = posterior(WeightedSum([(policies[0], 1.0), (policies[1], 0.7)])).log_probability
    ours = total(alone[0], alone[1], 0.7)
    assert np.isneginf(ours).tolist() == np.isneginf(summed).tolist()
    covered = np.isfinite(ours)
    assert np.ptp(ours[covered] - summed[covered]) < 1e-4  # up to a constant


def test_the_weight_is_the_one_that_gets_most_right() -> None:
    # The first policy is right about the first photo, the second about the second; together at weight 1 about both.
    first = evidence([[3, 0, 0], [1, 0, 0]], [0, 1])
    second = evidence([[0, 2, 0], [0, 2, 0]], [0, 1])
    tried = fit_weight({"photo": [first]}, {"photo": [second]}, [0.0, 1.0, 5.0])
    assert tried[0].weight == 1.0
    assert {one.weight: one.recall for one in tried} == {0.0: 50.0, 1.0: 100.0, 5.0: 50.0}
    # Every kind of query counts the same, however many photos it has.
    more = evidence([[3, 0, 0]] * 8, [0] * 8)
    nothing = evidence([[0, 9, 0]] * 8, [0] * 8)
    tried = fit_weight({"a": [first], "b": [more]}, {"a": [second], "b": [nothing]}, [0.0, 1.0])
    assert {one.weight: one.recall for one in tried} == {0.0: 75.0, 1.0: 50.0}


def test_log_probability_is_that_of_the_truth_and_its_surroundings() -> None:
    # Two leaves out of four are within 50 m; at temperature 1 each leaf has the probability of its score.
    scores = np.log(np.array([[0.4, 0.3, 0.2, 0.1]]))
    city = Evidence(scores.astype(np.float32), np.array([[10.0, 90.0, 40.0, 90.0]], np.float32))
    by_hand = max(
        float(np.log(p[[0, 2]].sum() / p.sum())) for p in (np.exp(scores[0] / t) for t in (0.5, 0.7, 1, 1.4, 2, 2.8))
    )
    (tried,) = fit_weight({"photo": [city]}, {"photo": [city]}, [0.0])
    assert tried.log_probability == pytest.approx(by_hand, abs=1e-6)


def test_what_either_does_not_cover_is_no_answer() -> None:
    first, second = evidence([[-np.inf, 1, 0]], [1]), evidence([[9, -np.inf, 0]], [1])
    assert errors_m(first, second, 1.0) == pytest.approx([100.0])
    assert errors_m(first, second, 0.0) == pytest.approx([100.0])
    assert errors_m(first, first, 0.0) == pytest.approx([10.0])


def test_a_sum_is_compared_with_the_better_of_the_two_photo_by_photo() -> None:
    first = evidence([[3, 0, 0], [1, 0, 0], [3, 0, 0]], [0, 1, 0])
    second = evidence([[0, 2, 0], [0, 2, 0], [0, 2, 0]], [0, 1, 0])
    pair = Pair.model_validate(CONTENT["pairs"][0])

    def make(name: str, unit: str, one: Measured) -> Row:
        return Row(name, one.value, unit, one.n, one.low, one.high, (), "here", "tiercel")

    rows = {row.name: row for row in pair_rows(pair, {"photo": [first]}, {"photo": [second]}, 1.0, make)}
    values = [rows[f"r1_50m/photo/unseen/{m}@two"].value for m in ("retrieval", "global", "fusion")]
    assert values == pytest.approx([200 / 3, 100 / 3, 100.0])
    assert rows["r1_50m/photo/unseen/either@two"].value == pytest.approx(100.0)
    gain = rows["gain_50m/photo/unseen/fusion@two"]
    assert gain.value == pytest.approx(100 / 3) and gain.low == 0.0
    assert rows["r1_50m/photo/unseen/chance"].value == pytest.approx(100 / 3)


def test_weights_are_fitted_on_validation_cities_alone(tmp_path, monkeypatch) -> None:
    asked: list[tuple[str, tuple[int, ...], str]] = []

    def ask(model: object, method: str, protocol: object, work: Path, report: object) -> dict[str, list[Evidence]]:
        asked.append((method, protocol.seeds, work.name))
        # On validation cities the second policy is worthless, on test cities it would be better.
        worthless = 1010 in protocol.seeds
        right = 0 if method == "retrieval" else 1
        scores = [[2.0 if leaf == right else 0.0 for leaf in range(3)]]
        return {"photo": [evidence(scores, [0 if worthless or method == "retrieval" else 1])]}

    monkeypatch.setattr(MODULE, "member_model", lambda member, work, report: None)
    monkeypatch.setattr(MODULE, "ask", ask)
    file = tmp_path / "fusion.yaml"
    settings = read_fusion(file, {**CONTENT, "results": str(tmp_path / "rows.json")})
    measure_fusion(settings, file, tmp_path, str)
    assert [one[1:] for one in asked] == [((1010,), "calibration")] * 2 + [((0,), "evaluation")] * 2
    rows = {row.name: row for row in read_rows(tmp_path / "rows.json")}
    assert rows["weight/all/validation/fusion@two"].value == 0.0
    assert rows["weight/all/validation/fusion@two"].seeds == (1010,)
    assert rows["r1_50m/photo/unseen/fusion@two"].seeds == (0,)


def test_the_project_s_own_file_is_sound() -> None:
    path = RECIPES / "fusion.yaml"
    settings = read_fusion(path, yaml.safe_load(path.read_text()))
    for member in (one for pair in settings.pairs for one in (pair.first, pair.second) if one.recipe):
        content = yaml.safe_load((RECIPES.parent / member.recipe).read_text())
        arms = Arms.checked(member.recipe, {name: content[name] for name in ("base", "stage", "arms")}, "")
        recipe = arms.recipe(arms.arm(member.arm), member.seed)
        assert recipe.stages[0].steps == 2000 and recipe.cities.train == 24


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("weights"), "weights"),
        (lambda content: content["pairs"][0]["second"].update(method="luck"), r"pairs\.0\.second\.method"),
        (lambda content: content.update(validation=[3]), "not of the split 'validation'"),
        (lambda content: content.update(seeds=[10_000]), "not of the split 'test'"),
    ],
)
def test_files_that_cannot_be(change, words) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(TiercelError, match=words):
        read_fusion(Path("some.yaml"), content)


def test_settings_are_plain() -> None:
    assert Fusion.model_validate(CONTENT).pairs[0].second.method == "global"
