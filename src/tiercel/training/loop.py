"""The one training loop: any stage, on a CPU or any number of GPUs, resumable at any step."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tiercel.errors import TiercelError
from tiercel.models.config import ModelConfig
from tiercel.models.model import Model, bundled_folder, load_model, save_model
from tiercel.training.batches import Batch, MatchBatches, RetrievalBatches
from tiercel.training.card import model_card
from tiercel.training.cities import TrainingCity, describe, prepare_cities
from tiercel.training.contrastive import ContrastiveLoss, PairBatches, steps_per_epoch
from tiercel.training.dataset_pairs import open_pair_sources
from tiercel.training.decoder import DecoderBatches, DecoderLoss, ZoomPhotos, in_steps, open_photos
from tiercel.training.feeding import Feed, FixedCities
from tiercel.training.losses import MatchLoss, RetrievalLoss, loss_for
from tiercel.training.muon import Muon
from tiercel.training.pairs import CityPairs, PairSource
from tiercel.training.recipe import Recipe, Stage
from tiercel.training.splits import seeds
from tiercel.training.stream import CityStream

if TYPE_CHECKING:
    from accelerate import Accelerator

Report = Callable[[str], None]
LOG_EVERY = 50
VALIDATION_BATCHES = 8
STATE = "state.pt"
BEST = "best.pt"
WEIGHTS = "model.safetensors"
RAISED = f"{TiercelError.__module__}.{TiercelError.__name__}: "
LENT = {"photo.": ("match.photo.",), "retrieval.encoder.": ("match.", "zoom.encoder.", "embedding.encoder.")}
"""Retrieval's encoders, and the other heads' that may start from them."""


def train(
    recipe_path: Path | str,
    folder: Path | str,
    *,
    resume: bool = False,
    stage: str | None = None,
    cities: Path | str | None = None,
    report: Report = print,
) -> Path:
    """Train a model by a recipe.

    Args:
        recipe_path: The YAML recipe.
        folder: Where the model goes: ``config.json``, ``model.safetensors``, and a folder with a log for each stage.
        resume: Go on where an earlier run in the same folder stopped.
        stage: Train only this stage (stages may run side by side); the model is put together when all are done.
        cities: Folder of the rendered cities; ``cities`` beside the model by default.
        report: Told a line now and then.

    Returns:
        The folder.

    Raises:
        TiercelError: the recipe is wrong, or the folder holds another run and `resume` is not given.
    """
    from accelerate import PartialState

    recipe, folder = Recipe.load(Path(recipe_path)), Path(folder)
    state = PartialState(cpu=not torch.cuda.is_available())
    report = report if state.is_main_process else _say_nothing
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    wanted = [recipe.stage(stage)] if stage else list(recipe.stages)
    for one in wanted:
        if (folder / one.name / STATE).exists() and not resume and not _done(folder, one):
            raise TiercelError(
                f"{folder / one.name} holds an unfinished run: give --resume to go on, or another folder."
            )
    if recipe.data and any("embedding" in one.heads for one in wanted):
        prepared = Prepared(*open_pair_sources(recipe))
    elif recipe.data:
        prepared = Prepared(*open_photos(recipe, state.process_index, state.num_processes))
    else:
        with state.main_process_first():
            prepared = prepare_data(recipe, Path(cities) if cities else folder / "cities", report)
    for one in wanted:
        if not _done(folder, one):
            train_stage(recipe, one, folder / one.name, prepared, report)
    if state.is_main_process and all(_done(folder, one) for one in recipe.stages):
        assemble(recipe, folder, model_card(recipe, Path(recipe_path), folder))
        report(f"model written to {folder}")
    return folder


def _say_nothing(line: str) -> None:
    """What the other processes of a run report."""


def _done(folder: Path, stage: Stage) -> bool:
    return (folder / stage.name / WEIGHTS).exists()


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Cities to train on, and other cities to watch progress on; or photos or pairs of a data set in their place.

    Attributes:
        train: What trains; a folder where cities without end are rendered.
        validation: What progress is watched on.
    """

    train: list[TrainingCity] | ZoomPhotos | PairSource | Path
    validation: list[TrainingCity] | ZoomPhotos | PairSource


def prepare_data(recipe: Recipe, folder: Path, report: Report) -> Prepared:
    """Render the cities of a recipe, as far as they are not in the folder yet."""
    endless = recipe.cities.window > 0
    train_seeds = [] if endless else seeds("train", recipe.cities.train, recipe.cities.first)
    watched = seeds("validation", recipe.cities.validation, recipe.cities.first)
    folder.mkdir(parents=True, exist_ok=True)
    workers = recipe.workers or os.cpu_count() or 1

    def progress(done: int, total: int) -> None:
        report(f"cities rendered: {done} of {total}")

    ready = prepare_cities(train_seeds + watched, folder, recipe.cities, recipe.model, workers, progress)
    describe(folder, train_seeds + watched, recipe.cities, recipe.model)
    return Prepared(folder if endless else ready[: len(train_seeds)], ready[len(train_seeds) :])


Batches = RetrievalBatches | MatchBatches | DecoderBatches | PairBatches


class Steps(Dataset[Batch]):
    """The batch of each step, a function of the seed, the step and the process alone."""

    def __init__(self, batches: Batches, seed: int, steps: range, process: int) -> None:
        """Steps of a run, or those that are left of it."""
        self.batches, self.seed, self.steps, self.process = batches, seed, steps, process

    def __len__(self) -> int:
        """Steps left."""
        return len(self.steps)

    def __getitem__(self, index: int) -> Batch:
        """The batch of the index-th step left."""
        step = self.steps[index]
        return self.batches.sample(np.random.default_rng([self.seed, step, self.process]), step)


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine from the peak down to a share of it (see `Stage`)."""
    warm_up = round(stage.warm_up_share * stage.steps) or stage.warm_up
    behind = warm_up if stage.warm_up_share else 0
    warm = min(1.0, (step + 1) / max(1, warm_up))
    cosine = 0.5 * (1 + math.cos(math.pi * max(0, step - behind) / (stage.steps - behind)))
    return stage.learning_rate * warm * (stage.final_rate + (1 - stage.final_rate) * cosine)


def optimiser_for(stage: Stage, parameters: list[nn.Parameter], step: int) -> torch.optim.Optimizer:
    """A new optimiser of the kind that the stage has at a step; the step before the first is as the first."""
    kind = Muon if max(step, 0) >= stage.muon_from else torch.optim.AdamW
    return kind(parameters, lr=stage.learning_rate, weight_decay=stage.weight_decay)


def train_stage(recipe: Recipe, stage: Stage, folder: Path, cities: Prepared, report: Report = print) -> None:
    """Train one stage into its folder, from its last checkpoint if there is one.

    Args:
        recipe: The whole recipe.
        stage: The stage.
        folder: Gets ``log.csv``, ``state.pt`` on the way, and ``config.json`` and ``model.safetensors`` at the end.
        cities: Rendered cities, or the photos of a data set.
        report: Told a line now and then.
    """
    _check_fed(recipe, stage)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    accelerator = _accelerator(recipe, stage)
    config = dataclasses.replace(recipe.model, heads=stage.heads)
    cities = _in_pairs(cities, config)
    stage, validate_every = _in_steps(recipe, stage, cities, accelerator.num_processes)
    model = Model(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss_module = loss_for(model, stage)
    if isinstance(loss_module, RetrievalLoss) and stage.teacher:
        loss_module.teachers.append(load_model(folder.parent / stage.teacher, accelerator.device))
    if isinstance(loss_module, MatchLoss) and stage.beside:
        loss_module.beside.append(load_model(folder.parent / stage.beside, accelerator.device))
    frozen = freeze(model, stage.frozen)
    learning = [parameter for parameter in loss_module.parameters() if parameter.requires_grad]
    kept = _restore(folder / STATE, loss_module)
    first = int(kept["step"]) if kept else 0
    optimiser = optimiser_for(stage, learning, first - 1)
    if kept:
        optimiser.load_state_dict(kept["optimiser"])
    if stage.start_from and not first:
        source = bundled_folder() if stage.start_from == "bundled" else folder.parent / stage.start_from
        take_over(model, source / WEIGHTS, stage.start_parts)
    prepared, prepared_optimiser = accelerator.prepare(loss_module, optimiser)
    kind: Any = loss_module.batches
    batches: Batches = kind(_feed(cities.train, recipe, stage, config, accelerator), stage, config)
    if isinstance(batches, PairBatches):
        batches.run_in(recipe.seed, accelerator.process_index, accelerator.num_processes)
        batches.restore(kept["pairs"] if kept else None)
    watch: Batches = kind(_feed(cities.validation, recipe, stage, config, accelerator), stage, config, augment=False)
    log = Log(folder / "log.csv" if accelerator.is_main_process else None, first, recipe.tensorboard)
    waiting, last = 0.0, time.perf_counter()
    best = _best(folder / BEST)
    for step, batch in _steps(batches, loss_module, recipe, stage, first, accelerator):
        waiting += batch[1]
        if step == stage.muon_from and step > 0:
            optimiser = optimiser_for(stage, learning, step)
            prepared_optimiser = accelerator.prepare(optimiser)
        for group in prepared_optimiser.param_groups:
            group["lr"] = learning_rate(stage, step)
        prepared.train()
        for part in frozen:
            part.eval()
        # Dropout too is a function of the seed, the step and the process alone.
        torch.manual_seed((recipe.seed * 1_000_003 + step) * 1_009 + accelerator.process_index)
        with accelerator.autocast():
            out = prepared(_to(batch[0], accelerator.device))
        prepared_optimiser.zero_grad()
        accelerator.backward(out["loss"])
        accelerator.clip_grad_norm_(prepared.parameters(), stage.clip)
        prepared_optimiser.step()
        log.add(out)
        done = step + 1
        if done % LOG_EVERY == 0 or done == stage.steps:
            now = time.perf_counter()
            line = log.write(done, seconds=now - last, waiting_share=waiting / (now - last))
            waiting, last = 0.0, now
            report(f"{stage.name} {done}/{stage.steps}: {line}")
        if cities.validation and (done % validate_every == 0 or done == stage.steps):
            begun = time.perf_counter()
            values = _validate(prepared, watch, accelerator)
            if isinstance(loss_module, DecoderLoss) and isinstance(cities.validation, ZoomPhotos):
                with accelerator.autocast():
                    values |= loss_module.measure(cities.validation)
            if isinstance(loss_module, ContrastiveLoss) and isinstance(watch, PairBatches):
                with accelerator.autocast():
                    values |= loss_module.measure(watch)
            report(f"{stage.name} {done}/{stage.steps} validation: {log.write_validation(done, values)}")
            if stage.keep_best and accelerator.is_main_process:
                best = _keep_better(folder / BEST, model, _named(values, stage), best)
            last += time.perf_counter() - begun
        if done % recipe.save_every == 0 and accelerator.is_main_process:
            _save(folder / STATE, loss_module, optimiser, done, batches)
    if accelerator.is_main_process:
        if best is not None:
            model.load_state_dict(torch.load(folder / BEST, weights_only=True, map_location="cpu")["model"])
        save_model(model, folder, f"Heads {', '.join(stage.heads)} of {config.name}, an intermediate result.\n")
        (folder / STATE).unlink(missing_ok=True)
        (folder / BEST).unlink(missing_ok=True)
    accelerator.wait_for_everyone()


def _accelerator(recipe: Recipe, stage: Stage) -> Accelerator:
    """What spreads a stage over its devices."""
    from accelerate import Accelerator, DistributedDataParallelKwargs

    # A backbone may have parts, such as its own pooling, that an embedding does not use.
    unused = DistributedDataParallelKwargs(find_unused_parameters="embedding" in stage.heads)
    return Accelerator(mixed_precision=recipe.precision, cpu=not torch.cuda.is_available(), kwargs_handlers=[unused])


def _feed(
    source: list[TrainingCity] | ZoomPhotos | PairSource | Path,
    recipe: Recipe,
    stage: Stage,
    config: ModelConfig,
    accelerator: Accelerator,
) -> Feed | ZoomPhotos | PairSource:
    """What batches are made from."""
    if isinstance(source, Path):
        processes = accelerator.process_index, accelerator.num_processes
        return CityStream(source, recipe.cities, config, recipe.seed, stage.name, stage.skip_cities, *processes)
    return FixedCities(source) if isinstance(source, list) else source


def _in_pairs(data: Prepared, config: ModelConfig) -> Prepared:
    """Cities as pairs of photos and tiles, where that is what the model embeds."""
    if config.embedding is None:
        return data
    train, validation = data.train, data.validation
    return Prepared(
        CityPairs(train, config) if isinstance(train, list) else train,
        CityPairs(validation, config) if isinstance(validation, list) else validation,
    )


def _in_steps(recipe: Recipe, stage: Stage, data: Prepared, processes: int) -> tuple[Stage, int]:
    """The stage with its epochs counted in steps, and the steps between validations."""
    if isinstance(data.train, ZoomPhotos):
        stage = in_steps(stage, data.train)
        return stage, stage.validate_epochs * data.train.steps(stage) or recipe.validate_every
    if not isinstance(data.train, list | Path):
        steps = steps_per_epoch(stage, data.train, processes)
        return dataclasses.replace(stage, steps=stage.epochs * steps or stage.steps), (
            stage.validate_epochs * steps or recipe.validate_every
        )
    return stage, recipe.validate_every


def _steps(
    batches: Batches, loss_module: nn.Module, recipe: Recipe, stage: Stage, first: int, accelerator: Accelerator
) -> Iterator[tuple[int, tuple[Batch, float]]]:
    """Steps with their batches and the seconds that were spent waiting for each."""
    feed = getattr(batches, "feed", None)
    stream = feed if isinstance(feed, CityStream) else None
    while first < stage.steps:
        until = stage.steps
        if isinstance(batches, PairBatches) and isinstance(loss_module, ContrastiveLoss):
            with accelerator.autocast():
                until = batches.begin(first, partial(loss_module.encode, batches))
        steps = Steps(batches, recipe.seed, range(first, until), accelerator.process_index)
        ahead = 4 if recipe.workers else None
        loader = DataLoader(steps, batch_size=None, num_workers=recipe.workers, prefetch_factor=ahead)
        try:
            yield from _timed(loader, first, partial(_render_ahead, batches))
        finally:
            if stream is not None:
                stream.close()
        first = until


def _render_ahead(batches: Batches, step: int) -> None:
    """Have the cities rendered that a step needs, where they are rendered on the way."""
    if isinstance(batches, RetrievalBatches | MatchBatches) and isinstance(batches.feed, CityStream):
        batches.feed.render_ahead(step, batches.cut, batches.count)


def _timed(
    loader: DataLoader[Batch], first: int, ahead: Callable[[int], None]
) -> Iterator[tuple[int, tuple[Batch, float]]]:
    """Steps with their batches and the seconds that were spent waiting for each."""
    ahead(first)
    source, step = iter(loader), first
    while True:
        ahead(step)
        before = time.perf_counter()
        try:
            batch = next(source, None)
        except TiercelError as error:  # which comes from another process with that one's whole traceback
            raise TiercelError(str(error).splitlines()[-1].removeprefix(RAISED)) from None
        if batch is None:
            return
        yield step, (batch, time.perf_counter() - before)
        step += 1


def _to(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def _save(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, step: int, batches: Batches) -> None:
    state = {"module": module.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    if isinstance(batches, PairBatches):
        state["pairs"] = batches.state()
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    temporary.replace(path)


def _restore(path: Path, module: nn.Module) -> dict[str, Any] | None:
    """Load the last checkpoint; None without one. It also holds the step to go on with and the optimiser's state."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    module.load_state_dict(state["module"])
    return state


def _check_fed(recipe: Recipe, stage: Stage) -> None:
    """Make sure that a stage is fed what it can learn from.

    Raises:
        TiercelError: it is not.
    """
    if "embedding" in stage.heads and recipe.cities.window and not recipe.data:
        raise TiercelError(
            f"stage '{stage.name}' looks for neighbours among all its cities, so these have an end: set window: 0."
        )
    if "embedding" in stage.heads or ("decoder" in stage.heads) == bool(recipe.data):
        return
    wanted = "data: FOLDER of photos and a map" if not recipe.data else "cities, and no data"
    raise TiercelError(f"stage '{stage.name}' with heads {list(stage.heads)} needs {wanted}: mend the recipe.")


def _named(values: dict[str, float], stage: Stage) -> float:
    """The validation value that a stage keeps its best weights by.

    Raises:
        TiercelError: there is none of that name.
    """
    if stage.keep_best not in values:
        raise TiercelError(
            f"stage '{stage.name}' cannot keep_best '{stage.keep_best}': use one of {', '.join(values)}."
        )
    return values[stage.keep_best]


def _best(path: Path) -> float | None:
    """The best validation value of a run so far, None without one."""
    return float(torch.load(path, weights_only=True, map_location="cpu")["value"]) if path.exists() else None


def _keep_better(path: Path, model: Model, value: float, best: float | None) -> float:
    """Write the weights if they are better than the best so far; the best then."""
    if best is not None and value <= best:
        return best
    temporary = path.with_suffix(".partial")
    torch.save({"model": model.state_dict(), "value": value}, temporary)
    temporary.replace(path)
    return value


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Keep parts of a model from learning.

    Args:
        model: The model.
        names: Of its modules, such as ``photo``, or of single weights, such as ``retrieval.log_scale``.

    Returns:
        The modules among them, which are to be put into evaluation mode.

    Raises:
        TiercelError: the model has no such part.
    """
    modules, weights = dict(model.named_modules()), dict(model.named_parameters())
    for name in names:
        if name not in modules and name not in weights:
            raise TiercelError(f"frozen names '{name}', which this model has not: name a part of it, such as photo.")
        (modules.get(name) or weights[name]).requires_grad_(False)
    return [modules[name] for name in names if name in modules]


def take_over(model: Model, path: Path, parts: tuple[str, ...] = ()) -> int:
    """Start from another stage's weights: from those of the same name, and a new head's encoders from retrieval's.

    Args:
        model: Whose weights are set, as far as they have the same shapes.
        path: Weights of a model.
        parts: Only weights whose names begin with one of these; all if empty.

    Returns:
        How many tensors were taken over.

    Raises:
        TiercelError: there are no such weights yet, or none of them fits.
    """
    if not path.exists():
        raise TiercelError(f"{path} is not there yet: train that stage first.")
    own, weights = model.state_dict(), load_file(path)
    weights = {name: value for name, value in weights.items() if not parts or name.startswith(parts)}
    lent = {
        new + name.removeprefix(old): value
        for old, heads in LENT.items()
        for new in heads
        for name, value in weights.items()
        if name.startswith(old)
    }
    # What the head itself has learnt comes before what it may borrow.
    taken = {
        name: value.to(own[name].dtype)
        for name, value in (lent | weights).items()
        if name in own and own[name].shape == value.shape
    }
    if not taken:
        raise TiercelError(f"{path} has no weights that fit this stage: start from a stage with the head 'retrieval'.")
    model.load_state_dict(taken, strict=False)
    return len(taken)


@torch.no_grad()
def _validate(module: nn.Module, batches: Batches, accelerator: Accelerator) -> dict[str, float]:
    """Mean losses over the same few batches of cities that never train."""
    module.eval()
    sums: dict[str, float] = {}
    for index in range(VALIDATION_BATCHES):
        batch = batches.sample(np.random.default_rng([index, 7]))
        with accelerator.autocast():
            for name, value in module(_to(batch, accelerator.device)).items():
                sums[name] = sums.get(name, 0.0) + float(value) / VALIDATION_BATCHES
    return sums


class Log:
    """A CSV of means since the last row, and TensorBoard's files if wanted.

    Args:
        path: The CSV; rows behind `first` are dropped, since those steps are done again. None writes nothing.
        first: The step the run goes on with.
        tensorboard: Also write for TensorBoard.
    """

    def __init__(self, path: Path | None, first: int, tensorboard: bool) -> None:
        """Opens the CSV."""
        self.path = path
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.board: Any = None
        if path is None:
            return
        kept = []
        if path.exists() and first:
            with path.open(newline="") as file:
                kept = [row for row in csv.reader(file) if row and row[0].isdigit() and int(row[0]) <= first]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["step", "name", "value"], *kept])
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(path.parent))

    def add(self, values: dict[str, Tensor]) -> None:
        """Count one step's values."""
        self.count += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=value.device)) + value.detach()

    def write(self, step: int, **extra: float) -> str:
        """Write the means and start anew; a line to show."""
        means = {name: float(total) / self.count for name, total in self.sums.items()} | extra
        self.sums, self.count = {}, 0
        return self._rows(step, means)

    def write_validation(self, step: int, values: dict[str, float]) -> str:
        """Write validation values; a line to show."""
        return self._rows(step, {f"validation_{name}": value for name, value in values.items()})

    def _rows(self, step: int, values: dict[str, float]) -> str:
        if self.path is not None:
            with self.path.open("a", newline="") as file:
                csv.writer(file).writerows([step, name, f"{value:.6g}"] for name, value in values.items())
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)
        return ", ".join(f"{name.removeprefix('validation_')} {value:.3g}" for name, value in values.items())


def assemble(recipe: Recipe, folder: Path, card: str) -> Model:
    """Put the stages' heads together into one model and write it with its card."""
    heads = tuple(dict.fromkeys(head for stage in recipe.stages for head in stage.heads))
    model = Model(dataclasses.replace(recipe.model, heads=heads))
    for stage in recipe.stages:
        part = load_model(folder / stage.name, "cpu")
        model.load_state_dict(part.state_dict(), strict=False)
    save_model(model, folder, card)
    return model
