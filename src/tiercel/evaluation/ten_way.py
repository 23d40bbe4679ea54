"""``python -m tiercel.evaluation.ten_way FOLDER -o results/real.json``: which of a few places is this real photo of?

A folder holds photos and, for each of them, overhead views that are centred on where it was taken:
``<id>_photo.jpg`` and ``<id>_overhead_<metres>m.jpg``, north up. Every photo is compared with the views of all places.
Nobody tells which way it looked, and the score of a place sums over all headings, and over all positions within some
metres of its centre. Ten places say little about how good a model is and much about whether what it learnt in
simulated cities holds for real ones at all: chance is one in ten.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.evaluation.results import Row, machine, read_rows, write_rows
from tiercel.models import Model, PhotoFeatures, load_model
from tiercel.models.match import correlate
from tiercel.models.model import overhead_to_tensor
from tiercel.photos import Photo

Floats = NDArray[np.float64]

SIDES_M = (300, 100)
"""Ground sides of the views that photos are compared with, metres."""
RADIUS_M = 30.0
"""How far from the centre of a view the camera may have stood."""
CANVAS_M = 375.0
"""Ground side of what is encoded: the view, and uncovered ground around it."""
FIELDS_OF_VIEW = (60.0, 70.0, 80.0, 90.0)
"""Tried one after the other for a photo that does not say, as likely each."""
WITHIN_BIN = 2
"""Headings tried in each azimuth bin by the geometric match."""
METHODS = ("retrieval", "match", "both")
DRAWS = 10_000


@dataclass(frozen=True)
class Place:
    """Where a photo was taken, from above.

    Attributes:
        pixels: (P, P, 3) uint8, north up, centred on the place.
        side_m: Its ground side in metres.
    """

    pixels: NDArray[np.uint8]
    side_m: float


@dataclass(frozen=True)
class PlaceFeatures:
    """What a model makes of K places, at positions on a grid around each centre.

    Attributes:
        keys: (K, positions, headings * key_width), retrieval's.
        bias: (K, positions).
        match: (K, match_width, cells, cells) around the positions, a template's radius beyond them on every side.
        near: (positions,) which of them lie near enough to the centre.
        across: Positions along the side of the grid.
    """

    keys: torch.Tensor
    bias: torch.Tensor
    match: torch.Tensor
    near: torch.Tensor
    across: int


def open_folder(
    folder: Path, sides_m: Sequence[int] = SIDES_M
) -> tuple[list[str], list[list[Photo]], dict[int, list[Place]]]:
    """Read photos and the views of their places.

    Args:
        folder: Holds them; a ``photos.csv`` with the columns ``image_id`` and ``field_of_view`` tells what photos do
            not.
        sides_m: Ground sides of the views that are wanted.

    Returns:
        Names of the photos; each photo once for every field of view that it may have; for each side the places in the
        same order.

    Raises:
        TiercelError: there are fewer than two photos, or a view is missing.
    """
    files = sorted(folder.glob("*_photo.jpg"))
    if len(files) < 2:
        raise TiercelError(f"{folder} holds no photos to tell apart: it needs files <id>_photo.jpg with their views.")
    known = _fields_of_view(folder / "photos.csv")
    names = [path.name.removesuffix("_photo.jpg") for path in files]
    photos = [_at_fields_of_view(path, known.get(name)) for path, name in zip(files, names, strict=True)]
    places = {side: [_open_place(folder / f"{name}_overhead_{side}m.jpg", side) for name in names] for side in sides_m}
    return names, photos, places


def _fields_of_view(table: Path) -> dict[str, float]:
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    try:
        return {row["image_id"]: float(row["field_of_view"]) for row in rows if row.get("field_of_view")}
    except (KeyError, ValueError):
        raise TiercelError(f"{table} needs a column image_id, and degrees in its column field_of_view.") from None


def _at_fields_of_view(path: Path, field_of_view: float | None) -> list[Photo]:
    photo = Photo.open(path, field_of_view=field_of_view)
    if photo.field_of_view.source != "assumed":
        return [photo]
    return [Photo.open(path, field_of_view=one, panorama=False) for one in FIELDS_OF_VIEW]


def _open_place(path: Path, side_m: float) -> Place:
    try:
        with Image.open(path) as image:
            return Place(np.asarray(image.convert("RGB")), side_m)
    except OSError:
        raise TiercelError(f"{path} is missing or no picture: every photo needs a view of that size.") from None


@torch.inference_mode()
def encode_places(model: Model, places: Sequence[Place]) -> PlaceFeatures:
    """Encode places around their centres, with uncovered ground where a view ends.

    Args:
        model: With the heads ``retrieval`` and ``match``.
        places: The places.

    Raises:
        TiercelError: the model lacks a head.
    """
    config, retrieval, match = model.config, model.retrieval, model.match
    if retrieval is None or match is None:
        raise TiercelError(f"model {model.name} cannot be compared: it needs the heads retrieval and match.")
    side = math.ceil(CANVAS_M / config.resolution / 64) * 64
    step = config.leaf_m / config.positions_per_leaf
    half = math.ceil(RADIUS_M / step)
    along = (torch.arange(2 * half) + 0.5 - half) * step
    offset = torch.stack(torch.meshgrid(along, along, indexing="ij")[::-1], -1).reshape(-1, 2)
    middle = side * config.resolution / 2
    cells, reach = config.match_cells_per_position * half, match.radius
    centre = round(middle / config.match_cell_m)
    inner = slice(centre - cells - reach, centre + cells + reach)
    keys, bias, features = [], [], []
    for place in places:
        pixels, covered = _canvas(place, side, config.resolution)
        image = overhead_to_tensor(pixels[None], covered[None]).to(model.device)
        fine, context = retrieval.features(functional.avg_pool2d(image, 2))
        key, one = retrieval.keys(fine, context, (offset + middle)[None].to(model.device))
        keys.append(key[0].flatten(1).cpu())
        bias.append(one[0].float().cpu())
        features.append(match.features(image)[0, :, inner, inner].cpu())
    near = offset.norm(dim=1) <= RADIUS_M
    return PlaceFeatures(torch.stack(keys).float(), torch.stack(bias), torch.stack(features).float(), near, 2 * half)


def _canvas(place: Place, side: int, resolution: float) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A place at the model's resolution in the middle of a square: pixels, and where there are any."""
    pixels, covered = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.bool_)
    inside = round(place.side_m / resolution)
    view = np.asarray(Image.fromarray(place.pixels).resize((inside, inside), Image.Resampling.BICUBIC))
    cut = max(0, inside - side + 1) // 2
    view = view[cut : cut + side, cut : cut + side]
    first = (side - len(view)) // 2
    where = (slice(first, first + len(view)),) * 2
    pixels[where], covered[where] = view, True
    return pixels, covered


@torch.inference_mode()
def place_scores(model: Model, photo: PhotoFeatures, places: PlaceFeatures) -> dict[str, Floats]:
    """Log-likelihoods of places, up to a constant: the log-sum-exp over positions near the centre and all headings.

    Args:
        model: The model.
        photo: A photo with H headings.
        places: K places.

    Returns:
        For each of `METHODS` (K,). ``both`` adds the two pose by pose, with the weights that the model was fitted with.
    """
    calibration = model.config.calibration
    first = places.keys @ torch.from_numpy(photo.retrieval).float().T + places.bias[..., None]
    first = first / calibration.retrieval_temperature
    match = _match_scores(model, photo, places)
    both = calibration.first_weight * first + calibration.match_weight * match
    by_method = dict(zip(METHODS, (first, match, both), strict=True))
    return {
        method: np.asarray(poses[:, places.near].flatten(1).logsumexp(1), np.float64)
        for method, poses in by_method.items()
    }


def _match_scores(model: Model, photo: PhotoFeatures, places: PlaceFeatures) -> torch.Tensor:
    """The match, summed around each of retrieval's positions and within each azimuth bin: (K, positions, H)."""
    head = model.match
    assert head is not None
    starts = photo.polar_start_deg.astype(np.float64)[:, None]
    tried = 1 if photo.heading_known else WITHIN_BIN
    starts = starts + ((np.arange(tried) + 0.5) / tried - 0.5) * model.config.bin_deg
    polar = torch.from_numpy(photo.polar)[None].to(model.device)
    radians = torch.from_numpy(np.radians(starts).astype(np.float32).reshape(1, -1)).to(model.device)
    found = correlate(head.template(polar, radians), places.match[None].to(model.device))[0] * head.scale()
    count, across = found.shape[1], places.across
    cells = found.shape[-1] // across
    found = found.reshape(len(starts), tried, count, across, cells, across, cells).logsumexp((1, 4, 6)) - math.log(
        tried
    )
    return found.permute(1, 2, 3, 0).reshape(count, across**2, len(starts)).cpu()


def score_all(model: Model, photos: Sequence[Sequence[Photo]], places: Sequence[Place]) -> dict[str, Floats]:
    """Compare every photo with every place.

    Args:
        model: The model.
        photos: Each once for every field of view that it may have, all as likely.
        places: The places.

    Returns:
        For each of `METHODS` (photos, places) log-probabilities.
    """
    encoded = encode_places(model, places)
    rows: dict[str, list[Floats]] = {method: [] for method in METHODS}
    for views in photos:
        features = model.encode_strips([model.strip(view, use_heading=False) for view in views])
        scores = [place_scores(model, one, encoded) for one in features]
        for method in METHODS:
            one = torch.from_numpy(np.stack([score[method] for score in scores])).log_softmax(1)
            rows[method].append(np.asarray(one.logsumexp(0) - math.log(len(scores)), np.float64))
    return {method: np.stack(part) for method, part in rows.items()}


def ranks(scores: Floats, truth: NDArray[np.int64] | None = None) -> Floats:
    """The rank, from 1, of each photo's own place among all; ties share the middle of their ranks.

    Args:
        scores: (photos, places).
        truth: (photos,) the right places; photo i belongs to place i if left out.
    """
    own = scores[np.arange(len(scores)), np.arange(len(scores)) if truth is None else truth][:, None]
    return np.asarray((scores > own).sum(1) + ((scores == own).sum(1) + 1) / 2, np.float64)


def measured(scores: Mapping[str, Floats], area: str, name: str, command: str) -> list[Row]:
    """Rows of one model: R@1 with its exact interval, and the mean rank; the chance that shuffled places do as well.

    Args:
        scores: For each method (n, n); photo i belongs to place i.
        area: As it stands in the rows.
        name: What to call the model.
        command: What to run to measure it again.
    """
    rows: list[Row] = []
    for method, table in scores.items():
        rank, count = ranks(table), len(table)
        right = int((rank <= 1).sum())
        rng = np.random.default_rng(0)
        shuffled = np.stack([ranks(table, rng.permutation(count)) for _ in range(DRAWS)])
        again = rank[rng.integers(0, count, (DRAWS, count))].mean(1)
        low, high = binomial_interval(right, count)
        first = {"p": float((1 + ((shuffled <= 1).sum(1) >= right).sum()) / (1 + DRAWS))}
        mean = {"p": float((1 + (shuffled.mean(1) <= rank.mean()).sum()) / (1 + DRAWS))}
        ends = [float(end) for end in np.quantile(again, (0.025, 0.975))]
        where = f"photo/{area}/{method}@{name}"
        rows.append(_row(f"r1/{where}", 100 * right / count, "%", count, (100 * low, 100 * high), command, first))
        rows.append(_row(f"mean_rank/{where}", float(rank.mean()), "", count, (ends[0], ends[1]), command, mean))
    return rows


def chance(count: int, area: str, command: str) -> list[Row]:
    """Rows of what guessing comes to, with the range that 95 % of guesses stay in."""
    rng = np.random.default_rng(0)
    guesses = rng.integers(1, count + 1, (DRAWS, count))
    right, mean = 100 * (guesses == 1).mean(1), guesses.mean(1)
    ends = [np.quantile(some, (0.025, 0.975)) for some in (right, mean)]
    at = f"photo/{area}/chance"
    return [
        _row(f"r1/{at}", 100 / count, "%", count, (float(ends[0][0]), float(ends[0][1])), command, {}),
        _row(f"mean_rank/{at}", (count + 1) / 2, "", count, (float(ends[1][0]), float(ends[1][1])), command, {}),
    ]


def _row(
    name: str, value: float, unit: str, n: int, ends: tuple[float, float], command: str, extra: Mapping[str, float]
) -> Row:
    return Row(name, value, unit, n, ends[0], ends[1], (), machine(), command, dict(extra))


def binomial_interval(right: int, count: int) -> tuple[float, float]:
    """The exact 95 % interval (Clopper and Pearson, 1934) of a share of which `right` of `count` were seen."""

    def tail(share: float, least: int) -> float:
        return sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(least, count + 1))

    def solved(least: int, wanted: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, least) < wanted else (low, middle)
        return (low + high) / 2

    return (0.0 if right == 0 else solved(right, 0.025)), (1.0 if right == count else solved(right + 1, 0.975))


def measure_folder(folder: Path, model: Model, name: str, output: Path, command: str) -> list[Row]:
    """Measure one model on a folder, and put the rows beside those of other models.

    Args:
        folder: See `open_folder`.
        model: The model.
        name: What to call it; rows that the file has of this name are replaced.
        output: File of rows, kept or made.
        command: What to run to measure it again.

    Returns:
        The new rows.

    Raises:
        TiercelError: the folder or the file cannot be used, or the name holds a slash.
    """
    if "/" in name or not name:
        raise TiercelError(f"a model cannot be called '{name}' in rows: give --name a word without slashes.")
    kept = read_rows(output) if output.exists() else []
    _, photos, places = open_folder(folder)
    rows: list[Row] = []
    for side, views in places.items():
        area = f"{folder.resolve().name}_{side}m"
        rows += chance(len(photos), area, command)
        rows += measured(score_all(model, photos, views), area, name, command)
    new = {row.name for row in rows}
    write_rows(output, [row for row in kept if row.name not in new] + rows)
    return rows


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tiercel.evaluation.ten_way", description=__doc__)
    parser.add_argument("folder", type=Path, help="photos and views of their places")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/real.json"), help="file of rows")
    parser.add_argument("--model", default="bundled", help="bundled, a checkpoint folder, or a Hugging Face id")
    parser.add_argument("--name", default="compact", help="what to call the model in the rows")
    given = parser.parse_args(arguments)
    command = f"python -m tiercel.evaluation.ten_way {given.folder.name} --model {given.model} --name {given.name}"
    for row in measure_folder(given.folder, load_model(given.model), given.name, given.output, command):
        p = f"  p = {row.extra['p']:.3f}" if "p" in row.extra else ""
        print(f"{row.name:45} {row.value:6.1f} {row.unit:1} [{row.low:.1f}, {row.high:.1f}]{p}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TiercelError as error:
        sys.exit(f"{error}")
