"""A plain pair of folders."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.pairs.handmade import lines, picture
from tiercel.datasets.pairs import Folders, open_pairs
from tiercel.errors import TiercelError
from tiercel.photos import write_photo

METRE = 1 / 111_319.49  # of latitude, degrees


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three photos with tiles of their names."""
    for name in ("one", "two", "deep/three"):
        picture(tmp_path / "data" / "photos" / f"{name}.jpg", 12, 9)
        picture(tmp_path / "data" / "tiles" / f"{name}.png")
    return tmp_path / "data"


def test_pairs_of_equal_names_without_any_table(folder) -> None:
    picture(folder / "tiles" / "nobody's.png")
    data = open_pairs(folder)
    assert (data.name, data.splits) == ("data", ("all",))
    split = data.split("all")
    assert [tile.name for tile in split.gallery] == ["deep/three.png", "nobody's.png", "one.png", "two.png"]
    assert [(query.name, query.positive) for query in split.queries] == [
        ("deep/three.jpg", 0),
        ("one.jpg", 2),
        ("two.jpg", 3),
    ]
    query = split.queries[0]
    assert (query.heading, query.latitude, query.panorama) == (None, None, False)
    assert query.field_of_view == pytest.approx(70)
    checked = data.check()
    assert checked.whole and "no pairs.csv" in checked.notes[0]
    assert [(part.what, part.there) for part in checked.parts] == [("photos", 3), ("tiles", 4)]


def test_photos_tell_of_themselves(folder) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    place = {"latitude": 48.0, "longitude": 2.0, "heading": 33.0}
    write_photo(folder / "photos" / "one.jpg", pixels, field_of_view=50.0, **place)
    write_photo(folder / "photos" / "two.jpg", pixels[:40], panorama=True, **place)
    one, two = open_pairs(folder).split("all").queries[1:]
    assert (one.latitude, one.longitude, one.heading) == pytest.approx((48.0, 2.0, 33.0), abs=1e-6)
    assert one.field_of_view == pytest.approx(50, abs=0.01) and not one.panorama
    assert two.panorama and two.field_of_view == 360 and two.heading == pytest.approx(33)


def test_a_table_says_it_before_the_photos_do(folder) -> None:
    picture(folder / "photos" / "two.jpg", 12, 6)
    lines(folder / "pairs.csv", [
        "photo,tile,latitude,longitude,heading,field_of_view,panorama,split,note",
        "one.jpg,two.png,48.1,2.1,10,80,false,train,hi",
        "two.jpg,,48.2,2.2,,,yes,test,",
    ])  # fmt: skip
    data = open_pairs(folder)
    assert data.splits == ("train", "test")
    (one,), (two,) = data.split("train").queries, data.split("test").queries
    assert (one.name, one.latitude, one.heading, one.field_of_view, one.panorama) == (
        "one.jpg",
        48.1,
        10.0,
        80.0,
        False,
    )
    gallery = data.split("train").gallery
    assert gallery[one.positive].name == "two.png" and gallery == data.split("test").gallery
    assert data.split("test").gallery[two.positive].name == "two.png" and two.panorama
    with pytest.raises(TiercelError, match="no split 'val': it has train, test"):
        data.split("val")


def test_the_nearest_tile_and_those_that_show_the_place(folder) -> None:
    """Tiles of 60 m every 40 m north; a photo 25 m north of the first is nearest to the second and in both."""
    for path in (folder / "tiles").rglob("*.png"):
        path.unlink()
    rows = ["tile,latitude,longitude,side_m"]
    for index in range(4):
        picture(folder / "tiles" / f"t{index}.png")
        rows.append(f"t{index}.png,{48 + 40 * index * METRE:.9f},2.0,{60 if index < 3 else ''}")
    lines(folder / "tiles.csv", rows)
    lines(folder / "pairs.csv", [
        "photo,latitude,longitude,panorama,heading,field_of_view",
        f"one.jpg,{48 + 25 * METRE:.9f},2.0,false,0,70",
        f"two.jpg,{48 + 115 * METRE:.9f},2.0,false,0,70",
    ])  # fmt: skip
    split = open_pairs(folder).split("all")
    assert [(query.positive, query.semi_positives) for query in split.queries] == [(1, (0,)), (3, ())]
    assert split.gallery[1].side_m == 60 and split.gallery[3].side_m is None
    assert open_pairs(folder).check().whole


def test_tiles_may_have_their_places_in_the_table_of_pairs(folder) -> None:
    lines(folder / "pairs.csv", [
        "photo,tile,tile_latitude,tile_longitude,tile_side_m,latitude,longitude",
        "one.jpg,one.png,48,2,50,48.0001,2",
        "two.jpg,one.png,48,2,50,48.0001,2",
        "deep/three.jpg,,,,,48.00005,2",
    ])  # fmt: skip
    split = open_pairs(folder).split("all")
    named = split.gallery[split.queries[0].positive]
    assert (named.name, named.latitude, named.longitude, named.side_m) == ("one.png", 48.0, 2.0, 50.0)
    three = split.queries[2]
    assert split.gallery[three.positive].name == "deep/three.png"
    assert [split.gallery[index].name for index in three.semi_positives] == ["one.png"]


def test_any_two_folders(tmp_path) -> None:
    picture(tmp_path / "street" / "a.jpg", 12)
    picture(tmp_path / "maps" / "overhead" / "a.tif")
    data = Folders(tmp_path / "street", tmp_path / "maps" / "overhead")
    assert len(data.split("all").queries) == 1 and data.check().whole
    (tmp_path / "street" / "b.jpg").write_bytes(b"")
    table = lines(tmp_path / "list.csv", ["photo,tile", "b.jpg,a.tif"])
    with pytest.raises(TiercelError, match=r"lacks 1 of the 2 pictures .* the first street/b.jpg"):
        Folders(tmp_path / "street", tmp_path / "maps" / "overhead", table).split("all")


def test_missing_photos_and_tiles(folder) -> None:
    lines(folder / "pairs.csv", ["photo,tile", "one.jpg,one.png", "four.jpg,two.png", "two.jpg,lost.png"])
    data = open_pairs(folder)
    checked = data.check()
    assert {part.what: part.first for part in checked.parts} == {
        "photos": ("photos/four.jpg",),
        "tiles": ("tiles/lost.png",),
    }
    with pytest.raises(TiercelError, match=r"lacks 1 of .* the first photos/four.jpg"):
        data.split("all")
    split = data.split("all", missing="skip")
    assert [query.name for query in split.queries] == ["one.jpg"]
    assert (split.queries_left_out, split.tiles_left_out) == (2, 1)
    for name in ("one.jpg", "two.jpg"):
        (folder / "photos" / name).unlink()
    with pytest.raises(TiercelError, match="lacks 3 of"):
        data.split("all", missing="skip")


def test_a_broken_photo_is_named(folder) -> None:
    (folder / "photos" / "two.jpg").write_bytes(b"no picture")
    with pytest.raises(TiercelError, match=r"photos/two.jpg is not a JPEG"):
        open_pairs(folder).split("all")
    (problem,) = open_pairs(folder).check().problems
    assert "two.jpg" in problem


@pytest.mark.parametrize(
    ("table", "content", "words"),
    [
        ("pairs.csv", ["image,tile", "one.jpg,one.png"], r"pairs.csv has no column photo"),
        ("pairs.csv", ["photo", "one.jpg", "two.jpg", "one.jpg"], r"lists the photo one.jpg twice"),
        ("pairs.csv", ["photo", "", "../one.jpg"], r"pairs.csv, line 3: photo is '../one.jpg'"),
        (
            "pairs.csv",
            ["photo,latitude,longitude", "one.jpg,91,0"],
            r"line 2: latitude is '91' and not a number from -90",
        ),
        ("pairs.csv", ["photo,latitude,longitude", "one.jpg,east,0"], r"latitude is 'east'"),
        ("pairs.csv", ["photo,latitude,longitude", "one.jpg,48,"], r"only one of latitude and longitude is given"),
        ("pairs.csv", ["photo,panorama", "one.jpg,perhaps"], r"panorama is 'perhaps'"),
        (
            "pairs.csv",
            ["photo,tile,tile_side_m", "one.jpg,one.png,50", "two.jpg,one.png,60"],
            r"gives the tile one.png two",
        ),
        ("tiles.csv", ["tile,latitude,longitude", "one.png,48,2", "one.png,48,2"], r"lists the tile one.png twice"),
        ("tiles.csv", ["latitude,longitude", "48,2"], r"tiles.csv has no column tile"),
    ],
)
def test_tables_that_cannot_be_true(folder, table, content, words) -> None:
    lines(folder / table, content)
    with pytest.raises(TiercelError, match=words) as error:
        open_pairs(folder).split("all")
    assert str(error.value) in open_pairs(folder).check().problems


def test_a_photo_without_a_tile(folder) -> None:
    (folder / "tiles" / "one.png").unlink()
    with pytest.raises(
        TiercelError, match=r"one.jpg: no tile is named or has the name of one.jpg, and it has no position"
    ):
        open_pairs(folder).split("all")
    lines(folder / "pairs.csv", ["photo,latitude,longitude", "one.jpg,48,2"])
    with pytest.raises(TiercelError, match=r"line 2: no tile .* and no tile has one"):
        open_pairs(folder).split("all")
    picture(folder / "tiles" / "two.jpg")
    lines(folder / "pairs.csv", ["photo", "two.jpg"])
    with pytest.raises(TiercelError, match=r"there are 2 tiles of its name"):
        open_pairs(folder).split("all")


def test_empty_folders(tmp_path) -> None:
    for name in ("photos", "tiles"):
        (tmp_path / name).mkdir()
    with pytest.raises(TiercelError, match=r"photos holds no photos \(.jpg, .*\): put them there"):
        open_pairs(tmp_path).split("all")
    picture(tmp_path / "photos" / "a.jpg")
    with pytest.raises(TiercelError, match="tiles holds no tiles"):
        open_pairs(tmp_path).split("all")
    with pytest.raises(TiercelError, match="is no folder: put the photos there"):
        Folders(tmp_path / "lost", tmp_path / "tiles").split("all")
