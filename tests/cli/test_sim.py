"""What `tiercel sim` passes on, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from tiercel.datasets import simulated_pairs
from tiercel.datasets.pairs import open_pairs

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def grey(monkeypatch) -> None:
    """Draws grey pictures, of the sizes asked for."""

    def tile(scene: simulated_pairs.Scene, latitude: float, longitude: float) -> np.ndarray:
        return np.full((scene.city.form.tile_pixels,) * 2 + (3,), 90, np.uint8)

    def panorama(scene: simulated_pairs.Scene, shot: simulated_pairs.Shot) -> np.ndarray:
        return np.full((scene.city.form.panorama_height, scene.city.form.panorama_width, 3), 90, np.uint8)

    monkeypatch.setattr(simulated_pairs.Scene, "tile", tile)
    monkeypatch.setattr(simulated_pairs.Scene, "panorama", panorama)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("vigor", "VIGOR, same-area, original labels; photos: 4 in split train, 4 in split test"),
        ("cvusa", "CVUSA; photos: 6 in split train, 2 in split val"),
        ("cvact", "CVACT; photos: 4 in split train, 1 in split val, 4 in split test"),
    ],
)
def test_layouts_of_pairs(tiercel: Run, tmp_path: Path, layout: str, said: str) -> None:
    size = 330 if layout == "cvusa" else 200
    arguments = ("sim", "-o", tmp_path / "d", "--layout", layout, "--photos", 8, "--size", size, "--seed", 4)
    result = tiercel(*arguments)
    assert result.exit_code == 0, result.output
    assert said in result.stdout
    assert open_pairs(tmp_path / "d").check().whole
    assert tiercel(*arguments).exit_code == 0
    other = tiercel(*arguments[:-1], 5)
    assert other.exit_code == 2 and "holds another miniature" in other.stderr


def test_what_does_not_go_together(tiercel: Run, tmp_path: Path) -> None:
    kind = tiercel("sim", "-o", tmp_path / "d", "--layout", "vigor", "--kind", "photo_90")
    assert kind.exit_code == 2 and "has panoramas alone: leave --kind out" in kind.stderr
    large = tiercel("sim", "-o", tmp_path / "d", "--layout", "cvact", "--size", 5000)
    assert large.exit_code == 2 and "--layout justzoomin" in large.stderr
    hard = tiercel("sim", "-o", tmp_path / "d", "--layout", "vigor", "--difficulty", "hard")
    assert hard.exit_code == 2 and "is of difficulty 'plain' alone" in hard.stderr
    odd = tiercel("sim", "-o", tmp_path / "d", "--difficulty", "odd")
    assert odd.exit_code == 2 and "choose from plain, hard" in odd.stderr
    assert not (tmp_path / "d").exists()


def test_a_full_disk_leaves_nothing_half_written(tiercel: Run, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    result = tiercel("sim", "-o", tmp_path / "d", "--layout", "cvact", "--photos", 2, "--size", 200)
    assert result.exit_code == 2 and "cannot be written (No space left on device)" in result.stderr
    assert [path.name for path in (tmp_path / "d").rglob("*") if path.is_file()] == ["simulation.json"]
    shutil.rmtree(tmp_path / "d")
