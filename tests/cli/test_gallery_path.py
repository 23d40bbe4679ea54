"""Locating by embeddings with the verbs: a map, a network of random weights, a photo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.models.tiny import tiny_model
from tiercel.atlas import Atlas
from tiercel.cli import app
from tiercel.geo import Frame
from tiercel.maps import write_geotiff
from tiercel.models import save_model
from tiercel.models.config import EmbeddingConfig
from tiercel.photos import write_photo

Run = Callable[..., Result]
WEST, NORTH, SIDE = 500_000.0, 5_200_250.0, 250.0
FRAME = Frame("EPSG:32633")
SIZES = EmbeddingConfig(width=16, tile_pixels=64, tile_m=62.5)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_map(path: Path, seed: int, west=WEST, north=NORTH, side=SIDE, pixel=0.5) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (30, 30, 3), np.uint8)
    pixels = round(side / pixel)
    write_geotiff(path, np.asarray(Image.fromarray(noise).resize((pixels, pixels))), FRAME, west, north, pixel)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a map of 250 m, a model, a photo, and the atlas built from them with overlapping cells."""
    folder = tmp_path_factory.mktemp("place")
    write_map(folder / "town.tif", 1)
    save_model(tiny_model(heads=("embedding",), embedding=SIZES), folder / "model", "For tests.")
    noise = np.random.default_rng(2).integers(0, 255, (120, 160, 3), np.uint8)
    write_photo(folder / "corner.jpg", noise, heading=20, field_of_view=70)
    write_photo(folder / "turned.jpg", noise, field_of_view=70)
    result = build(folder, "town.tif", "--stride", 0.5, "--scales", "1,2")
    assert result.exit_code == 0, result.stderr
    assert "64 cells of 31.25 m, from town.tif; a gallery of 320" in result.stdout
    return folder


def build(place: Path, name: str, *more: object, out: str = "town.atlas") -> Result:
    return invoke("build", place / name, "-o", place / out, "--model", place / "model", *more)


def locate(place: Path, *arguments: object) -> Result:
    return invoke("locate", *arguments, "--atlas", place / "town.atlas", "--model", place / "model")


def test_a_photo_gets_a_fix_on_the_map(place: Path, tmp_path: Path) -> None:
    result = locate(place, place / "corner.jpg", place / "turned.jpg", "--json", "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    told, open_ = (json.loads(line) for line in result.stdout.splitlines())
    for answer in (told, open_):
        assert WEST <= answer["x"] <= WEST + SIDE and NORTH - SIDE <= answer["y"] <= NORTH
        assert 0 < answer["radius_50_m"] <= answer["radius_90_m"] < 400
        assert 0 <= answer["heading"] < 360
    assert told["heading"] == pytest.approx(20, abs=0.1)
    names = {f"{stem}.{ending}" for stem in ("corner", "turned") for ending in ("geojson", "tif", "png")}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert Image.open(tmp_path / "corner.png").width > 1000


def square(folder: Path, west: float, south: float, east: float, north: float) -> Path:
    """A GeoJSON file of a rectangle, in metres from the map's south-western corner."""
    x, y = np.array([west, east, east, west, west]), np.array([south, south, north, north, south])
    latitude, longitude = FRAME.to_wgs84(WEST + x, NORTH - SIDE + y)
    ring = np.stack([longitude, latitude], -1).tolist()
    path = folder / "area.geojson"
    path.write_text(json.dumps({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}))
    return path


def test_an_area_keeps_the_answer_to_itself(place: Path, tmp_path: Path) -> None:
    for west, south in ((0, 0), (190, 0), (0, 190), (190, 190)):
        area = square(tmp_path, west + 1, south + 1, west + 59, south + 59)
        result = locate(place, place / "corner.jpg", "--json", "--within", area)
        assert result.exit_code == 0, result.stderr
        answer = json.loads(result.stdout)
        # Whole leaves that the area reaches, of 31 m.
        assert WEST + west - 32 <= answer["x"] <= WEST + west + 60 + 32
        assert NORTH - SIDE + south - 32 <= answer["y"] <= NORTH - SIDE + south + 60 + 32
        assert sum(one["probability"] for one in answer["candidates"]) <= 1 + 1e-6
    latitude, longitude = (float(v) for v in FRAME.to_wgs84(WEST + 200, NORTH - 200))
    near = json.loads(locate(place, place / "corner.jpg", "--json", "--within", f"{latitude},{longitude},5").stdout)
    assert np.hypot(near["x"] - WEST - 200, near["y"] - NORTH + 200) < 60
    assert near["candidates"][0]["probability"] > 0.9


@pytest.mark.parametrize(
    ("within", "message"),
    [
        ("{place}/nowhere.geojson", "There is no file"),
        ("{place}/town.tif", "is no GeoJSON"),
        ("46.9,15.0", "is no area; give LAT,LON,METRES"),
        ("15.0,146.9,100", "holds no cell of the map"),
        ("95,15,100", "out of range"),
    ],
)
def test_areas_that_are_none_are_told_in_a_sentence(place: Path, within: str, message: str) -> None:
    result = locate(place, place / "corner.jpg", "--within", within.format(place=place))
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stride", "2"), "A stride of 2"),
        (("--scales", "1,x"), "--scales 1,x: give numbers"),
        (("--scales", "1,1"), "Scales '1,1' are not"),
        (("--around", "46.9,15"), "--around 46.9,15: give LAT,LON,KM"),
        (("--around", "46.9,15,0"), "the order is LAT,LON,KM"),
        (("--around", "40,10,1"), "does not lie within"),
        (("--around", "46.95,15,900"), "has too many cells of 31.25 m; ask for less than 900 km"),
        (("--stride", "1"), "is an atlas of another gallery"),
    ],
)
def test_plans_that_are_none_are_told_in_a_sentence(place: Path, options: tuple[str, str], message: str) -> None:
    result = build(place, "town.tif", *options)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_room_for_districts_to_come(place: Path) -> None:
    latitude, longitude = (float(v) for v in FRAME.to_wgs84(WEST + 100, NORTH - 100))
    result = build(place, "town.tif", "--around", f"{latitude},{longitude},1.5", out="planned.atlas")
    assert result.exit_code == 0, result.stderr
    tree = Atlas.open(place / "planned.atlas").tree
    assert tree.root.side == 2000
    assert (tree.root.x, tree.root.y) == pytest.approx((WEST + 100, NORTH - 100), abs=0.01)


def test_a_district_is_appended_and_indexed(place: Path) -> None:
    built = build(place, "town.tif", "--stride", 0.5, out="growing.atlas")
    assert built.exit_code == 0, built.stderr
    write_map(place / "harbour.tif", 3, west=WEST + SIDE, side=125.0)
    added = build(place, "harbour.tif", "--append", out="growing.atlas")
    assert added.exit_code == 0, added.stderr
    assert "16 new cells of 31.25 m from harbour.tif, 80 in all; a gallery of 320" in added.stdout
    again = build(place, "harbour.tif", "--append", out="growing.atlas")
    assert again.exit_code == 0 and "nothing new from harbour.tif, 80 in all" in again.stdout
    indexed = invoke("index", place / "growing.atlas")
    assert indexed.exit_code == 0, indexed.stderr
    assert "an index of 320 cells, which finds 100.0%" in indexed.stdout
    result = invoke(
        "locate", place / "corner.jpg", "--atlas", place / "growing.atlas", "--model", place / "model", "--json",
        "--within", square(place, 255, 130, 370, 250),
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["x"] > WEST + SIDE - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "{place}/town.tif", "-o", "{place}/nowhere", "--append"), "There is no atlas at"),
        (("build", "{place}/town.tif", "-o", "{place}/town.atlas", "--append", "--stride", "1"), "--append leaves the"),
        (("index", "{place}/nowhere"), "There is no atlas at"),
        (("index", "{place}/model"), "is not an atlas"),
    ],
)
def test_nothing_to_append_to_or_to_index(place: Path, arguments: tuple[str, ...], message: str) -> None:
    result = invoke(*(argument.format(place=place) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
