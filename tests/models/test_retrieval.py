import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.models.tiny import tiny_config, tiny_model
from tiercel.models.retrieval import pose_scores, sampled, turned

CONFIG = tiny_config()


def test_turned_by_hand() -> None:
    queries = torch.tensor([[[1.0], [2.0]]])  # two bins, one channel
    weights = turned(queries, 4)[0, :, :, 0]
    # First bin at heading bin h: weight 1 for azimuth bin h, 2 for the next clockwise.
    assert weights.tolist() == [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2], [2, 0, 0, 1]]


def test_pose_scores_are_inner_products_at_every_turn() -> None:
    rng = torch.Generator().manual_seed(1)
    queries, keys = torch.randn(2, 3, 5, generator=rng), torch.randn(4, 8, 5, generator=rng)
    bias = torch.randn(4, generator=rng)
    scores = pose_scores(queries, keys, bias)
    assert scores.shape == (2, 4, 8)
    for photo in range(2):
        for place in range(4):
            for heading in range(8):
                by_hand = bias[place] + sum(
                    queries[photo, n] @ keys[place, (heading + n) % 8] for n in range(queries.shape[1])
                )
                assert scores[photo, place, heading] == pytest.approx(float(by_hand), abs=1e-5)


@pytest.mark.parametrize("bins", [1, 5, 31])
def test_a_panorama_turned_by_whole_bins_scores_at_turned_headings(bins) -> None:
    model = tiny_model()
    rng = np.random.default_rng(0)
    strip = torch.from_numpy(rng.standard_normal((1, 4, CONFIG.strip_height, CONFIG.strip_columns))).float()
    keys = torch.from_numpy(rng.standard_normal((6, CONFIG.headings, CONFIG.key_width))).float()
    rolled = strip.roll(-bins * CONFIG.columns_per_heading, dims=3)  # its left edge now looks `bins` further clockwise
    with torch.no_grad():
        scores, turned_scores = (
            pose_scores(model.retrieval.queries(model.photo(s, True)), keys, torch.zeros(6)) for s in (strip, rolled)
        )
    torch.testing.assert_close(turned_scores.roll(-bins, dims=2), scores, atol=1e-4, rtol=1e-4)
    assert scores.std() > 1e-3


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_map_turned_by_quarters_has_turned_keys(quarters) -> None:
    head = tiny_model(shared_rays=True).retrieval
    rng = torch.Generator().manual_seed(quarters)
    fine, context = torch.randn(1, 32, 40, 40, generator=rng), torch.randn(1, 32, 10, 10, generator=rng)
    side = 160 * head.pixel_m
    points = (0.3 + 0.4 * torch.rand(1, 7, 2, generator=rng)) * side
    moved = points.clone()
    for _ in range(quarters):  # against the clock, as rot90 turns
        moved = torch.stack([moved[..., 1], side - moved[..., 0]], -1)
    with torch.no_grad():
        keys, bias = head.keys(fine, context, points)
        turned_keys, turned_bias = head.keys(fine.rot90(quarters, (2, 3)), context.rot90(quarters, (2, 3)), moved)
    expected = keys.roll(-quarters * CONFIG.headings // 4, dims=2)
    # Rays that end beyond the map read a thousandth of its edge (`sampled`).
    torch.testing.assert_close(turned_keys, expected, atol=5e-3, rtol=0)
    torch.testing.assert_close(turned_bias, bias, atol=1e-4, rtol=1e-4)
    assert (turned_keys - keys).abs().max() > 0.05


def test_sampled_is_grid_sample() -> None:
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 5, 7, generator=rng)
    points = torch.rand(2, 11, 4, 2, generator=rng) * torch.tensor([11.0, 9.0]) - 2  # also far outside
    points[0, 0, 0] = torch.tensor([0.5, 0.5])
    points[0, 0, 1] = torch.tensor([7.0, 5.0])
    grid = points / torch.tensor([7.0, 5.0]) * 2 - 1
    expected = functional.grid_sample(features, grid, align_corners=False).permute(0, 2, 3, 1)
    difference = (sampled(features, points) - expected).abs().amax(-1)
    inside = ((points > -0.5) & (points < torch.tensor([7.5, 5.5]))).all(-1)
    assert inside.any() and not inside.all()
    assert difference[inside].max() < 1e-5
    # Far beyond the eastern and southern edges a thousandth of the edge is left.
    assert difference.max() < 1e-2
    assert sampled(features, points)[0, 0, 0].tolist() == pytest.approx(features[0, :, 0, 0].tolist())


def test_the_gradient_of_sampled_is_that_of_grid_sample() -> None:
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(1, 3, 5, 7, generator=rng)
    points = torch.rand(1, 6, 4, 2, generator=rng) * torch.tensor([7.0, 5.0])
    weight = torch.randn(1, 6, 4, 3, generator=rng)
    gradients = []
    for version in (0, 1):
        leaf = features.clone().requires_grad_()
        if version:
            out = sampled(leaf, points)
        else:
            grid = points / torch.tensor([7.0, 5.0]) * 2 - 1
            out = functional.grid_sample(leaf, grid, align_corners=False).permute(0, 2, 3, 1)
        (out * weight).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("azimuth", [5.0, 95.0, 185.0, 275.0, 320.0])
@pytest.mark.parametrize("distance", [15.0, 51.0])
def test_what_stands_at_an_azimuth_changes_the_key_of_that_azimuth(azimuth, distance) -> None:
    """Azimuths are clockwise from north, rows go south: one spot of the map, seen from one place."""
    head = tiny_model().retrieval
    cells, cell_m = 64, 4 * head.pixel_m
    camera = torch.tensor([130.0, 121.0])  # metres east and south of the north-west corner
    angle = np.radians(azimuth)
    spot = camera.numpy() + distance * np.array([np.sin(angle), -np.cos(angle)])
    column, row = np.floor(spot / cell_m).astype(int)
    empty, context = torch.zeros(1, 32, cells, cells), torch.zeros(1, 32, 16, 16)
    marked = empty.clone()
    marked[0, :, row, column] = 3.0
    with torch.no_grad():
        changes = [head.keys(fine, context, camera[None, None])[0][0, 0] for fine in (empty, marked)]
    change = (changes[1] - changes[0]).norm(dim=1).numpy()
    bin_of_spot = int(azimuth // CONFIG.bin_deg)
    near = [(bin_of_spot + step) % CONFIG.headings for step in range(-5, 6)]
    assert change[bin_of_spot] > 1e-3
    assert np.delete(change, near).max() < 1e-6


def test_a_narrow_photo_counts_less_than_a_wide_one() -> None:
    head = tiny_model().retrieval
    columns = torch.randn(1, 16, CONFIG.column_width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        lengths = [float(head.queries(columns[:, :count]).norm()) for count in (4, 16)]
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=1e-4)
