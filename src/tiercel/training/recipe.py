"""A training recipe: a YAML file that says all there is to say about a training run, its seed included."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tiercel.errors import TiercelError
from tiercel.models.config import ModelConfig


@dataclass(frozen=True)
class Cities:
    """The simulated cities that a run is fed from.

    Attributes:
        train: How many of the split ``train``, rendered before the training; it makes no difference where `window` is
            given.
        window: How many cities of the split ``train`` are at hand at once, while the next ones are rendered and those
            behind are dropped, without end; 0 for `train` cities and no others.
        uses: How often a panorama serves while its city is at hand, each time with another crop, turn and camera.
        renderers: Processes that render the next cities.
        validation: How many of the split ``validation``.
        first: Skip this many seeds of each split.
        views: Panoramas rendered in each city.
        pavement: Share of them taken on pavements and paths, the others on carriageways.
        size: Side of a city in metres; a power-of-two multiple of a leaf, as the zoom tree needs.
        hard: Share of the cities that are hard ones (see `tiercel.sim.difficulty`); the others are plain.
        rays: Rays along each side of a pixel of a panorama: 2 for smooth ones, 1 for four times as many an hour.
    """

    train: int = 40
    window: int = 0
    uses: int = 1
    renderers: int = 1
    validation: int = 2
    first: int = 0
    views: int = 600
    pavement: float = 0.3
    size: float = 2000.0
    hard: float = 0.0
    rays: int = 2


@dataclass(frozen=True)
class Stage:
    """One optimisation: some heads, for some steps.

    Stages may run side by side, but one that starts from another's weights has to wait until these are there.

    Attributes:
        name: Its folder.
        heads: ``[retrieval]``, ``[zoom]``, both (they share a photo encoder), ``[match]``, ``[embedding]``, or
            ``[decoder]``.
        steps: Optimiser steps.
        epochs: Passes over the photos, instead of `steps` (embedding and decoder).
        start_from: Stage, trained before, whose weights this one starts from: the same head's, or its encoders' if
            this one's head is another; or ``bundled`` for the weights that come with tiercel.
        start_parts: Parts of those weights to start from, such as ``[photo, retrieval.encoder]``; all if left out.
        frozen: Parts of the model, or single weights, that stay as they are, such as ``[photo]``.
        skip_cities: Cities without end that are left out at the beginning: earlier stages have used them up.
        cities_per_step: Different cities in a batch.
        crops_per_city: Map crops from each of them.
        photos_per_crop: Photos in each crop.
        negatives_per_crop: Further positions in each crop (retrieval).
        squares_per_crop: Zoom squares of the finest level encoded for each crop.
        wrong_headings: Wrong headings that compete with the right one for each photo (match and embedding).
        panoramas: Share of steps with panoramas; the others have photos of `field_of_view` degrees.
        panoramas_until: Before this step there are only panoramas, which are easier to learn from.
        augmented: Share of pictures whose colours are varied.
        plain_from: From this step on none are, so that training ends on what the simulator makes; 0 for never.
        faults: Share of photos with faults that real ones have (retrieval, zoom and match), at every step.
        restyled: Share of overhead pictures in another style (retrieval, zoom and match), at every step.
        field_of_view: Least and greatest horizontal field of view of photos.
        tilt: Standard deviations of the pitch and roll of photos, degrees.
        panorama_tilt: Standard deviation of the lean of panoramas about each of two level axes, degrees.
        field_of_view_error: How far the true field of view of a photo is from what is said of it at most, as a share.
        distortion: Greatest radial distortion of a photo, as a share of the distance from its centre half a picture's
            width away.
        position_error: Standard deviation of the error along each axis of where photos are said to have been taken,
            metres; the match knows how large it is, and looks for the truth around.
        heading_error: How far off the right heading may be, degrees (match): as much as a compass, or as the nearest
            of the headings that are tried where none is known.
        muon_from: From this step on Muon optimises, AdamW before; 0 for Muon from the start.
        learning_rate: Peak, after a warm-up, before a cosine.
        final_rate: Share of the peak that the cosine comes down to.
        warm_up: Steps.
        warm_up_share: Share of all steps, instead of `warm_up`; the cosine then starts behind it.
        weight_decay: AdamW's.
        clip: Greatest gradient norm.
        zoom_loss: Weight of the zoom head's loss.
        zoom_objective: What zooming is trained for: ``siblings`` (the right child among the children of each square on
            the way, as published), ``branches`` (the right child among those of all squares of the batch, level by
            level), ``reject`` (the right child or "not in this square", for all squares) or ``tree`` (the right path
            among all paths of the batch by their summed scores, its beginnings too).
        land_cover_loss: Weight of naming what lies where, from the map and from the photo (retrieval and match).
        teacher: Folder, beside the stage's, of a model that is trained already, whose word on every pose of a batch is
            learnt as well (retrieval).
        teacher_loss: Weight of that.
        beside: Folder, beside the stage's, of a model that is trained already and whose retrieval has its say on every
            pose beside the match, which then learns most what retrieval does not know (match).
        beside_weight: Of its say.
        likely_headings: Whether wrong headings are drawn where the one beside holds them likely, and weighed so that
            they stand for all wrong ones, instead of at random (match).
        pairs_per_batch: Pairs of a photo and a tile in a batch of each process (embedding).
        pairs_per_epoch: Pairs that one pass takes, drawn anew for each; 0 for all there are (embedding).
        sampling: Which pairs meet in a batch: ``random``; ``gps``, neighbours on the ground; or ``dynamic``, those in
            the first epochs and then neighbours by their embeddings, as Sample4Geo has it (embedding).
        gps_epochs: How many epochs these first ones are (embedding, dynamic).
        refresh_epochs: Epochs after which all embeddings are computed and neighbours looked for anew (dynamic).
        neighbours_pool: Nearest neighbours of a pair that may join it in a batch (embedding).
        neighbours_chosen: How many of them do: half of them the nearest, half drawn from the others (embedding).
        tile_scales: Cells of how many times the leaf's side tiles are cut around, with as much more ground (embedding).
        unknown_headings: Share of photos whose heading nobody knows; their strips begin anywhere (embedding).
        photos_per_batch: Photos in a batch of each process (decoder).
        photos_per_place: How many of them are taken from one and the same of the last squares looked at, as far as it
            has so many; they share its encodings, and those of all squares around it (decoder).
        pretrained: Start from the weights that the encoder's makers published; ``compact`` has none (decoder).
        unfrozen_blocks: Last blocks of the encoder that are trained, with its final norm; -1 for all of it (decoder).
        label_smoothing: Share of the target that is spread over all children or tiles (decoder and embedding).
        validate_epochs: Passes over the photos between validations, instead of the recipe's steps (decoder and
            embedding).
        keep_best: Validation value whose best weights are kept, such as ``r1_40m`` or ``r1``; else the last (decoder
            and embedding).
    """

    name: str
    heads: tuple[str, ...]
    steps: int = 0
    epochs: int = 0
    start_from: str = ""
    start_parts: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    skip_cities: int = 0
    cities_per_step: int = 2
    crops_per_city: int = 2
    photos_per_crop: int = 24
    negatives_per_crop: int = 176
    squares_per_crop: int = 6
    wrong_headings: int = 2
    panoramas: float = 0.4
    panoramas_until: int = 0
    augmented: float = 0.5
    plain_from: int = 0
    faults: float = 0.0
    restyled: float = 0.0
    field_of_view: tuple[float, float] = (55.0, 120.0)
    tilt: tuple[float, float] = (3.5, 1.0)
    panorama_tilt: float = 0.0
    field_of_view_error: float = 0.0
    distortion: float = 0.0
    position_error: float = 0.0
    heading_error: float = 2.8
    muon_from: int = 0
    learning_rate: float = 1e-3
    final_rate: float = 0.02
    warm_up: int = 100
    warm_up_share: float = 0.0
    weight_decay: float = 0.02
    clip: float = 5.0
    zoom_loss: float = 0.3
    zoom_objective: str = "branches"
    land_cover_loss: float = 0.0
    teacher: str = ""
    teacher_loss: float = 1.0
    beside: str = ""
    beside_weight: float = 0.7
    likely_headings: bool = False
    pairs_per_batch: int = 64
    pairs_per_epoch: int = 0
    sampling: str = "dynamic"
    gps_epochs: int = 4
    refresh_epochs: int = 4
    neighbours_pool: int = 128
    neighbours_chosen: int = 64
    tile_scales: tuple[float, ...] = (1.0,)
    unknown_headings: float = 0.5
    photos_per_batch: int = 64
    photos_per_place: int = 1
    pretrained: bool = True
    unfrozen_blocks: int = -1
    label_smoothing: float = 0.1
    validate_epochs: int = 0
    keep_best: str = ""

    def __post_init__(self) -> None:
        """Refuses a stage without an end.

        Raises:
            TypeError: it has neither steps nor epochs.
        """
        if not self.steps and not self.epochs:
            raise TypeError(f"stage '{self.name}' has no end: give steps, or epochs")


@dataclass(frozen=True)
class Recipe:
    """A whole run.

    Attributes:
        model: Sizes of the model.
        cities: What it is fed.
        data: Folder that feeds it instead: photos and a map in the published layout (decoder), or photos and tiles in
            any layout that `tiercel.datasets.pairs.open_pairs` knows (embedding).
        layout: Which of these it is; recognised if left out.
        area: Its protocol, ``same`` or ``cross`` (VIGOR).
        labels: ``original`` or ``corrected`` (VIGOR).
        stages: The optimisations.
        seed: Seed of weights and batches.
        precision: ``bf16`` or ``no`` (fp32).
        workers: Processes that prepare batches; 0 for none beside the training itself.
        threads: CPU threads of the training process; 0 leaves torch's own choice.
        save_every: Steps between resumable checkpoints.
        validate_every: Steps between validations.
        tensorboard: Also log for TensorBoard (needs the package ``tensorboard``).
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    cities: Cities = field(default_factory=Cities)
    data: str = ""
    layout: str = ""
    area: str = "same"
    labels: str = "original"
    stages: tuple[Stage, ...] = ()
    seed: int = 0
    precision: str = "bf16"
    workers: int = 0
    threads: int = 0
    save_every: int = 200
    validate_every: int = 500
    tensorboard: bool = False

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a YAML recipe.

        Raises:
            TiercelError: the file is missing, is no YAML, or has settings that do not exist.
        """
        import yaml

        try:
            content = yaml.safe_load(path.read_text())
        except FileNotFoundError:
            raise TiercelError(f"recipe {path} does not exist: the project's are in recipes/.") from None
        except (yaml.YAMLError, UnicodeDecodeError):
            raise TiercelError(f"recipe {path} is not valid YAML: compare it with those in recipes/.") from None
        if not isinstance(content, dict):
            raise TiercelError(f"recipe {path} holds no settings: compare it with those in recipes/.")
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: dict[str, Any], where: str = "recipe") -> Recipe:
        """From plain values, as in YAML.

        Raises:
            TiercelError: a setting does not exist.
        """
        content = dict(content)
        content["model"] = ModelConfig.from_dict(content.get("model") or {}, f"{where}, model")
        content["cities"] = _filled(Cities, content.get("cities") or {}, f"{where}, cities")
        stages = content.get("stages") or []
        if not isinstance(stages, list):
            raise TiercelError(f"{where}, stages: a list is needed: compare with the recipes in recipes/.")
        content["stages"] = tuple(_filled(Stage, stage, f"{where}, stages") for stage in stages)
        return _filled(cls, content, where)

    def stage(self, name: str) -> Stage:
        """The stage of that name.

        Raises:
            TiercelError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = ", ".join(stage.name for stage in self.stages) or "none"
        raise TiercelError(f"the recipe has no stage '{name}': it has {names}.")


_Kind = TypeVar("_Kind", Cities, Stage, Recipe)


def _filled(kind: type[_Kind], content: Any, where: str) -> _Kind:  # noqa: ANN401  (whatever a file held)
    """The data class `kind` from plain values; lists become tuples."""
    if not isinstance(content, dict):
        raise TiercelError(f"{where}: '{content}' are no settings: compare with the recipes in recipes/.")
    unknown = sorted(set(content) - {item.name for item in dataclasses.fields(kind)})
    if unknown:
        raise TiercelError(f"{where}: unknown settings ({', '.join(unknown)}): compare with the recipes in recipes/.")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise TiercelError(f"{where}: {error}.") from None
