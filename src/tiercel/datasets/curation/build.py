"""From a folder of photos and a map to a benchmark in the published layout.

Everything is made in a folder beside the one asked for, which takes its place once it is whole. What was found out
about a photo, the tiles of the map and the photos already written are kept there, so that the same command goes on
where it was stopped.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tiercel.datasets.curation import ground
from tiercel.datasets.curation.choosing import REASONS, Choices, Fate, choose, positions
from tiercel.datasets.curation.examine import examine_all, file_state
from tiercel.datasets.curation.parallel import each
from tiercel.datasets.curation.pictures import contact_sheet, coverage_map, save
from tiercel.datasets.curation.sources import Listed, list_photos
from tiercel.datasets.curation.splitting import LEFT_OUT, LEFT_OUT_FILE, Block, split_photos
from tiercel.datasets.curation.writing import Job, Written, write_one
from tiercel.datasets.journal import appending, read_journal
from tiercel.datasets.justzoomin import (
    COLUMNS,
    MAP_FOLDER,
    PHOTO_FOLDER,
    PHOTO_SUFFIX,
    PHOTOS_FILE,
    SETTINGS_FILE,
    SPLITS,
    Division,
    JustZoomIn,
    outside_m,
    published_actions,
)
from tiercel.errors import TiercelError
from tiercel.maps import Basemap, open_map, write_pyramid
from tiercel.photos.write import replacing

CURATION_FOLDER = "curation"
"""What is to be looked at: report, list of dropped photos, measures and pictures."""

REPORT_FILE = "report.json"

_PARTIAL = ".partial"
_EXAMINED = "examined.jsonl"
_WRITTEN = "written.jsonl"
_TILE_PIXELS = 250
_FINEST = 0.08  # metres a pixel, as published
_OVERVIEW_PIXELS = 1600

Progress = Callable[[int, int], None]
Steps = Callable[[str], Progress]
"""Called with what begins; gives a function to call with how many pieces are done and how many there are."""


@dataclass(frozen=True)
class Built:
    """A benchmark that was made.

    Attributes:
        folder: Where it lies.
        report: What became of the photos, as in `curation/report.json`.
    """

    folder: Path
    report: dict[str, Any]


def build_dataset(
    out: str | Path,
    map_source: str | Path,
    *,
    photos: str | Path | None = None,
    table: str | Path | None = None,
    crs: str | None = None,
    choices: Choices | None = None,
    workers: int = 1,
    overwrite: bool = False,
    steps: Steps | None = None,
) -> Built:
    """Makes a benchmark in the published layout out of photos and a map.

    Args:
        out: Folder to make.
        map_source: Any map that `open_map` opens.
        photos: Folder of geotagged photos, or that the table's paths start from.
        table: CSV file that says where the photos were taken.
        crs: Coordinate system of a map that does not say its own.
        choices: Filters, square and split.
        workers: Processes.
        overwrite: Whether to replace a benchmark that is there.
        steps: Reports progress.

    Raises:
        TiercelError: No photo is left, or the folder, the table or the map cannot be used.
    """
    out, choices = Path(out), choices or Choices()
    _check_out(out, overwrite)
    if photos is not None and out.resolve().is_relative_to(Path(photos).resolve()):
        raise TiercelError(f"{out} lies among the photos and would become one of them: choose a folder elsewhere.")
    listed = list_photos(Path(photos) if photos is not None else None, Path(table) if table is not None else None)
    work = out.with_name(out.name + _PARTIAL)
    with open_map(map_source, crs=crs) as basemap:
        _prepare(work, out)
        run = _Run(work, basemap, choices, workers, steps or (lambda what: lambda done, total: None))
        report = run.all(listed)
    _publish(work, out)
    return Built(out, report)


class _Run:
    """One build, in its working folder."""

    def __init__(self, work: Path, basemap: Basemap, choices: Choices, workers: int, steps: Steps) -> None:
        self.work, self.basemap, self.choices = work, basemap, choices
        self.workers, self.steps = workers, steps

    def all(self, listed: Sequence[Listed]) -> dict[str, Any]:
        """Everything, from the list of photos to the report."""
        examined = examine_all(listed, self.work / _EXAMINED, self.workers, self.steps("Looking at photos"))
        fates = choose(listed, examined, self.basemap, self.choices)
        fates, division = self._placed(fates)
        fates, written = self._write_photos(fates)
        self._write_map(division)
        splits, blocks = self._write_tables(fates, written, division)
        report = self._report(fates, written, splits, division)
        self._write_curation(fates, splits, blocks, report)
        return report

    def _placed(self, fates: list[Fate]) -> tuple[list[Fate], Division]:
        """Chooses the square, and drops what a square that was asked for does not hold."""
        kept = [index for index, fate in enumerate(fates) if fate.kept]
        if not kept:
            raise TiercelError(_nothing_left(fates))
        choices = self.choices
        latitude, longitude = positions(fates)
        division = ground.choose_division(
            self.basemap, latitude[kept], longitude[kept], choices.leaf, choices.depth, choices.centre,
            _attribution(choices),
        )  # fmt: skip
        for index in kept:
            if float(outside_m(latitude[index], longitude[index], division)) > 0:
                fates[index] = fates[index].dropped("off the map", "It was taken outside the benchmark's square.")
        if not any(fate.kept for fate in fates):
            raise TiercelError(_nothing_left(fates))
        return fates, division

    def _write_photos(self, fates: list[Fate]) -> tuple[list[Fate], dict[str, Written]]:
        """Writes the photos that stay and are not there yet; one that cannot be written is dropped after all."""
        folder = self.work / PHOTO_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        kept = [index for index, fate in enumerate(fates) if fate.kept]
        jobs = [self._job(fates[index], folder) for index in kept]
        keys = [_job_key(job) for job in jobs]
        known = {str(entry["key"]): Written(**entry["written"]) for entry in read_journal(self.work / _WRITTEN)}
        there = {path.name for path in folder.iterdir()}
        todo = [n for n, job in enumerate(jobs) if keys[n] not in known or job.target.name not in there]
        report, done = self.steps("Writing photos"), len(jobs) - len(todo)
        report(done, len(jobs))
        with appending(self.work / _WRITTEN) as append:
            for position, result in each(write_one, [jobs[n] for n in todo], self.workers):
                known[keys[todo[position]]] = result
                append({"key": keys[todo[position]], "written": asdict(result)})
                done += 1
                report(done, len(jobs))
        written = {}
        for n, index in enumerate(kept):
            result = known[keys[n]]
            if result.error:
                fates[index] = fates[index].dropped("bad calibration", result.error)
            else:
                written[fates[index].image_id] = result
        wanted = {f"{image_id}{PHOTO_SUFFIX}" for image_id in written}
        for path in folder.iterdir():
            if path.name not in wanted:  # of an earlier run with other photos or thresholds
                path.unlink()
        if not written:
            raise TiercelError(_nothing_left(fates))
        return fates, written

    def _job(self, fate: Fate, folder: Path) -> Job:
        found, listed = fate.examined, fate.listed
        assert found.latitude is not None and found.longitude is not None
        return Job(
            listed.file, folder / f"{fate.image_id}{PHOTO_SUFFIX}", self.choices.long_side, listed.lens,
            found.latitude, found.longitude, found.heading, listed.field_of_view, found.panorama,
        )  # fmt: skip

    def _write_map(self, division: Division) -> None:
        """Writes the part of the map that the square covers; an earlier run's other map makes way."""
        folder, state = self.work / MAP_FOLDER, self.work / "satellite.json"
        bounds = ground.bounds_in_frame(self.basemap, division)
        pitch = max(self.basemap.resolution, _FINEST)
        identity = {"map": self.basemap.fingerprint(), "bounds": bounds, "pitch": pitch}
        if not state.is_file() or json.loads(state.read_text()) != json.loads(json.dumps(identity)):
            shutil.rmtree(folder, ignore_errors=True)
            with replacing(state) as part:
                part.write_text(json.dumps(identity))
        write_pyramid(
            folder, self.basemap, bounds=bounds, tile_pixels=_TILE_PIXELS, tile_side_m=_TILE_PIXELS * pitch,
            progress=self.steps("Writing the map"),
        )  # fmt: skip

    def _write_tables(
        self, fates: Sequence[Fate], written: dict[str, Written], division: Division
    ) -> tuple[dict[str, str], list[Block]]:
        """Writes the published tables and those of ours that stand beside them.

        Returns:
            What each photo that stays is for, one of `STATES`, and the blocks of the split, where there are any.
        """
        kept = [fate for fate in fates if fate.kept]
        latitude, longitude = positions(kept)
        picks = published_actions(latitude, longitude, division).tolist()
        rows = {
            fate.image_id: dict(zip(COLUMNS, (fate.image_id, *_place(fate), str(path)), strict=True))
            for fate, path in zip(kept, picks, strict=True)
        }
        notes = [_note(fate, written[fate.image_id], self.choices) for fate in kept]
        _write_table(self.work / PHOTOS_FILE, tuple(notes[0]), notes)
        with replacing(self.work / SETTINGS_FILE) as part:
            part.write_text(yaml.safe_dump(division.model_dump(), sort_keys=False), encoding="utf-8")
        self._write_split(rows, dict.fromkeys(rows, "train"))
        states, blocks = split_photos(self.work, self.choices)
        self._write_split(rows, states)
        return states, blocks

    def _write_split(self, rows: dict[str, dict[str, Any]], states: dict[str, str]) -> None:
        """Writes the rows of each part of a split into its table; without photos that are left out, there is none."""
        for state, name in (*SPLITS.items(), (LEFT_OUT, LEFT_OUT_FILE)):
            members = [row for image_id, row in rows.items() if states[image_id] == state]
            if members or state != LEFT_OUT:
                _write_table(self.work / name, COLUMNS, members)
            else:
                (self.work / name).unlink(missing_ok=True)

    def _report(
        self, fates: Sequence[Fate], written: dict[str, Written], splits: dict[str, str], division: Division
    ) -> dict[str, Any]:
        kept = [fate for fate in fates if fate.kept]
        latitude, longitude = positions(kept)
        leaves = {tuple(path) for path in published_actions(latitude, longitude, division).tolist()}
        reasons = Counter(fate.reasons[0] for fate in fates if not fate.kept)
        how = Counter(one.how for one in written.values())
        choices = self.choices
        return {
            "photos": len(fates),
            "kept": len(kept),
            "dropped": {reason: reasons[reason] for reason in REASONS},
            "train": sum(split == "train" for split in splits.values()),
            "val": sum(split == "val" for split in splits.values()),
            "left_out": sum(split == LEFT_OUT for split in splits.values()),
            "split": choices.split,
            "sequences": len({fate.drive for fate in kept}),
            "panoramas": sum(fate.examined.panorama for fate in kept),
            "copied": how["copied"],
            "shrunk": how["shrunk"],
            "straightened": how["straightened"],
            "square": division.model_dump(),
            "leaf_m": division.side_m / division.branching**division.depth,
            "occupied_leaves": len(leaves),
            "reach_m": round(ground.reach(latitude, longitude, choices.leaf), 1),
            "map": {"source": self.basemap.source, "metres_per_pixel": round(self.basemap.resolution, 4)},
            "licences": Counter(_licence(fate, choices) or "not stated" for fate in kept),
            "choices": asdict(choices),
        }

    def _write_curation(
        self, fates: Sequence[Fate], splits: dict[str, str], blocks: Sequence[Block], report: dict[str, Any]
    ) -> None:
        """Writes what is to be looked at."""
        folder = self.work / CURATION_FOLDER
        folder.mkdir(exist_ok=True)
        show = self.steps("Drawing")
        _write_table(folder / "dropped.csv", _DROPPED, [_dropped(fate) for fate in fates if not fate.kept])
        _write_table(folder / "measures.csv", _MEASURES, [_measured(fate) for fate in fates])
        name = self.work.name.removesuffix(_PARTIAL)
        title = f"{name}: {report['kept']:,} of {report['photos']:,} photos kept"
        save(contact_sheet(fates, splits, title), folder / "contact_sheet.jpg")
        show(1, 2)
        benchmark = JustZoomIn.open(self.work)
        overhead = benchmark.read_square((), _OVERVIEW_PIXELS)
        report["map"]["covered"] = round(float(overhead.any(-1).mean()), 3)
        places = _places_in_square(fates, splits, benchmark)
        side = benchmark.side_m
        kilometres = f"{f'{side / 1000:g} km' if side >= 1000 else f'{side:g} m'} square, {benchmark.depth} picks"
        picture = coverage_map(overhead, places, blocks, benchmark.side_m, f"{name}: {kilometres}")
        save(picture, folder / "coverage_map.jpg")
        benchmark.basemap.close()
        for split in SPLITS:
            benchmark.samples(split)  # reads every row, so that nothing is handed over that cannot be opened
        with replacing(folder / REPORT_FILE) as part:
            part.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        show(2, 2)


_DROPPED = ("image", "reason", "all_reasons", "words")
_MEASURES = (
    "image", "image_id", "latitude", "longitude", "heading", "field_of_view", "panorama", "drive", "blur", "brightness",
    "obstruction", "sky", "ceiling", "reasons",
)  # fmt: skip


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuses a folder that is in the way, and never replaces one that is not a benchmark made here."""
    if not out.exists():
        return
    if not (out / CURATION_FOLDER / REPORT_FILE).is_file():
        raise TiercelError(f"{out} is there already and is no benchmark made by this command: choose another folder.")
    if not overwrite:
        raise TiercelError(f"{out} is there already: choose another folder, or replace it with --overwrite.")


def _prepare(work: Path, out: Path) -> None:
    """Makes the working folder; what a benchmark that is to be replaced knows about its photos is used again."""
    try:
        for folder in (PHOTO_FOLDER, "metadata", MAP_FOLDER):
            (work / folder).mkdir(parents=True, exist_ok=True)
        known = out / CURATION_FOLDER / _EXAMINED
        if known.is_file() and not (work / _EXAMINED).exists():
            shutil.copyfile(known, work / _EXAMINED)
    except OSError as error:
        raise TiercelError(f"{work} cannot be made ({error.strerror}): choose another folder.") from error


def _publish(work: Path, out: Path) -> None:
    """Puts the finished benchmark into its place."""
    (work / _EXAMINED).replace(work / CURATION_FOLDER / _EXAMINED)
    for name in (_WRITTEN, "satellite.json"):
        (work / name).unlink(missing_ok=True)
    old = out.with_name(f"{out.name}.replaced")
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    work.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _nothing_left(fates: Sequence[Fate]) -> str:
    counts = Counter(fate.reasons[0] for fate in fates if not fate.kept)
    first = next((fate for fate in fates if fate.reasons[:1] == (counts.most_common(1)[0][0],)), None)
    said = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    example = f"; {first.listed.name}: {first.words}" if first else ""
    return f"None of {len(fates)} photos can be used ({said}{example.rstrip('.')}): check the folder, or the options."


def _attribution(choices: Choices) -> str:
    photos = choices.photo_attribution or choices.photo_licence
    said = f"Photos: {photos}; per photo in {PHOTOS_FILE}." if photos else f"Photos: per photo in {PHOTOS_FILE}."
    return f"{said} Map: {choices.map_attribution or 'not stated'}."


def _licence(fate: Fate, choices: Choices) -> str:
    return fate.listed.licence or choices.photo_licence


def _place(fate: Fate) -> tuple[float, float]:
    assert fate.examined.latitude is not None and fate.examined.longitude is not None
    return fate.examined.latitude, fate.examined.longitude


def _note(fate: Fate, written: Written, choices: Choices) -> dict[str, Any]:
    """What `metadata/photos.csv` says about a photo."""
    found = fate.examined
    return {
        "image_id": fate.image_id, "drive": fate.drive, "heading": _rounded(found.heading),
        "field_of_view": _rounded(written.field_of_view), "panorama": found.panorama, "captured_at": found.captured_at,
        "how": written.how, "licence": _licence(fate, choices),
        "attribution": fate.listed.attribution or choices.photo_attribution, "link": fate.listed.link,
        "original": fate.listed.name,
    }  # fmt: skip


def _dropped(fate: Fate) -> dict[str, Any]:
    return {
        "image": fate.listed.name, "reason": fate.reasons[0], "all_reasons": "; ".join(fate.reasons),
        "words": fate.words,
    }  # fmt: skip


def _measured(fate: Fate) -> dict[str, Any]:
    found = fate.examined
    numbers = asdict(found.measures) if found.measures else {}
    return numbers | {
        "image": fate.listed.name, "image_id": fate.image_id, "latitude": found.latitude, "longitude": found.longitude,
        "heading": _rounded(found.heading), "field_of_view": _rounded(found.field_of_view), "panorama": found.panorama,
        "drive": fate.drive, "reasons": "; ".join(fate.reasons),
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _places_in_square(
    fates: Sequence[Fate], splits: dict[str, str], benchmark: JustZoomIn
) -> list[tuple[float, float, str]]:
    """Where the photos with a place lie, as shares of the square from its north-western corner."""
    latitude, longitude = positions(fates)
    known = [index for index in range(len(fates)) if np.isfinite(latitude[index])]
    east, south = ground.shares(benchmark.division, latitude[known], longitude[known])
    states = [splits.get(fates[index].image_id, "dropped") if fates[index].kept else "dropped" for index in known]
    everything = zip(east.tolist(), south.tolist(), states, strict=True)
    return [(u, v, state) for u, v, state in everything if 0 <= u <= 1 and 0 <= v <= 1]


def _job_key(job: Job) -> str:
    """Changes with anything that changes what is written."""
    return repr((replace(job, target=Path(job.target.name)), file_state(job.source)))


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
