"""Pairs from files: photos whose columns tell where they look, and tiles of one colour each."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.tiny import panorama_of_scene, photo_of_scene, scene
from tests.training.conftest import small_stage
from tests.training.test_pairs import PAIRS
from tiercel.datasets import pairs as datasets
from tiercel.datasets.pairs import PairQuery, PairSplit, Reference
from tiercel.errors import TiercelError
from tiercel.models import ModelConfig, load_model
from tiercel.models.config import EmbeddingConfig
from tiercel.training import Recipe, train
from tiercel.training.cities import spare_rows
from tiercel.training.contrastive import PairBatches, fitting
from tiercel.training.dataset_pairs import DatasetPairs, areas, open_pair_sources
from tiercel.training.loop import Prepared, optimiser_for, train_stage
from tiercel.training.samplers import geographic_neighbours

LATITUDE, LONGITUDE = 47.6, -122.3
METRE = 1 / math.radians(6_378_137)  # degrees of latitude


def place(east, north) -> tuple[float, float]:
    """Latitude and longitude so many metres off."""
    return LATITUDE + north * METRE, LONGITUDE + east * METRE / math.cos(math.radians(LATITUDE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> object:
    """Tiles of 100 m every 50 m, and photos that face 0, 90 and 200 degrees."""
    folder = tmp_path_factory.mktemp("pairs")
    for index in range(12):
        Image.fromarray(np.full((80, 80, 3), 20 * index, np.uint8)).save(folder / f"tile{index}.png")
    for heading in (0, 90, 200):
        Image.fromarray(panorama_of_scene(heading, width=512)).save(folder / f"panorama{heading}.png")
    Image.fromarray(photo_of_scene(100, 80)).save(folder / "photo100.png")
    # A panorama that was cut above and below, as CVUSA's.
    Image.fromarray(panorama_of_scene(0, width=512)[64:192]).save(folder / "cut0.png")
    return folder


def references(folder, *, known=True) -> list[Reference]:
    places = [place(50.0 * index, 0) if known else (None, None) for index in range(12)]
    side = 100.0 if known else None
    return [Reference(f"{n}", folder / f"tile{n}.png", *where, side) for n, where in enumerate(places)]


def query(folder, name, positive, heading, **changes) -> PairQuery:
    made = PairQuery(name, folder / f"{name}.png", *place(50.0 * positive + 5, 10), heading, 360.0, True, positive)
    return dataclasses.replace(made, **changes)


def source_of(folder, queries, **more) -> DatasetPairs:
    return DatasetPairs(queries, references(folder, **more), PAIRS)


@pytest.mark.parametrize("heading", [0, 90, 200])
def test_a_panorama_begins_in_the_north(folder, heading) -> None:
    source = source_of(folder, [query(folder, f"panorama{heading}", 3, float(heading))])
    view = source.view(0)
    assert view.around and view.start == 0
    assert view.strip.shape == (64 + 2 * spare_rows(ModelConfig()), 256, 4)
    azimuth = (np.arange(256) + 0.5) * 360 / 256
    found = view.strip[len(view.strip) // 2, :, :3].astype(int)
    assert np.abs(found - scene(azimuth, 0.0)).max() < 12
    unknown = source_of(folder, [query(folder, f"panorama{heading}", 3, None)]).view(0)
    assert unknown.around and unknown.start is None


def test_a_photo_lies_at_its_azimuth(folder) -> None:
    known = query(folder, "photo100", 3, 100.0, panorama=False, field_of_view=80.0)
    view = source_of(folder, [known]).view(0)
    assert not view.around and view.strip.shape[0] == 64
    assert view.start == 5 * 8  # from 60 degrees on, that is from the bin that begins at 56.25
    azimuth = (view.start + np.arange(view.strip.shape[1]) + 0.5) * 360 / 256
    seen = view.strip[32, :, 3] > 127
    assert np.abs(view.strip[32, seen, :3] - scene(azimuth[seen], 0.0)).max() < 12
    assert np.abs(azimuth[seen][[0, -1]] - (60, 140)).max() < 2
    view = source_of(folder, [dataclasses.replace(known, heading=None)]).view(0)
    assert view.start is None and not view.around


def test_what_a_panorama_did_not_see_is_masked(folder) -> None:
    """Sixty-four of 256 rows are missing above and below: it sees 45 degrees up and down, that is a tangent of 1."""
    view = source_of(folder, [query(folder, "cut0", 3, 0.0)]).view(0)
    tangent = PAIRS.vertical_tangent * 84 / 64 * (1 - (np.arange(84) + 0.5) * 2 / 84)
    seen = view.strip[:, 100, 3] > 127
    assert (seen == (np.abs(tangent) < 1)).mean() > 0.97
    batches = PairBatches(source_of(folder, [query(folder, "cut0", n, 0.0) for n in (2, 5)]), small_stage(
        heads=("embedding",), pairs_per_batch=2, sampling="random", panoramas=0.0), PAIRS)  # fmt: skip
    batch = batches.sample(np.random.default_rng(0))
    strips = batch["strips"]
    assert strips.shape[3] < 256 and (strips[:, :3] * (1 - strips[:, 3:])).abs().max() == 0


def test_tiles_lie_where_they_should(folder) -> None:
    queries = [query(folder, "panorama0", n, 0.0, semi_positives=(n + 1,)) for n in (2, 3, 7)]
    source = source_of(folder, queries)
    for index, tile in enumerate((2, 3, 7)):
        found = source.tile(index, 1.0)
        assert (found.pixels == 20 * tile).all() and found.pixels.shape == (64, 64, 3) and found.covered.all()
        np.testing.assert_allclose(source.positions[index] - found.centre, (5, 10), atol=0.05)
        assert found.reach == 50
    np.testing.assert_allclose(np.linalg.norm(source.positions[2] - source.positions[0]), 250, atol=0.2)
    assert source.identity.tolist() == [2, 3, 7]
    batches = PairBatches(source, small_stage(heads=("embedding",), sampling="gps"), PAIRS)
    members = np.arange(3)
    fits = fitting(batches.places(members, [source.tile(n, 1.0) for n in range(3)])).tolist()
    # The first two photos: 45 m from the other's centre, and so within its 100 m; named as well by the first.
    assert fits == [[True, True, False], [False, True, False], [False, False, True]]


def test_rivals_share_a_tile_or_name_it(folder) -> None:
    queries = [
        query(folder, "panorama0", 2, 0.0, semi_positives=(3, 4)), query(folder, "panorama90", 2, 90.0),
        query(folder, "panorama200", 3, 200.0), query(folder, "panorama0", 9, 0.0),
    ]  # fmt: skip
    source = source_of(folder, queries)
    assert [source.rivals(n).tolist() for n in range(4)] == [[0, 1, 2], [0, 1], [0, 2], [3]]
    assert geographic_neighbours(source, 2).tolist() == [[3, -1], [2, 3], [1, 3], [2, 0]]


def test_a_data_set_without_coordinates(folder) -> None:
    nowhere = {"latitude": None, "longitude": None}
    source = source_of(folder, [query(folder, "panorama0", n, 0.0, **nowhere) for n in (2, 3, 4)], known=False)
    assert np.isnan(source.positions).all() and source.group.tolist() == [0, 0, 0]
    assert source.tile(0, 1.0).reach == -1
    batches = PairBatches(source, small_stage(heads=("embedding",), sampling="gps", pairs_per_batch=2), PAIRS)
    assert (fitting(batches.places(np.arange(3), [source.tile(n, 1.0) for n in range(3)])).numpy() == np.eye(3)).all()
    with pytest.raises(TiercelError, match="without coordinates"):
        batches.begin(0, lambda members: pytest.fail("no embeddings are needed"))


def test_areas_are_chains_of_neighbours() -> None:
    places = np.array([(0.1, 0.1), (0.9, 0.2), (1.4, 0.6), (5.0, 0.1), (0.3, 9.0), (np.nan, np.nan), (5.4, 0.6)])
    found = areas(places)
    assert found[0] == found[1] == found[2] == found[5]
    assert found[3] == found[6] != found[0]
    assert len(set(found.tolist())) == 3


class Fake:
    """A data set with one split to train on, and one that nobody may touch."""

    splits = ("train", "test")

    def __init__(self, folder, count=11) -> None:
        self.folder, self.count = folder, count

    def split(self, name) -> PairSplit:
        assert name == "train"
        kinds = ("panorama0", 0.0), ("panorama90", 90.0), ("panorama200", 200.0)
        queries = [query(self.folder, kinds[n % 3][0], n // 2, kinds[n % 3][1]) for n in range(self.count)]
        return PairSplit("train", tuple(references(self.folder)), tuple(queries))


@pytest.fixture
def fake(folder, monkeypatch) -> list:
    asked: list = []

    def open_pairs(given, **options) -> Fake:
        asked.append((given, options))
        return Fake(folder, 2 if given == "one" else 13)

    monkeypatch.setattr(datasets, "open_pairs", open_pairs)
    return asked


def test_progress_is_watched_on_tiles_that_do_not_train(fake) -> None:
    recipe = Recipe(model=PAIRS, data="any", layout="vigor", area="cross", labels="corrected", seed=4)
    train_on, watch = open_pair_sources(recipe)
    assert fake == [("any", {"layout": "vigor", "area": "cross", "labels": "corrected"})]
    assert len(train_on) + len(watch) == 13 and len(watch) in (1, 2)
    assert not set(train_on.identity.tolist()) & set(watch.identity.tolist())
    assert open_pair_sources(recipe)[1].identity.tolist() == watch.identity.tolist()
    with pytest.raises(TiercelError, match="one has 1 tiles to train on: at least 2 are needed"):
        open_pair_sources(dataclasses.replace(recipe, data="one"))


def test_training_by_a_recipe(fake, tmp_path) -> None:
    (tmp_path / "recipe.yaml").write_text("""
        precision: "no"
        data: any
        model:
          name: dual
          heads: [embedding]
          width: [8, 12, 16]
          column_width: 12
          embedding: {width: 16, tile_pixels: 64, pooling: mean}
        stages:
        - name: embedding
          heads: [embedding]
          epochs: 2
          pairs_per_batch: 5
          gps_epochs: 1
          refresh_epochs: 1
          panoramas: 1.0
          validate_epochs: 1
          keep_best: r1
    """)
    lines: list[str] = []
    folder = train(tmp_path / "recipe.yaml", tmp_path / "run", report=lines.append)
    assert sum("validation" in line for line in lines) == 2
    assert any("4/4" in line for line in lines)  # 11 or 12 pairs are two batches
    model = load_model(folder, "cpu")
    assert model.config.heads == ("embedding",) and model.config.embedding.pooling == "mean"
    assert "Photos" in (folder / "README.md").read_text()


@pytest.mark.parametrize("workers", [0, 1])
def test_one_photo_that_cannot_be_read(fake, folder, tmp_path, workers) -> None:
    """The sentence alone, also from another process, and what was trained until then is kept."""
    (folder / "spoilt.png").write_bytes((folder / "panorama0.png").read_bytes()[:900])
    train_on, _ = open_pair_sources(Recipe(model=PAIRS, data="any"))
    train_on.queries = [*train_on.queries[:-1], dataclasses.replace(train_on.queries[-1], file=folder / "spoilt.png")]
    stage = small_stage(
        heads=("embedding",), pairs_per_batch=2, sampling="random", steps=20, panoramas=1.0, plain_from=1
    )
    recipe = Recipe(model=PAIRS, precision="no", workers=workers, save_every=1)
    with pytest.raises(TiercelError) as caught:
        train_stage(recipe, stage, tmp_path, Prepared(train_on, []), lambda line: None)
    assert str(caught.value).startswith(f"{folder / 'spoilt.png'} ") and "\n" not in str(caught.value)
    assert not (tmp_path / "model.safetensors").exists()


def test_the_recipe_of_sample4geo_says_what_was_published() -> None:
    recipe = Recipe.load(Path(__file__).parents[2] / "recipes" / "retrieval-sample4geo.yaml")
    assert recipe.model.embedding == EmbeddingConfig(1024, 384, 73.0, True, "mean")
    assert (recipe.model.strip_columns, recipe.model.strip_height) == (768, 384)
    (stage,) = recipe.stages
    wanted = {
        "epochs": 40, "pairs_per_batch": 128, "sampling": "dynamic", "gps_epochs": 4, "refresh_epochs": 4,
        "neighbours_pool": 128, "neighbours_chosen": 64, "label_smoothing": 0.1, "learning_rate": 1e-3,
    }  # fmt: skip
    assert {name: getattr(stage, name) for name in wanted} == wanted
    assert isinstance(optimiser_for(stage, [torch.nn.Parameter(torch.ones(2))], 999), torch.optim.AdamW)
