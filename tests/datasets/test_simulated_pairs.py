"""Miniatures of the published data sets of pairs, read by tiercel and as the published code reads them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from tiercel.datasets import simulated_pairs
from tiercel.datasets.pairs import PairDataset, open_pairs
from tiercel.datasets.pairs.plot import place_in_tile
from tiercel.datasets.simulated_pairs import FORMS, City, simulate_pairs
from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.geo.sphere import haversine_m

SMALL = {"tile_pixels": 64, "panorama_width": 64}
SETTINGS = {
    "vigor": {"seed": 31, "size": 200.0, "photos": 12},
    "cvusa": {"seed": 31, "size": 320.0, "photos": 5},
    "cvact": {"seed": 31, "size": 200.0, "photos": 10},
}
CITIES = ("Chicago", "NewYork", "SanFrancisco", "Seattle")


class Steps:
    """What progress was told."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.totals: set[int] = set()

    def __call__(self, done: int, total: int) -> None:
        self.done.append(done)
        self.totals.add(total)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pairs")
    for layout, settings in SETTINGS.items():
        seen = Steps()
        simulate_pairs(folder / layout, layout=layout, **settings, **SMALL, progress=seen)
        (total,) = seen.totals
        assert seen.done == list(range(total + 1))
    return {layout: folder / layout for layout in SETTINGS}


@pytest.fixture(scope="module")
def vigor(made) -> PairDataset:
    return open_pairs(made["vigor"], labels="corrected")


@pytest.mark.parametrize("layout", SETTINGS)
def test_each_is_whole_and_told_by_its_folder(made, layout) -> None:
    data = open_pairs(made[layout])
    assert data.check().whole and data.name.lower().startswith(layout)
    assert all(data.split(name).queries for name in data.splits)


@pytest.mark.parametrize(
    ("layout", "tile", "panorama"),
    [("vigor", 640, (2048, 1024)), ("cvusa", 750, (1232, 224)), ("cvact", 1200, (1664, 832))],
)
def test_pictures_have_the_published_sizes_and_no_metadata(made, layout, tile, panorama) -> None:
    form = FORMS[layout]
    assert (form.tile_pixels, (form.panorama_width, form.panorama_height)) == (tile, panorama)
    split = open_pairs(made[layout]).split("train")
    query = split.queries[0]
    with Image.open(query.file) as below, Image.open(split.gallery[query.positive].file) as above:
        assert above.size == (64, 64) and below.size == (64, round(64 * panorama[1] / panorama[0]))
        assert not below.getexif() and "xmp" not in below.info
        assert above.format == ("PNG" if layout == "vigor" else "JPEG") and below.format == "JPEG"


def test_vigor_is_read_as_its_authors_read_it(made) -> None:
    """Names of tiles are lines, labels are split at single spaces: fields 1, 4, 7 and 10 are tiles."""
    root = made["vigor"]
    for label_root, ending in (("splits", ""), ("splits__corrected", "__corrected")):
        for city in CITIES:
            with (root / label_root / city / "satellite_list.txt").open() as file:
                tiles = [line.replace("\n", "") for line in file.readlines()]
            assert all(Image.open(root / city / "satellite" / tile).format == "PNG" for tile in tiles)
            index = {tile: number for number, tile in enumerate(tiles)}
            read: dict[str, list[str]] = {}
            for name in ("same_area_balanced_train", "same_area_balanced_test", "pano_label_balanced"):
                with (root / label_root / city / f"{name}{ending}.txt").open() as file:
                    read[name] = file.readlines()
            everything = read["pano_label_balanced"]
            assert sorted(everything) == sorted(read["same_area_balanced_train"] + read["same_area_balanced_test"])
            assert len(everything) == 3 and len(read["same_area_balanced_train"]) == 2
            for line in everything:
                data = np.array(line.split(" "))
                label = [index[data[i]] for i in (1, 4, 7, 10)]
                delta = np.array([data[2:4], data[5:7], data[8:10], data[11:13]]).astype(float)
                assert len(set(label)) == 4 and delta.shape == (4, 2)
                assert (root / city / "panorama" / data[0]).is_file()
                truth = np.array(data[0].split(",")[1:3]).astype(float)
                centre = np.array(data[1].replace(".png", "").split("_")[1:3]).astype(float)
                # Latitude of a tile greater than the camera's: the label is positive.
                assert (np.sign(np.round((centre - truth) * 1e4)) * delta[0] >= -12).all()
                assert (np.abs(delta[0]) <= 185).all()


def test_the_four_tiles_surround_the_photo_and_the_first_is_nearest(vigor) -> None:
    for name in vigor.splits:
        split = vigor.split(name)
        for query in split.queries:
            tiles = [split.gallery[index] for index in (query.positive, *query.semi_positives)]
            apart = [
                float(haversine_m(query.latitude, query.longitude, tile.latitude, tile.longitude)) for tile in tiles
            ]
            assert apart == sorted(apart) and apart[0] < 26
            everywhere = [haversine_m(query.latitude, query.longitude, t.latitude, t.longitude) for t in split.gallery]
            assert np.argsort(everywhere)[0] == query.positive
            places = [place_in_tile(query, tile) for tile in tiles]
            assert {(place[0] > 0, place[1] > 0) for place in places} == {
                (a, b) for a in (True, False) for b in (True, False)
            }


def test_corrected_labels_are_right_and_original_ones_off_as_published(made, vigor) -> None:
    wrong = open_pairs(made["vigor"]).split("train").queries
    split = vigor.split("train")
    for query, other in zip(split.queries, wrong, strict=True):
        tile = split.gallery[query.positive]
        place = np.array(place_in_tile(query, tile)) * 640
        assert np.abs(np.array(query.places[0]) - place).max() < 2
        # 0.114 m a pixel instead of the true size: too few pixels by that ratio.
        assert np.array(other.places[0]) == pytest.approx(place * (tile.side_m / 640) / 0.114, abs=2)
        assert (other.positive, other.semi_positives) == (query.positive, query.semi_positives)


def test_tiles_overlap_by_half_and_show_the_same_ground_there(vigor) -> None:
    """Tiles stand 36.48 m apart: their pictures agree when moved by as much."""
    split = vigor.split("train")
    tiles = [tile for tile in split.gallery if tile.name.startswith("Seattle")]
    rows = sorted({tile.latitude for tile in tiles})
    columns = sorted({tile.longitude for tile in tiles})
    assert len(tiles) == len(rows) * len(columns) and min(len(rows), len(columns)) >= 3
    pictures = {(t.latitude, t.longitude): np.asarray(Image.open(t.file), np.float64) for t in tiles}
    first = pictures[rows[0], columns[0]]
    steps = [float(haversine_m(rows[0], columns[0], rows[i], columns[1 - i])) for i in (0, 1)]
    assert steps == pytest.approx([36.48 * 6378137 / 6371004] * 2, rel=1e-3)
    moved = round(steps[0] / (tiles[0].side_m / 64))
    east, north = pictures[rows[0], columns[1]], pictures[rows[1], columns[0]]
    same = np.abs(first[:, moved:] - east[:, :-moved]).mean(), np.abs(first[:-moved] - north[moved:]).mean()
    other = np.abs(first[:, :-moved] - east[:, moved:]).mean(), np.abs(first[moved:] - north[:-moved]).mean()
    assert max(same) < 0.6 * min(other)


def test_a_tile_is_the_positive_of_two_panoramas_at_most(vigor) -> None:
    positives = [query.positive for name in vigor.splits for query in vigor.split(name).queries]
    assert max(np.bincount(positives)) <= 2


def test_cross_area_cities_are_of_other_seeds(made) -> None:
    data = open_pairs(made["vigor"], area="cross")
    train, test = data.split("train"), data.split("test")
    apart = haversine_m(train.queries[0].latitude, 15.0, np.array([query.latitude for query in test.queries]), 15.0)
    assert apart.min() > 9000
    assert not {tile.file for tile in train.gallery} & {tile.file for tile in test.gallery}


def test_vigor_by_kind_is_read_as_sample4geo_reads_it(tmp_path, monkeypatch) -> None:
    stand_in(monkeypatch)
    simulate_pairs(tmp_path / "v", layout="vigor", **SETTINGS["vigor"], **SMALL, by_kind=True)
    for city in CITIES:
        tiles = [line.split()[0] for line in (tmp_path / "v/splits" / city / "satellite_list.txt").open()]
        assert all((tmp_path / "v/satellite" / city / tile).is_file() for tile in tiles)
        for line in (tmp_path / "v/splits" / city / "pano_label_balanced.txt").open():
            fields = line.split()
            assert len(fields) == 13 and (tmp_path / "v/ground" / city / fields[0]).is_file()
            assert all(fields[i] in tiles for i in (1, 4, 7, 10))
    assert open_pairs(tmp_path / "v").check().whole


def test_cvusa_is_read_as_published_code_reads_it(made) -> None:
    root = made["cvusa"]
    with (root / "split_locations/all.csv").open(newline="") as file:
        places = [[float(value) for value in row] for row in csv.reader(file)]
    counts = []
    for name in ("train-19zl.csv", "val-19zl.csv"):
        with (root / "splits" / name).open(newline="") as file:
            rows = list(csv.reader(file))
        counts.append(len(rows))
        for sat, ground, annotation in rows:
            number = int(sat.split("/")[-1].split(".")[0])
            assert (sat, ground) == (f"bingmap/19/{number:07d}.jpg", f"streetview/panos/{number:07d}.jpg")
            assert annotation == f"streetview/annotations/{number:07d}.png"
            assert (root / sat).is_file() and (root / ground).is_file()
            assert 30 < places[number - 1][2] < 50 and -100 < places[number - 1][3] < -90
    assert counts == [4, 1] and len(places) == 5
    split = open_pairs(root).split("train")
    for index, query in enumerate(split.queries):
        others = [other for other in split.queries if other is not query]
        apart = [float(haversine_m(query.latitude, query.longitude, o.latitude, o.longitude)) for o in others]
        assert min(apart) > 29 and query.latitude == split.gallery[index].latitude


def test_cvact_is_read_as_published_code_reads_it(made) -> None:
    root, data = made["cvact"], loadmat(made["cvact"] / "ACT_data.mat")
    ids = data["panoIds"]
    assert len(ids) == 10 and all(len(str(name)) == 22 for name in ids)
    sets = {
        "ANU_data_small": [(data["trainSet"]["trainInd"][0][0] - 1, 5), (data["valSet"]["valInd"][0][0] - 1, 2)],
        "ANU_data_test": [(data["valSetAll"]["valInd"][0][0] - 1, 5)],
    }
    for folder, parts in sets.items():
        for indices, count in parts:
            assert len(indices) == count
            for k in range(count):
                name = ids[int(indices[k][0])]
                assert (root / folder / "streetview" / (name + "_grdView.jpg")).is_file()
                assert (root / folder / "satview_polish" / (name + "_satView_polish.jpg")).is_file()
    assert (data["trainSet"][0][0][1] == data["trainSet"]["trainInd"][0][0]).all()
    assert str(ids[data["valSet"][0][0][1].astype(int) - 1].squeeze()[0]) in {str(name) for name in ids}
    query = open_pairs(root).split("test").queries[0]
    assert Frame("EPSG:32755").from_wgs84(query.latitude, query.longitude)[0] == pytest.approx(500_100, abs=100)


def test_a_photo_of_cvact_shows_what_lies_around_the_middle_of_its_tile(made) -> None:
    """Cameras stand in carriageways, and so do the middles of their tiles."""
    data = open_pairs(made["cvact"])
    middles = [np.asarray(Image.open(tile.file))[30:34, 30:34].mean((0, 1)) for tile in data.split("train").gallery]
    assert np.ptp(middles, axis=1).max() < 60  # grey, as asphalt is, rather than lawn or brick


@pytest.mark.parametrize("layout", SETTINGS)
def test_a_city_lies_on_the_meridian_where_grid_north_is_north(layout) -> None:
    for seed in (0, 57, 199):
        city = City(FORMS[layout], seed, 4000.0, range(1))
        for x in (0.0, 4000.0):
            assert abs(Frame(city.form.crs).convergence(city.corner[0] + x, city.corner[1])) < 0.05
        x, y = city.from_wgs84(*city.to_wgs84(120.0, 77.0))
        assert (x, y) == (pytest.approx(120, abs=1e-3), pytest.approx(77, abs=1e-3))


class _StandIn:
    """Draws nothing, and may be interrupted."""

    left = 10_000

    @classmethod
    def take(cls, *shape: int) -> np.ndarray:
        cls.left -= 1
        if cls.left < 0:
            raise KeyboardInterrupt
        return np.full((*shape, 3), cls.left % 200, np.uint8)


def stand_in(monkeypatch) -> None:
    _StandIn.left = 10_000
    monkeypatch.setattr(simulated_pairs.Scene, "tile", lambda self, lat, lon: _StandIn.take(64, 64))
    monkeypatch.setattr(simulated_pairs.Scene, "panorama", lambda self, shot: _StandIn.take(32, 64))


@pytest.mark.parametrize("layout", SETTINGS)
def test_an_interrupted_miniature_goes_on_and_another_is_refused(tmp_path, monkeypatch, layout) -> None:
    stand_in(monkeypatch)
    folder = tmp_path / layout
    _StandIn.left = 7
    with pytest.raises(KeyboardInterrupt):
        simulate_pairs(folder, layout=layout, **SETTINGS[layout], **SMALL)
    pictures = [path for path in folder.rglob("*") if path.suffix in (".png", ".jpg")]
    assert len(pictures) == 7 and not any(path.suffix in (".txt", ".csv", ".mat") for path in folder.rglob("*"))
    assert not open_pairs(folder).check().whole
    _StandIn.left = 10_000
    data = simulate_pairs(folder, layout=layout, **SETTINGS[layout], **SMALL)
    drawn = 10_000 - _StandIn.left
    assert data.check().whole
    assert drawn + 7 == sum(path.suffix in (".png", ".jpg") for path in folder.rglob("*"))
    _StandIn.left = 0
    simulate_pairs(folder, layout=layout, **SETTINGS[layout], **SMALL)
    with pytest.raises(TiercelError, match="holds another miniature"):
        simulate_pairs(folder, layout=layout, **SETTINGS[layout])


def test_what_cannot_be_made(tmp_path) -> None:
    with pytest.raises(TiercelError, match="no miniature of 'sues': choose from vigor, cvusa, cvact"):
        simulate_pairs(tmp_path / "a", layout="sues", seed=1)
    with pytest.raises(TiercelError, match=r"A city of 120 m is too small for its tiles: make it 1\d\d m or larger"):
        simulate_pairs(tmp_path / "b", layout="vigor", seed=1, size=120)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("mine")
    with pytest.raises(TiercelError, match="holds something else: choose another folder"):
        simulate_pairs(tmp_path / "c", layout="cvact", seed=1)
    with pytest.raises(TiercelError, match=r"The city of seed 31 and 300 m has room for \d+ photos, not for 40"):
        simulate_pairs(tmp_path / "d", layout="cvusa", seed=31, size=300, photos=50)
    assert not any(path.exists() for path in (tmp_path / "a", tmp_path / "b"))
