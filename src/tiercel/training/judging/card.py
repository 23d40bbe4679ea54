"""The model card of a small judge."""

from __future__ import annotations

import csv
from pathlib import Path

import yaml

from tiercel.training.judging.recipe import JudgeRecipe


def judge_card(recipe: JudgeRecipe, folder: Path) -> str:
    """A model card in Markdown.

    Args:
        recipe: What the model was trained by.
        folder: The run, with its log.
    """
    cities = recipe.cities
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False).rstrip()
    lines = [
        "---", "license: apache-2.0", "library_name: transformers", "pipeline_tag: image-text-to-text",
        "tags: [cross-view geo-localization, reranking]", "---", "",
        f"# {recipe.judge}", "",
        "A small vision-language model that compares a street photo with places seen from above. LLaVA's architecture; "
        "its vision tower is the geometric match of tiercel's bundled model, and its connector multiplies what the "
        "photo says about the ground with what lies there. Weights are stored in fp16.", "",
        f"**Data.** Candidates of the first stage in {cities.count} simulated cities of {cities.size:g} m (seeds "
        f"{cities.seeds[0]} to {cities.seeds[-1]}), {cities.photos} photos of each kind in each; neither the first "
        "stage nor any test has seen them.", "",
        f"**Recipe.** Seed {recipe.seed}. `tiercel train recipes/judge.yaml -o runs/judge/small` makes it again:", "",
        "```yaml", text, "```", "",
        "**At the end of training**, mean over the last steps: " + _last(folder) + ".", "",
        "**What it is for.** Trying, testing and studying the second look with nothing to download. It reads photos as "
        "strips of the horizon and crops of 156 m at 320 pixels, and the prompts that come with tiercel; prompts "
        "worded otherwise are as good as unknown to it.", "",
        "**Limits.** It has seen simulated cities alone. Its reasons name what lies in four directions, and are no "
        "account of how it decides.", "",
        "**Licence.** Apache-2.0.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _last(folder: Path) -> str:
    """The last values of the log."""
    path = folder / "log.csv"
    if not path.is_file():
        return "not logged"
    with path.open() as file:
        last = {name: value for _, name, value in csv.reader(file) if name != "seconds"}
    return ", ".join(f"{name.replace('_', ' ')} {float(value):.3g}" for name, value in last.items())
