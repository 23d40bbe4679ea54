"""The loop that teaches the small vision-language model, from candidates to a checkpoint that transformers loads."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.models.judge import (
    TOKENS,
    JudgeConfig,
    JudgeForConditionalGeneration,
    register,
    tower_of,
)
from tiercel.models.model import Model, load_model
from tiercel.rerank.prompt import load_prompt
from tiercel.training.judging.card import judge_card
from tiercel.training.judging.lessons import CERTAINTY, Example, Lessons, Step, Wording
from tiercel.training.judging.looks import CityLooks, prepare_looks
from tiercel.training.judging.recipe import JudgeRecipe
from tiercel.training.judging.words import CHAT_TEMPLATE, END, IMAGE

Report = Callable[[str], None]
STATE, WEIGHTS, LOG = "state.pt", "model.safetensors", "log.csv"
LOG_EVERY = 50
SEQUENCES_AT_ONCE = 64
REASON_WEIGHT = 0.5
"""Of a whole text against that of a single token: verdicts are what counts."""


def train_judge(
    recipe: JudgeRecipe | Path | str,
    folder: Path | str,
    *,
    resume: bool = False,
    cities: Path | str | None = None,
    report: Report = print,
) -> Path:
    """Makes a small judge by a recipe.

    Args:
        recipe: The recipe, or its file.
        folder: Where the model goes, with its processor, model card and log.
        resume: Go on where an earlier run in the same folder stopped.
        cities: Where cities, candidates and looks are kept; ``cities`` beside the folder by default.
        report: Told a line now and then.

    Returns:
        The folder.

    Raises:
        TiercelError: The recipe is wrong, or the folder holds another run and `resume` is not given.
    """
    recipe = recipe if isinstance(recipe, JudgeRecipe) else JudgeRecipe.load(Path(recipe))
    folder = Path(folder)
    if (folder / WEIGHTS).exists():
        report(f"{folder} is trained already")
        return folder
    if (folder / STATE).exists() and not resume:
        raise TiercelError(f"{folder} holds an unfinished run: give --resume to go on, or another folder.")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    first_stage = load_model(recipe.model)
    looks = prepare_lessons(recipe, first_stage, Path(cities) if cities else folder.parent / "cities", report)
    torch.manual_seed(recipe.seed)
    wording = Wording()
    model = make_judge(recipe, first_stage, wording.tokenizer)
    lessons = Lessons(looks, wording, recipe.lessons, recipe.photos_per_step, recipe.dropout, recipe.seed)
    report(f"{len(lessons.usable)} photos to learn from")
    folder.mkdir(parents=True, exist_ok=True)
    _Run(recipe, model, wording, lessons, folder, report).go()
    save_judge(model, wording.tokenizer, folder, judge_card(recipe, folder))
    report(f"model written to {folder}")
    return folder


def prepare_lessons(recipe: JudgeRecipe, first_stage: Model, folder: Path, report: Report) -> list[CityLooks]:
    """What the tower sees in the candidates of all cities of a recipe, made unless it is there."""
    from tiercel.candidates.simulated import CityPlan, city_candidates

    cities = recipe.cities
    plan = CityPlan(cities.size, cities.photos, cities.queries, cities.candidates)
    ranks = first_stage.with_heads([head for head in ("retrieval", "zoom") if head in first_stage.config.heads])
    tower, found = tower_of(first_stage).eval(), []
    for seed in cities.seeds:
        home = folder / f"city-{seed}-{cities.size:g}m-{cities.photos}"
        target = home / f"looks-{first_stage.fingerprint}-{plan.crop_m:g}m-{cities.candidates}-{len(plan.queries)}"
        if not target.is_dir():
            files = city_candidates(home, seed, plan, ranks, report)
            lists = [one for file in files.values() for one in file.lists]
            prepare_looks(target, lists, seed, cities.size, tower, cities.candidates)
            report(f"city {seed}: looked at")
        found.append(CityLooks.open(target))
    return found


def make_judge(recipe: JudgeRecipe, first_stage: Model, tokenizer: Any) -> JudgeForConditionalGeneration:  # noqa: ANN401
    """A model that has yet to learn."""
    from transformers import LlamaConfig

    register()
    tower, sizes = tower_of(first_stage), recipe.sizes
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.width,
        intermediate_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = JudgeConfig(
        vision_config=tower.config,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=TOKENS,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    # Faster than the fused one on short questions.
    model: JudgeForConditionalGeneration = JudgeForConditionalGeneration._from_config(
        config, attn_implementation="eager"
    )
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.vision_tower.requires_grad_(False)
    return model


class _Run:
    """One optimisation."""

    def __init__(
        self,
        recipe: JudgeRecipe,
        model: JudgeForConditionalGeneration,
        wording: Wording,
        lessons: Lessons,
        folder: Path,
        report: Report,
    ) -> None:
        self.recipe, self.model, self.lessons, self.folder, self.report = recipe, model, lessons, folder, report
        self.teacher = Teacher(model, wording)
        learning = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        decayed = [value for _, value in learning if value.ndim > 1]
        other = [value for _, value in learning if value.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": other, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
        self.parameters = [value for _, value in learning]

    def go(self) -> None:
        """All steps that are left."""
        recipe, first = self.recipe, self._restored()
        self.model.train()
        self.model.model.vision_tower.eval()
        totals: dict[str, list[float]] = {}
        started = time.perf_counter()
        for number in range(first, recipe.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.learning_rate * self._rate(number)
            with self._precision():
                found = self.teacher.learn(self.lessons.step(number))
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            for name, value in found.items():
                totals.setdefault(name, []).append(value)
            if (number + 1) % LOG_EVERY == 0 or number + 1 == recipe.steps:
                means = {name: sum(values) / len(values) for name, values in totals.items()}
                means["seconds"] = (time.perf_counter() - started) / LOG_EVERY
                self._log(number + 1, means)
                totals, started = {}, time.perf_counter()
            if (number + 1) % recipe.save_every == 0 and number + 1 < recipe.steps:
                self._save(number + 1)
        self.model.eval()

    def _rate(self, number: int) -> float:
        """Share of the peak."""
        warm = min(1.0, (number + 1) / max(1, self.recipe.warm_up))
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * number / self.recipe.steps)))

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self.recipe.precision == "bf16" else nullcontext()

    def _log(self, step: int, values: dict[str, float]) -> None:
        with (self.folder / LOG).open("a", newline="") as file:
            csv.writer(file).writerows([step, name, f"{value:.6g}"] for name, value in values.items())
        self.report(f"step {step}: " + ", ".join(f"{name} {value:.3g}" for name, value in values.items()))

    def _save(self, step: int) -> None:
        learnt = {name: value for name, value in self.model.state_dict().items() if ".vision_tower." not in name}
        state = {"step": step, "model": learnt, "optimizer": self.optimizer.state_dict(), "recipe": self._key}
        partial = self.folder / f"{STATE}.partial"
        torch.save(state, partial)
        os.replace(partial, self.folder / STATE)

    def _restored(self) -> int:
        """The step to go on with."""
        path = self.folder / STATE
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        if state["recipe"] != self._key:
            raise TiercelError(f"{path} is of another recipe: give another folder, or the same recipe again.")
        self.model.load_state_dict(state["model"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])

    @property
    def _key(self) -> str:
        return self.recipe.model_dump_json(exclude={"threads", "save_every", "judge"})


class Teacher:
    """Asks the model, and tells it what is right.

    Args:
        model: Learns.
        wording: Its tokenizer.
    """

    def __init__(self, model: JudgeForConditionalGeneration, wording: Wording) -> None:
        """Nothing is asked yet."""
        self.model, self.tokenizer = model, wording.tokenizer
        self.image = int(model.config.image_token_index)
        self.encoded = lru_cache(maxsize=50_000)(self._encoded)
        self.yes, self.no = (self.encoded(word)[0] for word in load_prompt("yes_no").verdict.choices)

    def learn(self, step: Step) -> dict[str, float]:
        """Adds the gradients of a step's lessons; gives mean losses, and the share of verdicts that are right."""
        examples = self._certain(step)
        examples.sort(key=lambda one: len(self.encoded(one.text)) + len(self.encoded(one.answer)))
        groups = [examples[first : first + SEQUENCES_AT_ONCE] for first in range(0, len(examples), SEQUENCES_AT_ONCE)]
        sums: dict[str, list[float]] = {}
        for group in groups:
            loss = torch.zeros(())
            for example, (logits, target) in zip(group, self._answers(step, group), strict=True):
                one = functional.cross_entropy(logits, target)
                loss = loss + one * (REASON_WEIGHT if example.open_ended else 1.0)
                kind = "text" if example.open_ended else "verdict"
                sums.setdefault(f"{kind}_loss", []).append(float(one.detach()))
                if not example.open_ended:
                    sums.setdefault("right", []).append(float(logits[0].argmax() == target[0]))
            (loss / len(examples)).backward()
        return {name: sum(values) / len(values) for name, values in sums.items()}

    def _certain(self, step: Step) -> list[Example]:
        """The examples, with what the model itself makes of a place where that is to be said."""
        import dataclasses

        open_ones = [one for one in step.examples if one.certainty_text]
        if not open_ones:
            return list(step.examples)
        asked = [dataclasses.replace(one, text=one.certainty_text, answer="Yes", open_ended=False) for one in open_ones]
        with torch.no_grad():
            logits = torch.stack([found[0][0] for found in self._answers(step, asked)]).float()
        shares = torch.sigmoid(logits[:, self.yes] - logits[:, self.no])
        told = iter((100 * shares).round().int().tolist())
        return [
            dataclasses.replace(one, answer=one.answer.replace(CERTAINTY, str(next(told))))
            if one.certainty_text
            else one
            for one in step.examples
        ]

    def _answers(self, step: Step, examples: Sequence[Example]) -> list[tuple[Tensor, Tensor]]:
        """For each example (n, vocabulary) logits and (n,) tokens, at the n tokens of its answer."""
        asked = [self.encoded(one.text) for one in examples]
        right = [self.encoded(one.answer + END if one.open_ended else one.answer) for one in examples]
        right = [tokens if one.open_ended else tokens[:1] for tokens, one in zip(right, examples, strict=True)]
        rows = [question + answer[:-1] for question, answer in zip(asked, right, strict=True)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self.tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
        embedded = self.model.get_input_embeddings()(ids)
        pictures = self._pictures(step, examples).to(embedded.dtype)
        embedded = embedded.masked_scatter((ids == self.image)[..., None], pictures)
        hidden = self.model.model.language_model(inputs_embeds=embedded).last_hidden_state
        places = [
            range(len(question) - 1, len(question) + len(answer) - 1)
            for question, answer in zip(asked, right, strict=True)
        ]
        wanted = torch.cat([hidden[row, list(some)] for row, some in enumerate(places)])
        logits = self.model.lm_head(wanted).float().split([len(answer) for answer in right])
        return [(one, torch.tensor(answer)) for one, answer in zip(logits, right, strict=True)]

    def _pictures(self, step: Step, examples: Sequence[Example]) -> Tensor:
        """(pictures * TOKENS, width) in the order in which they are shown, each made once."""
        connector: Any = self.model.model.multi_modal_projector
        wanted = {(one.photo, place) for one in examples for place in one.places}
        rows = [row for row, pair in enumerate(step.shown) if pair in wanted]
        number = {step.shown[row]: index for index, row in enumerate(rows)}
        photos = connector.photos(step.polar)
        polar = step.polar[[step.shown[row][0] for row in rows]]
        places = connector.places(polar, step.ground[rows], step.summary[rows])
        everything = torch.cat([photos, places.to(photos.dtype)])
        order = [
            index
            for one in examples
            for index in (one.photo, *(len(photos) + number[one.photo, place] for place in one.places))
        ]
        return everything[order].flatten(0, 1)

    def _encoded(self, text: str) -> list[int]:
        """Tokens of a text, every picture as many as it takes."""
        expanded = text.replace(IMAGE, IMAGE * TOKENS)
        return list(self.tokenizer(expanded, add_special_tokens=False)["input_ids"])


def save_judge(model: JudgeForConditionalGeneration, tokenizer: Any, folder: Path, card: str) -> None:  # noqa: ANN401
    """Writes a model as transformers reads it, its weights in fp16 with their hash beside them."""
    from transformers import CLIPImageProcessorPil, LlavaProcessor

    vision: Any = model.config.vision_config
    side = int(vision.image_size)
    pictures = CLIPImageProcessorPil(  # the one that needs no torchvision
        size={"height": side, "width": side},
        do_center_crop=False,
        crop_size={"height": side, "width": side},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=side,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=TOKENS - 1,
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )
    model.half().save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / f"{WEIGHTS}.sha256").write_text(f"{digest}  {WEIGHTS}\n", encoding="utf-8")
