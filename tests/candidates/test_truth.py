import math
from pathlib import Path

import pytest

from tests.candidates.conftest import take
from tests.search.town import NORTH, WEST
from tiercel.candidates import Candidate, CandidateList
from tiercel.candidates.truth import ExifTruth, TableTruth, judged
from tiercel.errors import TiercelError
from tiercel.photos import Photo, Position


def at(atlas, x, y) -> Candidate:
    latitude, longitude = (float(value) for value in atlas.frame.to_wgs84(x, y))
    return Candidate(x=x, y=y, latitude=latitude, longitude=longitude)


def test_distances_are_those_of_the_map_and_fifty_metres_are_right(locator) -> None:
    x, y = WEST + 100.0, NORTH - 100.0
    latitude, longitude = (float(value) for value in locator.atlas.frame.to_wgs84(x, y))
    truth = Position(latitude, longitude, "photos.csv")
    steps = [(0, 0), (30, 40), (0, -50.01), (300, 400)]
    one = CandidateList(Path("a.jpg"), tuple(at(locator.atlas, x + east, y + north) for east, north in steps))
    found = judged(one, truth, locator.atlas)
    assert found.truth == truth
    assert [it.distance_m for it in found.candidates] == pytest.approx([math.hypot(*step) for step in steps], abs=1e-4)
    assert [it.correct for it in found.candidates] == [True, True, False, False]
    assert judged(one, None, locator.atlas) is one


def test_a_truth_off_the_map_is_far_from_everything_on_it(locator) -> None:
    one = CandidateList(Path("a.jpg"), (at(locator.atlas, WEST + 100, NORTH - 100),))
    candidate = judged(one, Position(-35.3, 149.1, "EXIF GPS"), locator.atlas).candidates[0]
    assert 15_000_000 < candidate.distance_m < 17_000_000 and candidate.correct is False


def test_the_photos_own_position(tmp_path) -> None:
    truth = ExifTruth()
    told = truth.of(Photo.open(take(tmp_path / "a.jpg", 1, latitude=46.9, longitude=15.01)))
    assert (told.latitude, told.longitude) == pytest.approx((46.9, 15.01)) and told.source == truth.source
    assert truth.of(Photo.open(take(tmp_path / "b.jpg", 2))) is None


def table(path: Path, *rows: str, header="image,latitude,longitude") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_table_names_photos_from_its_folder(tmp_path, photos) -> None:
    csv = table(tmp_path / "log.csv", "photos/1.jpg,46.5,15.5", "photos/9.jpg,1,1", "photos/2.jpg,,")
    truth = TableTruth(csv, photos)
    assert truth.of(Photo.open(photos[1])) == Position(46.5, 15.5, "log.csv")
    assert truth.of(Photo.open(photos[0])) is None and truth.of(Photo.open(photos[2])) is None


def test_a_table_elsewhere_names_photos_by_the_ends_of_their_paths(tmp_path, photos) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "other").mkdir()
    twin = take(tmp_path / "other" / "1.jpg", 7)
    csv = table(
        tmp_path / "tables" / "log.csv", "0.jpg,46.5,15.5", "1.jpg,1,1", "photos/2.jpg,46.7,15.7", "x/3.jpg,2,2"
    )
    truth = TableTruth(csv, [*photos, twin])
    places = [truth.of(Photo.open(path)) for path in (*photos, twin)]
    assert [place and place.latitude for place in places] == [46.5, None, 46.7, None, None, None]


def test_the_table_of_a_simulated_city(tmp_path, photos) -> None:
    table(tmp_path / "photos.csv", "photos/0.jpg,panorama,46.5,15.5", header="file,kind,latitude,longitude")
    assert TableTruth(tmp_path, photos).of(Photo.open(photos[0])) == Position(46.5, 15.5, "photos.csv")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["photos/0.jpg,46,15", "photos/1.jpg,96,15"], "log.csv, line 3: latitude is '96'"),
        (["photos/0.jpg,46,15", "0.jpg,46,16"], "two places for .*0.jpg"),
        (["elsewhere/7.jpg,46,15"], "log.csv has no place for any of the photos"),
    ],
)
def test_a_table_that_will_not_do(tmp_path, photos, rows, sentence) -> None:
    with pytest.raises(TiercelError, match=sentence):
        TableTruth(table(tmp_path / "log.csv", *rows), photos)


def test_a_bad_row_of_another_photo_is_none_of_our_business(tmp_path, photos) -> None:
    csv = table(tmp_path / "log.csv", "photos/0.jpg,46,15", "photos/77.jpg,96,15")
    assert TableTruth(csv, photos).of(Photo.open(photos[0])).latitude == 46


@pytest.mark.parametrize("name", ["nowhere.csv", "photos/0.jpg"])
def test_no_table(tmp_path, photos, name) -> None:
    with pytest.raises(TiercelError, match=name):
        TableTruth(tmp_path / name, photos)
