"""Measuring a dual encoder on a data set of pairs, by the field's own protocols.

Every photo is looked for in the whole gallery of its split. Ranks count references of strictly greater similarity than
the photo's own tile. Where a data set's protocol counts all tiles near the photo as right (CVACT's test split), the
best of them stands for them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.candidates import CandidateFile, candidates_of_pairs, write_candidates, write_paper
from tiercel.datasets.pairs import PairQuery, PairSplit, open_pairs
from tiercel.datasets.pairs.files import without
from tiercel.datasets.pairs.near import near, plane
from tiercel.errors import TiercelError
from tiercel.evaluation.headings import exact_similarities, rank_at_best_heading, top_references
from tiercel.evaluation.metrics import Measured, median, recall_within
from tiercel.evaluation.pair_features import Asked, Broken, Encoder, Singles, read_features
from tiercel.evaluation.ranking import Ranks, one_percent
from tiercel.evaluation.report import cell, line
from tiercel.evaluation.results import Row, machine, read_rows, write_rows
from tiercel.geo.sphere import haversine_m
from tiercel.models import Model, load_model

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
Steps = Callable[[str], Progress]
"""Given what a step does, a function to call with what is done of it and how much there is."""

RADII_M = (5, 10, 25, 40, 50, 100)
TESTED = ("test", "val", "all")
"""Splits that are measured on when none is named: the first that there is."""
KS = (1, 5, 10)


@dataclass(frozen=True)
class PairProtocol:
    """What is asked of which data set.

    Attributes:
        folder: Of the data set.
        split: Its name; None for the first of `TESTED`.
        area: Of VIGOR, "same" or "cross".
        labels: Of VIGOR, "original" or "corrected".
        fields_of_view: Degrees of panoramas that are shown; 360 for all.
        north: True to tell headings, False to tell none, None for both, one after the other.
        tiles: How tiles are shown, "whole" or "scaled".
        photos: At most so many photos, drawn evenly.
        incomplete: Leave out files that are missing or cannot be read; the rows' area says so then.
    """

    folder: Path
    split: str | None = None
    area: str = "same"
    labels: str = "original"
    fields_of_view: tuple[float, ...] = ()
    north: bool | None = None
    tiles: str = "whole"
    photos: int | None = None
    incomplete: bool = False

    def command(self, model: str, features: Path | None) -> str:
        """What to run to measure it again."""
        parts = [f"tiercel evaluate --data {self.folder}", f"--model {model}" if features is None else ""]
        parts += [f"--features {features}" if features else "", f"--split {self.split}" if self.split else ""]
        parts += [f"--area {self.area}" if self.area != "same" else ""]
        parts += [f"--labels {self.labels}" if self.labels != "original" else ""]
        parts += [f"--field-of-view {degrees:g}" for degrees in self.fields_of_view]
        parts += ["" if self.north is None else "--north" if self.north else "--no-north"]
        parts += [f"--tiles {self.tiles}" if self.tiles != "whole" else ""]
        parts += [f"--photos {self.photos}" if self.photos is not None else ""]
        parts += ["--incomplete" if self.incomplete else ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Loaded:
    """The embeddings of a split.

    Attributes:
        split: Without what was left out.
        references: (m, d) of the gallery.
        queries: What is asked, with (n, H, d) of its photos; its members are numbers in `split`.
    """

    split: PairSplit
    references: Singles
    queries: tuple[tuple[Asked, Singles], ...]


def evaluate_pairs(
    protocol: PairProtocol,
    model: str | Path | Model = "bundled",
    *,
    features: Path | None = None,
    candidates: Path | None = None,
    top: int = 20,
    out: Path | None = Path("results/pairs.json"),
    work: Path = Path("runs/evaluation"),
    report: Say = print,
    step: Steps = lambda what: lambda done, total: None,
) -> list[Row]:
    """Look for the photos of a data set of pairs in its gallery.

    Args:
        protocol: What is asked.
        model: A checkpoint folder, a Hugging Face id, or a model, with an embedding head.
        features: Embeddings made elsewhere, instead of a model's (`read_features`).
        candidates: File to write the best tiles of every photo to, as JSON lines, or as the paper's list where it ends
            in ``.json``; of the first kind of queries.
        top: How many of them.
        out: File of rows; those of other areas and methods in it stay. None for none.
        work: Where embeddings are kept, to be used again.
        report: Told a line now and then.
        step: Told what is done.

    Returns:
        Rows named ``<metric>/<query>/<data set and split>/<retrieval, features or chance>``.

    Raises:
        TiercelError: There is no such data set, split or option, files are missing or cannot be read, or embeddings do
            not fit.
    """
    data = open_pairs(protocol.folder, area=protocol.area, labels=protocol.labels)
    split = data.split(_split_name(protocol, data.splits), missing="skip" if protocol.incomplete else "error")
    split = _some(split, protocol.photos)
    asked = queries_of(split, protocol)
    if candidates is not None and asked[0].kind not in ("panorama", "photo"):
        raise TiercelError("Candidates are handed on with photos as they are: leave out --field-of-view for them.")
    report(f"{data.name}, {split.name}: {len(split.queries):,} photos, {len(split.gallery):,} tiles")
    if features is None:
        named = model.name if isinstance(model, Model) else str(model)
        encoder = Encoder(model if isinstance(model, Model) else load_model(model), protocol.tiles, work)
        loaded, method = _encoded(encoder, split, asked, protocol, step), "retrieval"
    else:
        named, method = "", "features"
        loaded = _read(features, split, asked, protocol)
    _say_left_out(loaded.split, report)
    area = re.sub(r"[^a-z0-9]+", "-", f"{data.name} {split.name}".lower()).strip("-")
    area += "-incomplete" if loaded.split.queries_left_out or loaded.split.tiles_left_out else ""
    rows: list[Row] = []
    for one, vectors in loaded.queries:
        queries = [loaded.split.queries[number] for number in one.members]
        ranks = _ranks(loaded.split, queries, vectors, loaded.references, step(f"Ranking for {one.name}"))
        question = Question(one.name, area, method, protocol.command(named, features))
        rows += question.rows(loaded.split, queries, ranks)
    if candidates is not None:
        write_best(candidates, loaded, top, {"data": area, "model": named or str(features)}, step("Candidates"))
    if out is not None:
        write_rows(out, _merged(out, rows))
    return rows


def queries_of(split: PairSplit, protocol: PairProtocol) -> list[Asked]:
    """The kinds of queries that are made of a split's photos.

    Raises:
        TiercelError: A field of view is none, there is nothing to crop, or no photo says where it looks.
    """
    fields = protocol.fields_of_view or (360.0,)
    if any(not 0 < degrees <= 360 for degrees in fields):
        raise TiercelError("A field of view has more than 0 and at most 360 degrees: give another --field-of-view.")
    panoramas = tuple(number for number, query in enumerate(split.queries) if query.panorama)
    others = tuple(number for number, query in enumerate(split.queries) if not query.panorama)
    if protocol.fields_of_view and not panoramas:
        raise TiercelError(f"Split '{split.name}' has no panoramas to show a part of: leave out --field-of-view.")
    kinds = [(f"photo_{degrees:g}" if degrees < 360 else "panorama", degrees, panoramas) for degrees in fields]
    asked = []
    for kind, degrees, members in [*(kinds if panoramas else []), *([("photo", 360.0, others)] if others else [])]:
        told = tuple(number for number in members if split.queries[number].heading is not None)
        if protocol.north is not False and told:
            asked.append(Asked(kind, degrees, True, told))
        if protocol.north is not True:
            asked.append(Asked(kind, degrees, False, members))
    if not asked:
        raise TiercelError(f"No photo of split '{split.name}' says where it looks: leave out --north.")
    return asked


def _split_name(protocol: PairProtocol, splits: Sequence[str]) -> str:
    if protocol.split is not None:
        return protocol.split
    for name in TESTED:
        if name in splits:
            return name
    raise TiercelError(f"{protocol.folder} has the splits {', '.join(splits)}: say with --split which one to measure.")


def _some(split: PairSplit, photos: int | None) -> PairSplit:
    if photos is None or photos >= len(split.queries):
        return split
    chosen = np.linspace(0, len(split.queries) - 1, photos).round().astype(int).tolist()
    return replace(split, queries=tuple(split.queries[number] for number in chosen))


def _encoded(encoder: Encoder, split: PairSplit, asked: Sequence[Asked], protocol: PairProtocol, step: Steps) -> Loaded:
    """All embeddings, and the split without the files that cannot be read where that is allowed."""
    gallery = encoder.gallery(split, step("Encoding tiles"))
    made = [(one, encoder.queries(split, one, step(f"Encoding {one.name}"))) for one in asked]
    broken: Broken = {one.members[row]: why for one, done in made for row, why in done.broken.items()}
    if gallery.broken or broken:
        _check_allowed(protocol, [*gallery.broken.values(), *broken.values()])
    tiles = np.array([number not in gallery.broken for number in range(len(split.gallery))])
    there = [number not in broken for number in range(len(split.queries))]
    kept = [good and bool(tiles[query.positive]) for good, query in zip(there, split.queries, strict=True)]
    number = np.cumsum(kept) - 1
    queries = []
    for one, done in made:
        rows = [row for row, member in enumerate(one.members) if kept[member]]
        members = tuple(int(number[one.members[row]]) for row in rows)
        whole = len(rows) == len(one.members)
        queries.append((replace(one, members=members), done.vectors if whole else done.vectors[rows]))
    if all(tiles) and all(kept):
        return Loaded(split, gallery.vectors, tuple(queries))
    return Loaded(without(split, tiles.tolist(), there, protocol.folder), gallery.vectors[tiles], tuple(queries))


def _check_allowed(protocol: PairProtocol, why: Sequence[str]) -> None:
    if not protocol.incomplete:
        many = f"; {len(why) - 1} other files cannot be read either" if len(why) > 1 else ""
        first = why[0].rstrip(".")
        raise TiercelError(f"{first}{many}. Mend what is broken, or leave it out knowingly with --incomplete.")


def _say_left_out(split: PairSplit, report: Say) -> None:
    if split.queries_left_out or split.tiles_left_out:
        report(
            f"Left out, as files are missing or cannot be read: {split.queries_left_out:,} photos and "
            f"{split.tiles_left_out:,} tiles. These are no results of the whole data set."
        )


def _read(features: Path, split: PairSplit, asked: Sequence[Asked], protocol: PairProtocol) -> Loaded:
    """Embeddings made elsewhere, which are of one kind of queries."""
    kinds = {one.kind for one in asked}
    if protocol.fields_of_view or protocol.north is not None or protocol.tiles != "whole":
        raise TiercelError(
            "Embeddings of a file were made in whatever way they were: leave out --field-of-view, --north and --tiles "
            "with --features."
        )
    queries, references = read_features(features, split)
    kind = next(iter(kinds)) if len(kinds) == 1 else "photo"
    one = Asked(kind, 360.0, False, tuple(range(len(split.queries))))
    return Loaded(split, references, ((one, queries[:, None]),))


def _ranks(
    split: PairSplit, queries: Sequence[PairQuery], vectors: Singles, references: Singles, progress: Progress
) -> Ranks:
    positives = np.array([query.positive for query in queries], np.int64)
    semi_positives = [query.semi_positives for query in queries]
    if split.right_within_m is not None:
        positives = _best_positive(queries, vectors, references)
        semi_positives = [()] * len(queries)
    return rank_at_best_heading(vectors, references, positives, semi_positives, progress)


def _best_positive(queries: Sequence[PairQuery], vectors: Singles, references: Singles) -> NDArray[np.int64]:
    """The most similar of the tiles that count as right: whatever is above it counts as wrong."""
    best = []
    for number, query in enumerate(queries):
        right = np.array([query.positive, *query.semi_positives])
        scores = exact_similarities(vectors, references, np.full(len(right), number), right)
        best.append(int(right[scores.argmax()]))
    return np.array(best, np.int64)


@dataclass(frozen=True)
class Question:
    """One kind of queries, as rows name it.

    Attributes:
        query: Its name.
        area: Data set and split.
        method: Of retrieval.
        command: What to run to measure it again.
    """

    query: str
    area: str
    method: str
    command: str

    def rows(self, split: PairSplit, queries: Sequence[PairQuery], ranks: Ranks) -> list[Row]:
        """Everything that is measured of a split's queries, beside chance."""
        m = len(split.gallery)
        counted = {f"r{k}": min(k, m) for k in KS} | ({"r1pct": one_percent(m)} if one_percent(m) else {})
        named = {metric: ranks.recall_at(k) for metric, k in counted.items()}
        if split.right_within_m is None and any(query.semi_positives for query in queries):
            named["hit_rate"] = ranks.hit_rate()
        rows = [self._row(metric, self.method, "%", measured) for metric, measured in named.items()]
        if split.right_within_m is None:
            rows += [self._chance(metric, k / m, len(queries)) for metric, k in counted.items()]
        return rows + list(self._metres(split, queries, ranks))

    def _metres(self, split: PairSplit, queries: Sequence[PairQuery], ranks: Ranks) -> Iterator[Row]:
        """How far the centre of the best tile is from the camera, where all places are known."""
        here = np.array([(one.latitude, one.longitude) for one in queries], np.float64)
        there = np.array([(one.latitude, one.longitude) for one in split.gallery], np.float64)
        if not (np.isfinite(here).all() and np.isfinite(there).all()):
            return
        errors = haversine_m(here[:, 0], here[:, 1], *there[ranks.best].T)
        shares = _chance_within(here, there)
        for radius in RADII_M:
            yield self._row(f"r1_{radius}m", self.method, "%", recall_within(errors, radius))
            yield self._chance(f"r1_{radius}m", shares[radius], len(queries))
        yield self._row("median_m", self.method, "m", median(errors))

    def _chance(self, metric: str, share: float, n: int) -> Row:
        return self._row(metric, "chance", "%", Measured(100.0 * share, np.nan, np.nan, n))

    def _row(self, metric: str, method: str, unit: str, measured: Measured) -> Row:
        name = f"{metric}/{self.query}/{self.area}/{method}"
        low, high = (end if np.isfinite(end) else None for end in (measured.low, measured.high))
        return Row(name, measured.value, unit, measured.n, low, high, (), machine(), self.command)


def _chance_within(here: NDArray[np.float64], there: NDArray[np.float64]) -> dict[float, float]:
    """What share of the gallery lies within each of `RADII_M` of a photo, on average; (n, 2) degrees, (m, 2) likewise.

    Distances are on a plane at each city's latitude, to a fraction of a percent.
    """
    counts = dict.fromkeys(RADII_M, 0)
    for degree in np.unique(np.round(here[:, 0])):
        mine, theirs = here[np.round(here[:, 0]) == degree], there[np.abs(there[:, 0] - degree) < 1.0]
        middle = float(np.median(mine[:, 0]))
        x, y = plane(mine[:, 0], mine[:, 1], middle)
        to_x, to_y = plane(theirs[:, 0], theirs[:, 1], middle)
        for row, around in enumerate(near(x, y, to_x, to_y, max(RADII_M))):
            off = np.hypot(to_x[around] - x[row], to_y[around] - y[row])
            for radius in RADII_M:
                counts[radius] += int((off <= radius).sum())
    return {radius: count / len(here) / len(there) for radius, count in counts.items()}


def write_best(path: Path, loaded: Loaded, k: int, settings: dict[str, str], progress: Progress | None = None) -> None:
    """Write the best tiles of the first kind of queries.

    Args:
        path: JSON lines; or the paper's list, if it ends in ``.json``.
        loaded: Embeddings.
        k: How many tiles a photo.
        settings: What to say of them.
        progress: Called with photos done and photos in all.
    """
    one, vectors = loaded.queries[0]
    queries = tuple(loaded.split.queries[number] for number in one.members)
    if not one.north:
        queries = tuple(replace(query, heading=None) for query in queries)
    ranking, scores = top_references(vectors, loaded.references, k, progress)
    lists = candidates_of_pairs(replace(loaded.split, queries=queries), ranking, scores)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        write_paper(path, lists)
    else:
        told = settings | {"query": one.name, "k": str(ranking.shape[1])}
        write_candidates(path, CandidateFile(tuple(lists), settings=told))


def _merged(out: Path, rows: Sequence[Row]) -> list[Row]:
    """The new rows, with those of other data sets and methods that the file holds before them."""
    before = read_rows(out) if out.is_file() else []
    mine = {(row.parts[1], row.parts[2], row.parts[3]) for row in rows}
    return [row for row in before if (row.parts[1], row.parts[2], row.parts[3]) not in mine] + list(rows)


METRIC_WORDS = {
    "r1": "R@1, %", "r5": "R@5, %", "r10": "R@10, %", "r1pct": "R@1%, %", "hit_rate": "hit rate, %",
    **{f"r1_{radius}m": f"R@1 < {radius} m, %" for radius in RADII_M}, "median_m": "median error, m",
}  # fmt: skip


def render_pairs(rows: Sequence[Row]) -> str:
    """Rows as Markdown: a table a data set and split, a column a kind of queries and a method."""
    by_name = {row.name: row for row in rows}
    lines: list[str] = []
    for area in dict.fromkeys(row.parts[2] for row in rows):
        mine = [row for row in rows if row.parts[2] == area]
        columns = list(dict.fromkeys((row.parts[1], row.parts[3]) for row in mine))
        heads = (f"{query}: {method}" for query, method in columns)
        lines += [f"**{area}**, {max(row.n for row in mine):,} photos", ""]
        lines += [line(["metric", *heads]), line(["---"] + ["---:"] * len(columns))]
        for metric in (one for one in METRIC_WORDS if any(row.parts[0] == one for row in mine)):
            found = [by_name.get(f"{metric}/{query}/{area}/{method}") for query, method in columns]
            lines.append(
                line([METRIC_WORDS[metric], *(cell(row, 2 if row and row.low is None else 1) for row in found)])
            )
        lines.append("")
    return "\n".join(lines)
