"""Pictures that several questions show are looked at once, and no answer changes for it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from tests.rerank import small_judge
from tests.rerank.backends import small_models
from tests.rerank.pictures import a_list
from tiercel.rerank.backends.backend import Request
from tiercel.rerank.backends.local import LocalBackend
from tiercel.rerank.prompt import load_prompt
from tiercel.rerank.views import SMALL_VIEW, View
from tiercel.rerank.vision import VisionLanguageJudge


@pytest.fixture(scope="module")
def judge_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_judge.save(tmp_path_factory.mktemp("judge") / "tiny")


@pytest.fixture(scope="module")
def llava_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.llava(tmp_path_factory.mktemp("llava"))


def questions(folder: Path, backend: LocalBackend, view: View) -> list[Request]:
    """Every pair of three candidates in both orders."""
    one = a_list(folder, 3)
    judge = VisionLanguageJudge(backend, load_prompt("pairwise"), view)
    verdict = judge.prompt.verdict
    pairs = [judge.question(one, pair) for pair in permutations(one.candidates, 2)]
    return [judge.request(question, verdict.choice, verdict.choices) for question in pairs]


def told(backend: LocalBackend, requests: list[Request]) -> list[float]:
    found = [answer.log_probabilities for answer in backend.answer(requests)]
    return [values[choice] for values in found if values for choice in ("1", "2")]


def test_the_small_model_looks_at_each_picture_once(
    judge_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(judge_folder, precision="fp32", batch=6)
    requests = questions(tmp_path, backend, SMALL_VIEW)
    backend._pictures.works = False
    apart = told(backend, requests)
    backend._pictures.works = None
    shown: list[int] = []
    look = backend._loaded.model.get_image_features
    monkeypatch.setattr(
        backend._loaded.model,
        "get_image_features",
        lambda pixel_values, **more: shown.append(len(pixel_values)) or look(pixel_values, **more),
    )
    together = told(backend, requests)
    assert backend._pictures.works and set(shown) == {4}  # the photo and three places, where 18 pictures were sent
    assert together == pytest.approx(apart, abs=1e-4) and len(together) == 12


def test_so_does_a_llava_that_shares_no_prefix(llava_folder: Path, tmp_path: Path) -> None:
    backend = LocalBackend(llava_folder, precision="fp32", batch=6, share_prefix=False)
    requests = questions(tmp_path, backend, View(photo_pixels=32, crop_pixels=32))
    backend._pictures.works = False
    apart = told(backend, requests)
    backend._pictures.works = None
    assert told(backend, requests) == pytest.approx(apart, abs=1e-4) and backend._pictures.works


def test_questions_without_a_picture_in_common_are_put_whole(judge_folder: Path, tmp_path: Path) -> None:
    backend = LocalBackend(judge_folder, precision="fp32")
    (first, *_) = questions(tmp_path, backend, SMALL_VIEW)
    assert backend._pictures.batch([first]) is None
