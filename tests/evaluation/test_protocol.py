"""What is asked, and which photos go into it."""

from pathlib import Path

import pytest

from tiercel.datasets import SimulatedSample
from tiercel.evaluation.protocol import DIFFICULTIES, GOALS, LOCATE, LOCATE_QUERIES, UNSEEN, Protocol


def sample(name: str, kind: str) -> SimulatedSample:
    return SimulatedSample(Path(name), kind, 0.0, 0.0, 45.0, 15.0, 0.0, 90.0, 0.0, 1.6)


def test_two_thousand_queries_of_each_kind_and_every_goal_is_asked_for() -> None:
    assert len(LOCATE.seeds) * LOCATE.photos == 2000 and LOCATE.seeds == (0, 1, 2, 3)
    names = [query.name for query in LOCATE_QUERIES]
    assert len(set(names)) == len(names) == 7 and set(GOALS) < set(names)
    assert not any(query.turns_known and query.north_known for query in LOCATE_QUERIES)


def test_the_second_shot_is_asked_beside_the_first_and_no_photo_stands_in_two_spots() -> None:
    samples = [sample("p0", "panorama"), sample("s0", "photo_70"), sample("p1", "panorama"), sample("s1", "photo_70")]
    samples += [sample(name, "photo_90") for name in ("a0", "a1", "b0", "b1")]
    found = {
        query.name: [[str(one.file) for one in spot] for spot in LOCATE.asked(samples, query)]
        for query in LOCATE_QUERIES
    }
    assert found["panorama"] == found["panorama_north"] == [["p0"], ["p1"]]
    assert found["photo_70"] == [["s0"], ["s1"]]
    assert found["photo_90"] == found["photo_90_north"] == [["a0"], ["b0"]]
    assert found["photo_90_opposite"] == found["photo_90_opposite_turned"] == [["a0", "a1"], ["b0", "b1"]]
    assert LOCATE.shots == {"panorama": 1, "photo_90": 2, "photo_70": 1}
    assert UNSEEN.shots == {"panorama": 1, "photo_90": 1}


def test_there_are_as_many_difficulties_as_the_simulator_has() -> None:
    from tiercel.sim.difficulty import DIFFICULTIES as SIMULATED

    assert tuple(SIMULATED) == DIFFICULTIES


@pytest.mark.parametrize(("difficulty", "area"), [("plain", "unseen"), ("hard", "unseen_hard")])
def test_rows_say_how_hard_the_cities_are(difficulty, area) -> None:
    protocol = Protocol("tiny", "unseen", (0,), 2).at(difficulty)
    assert (protocol.difficulty, protocol.area) == (difficulty, area)


def test_hard_cities_may_be_asked_less() -> None:
    assert (LOCATE.at("plain").photos, LOCATE.at("hard").photos) == (500, 250)
    assert UNSEEN.at("hard").photos == UNSEEN.photos
