"""``python -m tiercel.evaluation.zoom_speed FILE``: how fast zooming is on this machine, as rows of results.

Every row is a ratio of two things done by the same network on the same photos, or the seconds that went into one. The
weights are random, which bears on the time of the exact searches alone: they look at more of the map the less sure the
picks are. So these are measured twice, with picks as sure as the published recall implies and with those of the raw
weights, which are hardly better than a guess.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tiercel.datasets import simulate
from tiercel.datasets.simulated import MAP_FILE
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.geo import Square, ZoomTree
from tiercel.maps import Basemap, open_map
from tiercel.models import Model, ModelConfig
from tiercel.models.config import DecoderConfig
from tiercel.models.justzoomin import JustZoomInNet, images_to_tensor, photo_halves
from tiercel.photos import Photo
from tiercel.search import best_first, greedy, posterior
from tiercel.search.decoder import DecoderPolicy, DecoderSquares
from tiercel.training.decoder import DecoderBatches, DecoderLoss, ZoomPhotos
from tiercel.training.recipe import Stage

COMMAND = "make bench"
SEED = 2026
SIZE_M = 2000.0
SURE = 0.86
"""Mean probability of the best pick: four such picks in a row are as often right as 55.74 %, the published R@1<40 m."""
TRAINED_ON = 20_000
"""Photos of the simulated training set, about as dense on the streets' squares as the published ones."""


@dataclass(frozen=True)
class Network:
    """A network to time.

    Attributes:
        name: In the rows.
        sizes: Its sizes.
        photos: How many photos each thing is timed on.
        whole_map: Encode all squares of the map; else those that the picks lead to, with random vectors for the others.
        training: Time its training too.
    """

    name: str
    sizes: DecoderConfig
    photos: int
    whole_map: bool
    training: bool


COMPACT = DecoderConfig(encoder="compact", pixels=160, width=128, blocks=4, heads=4, hidden=128)


def networks() -> tuple[Network, ...]:
    """The compact network, and the published one with a DINOv2-B, as far as this machine can do it."""
    gpu = torch.cuda.is_available()
    return (
        Network("compact", COMPACT, 20 if gpu else 6, whole_map=True, training=True),
        Network("dinov2-base", DecoderConfig(), 20 if gpu else 2, whole_map=gpu, training=gpu),
    )


def measure() -> list[Row]:
    """Time zooming in a simulated city."""
    from tiercel.sim import make_world, sample_viewpoints

    chosen = networks()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "city"
        count = max(network.photos for network in chosen)
        files = [one.file for one in simulate(folder, seed=SEED, size=SIZE_M, photos=count)]
        streets = sample_viewpoints(make_world(SEED, SIZE_M), TRAINED_ON, np.random.default_rng(SEED))
        with open_map(folder / MAP_FILE) as basemap:
            return measure_on(basemap, files, np.stack([streets["x"], streets["y"]], 1), chosen, SIZE_M)


def measure_on(
    basemap: Basemap, files: Sequence[Path], places: NDArray[np.float64], chosen: Sequence[Network], size: float
) -> list[Row]:
    """Time zooming on a map.

    Args:
        basemap: The map.
        files: Photos, wherever they were taken.
        places: (n, 2) metres east and north of the map's south-west corner, where photos to train on were taken.
        chosen: The networks.
        size: Side of the map in metres.

    Returns:
        Rows named ``<metric>/<what>/zoom/<network>``; the interval is that of the photos.
    """
    rows: list[Row] = []
    for network in chosen:
        bench = _Bench(network, basemap, files[: network.photos], size)
        rows += bench.queries()
        rows += bench.training(places) if network.training else []
    return rows


class _Bench:
    """One network on one map.

    Args:
        network: The network.
        basemap: The map.
        files: Photos.
        size: Side of the map's square in metres.
    """

    def __init__(self, network: Network, basemap: Basemap, files: Sequence[Path], size: float) -> None:
        torch.manual_seed(0)
        self.network, self.basemap, self.files, self.sizes = network, basemap, files, network.sizes
        device = "cuda" if torch.cuda.is_available() else "cpu"
        config = ModelConfig.of_decoder(self.sizes, network.name, size / self.sizes.grid**self.sizes.depth)
        self.model = Model(config).eval().to(device)
        west, south, east, north = basemap.bounds
        root = Square((west + east) / 2, (south + north) / 2, size)
        self.tree = ZoomTree(root, self.sizes.grid, self.sizes.depth)
        rng = np.random.default_rng(0)
        counts = [self.tree.count(level) for level in range(self.tree.depth)]
        self.tokens = [rng.standard_normal((count, self.sizes.width)).astype(np.float32) for count in counts]
        if network.whole_map:
            for level, count in enumerate(counts):
                self._encode(level, range(count))

    @property
    def net(self) -> JustZoomInNet:
        """The network."""
        assert self.model.decoder is not None
        return self.model.decoder

    def _encode(self, level: int, cells: Sequence[int]) -> None:
        for first in range(0, len(cells), 16):
            some = np.array(cells[first : first + 16])
            views = [self.view(level, int(cell)) for cell in some]
            covered = np.ones((len(some), self.sizes.pixels, self.sizes.pixels), np.bool_)
            self.tokens[level][some] = self.model.encode_squares(np.stack(views), covered)

    def view(self, level: int, cell: int) -> NDArray[np.uint8]:
        """The picture of a square."""
        row, col = self.tree.unflat(level, cell)
        return self.basemap.read(self.tree.square(level, int(row), int(col)), self.sizes.pixels)[0]

    def cells(self, picks: Sequence[int]) -> list[int]:
        """The squares on the way of picks, from the root, as flat indices of their levels."""
        ways = [np.asarray(picks[:level], np.int64) for level in range(self.tree.depth)]
        return [int(self.tree.flat(level, *self.tree.from_path(way))) for level, way in enumerate(ways)]

    @torch.inference_mode()
    def published(self, file: Path) -> list[int]:
        """The published evaluation: at each step the photo, all squares so far and the whole sequence anew."""
        device = self.model.device
        halves = images_to_tensor(photo_halves(Photo.open(file).pixels, self.sizes.pixels)[None]).to(device)
        views: list[NDArray[np.uint8]] = []
        picks: list[int] = []
        for level in range(self.tree.depth):
            views.append(self.view(level, int(self.tree.flat(level, *self.tree.from_path(np.array(picks, np.int64))))))
            photo = plain_tokens(self.net, halves[0]).mean(0, keepdim=True)
            squares = plain_tokens(self.net, images_to_tensor(np.stack(views)).to(device))
            logits = self.net.decoder(photo, squares[None], torch.tensor([picks], dtype=torch.int64, device=device))
            picks.append(int(logits[0, -1].argmax()))
        return picks

    def query(self, squares: DecoderSquares, file: Path, search: Callable[[DecoderPolicy], Any]) -> tuple[Any, int]:
        """One of tiercel's queries, from the file on: what the search found, and how many squares it looked at."""
        policy = squares.policy(self.model.encode_tokens([Photo.open(file)])[0])
        return search(policy), policy.expanded

    def queries(self) -> list[Row]:
        """Ratios and seconds of whole queries."""
        rows: list[Row] = []
        self._sharpen()
        self.model.encode_tokens([Photo.open(self.files[0])])
        seconds, found = self._timed({"published_loop": self.published}, warm_up=False)
        for picks in found["published_loop"]:
            for level, cell in enumerate(self.cells(picks)):
                self._encode(level, [cell])
        squares = DecoderSquares(self.net.decoder, self.tree, self.tokens)
        photos = {file: Photo.open(file) for file in self.files}
        tasks: dict[str, Callable[[Path], Any]] = {
            "encoding": lambda file: self.model.encode_tokens([photos[file]]),
            "greedy": lambda file: self.query(squares, file, greedy),
            "best_first": lambda file: self.query(squares, file, lambda policy: best_first(policy, 1)),
            "global": lambda file: self.query(squares, file, posterior),
        }
        ours, answers = self._timed(tasks)
        seconds, found = seconds | ours, found | answers
        alike = [
            loop == descent.actions[0].tolist()
            for loop, (descent, _) in zip(found["published_loop"], found["greedy"], strict=True)
        ]
        if not all(alike):
            raise AssertionError(f"{alike.count(False)} of {len(alike)} greedy ways differ from the published loop's")
        self._blunt()
        squares = DecoderSquares(self.net.decoder, self.tree, self.tokens)
        flat, found_flat = self._timed({"best_first_unsure": tasks["best_first"]})
        seconds, found = seconds | flat, found | found_flat
        for name in ("greedy", "best_first", "best_first_unsure", "global"):
            rows.append(self._ratio("query_over_encoding", name, seconds[name], seconds["encoding"]))
        rows.append(self._ratio("speedup_over_published_loop", "greedy", seconds["published_loop"], seconds["greedy"]))
        for name in ("best_first", "best_first_unsure"):
            looked_at = np.array([expanded for _, expanded in found[name]], float)
            rows.append(self._row("squares_scored", name, "squares", looked_at))
        return rows + [self._row("seconds", name, "s", values) for name, values in seconds.items()]

    def training(self, places: NDArray[np.float64], steps: int = 4) -> list[Row]:
        """Squares saved in a batch, and photos a second against encoding every square of every photo."""
        rows: list[Row] = []
        data = _Streets(self, places)
        for name, per_place in (("random", 1), ("places_of_4", 4)):
            stage = Stage(
                "decoder", ("decoder",), steps=steps, photos_per_place=per_place, pretrained=False,
                unfrozen_blocks=-1 if self.sizes.encoder == "compact" else 4,
            )  # fmt: skip
            batches = DecoderBatches(ZoomPhotos(data, "train"), stage, self.model.config)
            loss = DecoderLoss(self.model, stage).train()
            optimiser = torch.optim.AdamW([one for one in loss.parameters() if one.requires_grad], lr=1e-6)
            saved, once, each = [], [], []
            for step in range(steps):
                batch = batches.sample(np.random.default_rng(step), step)
                saved.append(batch["which"].numel() / len(batch["squares"]))
                times = [self._step(loss, optimiser, one) for one in (batch, _repeated(batch))]
                once.append(times[0])
                each.append(times[1])
            rows.append(self._row("encodings_saved", name, "x", np.array(saved)))
            # The first step warms up.
            rows.append(self._ratio("training_speedup", name, np.array(each[1:]), np.array(once[1:])))
            rate = stage.photos_per_batch / np.array(once[1:])
            rows.append(self._row("training_photos_a_second", name, "1/s", rate))
        return rows

    def _step(self, loss: DecoderLoss, optimiser: torch.optim.Optimizer, batch: dict[str, Tensor]) -> float:
        batch = {name: value.to(self.model.device) for name, value in batch.items()}
        started = _now()
        with torch.autocast("cuda", torch.bfloat16, enabled=self.model.device.type == "cuda"):
            out = loss(batch)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
        return _now() - started

    def _timed(
        self, tasks: dict[str, Callable[[Path], Any]], warm_up: bool = True
    ) -> tuple[dict[str, NDArray[np.float64]], dict[str, list[Any]]]:
        """Seconds of each task on each photo, and what it found; the first photo once before to warm up."""
        seconds: dict[str, list[float]] = {name: [] for name in tasks}
        found: dict[str, list[Any]] = {name: [] for name in tasks}
        for task in tasks.values() if warm_up else ():
            task(self.files[0])
        for file in self.files:
            for name, task in tasks.items():
                started = _now()
                found[name].append(task(file))
                seconds[name].append(_now() - started)
        return {name: np.array(values) for name, values in seconds.items()}, found

    @torch.inference_mode()
    def _sharpen(self) -> None:
        """Scale the head so that the best of the picks holds `SURE` on average."""
        decoder, device = self.net.decoder, self.model.device
        rng = np.random.default_rng(1)
        squares = [level[rng.integers(len(level), size=256)] for level in self.tokens]
        photos = torch.from_numpy(rng.standard_normal((256, self.sizes.width)).astype(np.float32)).to(device)
        actions = torch.from_numpy(rng.integers(self.sizes.grid**2, size=(256, self.sizes.depth))).to(device)
        logits = decoder(photos, torch.from_numpy(np.stack(squares, 1)).to(device), actions)
        low, high = 0.0, 1e4
        for _ in range(60):
            middle = (low + high) / 2
            sure = float((logits * middle).softmax(-1).amax(-1).mean())
            low, high = (middle, high) if sure < SURE else (low, middle)
        self._scale = high
        decoder.output_head.weight.mul_(high)

    @torch.inference_mode()
    def _blunt(self) -> None:
        self.net.decoder.output_head.weight.div_(self._scale)

    def _ratio(self, metric: str, what: str, above: NDArray[np.float64], below: NDArray[np.float64]) -> Row:
        return self._row(metric, what, "x", above / below, float(np.median(above) / np.median(below)))

    def _row(self, metric: str, what: str, unit: str, values: NDArray[np.float64], value: float | None = None) -> Row:
        low, high = (float(np.percentile(values, share)) for share in (2.5, 97.5))
        name = f"{metric}/{what}/zoom/{self.network.name}"
        value = float(np.median(values)) if value is None else value
        return Row(name, value, unit, len(values), low, high, (SEED,), self._machine(), COMMAND)

    def _machine(self) -> str:
        gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
        return f"{gpu}{machine()}, {torch.get_num_threads()} threads"


def plain_tokens(net: JustZoomInNet, images: Tensor) -> Tensor:
    """What the encoder makes of images, by transformers' own code: (n, 3, P, P) in -1..1 to (n, width)."""
    encoder = net.encoder
    if encoder.name == "compact":
        compact: Tensor = encoder(images)
        return compact
    normal = ((images + 1.0) / 2.0 - encoder.mean) / encoder.deviation
    backbone: Any = encoder.backbone
    token: Tensor = backbone(pixel_values=normal).last_hidden_state[:, 0]
    return token


def _repeated(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same batch with every square of every photo by itself."""
    which = batch["which"]
    return batch | {
        "squares": batch["squares"][which.flatten()],
        "which": torch.arange(which.numel()).view(which.shape),
    }


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@dataclass(frozen=True)
class _Place:
    """A photo of the training set."""

    file: Path
    latitude: float
    longitude: float
    actions: tuple[int, ...]


class _Streets:
    """A training set of photos at places; a few pictures stand for all of them."""

    def __init__(self, bench: _Bench, places: NDArray[np.float64]) -> None:
        self._bench, tree = bench, bench.tree
        x, y = tree.root.west + places[:, 0], tree.root.south + places[:, 1]
        inside = tree.root.contains(x, y)
        x, y = x[inside], y[inside]
        ways = tree.path(tree.depth, *tree.cell_at(x, y, tree.depth)).tolist()
        latitudes, longitudes = (degrees.tolist() for degrees in bench.basemap.frame.to_wgs84(x, y))
        files = itertools.cycle(bench.files)
        self._samples = [
            _Place(file, latitude, longitude, tuple(way))
            for file, latitude, longitude, way in zip(files, latitudes, longitudes, ways, strict=False)
        ]

    def samples(self, split: str) -> Sequence[_Place]:
        return self._samples

    def read_square(self, actions_prefix: Sequence[int], pixels: int) -> NDArray[np.uint8]:
        way = np.array(actions_prefix, np.int64)
        return self._bench.view(len(way), int(self._bench.tree.flat(len(way), *self._bench.tree.from_path(way))))

    def error_m(self, actions: Sequence[int], latitude: float, longitude: float) -> float:
        tree = self._bench.tree
        x, y = tree.centre(tree.depth, *tree.from_path(np.array(actions, np.int64)))
        at = self._bench.basemap.frame.from_wgs84(latitude, longitude)
        return float(np.hypot(x - at[0], y - at[1]))


if __name__ == "__main__":
    measured = measure()
    write_rows(Path(sys.argv[1]), measured)
    for one in measured:
        print(f"{one.name:58} {one.value:10.3f} {one.unit}")
