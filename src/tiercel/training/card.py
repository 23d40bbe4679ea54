"""The model card that every checkpoint carries: what it was made from, how, and how well it does."""

from __future__ import annotations

import csv
from pathlib import Path

from tiercel.training.recipe import Recipe
from tiercel.training.splits import seeds

METRICS = "<!-- metrics -->"
"""Where `tiercel evaluate --card` writes the tables; what follows is replaced."""


def model_card(recipe: Recipe, recipe_text: str, folder: Path) -> str:
    """A model card in Markdown.

    Args:
        recipe: What the model was trained by.
        recipe_text: The recipe as it stands in its file.
        folder: The run, with one folder and ``log.csv`` for each stage.
    """
    heads = ", ".join(dict.fromkeys(head for stage in recipe.stages for head in stage.heads))
    lines = [
        "---",
        "license: apache-2.0",
        "library_name: tiercel",
        "tags: [cross-view geo-localization, visual place recognition]",
        "---",
        "",
        f"# {recipe.model.name}",
        "",
        f"Locates street photos on overhead maps. Heads: {heads}. Weights are stored in fp16.",
        "",
        f"**Data.** {_data(recipe)}",
        "",
        f"**Recipe.** Seed {recipe.seed}. `tiercel train recipes/compact.yaml -o runs/compact` makes it again:",
        "",
        "```yaml",
        recipe_text.rstrip(),
        "```",
        "",
        "**At the end of training**, on batches of the validation cities (losses in nats):",
        "",
        *_last_validation(recipe, folder),
        "",
        "**Limits.** Real photos and maps look different; see the README for how far off it is on some.",
        "",
        "**Licence.** Apache-2.0.",
        "",
        METRICS,
        "",
    ]
    return "\n".join(lines)


def _data(recipe: Recipe) -> str:
    """What it was trained on."""
    if recipe.data and any("embedding" in stage.heads for stage in recipe.stages):
        return (
            f"Photos and tiles in {recipe.data}, its split `train`, of which a few tiles and their photos were kept "
            "aside to watch progress on; see there whose they are."
        )
    if recipe.data:
        return f"Photos and the map in {recipe.data}, split as its CSV files say; see there whose they are."
    train = seeds("train", recipe.cities.train, recipe.cities.first)
    watched = seeds("validation", recipe.cities.validation, recipe.cities.first)
    return (
        "Nothing but cities made by tiercel's simulator: no photo and no map of a real place. "
        f"{len(train)} cities of {recipe.cities.size:g} m (seeds {train[0]} to {train[-1]}), {recipe.cities.views} "
        f"panoramas in each; progress was watched on cities of seeds {', '.join(map(str, watched))}. Test cities have "
        "seeds below 1000 and took no part."
    )


def _last_validation(recipe: Recipe, folder: Path) -> list[str]:
    """One table row for each stage and value of the last validation."""
    lines = ["| stage | value | |", "| --- | --- | ---: |"]
    for stage in recipe.stages:
        log = folder / stage.name / "log.csv"
        if not log.exists():
            continue
        with log.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["name"].startswith("validation_")]
        last = max((int(row["step"]) for row in rows), default=0)
        for row in rows:
            if int(row["step"]) == last:
                name = row["name"].removeprefix("validation_").replace("_", " ")
                lines.append(f"| {stage.name}, step {last} | {name} | {float(row['value']):.3g} |")
    return lines
