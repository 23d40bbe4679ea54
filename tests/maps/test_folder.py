from pathlib import Path

import numpy as np
import pytest

from tests.maps.pattern import GROUND, put, template, tms, xyz
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.maps import open_map


def test_all_numberings_show_the_same(tmp_path: Path) -> None:
    shown = []
    for kind in (xyz, tms, template):
        (tmp_path / kind.__name__).mkdir()
        with open_map(kind(tmp_path / kind.__name__)) as basemap:
            shown.append(basemap.read(GROUND, 100))
    for rgb, covered in shown[1:]:
        assert np.array_equal(rgb, shown[0][0]) and np.array_equal(covered, shown[0][1])


def test_missing_and_empty_files_are_holes(tmp_path: Path) -> None:
    folder = xyz(tmp_path)
    with open_map(folder) as basemap:
        assert basemap.read(GROUND, 480)[1].all()
    fine = sorted((folder / "18").glob("*/*.png"))
    fine[len(fine) // 2].unlink()
    fine[len(fine) // 2 - 1].write_bytes(b"")
    with open_map(folder) as basemap:
        covered = basemap.read(GROUND, 480)[1]
    assert 0.4 < covered.mean() < 0.95


def test_fingerprint_follows_the_content_not_the_place(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    folder = xyz(tmp_path / "one")
    with open_map(folder) as basemap:
        before = basemap.fingerprint()
    moved = folder.rename(tmp_path / "moved")
    with open_map(moved) as basemap:
        assert basemap.fingerprint() == before
    next(moved.glob("18/*/*.png")).write_bytes(b"")
    with open_map(moved) as basemap:
        assert basemap.fingerprint() != before


def test_other_files_do_not_disturb(tmp_path: Path) -> None:
    folder = xyz(tmp_path)
    put(folder / "18" / "notes" / "readme.png", b"no tile")
    put(folder / "thumbnail.png", b"no tile")
    with open_map(folder) as basemap:
        assert basemap.read(Square(GROUND.x, GROUND.y, 100.0), 10)[1].all()


@pytest.mark.parametrize("bad", ["{z}/{x}.png", "{z}/{x}/{row}.png", "{z}/{x}/{y}/{y}.png"])
def test_template_must_name_tiles(bad: str, tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match="does not name tiles"):
        open_map(f"{tmp_path}/{bad}")


def test_template_that_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match="holds no tiles"):
        open_map(f"{tmp_path}/{{z}}/{{x}}/{{y}}.jpg")
