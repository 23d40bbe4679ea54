"""Products of spectra are those of torch, compiled or not, conjugated or not."""

import pytest
import torch

from tiercel.models import products
from tiercel.models.products import PIECE, multiply


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("conjugated", [False, True])
@pytest.mark.parametrize("few_threads", [0, 1_000])
def test_a_product_is_the_sum_over_channels(dtype, conjugated, few_threads, monkeypatch) -> None:
    monkeypatch.setattr(products, "FEW_THREADS", few_threads)  # torch's own way with more threads than that
    torch.manual_seed(0)
    side, frequencies = 40, 21
    assert side * frequencies > PIECE and side * frequencies % PIECE
    templates = torch.randn(3, 5, side, frequencies, dtype=dtype)
    features = torch.randn(2, 5, side, frequencies, dtype=dtype)
    given = templates.conj() if conjugated else templates
    out = torch.full((3, 2, side, frequencies), torch.nan, dtype=dtype)
    multiply(given, features, out)
    torch.testing.assert_close(out, torch.einsum("hcyx,kcyx->hkyx", given.resolve_conj(), features))


def test_it_writes_into_rows_of_something_larger() -> None:
    templates, features = torch.randn(2, 1, 3, 8, 5, dtype=torch.complex64).unbind(0)
    whole = torch.zeros(4, 1, 8, 5, dtype=torch.complex64)
    multiply(templates, features, whole[2][:, None])
    torch.testing.assert_close(whole[2], (templates * features).sum(1))
    assert not whole[[0, 1, 3]].any()
