"""Embeddings of pairs: encoded once, mended where files change, hidden headings, and files from elsewhere."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.models.tiny import panorama_of_scene, photo_of_scene, tiny_config, tiny_model
from tiercel.datasets.pairs import PairQuery, PairSplit, Reference
from tiercel.errors import TiercelError
from tiercel.evaluation.pair_features import Asked, Encoder, query_strip, read_features
from tiercel.models.config import EmbeddingConfig

SIZES = EmbeddingConfig(width=8, tile_pixels=32, tile_m=100.0)


def dual_encoder(**changes):  # noqa: ANN201
    return tiny_model(heads=("embedding",), embedding=dataclasses.replace(SIZES, **changes))


@pytest.fixture
def split(tmp_path) -> PairSplit:
    """Panoramas that look north, and tiles of 50 m."""
    gallery, queries = [], []
    for number in range(40):
        tile, photo = tmp_path / f"tile{number}.png", tmp_path / f"photo{number}.png"
        Image.fromarray(np.full((32, 32, 3), 6 * number, np.uint8)).save(tile)
        Image.fromarray(panorama_of_scene(9.0 * number, width=256)).save(photo)
        gallery.append(Reference(tile.name, tile, 47.0, 8.0 + 0.001 * number, 50.0))
        queries.append(PairQuery(photo.name, photo, 47.0, 8.0 + 0.001 * number, 9.0 * number, 360.0, True, number))
    return PairSplit("test", tuple(gallery), tuple(queries))


WHOLE = Asked("panorama", 360.0, True, tuple(range(40)))


def test_what_is_kept_is_not_made_again_and_what_changed_is(split, tmp_path, monkeypatch) -> None:
    work, model = tmp_path / "work", dual_encoder()
    first = Encoder(model, "whole", work)
    tiles, photos = first.gallery(split), first.queries(split, WHOLE)
    assert tiles.vectors.shape == (40, 8) and photos.vectors.shape == (40, 1, 8) and not tiles.broken
    np.testing.assert_allclose(np.linalg.norm(tiles.vectors, axis=1), 1, atol=1e-5)
    before = np.array(tiles.vectors)
    again, encoded = Encoder(model, "whole", work), []
    encode = model.encode_tiles
    monkeypatch.setattr(model, "encode_tiles", lambda *some: encoded.append(len(some[0])) or encode(*some))
    np.testing.assert_array_equal(again.gallery(split).vectors, before)
    assert encoded == []
    Image.fromarray(np.full((32, 32, 3), 255, np.uint8)).save(split.gallery[7].file)
    os.utime(split.gallery[7].file, (1, 1))
    after = again.gallery(split).vectors
    assert encoded == [1] and (after != before).any(1).nonzero()[0].tolist() == [7]


def test_an_interrupted_run_goes_on(split, tmp_path, monkeypatch) -> None:
    model = dual_encoder()
    encode, made = model.encode_tiles, []

    def once(*some: np.ndarray) -> np.ndarray:
        if made:
            raise KeyboardInterrupt
        made.append(len(some[0]))
        return encode(*some)

    monkeypatch.setattr(model, "encode_tiles", once)
    with pytest.raises(KeyboardInterrupt):
        Encoder(model, "whole", tmp_path / "work").gallery(split)
    rest = []
    monkeypatch.setattr(model, "encode_tiles", lambda *some: rest.append(len(some[0])) or encode(*some))
    seen = []
    found = Encoder(model, "whole", tmp_path / "work").gallery(split, lambda *done: seen.append(done)).vectors
    assert made[0] + sum(rest) == 40 and rest != [] and seen[-1] == (40, 40)
    monkeypatch.undo()
    np.testing.assert_array_equal(found, Encoder(model, "whole", tmp_path / "anew").gallery(split).vectors)


def test_a_broken_file_costs_its_own_row_alone_and_is_read_again_once_mended(split, tmp_path) -> None:
    encoder = Encoder(dual_encoder(), "whole", tmp_path / "work")
    content = split.gallery[3].file.read_bytes()
    split.gallery[3].file.write_bytes(content[:50])
    found = encoder.gallery(split)
    assert list(found.broken) == [3] and "tile3.png" in found.broken[3]
    split.gallery[3].file.write_bytes(content)
    assert not encoder.gallery(split).broken


def test_scaled_tiles_show_a_metre_as_long_as_the_models_own(split, tmp_path, monkeypatch) -> None:
    model, seen = dual_encoder(), []
    encode = model.encode_tiles
    monkeypatch.setattr(model, "encode_tiles", lambda *some: seen.append(some) or encode(*some))
    Encoder(model, "scaled", tmp_path / "work").gallery(split)
    pixels, covered = (np.concatenate(part) for part in zip(*seen, strict=True))
    assert covered[0].sum() == 16 * 16 and covered[0, 8:24, 8:24].all()  # 50 of 100 m
    assert (pixels[5, 8:24, 8:24] == 30).all() and not pixels[5, 0].any()
    small = dataclasses.replace(split, gallery=tuple(dataclasses.replace(one, side_m=200.0) for one in split.gallery))
    seen.clear()
    Encoder(model, "scaled", tmp_path / "work").gallery(small)
    assert np.concatenate([some[1] for some in seen]).all()
    unknown = dataclasses.replace(split, gallery=(dataclasses.replace(split.gallery[0], side_m=None),))
    with pytest.raises(TiercelError, match="how much ground the tiles of split 'test' show"):
        Encoder(model, "scaled", tmp_path / "work").gallery(unknown)


def test_a_model_without_the_head_is_refused(tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"tiny has no embedding head.*dual encoder"):
        Encoder(tiny_model(), "whole", tmp_path)
    with pytest.raises(TiercelError, match="cannot be shown 'huge'"):
        Encoder(dual_encoder(), "huge", tmp_path)


def test_a_damaged_model_is_noticed_at_once(split, tmp_path, monkeypatch) -> None:
    model = dual_encoder()
    monkeypatch.setattr(model, "encode_tiles", lambda pixels, covered: np.full((len(pixels), 8), np.nan, np.float32))
    with pytest.raises(TiercelError, match=r"tile0.png and 31 more holds NaN"):
        Encoder(model, "whole", tmp_path / "work").gallery(split)


def test_a_piece_of_a_panorama_looks_where_it_says(tmp_path) -> None:
    """A crop with its heading shows just what a photo taken in that direction shows."""
    config = tiny_config(heads=("embedding",), embedding=SIZES)
    file = tmp_path / "panorama.png"
    Image.fromarray(panorama_of_scene(77.0, width=2048)).save(file)
    query = PairQuery("one", file, None, None, 77.0, 360.0, True, 0)
    piece = query_strip(query, Asked("photo_90", 90.0, True, (0,)), config)
    whole = query_strip(query, Asked("panorama", 360.0, True, (0,)), config)
    assert piece.heading is not None and not piece.around and whole.around and whole.heading == 77.0
    columns = len(whole.pixels[0])
    first = round((piece.heading + piece.left_deg) % 360 / 360 * columns)
    same = np.roll(whole.pixels, -first, 1)[:, : piece.pixels.shape[1]]
    seen = piece.pixels[..., 3] > 0
    assert 0.2 < seen[len(seen) // 2].sum() / columns < 0.3
    assert np.abs(piece.pixels.astype(int) - same)[seen].max() <= 6
    assert query_strip(query, Asked("photo_90", 90.0, False, (0,)), config).heading is None


def test_a_heading_that_is_not_told_cannot_be_told_from_the_edges(tmp_path) -> None:
    config = tiny_config(heads=("embedding",), embedding=SIZES)
    file = tmp_path / "panorama.png"
    Image.fromarray(panorama_of_scene(0.0, width=1024)).save(file)
    strips = [
        query_strip(
            PairQuery(name, file, None, None, 0.0, 360.0, True, 0), Asked("panorama", 360.0, False, (0,)), config
        )
        for name in ("one", "one", "two")
    ]
    assert (strips[0].pixels == strips[1].pixels).all()
    assert (strips[0].pixels != strips[2].pixels).any()


def test_a_photo_is_shown_as_it_is(tmp_path) -> None:
    config = tiny_config(heads=("embedding",), embedding=SIZES)
    file = tmp_path / "photo.png"
    Image.fromarray(photo_of_scene(30.0, 80.0)).save(file)
    query = PairQuery("one", file, None, None, 30.0, 80.0, False, 0)
    for degrees in (360.0, 60.0):
        strip = query_strip(query, Asked("photo", degrees, True, (0,)), config)
        assert strip.heading == 30.0 and strip.pixels.shape[1] / config.strip_columns == pytest.approx(
            80 / 360, abs=0.04
        )


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def test_features_from_elsewhere(split, tmp_path) -> None:
    rng = np.random.default_rng(0)
    queries, references = rng.standard_normal((40, 5)), rng.standard_normal((40, 5))
    found = read_features(save(tmp_path / "plain.npz", queries=queries, references=references), split)
    np.testing.assert_array_equal(found[0], queries.astype(np.float32))
    order = rng.permutation(40)
    names = [split.gallery[at].name for at in order]
    path = save(tmp_path / "named.npz", queries=queries, references=references[order], reference_names=names)
    np.testing.assert_array_equal(read_features(path, split)[1], references.astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"queries": np.zeros((39, 5))}, "has 39 queries and the split has 40"),
        ({"queries": np.zeros((40, 6))}, "queries have 6 numbers each and references 5"),
        ({"references": np.zeros(40)}, "no matrix of numbers named 'references'"),
        ({"references": np.full((40, 5), np.nan)}, "references' tile0.png in .*x.npz and 39 more holds NaN"),
        ({"reference_names": ["a"] * 40}, "reference_names are not as many"),
        (
            {"reference_names": [str(at) for at in range(40)]},
            "references lack 40 of the 40 of the split, the first til",
        ),
    ],
)
def test_features_that_do_not_fit(split, tmp_path, changes, words) -> None:
    arrays = {"queries": np.zeros((40, 5)), "references": np.zeros((40, 5))} | changes
    with pytest.raises(TiercelError, match=words):
        read_features(save(tmp_path / "x.npz", **arrays), split)


def test_features_that_are_no_file(split, tmp_path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK no archive")
    for name in ("x.npz", "absent.npz"):
        with pytest.raises(TiercelError, match=f"{name} cannot be read as an .npz file"):
            read_features(tmp_path / name, split)
    path = tmp_path / "whole.npz"
    save(path, queries=np.zeros((40, 5)), references=np.zeros((40, 5)))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TiercelError, match=r"cannot be read as an \.npz file"):
        read_features(path, split)
