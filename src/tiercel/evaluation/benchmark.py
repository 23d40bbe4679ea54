"""Measuring a model on a benchmark in the published layout, by a named protocol.

Every method's answer is brought down to a cell of the published grid, and scored as published: all picks right
("strict"), and the distance from the cell's centre to the photo.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas import build
from tiercel.datasets.justzoomin import JustZoomIn, Problem, ZoomSample, cell_centre, published_actions
from tiercel.datasets.justzoomin import Report as Problems
from tiercel.datasets.splits import (
    Split,
    Splitter,
    block_disjoint,
    everything,
    random_split,
    sequence_disjoint,
)
from tiercel.errors import TiercelError
from tiercel.evaluation.evaluate import METHODS, RADII_M
from tiercel.evaluation.methods import descents, posteriors
from tiercel.evaluation.metrics import Measured, median, recall_within
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.geo import Square
from tiercel.geo.sphere import haversine_m
from tiercel.locate import Analysis, Locator
from tiercel.models import Model, load_model
from tiercel.photos import Photo
from tiercel.search import Posterior

Say = Callable[[str], None]
Answers = dict[str, tuple[float, float]]
"""For every method, the easting and northing it answers, metres."""

GALLERIES = ("all", "occupied")
PHOTO_QUERY = "photo"
"""Name of queries by photos whose kind the benchmark does not say."""


@dataclass(frozen=True)
class BenchmarkProtocol:
    """Which photos of a benchmark are asked for.

    Attributes:
        name: As it stands in result rows.
        split: Divides the photos.
        words: For people.
    """

    name: str
    split: Splitter
    words: str


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        BenchmarkProtocol("random", random_split, "a random tenth of the photos, as published"),
        BenchmarkProtocol("sequence_disjoint", sequence_disjoint, "whole drives that train nothing"),
        BenchmarkProtocol("block_disjoint", block_disjoint, "blocks of 500 m, 100 m or more from all that trains"),
        BenchmarkProtocol("every_photo", everything, "every photo, for models that were trained elsewhere"),
    )
}


def evaluate_benchmark(
    folder: str | Path,
    model: str | Path | Model = "bundled",
    *,
    protocol: str = "random",
    gallery: str = "all",
    seed: int | None = None,
    photos: int | None = None,
    north: bool = False,
    out: Path | str | None = "results/benchmark.json",
    work: Path | str = "runs/evaluation",
    report: Say = print,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Row], Problems]:
    """Locates the photos of a benchmark on an atlas of its map.

    Photos that are missing or broken are left out, counted, and told of at the end.

    Args:
        folder: The benchmark, in the published layout.
        model: ``bundled``, a checkpoint folder, a Hugging Face id, or a model.
        protocol: Name of one of `PROTOCOLS`.
        gallery: "all" leaves of the map may be answered, or only those "occupied" by a photo of either split.
        seed: Of the split, where it is drawn; None for the first draw, and for the benchmark's own tables if random.
        photos: At most so many photos, drawn evenly.
        north: Whether methods are told the headings that photos carry.
        out: File of rows to write; None for none.
        work: Where the atlas is kept, to be used again.
        report: Told a line now and then.
        progress: Called with photos asked for and photos in all.

    Returns:
        The rows, and what was wrong with which photos.

    Raises:
        TiercelError: There is no such protocol or gallery, the benchmark cannot be read, or none of its photos can.
    """
    _check_name("protocol", protocol, PROTOCOLS)
    _check_name("gallery", gallery, GALLERIES)
    data = JustZoomIn.open(folder)
    split = PROTOCOLS[protocol].split(data, seed)
    asked = _some(split.val, photos)
    report(f"{data.name}: {len(asked)} photos, {PROTOCOLS[protocol].words}; {gallery} leaves")
    loaded, named = (model, model.name) if isinstance(model, Model) else (load_model(model), str(model))
    locator = prepare(data, loaded, Path(work))
    occupied = _occupied(data, split)
    allowed = _allowed_leaves(locator, data, occupied) if gallery == "occupied" else None
    queries: dict[str, list[tuple[ZoomSample, Answers]]] = {}
    problems: list[Problem] = []
    for done, sample in enumerate(asked, 1):
        try:
            photo = Photo.open(sample.file)
        except TiercelError as error:
            problems.append(Problem(sample, f"{sample.image_id}: {error}"))
        else:
            known = north and photo.heading is not None
            photo = photo if known else dataclasses.replace(photo, heading=None)
            kind = data.photo_notes.get(sample.image_id, {}).get("kind") or PHOTO_QUERY
            found = answers(locator.analyse(photo), allowed)
            queries.setdefault(f"{kind}_north" if known else kind, []).append((sample, found))
        if progress is not None:
            progress(done, len(asked))
    if not queries:
        raise TiercelError(f"None of the {len(asked)} photos asked for in {data.folder} can be read; see `check`.")
    area = f"{data.name}-{protocol}" + (f"-{gallery}" if gallery != "all" else "")
    area += f"-seed{seed}" if seed is not None else ""
    command = f"tiercel evaluate --data {folder} --protocol {protocol} --gallery {gallery} --model {named}"
    command += f" --photos {photos}" if photos is not None else ""
    command += (" --north" if north else "") + (f" --seed {seed}" if seed is not None else "")
    rows = list(_rows(data, queries, area, command, locator, occupied if gallery == "occupied" else None))
    if out is not None:
        write_rows(Path(out), rows)
    return rows, Problems(len(asked), tuple(problems))


def prepare(data: JustZoomIn, model: Model, work: Path) -> Locator:
    """A locator on an atlas of the benchmark's map, built unless it is there.

    Its cells are those of the benchmark where the model can be laid on them, and the model's own otherwise.
    """
    frame, division = data.basemap.frame, data.division
    x, y = frame.from_wgs84(division.latitude, division.longitude)
    root: Square | None = Square(round(float(x), 3), round(float(y), 3), division.side_m)
    try:
        model = model.on_grid(division.side_m / division.branching**division.depth)
        if model.config.branching != division.branching:
            root = None
    except TiercelError:
        root = None
    target = work / f"{data.name}-{data.basemap.fingerprint()[:8]}" / f"atlas-{model.fingerprint}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return Locator(build(data.basemap, model, target, root=root), model)


def answers(analysis: Analysis, allowed: NDArray[np.bool_] | None = None) -> Answers:
    """Where each method that the model's heads allow puts a photo.

    Args:
        analysis: Of the photo.
        allowed: (leaves,) which leaves may be answered, None for all. Where some may not, descents are left out: they
            go their way whatever the gallery.
    """
    tree = analysis.locator.atlas.tree

    def best(answer: Posterior) -> int:
        return answer.best if allowed is None else int(np.argmax(np.where(allowed, answer.log_probability, -np.inf)))

    downwards = descents(analysis) if allowed is None else {}
    leaves = {method: int(found[0]) for method, found in downwards.items()}
    leaves |= {method: best(answer) for method, answer in posteriors(analysis).items()}
    found: Answers = {}
    if "match" in analysis.locator.model.config.heads and allowed is not None:
        leaves["match"] = best(analysis.final)
    for method, leaf in leaves.items():
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaf))
        found[method] = (float(x), float(y))
    if "match" in analysis.locator.model.config.heads and allowed is None:
        found["match"] = (float(analysis.matches.x[0]), float(analysis.matches.y[0]))
    return found


def _check_name(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise TiercelError(f"There is no {what} '{name}': use one of {', '.join(known)}.")


def _some(samples: Sequence[ZoomSample], photos: int | None) -> list[ZoomSample]:
    if photos is None or photos >= len(samples):
        return list(samples)
    return [samples[index] for index in np.linspace(0, len(samples) - 1, photos).round().astype(int)]


def _occupied(data: JustZoomIn, split: Split) -> NDArray[np.int64]:
    """Numbers of the published cells that hold a photo, sorted."""
    samples = (*split.train, *split.val, *split.left_out)
    return np.unique(_number(np.array([sample.actions for sample in samples]), data))


def _number(actions: NDArray[np.int64], data: JustZoomIn) -> NDArray[np.int64]:
    steps = (data.branching**2) ** np.arange(data.depth - 1, -1, -1, dtype=np.int64)
    return np.asarray((actions * steps).sum(-1))


def _allowed_leaves(locator: Locator, data: JustZoomIn, occupied: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which leaves of the atlas have their centre in an occupied cell."""
    tree, leaves = locator.atlas.tree, locator.atlas.leaf_index
    x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaves))
    cells = _number(published_actions(*locator.atlas.frame.to_wgs84(x, y), data.division), data)
    allowed = np.zeros(tree.count(tree.depth), np.bool_)
    allowed[leaves[np.isin(cells, occupied)]] = True
    return allowed


def _rows(
    data: JustZoomIn,
    queries: dict[str, list[tuple[ZoomSample, Answers]]],
    area: str,
    command: str,
    locator: Locator,
    gallery: NDArray[np.int64] | None,
) -> Iterator[Row]:
    here, frame = machine(), locator.atlas.frame

    def row(metric: str, query: str, method: str, unit: str, measured: Measured) -> Row:
        name = f"{metric}/{query}/{area}/{method}"
        return Row(name, measured.value, unit, measured.n, measured.low, measured.high, (), here, command)

    for query, asked in queries.items():
        truth = np.array([(sample.latitude, sample.longitude) for sample, _ in asked])
        picks = np.array([sample.actions for sample, _ in asked])
        for metric, share in chance(data, truth, picks, gallery).items():
            yield row(metric, query, "chance", "%", share)
        for method in (name for name in METHODS if name in asked[0][1]):
            places = np.array([found[method] for _, found in asked])
            answered = np.stack(frame.to_wgs84(places[:, 0], places[:, 1]), 1)
            cells = published_actions(answered[:, 0], answered[:, 1], data.division)
            errors = haversine_m(*cell_centre(cells, data.division), truth[:, 0], truth[:, 1])
            yield row("r1_strict", query, method, "%", recall_within((cells != picks).any(1).astype(float), 0.5))
            for radius in RADII_M:
                yield row(f"r1_{radius}m", query, method, "%", recall_within(errors, radius))
            yield row("median_m", query, method, "m", median(errors))
            off = haversine_m(answered[:, 0], answered[:, 1], truth[:, 0], truth[:, 1])
            yield row("median_position_m", query, method, "m", median(off))


def chance(
    data: JustZoomIn, truth: NDArray[np.float64], picks: NDArray[np.int64], gallery: NDArray[np.int64] | None
) -> dict[str, Measured]:
    """What an answer drawn evenly from the gallery would score, in percent.

    Args:
        data: The benchmark.
        truth: (n, 2) latitudes and longitudes of the photos.
        picks: (n, depth) picks that lead to their cells.
        gallery: Sorted numbers of the cells that may be answered; None for all.
    """
    side, leaf = data.branching**data.depth, data.side_m / data.branching**data.depth
    steps = data.branching ** np.arange(data.depth - 1, -1, -1, dtype=np.int64)
    rows, cols = (picks // data.branching * steps).sum(1), (picks % data.branching * steps).sum(1)
    count = data.division.leaves if gallery is None else len(gallery)
    hits = {radius: np.zeros(len(truth)) for radius in RADII_M}
    reach = int(np.ceil(max(RADII_M) / leaf)) + 1
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            row, col = rows + down, cols + across
            inside = (row >= 0) & (row < side) & (col >= 0) & (col < side)
            row, col = np.clip(row, 0, side - 1), np.clip(col, 0, side - 1)
            actions = row[:, None] // steps % data.branching * data.branching + col[:, None] // steps % data.branching
            if gallery is not None:
                inside &= np.isin(_number(actions, data), gallery)
            far = haversine_m(*cell_centre(actions, data.division), truth[:, 0], truth[:, 1])
            for radius in RADII_M:
                hits[radius] += inside & (far <= radius)
    nan = float("nan")
    shares = {f"r1_{radius}m": 100.0 * float(found.mean()) / count for radius, found in hits.items()}
    return {
        name: Measured(share, nan, nan, len(truth)) for name, share in ({"r1_strict": 100.0 / count} | shares).items()
    }


def render_benchmark(rows: Sequence[Row]) -> str:
    """The rows of one evaluation as Markdown; the protocol stands above the tables."""
    some = rows[0]
    words = (
        f"Measured by `{some.command}` on {some.machine}. Distances are from the centre of the answered cell to the "
        "photo; in brackets: 95 % bootstrap interval."
    )
    parts = [f"# {some.parts[2]}", "", words, ""]
    table = {row.name: row for row in rows}
    metrics = ["r1_strict", *(f"r1_{radius}m" for radius in RADII_M), "median_m", "median_position_m"]
    head = "| method | strict R@1, % | " + " | ".join(f"R@1 < {radius} m, %" for radius in RADII_M)
    for query in dict.fromkeys(row.parts[1] for row in rows):
        mine = [row for row in rows if row.parts[1] == query]
        parts += [f"## {query}, {mine[0].n} photos", "", head + " | median, m | median of the position, m |"]
        parts += ["| --- |" + " ---: |" * len(metrics)]
        for method in dict.fromkeys(row.parts[3] for row in mine):
            found = [table.get(f"{metric}/{query}/{some.parts[2]}/{method}") for metric in metrics]
            parts.append(f"| {method} | " + " | ".join(_cell(row) for row in found) + " |")
        parts.append("")
    return "\n".join(parts)


def _cell(row: Row | None) -> str:
    if row is None or row.value is None:
        return "-"
    digits = 3 if row.low is None or not np.isfinite(row.low) else 1
    text = f"{row.value:.{digits}f}"
    return text if digits == 3 else f"{text} ({row.low:.1f}-{row.high:.1f})"
