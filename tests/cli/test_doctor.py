"""What `tiercel doctor` says of an installation."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from typer.testing import Result

from tests.cli.conftest import Rooms
from tiercel.errors import TiercelError

Run = Callable[..., Result]


def test_a_sound_installation(tiercel: Run, stand_in: Rooms) -> None:
    stand_in("models", load_model=lambda name: SimpleNamespace(name="compact", fingerprint="0123456789abcdef"))
    result = tiercel("doctor")
    assert result.exit_code == 0
    assert torch.__version__ in result.stdout
    assert "compact, 0123456789ab" in result.stdout


def test_a_damaged_model_is_said_and_ends_with_2(tiercel: Run, stand_in: Rooms) -> None:
    def damaged(name: str) -> None:
        raise TiercelError("weights are damaged")

    stand_in("models", load_model=damaged)
    result = tiercel("doctor")
    assert result.exit_code == 2
    assert "weights are damaged" in result.stdout
