"""Which files are there, and what becomes of a split without some of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.pairs.handmade import picture
from tiercel.datasets.pairs import PairQuery, PairSplit, Part, Reference, read_tile
from tiercel.datasets.pairs.files import Listing, once, parts_of, read_lines, settled
from tiercel.errors import TiercelError


def make(folder: Path, tiles: str, photos: str) -> PairSplit:
    """Four tiles and three photos, those named by letters being there; photo i has tile i, and the next two tiles."""
    gallery = tuple(Reference(name, folder / "tiles" / f"{name}.png") for name in "abcd")
    queries = tuple(
        PairQuery(name, folder / "photos" / f"{name}.jpg", None, None, 0.0, 360.0, True, index,
                  ((index + 1) % 4, (index + 2) % 4), ((1.0, 0.0), (2.0, 0.0), (3.0, 0.0)))
        for index, name in enumerate("xyz")
    )  # fmt: skip
    for name in tiles:
        picture(folder / "tiles" / f"{name}.png")
    for name in photos:
        picture(folder / "photos" / f"{name}.jpg")
    return PairSplit("test", gallery, queries)


def test_a_whole_split_stays_as_it_is(tmp_path) -> None:
    split = make(tmp_path, "abcd", "xyz")
    assert settled(split, "error", tmp_path) is split
    assert settled(split, "skip", tmp_path) is split


def test_missing_files_are_an_error_that_counts_and_names_them(tmp_path) -> None:
    split = make(tmp_path, "abd", "xz")
    with pytest.raises(
        TiercelError, match=r"lacks 2 of the 7 pictures that its split 'test' lists, the first tiles/c.png"
    ):
        settled(split, "error", tmp_path)


def test_missing_files_are_left_out_knowingly_and_counted(tmp_path) -> None:
    split = settled(make(tmp_path, "acd", "xyz"), "skip", tmp_path)
    assert [tile.name for tile in split.gallery] == ["a", "c", "d"]
    assert (split.queries_left_out, split.tiles_left_out) == (1, 1)
    x, z = split.queries
    assert (x.name, x.positive, x.semi_positives) == ("x", 0, (1,))
    assert x.places == ((1.0, 0.0), (3.0, 0.0))
    assert (z.name, z.positive, z.semi_positives) == ("z", 1, (2, 0))
    assert z.places == ((1.0, 0.0), (2.0, 0.0), (3.0, 0.0))


def test_nothing_left_is_an_error_even_so(tmp_path) -> None:
    with pytest.raises(TiercelError, match="no pair of split 'test' whose two pictures can be read"):
        settled(make(tmp_path, "d", "xyz"), "skip", tmp_path)
    with pytest.raises(TiercelError, match="cannot be dealt with by 'ignore'"):
        settled(make(tmp_path, "d", "xyz"), "ignore", tmp_path)  # type: ignore[arg-type]


def test_an_empty_file_counts_as_missing(tmp_path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    listing = Listing()
    assert listing.has(tmp_path / "a.png") and not listing.has(tmp_path / "b.png")
    assert not listing.has(tmp_path / "nowhere" / "a.png")
    part = listing.part("tiles", [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png", "e.png")], tmp_path)
    assert part == Part("tiles", 1, 4, ("b.png", "c.png", "d.png"))


def test_lists_are_read_without_their_empty_end(tmp_path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\n\n \n")
    assert read_lines(path, "copy it") == ["one", "two"]
    with pytest.raises(TiercelError, match=r"missing.txt is missing; copy it there\."):
        read_lines(tmp_path / "missing.txt", "copy it there")
    path.write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(TiercelError, match=r"list.txt cannot be read as text"):
        read_lines(path, "copy it")


def test_a_name_listed_twice_is_told_with_both_lines(tmp_path) -> None:
    once(["a", "b"], tmp_path, "tile")
    with pytest.raises(TiercelError, match="lists the tile b twice, in lines 2 and 4"):
        once(["a", "b", "c", "b"], tmp_path / "list.txt", "tile")


def test_checking_goes_on_after_what_cannot_be_read() -> None:
    def broken() -> list[Part]:
        raise TiercelError("torn")

    parts, problems = parts_of(lambda: [Part("a", 1)], broken, broken, lambda: [Part("b", 2)])
    assert [part.what for part in parts] == ["a", "b"] and problems == ("torn",)


def test_a_tile_is_read_at_any_size(tmp_path) -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20, :, 0] = 200
    Image.fromarray(pixels).save(tmp_path / "tile.png")
    read = read_tile(Reference("tile", tmp_path / "tile.png"), 10)
    assert read.shape == (10, 10, 3) and read.dtype == np.uint8
    assert (read[:5, :, 0] == 200).all() and (read[5:] == 0).all()
    picture(tmp_path / "wide.png", 20, 10)
    with pytest.raises(TiercelError, match=r"wide.png is 20 x 10 pixels and no square tile"):
        read_tile(Reference("wide", tmp_path / "wide.png"), 10)
    with pytest.raises(TiercelError, match="There is no photo"):
        read_tile(Reference("lost", tmp_path / "lost.png"), 10)
