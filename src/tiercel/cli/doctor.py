"""``tiercel doctor``: what is installed or what a folder holds, and whether it will do."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel import __version__

if TYPE_CHECKING:
    from tiercel.datasets.pairs import Checked

PACKAGES = ("torch", "numpy", "pillow", "rasterio", "pyproj", "pylance", "transformers", "numba")


def doctor(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", show_default=False, help="Folder of a data set or an atlas to look through."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw what is in PATH into a PNG or JPEG file.")
    ] = None,
) -> None:
    """Print versions, devices and the bundled model: what a question about an installation needs first.

    With PATH, say what data set or atlas lies there, what is missing, and where that is to be had: VIGOR, CVUSA, CVACT,
    a pair of folders (photos and tiles), a zooming benchmark, a simulated city or an atlas. Ends with code 2 when
    something is missing.

    [bold]Examples[/bold]

    tiercel doctor

    tiercel doctor VIGOR --plot vigor.jpg
    """
    if path is not None:
        _inspect(path, plot)
    elif plot is not None:
        raise typer.BadParameter("it draws what is in PATH: give that too.", param_hint="'--plot'")
    else:
        _installation()


def _inspect(path: Path, plot: Path | None) -> None:
    """Look through a folder."""
    from tiercel.datasets.inspection import inspect

    found = inspect(path)
    _print(found.checked)
    if plot is not None:
        found.draw(plot)
        print(f"Drawn into {plot}.")
    if not found.checked.whole:
        raise typer.Exit(2)


def _print(checked: Checked) -> None:
    """A line for each kind of file, and a verdict."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    title = escape(f"{checked.folder}: {checked.layout}")
    table = Table("what", "there", "missing", title=title, title_justify="left")
    for part in checked.parts:
        table.add_row(part.what, f"{part.there:,}", f"{part.missing:,}" if part.missing else "")
    console.print(table)
    for part in checked.parts:
        if part.missing:
            more = f" and {part.missing - len(part.first):,} more" if part.missing > len(part.first) else ""
            print(f"Missing {part.what}: {' '.join(part.first)}{more}")
    for sentence in (*checked.problems, *checked.notes):
        print(sentence)
    total = sum(part.missing for part in checked.parts)
    if checked.whole:
        print("Nothing is missing.")
    else:
        lacks = [f"{total:,} {'files are' if total > 1 else 'file is'} missing"] if total else []
        wrong = len(checked.problems)
        lacks += [f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong"] if wrong else []
        print(f"{' and '.join(lacks)}. {checked.source}")


def _installation() -> None:
    """What is installed."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "found", title=f"tiercel {__version__}", title_justify="left")
    table.add_row("Python", f"{platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        table.add_row(package, _version(package))
    table.add_row("device", _device())
    model, well = _bundled_model()
    table.add_row("bundled model", model)
    Console().print(table)
    if not well:
        raise typer.Exit(2)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing: install tiercel again with pip"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return f"CPU, {torch.get_num_threads()} threads"


def _bundled_model() -> tuple[str, bool]:
    """Load the bundled model and say what it is, or why it does not load."""
    from tiercel.errors import TiercelError
    from tiercel.models import load_model

    try:
        model = load_model("bundled")
    except TiercelError as error:
        return str(error), False
    return f"{model.name}, {model.fingerprint[:12]}", True
