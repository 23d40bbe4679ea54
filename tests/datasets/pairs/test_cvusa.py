"""CVUSA."""

import pytest

from tests.datasets.pairs.handmade import lines, write_cvusa
from tiercel.datasets.pairs import open_pairs
from tiercel.errors import TiercelError


@pytest.fixture
def folder(tmp_path):  # noqa: ANN201
    return write_cvusa(tmp_path / "CVUSA")


def test_every_panorama_has_its_own_tile(folder) -> None:
    data = open_pairs(folder)
    assert (data.name, data.splits) == ("CVUSA", ("train", "val"))
    train, val = data.split("train"), data.split("val")
    assert [tile.name for tile in train.gallery] == ["0000003", "0000001", "0000005"]
    assert [query.positive for query in train.queries] == [0, 1, 2]
    assert [query.name for query in val.queries] == ["0000002", "0000004"]
    first = train.queries[0]
    assert (first.latitude, first.longitude, first.heading, first.field_of_view) == (33.5, -93.5, 0.0, 360.0)
    assert first.panorama and first.semi_positives == () and first.places == ()
    tile = train.gallery[0]
    assert (tile.latitude, tile.longitude, tile.side_m) == (33.0, -93.0, None)
    assert tile.file == folder / "bingmap/19/0000003.jpg" and tile.file.is_file() and first.file.is_file()
    assert data.check().whole and data.check().notes == ()


@pytest.mark.parametrize("locations", ["all.csv", None])
def test_positions_may_lie_elsewhere_or_be_missing(tmp_path, locations) -> None:
    data = open_pairs(write_cvusa(tmp_path / "c", locations=locations))
    query = data.split("val").queries[1]
    assert (query.latitude, query.longitude) == ((34.5, -94.5) if locations else (None, None))
    assert data.check().whole and bool(data.check().notes) == (locations is None)


def test_the_distributions_folder_may_be_given_too(tmp_path) -> None:
    write_cvusa(tmp_path / "CVUSA" / "CVPR_subset")
    assert len(open_pairs(tmp_path / "CVUSA").split("train").queries) == 3


def test_annotations_may_be_missing_pictures_may_not(folder) -> None:
    (folder / "bingmap/19/0000001.jpg").unlink()
    (folder / "streetview/panos/0000004.jpg").unlink()
    data = open_pairs(folder)
    with pytest.raises(TiercelError, match=r"lacks 1 of the 6 pictures .* the first bingmap/19/0000001.jpg"):
        data.split("train")
    skipped = data.split("train", missing="skip")
    assert [query.name for query in skipped.queries] == ["0000003", "0000005"]
    assert [query.positive for query in skipped.queries] == [0, 1]
    checked = data.check()
    assert {part.what for part in checked.parts if part.missing} == {"tiles of split train", "panoramas of split val"}
    assert "mvrl.cse.wustl.edu" in checked.source


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (["bingmap/19/1.jpg"], r"train-19zl.csv, line 1: 'bingmap/19/1.jpg' is not an overhead picture and a panorama"),
        (["bingmap/19/1.jpg,streetview/panos/1.jpg", "bingmap/19/2.jpg,"], "line 2"),
        (["bingmap/19/1.jpg,../../secret.jpg"], "line 1"),
        (["a/1.jpg,p/1.jpg", "a/2.jpg,p/2.jpg", "a/1.jpg,p/3.jpg"], "lists the tile 1 twice, in lines 1 and 3"),
        (["a/1.jpg,p/1.jpg", "a/2.jpg,p/1.jpg"], "lists the panorama 1 twice, in lines 1 and 2"),
    ],
)
def test_rows_that_cannot_be_true(folder, content, words) -> None:
    lines(folder / "splits/train-19zl.csv", content)
    with pytest.raises(TiercelError, match=words) as error:
        open_pairs(folder).split("train")
    assert str(error.value) in open_pairs(folder).check().problems


def test_a_list_that_is_missing(folder) -> None:
    (folder / "splits/val-19zl.csv").unlink()
    with pytest.raises(TiercelError, match=r"val-19zl.csv is missing; copy the folder splits"):
        open_pairs(folder).split("val")
    checked = open_pairs(folder).check()
    assert [part.first for part in checked.parts if part.missing] == [("splits/val-19zl.csv",)] and not checked.problems
    with pytest.raises(TiercelError, match="no split 'test': use train or val"):
        open_pairs(folder).split("test")


def test_positions_that_cannot_be_true(folder) -> None:
    path = folder / "split_locations/all.csv"
    good = path.read_text().splitlines()
    lines(path, good[:4])
    with pytest.raises(
        TiercelError, match=r"train-19zl.csv, line 3: .*all.csv has 4 rows and none for bingmap/19/0000005"
    ):
        open_pairs(folder).split("train")
    lines(path, [good[0], "95.0,0.0,1.0,1.0", *good[2:]])
    with pytest.raises(TiercelError, match=r"all.csv, line 2: '95.0,0.0,1.0,1.0' is not the latitude"):
        open_pairs(folder).split("train")
