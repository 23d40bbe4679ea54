"""The published zooming network by the verbs: a checkpoint of the authors' kind, a map, a photo."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.models.small_decoder import SMALL, small_net
from tiercel.cli import app
from tiercel.geo import Frame
from tiercel.maps import write_geotiff
from tiercel.models import ModelConfig
from tiercel.models.published import write_published
from tiercel.photos import write_photo


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_from_a_checkpoint_file_to_a_fix(tmp_path) -> None:
    sizes = dataclasses.replace(SMALL, grid=4, depth=2)
    write_published(small_net(1, sizes), tmp_path / "best.pth")
    ModelConfig.of_decoder(sizes, leaf_m=7.5).save(tmp_path / "config.json")
    noise = np.random.default_rng(1).integers(0, 255, (30, 30, 3), np.uint8)
    blobs = np.asarray(Image.fromarray(noise).resize((240, 240)))
    write_geotiff(tmp_path / "town.tif", blobs, Frame("EPSG:32633"), 500_000.0, 5_200_120.0, 0.5)
    write_photo(tmp_path / "photo.jpg", blobs[:120, :160], heading=20, field_of_view=70)
    model = ("--model", tmp_path / "best.pth")
    built = invoke("build", tmp_path / "town.tif", "-o", tmp_path / "town.atlas", *model)
    assert built.exit_code == 0, built.stderr
    assert "256 cells of 7.5 m" in built.stdout
    found = invoke("locate", tmp_path / "photo.jpg", "--atlas", tmp_path / "town.atlas", *model, "--json")
    assert found.exit_code == 0, found.stderr
    answer = json.loads(found.stdout)
    assert 500_000 < answer["x"] < 500_120 and 5_200_000 < answer["y"] < 5_200_120
    assert answer["heading"] is None and answer["radius_50_m"] <= answer["radius_90_m"]
    assert invoke("locate", tmp_path / "photo.jpg", "--atlas", tmp_path / "town.atlas").exit_code == 2
    (tmp_path / "config.json").unlink()
    refused = invoke("build", tmp_path / "town.tif", "-o", tmp_path / "other.atlas", *model)
    assert refused.exit_code == 2
    assert "no encoder known here: give its sizes in a config.json beside it" in refused.stderr.replace("\n", " ")


@pytest.mark.parametrize("name", ["missing.pth", "broken.pth"])
def test_a_file_that_is_no_checkpoint(tmp_path, name) -> None:
    (tmp_path / "broken.pth").write_bytes(b"no")
    result = invoke("build", tmp_path / "town.tif", "-o", tmp_path / "atlas", "--model", tmp_path / name)
    assert result.exit_code == 2 and "Traceback" not in result.stderr
