"""Sentences and progress go to standard error."""

import sys

import pytest

from tiercel.cli.terminal import progress, progress_of_steps, say


def test_say_speaks_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("The map has no coverage.")
    assert capsys.readouterr() == ("", "The map has no coverage.\n")


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Encoding") as report:
        report(1, 2)
    assert capsys.readouterr() == ("", "")


def test_progress_draws_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("Encoding") as report:
        report(1, 2)
        report(2, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Encoding" in err and "2/2" in err


def test_every_step_has_a_bar_that_appears_when_it_begins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_of_steps() as step:
        first, second, _ = step("Asking"), step("Downloading"), step("Never begun")
        first(3, 3)
        second(5, 7)
    err = capsys.readouterr().err
    assert "Asking" in err and "3/3" in err and "Downloading" in err and "5/7" in err and "Never begun" not in err
