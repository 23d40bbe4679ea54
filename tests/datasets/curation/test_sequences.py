"""Drives and walks are told apart by time and by distance."""

from __future__ import annotations

from tiercel.datasets.curation.sequences import Stop, sequences


def names(*stops: Stop) -> list[str]:
    return sequences(stops, seconds=60, metres=100)


def stop(name: str, time: float | None, x: float, given: str = "") -> Stop:
    return Stop(name, given, time, x, 0.0)


def test_a_given_sequence_is_kept() -> None:
    assert names(stop("a", 0, 0, "drive 7"), stop("b", 9e9, 9e6, "drive 7")) == ["drive 7", "drive 7"]


def test_a_pause_or_a_leap_begins_another() -> None:
    one, two, three = "sequence-00001", "sequence-00002", "sequence-00003"
    assert names(stop("a", 0, 0), stop("b", 59, 10), stop("c", 120, 20), stop("d", 125, 200)) == [one, one, two, three]


def test_time_goes_before_names() -> None:
    found = names(stop("a", 1000, 0), stop("b", 0, 0), stop("c", 1005, 5), stop("d", 5, 5))
    assert found[0] == found[2] != found[1] == found[3]


def test_without_times_names_go_in_order_and_distance_tells() -> None:
    found = names(stop("c", None, 20), stop("a", None, 0), stop("b", 5, 10), stop("d", None, 500))
    assert found[0] == found[1] == found[2] != found[3]


def test_folders_are_journeys_of_their_own() -> None:
    found = names(stop("monday/a", 0, 0), stop("monday/b", 1, 1), stop("tuesday/a", 0, 0))
    assert found[0] == found[1] != found[2]


def test_none() -> None:
    assert names() == []
