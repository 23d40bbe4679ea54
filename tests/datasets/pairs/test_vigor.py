"""VIGOR, in both ways its folders are laid out, with both kinds of labels."""

import numpy as np
import pytest

from tests.datasets.pairs.handmade import CITIES, SOUTH, WEST, label, lines, panorama, picture, tile, write_vigor
from tiercel.datasets.pairs import open_pairs
from tiercel.datasets.pairs.vigor import Vigor, position_of_panorama, position_of_tile, tile_side_m
from tiercel.errors import TiercelError
from tiercel.geo.sphere import haversine_m


@pytest.fixture
def folder(tmp_path):  # noqa: ANN201
    return write_vigor(tmp_path / "VIGOR")


def test_tiles_are_as_wide_as_others_measure_them() -> None:
    """Against the metres a pixel that CCVPE and SliceMatch measure with."""
    for latitude, published in ((40.73, 0.113248), (47.58, 0.100817), (37.77, 0.118141), (41.88, 0.111262)):
        assert tile_side_m(latitude) / 640 == pytest.approx(published, rel=0.0015)


def test_positions_are_in_the_names() -> None:
    assert position_of_tile("satellite_41.8543505796211_-87.68282621216503.png") == (
        41.8543505796211,
        -87.68282621216503,
    )
    assert position_of_panorama("hVQ-_4,x,41.854423,-87.682638,.jpg") == (41.854423, -87.682638)


@pytest.mark.parametrize("by_kind", [False, True])
def test_same_area(tmp_path, by_kind) -> None:
    data = open_pairs(write_vigor(tmp_path / "v", by_kind=by_kind))
    assert data.name == "VIGOR, same-area, original labels" and data.splits == ("train", "test")
    train, test = data.split("train"), data.split("test")
    assert len(train.gallery) == len(test.gallery) == 4 * 8
    assert (len(train.queries), len(test.queries)) == (8, 4)
    assert {query.name.split("/")[0] for query in test.queries} == set(CITIES)
    assert all(reference.file.is_file() for reference in train.gallery)
    assert all(query.file.is_file() for split in (train, test) for query in split.queries)
    assert not {query.name for query in train.queries} & {query.name for query in test.queries}
    assert len({reference.name for reference in train.gallery}) == 32


def test_cross_area_trains_in_two_cities_and_tests_in_the_others(folder) -> None:
    data = open_pairs(folder, area="cross")
    for split, cities in (("train", {"NewYork", "Seattle"}), ("test", {"SanFrancisco", "Chicago"})):
        read = data.split(split)
        assert (len(read.gallery), len(read.queries)) == (16, 6)
        for names in ([one.name for one in read.gallery], [one.name for one in read.queries]):
            assert {name.split("/")[0] for name in names} == cities


def test_a_panorama_and_its_tiles(folder) -> None:
    split = open_pairs(folder).split("test")
    (query,) = (query for query in split.queries if query.name.startswith("Seattle"))
    assert query.name == f"Seattle/{panorama('Seattle', 2)}"
    assert (query.heading, query.field_of_view, query.panorama) == (0.0, 360.0, True)
    assert query.latitude == pytest.approx(SOUTH["Seattle"] + 0.000075, abs=1e-6)
    names = [split.gallery[index].name for index in (query.positive, *query.semi_positives)]
    assert names == [f"Seattle/{tile('Seattle', row, 2 + column)}" for row, column in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert query.places == ((-83.0, 62.0), (-83.0, -186.0), (249.0, 62.0), (249.0, -186.0))
    positive = split.gallery[query.positive]
    assert (positive.latitude, positive.longitude) == (SOUTH["Seattle"], pytest.approx(WEST["Seattle"] + 0.0006))
    assert positive.side_m == pytest.approx(64.46, abs=0.05)
    # 0.000075 degrees north of the centre is 8.35 m: 83 pixels above it. East likewise: 5.63 m, 56 pixels right.
    assert float(haversine_m(positive.latitude, 0, query.latitude, 0)) / (positive.side_m / 640) == pytest.approx(
        83, abs=1
    )


@pytest.mark.parametrize("ending", ["__corrected", ""])
def test_corrected_labels_by_either_name(tmp_path, ending) -> None:
    folder = write_vigor(tmp_path / "v", corrected=ending)
    original, corrected = (open_pairs(folder, labels=kind).split("train") for kind in ("original", "corrected"))
    assert original.gallery == corrected.gallery
    for one, other in zip(original.queries, corrected.queries, strict=True):
        assert (one.positive, one.semi_positives, one.latitude) == (
            other.positive,
            other.semi_positives,
            other.latitude,
        )
        assert (
            one.places[0] == (-83.0, 62.0) and other.places[0] == (-85.0, 60.0) and one.places[1:] == other.places[1:]
        )


def test_a_whole_data_set_is_whole_and_tells_how_far_its_labels_are_off(folder) -> None:
    checked = open_pairs(folder).check()
    assert checked.whole and checked.layout == "VIGOR" and "github.com/Jeff-Zilence/VIGOR" in checked.source
    assert [(part.what, part.there) for part in checked.parts[:3]] == [
        ("lists of Chicago", 4), ("tiles of Chicago", 8), ("panoramas of Chicago", 3)
    ]  # fmt: skip
    assert len(checked.parts) == 12
    there, apart = checked.notes
    assert there == "There are original labels."
    assert "original labels are off the positions in the names of files by" in apart and "m in Seattle" in apart


def test_a_city_that_was_not_extracted(tmp_path) -> None:
    folder = write_vigor(tmp_path / "v", pictures=False)
    for city in CITIES[:3]:
        for row in range(2):
            for column in range(4):
                picture(folder / city / "satellite" / tile(city, row, column))
        for number in range(3):
            picture(folder / city / "panorama" / panorama(city, number))
    data = open_pairs(folder)
    checked = data.check()
    assert not checked.whole and not checked.problems
    lacking = {part.what: (part.there, part.missing, part.first) for part in checked.parts if part.missing}
    assert set(lacking) == {"tiles of Seattle", "panoramas of Seattle"}
    assert lacking["tiles of Seattle"][:2] == (0, 8)
    assert lacking["tiles of Seattle"][2][0] == f"Seattle/satellite/{tile('Seattle', 0, 0)}"
    with pytest.raises(TiercelError, match=r"lacks 10 of the 40 pictures .* 'train' .* the first Seattle/satellite"):
        data.split("train")
    partial = data.split("train", missing="skip")
    assert (len(partial.queries), partial.queries_left_out, partial.tiles_left_out) == (6, 2, 8)
    whole = open_pairs(folder, area="cross").split("test")
    assert (len(whole.queries), whole.queries_left_out) == (6, 0)


def test_an_unknown_split_area_or_label(folder) -> None:
    with pytest.raises(TiercelError, match="no split 'val': use train or test"):
        open_pairs(folder).split("val")
    with pytest.raises(TiercelError, match="no area 'both': use 'same' or 'cross'"):
        open_pairs(folder, area="both")
    with pytest.raises(TiercelError, match="no labels 'new'"):
        Vigor(folder, labels="new")


def test_a_list_that_is_missing(folder) -> None:
    (folder / "splits" / "NewYork" / "satellite_list.txt").unlink()
    with pytest.raises(TiercelError, match=r"splits/NewYork/satellite_list.txt is missing; copy the folders of lists"):
        open_pairs(folder).split("train")
    checked = open_pairs(folder).check()
    assert not checked.whole and "splits/NewYork/satellite_list.txt" in next(
        p.first for p in checked.parts if p.missing
    )
    with pytest.raises(TiercelError, match=r"splits__corrected/Chicago/satellite_list.txt is missing"):
        open_pairs(folder, labels="corrected").split("train")


GOOD = [label("Chicago", number) for number in range(2)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([GOOD[0], GOOD[1].rsplit(" ", 1)[0]], r"same_area_balanced_train.txt, line 2: there are 12 fields and not 13"),
        ([GOOD[0] + " 3.0"], r"line 1: there are 14 fields"),
        (["", *GOOD], r"line 1: there are 0 fields"),
        ([GOOD[0].replace("-83.0", "north")], r"line 1: .* is no line of labels"),
        ([GOOD[0].replace("-83.0", "nan")], r"line 1: .* is no line of labels"),
        ([GOOD[0].replace(panorama("Chicago", 0), "somewhere.jpg")], r"line 1: 'somewhere.jpg .* is no line of labels"),
        ([GOOD[0], GOOD[0]], r"lists the panorama .* twice, in lines 1 and 2"),
        (
            [GOOD[0].replace(tile("Chicago", 0, 0), "satellite_1.0_2.0.png")],
            r"does not list the tile satellite_1.0_2.0.png",
        ),
    ],
)
def test_lines_that_cannot_be_true_are_told_with_file_and_line(folder, content, words) -> None:
    lines(folder / "splits" / "Chicago" / "same_area_balanced_train.txt", content)
    with pytest.raises(TiercelError, match=words) as error:
        open_pairs(folder).split("train")
    assert "\n" not in str(error.value)
    if "does not list" not in words:  # which takes both lists together
        assert any("same_area_balanced_train.txt" in problem for problem in open_pairs(folder).check().problems)


def test_a_tile_listed_twice_or_by_a_name_without_a_place(folder) -> None:
    path = folder / "splits" / "Chicago" / "satellite_list.txt"
    names = path.read_text().splitlines()
    lines(path, [*names, names[1]])
    with pytest.raises(TiercelError, match=r"lists the tile .* twice, in lines 2 and 9"):
        open_pairs(folder).split("test")
    lines(path, ["nowhere.png", *names])
    with pytest.raises(TiercelError, match=r"satellite_list.txt, line 1: 'nowhere.png' is no name of a tile"):
        open_pairs(folder).split("test")


def test_pictures_are_not_opened(folder) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    assert len(open_pairs(folder).split("train").queries) == 8


def test_labels_agree_with_positions_as_far_as_they_are_right(tmp_path) -> None:
    """Chicago's tiles are 0.1112 m a pixel: 0.000075 degrees north are 75 pixels, where the label says 83."""
    from tiercel.datasets.pairs.vigor import _label, label_errors_m

    apart = label_errors_m([_label(label("Chicago", 0), "")])
    assert apart.shape == (1,)
    assert apart[0] == pytest.approx(np.hypot(83 - 75.1, 62 - 55.9) * 0.1112, abs=0.05)
