"""What several photos from one spot buy.

Somebody turns round on the spot and takes four photos of 90 degrees. Located are one of them, two that adjoin, two back
to back, and all four: with nothing known of their headings, with the turns between them, and with north.

``python -m tiercel.evaluation.together results/together.json --photos 60`` measures it on cities never seen.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel.atlas import Atlas, build
from tiercel.datasets import SimulatedSample, simulate
from tiercel.errors import TiercelError
from tiercel.evaluation.evaluate import MAP_FILE
from tiercel.evaluation.metres import Asked, Found, answer_all, metric_rows
from tiercel.evaluation.results import Row, write_rows
from tiercel.locate import Analysis, Locator
from tiercel.maps import open_map
from tiercel.models import Model, load_model
from tiercel.photos import Photo

Report = Callable[[str], None]

KIND, SHOTS, SIZE_M = "photo_90", 4, 2000.0
SEEDS, SPOTS = (0, 1), 60
KNOWN = ("", "_turned", "_north")
"""What is known: nothing of the headings, the turns between the photos, or every heading from north."""


@dataclass(frozen=True)
class Set:
    """Some of the photos from a spot.

    Attributes:
        name: Name of the query in rows, to which one of `KNOWN` is added.
        shots: Which of the photos, clockwise.
        words: For people.
    """

    name: str
    shots: tuple[int, ...]
    words: str


SETS = (
    Set("photo_90", (0,), "one photo"),
    Set("photo_90_pair", (0, 1), "two that adjoin"),
    Set("photo_90_opposite", (0, 2), "two back to back"),
    Set("photo_90_four", (0, 1, 2, 3), "four all around"),
)


def measure(
    model: str | Path = "bundled",
    *,
    seeds: Sequence[int] = SEEDS,
    photos: int = SPOTS,
    work: Path | str = "runs/together",
    report: Report = print,
) -> list[Row]:
    """Measure every set of photos, with all that may be known of their headings.

    Args:
        model: ``bundled``, a checkpoint folder, or a Hugging Face id.
        seeds: Of the cities.
        photos: At how many of the spots of each city; at most `SPOTS`.
        work: Where cities, atlases and answers are kept, to go on after an interruption.
        report: Told a line now and then.

    Raises:
        TiercelError: There are not so many spots.
    """
    if not 1 <= photos <= SPOTS:
        raise TiercelError(f"Each city has {SPOTS} spots: ask for 1 to {SPOTS} of them, not {photos}.")
    loaded = load_model(model)
    found: list[Found] = []
    for seed in seeds:
        folder = Path(work) / f"spots-{seed}-{SIZE_M:g}m-{SPOTS}"
        locator, around = prepare(loaded, folder, seed)
        for number, spot in enumerate(around[:photos]):
            found += answer_all(ask(locator, spot, number), folder / f"answers-{loaded.fingerprint}.jsonl")
            report(f"city {seed}: spot {number + 1} of {photos}")
    command = f"python -m tiercel.evaluation.together results/together.json --photos {photos}"
    return list(metric_rows(found, seeds, command))


def prepare(model: Model, folder: Path, seed: int) -> tuple[Locator, list[list[SimulatedSample]]]:
    """A city with its atlas and the photos from each of its spots, made unless they are there."""
    samples = simulate(folder, seed=seed, size=SIZE_M, photos=SHOTS * SPOTS, kinds=(KIND,), shots=SHOTS)
    target = folder / f"atlas-{model.fingerprint}"
    with open_map(folder / MAP_FILE) as basemap:
        atlas = build(basemap, model, target)
    around = [samples[first : first + SHOTS] for first in range(0, len(samples), SHOTS)]
    return Locator(Atlas.open(target) if atlas is None else atlas, model), around


def ask(locator: Locator, photos: Sequence[SimulatedSample], number: int) -> Iterator[Asked]:
    """The queries of one spot."""
    x, y, heading = photos[0].x, photos[0].y, photos[0].heading
    for chosen in SETS:
        some = [photos[shot] for shot in chosen.shots]
        turns = [(sample.heading - heading) % 360 for sample in some[1:]]
        for known in KNOWN if turns else ("", "_north"):

            def analyse(
                files: tuple[Path, ...] = tuple(sample.file for sample in some),
                north: bool = known == "_north",
                told: list[float] | None = turns if known == "_turned" else None,
            ) -> Analysis:
                opened = [Photo.open(file) for file in files]
                seen = opened if north else [dataclasses.replace(photo, heading=None) for photo in opened]
                return locator.analyse_together(seen, told)

            yield Asked(chosen.name + known, number, x, y, heading, analyse)


def main() -> None:
    """``python -m tiercel.evaluation.together FILE``."""
    parser = argparse.ArgumentParser(description="Measure what several photos from one spot buy.")
    parser.add_argument("out", type=Path, help="file of result rows to write")
    parser.add_argument("--photos", type=int, default=SPOTS, help="at how many spots of each city")
    parser.add_argument("--seed", type=int, action="append", help="seed of a city, instead of the usual ones")
    parser.add_argument("--work", type=Path, default=Path("runs/together"), help="where cities and atlases are kept")
    given = parser.parse_args()
    write_rows(given.out, measure(seeds=given.seed or SEEDS, photos=given.photos, work=given.work))


if __name__ == "__main__":
    main()
