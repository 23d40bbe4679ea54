"""Photos told apart by ten places: the truth wins in a simulated city, and the numbers are honest about chance."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiercel.datasets import simulate
from tiercel.errors import TiercelError
from tiercel.evaluation.results import read_rows
from tiercel.evaluation.ten_way import (
    Place,
    _canvas,
    binomial_interval,
    main,
    measure_folder,
    measured,
    open_folder,
    ranks,
    score_all,
)
from tiercel.geo import Square
from tiercel.maps import open_map
from tiercel.models import Model, load_model

REAL = Path(os.environ.get("TIERCEL_REAL_PLACES", "no real places"))
"""A folder of real photos with views of their places, for whoever has one."""


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """Photos of a city of 1 km, each with the views of its place, as published ones come."""
    folder, city = tmp_path_factory.mktemp("town"), tmp_path_factory.mktemp("city")
    samples = simulate(city, seed=1003, size=1000.0, photos=24, kinds=("photo_90",))
    apart: list = []
    for sample in samples:
        if all(np.hypot(sample.x - other.x, sample.y - other.y) > 130 for other in apart):
            apart.append(sample)
    with open_map(city / "city.tif") as basemap:
        for number, sample in enumerate(apart[:10]):
            shutil.copy(sample.file, folder / f"{number}_photo.jpg")
            for side in (300, 100):
                pixels, _ = basemap.read(Square(sample.x, sample.y, float(side)), 720)
                Image.fromarray(pixels).save(folder / f"{number}_overhead_{side}m.jpg", quality=92)
    return folder


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("bundled")


def test_the_truth_wins_well_above_chance(town, model, tmp_path) -> None:
    output = tmp_path / "rows.json"
    rows = {row.name: row for row in measure_folder(town, model, "before", output, "command")}
    for side in (300, 100):
        both = rows[f"mean_rank/photo/{town.name}_{side}m/both@before"]
        chance = rows[f"mean_rank/photo/{town.name}_{side}m/chance"]
        assert both.value < chance.value / 1.5 and both.extra["p"] < 0.01
        assert rows[f"r1/photo/{town.name}_{side}m/both@before"].value >= 40
        assert rows[f"r1/photo/{town.name}_{side}m/chance"].value == pytest.approx(100 / both.n)
    assert [row.name for row in read_rows(output)] == list(rows)


def test_rows_say_the_method_and_the_model() -> None:
    table = {"both": np.eye(4)}
    once, again = measured(table, "dc_300m", "before", "x"), measured(table, "dc_300m", "after", "x")
    assert {row.parts[3] for row in once} == {"both@before"} and {row.parts[3] for row in again} == {"both@after"}
    assert once[0].value == 100 and once[1].value == 1 and once[0].extra["p"] == pytest.approx(1 / 24, abs=0.01)


def test_rows_of_other_models_stay_in_the_file(town, model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        "tiercel.evaluation.ten_way.score_all", lambda model, photos, places: {"both": np.eye(len(photos))}
    )
    output = tmp_path / "rows.json"
    for name in ("before", "after", "after"):
        measure_folder(town, model, name, output, "command")
    methods = [row.parts[3] for row in read_rows(output)]
    assert {name: methods.count(name) for name in methods} == {"chance": 4, "both@before": 4, "both@after": 4}
    with pytest.raises(TiercelError, match="without slashes"):
        measure_folder(town, model, "a/b", output, "command")


def test_the_heading_in_a_photo_is_not_used(town, model) -> None:
    _, photos, places = open_folder(town, (300,))
    assert photos[0][0].heading is not None and len(photos[0]) == 1
    blind = [[dataclasses.replace(view, heading=None) for view in views] for views in photos[:2]]
    told, untold = (score_all(model, some, places[300][:3])["both"] for some in (photos[:2], blind))
    assert told == pytest.approx(untold)
    assert np.exp(told).sum(1) == pytest.approx(1.0)


def test_a_view_lies_in_the_middle_at_the_models_resolution() -> None:
    pixels = np.zeros((720, 720, 3), np.uint8)
    pixels[:360] = 200
    canvas, covered = _canvas(Place(pixels, 100.0), 768, 0.5)
    assert covered.sum() == 200**2 and covered[284:484, 284:484].all()
    assert canvas[300, 384, 0] == 200 and canvas[460, 384, 0] == 0
    _, cut = _canvas(Place(pixels, 1000.0), 768, 0.5)
    assert cut.all()


def test_ranks_share_ties() -> None:
    scores = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert ranks(scores) == pytest.approx([1.0, 1.5, 2.0])
    assert ranks(scores, np.array([1, 1, 1])) == pytest.approx([3.0, 1.5, 2.0])


def test_the_interval_is_the_published_one() -> None:
    # Clopper and Pearson's for 2 of 10, as tabled.
    assert binomial_interval(2, 10) == pytest.approx((0.0252, 0.5561), abs=1e-4)
    assert binomial_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert binomial_interval(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-4)


def test_a_folder_that_lacks_something_says_what(town, tmp_path) -> None:
    with pytest.raises(TiercelError, match="holds no photos to tell apart"):
        open_folder(tmp_path)
    for number in (0, 1):
        shutil.copy(town / f"{number}_photo.jpg", tmp_path)
    with pytest.raises(TiercelError, match=r"0_overhead_300m\.jpg is missing"):
        open_folder(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real photos here")
def test_real_photos_are_scored_at_every_field_of_view(tmp_path, capsys) -> None:
    names, photos, _ = open_folder(REAL)
    assert len(names) == 10 and {len(views) for views in photos} == {4}
    main([str(REAL), "-o", str(tmp_path / "real.json"), "--name", "compact"])
    rows = {row.name: row for row in read_rows(tmp_path / "real.json")}
    assert len(rows) == 2 * 2 * (1 + 3)
    assert rows["r1/photo/dc_300m/chance"].value == 10
    assert 1 <= rows["mean_rank/photo/dc_300m/both@compact"].value <= 10
    assert "mean_rank/photo/dc_100m/match@compact" in capsys.readouterr().out
