"""``python -m tiercel.evaluation.errors OUT_FOLDER --seed 1002 --count 100``: a page of wrong answers, sorted by cause.

Photos of validation cities are located by the full pipeline. Answers more than 50 m off are collected, in equal parts
of each kind of query as far as there are so many, and sorted by what the simulator knows about them (see
`tiercel.evaluation.causes`). OUT_FOLDER gets contact sheets of all of them; counts go into a file of rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiercel.datasets import SimulatedSample
from tiercel.datasets.simulated import corner
from tiercel.errors import TiercelError
from tiercel.evaluation.causes import CAUSES, Facts, Ground, cause_of, occluded_share
from tiercel.evaluation.error_sheets import Shown, draw_pages, draw_sheet
from tiercel.evaluation.evaluate import MAP_FILE, RIGHT_M, city_folder, prepare
from tiercel.evaluation.protocol import ALL_QUERIES, Protocol, Query
from tiercel.evaluation.reliability import ALL
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.locate import Analysis, Locator
from tiercel.maps import open_map
from tiercel.models import Model, load_model
from tiercel.photos import Photo
from tiercel.sim import StreetLook, StreetRenderer, make_world
from tiercel.training.splits import split_of

Report = Callable[[str], None]

QUERIES = tuple(query for query in ALL_QUERIES if query.name in ("panorama", "photo_90", "photo_90_north"))
AREA = "validation"
EXAMPLES = 8
"""Wrong answers on the sheet of examples."""


@dataclass(frozen=True)
class WrongAnswer:
    """An answer more than `RIGHT_M` off.

    Attributes:
        query: Kind of query.
        seed: Of the city.
        number: Of the photo among those of its kind in its city.
        sample: The photo and the truth about it.
        x: Easting of the answer, metres.
        y: Northing.
        heading: Of the photo's centre column as answered, degrees.
        probability: Of the leaf that was answered.
        facts: What is known about it.
    """

    query: Query
    seed: int
    number: int
    sample: SimulatedSample
    x: float
    y: float
    heading: float
    probability: float
    facts: Facts

    @property
    def cause(self) -> str:
        """One of `CAUSES`."""
        return cause_of(self.facts)


@dataclass(frozen=True)
class Found:
    """What came out of all cities.

    Attributes:
        wrong: The wrong answers that were kept.
        asked: For each query's name, how many photos were asked until there were enough.
    """

    wrong: tuple[WrongAnswer, ...]
    asked: Mapping[str, int]


def find_errors(model: Model, protocol: Protocol, count: int, work: Path, report: Report = print) -> Found:
    """Ask until there are enough wrong answers, or no more photos.

    Args:
        model: With the heads ``retrieval`` and ``match``.
        protocol: Cities, how many photos of each kind, and the queries.
        count: Wrong answers wanted, in equal parts of the queries.
        work: Where cities and atlases are kept, to be used again.
        report: Told a line now and then.

    Raises:
        TiercelError: a city is not one of the validation split, or the model has no match.
    """
    strangers = [seed for seed in protocol.seeds if split_of(seed) != "validation"]
    if strangers:
        raise TiercelError(f"cities {strangers} are not for looking at errors: give seeds of validation, 1000 to 1999.")
    if not {"retrieval", "match"} <= set(model.config.heads):
        raise TiercelError(f"model {model.name} has no full pipeline: it needs the heads retrieval and match.")
    quota = {
        query.name: count // len(protocol.queries) + (index < count % len(protocol.queries))
        for index, query in enumerate(protocol.queries)
    }
    wrong: list[WrongAnswer] = []
    asked: Counter[str] = Counter()
    for seed in protocol.seeds:
        if all(sum(one.query == query for one in wrong) >= quota[query.name] for query in protocol.queries):
            break
        locator, samples = prepare(model, protocol, seed, work, report)
        knowing = _Knowing(locator, seed, protocol.size)
        for query in protocol.queries:
            some = [sample for sample in samples if sample.kind == query.kind]
            for number, sample in enumerate(some):
                if sum(one.query == query for one in wrong) >= quota[query.name]:
                    break
                asked[query.name] += 1
                wrong += knowing.wrong(query, number, sample)
            found = sum(one.query == query for one in wrong)
            report(f"city {seed}, {query.words}: {found} wrong answers of {asked[query.name]} asked")
    return Found(tuple(wrong), dict(asked))


class _Knowing:
    """A city with all that the simulator knows of it."""

    def __init__(self, locator: Locator, seed: int, size: float) -> None:
        """Makes the city again."""
        self.locator, self.seed, self.corner = locator, seed, corner(seed)
        world = make_world(seed, size)
        self.renderer, self.ground = StreetRenderer(world), Ground(world)

    def wrong(self, query: Query, number: int, sample: SimulatedSample) -> Iterator[WrongAnswer]:
        """The answer, if it is wrong."""
        photo = Photo.open(sample.file)
        unknown = dataclasses.replace(photo, heading=None)
        analysis = self.locator.analyse(photo if query.north_known else unknown)
        x, y, heading = (float(one[0]) for one in (analysis.matches.x, analysis.matches.y, analysis.matches.heading))
        error = float(np.hypot(x - sample.x, y - sample.y))
        if error <= RIGHT_M:
            return
        told = None if query.north_known else self._error(self.locator.analyse(photo), sample) <= RIGHT_M
        truth, answer = ((px - self.corner[0], py - self.corner[1]) for px, py in ((sample.x, sample.y), (x, y)))
        facts = Facts(
            error_m=error,
            same_street=self.ground.same_street(truth, answer),
            right_when_told=told,
            occluded=occluded_share(self.renderer, sample, self._day(sample)),
            same_style=self.ground.same_style(truth, answer),
            likeness=self.ground.likeness(truth, answer),
            among_candidates=self._among_candidates(analysis, sample),
        )
        probability = float(analysis.final.probability[analysis.matches.leaves[0]])
        yield WrongAnswer(query, self.seed, number, sample, x, y, heading, probability, facts)

    @staticmethod
    def _error(analysis: Analysis, sample: SimulatedSample) -> float:
        return float(np.hypot(analysis.matches.x[0] - sample.x, analysis.matches.y[0] - sample.y))

    @staticmethod
    def _among_candidates(analysis: Analysis, sample: SimulatedSample) -> bool:
        """Whether the first stage's likeliest leaves have one within `RIGHT_M` of the truth."""
        tree = analysis.locator.atlas.tree
        leaves, _ = analysis.first.top(analysis.calibration.candidates)
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaves))
        return bool((np.hypot(x - sample.x, y - sample.y) <= RIGHT_M).any())

    def _day(self, sample: SimulatedSample) -> int:
        """Seed of the vehicles and people in a photo, as `tiercel.datasets.write_dataset` drew it."""
        index = int(sample.file.name.partition("_")[0])
        return StreetLook.sample(np.random.default_rng([self.seed, 2, index])).day


def error_rows(found: Found, protocol: Protocol, command: str) -> list[Row]:
    """How many wrong answers have which cause, for each kind of query and for all.

    Args:
        found: The wrong answers.
        protocol: What was asked.
        command: What to run to count them again.
    """
    rows: list[Row] = []
    for name in (*(query.name for query in protocol.queries), ALL):
        wrong = [one for one in found.wrong if name in (ALL, one.query.name)]
        asked = sum(found.asked.values()) if name == ALL else found.asked.get(name, 0)
        counts = Counter(one.cause for one in wrong) | Counter({"any": len(wrong)})
        for cause in (*CAUSES, "any"):
            off = [one.facts.error_m for one in wrong if cause in ("any", one.cause)]
            extra = {"median_m": float(np.median(off)) if off else None}
            at = f"wrong/{name}/{AREA}/{cause}"
            row = Row(at, float(counts[cause]), "", asked, None, None, protocol.seeds, machine(), command, extra)
            rows.append(row)
    return rows


def examples(wrong: Sequence[WrongAnswer], count: int = EXAMPLES) -> list[WrongAnswer]:
    """Some of each cause in turn, the surest answers first: being sure and wrong says most."""
    by_cause = {
        cause: sorted((one for one in wrong if one.cause == cause), key=lambda one: -one.probability)
        for cause in CAUSES
    }
    chosen: list[WrongAnswer] = []
    for turn in range(len(wrong)):
        chosen += [some[turn] for some in by_cause.values() if turn < len(some)]
    chosen = chosen[:count]
    return sorted(chosen, key=lambda one: list(CAUSES).index(one.cause))


def shown(wrong: Sequence[WrongAnswer], protocol: Protocol, work: Path) -> Iterator[Shown]:
    """Wrong answers with their photos and maps, to be drawn."""
    for one in wrong:
        with open_map(city_folder(protocol, one.seed, work) / MAP_FILE) as basemap:
            yield Shown.read(
                basemap,
                Photo.open(one.sample.file),
                (one.sample.x, one.sample.y, one.sample.heading),
                (one.x, one.y, one.heading),
                _words(one),
            )


def _words(one: WrongAnswer) -> tuple[str, ...]:
    facts = one.facts
    told = {None: "", True: "right", False: "wrong as well"}[facts.right_when_told]
    lines = (
        CAUSES[one.cause],
        f"{one.query.words}; city {one.seed}, photo {one.number}",
        f"{facts.error_m:.0f} m off; probability {100 * one.probability:.0f} %",
        f"{100 * facts.occluded:.0f} % hidden by vehicles, people, near trees",
        f"told the heading: {told}" if told else "",
        f"district {'of the same style' if facts.same_style else 'of another style'}, likeness {facts.likeness:.2f}",
        f"truth {'among' if facts.among_candidates else 'not among'} the candidates",
    )
    return tuple(line for line in lines if line)


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tiercel.evaluation.errors", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets the contact sheets")
    parser.add_argument("--model", default="bundled", help="bundled, a checkpoint folder, or a Hugging Face id")
    parser.add_argument("--seed", type=int, action="append", help="of a validation city; may be repeated")
    parser.add_argument("--count", type=int, default=100, help="wrong answers")
    parser.add_argument("--photos", type=int, default=150, help="photos of each kind in each city")
    parser.add_argument("--size", type=float, default=2000.0, help="side of a city in metres")
    parser.add_argument("--work", type=Path, default=Path("runs/evaluation"), help="where cities and atlases are kept")
    parser.add_argument("--results", type=Path, default=Path("results/errors.json"), help="file of rows")
    parser.add_argument("--picture", type=Path, help="gets a sheet of examples, such as docs/pictures/errors.jpg")
    given = parser.parse_args(arguments)
    seeds = tuple(given.seed or (1002,))
    protocol = Protocol("errors", AREA, seeds, given.photos, given.size, QUERIES)
    found = find_errors(load_model(given.model), protocol, given.count, given.work)
    given.folder.mkdir(parents=True, exist_ok=True)
    by_cause = sorted(found.wrong, key=lambda one: (list(CAUSES).index(one.cause), one.query.name))
    for number, page in enumerate(draw_pages(shown(by_cause, protocol, given.work)), 1):
        page.save(given.folder / f"errors_{number}.png")
    told = " ".join(f"--seed {seed}" for seed in seeds)
    command = f"python -m tiercel.evaluation.errors OUT --model {given.model} {told} --count {given.count}"
    write_rows(given.results, error_rows(found, protocol, f"{command} --photos {given.photos}"))
    if given.picture is not None and found.wrong:
        draw_sheet(list(shown(examples(found.wrong), protocol, given.work))).save(given.picture, quality=85)
    print({cause: count for cause, count in Counter(one.cause for one in found.wrong).items()})


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TiercelError as error:
        sys.exit(f"{error}")
