"""``tiercel doctor``: what is installed, and whether it will do."""

from __future__ import annotations

import platform
from importlib import metadata

import typer

from tiercel import __version__

PACKAGES = ("torch", "numpy", "pillow", "rasterio", "pyproj", "pylance", "transformers", "numba")


def doctor() -> None:
    """Print versions, devices and the bundled model: what a question about an installation needs first.

    [bold]Example[/bold]

    tiercel doctor
    """
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
