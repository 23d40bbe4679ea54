"""The answer and its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tiercel.errors import TiercelError
from tiercel.fix import Fix
from tiercel.geo import Square
from tiercel.photos import Photo


def test_json_begins_with_the_promised_keys_and_is_strict(fix: Fix) -> None:
    answer = fix.to_json()
    promised = ["photo", "lat", "lon", "x", "y", "crs", "radius_50_m", "radius_90_m", "candidates"]
    assert list(answer)[: len(promised)] == promised
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert answer["heading"] == 124.4
    first, second = answer["candidates"]
    assert first["distance_m"] == 0 and first["cell"] == {"level": 3, "row": 20, "col": 30}
    assert second["distance_m"] == pytest.approx(31.25 * np.hypot(30, 20)) and second["heading"] is None


def test_json_has_no_infinity(fix: Fix) -> None:
    answer = replace(fix, radius_90_m=float("inf"), radius_50_m=float("nan"), heading=None).to_json()
    assert answer["radius_90_m"] is None and answer["radius_50_m"] is None and answer["heading"] is None
    json.dumps(answer, allow_nan=False)


def test_a_heat_map_of_another_tree_is_refused(fix: Fix) -> None:
    with pytest.raises(ValueError, match="64 x 64"):
        replace(fix, heat=np.zeros((16, 16), np.float32))


def test_png_is_written_whole_or_not_at_all(fix: Fix, tmp_path: Path) -> None:
    def broken(square: Square, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        raise TiercelError("The map is gone: mount it again.")

    photo = Photo.from_array(np.zeros((30, 40, 3), np.uint8), panorama=False, field_of_view=70)
    with pytest.raises(TiercelError, match="The map is gone"):
        fix.to_png(tmp_path / "a.png", photo=photo, overhead=broken)
    assert not list(tmp_path.iterdir())
    with pytest.raises(TiercelError, match="cannot be written"):
        fix.to_png(tmp_path / "none" / "a.png", photo=photo, overhead=_plain)


def _plain(square: Square, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((pixels, pixels, 3), 120, np.uint8), np.ones((pixels, pixels), bool)
