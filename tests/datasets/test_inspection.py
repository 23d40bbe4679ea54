"""What a folder is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.benchmark import write_benchmark
from tests.datasets.pairs.handmade import picture, write_cvact, write_cvusa, write_vigor
from tiercel.atlas import Atlas
from tiercel.datasets.inspection import inspect
from tiercel.datasets.pairs import Checked
from tiercel.datasets.simulated import SETTINGS_FILE, TABLE_FILE
from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.maps import write_geotiff


def missing(checked: Checked) -> dict[str, tuple[str, ...]]:
    return {part.what: part.first for part in checked.parts if part.missing}


@pytest.mark.parametrize(("write", "layout"), [(write_vigor, "VIGOR"), (write_cvusa, "CVUSA"), (write_cvact, "CVACT")])
def test_data_sets_of_pairs(tmp_path, write, layout) -> None:
    found = inspect(write(tmp_path / "data"))
    assert found.checked.layout == layout and found.checked.whole
    found.draw(tmp_path / "p.jpg")
    assert Image.open(tmp_path / "p.jpg").format == "JPEG"


def test_vigor_with_corrected_labels_alone(tmp_path) -> None:
    folder = write_vigor(tmp_path / "v", corrected="__corrected")
    assert inspect(folder).checked.notes[0] == "There are original and corrected labels."
    for path in sorted((folder / "splits").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (folder / "splits").rmdir()
    checked = inspect(folder).checked
    assert checked.whole and checked.notes[0] == "There are corrected labels."


def test_a_zooming_benchmark(tmp_path) -> None:
    folder = write_benchmark(tmp_path / "zoom", [(0.0, 0.0), (100.0, 50.0), (-200.0, 100.0)], 2)
    found = inspect(folder)
    assert found.checked.whole
    assert [(part.what, part.there) for part in found.checked.parts] == [
        ("map", 1), ("table of split train", 1), ("photos of split train", 2), ("table of split val", 1),
        ("photos of split val", 1),
    ]  # fmt: skip
    found.draw(tmp_path / "p.png")
    pixels = np.asarray(Image.open(tmp_path / "p.png"))
    assert (pixels == (44, 123, 229)).all(-1).any() and (pixels == (255, 140, 0)).all(-1).any()
    (folder / "streetview/images/p1_undistorted.jpg").unlink()
    (folder / "metadata/large_area_val_map.csv").unlink()
    checked = inspect(folder).checked
    assert set(missing(checked)) == {"photos of split train", "table of split val"}
    assert "huggingface.co/datasets/pcvlab/justzoomin" in checked.source
    (folder / "satellite/layout.yaml").unlink()
    assert "map" in missing(inspect(folder).checked)


def make_city(folder: Path) -> Path:
    """A simulated city of two photos, as it lies on disk."""
    folder.mkdir()
    rgb = np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8)
    write_geotiff(folder / "city.tif", rgb, Frame("EPSG:32633"), 500_000.0, 5_000_200.0, 2.0)
    (folder / SETTINGS_FILE).write_text("{}")
    columns = ["file", "kind", "x", "y", "latitude", "longitude", "heading", "field_of_view", "pitch", "eye_height"]
    with (folder / TABLE_FILE).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for name in ("a", "b"):
            picture(folder / "photos" / f"{name}.jpg")
            writer.writerow([f"photos/{name}.jpg", "photo_90", 500_050, 5_000_100, 45, 15, 0, 90, 0, 1.6])
    return folder


def test_a_simulated_city(tmp_path) -> None:
    folder = make_city(tmp_path / "city")
    found = inspect(folder)
    assert found.checked.whole and [part.there for part in found.checked.parts] == [2, 2]
    found.draw(tmp_path / "p.png")
    assert (np.asarray(Image.open(tmp_path / "p.png")) == (44, 123, 229)).all(-1).any()
    (folder / "photos" / "a.jpg").unlink()
    assert missing(inspect(folder).checked) == {"photos": ("photos/a.jpg",)}
    (folder / TABLE_FILE).write_text("file\nx\n")
    (problem,) = inspect(folder).checked.problems
    assert "has a row that cannot be read" in problem
    (folder / TABLE_FILE).unlink()
    assert missing(inspect(folder).checked) == {"map and table": (TABLE_FILE,)}


def test_an_atlas(tmp_path, monkeypatch) -> None:
    (tmp_path / "atlas.json").write_text("{}")
    checked = inspect(tmp_path).checked
    assert checked.layout == "an atlas" and not checked.whole and "is not an atlas" in checked.problems[0]

    class Whole:
        class tree:  # noqa: N801
            depth = 2
            root = type("Root", (), {"side": 500.0})
            side = staticmethod(lambda level: 31.25)

        leaf_index, map_name, map_source = np.arange(16), "town", "town.tif"
        manifest = type("Manifest", (), {"model": type("Model", (), {"name": "compact"})})
        overview = staticmethod(lambda pixels: (np.full((pixels, pixels, 3), 90, np.uint8), None))

    monkeypatch.setattr(Atlas, "open", lambda folder: Whole)
    found = inspect(tmp_path)
    assert found.checked.whole and found.checked.parts[0].there == 16
    assert found.checked.notes == ("It was made of town (town.tif) for the model compact.",)
    found.draw(tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()


def test_nothing_that_is_known(tmp_path) -> None:
    with pytest.raises(TiercelError, match="is no data set that is known: it has neither"):
        inspect(tmp_path)
    with pytest.raises(TiercelError, match="is no folder"):
        inspect(tmp_path / "lost")
