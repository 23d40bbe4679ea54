"""What `tiercel locate` prints and writes, and how it fares with bad photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from tests.cli.conftest import Rooms
from tiercel.photos import write_photo

Run = Callable[..., Result]


class StubFix:
    """A fix that writes its own name."""

    def __init__(self, photo: str) -> None:
        self.photo = photo

    def to_json(self) -> dict[str, object]:
        return {"photo": self.photo, "lat": 46.3, "lon": 7.9}

    def to_geojson(self) -> dict[str, object]:
        return {"type": "FeatureCollection", "features": [], "photo": self.photo}

    def to_geotiff(self, path: Path) -> None:
        path.write_text(self.photo)

    def to_png(self, path: Path, **pictures: object) -> None:
        path.write_text(",".join(sorted(pictures)))

    def print(self) -> None:
        print(f"{self.photo} is at 46.3, 7.9")


@dataclass(frozen=True)
class Prior:
    latitude: float
    longitude: float
    radius_m: float


@pytest.fixture
def asked(stand_in: Rooms) -> list[tuple[Any, ...]]:
    """The photos and priors that reach the locator."""
    calls: list[tuple[Any, ...]] = []

    class Locator:
        @classmethod
        def open(cls, folder: Path, model: str, basemap: object) -> Locator:
            return cls()

        def overhead(self) -> None: ...

        def locate(self, photo: Any, *, prior: Prior | None = None, within: Any = None) -> StubFix:
            assert within is None  # see test_gallery_path.py
            calls.append((photo, prior))
            return StubFix(photo.name)

        def locate_together(
            self, photos: Any, turns: Any = None, prior: Prior | None = None, within: Any = None
        ) -> StubFix:
            assert within is None
            calls.append((photos, turns, prior))
            return StubFix("+".join(photo.name for photo in photos))

    stand_in("locate", Locator=Locator, Prior=Prior)
    stand_in("maps", open_map=lambda *arguments: SimpleNamespace())
    return calls


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo that knows where and how it was taken."""
    path = tmp_path / "bridge.jpg"
    write_photo(path, np.full((30, 40, 3), 90, np.uint8), latitude=46.3, longitude=7.9, heading=45, field_of_view=60)
    return path


def test_json_is_one_object_a_line_and_nothing_else(
    tiercel: Run, asked: list[Any], photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "square.png"
    Image.new("RGB", (40, 30)).save(other)
    result = tiercel("locate", photo, other, "--atlas", "city.atlas", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["photo"] for line in result.stdout.splitlines()] == ["bridge.jpg", "square.png"]
    assert result.stderr == ""


def test_a_bad_photo_is_reported_and_the_others_are_still_located(
    tiercel: Run, asked: list[Any], photo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "notes.jpg"
    bad.write_text("not a photo at all")
    result = tiercel("locate", bad, photo, "--atlas", "city.atlas", "--json")
    assert result.exit_code == 2
    assert [json.loads(line)["photo"] for line in result.stdout.splitlines()] == ["bridge.jpg"]
    assert result.stderr.startswith("Error: ") and "notes.jpg" in result.stderr and result.stderr.count("\n") == 1


def test_without_json_the_fix_prints_itself(tiercel: Run, asked: list[Any], photo: Path) -> None:
    assert "bridge.jpg is at 46.3, 7.9" in tiercel("locate", photo, "--atlas", "city.atlas").stdout


def test_what_the_user_knows_overrides_the_file(tiercel: Run, asked: list[Any], photo: Path) -> None:
    tiercel("locate", photo, "--atlas", "a", "--heading", 135, "--field-of-view", 80)
    seen, prior = asked[0]
    assert (seen.heading.value, seen.field_of_view.value, seen.panorama, prior) == (135, 80, False, None)


def test_the_position_in_the_file_is_used_only_when_asked_for(tiercel: Run, asked: list[Any], photo: Path) -> None:
    tiercel("locate", photo, "--atlas", "a")
    tiercel("locate", photo, "--atlas", "a", "--prior", "exif")
    tiercel("locate", photo, "--atlas", "a", "--prior", "46.31,7.98,250")
    without, own, stated = (prior for _, prior in asked)
    assert without is None
    assert (own.latitude, own.longitude) == pytest.approx((46.3, 7.9))
    assert stated == Prior(46.31, 7.98, 250)


def test_a_photo_without_a_position_cannot_be_its_own_prior(tiercel: Run, asked: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (40, 30)).save(path)
    result = tiercel("locate", path, "--atlas", "a", "--prior", "exif")
    assert result.exit_code == 2
    assert "plain.png: carries no GPS position" in result.stderr
    assert asked == []


@pytest.mark.parametrize("prior", ["here", "46.3,7.9", "46.3,7.9,0", "120,7.9,50", "46.3,200,50", "46.3,7.9,nan"])
def test_a_prior_that_cannot_be_is_refused(tiercel: Run, asked: list[Any], photo: Path, prior: str) -> None:
    result = tiercel("locate", photo, "--atlas", "a", "--prior", prior)
    assert result.exit_code == 2
    assert f"--prior {prior}" in result.stderr
    assert asked == []


def test_out_gets_three_files_a_photo_each_with_a_name_of_its_own(
    tiercel: Run, asked: list[Any], photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "east").mkdir()
    namesake = photo.rename(tmp_path / "east" / photo.name)
    photo.write_bytes(namesake.read_bytes())
    out = tmp_path / "fixes"
    assert tiercel("locate", photo, namesake, "--atlas", "a", "--out", out).exit_code == 0
    names = {f"{stem}.{kind}" for stem in ("bridge", "bridge-2") for kind in ("geojson", "tif", "png")}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "bridge-2.geojson").read_text())["type"] == "FeatureCollection"
    assert (out / "bridge.png").read_text() == "others,overhead,photo"


@pytest.fixture
def right(photo: Path) -> Path:
    """Another photo from the same spot, that knows only where it was taken."""
    path = photo.with_name("right.jpg")
    write_photo(path, np.full((30, 40, 3), 50, np.uint8), latitude=46.3, longitude=7.9, heading=None, field_of_view=60)
    return path


def test_photos_from_one_spot_have_one_answer(
    tiercel: Run, asked: list[Any], photo: Path, right: Path, tmp_path: Path
) -> None:
    out = tmp_path / "fixes"
    result = tiercel("locate", photo, right, "--atlas", "a", "--together", "--json", "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [json.loads(line)["photo"] for line in result.stdout.splitlines()] == ["bridge.jpg+right.jpg"]
    assert {path.name for path in out.iterdir()} == {"bridge.geojson", "bridge.tif", "bridge.png"}
    assert asked[0][1:] == (None, None)


def test_what_the_user_knows_of_photos_from_one_spot(tiercel: Run, asked: list[Any], photo: Path, right: Path) -> None:
    assert tiercel("locate", photo, right, "--atlas", "a", "--together", "--turns", "-90").exit_code == 0
    assert tiercel("locate", right, photo, "--atlas", "a", "--together", "--heading", 120).exit_code == 0
    assert tiercel("locate", right, photo, "--atlas", "a", "--together", "--prior", "exif").exit_code == 0
    (photos, turns, _), (told, _, _), (_, _, own) = asked
    assert turns == [-90.0] and [one.heading and one.heading.value for one in photos] == [45, None]
    assert [one.heading.value for one in told] == [120, 45]  # the heading that is given is the first photo's
    assert (own.latitude, own.longitude) == pytest.approx((46.3, 7.9))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--turns", "90"], "--turns 90: turns are between photos from one spot; add --together."),
        (["--together", "--turns", "0,90"], "--turns 0,90: 2 photos need 1 turns in degrees, one for each photo after"),
        (["--together", "--turns", "east"], "--turns east: give degrees clockwise"),
        (["--together", "--turns", "nan"], "--turns nan: 2 photos need 1 turns"),
    ],
)
def test_turns_that_cannot_be(
    tiercel: Run, asked: list[Any], photo: Path, right: Path, options: list[str], complaint: str
) -> None:
    result = tiercel("locate", photo, right, "--atlas", "a", *options)
    assert result.exit_code == 2 and complaint in result.stderr and asked == []


def test_a_bad_photo_among_those_from_one_spot_leaves_no_answer(
    tiercel: Run, asked: list[Any], photo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "notes.jpg"
    bad.write_text("not a photo at all")
    result = tiercel("locate", photo, bad, "--atlas", "a", "--together", "--json", "--out", tmp_path / "fixes")
    assert result.exit_code == 2 and "notes.jpg" in result.stderr
    assert result.stdout == "" and asked == [] and not (tmp_path / "fixes").exists()


def test_the_same_photo_twice_is_no_more_than_once(tiercel: Run, asked: list[Any], photo: Path) -> None:
    result = tiercel("locate", photo, photo, "--atlas", "a", "--together")
    assert result.exit_code == 2 and "bridge.jpg is given twice" in result.stderr and asked == []


def test_photos_that_say_they_are_from_other_spots_are_warned_of(
    tiercel: Run, asked: list[Any], photo: Path, right: Path
) -> None:
    write_photo(
        right, np.full((30, 40, 3), 50, np.uint8), latitude=46.303, longitude=7.9, heading=None, field_of_view=60
    )
    result = tiercel("locate", photo, right, "--atlas", "a", "--together", "--json")
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 1
    assert "right.jpg were taken 334 m apart" in result.stderr and result.stderr.count("\n") == 1
