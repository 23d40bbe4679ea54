"""A small judge that has learnt nothing, made in a second."""

from pathlib import Path

import torch

from tiercel.models import load_model
from tiercel.models.judge import JudgeForConditionalGeneration
from tiercel.training.judging.lessons import Wording
from tiercel.training.judging.loop import make_judge, save_judge
from tiercel.training.judging.recipe import JudgeRecipe, JudgeSizes

RECIPE = JudgeRecipe(judge="tiny", sizes=JudgeSizes(width=32, layers=1, heads=2, hidden=48), precision="no")


def make(wording: Wording, seed: int = 0) -> JudgeForConditionalGeneration:
    """The model."""
    torch.manual_seed(seed)
    model = make_judge(RECIPE, load_model("bundled"), wording.tokenizer).eval()
    with torch.no_grad():
        for parameter in model.model.multi_modal_projector.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def save(folder: Path, seed: int = 0) -> Path:
    """Its folder, as transformers reads it."""
    wording = Wording()
    save_judge(make(wording, seed), wording.tokenizer, folder, "# tiny\n")
    return folder
