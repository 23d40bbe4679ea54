import numpy as np
import pytest
import torch

from tests.models.tiny import tiny_config, tiny_model
from tiercel.models.blocks import image_to_tensor

CONFIG = tiny_config()


@pytest.mark.parametrize("count", [5, 9, 32])
def test_queries_are_the_sum_over_columns(count) -> None:
    head = tiny_model().zoom
    columns = torch.randn(2, count, CONFIG.column_width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        queries = head.queries(columns, 2)
        assert queries.shape == (2, CONFIG.headings, CONFIG.zoom_width)
        assert (queries[..., -1] == 1).all()  # the bias of a key counts once
        for heading in range(CONFIG.headings):
            summed = sum(columns[:, n] @ head.query[1, (heading + n) % CONFIG.headings] for n in range(count))
            expected = summed / summed.norm(dim=1, keepdim=True) * head.log_scale[1].exp()
            torch.testing.assert_close(queries[:, heading, :-1], expected, atol=1e-4, rtol=1e-3)


def test_children_are_in_order_from_the_north_west() -> None:
    """Each child is painted alone; only the features of that child, inside the margin, may follow its colour most."""
    head = tiny_model().zoom
    side, g = CONFIG.zoom_pixels, CONFIG.branching
    margin = round(side * CONFIG.zoom_margin / (1 + 2 * CONFIG.zoom_margin))
    child = (side - 2 * margin) // g
    coarse = side // 16
    rows, cols = torch.meshgrid(torch.arange(float(coarse)), torch.arange(float(coarse)), indexing="ij")
    places = torch.stack([rows, cols])[None]  # features that say where they are
    samples = head._children(places).reshape(g * g, 2, 2, 2)  # child, (row, col), 2 x 2
    for index in range(g * g):
        row, col = divmod(index, g)
        # In units of coarse cells, whose first has its centre at 0.
        centre = (margin + (np.array([row, col]) + 0.5) * child) / 16 - 0.5
        assert samples[index].mean((1, 2)).numpy() == pytest.approx(centre, abs=1e-4)
        quarter = child / 16 / 4
        assert samples[index, 0, :, 0].numpy() == pytest.approx([centre[0] - quarter, centre[0] + quarter], abs=1e-4)
        assert samples[index, 1, 0, :].numpy() == pytest.approx([centre[1] - quarter, centre[1] + quarter], abs=1e-4)


def test_painting_a_corner_changes_the_children_of_that_corner() -> None:
    model = tiny_model()
    config, g = CONFIG, CONFIG.branching
    side = config.zoom_pixels
    margin = round(side * config.zoom_margin / (1 + 2 * config.zoom_margin))
    child = (side - 2 * margin) // g
    plain = np.full((1, side, side, 3), 100, np.uint8)
    parents = torch.zeros(1, config.zoom_width)
    cells = {}

    def features(pixels):
        _, coarse = model.zoom.encoder(image_to_tensor(torch.from_numpy(pixels)))
        return model.zoom._children(coarse)[0]

    with torch.no_grad():
        before = features(plain)
        for index in (0, 3, 12, 15):
            row, col = divmod(index, g)
            painted = plain.copy()
            top, left = margin + row * child, margin + col * child
            painted[0, top : top + child, left : left + child] = np.random.default_rng(index).integers(0, 256, 3)
            change = (features(painted) - before).norm(dim=1).reshape(2, 2, 2, 2).sum((1, 3))  # by quarters
            cells[index] = divmod(int(change.argmax()), 2)
        assert cells == {0: (0, 0), 3: (0, 1), 12: (1, 0), 15: (1, 1)}
        assert model.zoom.keys(image_to_tensor(torch.from_numpy(plain)), parents, 1).shape == (1, 16, config.zoom_width)


def test_the_path_and_the_level_count() -> None:
    head = tiny_model().zoom
    image = torch.randn(1, 3, CONFIG.zoom_pixels, CONFIG.zoom_pixels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        start = head.keys(image, torch.zeros(1, CONFIG.zoom_width), 1)
        other_path = head.keys(image, torch.ones(1, CONFIG.zoom_width), 1)
        other_level = head.keys(image, torch.zeros(1, CONFIG.zoom_width), 2)
    assert (start - other_path).abs().max() > 1e-3
    assert (start - other_level).abs().max() > 1e-3
    torch.testing.assert_close(start[..., :-1].norm(dim=-1), torch.ones(1, 16))
