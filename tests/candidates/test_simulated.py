from pathlib import Path

import pytest

from tests.candidates.city import PLAN, candidates_in_city
from tiercel.candidates import CandidateFile


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("city")


@pytest.fixture(scope="module")
def found(city: Path) -> dict[str, CandidateFile]:
    return candidates_in_city(city)


def test_every_query_has_its_photos_judged_and_pictured(found: dict[str, CandidateFile]) -> None:
    assert set(found) == set(PLAN.queries)
    for file in found.values():
        assert len(file.lists) == PLAN.photos
        for one in file.lists:
            assert one.judged and len(one.candidates) == PLAN.count
            assert all(it.crop and it.crop.is_file() and it.crop_m == PLAN.crop_m for it in one.candidates)


def test_headings_are_told_only_where_the_query_says_so(found: dict[str, CandidateFile]) -> None:
    assert all(one.heading is None for one in found["panorama"].lists)
    assert all(one.heading is not None for one in found["photo_90_north"].lists)
    assert all(one.panorama for one in found["panorama"].lists)


def test_a_second_run_finds_everything_there(city: Path, found: dict[str, CandidateFile]) -> None:
    files = sorted(city.rglob("*"))
    times = [file.stat().st_mtime_ns for file in files if file.suffix == ".jpg"]
    again = candidates_in_city(city)
    for query, file in found.items():
        assert [[it.cell for it in one.candidates] for one in again[query].lists] == [
            [it.cell for it in one.candidates] for one in file.lists
        ]
    assert [file.stat().st_mtime_ns for file in files if file.suffix == ".jpg"] == times
