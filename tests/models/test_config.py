import json

import pytest

from tests.models.tiny import tiny_config
from tiercel.errors import TiercelError
from tiercel.models import Calibration, ModelConfig, RegionFit
from tiercel.models.config import DecoderConfig


def test_round_trip(tmp_path) -> None:
    config = tiny_config(calibration=Calibration(zoom_weight=0.25, candidates=3), ranges_m=(0.0, 7.5))
    config.save(tmp_path / "config.json")
    assert ModelConfig.load(tmp_path / "config.json") == config


def test_what_was_fitted_for_regions_comes_back(tmp_path) -> None:
    regions = {"match/photo": RegionFit(1.5, (0.25, 0.5)), "global/photo": RegionFit()}
    calibration = Calibration(sibling_temperatures=(1.5, 2.0), global_temperature=3.0, regions=regions)
    tiny_config(calibration=calibration).save(tmp_path / "config.json")
    assert ModelConfig.load(tmp_path / "config.json").calibration == calibration


def test_a_file_from_before_regions_were_fitted() -> None:
    old = ModelConfig.from_dict({"calibration": {"zoom_weight": 0.1}}).calibration
    assert old == Calibration(zoom_weight=0.1)
    assert (old.sibling_temperatures, old.global_temperature, old.regions) == ((), 1.0, {})


def test_regions_that_are_none() -> None:
    with pytest.raises(TiercelError, match=r"regions.*no settings"):
        ModelConfig.from_dict({"calibration": {"regions": {"match/photo": 3}}})
    with pytest.raises(TiercelError, match=r"match/photo.*unknown settings \(width\)"):
        ModelConfig.from_dict({"calibration": {"regions": {"match/photo": {"width": 3}}}})


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


def test_a_decoder_stands_alone_and_has_the_published_sizes() -> None:
    assert ModelConfig(heads=("decoder",)).decoder == DecoderConfig()
    assert ModelConfig(decoder=DecoderConfig()).decoder is None
    with pytest.raises(TiercelError, match=r"heads \['zoom', 'decoder'\]: 'decoder' stands alone"):
        ModelConfig(heads=("zoom", "decoder"))


def test_a_decoder_survives_json_and_any_grid(tmp_path) -> None:
    config = ModelConfig.of_decoder(DecoderConfig(grid=3, channels=(1, 2, 3)), leaf_m=10.0)
    config.save(tmp_path / "config.json")
    assert ModelConfig.load(tmp_path / "config.json") == config
    assert config.on_grid(7.3).leaf_m == 7.3
    with pytest.raises(TiercelError, match=r"decoder, has unknown settings \(size\)"):
        ModelConfig.from_dict({"decoder": {"size": 3}})
