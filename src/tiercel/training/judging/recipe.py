"""What a small judge is made of and taught with: a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tiercel.errors import TiercelError, wrong_setting
from tiercel.training.splits import split_of


class LessonCities(BaseModel):
    """The cities that candidates are taken from.

    Attributes:
        first: Seed of the first; of the split ``train``, and none that the first stage was trained on.
        count: How many, one seed after the other.
        size: Side of a city, metres.
        photos: Photos of each kind in each.
        queries: As in `tiercel.candidates.simulated.CityPlan`.
        candidates: Candidates of each photo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int = 20_000
    count: int = 24
    size: float = 2000.0
    photos: int = 160
    queries: tuple[str, ...] = ("panorama_north", "panorama", "photo_90_north", "photo_90")
    candidates: int = 10

    @property
    def seeds(self) -> list[int]:
        """Of the cities."""
        return list(range(self.first, self.first + self.count))


class JudgeSizes(BaseModel):
    """Sizes of the language model.

    Attributes:
        width: Of its tokens.
        layers: Transformer layers.
        heads: Attention heads.
        hidden: Of the feed-forward layers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = 192
    layers: int = 4
    heads: int = 6
    hidden: int = 512


Lesson = Literal[
    "pairwise", "pairwise_reasoning", "yes_no", "likert", "score", "reasoning_score", "reasoning_then_score",
    "reasoning_then_yes_no", "listwise",
]  # fmt: skip


class JudgeRecipe(BaseModel):
    """A run.

    Attributes:
        judge: What is made, for people.
        model: The first stage whose candidates are judged, and whose geometric match the vision tower starts from.
        cities: What it is taught with.
        sizes: Of the language model.
        lessons: For each arm its share of the questions.
        steps: Optimiser steps.
        photos_per_step: Photos in a step.
        learning_rate: Peak, after a warm-up, before a cosine down to a fiftieth.
        warm_up: Steps.
        weight_decay: AdamW's.
        dropout: Share of a photo's sectors that are hidden.
        seed: Of weights and lessons.
        precision: ``bf16`` or ``no`` (fp32).
        threads: CPU threads; 0 leaves torch's own choice.
        save_every: Steps between resumable checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    model: str = "bundled"
    cities: LessonCities = LessonCities()
    sizes: JudgeSizes = JudgeSizes()
    lessons: dict[Lesson, float] = {
        "pairwise": 0.35, "yes_no": 0.2, "likert": 0.1, "score": 0.05, "reasoning_score": 0.05,
        "reasoning_then_score": 0.05, "reasoning_then_yes_no": 0.05, "pairwise_reasoning": 0.1, "listwise": 0.05,
    }  # fmt: skip
    steps: int = 4000
    photos_per_step: int = 32
    learning_rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 0.05
    dropout: float = 0.1
    seed: int = 0
    precision: Literal["bf16", "no"] = "bf16"
    threads: int = 0
    save_every: int = 250

    @model_validator(mode="after")
    def _of_training_seeds(self) -> JudgeRecipe:
        wrong = [seed for seed in self.cities.seeds if split_of(seed) != "train"]
        if wrong:
            raise ValueError(f"cities {wrong[:3]} are not of the split 'train': see training/splits.py")
        return self

    @staticmethod
    def is_one(path: Path) -> bool:
        """Whether a file is such a recipe: it says what judge it makes."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            return False
        return isinstance(content, dict) and "judge" in content

    @classmethod
    def load(cls, path: Path) -> JudgeRecipe:
        """Reads a recipe.

        Raises:
            TiercelError: It is missing, no YAML, or has settings that do not exist or go together.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TiercelError(f"recipe {path} does not exist: the project's are in recipes/.") from None
        except (yaml.YAMLError, UnicodeDecodeError):
            raise TiercelError(f"recipe {path} is not valid YAML: compare it with recipes/judge.yaml.") from None
        return cls.checked(content, f"recipe {path}")

    @classmethod
    def checked(cls, content: Any, where: str) -> JudgeRecipe:  # noqa: ANN401  (whatever a file held)
        """From plain values.

        Raises:
            TiercelError: As for `load`.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise wrong_setting(where, error, "recipes/judge.yaml") from None
