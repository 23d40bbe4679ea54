"""``tiercel train``: train a model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.terminal import say


def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="YAML file: what is trained, on what, and for how long.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for checkpoints and logs.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in DIR.")] = False,
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="Train this stage only; stages may run side by side.")
    ] = None,
) -> None:
    """Train a model; everything about it stands in the recipe.

    [bold]Examples[/bold]

    tiercel train recipes/compact.yaml -o runs/compact

    tiercel train recipes/compact.yaml -o runs/compact --resume
    """
    from tiercel.training import train as train_model

    print(train_model(recipe, out, resume=resume, stage=stage, report=say))
