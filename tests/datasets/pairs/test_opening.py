"""Telling data sets of pairs apart."""

import pytest

from tests.datasets.pairs.handmade import picture, write_cvact, write_cvusa, write_vigor
from tiercel.datasets.pairs import Folders, open_pairs
from tiercel.datasets.pairs.cvact import Cvact
from tiercel.datasets.pairs.cvusa import Cvusa
from tiercel.datasets.pairs.vigor import Vigor
from tiercel.errors import TiercelError


def test_each_is_told_by_what_its_folder_holds(tmp_path) -> None:
    assert isinstance(open_pairs(write_vigor(tmp_path / "a")), Vigor)
    assert isinstance(open_pairs(str(write_vigor(tmp_path / "b", by_kind=True))), Vigor)
    assert isinstance(open_pairs(write_cvusa(tmp_path / "c")), Cvusa)
    assert isinstance(open_pairs(write_cvact(tmp_path / "d")), Cvact)
    picture(tmp_path / "e" / "photos" / "a.jpg")
    picture(tmp_path / "e" / "tiles" / "a.jpg")
    assert isinstance(open_pairs(tmp_path / "e"), Folders)


@pytest.mark.parametrize(
    ("there", "kind"),
    [
        ("Seattle/panorama", Vigor), ("satellite/../ground/Chicago", Vigor), ("splits__corrected/NewYork", Vigor),
        ("bingmap/19", Cvusa), ("CVPR_subset/bingmap", Cvusa), ("ANU_data_test/streetview", Cvact),
    ],
)  # fmt: skip
def test_what_was_extracted_half_is_told_too(tmp_path, there, kind) -> None:
    (tmp_path / there.split("/../")[0]).mkdir(parents=True)
    (tmp_path / there).resolve().mkdir(parents=True, exist_ok=True)
    data = open_pairs(tmp_path)
    assert isinstance(data, kind) and not data.check().whole
    with pytest.raises(TiercelError):
        data.split("train")


def test_a_layout_may_be_given(tmp_path) -> None:
    write_cvusa(tmp_path)
    assert isinstance(open_pairs(tmp_path, layout="vigor"), Vigor)
    with pytest.raises(TiercelError, match="no layout 'sues': use vigor, cvusa, cvact, folders"):
        open_pairs(tmp_path, layout="sues")


def test_nothing_of_the_kind(tmp_path) -> None:
    with pytest.raises(
        TiercelError, match=r"is no data set of pairs: there is neither a folder splits of .*ACT_data.mat"
    ):
        open_pairs(tmp_path)
    with pytest.raises(TiercelError, match="is no folder; give the one"):
        open_pairs(tmp_path / "lost")
