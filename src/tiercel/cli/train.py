"""``tiercel train``: train a model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.terminal import say
from tiercel.errors import TiercelError


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

    tiercel train recipes/quick.yaml -o runs/quick

    tiercel train recipes/quick.yaml -o runs/quick --resume

    tiercel train recipes/judge.yaml -o runs/judge/small
    """
    from tiercel.training import train as train_model
    from tiercel.training.judging import JudgeRecipe, train_judge

    if JudgeRecipe.is_one(recipe):
        if stage is not None:
            raise TiercelError(f"{recipe} is of a judge, whose training has no stages: leave out --stage.")
        print(train_judge(recipe, out, resume=resume, report=say))
        return
    print(train_model(recipe, out, resume=resume, stage=stage, report=say))
