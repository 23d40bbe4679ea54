"""What `tiercel doctor` says of an installation, and of a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from typer.testing import Result

from tests.cli.conftest import Rooms
from tests.datasets.pairs.handmade import write_vigor
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


def test_a_data_set_that_is_whole(tiercel: Run, tmp_path: Path) -> None:
    folder = write_vigor(tmp_path / "VIGOR")
    result = tiercel("doctor", folder, "--plot", tmp_path / "vigor.png")
    assert result.exit_code == 0, result.output
    assert "VIGOR" in result.stdout and "tiles of Seattle" in result.stdout and "Nothing is missing." in result.stdout
    assert (tmp_path / "vigor.png").is_file()


def test_a_data_set_that_lacks_something_says_where_it_is_to_be_had(tiercel: Run, tmp_path: Path) -> None:
    folder = write_vigor(tmp_path / "VIGOR")
    lost = sorted((folder / "Seattle" / "panorama").iterdir())[0]
    lost.unlink()
    result = tiercel("doctor", folder)
    assert result.exit_code == 2
    assert "1 file is missing" in result.stdout and "github.com/Jeff-Zilence/VIGOR" in result.stdout
    assert lost.name[:10] in result.stdout


def test_a_list_that_is_torn_is_said_among_what_is_there(tiercel: Run, tmp_path: Path) -> None:
    folder = write_vigor(tmp_path / "VIGOR")
    path = folder / "splits" / "Chicago" / "pano_label_balanced.txt"
    path.write_text(path.read_text()[:-10])
    result = tiercel("doctor", folder)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert "1 thing is wrong" in result.stdout and "pano_label_balanced.txt, line 3" in result.stdout


def test_what_is_nothing_that_is_known(tiercel: Run, tmp_path: Path) -> None:
    result = tiercel("doctor", tmp_path)
    assert result.exit_code == 2 and "is no data set that is known" in result.stderr
    assert tiercel("doctor", tmp_path / "lost").exit_code == 2
    assert tiercel("doctor", "--plot", tmp_path / "p.png").exit_code == 2
