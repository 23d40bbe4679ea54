"""The model card that every checkpoint carries: what it was made from, how, and how well it does."""

from __future__ import annotations

import csv
from pathlib import Path

from tiercel.training.recipe import Recipe
from tiercel.training.splits import seeds

METRICS = "<!-- metrics -->"
"""Where `tiercel evaluate --card` writes the tables; what follows is replaced."""


USE = (
    "**What it is for.** Saying where on an overhead map a street photo was taken, and how sure that is: a panorama, "
    "or a photo of some 55 to 120 degrees, with or without its heading, on a map of half a metre a pixel or finer.",
    "**What it cannot do.** It knows no place by heart: without a map there is no answer, and of a photo that was "
    "taken off the map it does not say so. It reads no signs, and was made for streets: not for interiors, landscapes, "
    "night or photos from the air. Real photos and maps look different from those it learnt from; `docs/real.md` says "
    "how it does on some.",
    "**How it fails.** Mostly in narrow photos of streets that look like others: it names another place along the same "
    "street, or a twin of it elsewhere, as a rule with a wide region. A heading that nobody knows makes this likelier. "
    "Its regions are calibrated on simulated cities, and promise too much where the pictures are of another kind. "
    "`docs/errors.md` shows wrong answers by cause.",
)
"""What whoever thinks of using a model has to know, whatever it was trained on."""


def model_card(recipe: Recipe, file: Path, folder: Path) -> str:
    """A model card in Markdown.

    Args:
        recipe: What the model was trained by.
        file: The recipe's file.
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
        f"**Recipe.** Seed {recipe.seed}. `tiercel train recipes/{file.name} -o runs/{folder.name}` makes it again"
        f"{_behind(recipe)}:",
        "",
        "```yaml",
        file.read_text(encoding="utf-8").rstrip(),
        "```",
        "",
        "**At the end of training**, on batches of the validation cities (losses in nats):",
        "",
        *_last_validation(recipe, folder),
        "",
        *(line for paragraph in USE for line in (paragraph, "")),
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
    cities = recipe.cities
    watched = seeds("validation", cities.validation, cities.first)
    train = seeds("train", max(1, cities.train), cities.first)
    many = (
        f"Cities without end from seed {train[0]} on, each panorama used {cities.uses} times"
        if cities.window
        else f"{cities.train} cities (seeds {train[0]} to {train[-1]})"
    )
    hard = f", {cities.hard:.0%} of them hard ones" if cities.hard else ""
    return (
        "Nothing but cities made by tiercel's simulator: no photo and no map of a real place. "
        f"{many}{hard}; {cities.size:g} m square, with {cities.views} panoramas in each. Progress was watched on "
        f"cities of seeds {', '.join(map(str, watched))}. Test cities have seeds below 1000 and took no part."
    )


def _behind(recipe: Recipe) -> str:
    """The runs that a recipe goes on from."""
    runs = dict.fromkeys(Path(stage.start_from).name for stage in recipe.stages if stage.start_from.startswith("../"))
    return "".join(f", once `recipes/{name}.yaml` has made `runs/{name}`" for name in runs)


def _last_validation(recipe: Recipe, folder: Path) -> list[str]:
    """One table row for each stage and value of the last validation."""
    lines = ["| stage | value | |", "| --- | --- | ---: |"]
    for stage in recipe.stages:
        log = folder / stage.name / "log.csv"
        if not log.exists():
            continue
        with log.open(newline="") as file:
            rows = list(csv.DictReader(file))
        lines += _time(stage.name, rows)
        rows = [row for row in rows if row["name"].startswith("validation_")]
        last = max((int(row["step"]) for row in rows), default=0)
        for row in rows:
            if int(row["step"]) == last:
                name = row["name"].removeprefix("validation_").replace("_", " ")
                lines.append(f"| {stage.name}, step {last} | {name} | {float(row['value']):.3g} |")
    return lines


def _time(stage: str, rows: list[dict[str, str]]) -> list[str]:
    """How long a stage took, and how much of that was spent in the network rather than waiting for batches."""
    seconds, waiting = (
        [float(row["value"]) for row in rows if row["name"] == name] for name in ("seconds", "waiting_share")
    )
    if not seconds or len(seconds) != len(waiting):
        return []
    waited = sum(spent * share for spent, share in zip(seconds, waiting, strict=True)) / sum(seconds)
    return [
        f"| {stage} | minutes | {sum(seconds) / 60:.3g} |",
        f"| {stage} | of these in the network, % | {100 * (1 - waited):.3g} |",
    ]
