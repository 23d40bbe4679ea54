import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.rerank.pictures import a_list
from tiercel.candidates import Candidate
from tiercel.errors import TiercelError
from tiercel.rerank.backends.backend import Answer, Backend, Picture, Request
from tiercel.rerank.prompt import arms, load_prompt
from tiercel.rerank.views import View
from tiercel.rerank.vision import VisionLanguageJudge

VIEW = View(photo_pixels=64, crop_pixels=48)


class Scripted(Backend):
    """Answers by a function, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, *answers: Answer, single_image: bool = False) -> None:
        self.answers, self.asked, self.single_image = list(answers), [], single_image

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        self.asked.append(list(requests))
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] for _ in requests]


def likely(**probabilities: float) -> Answer:
    return Answer(log_probabilities={name.strip("_"): math.log(p) for name, p in probabilities.items()}, tokens_in=7)


def test_a_preference_is_the_share_of_the_first_choice(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(_1=0.6, _2=0.2))
    found = VisionLanguageJudge(backend, load_prompt("pairwise"), VIEW).prefer(one, *one.candidates[:2])
    assert found.probability == pytest.approx(0.75)
    assert (found.cost.calls, found.cost.computed, found.cost.tokens_in) == (1, 1, 7)


def test_the_pictures_are_the_photo_and_then_the_places_in_their_order(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(_1=0.5, _2=0.5))
    VisionLanguageJudge(backend, load_prompt("pairwise"), VIEW).prefer(one, one.candidates[2], one.candidates[0])
    request = backend.asked[0][0]
    wanted = [VIEW.of_photo(one), *(VIEW.of_candidate(one, one.candidates[i]) for i in (2, 0))]
    assert [picture.digest for picture in request.pictures] == [picture.digest for picture in wanted]
    assert request.choices == ("1", "2") and request.prompt == "pairwise v1"


def test_questions_about_a_photo_share_their_beginning(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(_1=0.5, _2=0.5))
    judge = VisionLanguageJudge(backend, load_prompt("pairwise"), VIEW)
    judge.prefer_each(one, [one.candidates[:2], one.candidates[2:4]])  # type: ignore[list-item]
    first, second = backend.asked[0]
    shared = first.prefix_parts
    assert shared == 3 and first.turns[0].parts[:shared] == second.turns[0].parts[:shared]
    assert first.turns[0].parts[shared:] != second.turns[0].parts[shared:]


def test_an_expected_value_is_read_from_five_steps(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(_1=0.1, _2=0.1, _3=0.2, _4=0.3, _5=0.3))
    found = VisionLanguageJudge(backend, load_prompt("likert"), VIEW).score(one, one.candidates[0])
    assert found.value == pytest.approx((1 * 0.1 + 2 * 0.1 + 3 * 0.2 + 4 * 0.3 + 5 * 0.3 - 1) * 25)


def test_yes_is_worth_its_share(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(Yes=0.3, No=0.1))
    found = VisionLanguageJudge(backend, load_prompt("yes_no"), VIEW).score(one, one.candidates[0])
    assert found.value == pytest.approx(75.0)


def test_without_log_probabilities_json_is_asked_for_from_then_on(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(Answer("2"), Answer('{"preference": 2}'))
    judge = VisionLanguageJudge(backend, load_prompt("pairwise"), VIEW)
    assert judge.prefer(one, *one.candidates[:2]).probability == 0.0
    assert judge.prefer(one, *one.candidates[:2]).probability == 0.0
    words = [asked[0].turns[-1].parts[-1] for asked in backend.asked]
    assert ["JSON" in str(text) for text in words] == [False, True, True]


def test_a_reason_is_given_back_before_the_verdict(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(Answer("The road bends.", tokens_out=5), likely(_1=0.9, _2=0.1))
    found = VisionLanguageJudge(backend, load_prompt("pairwise_reasoning"), VIEW).prefer(one, *one.candidates[:2])
    assert found.reason == "The road bends." and found.probability == pytest.approx(0.9) and found.cost.calls == 2
    roles = [turn.role for turn in backend.asked[1][0].turns]
    assert roles == ["user", "assistant", "user"] and backend.asked[1][0].turns[1].parts == ("The road bends.",)


def test_a_reason_in_the_same_answer_is_kept(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(Answer('{"reasoning": "Same roof.", "score": 80}'))
    found = VisionLanguageJudge(backend, load_prompt("reasoning_score"), VIEW).score(one, one.candidates[0])
    assert (found.value, found.reason) == (80.0, "Same roof.")


def test_a_list_is_ranked_in_one_call(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(Answer('{"ranking": [4, 2, 1, 3]}'))
    found = VisionLanguageJudge(backend, load_prompt("listwise"), VIEW).rank(one, one.candidates)
    assert found.order == (3, 1, 0, 2) and len(backend.asked[0][0].pictures) == 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(trouble="the server is overloaded"), "overloaded"),
        (Answer(""), "empty"),
        (Answer("Place 1 looks right."), "not JSON"),
        (Answer('{"preference": 3}'), "not 1 or 2"),
        (Answer(log_probabilities={"1": -9.0, "2": -9.0}), "something other"),
    ],
)
def test_what_cannot_be_read_is_no_preference(answer: Answer, words: str, tmp_path: Path) -> None:
    one = a_list(tmp_path)
    found = VisionLanguageJudge(Scripted(answer), load_prompt("pairwise"), VIEW).prefer(one, *one.candidates[:2])
    assert found.probability is None and words in found.trouble and found.cost.calls == 1


def test_a_reason_that_fails_ends_the_question(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(Answer(trouble="timed out"))
    found = VisionLanguageJudge(backend, load_prompt("pairwise_reasoning"), VIEW).prefer(one, *one.candidates[:2])
    assert found.trouble == "timed out" and found.cost.calls == 1


def test_a_candidate_without_its_picture_is_not_asked_about_and_the_others_are(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(_1=0.5, _2=0.5))
    gone = replace(one.candidates[1], crop=tmp_path / "gone.png")
    pairs = [(one.candidates[0], gone), (one.candidates[0], one.candidates[2])]
    first, second = VisionLanguageJudge(backend, load_prompt("pairwise"), VIEW).prefer_each(one, pairs)
    assert "gone.png" in first.trouble and first.cost.calls == 0 and second.probability == 0.5
    assert len(backend.asked[0]) == 1


def test_a_prompt_of_another_kind_is_refused(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    with pytest.raises(TiercelError, match="yes_no asks about one candidate"):
        VisionLanguageJudge(Scripted(Answer()), load_prompt("yes_no"), VIEW).prefer(one, *one.candidates[:2])


def test_a_model_of_one_picture_gets_a_collage(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(_1=0.5, _2=0.5), single_image=True)
    VisionLanguageJudge(backend, load_prompt("pairwise"), VIEW).prefer(one, *one.candidates[:2])
    request = backend.asked[0][0]
    assert len(request.pictures) == 1 and request.prefix_parts == 0
    assert 'Place 2 from above: (titled "Place 2" in the picture)' in str(request.turns[0].parts[-1])


@pytest.mark.parametrize("arm", arms())
def test_no_slot_is_left_in_what_is_sent(arm: str, tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(Answer("a reason"))
    judge = VisionLanguageJudge(backend, load_prompt(arm), VIEW)
    ask = {"pair": lambda: judge.prefer(one, *one.candidates[:2]), "list": lambda: judge.rank(one, one.candidates)}
    ask.get(judge.prompt.kind, lambda: judge.score(one, one.candidates[0]))()
    for request in (request for asked in backend.asked for request in asked):
        texts = [part for turn in request.turns for part in turn.parts if isinstance(part, str)]
        assert not any(slot in text for text in texts for slot in ("{photo", "{candidate", "{first", "{places"))
        assert all(isinstance(part, (str, Picture)) for turn in request.turns for part in turn.parts)


def test_what_was_sent_can_be_looked_at(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path / "list"), Scripted(likely(_1=0.5, _2=0.5))
    judge = VisionLanguageJudge(backend, load_prompt("pairwise"), VIEW, tmp_path / "sent")
    judge.prefer(one, *one.candidates[:2])
    (file,) = (tmp_path / "sent").iterdir()
    page = np.asarray(Image.open(file))
    crop = VIEW.of_candidate(one, one.candidates[1]).pixels
    assert any(np.array_equal(page[row : row + 48, 16:64], crop) for row in range(len(page) - 48))


def test_an_answer_depends_on_the_version_of_the_prompt(tmp_path: Path) -> None:
    one, backend = a_list(tmp_path), Scripted(likely(_1=0.5, _2=0.5))
    prompt = load_prompt("pairwise")
    for version in (1, 2):
        judge = VisionLanguageJudge(backend, prompt.model_copy(update={"version": version}), VIEW)
        judge.prefer(one, *one.candidates[:2])
    assert backend.asked[0][0].digest != backend.asked[1][0].digest


def test_a_candidate_with_no_crop_is_named(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    found = VisionLanguageJudge(Scripted(Answer()), load_prompt("yes_no"), VIEW).score(one, Candidate())
    assert "--crops" in found.trouble
