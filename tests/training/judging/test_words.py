import numpy as np
import pytest

from tiercel.sim.landcover import CLASSES, LandCover
from tiercel.sim.world import Surface
from tiercel.training.judging.lessons import Wording, pair_reason
from tiercel.training.judging.words import _OF_CLASS as OF_CLASS
from tiercel.training.judging.words import GROUND, IMAGE, four_sides, make_tokenizer

PHOTO = {"panorama": True, "field_of_view": 360.0, "heading": None, "crop_m": 156.25}


@pytest.fixture(scope="module")
def wording() -> Wording:
    return Wording()


def test_a_question_is_short_and_comes_back_as_it_was(wording: Wording) -> None:
    text = wording.question("pairwise", PHOTO, 2, words=wording.prompt("pairwise").verdict.choice)
    ids = wording.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) < 80 < len(text.split()) and wording.tokenizer.decode(ids) == text
    assert text.count(IMAGE) == 3 and text.endswith("Answer with 1 or 2 only.\nASSISTANT:\n")


@pytest.mark.parametrize("text", ["1", "2", "5", "Yes", "No"])
def test_a_verdict_is_one_token(text: str, wording: Wording) -> None:
    assert len(wording.tokenizer(text, add_special_tokens=False)["input_ids"]) == 1


def test_words_that_were_never_seen_are_read_all_the_same(wording: Wording) -> None:
    text = "Wo steht der Leuchtturm, 灯台?\n"
    ids = wording.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert wording.tokenizer.decode(ids) == text


def test_a_tokenizer_is_the_same_every_time() -> None:
    texts = ["Which place?\n1", "Which street?\n2"]
    one, other = (make_tokenizer(texts).get_vocab() for _ in range(2))
    assert one == other


def test_a_reason_is_given_back_in_the_conversation(wording: Wording) -> None:
    reason = pair_reason("ahead road", "ahead grass", "ahead road")
    verdict = wording.prompt("pairwise_reasoning").verdict.choice
    text = wording.question("pairwise_reasoning", PHOTO, 2, words=verdict, reason=reason)
    assert f"ASSISTANT:\n{reason}\nUSER:\n{verdict}" in text


def test_every_class_of_land_cover_has_a_word() -> None:
    assert len(OF_CLASS) == CLASSES
    assert GROUND[OF_CLASS[Surface.ROAD]] == "road" and GROUND[OF_CLASS[Surface.WATER]] == "water"
    assert GROUND[OF_CLASS[LandCover.TREE]] == "trees" and GROUND[OF_CLASS[LandCover.TALL_BUILDING]] == "buildings"


@pytest.fixture
def quarters() -> np.ndarray:
    """100 m with a road in the north, water in the east, trees in the south and a park in the west of the middle."""
    north, east = np.meshgrid(50 - np.arange(100), np.arange(100) - 50, indexing="ij")
    cover = np.full((100, 100), Surface.PARK, np.uint8)
    cover[north > abs(east)] = Surface.ROAD
    cover[east > abs(north)] = Surface.WATER
    cover[-north > abs(east)] = LandCover.TREE
    return cover


def test_the_four_sides_are_named_by_the_compass_where_north_is_known(quarters: np.ndarray) -> None:
    told = four_sides(quarters, 1.0, 50.0, 50.0, 0.0, [True] * 4, True)
    assert told == "north road, east water, south trees, west grass"


def test_and_from_the_middle_of_the_strip_where_it_is_not(quarters: np.ndarray) -> None:
    # The strip begins in the east, so its middle looks west.
    told = four_sides(quarters, 1.0, 50.0, 50.0, np.pi / 2, [True] * 4, False)
    assert told == "behind water, left trees, ahead grass, right road"


def test_nothing_is_said_of_what_was_not_seen(quarters: np.ndarray) -> None:
    assert four_sides(quarters, 1.0, 50.0, 50.0, 0.0, [False, True, False, False], True) == "east water"
