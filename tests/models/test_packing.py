import torch
from torch import nn

from tests.models.small_decoder import small_net
from tiercel.models.packing import packed


def test_a_packed_network_computes_the_same() -> None:
    net = small_net()
    twin = packed(net.decoder)
    inputs = torch.randn(40, 24), torch.randn(40, 3, 24), torch.randint(4, (40, 3))
    with torch.inference_mode():
        torch.testing.assert_close(twin(*inputs), net.decoder(*inputs), atol=1e-5, rtol=1e-5)
    assert not [module for module in twin.modules() if isinstance(module, nn.Linear)]
    assert [module for module in net.decoder.modules() if isinstance(module, nn.Linear)]
    assert twin.action_embed.weight is net.decoder.action_embed.weight


def test_biases_shapes_and_odd_rows() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(30, 7), nn.GELU(), nn.Linear(7, 3, bias=False))
    twin = packed(layer)
    with torch.inference_mode():
        for shape in ((1, 30), (5, 30), (2, 3, 30), (1030, 30)):
            x = torch.randn(shape)
            torch.testing.assert_close(twin(x), layer(x), atol=1e-6, rtol=1e-5)


def test_other_precisions_are_left_alone() -> None:
    layer = nn.Linear(4, 4).double()
    assert packed(layer) is layer
