"""Muon: orthogonal steps for weights, Adam's for the rest."""

import torch
from torch import nn

from tiercel.training.muon import Muon, orthogonal


def test_singular_values_are_brought_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in [(20, 50), (50, 20), (4, 16, 30), (1, 7)]:
        # Three orders of magnitude between the largest and the smallest.
        rows, columns = shape[-2:]
        matrix = torch.randn(shape, generator=generator) * torch.logspace(0, -2, columns)
        values = torch.linalg.svdvals(orthogonal(matrix))
        assert values.shape[-1] == min(rows, columns)
        assert values.max() < 1.3 and values.min() > 0.3


def test_directions_are_kept() -> None:
    generator = torch.Generator().manual_seed(1)
    left, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(30, 12, generator=generator))
    made = left.T @ orthogonal(left @ torch.diag(torch.linspace(1, 2, 12)) @ right.T) @ right
    assert (made - torch.diag(made.diagonal())).abs().max() < 1e-4
    assert made.diagonal().min() > 0.5


def test_what_is_no_matrix_is_optimised_by_adam() -> None:
    ours, theirs = nn.Parameter(torch.linspace(-1, 1, 9)), nn.Parameter(torch.linspace(-1, 1, 9))
    muon, adam = Muon([ours], lr=0.01, weight_decay=0.3), torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.0)
    for step in range(20):
        for parameter, optimiser in ((ours, muon), (theirs, adam)):
            optimiser.zero_grad()
            (parameter * torch.arange(9) * (1 + step % 3)).sin().sum().backward()
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_step_has_the_size_of_adamw_s() -> None:
    """Of about 0.2 to 0.4 of the learning rate in each weight, whatever the shape and the gradient's size."""
    for shape in [(64, 32), (48, 16, 3, 3), (5, 20, 40)]:
        weight = nn.Parameter(torch.zeros(shape))
        optimiser = Muon([weight], lr=0.1)
        (weight * torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3).sum().backward()
        optimiser.step()
        assert 0.015 < weight.detach().square().mean().sqrt() < 0.04


def test_a_network_learns_by_it() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    images, labels = torch.randn(40, 3, 8, 8), torch.arange(40) % 5
    optimiser = Muon(network.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 1.4 and losses[-1] < 0.2


def test_it_goes_on_from_its_state() -> None:
    def run(interrupted: bool) -> torch.Tensor:
        weights = [nn.Parameter(torch.ones(4, 6)), nn.Parameter(torch.ones(4))]
        optimiser = Muon(weights, lr=0.05)
        for step in range(6):
            if interrupted and step == 3:
                kept = optimiser.state_dict()
                optimiser = Muon(weights, lr=0.05)
                optimiser.load_state_dict(kept)
            optimiser.zero_grad()
            ((weights[0] @ torch.arange(6.0) + weights[1] - step) ** 2).sum().backward()
            optimiser.step()
        return torch.cat([weight.detach().flatten() for weight in weights])

    assert torch.equal(run(False), run(True))
