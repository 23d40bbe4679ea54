"""Sentences and progress go to standard error."""

import sys

import pytest

from tiercel.cli.terminal import progress, say


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
