import json

import numpy as np
import pytest
import torch

from tests.models.tiny import panorama_of_scene, photo_of_scene, tiny_config, tiny_model
from tiercel.errors import TiercelError
from tiercel.models import Calibration, Model, ModelConfig, load_model, save_model
from tiercel.models.match import RANGES
from tiercel.photos import Photo


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture
def saved(model, tmp_path) -> object:
    save_model(model, tmp_path / "saved", "The card.\n")
    return tmp_path / "saved"


def block(config, seed=0) -> np.ndarray:
    side = (config.block_leaves + 2 * config.margin_leaves) * config.pixels_per_leaf
    small = np.random.default_rng(seed).integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8)
    return small.repeat(16, 0).repeat(16, 1)


def covered_like(pixels) -> np.ndarray:
    return np.ones(pixels.shape[:-1], bool)


def test_a_block_holds_the_keys_of_its_positions(model) -> None:
    """Every key of a block is the key of its own position, worked out position by position."""
    config = model.config
    pixels = block(config)
    features = model.encode_block(pixels, covered_like(pixels))
    assert features.keys.shape == (4, 4, 16, 32, config.key_width)
    halved = torch.from_numpy(pixels).float().reshape(192, 2, 192, 2, 3).mean((1, 3)).permute(2, 0, 1)[None] / 127.5 - 1
    rng = np.random.default_rng(0)
    with torch.no_grad():
        fine, context = model.retrieval.features(halved)
        for _ in range(10):
            row, col, part = (int(v) for v in rng.integers((4, 4, 16)))
            down, right = divmod(part, 4)
            east = (config.margin_leaves + col + (right + 0.5) / 4) * config.leaf_m
            south = (config.margin_leaves + row + (down + 0.5) / 4) * config.leaf_m
            keys, bias = model.retrieval.keys(fine, context, torch.tensor([[[east, south]]]))
            assert features.keys[row, col, part] == pytest.approx(keys[0, 0].numpy(), abs=2e-3)
            assert features.bias[row, col, part] == pytest.approx(float(bias[0, 0]), abs=2e-3)


def test_a_block_holds_the_match_features_of_its_cells(model) -> None:
    config = model.config
    pixels = block(config)
    features = model.encode_block(pixels, covered_like(pixels))
    with torch.no_grad():
        whole = model.match.features(torch.from_numpy(pixels).float().permute(2, 0, 1)[None] / 127.5 - 1)[0].numpy()
    for row, col, down, right in ((0, 0, 0, 0), (1, 3, 15, 2), (3, 0, 7, 9)):
        at = whole[:, (config.margin_leaves + row) * 16 + down, (config.margin_leaves + col) * 16 + right]
        assert features.match[row, col, down, right] == pytest.approx(at, abs=2e-3)


def test_leaves_do_not_depend_on_the_block_they_are_encoded_in(model) -> None:
    """The inner leaves of overlapping blocks agree: rows and cols, and the margin, are where they should be."""
    config = model.config
    side = (config.block_leaves + 2 * config.margin_leaves) * config.pixels_per_leaf
    ground = np.random.default_rng(1).integers(0, 256, (side // 16 + 8, side // 16 + 8, 3), dtype=np.uint8)
    ground = ground.repeat(16, 0).repeat(16, 1)
    here, there = ground[:side, :side], ground[128 : 128 + side, 64 : 64 + side]  # two leaves south, one east
    first, second = (model.encode_block(pixels, covered_like(pixels)) for pixels in (here, there))
    # The match sees a leaf and a margin; the rays of retrieval reach too far for this tiny margin.
    assert np.abs(first.match[2:3, 1:3].astype(float) - second.match[0:1, 0:2]).max() < 0.02
    assert np.abs(first.match[2:3, 1:3].astype(float) - second.match[0:1, 1:3]).max() > 0.1


def test_what_is_not_covered_is_grey_not_black(model) -> None:
    pixels = block(model.config)
    covered = covered_like(pixels)
    covered[:200] = False
    black = np.where(covered[..., None], pixels, 0).astype(np.uint8)
    with_holes, without = model.encode_block(pixels, covered), model.encode_block(black, covered)
    assert (with_holes.keys == without.keys).all()
    assert (with_holes.keys != model.encode_block(black, covered_like(black)).keys).any()


def test_children_know_their_parents(model) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    parents = np.random.default_rng(1).standard_normal((2, 8)).astype(np.float16)
    top = model.encode_children(pixels, covered_like(pixels), None, 3)
    below = model.encode_children(pixels, covered_like(pixels), parents, 3)
    zeros = model.encode_children(pixels, covered_like(pixels), np.zeros((2, 8), np.float16), 3)
    assert top.shape == (2, 16, 8) and top.dtype == np.float16
    assert (top == zeros).all()
    assert (top != below).any()


@pytest.mark.parametrize("heading", [0.0, 5.0, 33.3, 90.0, 359.0])
@pytest.mark.parametrize("panorama", [True, False])
def test_a_known_heading_is_one_of_the_unknown_ones(model, heading, panorama) -> None:
    """Photos whose left edge lies on a bin look the same to the model, told the heading or not."""
    field = 360.0 if panorama else 90.0
    heading = heading if panorama else round((heading - 45) / 11.25) * 11.25 + 45
    pixels = (panorama_of_scene if panorama else photo_of_scene)(heading, field_of_view=field)
    told, untold = (
        model.encode_photos([Photo.from_array(pixels, panorama=panorama, field_of_view=field, heading=h)])[0]
        for h in (heading, None)
    )
    assert told.heading_known and not untold.heading_known
    assert told.headings_deg == pytest.approx([heading % 360])
    assert untold.headings_deg.shape == (32,)
    if panorama:  # its strip starts in the north when told and opposite the centre when not
        return
    row = int(np.abs((untold.headings_deg - heading + 180) % 360 - 180).argmin())
    assert untold.headings_deg[row] == pytest.approx(heading % 360, abs=1e-3)
    assert told.retrieval[0] == pytest.approx(untold.retrieval[row], abs=1e-4)
    assert told.polar == pytest.approx(untold.polar, abs=1e-4)
    assert told.polar_start_deg[0] == pytest.approx(untold.polar_start_deg[row])
    for known, unknown in zip(told.zoom, untold.zoom, strict=True):
        assert known[0] == pytest.approx(unknown[row], abs=1e-4)


def test_a_panorama_told_its_heading_has_its_columns_at_their_azimuths(model) -> None:
    """Two panoramas of one place, held differently: told their headings, they are the same to the model."""
    first, second = (
        model.encode_photos([Photo.from_array(panorama_of_scene(h), panorama=True, field_of_view=360, heading=h)])[0]
        for h in (20.0, 251.0)
    )
    assert first.polar_start_deg[0] == second.polar_start_deg[0] == 0
    assert first.headings_deg == pytest.approx([20.0])
    assert second.headings_deg == pytest.approx([251.0])
    assert np.abs(first.retrieval - second.retrieval).max() < 0.05 * np.abs(first.retrieval).max()


def test_photos_of_all_widths_together_are_as_one_by_one(model) -> None:
    photos = [
        Photo.from_array(photo_of_scene(10, 60, 64, 48), panorama=False, field_of_view=60),
        Photo.from_array(panorama_of_scene(10, 128), panorama=True, field_of_view=360, heading=10),
        Photo.from_array(photo_of_scene(80, 60, 64, 48), panorama=False, field_of_view=60),
        Photo.from_array(photo_of_scene(80, 100, 64, 48), panorama=False, field_of_view=100, heading=3),
    ]
    together = model.encode_photos(photos)
    for photo, features in zip(photos, together, strict=True):
        alone = model.encode_photos([photo])[0]
        assert features.retrieval == pytest.approx(alone.retrieval, abs=1e-5)
        assert features.polar == pytest.approx(alone.polar, abs=1e-5)


def test_a_model_without_some_heads() -> None:
    photo = Photo.from_array(photo_of_scene(0, 90, 64, 48), panorama=False, field_of_view=90)
    retrieval, match = tiny_model(heads=("retrieval",)), tiny_model(heads=("match",))
    features = retrieval.encode_photos([photo])[0]
    assert features.retrieval.shape == (32, 128) and features.zoom == () and features.polar.size == 0
    features = match.encode_photos([photo])[0]
    assert features.retrieval.shape == (32, 0) and features.polar.shape == (4, RANGES, 16)
    assert match.photo is None
    pixels = np.zeros((1, 160, 160, 3), np.uint8)
    assert not retrieval.encode_children(pixels, covered_like(pixels), None, 1).any()


def test_half_precision_networks_hand_over_plain_arrays(model, monkeypatch) -> None:
    """On a GPU the networks run in bfloat16, which numpy does not know."""
    monkeypatch.setattr(Model, "_inference", lambda self: torch.autocast("cpu", torch.bfloat16))
    pixels = block(model.config)
    assert np.isfinite(model.encode_block(pixels, covered_like(pixels)).keys).all()
    squares = np.zeros((1, 160, 160, 3), np.uint8)
    assert model.encode_children(squares, covered_like(squares), None, 3).dtype == np.float16
    photo = Photo.from_array(photo_of_scene(0, 90, 64, 48), panorama=False, field_of_view=90)
    features = model.encode_photos([photo])[0]
    assert features.retrieval.dtype == features.polar.dtype == features.zoom[0].dtype == np.float32


def test_a_model_comes_back_from_its_folder(model, saved) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [
        "README.md", "config.json", "model.safetensors", "model.safetensors.sha256",
    ]  # fmt: skip
    again = load_model(saved, "cpu")
    assert again.config == model.config
    assert again.fingerprint == model.fingerprint
    assert not again.training
    for name, value in model.state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(again.state_dict()[name], expected)
        assert again.state_dict()[name].dtype == value.dtype


def test_the_fingerprint_follows_weights_and_sizes_but_not_calibration(model) -> None:
    assert tiny_model().fingerprint == model.fingerprint
    assert tiny_model(seed=1).fingerprint != model.fingerprint
    assert tiny_model(zoom_margin=0.25).fingerprint != model.fingerprint
    assert tiny_model(calibration=Calibration(candidates=2)).fingerprint == model.fingerprint


def test_a_model_on_another_grid_says_the_same_of_the_same_ground(model) -> None:
    """Leaves of twice the side: what lies at a place does not depend on how the ground is divided."""
    assert model.on_grid(model.config.leaf_m) is model
    double = model.on_grid(2 * model.config.leaf_m)
    assert double.fingerprint != model.fingerprint
    pixels = double.config.pixels_per_leaf * (double.config.block_leaves + 2 * double.config.margin_leaves)
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (pixels // 8, pixels // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    large = double.encode_block(ground, np.ones(ground.shape[:2], bool))
    side = model.config.pixels_per_leaf * (model.config.block_leaves + 2 * model.config.margin_leaves)
    # The small block's leaves begin one leaf of its own before the large block's first leaf.
    corner = double.config.margin_leaves * double.config.pixels_per_leaf - model.config.pixels_per_leaf
    piece = ground[corner : corner + side, corner : corner + side]
    small = model.encode_block(piece, np.ones(piece.shape[:2], bool))
    cells = model.config.match_cells_per_leaf
    # Away from the edges, which the two see differently.
    np.testing.assert_allclose(
        large.match[1, 1, :cells, :cells].astype(float), small.match[2, 2].astype(float), atol=0.02
    )
    ours, theirs = large.keys[1, 1].reshape(8, 8, 32, 4), small.keys[2, 2].reshape(4, 4, 32, 4)
    # Some rays reach beyond the small block.
    apart = [np.linalg.norm(some.astype(float) - theirs, axis=-1) for some in (ours[:4, :4], ours[4:, 4:])]
    assert np.median(apart[0]) < 0.2 < np.median(apart[1])


def test_a_model_with_some_of_its_heads(model) -> None:
    small = model.with_heads(("retrieval",))
    assert small.match is None and small.zoom is None
    for name, value in small.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    with pytest.raises(TiercelError, match="has no head match: it has retrieval"):
        small.with_heads(("retrieval", "match"))


def test_a_damaged_file(saved) -> None:
    weights = saved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(TiercelError, match=r"model\.safetensors is damaged, its hash differs"):
        load_model(saved)
    (saved / "model.safetensors.sha256").unlink()
    weights.write_bytes(content[:1000])
    with pytest.raises(TiercelError, match=r"does not fit its config\.json"):
        load_model(saved)


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json"])
def test_a_missing_file(saved, missing) -> None:
    (saved / missing).unlink()
    with pytest.raises(TiercelError, match=f"{missing} is missing"):
        load_model(saved)


def test_weights_of_another_shape(saved) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "key_width": 5}))
    with pytest.raises(TiercelError, match=r"does not fit its config\.json"):
        load_model(saved)


@pytest.mark.parametrize("name", ["nothing", "./nothing/here", "/no/such/folder"])
def test_a_model_that_is_nowhere(name) -> None:
    with pytest.raises(TiercelError, match="is not to be found"):
        load_model(name)


def test_a_model_that_cannot_be_fetched(monkeypatch) -> None:
    import huggingface_hub

    def refuse(name, allow_patterns) -> None:
        raise OSError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(TiercelError, match=r"could not be fetched from Hugging Face \(no connection\)"):
        load_model("somebody/something")


def stored_numbers() -> dict[str, np.ndarray]:
    """Some outputs of a small model whose weights are drawn by name."""
    model = tiny_model(seed=5)
    pixels = block(model.config, seed=5)
    features = model.encode_block(pixels, covered_like(pixels))
    photo = Photo.from_array(photo_of_scene(40, 90), panorama=False, field_of_view=90, heading=40)
    seen = model.encode_photos([photo])[0]
    squares = np.random.default_rng(5).integers(0, 256, (1, 160, 160, 3), dtype=np.uint8)
    children = model.encode_children(squares, covered_like(squares), None, 2)
    return {
        "keys": features.keys[1, 2, 3, 4],
        "bias": features.bias[2, 1, :3],
        "match": features.match[3, 0, 5, 6],
        "retrieval": seen.retrieval[0, :4],
        "zoom": seen.zoom[1][0, :3],
        "polar": seen.polar[:, 7, 9],
        "children": children[0, 6, :4],
    }


#: As they were when the bundled weights' code was written.
STORED = {
    "keys": [-0.4429, -0.5659, 0.4795, -0.5034],
    "bias": [-5.3047, -5.6211, -4.9766],
    "match": [-0.8813, -0.1631, 0.0745, 0.437],
    "retrieval": [0.5668, -0.0608, -0.7003, 0.9401],
    "zoom": [-0.8791, -0.1677, -1.177],
    "polar": [-1.6374, 0.5557, -3.433, -1.9842],
    "children": [0.0927, -0.0064, 0.5903, 0.2681],
}


def test_a_refactoring_moves_no_number() -> None:
    numbers = stored_numbers()
    assert numbers.keys() == STORED.keys()
    for name, stored in STORED.items():
        assert numbers[name].astype(float) == pytest.approx(stored, abs=3e-3), name


def test_the_default_sizes_fit_together() -> None:
    config = ModelConfig()
    assert config.zoom_pixels == config.branching * config.leaf_m * (1 + 2 * config.zoom_margin) / config.resolution / 2
    assert tiny_config().strip_columns % config.headings == 0
