"""Results as data: rows in ``results/*.json``, from which every table in the docs is rendered."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tiercel.errors import TiercelError


@dataclass(frozen=True)
class Row:
    """One number and how it came about.

    Attributes:
        name: ``<metric>/<query>/<area>/<method>``.
        value: The number.
        unit: ``%``, ``m``, ``deg`` or ``s``.
        n: Queries it was measured on.
        low: Lower end of the 95 % interval, None where there is none.
        high: Upper end.
        seeds: Seeds of the cities.
        machine: What it ran on.
        command: What to run to measure it again.
        extra: Further numbers about the same thing, each under its own key in the file.
    """

    name: str
    value: float | None
    unit: str
    n: int
    low: float | None
    high: float | None
    seeds: tuple[int, ...]
    machine: str
    command: str
    extra: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Metric, query, area and method."""
        metric, query, area, method = self.name.split("/")
        return metric, query, area, method


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON, in one step; what is not a number becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    content = [{key: _plain(value) for key, value in _flat(row).items()} for row in rows]
    temporary.write_text("[\n" + ",\n".join(json.dumps(row) for row in content) + "\n]\n")
    temporary.replace(path)


def read_rows(path: Path) -> list[Row]:
    """Read rows.

    Raises:
        TiercelError: the file is missing or holds no rows.
    """
    try:
        return [_row(content) for content in json.loads(path.read_text())]
    except FileNotFoundError:
        raise TiercelError(f"{path} does not exist: run `tiercel evaluate` to make it.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise TiercelError(f"{path} holds no rows of results: run `tiercel evaluate` to make it anew.") from None


def _flat(row: Row) -> dict[str, object]:
    content = asdict(row)
    return {**content, **content.pop("extra")}


def _row(content: dict[str, Any]) -> Row:
    known = {one.name for one in fields(Row)}
    extra = {key: value for key, value in content.items() if key not in known}
    plain = {key: value for key, value in content.items() if key in known}
    return Row(**{**plain, "seeds": tuple(content["seeds"]), "extra": extra})


def machine() -> str:
    """This machine, in a few words."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores"


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
