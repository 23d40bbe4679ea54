"""Arms of a comparison: one file says what all of them share and what each changes, so that nothing else can differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.errors import TiercelError, wrong_setting
from tiercel.training.loop import WEIGHTS, prepare_data, train_stage
from tiercel.training.recipe import Recipe

Report = Callable[[str], None]


class Arm(BaseModel):
    """One way to train.

    Attributes:
        name: In result rows.
        words: For people.
        model: Settings of the model that differ from the base's.
        stage: Settings of the stage that differ from the common ones.
        cities: Settings of the cities that differ from the base's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    words: str
    model: dict[str, Any] = {}
    stage: dict[str, Any] = {}
    cities: dict[str, Any] = {}


class Arms(BaseModel):
    """What arms share, and the arms.

    Attributes:
        base: Recipe without stages.
        stage: What the stages of all arms share.
        arms: The arms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, Any]
    stage: dict[str, Any]
    arms: tuple[Arm, ...]

    @classmethod
    def checked(cls, path: Path, content: Any, example: str) -> Self:  # noqa: ANN401  (whatever a file held)
        """From the content of a file.

        Args:
            path: The file.
            content: What it holds.
            example: A file to compare it with, for the message.

        Raises:
            TiercelError: a setting is missing, unknown or of another kind.
        """
        try:
            arms = cls.model_validate(content)
        except ValidationError as error:
            raise wrong_setting(path, error, example) from None
        for arm in arms.arms:
            arms.recipe(arm)
        return arms

    def arm(self, name: str) -> Arm:
        """The arm of that name.

        Raises:
            TiercelError: there is none.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise TiercelError(f"there is no arm '{name}': use one of {', '.join(arm.name for arm in self.arms)}.")

    def recipe(self, arm: Arm, seed: int | None = None) -> Recipe:
        """The whole recipe of one arm.

        Args:
            arm: The arm.
            seed: Of weights and batches, instead of the base's.

        Raises:
            TiercelError: a setting does not exist.
        """
        model = {**self.base.get("model", {}), **arm.model, "name": arm.name}
        stage = {**self.stage, **arm.stage, "name": arm.name}
        base = self.base if seed is None else {**self.base, "seed": seed}
        if arm.cities:
            base = {**base, "cities": {**base.get("cities", {}), **arm.cities}}
        return Recipe.from_dict({**base, "model": model, "stages": [stage]}, f"arm '{arm.name}'")

    def train(self, arm: Arm, folder: Path, report: Report, seed: int | None = None) -> Path:
        """Train an arm unless it is trained.

        Args:
            arm: The arm.
            folder: Gets a folder for the arm; the cities that all comparisons share are rendered beside it.
            report: Told a line now and then.
            seed: Of weights and batches, instead of the base's.

        Returns:
            The folder of its weights.
        """
        recipe = self.recipe(arm, seed)
        (stage,) = recipe.stages
        target = folder / (arm.name if seed is None else f"{arm.name}-seed{seed}")
        if not (target / WEIGHTS).exists():
            if recipe.threads:
                torch.set_num_threads(recipe.threads)
            train_stage(recipe, stage, target, prepare_data(recipe, folder.parent / "cities", report), report)
        return target
