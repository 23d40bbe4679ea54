"""Teaching the small vision-language model to judge: on candidate lists of a first stage, in cities made for it."""

from tiercel.training.judging.loop import train_judge
from tiercel.training.judging.recipe import JudgeRecipe

__all__ = ["JudgeRecipe", "train_judge"]
