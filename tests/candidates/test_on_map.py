import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.candidates.conftest import take
from tests.models.tiny import tiny_model
from tests.search.town import LEAF, NORTH, WEST, Town
from tiercel.atlas import build
from tiercel.atlas.gallery import GalleryPlan
from tiercel.candidates import CandidateFile, Crops, Plan, read_candidates, retrieve, retrieve_into
from tiercel.candidates.truth import ExifTruth
from tiercel.errors import TiercelError
from tiercel.geo import Area
from tiercel.locate import Locator
from tiercel.models.config import EmbeddingConfig
from tiercel.photos import Photo

FEW = Plan(count=4)


@pytest.fixture
def analysed(monkeypatch) -> list[Path]:
    """The photos that are looked for, as it happens."""
    seen: list[Path] = []
    analyse = Locator.analyse

    def noting(self, photo, prior=None, within=None) -> object:
        seen.append(photo.path)
        return analyse(self, photo, prior, within)

    monkeypatch.setattr(Locator, "analyse", noting)
    return seen


@pytest.mark.parametrize("method", ["retrieval", "first", "final"])
def test_candidates_are_the_likeliest_leaves(locator, photos, method) -> None:
    found = list(retrieve(locator, photos[:2], Plan(6, method)))
    assert [one.query for one in found] == photos[:2]
    answer = getattr(locator.analyse(Photo.open(photos[1])), method)
    leaves, _ = answer.top(6, apart=1)
    tree = locator.atlas.tree
    assert [it.cell for it in found[1].candidates] == [(2, *map(int, tree.unflat(2, leaf))) for leaf in leaves]
    scores = [it.score for it in found[1].candidates]
    assert scores == pytest.approx(answer.log_probability[leaves].tolist()) and scores == sorted(scores, reverse=True)
    for it in found[1].candidates:
        square = tree.square(*it.cell)
        assert (it.x, it.y, it.side_m) == (square.x, square.y, square.side)
        assert locator.atlas.frame.from_wgs84(it.latitude, it.longitude) == pytest.approx((it.x, it.y), abs=1e-3)
        assert it.correct is it.distance_m is it.crop is None


def test_what_was_known_of_the_photo(locator, photos) -> None:
    one = next(retrieve(locator, [photos[1]], FEW))
    assert one.heading == pytest.approx(20) and one.field_of_view == pytest.approx(75) and one.panorama is False
    named = Photo.from_array(Photo.open(photos[1]).pixels, panorama=False, field_of_view=75, name="lobby")
    one = next(retrieve(locator, [named], FEW))
    assert (one.query, one.heading) == (Path("lobby"), None)


def test_neighbours_of_a_better_candidate_are_left_out_unless_asked_for(locator, photos) -> None:
    for apart in (0, 1, 2):
        one = next(retrieve(locator, photos, Plan(12, apart=apart)))
        cells = np.array([it.cell[1:] for it in one.candidates])
        steps = np.abs(cells[:, None] - cells).max(2)[~np.eye(len(cells), dtype=bool)]
        assert steps.min() == apart + 1


def test_its_own_position_has_no_part_in_it(locator, photos, tmp_path) -> None:
    told = next(retrieve(locator, [photos[2]], FEW, truth=ExifTruth()))
    untold = next(retrieve(locator, [take(tmp_path / "untold.jpg", 2, heading=40.0)], FEW, truth=ExifTruth()))
    assert untold.truth is None and told.truth is not None
    bare = [replace(it, distance_m=None, correct=None) for it in told.candidates]
    assert bare == list(untold.candidates)
    x, y = locator.atlas.frame.from_wgs84(told.truth.latitude, told.truth.longitude)
    for it in told.candidates:
        assert it.distance_m == pytest.approx(math.hypot(it.x - x, it.y - y), abs=1e-3)
        assert it.correct == (it.distance_m <= 50)


def test_only_an_area(locator, photos) -> None:
    latitude, longitude = (float(value) for value in locator.atlas.frame.to_wgs84(WEST + 300, NORTH - 300))
    area = Area.circle(latitude, longitude, 60.0, locator.atlas.frame)
    free, kept = (next(retrieve(locator, photos, Plan(400, apart=0, within=it))).candidates for it in (None, area))
    near = [it for it in free if math.hypot(it.x - WEST - 300, it.y - NORTH + 300) < 60 + LEAF]
    assert {it.cell for it in kept} < {it.cell for it in near} and len(kept) > 8
    order = [it.cell for it in near if it.cell in {it.cell for it in kept}]
    assert [it.cell for it in kept] == order
    assert sum(math.exp(it.score) for it in kept) == pytest.approx(1, abs=1e-4)
    with pytest.raises(TiercelError, match=r"The area 10,10,60 holds no cell of the map"):
        next(retrieve(locator, photos, Plan(within=Area.circle(10.0, 10.0, 60.0, locator.atlas.frame))))


def test_a_gallery_of_embeddings(photos, tmp_path) -> None:
    sizes = EmbeddingConfig(width=8, tile_pixels=32, tile_m=62.5)
    model = tiny_model(heads=("embedding",), embedding=sizes)
    settings = {}
    for stride in (1.0, 0.5):
        atlas = build(Town(), model, tmp_path / f"{stride}.atlas", gallery=GalleryPlan((1.0,), stride))
        embedder = Locator(atlas, model)
        (one,) = retrieve_into(tmp_path / f"{stride}.jsonl", embedder, photos[:1], FEW).lists
        leaves, _ = embedder.analyse(Photo.open(photos[0])).first.top(4, apart=1)
        assert [it.cell for it in one.candidates] == [(2, *map(int, atlas.tree.unflat(2, leaf))) for leaf in leaves]
        settings[stride] = read_candidates(tmp_path / f"{stride}.jsonl").settings
        retrieve_into(tmp_path / f"{stride}.jsonl", embedder, photos[:1], FEW)
    assert settings[1.0]["gallery"]["stride"] == 1 and settings[0.5]["gallery"]["stride"] == 0.5
    with pytest.raises(TiercelError, match="was made with gallery"):
        retrieve_into(tmp_path / "1.0.jsonl", embedder, photos[:1], FEW)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"apart": -1}, {"method": "magic"}])
def test_a_plan_that_cannot_be(wrong) -> None:
    with pytest.raises(TiercelError):
        Plan(**wrong)


def test_a_photo_that_cannot_be_read_says_why_and_the_others_are_done(locator, photos, tmp_path) -> None:
    (tmp_path / "bad.jpg").write_bytes(photos[0].read_bytes()[:200])
    found = list(retrieve(locator, [photos[0], tmp_path / "bad.jpg", tmp_path / "no.jpg", photos[1]], FEW))
    assert [bool(one.failed) for one in found] == [False, True, True, False]
    assert "bad.jpg" in found[1].failed and "no.jpg" in found[2].failed and not found[1].candidates


def test_the_file_holds_all_and_is_done_once(locator, photos, tmp_path, analysed) -> None:
    path = tmp_path / "new" / "candidates.jsonl"
    found = retrieve_into(path, locator, photos, FEW)
    assert [one.query for one in found.lists] == photos and not found.failed
    back = read_candidates(path)
    assert [one.query for one in back.lists] == photos
    assert [[it.cell for it in one.candidates] for one in back.lists] == [
        [it.cell for it in one.candidates] for one in found.lists
    ]
    assert back.settings == found.settings and back.settings["count"] == 4
    assert [one.name for one in path.parent.iterdir()] == ["candidates.jsonl"]
    before = path.read_bytes()
    assert len(analysed) == 5
    retrieve_into(path, locator, photos, FEW)
    assert path.read_bytes() == before and len(analysed) == 5


class Stop:
    """Stands for Ctrl-C after so many photos."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, done, total) -> None:
        if done == self.after:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(locator, photos, tmp_path, analysed) -> None:
    retrieve_into(tmp_path / "whole.jsonl", locator, photos, FEW, truth=ExifTruth())
    analysed.clear()
    path, part = tmp_path / "candidates.jsonl", tmp_path / "candidates.jsonl.part"
    with pytest.raises(KeyboardInterrupt):
        retrieve_into(path, locator, photos, FEW, truth=ExifTruth(), progress=Stop(2))
    assert part.is_file() and not path.exists()
    with part.open("ab") as file:
        file.write(b'{"query": "photos/2.jpg", "candi')  # the power fails
    with pytest.raises(KeyboardInterrupt):
        retrieve_into(path, locator, photos, FEW, truth=ExifTruth(), progress=Stop(4))
    reports = []
    retrieve_into(path, locator, photos, FEW, truth=ExifTruth(), progress=lambda *done: reports.append(done))
    assert analysed == photos
    assert reports == [(number, 5) for number in range(1, 6)]
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes() and not part.exists()


def test_one_bad_photo_among_many_is_listed_and_done_once_it_is_mended(locator, photos, tmp_path, analysed) -> None:
    path, whole = tmp_path / "candidates.jsonl", photos[3].read_bytes()
    photos[3].write_bytes(whole[:300])
    found = retrieve_into(path, locator, photos, FEW)
    assert [one.query.name for one in found.lists] == ["0.jpg", "1.jpg", "2.jpg", "4.jpg"]
    assert [one.query for one in found.failed] == [photos[3]] and "3.jpg" in found.failed[0].failed
    with pytest.raises(TiercelError, match=r"lacks candidates for 1 of its 5 queries, the first 3\.jpg"):
        read_candidates(path)
    assert json.loads(path.read_text().split("\n")[0])["failed"] == 1
    photos[3].write_bytes(whole)
    analysed.clear()
    retrieve_into(path, locator, photos, FEW)
    assert analysed == [photos[3]]
    assert [one.query for one in read_candidates(path).lists] == photos


def test_a_bad_photo_that_is_given_up_is_no_longer_listed(locator, photos, tmp_path) -> None:
    photos[3].write_bytes(b"no photo")
    retrieve_into(tmp_path / "c.jsonl", locator, photos, FEW)
    retrieve_into(tmp_path / "c.jsonl", locator, photos[:3], FEW)
    assert [one.query.name for one in read_candidates(tmp_path / "c.jsonl").lists] == [
        "0.jpg", "1.jpg", "2.jpg", "4.jpg",
    ]  # fmt: skip


def test_more_photos_are_added(locator, photos, tmp_path, analysed) -> None:
    retrieve_into(tmp_path / "c.jsonl", locator, photos[1:3], FEW)
    found = retrieve_into(tmp_path / "c.jsonl", locator, [photos[0], photos[2]], FEW)
    assert analysed == [photos[1], photos[2], photos[0]]
    assert [one.query.name for one in found.lists] == ["0.jpg", "2.jpg", "1.jpg"]


def test_truth_and_crops_may_be_asked_for_later(locator, photos, tmp_path, analysed) -> None:
    path, crops = tmp_path / "c.jsonl", Crops(tmp_path / "crops", locator, pixels=32)
    retrieve_into(path, locator, photos, FEW)
    retrieve_into(path, locator, photos, FEW, crops=crops, truth=ExifTruth())
    assert len(analysed) == 5
    found = read_candidates(path)
    retrieve_into(path, locator, photos, FEW)
    assert read_candidates(path) == found
    for one in found.lists:
        assert one.truth is not None
        assert all(it.crop.is_file() and it.crop_m == 3 * LEAF and it.correct is not None for it in one.candidates)
    files = {it.crop for one in found.lists for it in one.candidates}
    assert {path.name for path in (tmp_path / "crops").iterdir()} == {file.name for file in files} | {"crops.json"}
    assert json.loads(path.read_text().split("\n")[1])["candidates"][0]["crop"].startswith("crops/2-")
    next(iter(files)).unlink()
    retrieve_into(path, locator, photos, FEW, crops=crops)
    assert all(file.is_file() for file in files)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_file_of_other_settings_is_refused_and_kept(locator, photos, tmp_path, stopped) -> None:
    path = tmp_path / "c.jsonl"
    if stopped:
        with pytest.raises(KeyboardInterrupt):
            retrieve_into(path, locator, photos, FEW, progress=Stop(2))
    else:
        retrieve_into(path, locator, photos, FEW)
    there = {file: file.read_bytes() for file in tmp_path.glob("c.*")}
    for plan, words in ((Plan(5), "count 4, not 5"), (Plan(4, "final"), "method first, not final")):
        with pytest.raises(TiercelError, match=f"was made with {words}"):
            retrieve_into(path, locator, photos, plan)
    assert {file: file.read_bytes() for file in tmp_path.glob("c.*")} == there


def test_another_file_is_not_overwritten(locator, photos, tmp_path) -> None:
    path = tmp_path / "list.json"
    path.write_text('[{"query_path": "a.jpg", "predictions": []}]')
    with pytest.raises(TiercelError, match="was made without"):
        retrieve_into(path, locator, photos, FEW)
    path.write_text("{}")
    with pytest.raises(TiercelError, match="line 1: this is no header"):
        retrieve_into(path, locator, photos, FEW)
    assert path.read_text() == "{}" and not (tmp_path / "list.json.part").exists()


def test_a_photo_given_twice_is_refused(locator, photos, tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"1\.jpg is given twice"):
        retrieve_into(tmp_path / "c.jsonl", locator, [*photos, tmp_path / "photos" / ".." / "photos" / "1.jpg"], FEW)
    assert not list(tmp_path.glob("c.*"))


def test_a_method_that_the_model_does_not_have_leaves_nothing(locator, photos, tmp_path, monkeypatch) -> None:
    def refuse(self, photo, prior=None, within=None) -> None:
        raise TiercelError("the atlas has no keys.")

    monkeypatch.setattr(Locator, "analyse", refuse)
    with pytest.raises(TiercelError, match="has no keys"):
        retrieve_into(tmp_path / "c.jsonl", locator, photos, FEW)
    assert not list(tmp_path.glob("c.*"))


def test_a_place_that_cannot_be_written(locator, photos, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TiercelError, match="cannot be written"):
        retrieve_into(tmp_path / "file" / "c.jsonl", locator, photos, FEW)


def test_no_photos_are_no_candidates(locator, tmp_path) -> None:
    assert retrieve_into(tmp_path / "c.jsonl", locator, [], FEW).lists == CandidateFile(()).lists
