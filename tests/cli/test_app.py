"""Errors become sentences; help has examples."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.conftest import Rooms
from tiercel import __version__
from tiercel.errors import TiercelError

Run = Callable[..., Result]
VERBS = ("demo", "build", "locate", "sim", "train", "evaluate", "doctor")


def failing(error: BaseException) -> Callable[..., None]:
    """A function that only raises."""

    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (TiercelError("recipe.yaml: no such file; write one."), 2, "Error: recipe.yaml: no such file; write one."),
        (KeyboardInterrupt(), 130, "Stopped; nothing is left half-written."),
        (KeyboardInterrupt("Stopped; run it again to go on."), 130, "Stopped; run it again to go on."),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/model.safetensors"),
            2,
            "Error: the disk is full while writing runs/model.safetensors; "
            "free some space, or choose another folder, and try again.",
        ),
        (
            OSError("LanceError(IO): No space left on device (os error 28)"),
            2,
            "Error: the disk is full; free some space, or choose another folder, and try again.",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(
    tiercel: Run, stand_in: Rooms, error: BaseException, code: int, sentence: str
) -> None:
    stand_in("training", train=failing(error))
    result = tiercel("train", "recipe.yaml", "-o", "runs")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", sentence + "\n")


@pytest.mark.parametrize("error", [ValueError("a mistake of ours"), OSError(errno.EIO, "Input/output error")])
def test_a_mistake_of_ours_keeps_its_traceback(tiercel: Run, stand_in: Rooms, error: Exception) -> None:
    stand_in("training", train=failing(error))
    result = tiercel("train", "recipe.yaml", "-o", "runs")
    assert result.exception is error


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_has_an_example(tiercel: Run, verb: str) -> None:
    result = tiercel(verb, "--help")
    assert result.exit_code == 0
    assert f"tiercel {verb}" in result.stdout.split("Example", 1)[1]


def test_help_lists_the_verbs_and_version_prints_it(tiercel: Run) -> None:
    shown = tiercel("--help").stdout
    assert all(verb in shown for verb in VERBS)
    assert tiercel("--version").stdout == f"tiercel {__version__}\n"


def test_a_missing_argument_is_a_usage_error(tiercel: Run, tmp_path: Path) -> None:
    result = tiercel("build", "-o", tmp_path / "atlas")
    assert result.exit_code == 2
    assert "Missing argument 'MAP'" in result.stderr
