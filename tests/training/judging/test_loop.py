import csv
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.candidates.city import PLAN, candidates_in_city
from tests.rerank import small_judge
from tests.training.judging.test_lessons import made_up
from tiercel.candidates import CandidateList
from tiercel.errors import TiercelError
from tiercel.models import load_model
from tiercel.rerank.backends.local import LocalBackend
from tiercel.rerank.prompt import load_prompt
from tiercel.rerank.views import SMALL_VIEW
from tiercel.rerank.vision import VisionLanguageJudge
from tiercel.training.judging.lessons import Example, Lessons, Step, Wording
from tiercel.training.judging.lessons import _Asked as Asked
from tiercel.training.judging.looks import RIGHT_M, WRONG_M, CityLooks
from tiercel.training.judging.loop import Teacher, prepare_lessons, save_judge, train_judge
from tiercel.training.judging.recipe import JudgeRecipe, LessonCities

CITIES = LessonCities(
    first=20_000, count=1, size=PLAN.size, photos=PLAN.photos, queries=PLAN.queries, candidates=PLAN.count
)
RECIPE = small_judge.RECIPE.model_copy(
    update={"cities": CITIES, "steps": 6, "photos_per_step": 2, "save_every": 2, "warm_up": 1}
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judging")
    candidates_in_city(folder / "cities" / f"city-20000-{PLAN.size:g}m-{PLAN.photos}")
    return folder


@pytest.fixture(scope="module")
def lists(home: Path) -> list[CandidateList]:
    found = candidates_in_city(home / "cities" / f"city-20000-{PLAN.size:g}m-{PLAN.photos}")
    return [one for file in found.values() for one in file.lists]


@pytest.fixture(scope="module")
def looks(home: Path) -> CityLooks:
    (found,) = prepare_lessons(RECIPE, load_model("bundled"), home / "cities", lambda _: None)
    return found


def test_looks_say_who_is_right_by_where_the_photo_was_taken(looks: CityLooks, lists: list[CandidateList]) -> None:
    assert looks.polar.shape == (6, 16, 24, 64) and looks.ground.shape == (6, 4, 16, 24, 64)
    for row, one in enumerate(lists):
        for number, it in enumerate(one.candidates):
            assert it.distance_m is not None
            assert not looks.right[row, number] or it.distance_m <= RIGHT_M * np.sqrt(2)
            assert looks.wrong[row, number] == (it.distance_m >= WRONG_M)
    assert looks.right.any() and looks.wrong.any()
    assert looks.known.tolist() == [False] * 3 + [True] * 3


def test_looks_have_words_for_what_was_seen(looks: CityLooks) -> None:
    sides = [photo["sides"] for photo in looks.photos]
    assert all(len(text.split(", ")) == 4 and "ahead" in text for text in sides[:3])
    assert all(re.search("north|east|south|west", text) and text.count(",") < 3 for text in sides[3:])


def test_what_is_learnt_is_what_is_asked_later(looks: CityLooks, lists: list[CandidateList], tmp_path: Path) -> None:
    """The same question gives the same answer from the looks that train and from the pictures that are sent."""
    wording = Wording()
    model = small_judge.make(wording)
    teacher = Teacher(model, wording)
    one, two = (teacher.encoded(word)[0] for word in ("1", "2"))
    wanted = []
    for row in (0, 4):
        asked = Asked(0, looks, row, np.random.default_rng(0), wording)
        example = Example(0, (1, 3), asked.ask("pairwise", 2), "1")
        polar, ground = (
            torch.from_numpy(array.astype(np.float32)) for array in (looks.polar[[row]], looks.ground[row])
        )
        step = Step(polar, [(0, k) for k in range(4)], ground, torch.from_numpy(looks.summary[row]), [example])
        with torch.no_grad():
            ((logits, _),) = teacher._answers(step, [example])
        wanted.append(float(logits[0].log_softmax(-1)[[one, two]].diff()))
    save_judge(model, wording.tokenizer, tmp_path / "judge", "# tiny\n")
    backend = LocalBackend(tmp_path / "judge", precision="fp32")
    judge = VisionLanguageJudge(backend, load_prompt("pairwise"), SMALL_VIEW)
    for row, difference in zip((0, 4), wanted, strict=True):
        question = judge.question(lists[row], [lists[row].candidates[k] for k in (1, 3)])
        request = judge.request(question, judge.prompt.verdict.choice, judge.prompt.verdict.choices)
        told = backend.answer([request])[0].log_probabilities
        assert told is not None and told["2"] - told["1"] == pytest.approx(difference, abs=0.02)


def test_it_learns_and_can_be_loaded(home: Path, looks: CityLooks, tmp_path: Path) -> None:
    folder = train_judge(RECIPE, tmp_path / "run", cities=home / "cities", report=lambda _: None)
    weights = (folder / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors.sha256").read_text().split()[0] == hashlib.sha256(weights).hexdigest()
    assert LocalBackend(folder, precision="fp32").settings["model"] == "tiercel_judge"
    card = (folder / "README.md").read_text()
    assert "seeds 20000 to 20000" in card and "steps: 6" in card
    with (folder / "log.csv").open() as file:
        assert {"verdict_loss", "text_loss", "right", "seconds"} == {name for _, name, _ in csv.reader(file)}


def test_a_run_that_was_stopped_ends_as_one_that_was_not(home: Path, looks: CityLooks, tmp_path: Path) -> None:
    whole = train_judge(RECIPE, tmp_path / "whole", cities=home / "cities", report=lambda _: None)
    reports: list[str] = []

    def stop(line: str) -> None:
        reports.append(line)

    short = RECIPE.model_copy(update={"save_every": 4})
    learn, calls = Teacher.learn, []

    def stopping(self: Teacher, step: Step) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return learn(self, step)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Teacher, "learn", stopping)
        train_judge(short, tmp_path / "parts", cities=home / "cities", report=stop)
    with pytest.raises(TiercelError, match="unfinished run: give --resume"):
        train_judge(short, tmp_path / "parts", cities=home / "cities", report=stop)
    parts = train_judge(short, tmp_path / "parts", resume=True, cities=home / "cities", report=stop)
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_another_recipe_does_not_go_on_with_it(home: Path, looks: CityLooks, tmp_path: Path) -> None:
    state = {"step": 2, "model": {}, "optimizer": {}, "recipe": "another"}
    (tmp_path / "run").mkdir()
    torch.save(state, tmp_path / "run" / "state.pt")
    with pytest.raises(TiercelError, match="is of another recipe"):
        train_judge(RECIPE, tmp_path / "run", resume=True, cities=home / "cities", report=lambda _: None)


def test_it_learns_what_an_answer_is_while_the_tower_stays_as_it_is() -> None:
    wording = Wording()
    model = small_judge.make(wording).train()
    teacher = Teacher(model, wording)
    lessons = Lessons([made_up()], wording, {"pairwise": 1.0, "score": 1.0}, photos=4, dropout=0.0, seed=0)
    parameters = [value for value in model.parameters() if value.requires_grad]
    optimizer, losses = torch.optim.AdamW(parameters, lr=1e-2), []
    for number in range(25):
        found = teacher.learn(lessons.step(number))
        losses += [found[name] for name in ("verdict_loss",) if name in found]
        if number == 0:
            connector = model.model.multi_modal_projector
            assert all(float(layer.weight.grad.abs().sum()) > 0 for layer in (connector.product, connector.photo))
            assert all(value.grad is None for value in model.model.vision_tower.parameters())
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 1.5 < 5.0 < losses[0]


def test_a_missing_recipe_is_named() -> None:
    with pytest.raises(TiercelError, match=r"gone\.yaml does not exist"):
        train_judge(Path("gone.yaml"), "nowhere")


def test_the_recipe_says_what_the_first_stage_was() -> None:
    assert JudgeRecipe(judge="x").model == "bundled"
