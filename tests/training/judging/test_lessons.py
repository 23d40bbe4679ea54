import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tiercel.training.judging.lessons import CERTAINTY, Lessons, Wording
from tiercel.training.judging.lessons import _seen as seen_after
from tiercel.training.judging.lessons import _Turn as Turn
from tiercel.training.judging.looks import CityLooks
from tiercel.training.judging.words import IMAGE


def made_up(photos: int = 6, candidates: int = 5) -> CityLooks:
    """Looks of nothing in particular; candidate 2 is right, 0 neither, the others wrong."""
    rng = np.random.default_rng(0)
    right, wrong = np.zeros((photos, candidates), bool), np.ones((photos, candidates), bool)
    right[:, 2], wrong[:, 2], wrong[:, 0] = True, False, False
    right[-1] = False  # nothing can be learnt from this one
    words: list[dict[str, Any]] = [
        {
            "panorama": n % 2 == 0,
            "field_of_view": 360.0,
            "heading": None if n < 3 else 10.0,
            "crop_m": 156.25,
            "sides": "ahead road",
        }
        for n in range(photos)
    ]
    return CityLooks(
        rng.random((photos, 16, 24, 64), np.float32).astype(np.float16),
        np.array([n >= 3 for n in range(photos)]),
        rng.random((photos, candidates, 16, 24, 64), np.float32).astype(np.float16),
        rng.random((photos, candidates, 6), np.float32),
        right,
        wrong,
        words,
        [["ahead grass"] * candidates for _ in range(photos)],
    )


@pytest.fixture(scope="module")
def wording() -> Wording:
    return Wording()


def lessons(wording: Wording, **shares: float) -> Lessons:
    return Lessons([made_up()], wording, shares, photos=8, dropout=0.0, seed=3)


def test_photos_without_a_right_candidate_teach_nothing(wording: Wording) -> None:
    assert lessons(wording, pairwise=1.0).usable == [(0, n) for n in range(5)]


def test_a_step_follows_from_its_number_and_seed(wording: Wording) -> None:
    one, other, next_one = (lessons(wording, pairwise=1.0, likert=1.0).step(n) for n in (4, 4, 5))
    assert one.examples == other.examples and one.ground.equal(other.ground) and one.polar.equal(other.polar)
    assert one.examples != next_one.examples


def test_pairs_are_asked_in_both_orders_with_the_right_one_named(wording: Wording) -> None:
    step = lessons(wording, pairwise=1.0).step(0)
    assert Counter(example.answer for example in step.examples) == {"1": 8, "2": 8}
    for example in step.examples:
        assert example.places[int(example.answer) - 1] == 2 and 0 not in example.places
        assert example.text.count(IMAGE) == 3 and not example.open_ended


@pytest.mark.parametrize(("arm", "right", "wrong"), [("yes_no", "Yes", "No"), ("likert", "5", "1")])
def test_points_are_told_by_what_they_are_worth(arm: str, right: str, wrong: str, wording: Wording) -> None:
    for example in lessons(wording, **{arm: 1.0}).step(0).examples:
        assert example.answer == (right if example.places == (2,) else wrong)


def test_a_score_is_what_the_model_itself_makes_of_a_place(wording: Wording) -> None:
    for example in lessons(wording, score=1.0, reasoning_score=1.0).step(0).examples:
        assert CERTAINTY in example.answer and example.open_ended
        assert "Answer with Yes or No only." in example.certainty_text


def test_reasons_come_before_verdicts_and_say_what_is_true(wording: Wording) -> None:
    examples = lessons(wording, pairwise_reasoning=1.0).step(0).examples
    told = [example for example in examples if example.open_ended]
    assert {example.answer for example in told} == {"Photo: ahead road. Place 1: ahead grass. Place 2: ahead grass."}
    assert len(told) * 2 == len(examples)
    assert all(told[0].answer in example.text for example in examples if not example.open_ended)


def test_lists_have_the_right_one_first_and_the_others_in_the_first_stages_order(wording: Wording) -> None:
    for example in lessons(wording, listwise=1.0).step(0).examples:
        order = [int(one) for one in example.answer.removeprefix('{"ranking": [').removesuffix("]}").split(", ")]
        ranked = [example.places[number - 1] for number in order]
        assert ranked[0] == 2 and ranked[1:] == sorted(ranked[1:])


def test_every_place_that_is_shown_is_there(wording: Wording) -> None:
    step = lessons(wording, pairwise=1.0, listwise=1.0).step(0)
    wanted = {(example.photo, place) for example in step.examples for place in example.places}
    assert set(step.shown) == wanted and len(step.ground) == len(step.summary) == len(step.shown)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_turned_world_is_seen_as_it_would_be(known: bool, mirror: bool) -> None:
    turn, columns = Turn(16, mirror), np.arange(64, dtype=np.float16)  # a quarter turn clockwise
    seen = seen_after(columns[None, None], turn)[0, 0]
    before = np.array([0.0, 0.0, 0.3, 0.4, math.sin(1.0), math.cos(1.0)], np.float32)
    east, north, sine, cosine = turn.summary(before, known)[2:]
    # What lay in the direction of column 0 is a quarter further on, or in the mirror the other way.
    assert int(np.flatnonzero(seen == 0)[0]) == (47 if mirror else 16)
    sign = -1 if mirror else 1
    if known:  # the camera stands elsewhere in the turned world, and north is still at the left edge
        assert (east, north) == pytest.approx((sign * 0.4, -0.3), abs=1e-6)
        assert math.atan2(sine, cosine) == pytest.approx(sign * 1.0, abs=1e-6)
    else:  # the camera stands where it stood, and the strip begins a quarter further left
        assert (east, north) == pytest.approx((sign * 0.3, 0.4), abs=1e-6)
        assert math.atan2(sine, cosine) == pytest.approx(sign * (1.0 - math.pi / 2), abs=1e-6)


def test_nothing_is_turned_where_a_reason_names_directions(wording: Wording) -> None:
    teaching = lessons(wording, pairwise_reasoning=1.0)
    step, looks = teaching.step(0), teaching.cities[0]
    kept = [bool((looks.polar.astype(np.float32) == one.numpy()).all((1, 2, 3)).any()) for one in step.polar]
    assert all(kept)


def test_some_of_a_photo_is_hidden() -> None:
    wording = Wording()
    step = Lessons([made_up()], wording, {"pairwise": 1.0}, photos=16, dropout=0.25, seed=0).step(0)
    hidden = (step.polar.reshape(16, 16, 24, 16, 4) == 0).all(4).all(2).all(1)
    assert 0.1 < float(hidden.float().mean()) < 0.4
