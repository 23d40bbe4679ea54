"""The package as a whole: what it exports, what it costs to import, and which room may know which."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import tiercel

ROOT = Path(tiercel.__file__).parent
HEAVY = ("torch", "transformers", "numba", "rasterio", "pyproj", "lance", "accelerate")
ROOMS = ["errors", "geo", "maps", "photos", "models", "atlas", "search", "fix", "locate"]
ROOMS += ["sim", "datasets", "candidates", "rerank", "training", "evaluation", "demo", "serve", "cli"]
"""In the order in which data walks through them: a room imports only rooms before it."""


def imported_after(statement: str) -> set[str]:
    """Names of the heavy packages that a fresh interpreter has imported after a statement."""
    code = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_package_or_the_command_line_loads_nothing_heavy() -> None:
    assert imported_after("import tiercel, tiercel.cli") == set()


def test_geo_leaves_projections_and_rasters_until_they_are_asked_for() -> None:
    assert imported_after("import tiercel.geo") == set()


@pytest.mark.parametrize("room", ["sim", "training"])
def test_a_bare_gpu_machine_can_simulate_and_train(room: str) -> None:
    modules = [f"tiercel.{room}.{path.stem}" for path in sorted((ROOT / room).glob("*.py")) if path.stem != "__init__"]
    loaded = imported_after("; ".join(f"import {module}" for module in [f"tiercel.{room}", *modules]))
    assert loaded.isdisjoint({"rasterio", "pyproj", "lance"})


@pytest.mark.parametrize("name", [name for name in tiercel.__all__ if not name.startswith("__")])
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tiercel, name).__module__.startswith("tiercel")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'falcon'"):
        _ = tiercel.falcon


def room_of(path: Path) -> str:
    """The room a source file stands in."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def rooms_imported_by(path: Path) -> set[str]:
    """The rooms that the modules a file imports stand in."""
    modules: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules += [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    parts = [module.split(".") for module in modules]
    return {part[1] for part in parts if part[0] == "tiercel" and len(part) > 1 and part[1] in ROOMS}


ENTRANCES = (ROOT / "__init__.py", ROOT / "__main__.py")
SOURCES = [path for path in sorted(ROOT.rglob("*.py")) if path not in ENTRANCES]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_knows_only_the_rooms_before_it(path: Path) -> None:
    room = room_of(path)
    assert room in ROOMS
    later = ROOMS[ROOMS.index(room) + 1 :]
    assert rooms_imported_by(path).isdisjoint(later)


@pytest.mark.parametrize("room", [room for room in ROOMS if (ROOT / room).is_dir()])
def test_every_room_says_what_it_is_for(room: str) -> None:
    spec = importlib.util.find_spec(f"tiercel.{room}")
    assert spec is not None and spec.origin is not None
    assert ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
