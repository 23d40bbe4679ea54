import json

import pytest

from tests.models.tiny import tiny_config
from tiercel.errors import TiercelError
from tiercel.models import Calibration, ModelConfig


def test_round_trip(tmp_path) -> None:
    config = tiny_config(calibration=Calibration(zoom_weight=0.25, candidates=3), ranges_m=(0.0, 7.5))
    config.save(tmp_path / "config.json")
    assert ModelConfig.load(tmp_path / "config.json") == config


def test_sizes_that_follow_from_others() -> None:
    config = ModelConfig()
    assert config.strip_columns == 256
    assert config.bin_deg == 11.25
    assert config.resolution == pytest.approx(0.48828125)
    assert config.match_cell_m == pytest.approx(1.953125)


def test_the_same_network_on_leaves_of_another_size() -> None:
    config = ModelConfig()
    assert config.on_grid(31.25) is config
    city = config.on_grid(39.0625)
    assert (city.resolution, city.match_cell_m) == (config.resolution, config.match_cell_m)
    assert (city.leaf_m, city.pixels_per_leaf, city.match_cells_per_leaf, city.positions_per_leaf) == (
        39.0625,
        80,
        20,
        5,
    )


@pytest.mark.parametrize("leaf_m", [30.0, 0.5])
def test_leaves_that_are_no_whole_number_of_pixels(leaf_m) -> None:
    with pytest.raises(
        TiercelError, match=rf"compact cannot be laid on cells of {leaf_m:g} m: give a multiple of 1\.95"
    ):
        ModelConfig().on_grid(leaf_m)


def test_a_file_that_is_missing(tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"config\.json is missing"):
        ModelConfig.load(tmp_path / "config.json")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00"])
def test_a_file_that_is_no_json(tmp_path, content) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(TiercelError, match="not valid JSON"):
        ModelConfig.load(tmp_path / "config.json")


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "null"])
def test_json_that_holds_no_settings(tmp_path, content) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(TiercelError, match=r"config\.json"):
        ModelConfig.load(tmp_path / "config.json")


def test_an_unknown_setting(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"format": 1, "windows": 3}))
    with pytest.raises(TiercelError, match=r"unknown settings \(windows\)"):
        ModelConfig.load(tmp_path / "config.json")


def test_an_unknown_calibration_number() -> None:
    with pytest.raises(TiercelError, match=r"calibration.*temper"):
        ModelConfig.from_dict({"calibration": {"temper": 3}})


def test_another_format() -> None:
    with pytest.raises(TiercelError, match="another format"):
        ModelConfig.from_dict({"format": 99})
