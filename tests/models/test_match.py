import math

import numpy as np
import pytest
import torch

from tests.models.tiny import tiny_config, tiny_model
from tiercel.models.match import RANGES, MatchHead, correlate

CONFIG = tiny_config()
TOTAL = CONFIG.strip_columns // 4


@pytest.fixture(scope="module")
def head() -> MatchHead:
    return tiny_model().match


def one_spot(column, ring, columns=TOTAL) -> torch.Tensor:
    polar = torch.zeros(1, CONFIG.match_width, RANGES, columns)
    polar[0, :, ring, column] = 1.0
    return polar


def centre_of_mass(template) -> tuple[float, float]:
    """Azimuth in degrees and distance in metres of what a template (side, side) shows."""
    side = template.shape[-1]
    steps = (np.arange(side) - side // 2) * CONFIG.match_cell_m
    weight = template.numpy() / template.sum().item()
    east, north = (weight * steps[None]).sum(), (weight * -steps[:, None]).sum()
    return math.degrees(math.atan2(east, north)) % 360, math.hypot(east, north)


@pytest.mark.parametrize("start", [0.0, 77.0, 300.0])
@pytest.mark.parametrize(("column", "ring"), [(0, 13), (13, 16), (40, 19), (63, 14)])
def test_polar_features_lie_where_they_were_seen(head, start, column, ring) -> None:
    template = head.template(one_spot(column, ring), torch.tensor([math.radians(start)]))[0, 0, 0]
    azimuth, distance = centre_of_mass(template)
    expected = (start + (column + 0.5) * 360 / TOTAL) % 360
    assert abs((azimuth - expected + 180) % 360 - 180) < 2.0
    assert distance == pytest.approx((ring + 0.5) * CONFIG.template_m / RANGES, abs=1.0)


def test_a_template_of_all_headings(head) -> None:
    starts = torch.arange(8) * (2 * math.pi / 8)
    polar = torch.rand(1, CONFIG.match_width, RANGES, TOTAL, generator=torch.Generator().manual_seed(0))
    together = head.template(polar, starts[None])
    assert together.shape == (1, 8, CONFIG.match_width, 2 * head.radius + 1, 2 * head.radius + 1)
    for index, start in enumerate(starts):
        torch.testing.assert_close(together[:, index], head.template(polar, start[None])[:, 0])
    # A quarter turn clockwise of the photo is one of the picture, exactly, but for the cell under the camera.
    turned = torch.rot90(together[:, 0], -1, (2, 3))
    turned[..., head.radius, head.radius] = together[:, 2, :, head.radius, head.radius]
    torch.testing.assert_close(together[:, 2], turned, atol=1e-4, rtol=1e-3)


def test_a_panorama_covers_the_whole_disc_without_a_seam(head) -> None:
    template = head.template(torch.ones(1, CONFIG.match_width, RANGES, TOTAL), torch.tensor([1.234]))[0, 0, 0]
    steps = torch.arange(-head.radius, head.radius + 1) * CONFIG.match_cell_m
    distance = torch.hypot(steps[:, None], steps[None])
    assert template[distance < CONFIG.template_m].numpy() == pytest.approx(1.0, abs=1e-5)
    assert (template[distance > CONFIG.template_m + 2] == 0).all()


@pytest.mark.parametrize("start", [0.0, 45.0, 200.0, 340.0])
def test_a_narrow_photo_fills_a_wedge(head, start) -> None:
    columns = 18  # a little over 90 degrees
    template = head.template(torch.ones(1, CONFIG.match_width, RANGES, columns), torch.tensor([math.radians(start)]))
    template = template[0, 0, 0].numpy()
    steps = (np.arange(template.shape[0]) - head.radius) * CONFIG.match_cell_m
    azimuth = np.degrees(np.arctan2(steps[None], -steps[:, None]))
    distance = np.hypot(steps[:, None], steps[None])
    inside = (azimuth - start) % 360
    far = (distance > 8) & (distance < CONFIG.template_m)
    width = columns * 360 / TOTAL
    assert (template[far & (inside > 3) & (inside < width - 3)] > 0.9).all()
    assert (template[far & (inside > width + 0.01) & (inside < 359.9)] == 0).all()


def test_correlate_is_the_sum_of_products() -> None:
    rng = np.random.default_rng(0)
    template, features = rng.standard_normal((2, 3, 4, 5, 5)), rng.standard_normal((2, 2, 4, 9, 9))
    scores = correlate(torch.from_numpy(template), torch.from_numpy(features)).numpy()
    shared = correlate(torch.from_numpy(template), torch.from_numpy(features[:1])).numpy()
    assert scores.shape == shared.shape == (2, 3, 2, 5, 5)
    for row in range(5):
        for col in range(5):
            window = features[:, :, :, row : row + 5, col : col + 5]
            assert scores[..., row, col] == pytest.approx(np.einsum("bhcyx,bkcyx->bhk", template, window))
            assert shared[..., row, col] == pytest.approx(np.einsum("bhcyx,kcyx->bhk", template, window[0]))


@pytest.mark.parametrize("start", [0.0, 100.0, 250.0])
def test_planted_features_are_found_where_and_as_they_were_planted(head, start) -> None:
    """The map holds what the photo saw, turned to `start` around cell (30, 22)."""
    rng = torch.Generator().manual_seed(3)
    polar = torch.randn(1, CONFIG.match_width, RANGES, TOTAL, generator=rng)
    bins = torch.arange(TOTAL) * (2 * math.pi / TOTAL)
    heading = round(start / 360 * TOTAL)
    templates = head.template(polar, bins[None])
    features = 0.1 * torch.randn(1, 1, CONFIG.match_width, 64, 64, generator=rng)
    size, row, col = 2 * head.radius + 1, 30, 22
    top, left = row - head.radius, col - head.radius
    features[0, 0, :, top : top + size, left : left + size] += templates[0, heading]
    scores = correlate(templates, features)[0, :, 0]
    best = np.unravel_index(int(scores.argmax()), scores.shape)
    assert best == (heading, top, left)


def test_features_are_unit_vectors_at_the_cell_size(head) -> None:
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        features = head.features(image)
    assert features.shape == (1, CONFIG.match_width, 32, 32)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(1, 32, 32))
