import json

import numpy as np
import pytest
from PIL import Image

from tests.search.town import LEAF, Town
from tiercel.candidates import Crops
from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.locate import Locator


@pytest.fixture
def sharp(locator) -> Locator:
    return Locator(locator.atlas, locator.model, Town())


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_a_crop_is_the_map_around_its_cell_north_up(tmp_path, sharp) -> None:
    crops = Crops(tmp_path / "crops", sharp, pixels=188)
    assert (
        crops.side_m == 3 * LEAF and crops.made_from == "map" and crops.resolution == 0.5 and not crops.of_another_map
    )
    path = crops.of(2, 5, 12)
    assert path == tmp_path / "crops" / "2-05-12.jpg"
    ground, covered = Town().read(sharp.atlas.tree.square(2, 5, 12).expanded(LEAF), 188)
    assert covered.all()
    assert np.abs(pixels(path) - ground).mean() < 12  # a JPEG of noise
    assert np.abs(pixels(path)[::-1] - ground).mean() > 60


def test_what_the_map_does_not_show_is_grey(tmp_path, sharp) -> None:
    corner = pixels(Crops(tmp_path, sharp, side_m=62.5, pixels=64).of(2, 0, 0))
    assert np.abs(corner[:12] - 127).max() < 30 and np.abs(corner[:, :12] - 127).max() < 30
    assert np.abs(corner[20:, 20:] - 127).mean() > 40


def test_a_crop_is_made_once(tmp_path, sharp) -> None:
    path = Crops(tmp_path, sharp, pixels=32).of(2, 5, 12)
    path.write_bytes(b"as it was")
    assert Crops(tmp_path, sharp, pixels=32).of(2, 5, 12).read_bytes() == b"as it was"
    assert {one.name for one in tmp_path.iterdir()} == {"2-05-12.jpg", "crops.json"}


def test_without_the_map_crops_are_of_the_overview(tmp_path, locator) -> None:
    crops = Crops(tmp_path, locator, side_m=62.5, pixels=100)
    assert crops.made_from == "overview" and crops.resolution == 500 / 2048
    ground, _ = locator.atlas.read(locator.atlas.tree.square(2, 5, 12).expanded(LEAF / 2), 100)
    assert np.abs(pixels(crops.of(2, 5, 12)) - ground).mean() < 12


def test_a_folder_holds_crops_of_one_kind(tmp_path, sharp, locator) -> None:
    Crops(tmp_path, sharp, pixels=32)
    for which, changes, differs in (
        (sharp, {"pixels": 64}, "pixels"),
        (sharp, {"pixels": 32, "side_m": 50.0}, "crop_m"),
        (locator, {"pixels": 32}, "made_from"),
    ):
        with pytest.raises(TiercelError, match=f"holds crops of another {differs}"):
            Crops(tmp_path, which, **changes)
    assert json.loads((tmp_path / "crops.json").read_text())["pixels"] == 32
    (tmp_path / "crops.json").write_text("{")
    with pytest.raises(TiercelError, match=r"crops\.json is damaged"):
        Crops(tmp_path, sharp)


def test_a_map_in_another_frame_is_refused(tmp_path, locator) -> None:
    elsewhere = Town()
    elsewhere.frame = Frame("EPSG:32632")
    with pytest.raises(TiercelError, match="lies in EPSG:32632 and the atlas in EPSG:32633"):
        Crops(tmp_path / "crops", Locator(locator.atlas, locator.model, elsewhere))
    assert not (tmp_path / "crops").exists()


def test_a_folder_that_cannot_be(tmp_path, locator) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TiercelError, match="file cannot be made"):
        Crops(tmp_path / "file", locator)
