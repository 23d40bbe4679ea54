import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.small_decoder import SMALL
from tests.search.town import Town
from tiercel.evaluation import zoom_speed
from tiercel.evaluation.results import read_rows, write_rows
from tiercel.evaluation.zoom_speed import Network, measure_on, plain_tokens
from tiercel.models.config import DecoderConfig
from tiercel.models.justzoomin import JustZoomInNet

SIZES = dataclasses.replace(SMALL, grid=4, depth=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Three photos."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(2)
    for n in range(3):
        Image.fromarray(rng.integers(0, 256, (48, 96, 3), np.uint8)).save(folder / f"{n}.jpg")
    return sorted(folder.iterdir())


def measured(files, **changes) -> list[zoom_speed.Row]:
    network = dataclasses.replace(Network("tiny", SIZES, 3, whole_map=True, training=True), **changes)
    places = np.random.default_rng(0).uniform(20, 380, (400, 2))
    return measure_on(Town(), files, places, [network], size=500.0)


@pytest.fixture(scope="module")
def rows(files, tmp_path_factory) -> dict[str, zoom_speed.Row]:
    path = tmp_path_factory.mktemp("results") / "zoom_speed.json"
    write_rows(path, measured(files))
    return {row.name: row for row in read_rows(path)}


def test_every_number_has_a_row(rows) -> None:
    names = {name.removesuffix("/zoom/tiny") for name in rows}
    queries = {"greedy", "best_first", "best_first_unsure", "global"}
    expected = {f"query_over_encoding/{one}" for one in queries} | {"speedup_over_published_loop/greedy"}
    expected |= {f"seconds/{one}" for one in queries | {"encoding", "published_loop"}}
    expected |= {"squares_scored/best_first", "squares_scored/best_first_unsure"}
    kinds = ("encodings_saved", "training_speedup", "training_photos_a_second")
    expected |= {f"{kind}/{one}" for kind in kinds for one in ("random", "places_of_4")}
    assert names == expected
    assert all(row.value > 0 and row.n == (4 if "saved" in name else 3) for name, row in rows.items())


def test_what_is_counted_not_timed(rows) -> None:
    saved = {name.split("/")[1]: row.value for name, row in rows.items() if name.startswith("encodings_saved")}
    assert 1.5 < saved["random"] < saved["places_of_4"]
    scored = {name.split("/")[1]: row.value for name, row in rows.items() if name.startswith("squares_scored")}
    assert 3 <= scored["best_first"] <= scored["best_first_unsure"] <= 273


def test_a_way_that_differs_from_the_published_loop_s_is_no_result(files, monkeypatch) -> None:
    monkeypatch.setattr(zoom_speed._Bench, "published", lambda self, file: [0, 0, 0])
    with pytest.raises(AssertionError, match="greedy ways differ from the published loop's"):
        measured(files, whole_map=False, training=False)


def test_the_published_loop_s_encoder_is_transformers_own() -> None:
    from tiercel.models.justzoomin import DINOV2

    torch.manual_seed(0)
    patch = pytest.MonkeyPatch()
    patch.setitem(DINOV2, "facebook/dinov2-base", (24, 2, 2))
    net = JustZoomInNet(DecoderConfig(width=24, pixels=70, heads=3)).eval()
    patch.undo()
    images = torch.randn(2, 3, 70, 70)
    with torch.no_grad():
        np.testing.assert_allclose(plain_tokens(net, images), net.encoder(images), atol=1e-5)
