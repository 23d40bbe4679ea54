"""A command line whose rooms answer at once, so that only the command line is under test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tiercel.cli import app

Rooms = Callable[..., None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Rooms:
    """Replace a room by one that has just these names."""

    def replace(room: str, **names: Any) -> None:
        monkeypatch.setitem(sys.modules, f"tiercel.{room}", SimpleNamespace(**names))

    return replace


@pytest.fixture
def tiercel() -> Callable[..., Result]:
    """Run the command line with these arguments."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
