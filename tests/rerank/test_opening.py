import hashlib
from pathlib import Path

import pytest

from tests.rerank import small_judge
from tests.rerank.pictures import a_list
from tiercel.errors import TiercelError
from tiercel.rerank.backends.cache import CachedBackend
from tiercel.rerank.controls import Oracle
from tiercel.rerank.geometry import MatchJudge
from tiercel.rerank.opening import CONTROLS, is_small, open_judge, small_folder
from tiercel.rerank.prompt import arms
from tiercel.rerank.views import SMALL_VIEW
from tiercel.rerank.vision import VisionLanguageJudge
from tiercel.training.judging.lessons import Wording


def test_the_small_model_came_whole_and_within_its_limit() -> None:
    weights = (small_folder() / "model.safetensors").read_bytes()
    told = (small_folder() / "model.safetensors.sha256").read_text(encoding="utf-8").split()[0]
    assert hashlib.sha256(weights).hexdigest() == told and len(weights) <= 16 * 1024**2


def test_its_card_says_what_it_was_made_from() -> None:
    card = (small_folder() / "README.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("Seed", "license: apache-2.0", "steps:", "Limits", "seeds 20000 to 20023"))


def test_its_tokenizer_is_the_one_that_its_recipe_makes() -> None:
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(small_folder()).get_vocab() == Wording().tokenizer.get_vocab()


@pytest.mark.parametrize("arm", arms())
def test_it_answers_every_arm(arm: str, tmp_path: Path) -> None:
    judge, one = open_judge(arm=arm), a_list(tmp_path, 3)
    if arm.startswith("pairwise"):
        found = judge.prefer(one, *one.candidates[:2])
        assert found.probability is not None and bool(found.reason) == ("reasoning" in arm)
    elif arm == "listwise":
        assert judge.rank(one, one.candidates).cost.calls == 1
    else:
        score = judge.score(one, one.candidates[0])
        assert score.value is not None and 0 <= score.value <= 100, score.trouble


def test_its_name_is_small_and_a_folder_of_its_kind_is_known(tmp_path: Path) -> None:
    judge = open_judge()
    assert isinstance(judge, VisionLanguageJudge) and judge.view == SMALL_VIEW
    assert judge.name == "small pairwise v1" and is_small("small")
    assert is_small(str(small_judge.save(tmp_path / "tiny"))) and not is_small("llava-hf/llava-1.5-7b-hf")


def test_answers_are_kept_where_a_folder_is_given(tmp_path: Path) -> None:
    judge = open_judge(cache=tmp_path / "answers", view={"crop_m": 100.0})
    assert isinstance(judge, VisionLanguageJudge) and isinstance(judge.backend, CachedBackend)
    assert judge.view.crop_m == 100.0 and judge.view.photo == "strip"


def test_arms_of_one_model_load_it_once() -> None:
    one, other = open_judge(arm="yes_no"), open_judge(arm="likert")
    assert isinstance(one, VisionLanguageJudge) and isinstance(other, VisionLanguageJudge)
    assert one.backend is other.backend


def test_judges_without_a_model() -> None:
    assert isinstance(open_judge(kind="oracle"), Oracle) and isinstance(open_judge(kind="match"), MatchJudge)
    assert [open_judge(kind=kind).name.removeprefix("first_") for kind in CONTROLS] == list(CONTROLS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "guess"}, "no judge of the kind 'guess'"),
        ({"kind": "server", "model": "m"}, "give --url"),
        ({"view": {"colour": 1}}, "no setting colour"),
        ({"backend": {"colour": 1}}, "colour"),
        ({"arm": "guess"}, "guess.yaml does not exist"),
    ],
)
def test_what_is_not_there_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(TiercelError, match=words):
        open_judge(**settings)  # type: ignore[arg-type]
