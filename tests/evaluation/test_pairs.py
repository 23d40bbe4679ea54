"""Data sets of pairs, measured by the field's protocols."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.pairs.handmade import lines, picture, write_cvact, write_cvusa, write_vigor
from tests.models.tiny import tiny_model
from tiercel.candidates import read_candidates
from tiercel.datasets.pairs import open_pairs
from tiercel.errors import TiercelError
from tiercel.evaluation.pairs import PairProtocol, evaluate_pairs, queries_of, render_pairs
from tiercel.evaluation.results import Row, read_rows
from tiercel.models.config import EmbeddingConfig


@pytest.fixture
def measure(tmp_path):  # noqa: ANN201
    """Evaluate into a file of its own, and give the rows by name."""

    def run(protocol: PairProtocol, model: object = "bundled", **options: object) -> dict[str, Row]:
        options = {"out": tmp_path / "pairs.json", "work": tmp_path / "work", "report": lambda _line: None} | options
        return {row.name: row for row in evaluate_pairs(protocol, model, **options)}  # type: ignore[arg-type]

    return run


@pytest.fixture
def model():  # noqa: ANN201
    return tiny_model(heads=("embedding",), embedding=EmbeddingConfig(width=8, tile_pixels=32, tile_m=100.0))


def features(path: Path, chosen: Sequence[int], positives: Sequence[int], tiles: int) -> Path:
    """Photos that are most like the chosen tiles, half as much like their own, and not at all like others."""
    each = np.eye(tiles)
    np.savez(path, queries=each[list(chosen)] + 0.5 * each[list(positives)], references=each)
    return path


def test_vigor_by_hand(measure, tmp_path) -> None:
    """Of its four test photos two find their tile, one a semi-positive, and one something else."""
    folder = write_vigor(tmp_path / "VIGOR")
    split = open_pairs(folder).split("test")
    positives = [query.positive for query in split.queries]
    chosen = [positives[0], positives[1], split.queries[2].semi_positives[0], (positives[3] + 16) % 32]
    file = features(tmp_path / "x.npz", chosen, positives, len(split.gallery))
    rows = measure(PairProtocol(folder), features=file)
    name = "panorama/vigor-same-area-original-labels-test"
    value = {metric: rows[f"{metric}/{name}/features"].value for metric in ("r1", "hit_rate", "r10")}
    assert value["r1"] == 50 and value["hit_rate"] == 75 and value["r10"] == 100
    assert rows[f"r1/{name}/chance"].value == pytest.approx(100 / 32) and f"r1pct/{name}/features" not in rows
    # Tiles are 33 and 25 m apart, and a photo is a quarter of that from its own: 10.4 m, and 20.6 m from the next.
    assert rows[f"r1_10m/{name}/features"].value == 0 and rows[f"r1_25m/{name}/features"].value == 75
    near = rows[f"r1_25m/{name}/chance"].value
    assert near == pytest.approx(100 * 2 / 32, rel=0.6) and near < rows[f"r1_100m/{name}/chance"].value
    assert [row.name for row in read_rows(tmp_path / "pairs.json")] == list(rows)
    assert rows[f"r1/{name}/features"].command == f"tiercel evaluate --data {folder} --features {file}"


@pytest.mark.parametrize(("found", "r1"), [((0, 1, 2, 3), 100), ((1, 0, 3, 2), 100), ((2, 3, 0, 1), 0)])
def test_in_cvacts_test_every_tile_within_5_m_is_right(measure, tmp_path, found, r1) -> None:
    folder = write_cvact(tmp_path / "CVACT")
    rows = measure(PairProtocol(folder), features=features(tmp_path / "x.npz", found, range(4), 4))
    assert rows["r1/panorama/cvact-test/features"].value == r1
    assert "hit_rate/panorama/cvact-test/features" not in rows and "r1/panorama/cvact-test/chance" not in rows


def test_in_cvacts_validation_only_the_own_tile_is_right(measure, tmp_path) -> None:
    folder = write_cvact(tmp_path / "CVACT")
    rows = measure(PairProtocol(folder, "val"), features=features(tmp_path / "x.npz", [1, 0], [0, 1], 2))
    assert rows["r1/panorama/cvact-val/features"].value == 0
    assert rows["r5/panorama/cvact-val/features"].value == 100 == rows["r5/panorama/cvact-val/chance"].value


def test_a_model_is_asked_with_headings_and_without(measure, model, tmp_path) -> None:
    folder = write_cvusa(tmp_path / "CVUSA")
    rows = measure(PairProtocol(folder, fields_of_view=(360.0, 90.0)), model)
    kinds = {row.parts[1] for row in rows.values()}
    assert kinds == {"panorama_north", "panorama", "photo_90_north", "photo_90"}
    assert {row.parts[2] for row in rows.values()} == {"cvusa-val"}
    assert all(row.n == 2 for row in rows.values())
    known = measure(PairProtocol(folder, north=True), model, out=None)
    assert {row.parts[1] for row in known.values()} == {"panorama_north"}
    assert "--field-of-view 360 --field-of-view 90" in rows["r1/photo_90/cvusa-val/retrieval"].command
    # Rows of another data set stay in the file.
    measure(PairProtocol(write_cvact(tmp_path / "CVACT")), model)
    assert {row.parts[2] for row in read_rows(tmp_path / "pairs.json")} == {"cvusa-val", "cvact-test"}
    table = render_pairs(list(rows.values()))
    assert "**cvusa-val**, 2 photos" in table and "photo_90_north: retrieval" in table and "| R@1, % |" in table


def test_two_folders_with_photos_of_both_kinds(measure, model, tmp_path) -> None:
    folder = tmp_path / "mine"
    for number in range(4):
        picture(folder / "photos" / f"{number}.png", 24, 12)
        picture(folder / "tiles" / f"{number}.png", grey=40 * number)
    told = ["photo,heading,field_of_view,panorama", "0.png,10,360,true", "1.png,,360,true", "2.png,,70,false",
            "3.png,20,70,false"]  # fmt: skip
    lines(folder / "pairs.csv", told)
    rows = measure(PairProtocol(folder), model)
    n = {row.parts[1]: row.n for row in rows.values()}
    assert n == {"panorama_north": 1, "panorama": 2, "photo_north": 1, "photo": 2}
    assert not any("median" in name for name in rows)  # nobody says where the tiles are


def test_candidates_are_handed_on(measure, model, tmp_path) -> None:
    folder = write_vigor(tmp_path / "VIGOR")
    out = tmp_path / "new" / "candidates.jsonl"
    measure(PairProtocol(folder, north=False), model, candidates=out, top=5)
    content = read_candidates(out)
    assert len(content.lists) == 4 and all(len(one.candidates) == 5 for one in content.lists)
    assert content.settings["query"] == "panorama" and content.lists[0].heading is None
    measure(PairProtocol(folder), model, candidates=tmp_path / "paper.json", top=3)
    assert [len(one.candidates) for one in read_candidates(tmp_path / "paper.json").lists] == [3] * 4
    with pytest.raises(TiercelError, match="handed on with photos as they are"):
        measure(PairProtocol(folder, fields_of_view=(90.0,)), model, candidates=out)


def test_what_is_missing_or_broken_is_never_left_out_silently(measure, model, tmp_path) -> None:
    folder = write_vigor(tmp_path / "VIGOR")
    split = open_pairs(folder).split("test")
    broken, missing = split.queries[1].file, split.gallery[split.queries[2].positive].file
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(TiercelError, match=rf"{broken.name}.*leave it out knowingly with --incomplete"):
        measure(PairProtocol(folder), model)
    assert not (tmp_path / "pairs.json").exists()
    missing.unlink()
    with pytest.raises(TiercelError, match=r"lacks 1 of the 36 pictures.*--incomplete"):
        measure(PairProtocol(folder), model)
    said: list[str] = []
    rows = measure(PairProtocol(folder, incomplete=True), model, report=said.append)
    assert {row.parts[2] for row in rows.values()} == {"vigor-same-area-original-labels-test-incomplete"}
    assert {row.n for row in rows.values()} == {2}
    assert said[-1].startswith("Left out, as files are missing or cannot be read: 2 photos and 1 tiles.")


def test_a_broken_tile_takes_its_photo_with_it(measure, model, tmp_path) -> None:
    folder = write_vigor(tmp_path / "VIGOR")
    split = open_pairs(folder).split("test")
    whole = measure(PairProtocol(folder), model)
    other = next(at for at in range(32) if at not in [query.positive for query in split.queries])
    for at in (other, split.queries[0].positive):
        split.gallery[at].file.write_bytes(b"no picture")
    rows = measure(PairProtocol(folder, incomplete=True), model)
    assert {row.n for row in rows.values()} == {3} and {row.n for row in whole.values()} == {4}
    name = "r1/panorama/vigor-same-area-original-labels-test"
    assert rows[f"{name}-incomplete/chance"].value == pytest.approx(100 / 30)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields_of_view": (0.0,)}, "more than 0 and at most 360"),
        ({"split": "val"}, "VIGOR has no split 'val'"),
        ({"tiles": "huge"}, "cannot be shown 'huge'"),
    ],
)
def test_wrong_options(measure, model, tmp_path, changes, words) -> None:
    with pytest.raises(TiercelError, match=words):
        measure(PairProtocol(write_vigor(tmp_path / "VIGOR"), **changes), model)


def test_questions_that_a_split_cannot_answer(tmp_path) -> None:
    split = open_pairs(write_vigor(tmp_path / "VIGOR")).split("test")
    protocol = PairProtocol(tmp_path / "VIGOR")
    unknown = dataclasses.replace(split, queries=tuple(dataclasses.replace(q, heading=None) for q in split.queries))
    assert [one.name for one in queries_of(unknown, protocol)] == ["panorama"]
    with pytest.raises(TiercelError, match="No photo of split 'test' says where it looks"):
        queries_of(unknown, dataclasses.replace(protocol, north=True))
    photos = dataclasses.replace(split, queries=tuple(dataclasses.replace(q, panorama=False) for q in split.queries))
    with pytest.raises(TiercelError, match="no panoramas to show a part of"):
        queries_of(photos, dataclasses.replace(protocol, fields_of_view=(90.0,)))


def test_features_are_of_one_kind(measure, tmp_path) -> None:
    folder = write_cvact(tmp_path / "CVACT")
    file = features(tmp_path / "x.npz", range(4), range(4), 4)
    with pytest.raises(TiercelError, match="leave out --field-of-view, --north and --tiles"):
        measure(PairProtocol(folder, north=True), features=file)


def test_some_photos_in_the_whole_gallery(measure, model, tmp_path) -> None:
    rows = measure(PairProtocol(write_vigor(tmp_path / "VIGOR"), photos=2), model)
    assert {row.n for row in rows.values()} == {2}
    chance = next(row for row in rows.values() if row.name.startswith("r1/") and row.name.endswith("chance"))
    assert chance.value == pytest.approx(100 / 32)
