"""A data set in one picture."""

import numpy as np
import pytest
from PIL import Image

from tests.datasets.pairs.handmade import lines, picture, write_cvact, write_cvusa, write_vigor
from tiercel.datasets.pairs import PairQuery, Reference, open_pairs
from tiercel.datasets.pairs.plot import COLOURS, PLACE, _patches, _places, _tile, place_in_tile, plot
from tiercel.errors import TiercelError


def query(latitude: float | None, longitude: float | None = 2.0) -> PairQuery:
    return PairQuery("q", None, latitude, longitude, 0.0, 360.0, True, 0)  # type: ignore[arg-type]


def test_the_place_in_a_tile_is_by_coordinates(tmp_path) -> None:
    tile = Reference("t", tmp_path, 48.0, 2.0, 100.0)
    down, right = place_in_tile(query(48.0 + 10 / 111_319.49, 2.0 + 20 / 111_319.49 / np.cos(np.radians(48))), tile)
    assert (down, right) == (pytest.approx(-0.1, abs=1e-4), pytest.approx(0.2, abs=1e-4))
    assert place_in_tile(query(48.0), Reference("t", tmp_path, 48.0, 2.0)) == (0.0, 0.0)
    assert place_in_tile(query(48.1), Reference("t", tmp_path, 48.0, 2.0)) is None
    assert place_in_tile(query(None, None), tile) is None
    assert place_in_tile(query(48.0), Reference("t", tmp_path)) is None


def test_the_mark_is_where_the_place_is(tmp_path) -> None:
    file = picture(tmp_path / "t.png", 50, 50, 0)
    tile = Reference("t", file, 48.0, 2.0, 100.0)
    marked = np.asarray(_tile(query(48.0 + 25 / 111_319.49), tile, None))
    rows, columns = np.nonzero((marked == PLACE).all(-1))
    assert rows.mean() == pytest.approx(len(marked) / 4, abs=1) and columns.mean() == pytest.approx(
        len(marked) / 2, abs=1
    )
    outside = np.asarray(_tile(query(48.0 + 60 / 111_319.49), tile, None))
    assert (outside == 0).all()


def test_cities_far_apart_have_maps_of_their_own(tmp_path) -> None:
    data = open_pairs(write_vigor(tmp_path / "v"))
    ground = _places([data.split(name) for name in data.splits])
    patches = _patches(ground)
    assert [(len(patch.tiles), len(patch.photos)) for patch in patches] == [(8, 3)] * 4
    one = open_pairs(write_cvact(tmp_path / "c"))
    assert len(_patches(_places([one.split("test")]))) == 1 or len(one.split("test").queries) < 5


@pytest.mark.parametrize("write", [write_vigor, write_cvusa, write_cvact])
@pytest.mark.parametrize("name", ["p.png", "p.jpg"])
def test_every_data_set_draws_itself(tmp_path, write, name) -> None:
    data = open_pairs(write(tmp_path / "data"))
    plot(data, tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.format == ("PNG" if name.endswith("png") else "JPEG")
        pixels = np.asarray(image.convert("RGB"))
    if name.endswith("png"):
        for colour in COLOURS[: len(data.splits)]:
            assert (pixels == colour).all(-1).any()
    assert not list(tmp_path.glob(".*"))


def test_a_data_set_without_positions(tmp_path) -> None:
    plot(open_pairs(write_cvusa(tmp_path / "c", locations=None)), tmp_path / "p.png")
    picture(tmp_path / "pair" / "photos" / "a.jpg", 12)
    picture(tmp_path / "pair" / "tiles" / "a.jpg")
    plot(open_pairs(tmp_path / "pair"), tmp_path / "q.png")
    assert Image.open(tmp_path / "q.png").width == Image.open(tmp_path / "p.png").width


def test_what_is_there_is_drawn_of_half_a_data_set(tmp_path) -> None:
    folder = write_cvusa(tmp_path / "c")
    (folder / "streetview/panos/0000003.jpg").unlink()
    lines(folder / "splits/val-19zl.csv", ["torn"])
    plot(open_pairs(folder), tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()


def test_nothing_to_draw(tmp_path) -> None:
    folder = write_cvusa(tmp_path / "c")
    with pytest.raises(TiercelError, match=r"p.gif would be a picture: end its name in .png or .jpg"):
        plot(open_pairs(folder), tmp_path / "p.gif")
    (folder / "bingmap/19/0000003.jpg").write_bytes(b"no picture")
    with pytest.raises(TiercelError, match=r"0000003.jpg is damaged"):
        plot(open_pairs(folder), tmp_path / "p.png")
    for path in folder.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(TiercelError, match="no pair of split 'train' whose two pictures can be read"):
        plot(open_pairs(folder), tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()
