"""CVACT."""

import builtins

import numpy as np
import pytest
from scipy.io import loadmat

from tests.datasets.pairs.handmade import PLACES, write_cvact
from tiercel.datasets.pairs import open_pairs
from tiercel.datasets.pairs.cvact import write_table
from tiercel.errors import TiercelError
from tiercel.geo import Frame


@pytest.fixture
def folder(tmp_path):  # noqa: ANN201
    return write_cvact(tmp_path / "CVACT")


def test_splits_are_as_listed_and_the_test_holds_the_validation(folder) -> None:
    data = open_pairs(folder)
    assert (data.name, data.splits) == ("CVACT", ("train", "val", "test"))
    names = {split: [query.name[-1] for query in data.split(split).queries] for split in data.splits}
    assert names == {"train": list("0123"), "val": list("45"), "test": list("4567")}
    for split, where in (("train", "small"), ("val", "small"), ("test", "test")):
        read = data.split(split)
        assert [query.positive for query in read.queries] == list(range(len(read.queries)))
        assert all(tile.file.parts[-3] == f"ANU_data_{where}" and tile.file.is_file() for tile in read.gallery)
        assert all(query.file.parts[-3] == f"ANU_data_{where}" and query.file.is_file() for query in read.queries)
    assert data.check().whole


def test_positions_are_those_of_canberra(folder) -> None:
    query = open_pairs(folder).split("train").queries[2]
    assert -35.5 < query.latitude < -35.2 and 149 < query.longitude < 149.3
    x, y = Frame("EPSG:32755").from_wgs84(query.latitude, query.longitude)
    assert (float(x), float(y)) == (pytest.approx(PLACES[2, 0], abs=1e-3), pytest.approx(PLACES[2, 1], abs=1e-3))
    assert (query.heading, query.field_of_view, query.panorama) == (0.0, 360.0, True)


def test_the_order_of_the_coordinates_does_not_matter(tmp_path, folder) -> None:
    turned = open_pairs(write_cvact(tmp_path / "turned", PLACES[:, ::-1])).split("test")
    straight = open_pairs(folder).split("test")
    assert [q.latitude for q in turned.queries] == [q.latitude for q in straight.queries]


def test_coordinates_from_elsewhere_give_distances_but_no_positions(tmp_path) -> None:
    data = open_pairs(write_cvact(tmp_path / "c", PLACES - PLACES[0]))
    test = data.split("test")
    assert all(query.latitude is None for query in test.queries)
    assert test.queries[0].semi_positives == (1,)
    assert any("not all in Canberra's zone" in note for note in data.check().notes)


def test_tiles_around_are_not_wrong_in_training_and_right_in_the_test(tmp_path) -> None:
    """Photos 5 m apart: within 25 m in training, within 5 m else."""
    data = open_pairs(write_cvact(tmp_path / "c"))
    train, val, test = (data.split(name) for name in data.splits)
    assert train.right_within_m is None and val.right_within_m is None and test.right_within_m == 5.0
    assert [query.semi_positives for query in train.queries] == [(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)]
    assert [query.semi_positives for query in val.queries] == [(1,), (0,)]
    assert [query.semi_positives for query in test.queries] == [(1,), (0, 2), (1, 3), (2,)]
    wide = open_pairs(write_cvact(tmp_path / "wide", PLACES * [3, 1])).split("train")
    # 12.4 m apart: the next but one is at 24.7 m.
    assert [query.semi_positives for query in wide.queries] == [(1, 2), (0, 2, 3), (0, 1, 3), (1, 2)]


def test_pictures_that_are_missing(folder) -> None:
    (folder / "ANU_data_small/satview_polish/panorama_number_000002_satView_polish.jpg").unlink()
    data = open_pairs(folder)
    with pytest.raises(TiercelError, match=r"lacks 1 of the 8 pictures"):
        data.split("train")
    skipped = data.split("train", missing="skip")
    assert [query.name[-1] for query in skipped.queries] == list("013") and skipped.queries_left_out == 1
    assert [query.semi_positives for query in skipped.queries] == [(1, 2), (0, 2), (0, 1)]
    checked = data.check()
    assert not checked.whole and "One pair of the published training set" in checked.notes[0]
    assert len(data.split("test").queries) == 4


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"valSet": {"any": 1.0, "valInd": np.array([5.0, 9.0])}}, "valSet.valInd holds 9 and there are 8 names"),
        ({"valSet": {"any": 1.0, "valInd": np.array([0.0, 5.0])}}, "valSet.valInd holds 0"),
        ({"valSet": {"any": 1.0, "valInd": np.array([1.5, 5.0])}}, "valSet.valInd holds 1.5"),
        ({"trainSet": {"any": 1.0, "trainInd": np.array([2.0, 3.0, 2.0])}}, "names the panorama .*1 twice"),
        ({"trainSet": {"any": 1.0}}, "has no entry trainSet.trainInd"),
        ({"utm": PLACES[:5]}, r"utm has shape \(5, 2\) and not \(8, 2\)"),
    ],
)
def test_tables_that_cannot_be_true(tmp_path, changed, words) -> None:
    data = open_pairs(write_cvact(tmp_path / "c", **changed))
    with pytest.raises(TiercelError, match=rf"ACT_data.mat.*{words}"):
        data.split("train")
    (problem,) = data.check().problems
    assert problem.startswith(str(tmp_path))


def test_a_table_that_is_damaged_or_missing(folder) -> None:
    path = folder / "ACT_data.mat"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        TiercelError, match=r"ACT_data.mat cannot be read as a MATLAB file \(.*\); copy it again"
    ) as error:
        open_pairs(folder).split("val")
    assert "\n" not in str(error.value)
    path.write_text("a text")
    with pytest.raises(TiercelError, match="cannot be read as a MATLAB file"):
        open_pairs(folder).split("val")
    path.unlink()
    with pytest.raises(TiercelError, match=r"ACT_data.mat is missing; copy it there"):
        open_pairs(folder).split("val")
    checked = open_pairs(folder).check()
    assert not checked.whole and checked.parts[0].first == ("ACT_data.mat",)
    with pytest.raises(TiercelError, match="no split 'all': use train, val, test"):
        open_pairs(folder).split("all")


def test_without_scipy_it_says_what_to_install(folder, monkeypatch) -> None:
    real = builtins.__import__

    def lacking(name: str, *rest: object, **more: object) -> object:
        if name == "scipy":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(
        TiercelError, match=r"needs scipy, which is not installed: run `pip install 'tiercel\[cvact\]'`"
    ):
        open_pairs(folder).split("train")


def test_a_written_table_is_what_the_published_code_reads(tmp_path) -> None:
    names = ["abcdefghijklmnopqrstuv", "ABCDEFGHIJKLMNOPQRSTUV", "0123456789-_0123456789"]
    write_table(tmp_path / "ACT_data.mat", names, PLACES[:3], {"train": [0], "val": [1], "test": [1, 2]})
    theirs = loadmat(tmp_path / "ACT_data.mat")
    assert [theirs["panoIds"][i] + "_grdView.jpg" for i in range(3)] == [f"{name}_grdView.jpg" for name in names]
    assert (theirs["valSetAll"]["valInd"][0][0] - 1).tolist() == [[1], [2]]
    assert (theirs["trainSet"][0][0][1] - 1).tolist() == [[0]]
    assert float(theirs["utm"][2][0]) == PLACES[2, 0]
