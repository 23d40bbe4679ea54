from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.rerank.pictures import a_list
from tiercel.errors import TiercelError
from tiercel.models import Model, ModelConfig, save_model
from tiercel.rerank.geometry import MatchJudge, picture_tensor


@pytest.fixture(scope="module")
def judge() -> MatchJudge:
    return MatchJudge()


def test_two_orders_say_the_same(judge: MatchJudge, tmp_path: Path) -> None:
    one = a_list(tmp_path)
    a, b = one.candidates[:2]
    first, second = judge.prefer(one, a, b).probability, judge.prefer(one, b, a).probability
    assert first is not None and second is not None and first + second == pytest.approx(1.0)


def test_preferences_follow_scores(judge: MatchJudge, tmp_path: Path) -> None:
    one = a_list(tmp_path)
    values = [score.value or 0.0 for score in judge.score_each(one, one.candidates)]
    best, worst = int(np.argmax(values)), int(np.argmin(values))
    found = judge.prefer(one, one.candidates[best], one.candidates[worst]).probability
    assert found is not None and found > 0.5 and all(0 <= value <= 100 for value in values)


def test_a_known_heading_leaves_other_poses_out(judge: MatchJudge, tmp_path: Path) -> None:
    unknown = a_list(tmp_path)
    known = replace(unknown, heading=90.0)
    assert judge.score(unknown, unknown.candidates[0]).value != judge.score(known, known.candidates[0]).value


def test_a_missing_picture_is_no_preference(judge: MatchJudge, tmp_path: Path) -> None:
    one = a_list(tmp_path)
    gone = replace(one.candidates[0], crop=tmp_path / "gone.png")
    found = judge.prefer(one, gone, one.candidates[1])
    assert found.probability is None and "gone.png" in found.trouble


def test_a_model_without_a_match_is_refused(tmp_path: Path) -> None:
    save_model(Model(ModelConfig(heads=("retrieval",), headings=8)), tmp_path / "model", "For tests.")
    with pytest.raises(TiercelError, match="no geometric match to look with"):
        MatchJudge(tmp_path / "model")


def test_a_picture_is_what_the_processor_makes_of_it() -> None:
    from transformers import CLIPImageProcessorPil

    pixels = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    size = {"height": 320, "width": 320}
    make = CLIPImageProcessorPil(size=size, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    made = torch.as_tensor(np.asarray(make(Image.fromarray(pixels))["pixel_values"][0]))
    assert torch.allclose(picture_tensor(pixels), made, atol=1e-5)


def test_scores_are_kept_and_nothing_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = a_list(tmp_path / "list")
    first = MatchJudge(cache=tmp_path / "kept").prefer(one, *one.candidates[:2])
    again = MatchJudge(cache=tmp_path / "kept")
    monkeypatch.setattr(again.tower, "look", lambda *_: pytest.fail("it looked again"))
    found = again.prefer(one, *one.candidates[:2])
    assert found.probability == first.probability and (first.cost.computed, found.cost.computed) == (1, 0)


def test_what_is_computed_once_is_counted_once(tmp_path: Path) -> None:
    one, judge = a_list(tmp_path), MatchJudge()
    a, b, c, _ = one.candidates
    assert [found.cost.computed for found in judge.prefer_each(one, [(a, b), (b, a), (a, c)])] == [1, 0, 1]
