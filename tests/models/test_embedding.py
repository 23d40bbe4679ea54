import dataclasses
import hashlib
import json
import sys
import types

import numpy as np
import pytest
import torch
import transformers

from tests.models.tiny import panorama_of_scene, photo_of_scene, tiny_config, tiny_model
from tiercel.errors import TiercelError
from tiercel.models import Model, ModelConfig, load_model, photo_strip, save_model
from tiercel.models.config import EmbeddingConfig
from tiercel.models.embedding import AzimuthPooling, MeanPooling
from tiercel.models.encoders import TimmEncoder, vision_backbone
from tiercel.models.model import overhead_to_tensor, strips_to_tensor
from tiercel.photos import Photo

SIZES = EmbeddingConfig(width=24, tile_pixels=64, tile_m=62.5)
MEAN = dataclasses.replace(SIZES, pooling="mean")


@pytest.fixture(scope="module", params=[SIZES, MEAN], ids=["azimuth", "mean"])
def model(request) -> Model:
    return tiny_model(heads=("embedding",), embedding=request.param)


@pytest.fixture(scope="module")
def aware() -> Model:
    return tiny_model(heads=("embedding",), embedding=SIZES)


def tiles(count, seed=0, side=64) -> tuple[np.ndarray, np.ndarray]:
    small = np.random.default_rng(seed).integers(0, 256, (count, side // 8, side // 8, 3), dtype=np.uint8)
    return small.repeat(8, 1).repeat(8, 2), np.ones((count, side, side), bool)


def panorama(heading, *, known=True) -> Photo:
    pixels = panorama_of_scene(heading)
    return Photo.from_array(pixels, panorama=True, field_of_view=360, heading=heading if known else None)


def test_embeddings_are_unit_vectors(model) -> None:
    vectors = model.encode_tiles(*tiles(130))
    assert (vectors.shape, vectors.dtype) == ((130, 24), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    unknown, known = model.encode_photos([panorama(0, known=False), panorama(40)])
    assert (unknown.embedding.shape, known.embedding.shape) == ((32, 24), (1, 24))
    assert (len(unknown.headings_deg), len(known.headings_deg)) == (32, 1)
    np.testing.assert_allclose(np.linalg.norm(unknown.embedding, axis=1), 1, atol=1e-5)
    one = model.encode_tiles(*tiles(1, seed=0))
    np.testing.assert_allclose(one, model.encode_tiles(*(part[:1] for part in tiles(1))), atol=1e-6)


def test_what_a_map_does_not_cover_does_not_matter(model) -> None:
    pixels, covered = tiles(2)
    covered[:, :, 40:] = False
    other = pixels.copy()
    other[:, :, 40:] = 200
    np.testing.assert_allclose(model.encode_tiles(pixels, covered), model.encode_tiles(other, covered), atol=1e-6)
    assert np.abs(model.encode_tiles(other, np.ones_like(covered)) - model.encode_tiles(pixels, covered)).max() > 1e-3


def test_each_heading_s_vector_is_that_of_the_photo_with_this_heading(aware) -> None:
    """The same panorama without its heading: at every heading it is as if that were known."""
    pixels = panorama_of_scene(0)
    (unknown,) = aware.encode_photos([Photo.from_array(pixels, panorama=True, field_of_view=360)])
    for row in (0, 5, 17, 31):
        heading = float(unknown.headings_deg[row])
        (known,) = aware.encode_photos([
            Photo.from_array(pixels, panorama=True, field_of_view=360, heading=heading)
        ])  # fmt: skip
        np.testing.assert_allclose(known.embedding[0], unknown.embedding[row], atol=2e-2)
    assert np.abs(unknown.embedding[0] - unknown.embedding[9]).max() > 0.05


def test_a_photo_without_heading_turns_as_one_with(aware) -> None:
    """A photo of 90 degrees that begins on the edge of a bin, with and without its heading."""
    pixels, config = photo_of_scene(45, 90), aware.config
    free, fixed = (
        photo_strip(pixels, panorama=False, field_of_view=90, heading=heading, config=config) for heading in (None, 45)
    )
    unknown, known = aware.encode_strips([free, fixed])
    row = int(np.flatnonzero(np.isclose(unknown.headings_deg, 45))[0])
    np.testing.assert_allclose(unknown.embedding[row], known.embedding[0], atol=1e-4)


def test_mean_pooling_knows_no_heading() -> None:
    model = tiny_model(heads=("embedding",), embedding=MEAN)
    (found,) = model.encode_photos([panorama(0, known=False)])
    assert (found.embedding == found.embedding[0]).all()
    unsure = MeanPooling(4, 4)
    features, seen = torch.randn(2, 5, 4), torch.tensor([[1.0, 1, 0, 0, 0], [0.5, 0, 0, 0, 0.5]])
    expected = torch.stack([features[0, :2].mean(0), features[1, [0, 4]].mean(0)])
    torch.testing.assert_close(unsure(features, seen), unsure.norm(expected))
    assert torch.isfinite(unsure(features, torch.zeros(2, 5))).all()


def test_columns_are_laid_where_the_photo_looked() -> None:
    """Worked out bin by bin: weight times column where it lies, nothing where the photo did not look."""
    pooling = AzimuthPooling(3, 8, 5)
    columns, seen = torch.randn(1, 2, 3), torch.tensor([[0.5, 1.0]])
    with torch.no_grad():
        out = pooling(columns, seen, torch.tensor([[0, 7]]))
        weight = pooling.read.weight.reshape(5, 8, -1)
        for row, bins in enumerate(([0, 1], [7, 0])):
            expected = pooling.read.bias.clone()
            for column, bin_ in enumerate(bins):
                value = torch.cat([pooling.lower(columns[0, column]), seen[0, column : column + 1]])
                expected += weight[:, bin_] @ value
            torch.testing.assert_close(out[0, row], expected)


def test_a_column_that_was_not_seen_is_as_none(aware) -> None:
    strip = torch.zeros(1, 4, 64, 64)
    strip[:, :, :, :40] = 1
    columns = torch.randn(1, 8, aware.config.column_width)
    other = columns.clone()
    other[:, 5:] = 9
    start = torch.tensor([[3]])
    torch.testing.assert_close(
        aware.embedding.photos(strip, columns, start), aware.embedding.photos(strip, other, start)
    )


def test_the_head_stands_beside_others_and_alone(tmp_path) -> None:
    both = tiny_model(heads=("retrieval", "embedding"), embedding=SIZES)
    save_model(both, tmp_path / "both", "card\n")
    loaded = load_model(tmp_path / "both", "cpu")
    assert loaded.config == both.config
    alone = loaded.with_heads(["embedding"])
    assert alone.retrieval is None and alone.config.embedding == SIZES
    pixels = tiles(3)
    np.testing.assert_array_equal(alone.encode_tiles(*pixels), loaded.encode_tiles(*pixels))
    found, expected = (m.encode_photos([panorama(30)])[0].embedding for m in (alone, loaded))
    np.testing.assert_array_equal(found, expected)
    without = loaded.with_heads(["retrieval"])
    assert without.config.embedding is None and without.embedding is None
    assert without.encode_photos([panorama(30)])[0].embedding.shape == (0, 0)
    assert alone.on_grid(40.1).config.leaf_m == 40.1  # tiles are resampled anyway
    np.testing.assert_array_equal(alone.on_grid(40.1).encode_tiles(*pixels), alone.encode_tiles(*pixels))


def test_models_without_the_head_are_what_they_were(tmp_path) -> None:
    plain = tiny_model()
    sizes = {k: v for k, v in vars(plain.config).items() if k not in ("calibration", "decoder", "embedding")}
    digest = hashlib.sha256(repr(sizes).encode())
    for name, value in sorted(plain.state_dict().items()):
        digest.update(name.encode() + value.to(torch.float16).numpy().tobytes())
    assert plain.fingerprint == digest.hexdigest()[:16]
    one, other = (tiny_model(heads=("embedding",), embedding=sizes) for sizes in (SIZES, MEAN))
    assert one.fingerprint != other.fingerprint
    tiny_config().save(tmp_path / "config.json")
    content = json.loads((tmp_path / "config.json").read_text())
    del content["embedding"]  # as files were before there was this head
    assert ModelConfig.from_dict(content) == tiny_config()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, r"no pooling 'max': use one of azimuth, mean"),
        ({"shared": True}, r"averages over its views: set pooling: mean"),
        ({"tile_pixels": 100}, r"100 pixels cannot be: set a multiple of 32"),
        ({"tile_pixels": 0}, r"0 pixels cannot be"),
        ({"width": 0}, r"needs a width and a tile_m above 0"),
        ({"tile_m": float("nan")}, r"needs a width and a tile_m above 0"),
        ({"size": 3}, r"embedding, has unknown settings \(size\)"),
    ],
)
def test_settings_that_cannot_be(settings, message) -> None:
    with pytest.raises(TiercelError, match=message):
        ModelConfig.from_dict({"heads": ["embedding"], "embedding": settings})


def test_sizes_of_a_head_that_is_not_there() -> None:
    with pytest.raises(TiercelError, match="has sizes of the head 'embedding', but not that head: add it to heads"):
        ModelConfig.from_dict({"heads": ["retrieval"], "embedding": {"width": 32}})


def test_views_that_cannot_share_a_backbone() -> None:
    shared = {"heads": ["embedding"], "embedding": {"shared": True, "pooling": "mean"}}
    with pytest.raises(TiercelError, match="between compact and compact: name one and the same backbone for both"):
        ModelConfig.from_dict(shared)
    with pytest.raises(TiercelError, match="between a/b and a/c"):
        ModelConfig.from_dict({**shared, "photo_encoder": "a/b", "overhead_encoder": "a/c"})
    with pytest.raises(TiercelError, match="'decoder' stands alone"):
        ModelConfig(heads=("embedding", "decoder"))


def convnext() -> transformers.PreTrainedModel:
    return transformers.ConvNextModel(transformers.ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1]))


def dinov2() -> transformers.PreTrainedModel:
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    return transformers.Dinov2Model(config)


@pytest.fixture(scope="module", params=[convnext, dinov2])
def backbone(request, tmp_path_factory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param.__name__)
    request.param().save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("width", [16, 24])
def test_one_backbone_for_both_views(backbone, width, tmp_path) -> None:
    sizes = EmbeddingConfig(width=width, tile_pixels=64, shared=True, pooling="mean")
    config = tiny_config(heads=("embedding",), photo_encoder=backbone, overhead_encoder=backbone, embedding=sizes)
    torch.manual_seed(0)
    model = Model(config).eval()
    assert model.photo is None
    assert isinstance(model.embedding.picture.read, torch.nn.Identity) == (width == 16)
    pixels, covered = tiles(2)
    strips = strips_to_tensor(np.dstack([pixels[0], np.full((64, 64), 255, np.uint8)])[None])
    with torch.no_grad():  # one and the same picture is one and the same vector, whichever view it is of
        photo = model.embedding.photos(strips, None)
        tile = model.embedding.tiles(overhead_to_tensor(pixels[:1], covered[:1]))
    assert photo.shape == (1, 32, width)
    torch.testing.assert_close(photo[:, 4], tile, atol=1e-5, rtol=1e-4)
    features = model.encode_photos([panorama(10, known=False), panorama(10)])
    assert [one.embedding.shape for one in features] == [(32, width), (1, width)]
    save_model(model, tmp_path / "saved", "card\n")
    again = load_model(tmp_path / "saved", "cpu")
    np.testing.assert_allclose(again.encode_tiles(pixels, covered), model.encode_tiles(pixels, covered), atol=1e-2)


def test_a_backbone_for_each_view(backbone) -> None:
    for sizes in (SIZES, MEAN):
        config = tiny_config(heads=("embedding",), photo_encoder=backbone, overhead_encoder=backbone, embedding=sizes)
        torch.manual_seed(0)
        model = Model(config).eval()
        assert model.encode_tiles(*tiles(2)).shape == (2, 24)
        assert model.encode_photos([panorama(10)])[0].embedding.shape == (1, 24)


class FakeTimm(torch.nn.Module):
    """What is used of a model of timm: a grid at stride 32 whose channels tell what it was given."""

    num_features = 3

    def __init__(self, fixed) -> None:
        super().__init__()
        size = (3, 64, 64)
        self.pretrained_cfg = {
            "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 1.0), "input_size": size, "fixed_input_size": fixed,
        }  # fmt: skip
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward_intermediates(self, x, indices, norm, output_fmt, intermediates_only) -> list:
        assert (indices, norm, output_fmt, intermediates_only) == (1, True, "NCHW", True)
        return [torch.nn.functional.avg_pool2d(x, 32) * self.weight]


@pytest.fixture
def timm(monkeypatch) -> list:
    asked: list = []

    def create_model(name, pretrained, num_classes):
        asked.append((name, pretrained, num_classes))
        if name == "nonsense":
            raise RuntimeError("Unknown model (nonsense)")
        return torch.nn.Linear(1, 1) if name == "flat" else FakeTimm(name == "fixed")

    monkeypatch.setitem(sys.modules, "timm", types.SimpleNamespace(create_model=create_model))
    return asked


def test_a_model_of_timm(timm) -> None:
    encoder = vision_backbone("timm:some.model")
    assert isinstance(encoder, TimmEncoder) and timm == [("some.model", True, 0)]
    image = torch.full((2, 3, 64, 96), 1.0)
    grid = encoder(image)
    assert (encoder.channels, grid.shape) == (3, (2, 3, 2, 3))
    # White is 1, less the mean of 0.5, over each channel's deviation.
    torch.testing.assert_close(grid[0, :, 0, 0], torch.tensor([2.0, 1.0, 0.5]))
    assert vision_backbone("timm:fixed")(image).shape == (2, 3, 2, 2)
    config = tiny_config(
        heads=("embedding",), photo_encoder="timm:a", overhead_encoder="timm:a",
        embedding=EmbeddingConfig(width=8, tile_pixels=64, shared=True, pooling="mean"),
    )  # fmt: skip
    assert Model(config).encode_tiles(*tiles(2)).shape == (2, 8)


def test_models_of_timm_that_cannot_be_had(timm, monkeypatch) -> None:
    with pytest.raises(TiercelError, match=r"timm:nonsense' cannot be loaded \(Unknown model \(nonsense\)\)"):
        vision_backbone("timm:nonsense")
    with pytest.raises(TiercelError, match=r"timm:flat' gives no grid of features"):
        vision_backbone("timm:flat")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(TiercelError, match=r"timm:any' needs the package timm: pip install 'tiercel\[timm\]'"):
        vision_backbone("timm:any")
