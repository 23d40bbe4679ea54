"""A benchmark from end to end: a small map, a small network of random weights, flat photos."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.datasets.benchmark import DIVISION, FRAME, write_benchmark
from tests.models.tiny import tiny_config
from tiercel.cli import app
from tiercel.datasets.justzoomin import JustZoomIn, cell_centre
from tiercel.errors import TiercelError
from tiercel.evaluation import benchmark
from tiercel.evaluation.benchmark import PROTOCOLS, answers, chance, evaluate_benchmark, render_benchmark
from tiercel.evaluation.results import Row, read_rows
from tiercel.geo.sphere import haversine_m
from tiercel.locate import Locator
from tiercel.models import Model, load_model, save_model
from tiercel.photos import Photo

METHODS = ["greedy", "beam4", "beam16", "best_first", "bottom_up", "global", "retrieval", "fusion", "sweep", "match"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(5)
    places = [tuple(place) for place in rng.uniform(-480, 480, (12, 2))]
    write_benchmark(folder / "town", places, train=6, drives=list("aabbccddeeff"))
    save_model(
        Model(tiny_config(block_leaves=4, headings=8, ranges_m=(0.0, 9.0, 24.0))), folder / "model", "For tests."
    )
    return folder


@pytest.fixture
def town(place, tmp_path) -> Path:
    return Path(shutil.copytree(place / "town", tmp_path / "town"))


def evaluated(place: Path, folder: Path, **options) -> tuple[dict[str, Row], str, list[str]]:
    """The rows, what is said of broken photos, and the lines reported."""
    lines: list[str] = []
    out = folder.parent / "rows.json"
    rows, problems = evaluate_benchmark(
        folder, place / "model", out=out, work=place / "work", report=lines.append, **options
    )
    stored = read_rows(out)
    assert [row.name for row in stored] == [row.name for row in rows]
    assert [row.value for row in stored] == pytest.approx([row.value for row in rows], abs=1e-4)
    return {row.name: row for row in rows}, str(problems), lines


def test_every_method_is_scored_by_the_published_cells(place, town) -> None:
    rows, problems, lines = evaluated(place, town)
    assert problems == "0 of 6 photos cannot be used." and "as published; all leaves" in lines[0]
    data = JustZoomIn.open(town)
    val = data.samples("val")
    locator = benchmark.prepare(data, load_model(place / "model"), place / "work")
    assert locator.atlas.tree.side(locator.atlas.tree.depth) == 62.5 and locator.atlas.tree.depth == 2
    answered = [_answer(locator, sample.file) for sample in val]
    for method in METHODS:
        places = [found[method] for found in answered]
        picks = [data.actions_at(*(float(v) for v in FRAME.to_wgs84(*place))) for place in places]
        errors = np.array([data.error_m(p, s.latitude, s.longitude) for p, s in zip(picks, val, strict=True)])
        right = np.mean([p == s.actions for p, s in zip(picks, val, strict=True)])
        row = rows[f"r1_strict/photo/town-random/{method}"]
        assert (row.value, row.n, row.unit) == (pytest.approx(100 * right), 6, "%")
        for radius in (40, 50, 100):
            share = rows[f"r1_{radius}m/photo/town-random/{method}"].value
            assert share == pytest.approx(100 * np.mean(errors <= radius))
        assert rows[f"median_m/photo/town-random/{method}"].value == pytest.approx(np.median(errors))
    page = render_benchmark(list(rows.values()))
    assert page.startswith("# town-random\n") and "--protocol random" in page and "nan" not in page
    assert all(page.count(f"| {method} |") == 1 for method in ["chance", *METHODS])


def _answer(locator: Locator, file: Path) -> dict[str, tuple[float, float]]:
    return answers(locator.analyse(Photo.open(file)))


def test_a_perfect_method_is_always_right(place, town, monkeypatch) -> None:
    data = JustZoomIn.open(town)
    truth = iter([FRAME.from_wgs84(sample.latitude, sample.longitude) for sample in data.samples("val")])
    monkeypatch.setattr(benchmark, "answers", lambda *_: {"match": tuple(float(v) for v in next(truth))})
    rows, _, _ = evaluated(place, town)
    assert rows["r1_strict/photo/town-random/match"].value == 100
    assert rows["r1_50m/photo/town-random/match"].value == 100  # no corner of a cell of 62.5 m is further away
    assert rows["median_position_m/photo/town-random/match"].value == pytest.approx(0, abs=1e-3)
    assert rows["median_m/photo/town-random/match"].value > 1


def test_only_occupied_cells_are_answered(place, town) -> None:
    rows, _, lines = evaluated(place, town, gallery="occupied", protocol="every_photo")
    assert "occupied leaves" in lines[0]
    names = {row.split("/")[3] for row in rows}
    assert names == {"chance", "global", "retrieval", "fusion", "sweep", "match"}
    area = "town-every_photo-occupied"
    data = JustZoomIn.open(town)
    cells = {sample.actions for split in ("train", "val") for sample in data.samples(split)}
    assert rows[f"r1_strict/photo/{area}/chance"].value == pytest.approx(100 / len(cells))
    # A photo at the wrong occupied cell is as far off as that cell is.
    assert rows[f"r1_strict/photo/{area}/global"].value in [pytest.approx(100 * k / 12) for k in range(13)]


@pytest.mark.parametrize("occupied", [None, [3, 17, 18, 100, 255]])
def test_chance_is_the_share_of_the_gallery_that_is_near(place, occupied) -> None:
    data = JustZoomIn.open(place / "town")
    samples = data.samples("train")
    truth = np.array([(s.latitude, s.longitude) for s in samples])
    picks = np.array([s.actions for s in samples])
    gallery = None if occupied is None else np.array(occupied)
    numbers = np.arange(256) if occupied is None else np.array(occupied)
    centres = cell_centre(np.stack(np.divmod(numbers, 16), -1), DIVISION)
    far = haversine_m(truth[:, :1], truth[:, 1:], *centres)
    found = chance(data, truth, picks, gallery)
    assert found["r1_strict"].value == pytest.approx(100 / len(numbers))
    for radius in (40, 50, 100):
        assert found[f"r1_{radius}m"].value == pytest.approx(100 * (far <= radius).mean())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_has_its_name_in_the_rows(place, town, protocol, monkeypatch) -> None:
    monkeypatch.setattr(benchmark, "answers", lambda *_: {"global": (0.0, 0.0)})
    rows, _, lines = evaluated(place, town, protocol=protocol, photos=2)
    assert {name.split("/")[2] for name in rows} == {f"town-{protocol}"}
    assert PROTOCOLS[protocol].words in lines[0]
    rows, _, _ = evaluated(place, town, protocol=protocol, photos=2, seed=3)
    assert {name.split("/")[2] for name in rows} == {f"town-{protocol}-seed3"}


def test_broken_and_missing_photos_are_counted_and_listed(place, town, monkeypatch) -> None:
    monkeypatch.chdir(town.parent)
    images = town / "streetview" / "images"
    (images / "p7_undistorted.jpg").unlink()
    (images / "p9_undistorted.jpg").write_bytes(b"no picture")
    out = town.parent / "rows.json"
    result = CliRunner().invoke(
        app,
        ["evaluate", "--data", str(town), "--model", str(place / "model"), "-o", str(out), "--photos", "6"],
    )
    assert result.exit_code == 0, result.output
    said = result.stderr.splitlines()
    assert said[-3] == "2 of 6 photos cannot be used:"
    assert "p7_undistorted.jpg" in said[-2] and "p9_undistorted.jpg" in said[-1]
    assert "town-random" in result.stdout
    assert {row["n"] for row in json.loads(out.read_text())} == {4}
    for path in images.iterdir():
        path.unlink()
    with pytest.raises(TiercelError, match="None of the 6 photos"):
        evaluated(place, town)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--protocol", "fair"], "no protocol 'fair': use one of random, sequence_disjoint, block_disjoint"),
        (["--gallery", "half"], "no gallery 'half': use one of all, occupied"),
        (["--data", "nowhere"], "nowhere is no folder"),
    ],
)
def test_wrong_options_are_one_sentence(place, tmp_path, options, complaint, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        app, ["evaluate", "--data", str(place / "town"), "--model", str(place / "model"), "-o", "x.json", *options]
    )
    assert result.exit_code == 2 and complaint in result.stderr and result.stderr.count("\n") == 1
