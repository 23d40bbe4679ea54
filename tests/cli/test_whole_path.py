"""The verbs for real: a small map, a small network of random weights, a photo; no room replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tiercel.cli import app
from tiercel.geo import Frame
from tiercel.maps import write_geotiff
from tiercel.models import Model, ModelConfig, save_model
from tiercel.photos import write_photo

Run = Callable[..., Result]
FIELDS = ["photo", "lat", "lon", "x", "y", "crs", "radius_50_m", "radius_90_m", "candidates"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a map of 120 m, a model, a photo, and the atlas built from them."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(1)
    blobs = np.asarray(Image.fromarray(rng.integers(0, 255, (30, 30, 3), np.uint8)).resize((240, 240)))
    write_geotiff(folder / "town.tif", blobs, Frame("EPSG:32633"), 500_000.0, 5_200_120.0, 0.5)
    small = ModelConfig(block_leaves=4, headings=8, ranges_m=(0.0, 9.0, 24.0))
    save_model(Model(small), folder / "model", "For tests.")
    write_photo(
        folder / "corner.jpg", blobs[:120, :160], latitude=46.954, longitude=15.0008, heading=20, field_of_view=70
    )
    result = invoke("build", folder / "town.tif", "-o", folder / "town.atlas", "--model", folder / "model")
    assert result.exit_code == 0, result.stderr
    assert "16 cells of 31.25 m" in result.stdout
    return folder


def locate(place: Path, *arguments: object) -> Result:
    return invoke("locate", *arguments, "--atlas", place / "town.atlas", "--model", place / "model")


def test_a_photo_gets_a_fix_on_the_map(place: Path) -> None:
    result = locate(place, place / "corner.jpg", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert list(answer)[: len(FIELDS)] == FIELDS
    assert answer["crs"] == "EPSG:32633"
    assert answer["radius_50_m"] <= answer["radius_90_m"] < 200
    x, y = Frame("EPSG:32633").from_wgs84(46.954, 15.0008)  # where the photo says it was taken, which had no part in it
    assert answer["gps_distance_m"] == pytest.approx(np.hypot(answer["x"] - x, answer["y"] - y), abs=0.1)
    latitude, longitude = Frame("EPSG:32633").to_wgs84(answer["x"], answer["y"])
    assert (answer["lat"], answer["lon"]) == pytest.approx((float(latitude), float(longitude)))


def test_out_holds_files_that_open(place: Path, tmp_path: Path) -> None:
    result = locate(place, place / "corner.jpg", "--out", tmp_path, "--map", place / "town.tif")
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"corner.geojson", "corner.tif", "corner.png"}
    assert Image.open(tmp_path / "corner.png").width > 1000
    assert json.loads((tmp_path / "corner.geojson").read_text())["type"] == "FeatureCollection"


@pytest.mark.parametrize(("latitude", "longitude"), [(0.0, 105.0), (-46.95, -165.0), (47.0, 15.0)])
def test_a_position_off_the_map_scores_nothing(place: Path, tmp_path: Path, latitude: float, longitude: float) -> None:
    """Some lie where the map's frame has no coordinates at all."""
    pixels = np.full((120, 160, 3), 90, np.uint8)
    write_photo(tmp_path / "far.jpg", pixels, latitude=latitude, longitude=longitude, heading=20, field_of_view=70)
    result = locate(place, tmp_path / "far.jpg", "--json", "--out", tmp_path / "fixes")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["gps_distance_m"] is None


def test_building_again_is_nothing_to_do_and_another_map_is_refused(place: Path) -> None:
    again = ("-o", place / "town.atlas", "--model", place / "model")
    assert invoke("build", place / "town.tif", *again).exit_code == 0
    other = place / "other.tif"
    write_geotiff(other, np.full((240, 240, 3), 90, np.uint8), Frame("EPSG:32633"), 500_000.0, 5_200_120.0, 0.5)
    refused = invoke("build", other, *again)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ("build", "{place}/corner.txt", "-o", "{place}/x.atlas", "--model", "{place}/model"),
        ("build", "{place}/nowhere.tif", "-o", "{place}/x.atlas", "--model", "{place}/model"),
        ("build", "{place}/town.tif", "-o", "{place}/x.atlas", "--model", "{place}/nowhere"),
        ("locate", "{place}/corner.jpg", "--atlas", "{place}/nowhere", "--model", "{place}/model"),
        ("locate", "{place}/corner.txt", "--atlas", "{place}/town.atlas", "--model", "{place}/model"),
        (
            "locate",
            "{place}/corner.jpg",
            "--heading",
            "nan",
            "--atlas",
            "{place}/town.atlas",
            "--model",
            "{place}/model",
        ),
        ("train", "{place}/nowhere.yaml", "-o", "{place}/run"),
        ("train", "{place}/corner.txt", "-o", "{place}/run"),
        ("evaluate", "--model", "{place}/nowhere", "--seed", "1", "-o", "{place}/rows.json"),
        ("evaluate", "--model", "{place}/model", "--seed", "10001", "-o", "{place}/rows.json"),
        ("evaluate", "--difficulty", "horrid", "--seed", "1", "-o", "{place}/rows.json"),
        ("evaluate", "--difficulty", "hard", "--data", "{place}", "-o", "{place}/rows.json"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(place: Path, wrong: tuple[str, ...]) -> None:
    (place / "corner.txt").write_text("not what it should be")
    before = sorted(path.name for path in place.iterdir())
    result = invoke(*(argument.format(place=place) for argument in wrong))
    assert result.exit_code == 2, result.exception
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    assert sorted(path.name for path in place.iterdir()) == before
