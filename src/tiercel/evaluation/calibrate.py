"""Fitting a model's calibration numbers on validation cities: what each method's word weighs, and how far to trust it.

The weights are chosen by the mean log-probability of the cell that holds the truth (a proper score: being sure and
wrong costs most), over panoramas and photos with heading known and unknown alike; the rest is fitted in `honesty`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.datasets import SimulatedSample
from tiercel.evaluation.evaluate import prepare
from tiercel.evaluation.honesty import Evidence, fit_honesty, gather
from tiercel.evaluation.protocol import Protocol
from tiercel.geo import ZoomTree
from tiercel.locate import Locator
from tiercel.models import Calibration, load_model
from tiercel.photos import Photo
from tiercel.search import posterior
from tiercel.search.policies import zoom_policy
from tiercel.training.splits import seeds as seeds_of

TEMPERATURES = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4)
ZOOM_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25)
FIRST_WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
MATCH_WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
LEAST_LOG = -12.0
"""Log-probabilities below this count as this, so that one hopeless photo does not decide."""

Floats = NDArray[np.float64]


def calibrate(
    model: str | Path,
    *,
    cities: int = 2,
    region_cities: int = 10,
    photos: int = 60,
    jobs: int = 1,
    keep_weights: bool = False,
    work: Path | str = "runs/calibration",
    report: Callable[[str], None] = print,
) -> Calibration:
    """Fit the numbers and write them into the model's ``config.json``.

    Args:
        model: A checkpoint folder.
        cities: How many validation cities for the weights of the methods, which need few.
        region_cities: How many for the temperatures and the regions, which need many: coverage to within 3 points of a
            hundred asks for a thousand queries of each kind.
        photos: Photos of each kind in each.
        jobs: Cities asked at once, each by a process.
        keep_weights: Leave the weights as they stand in the file, and fit the rest.
        work: Where cities and atlases are kept.
        report: Told a line now and then.

    Returns:
        What was chosen.
    """
    folder = Path(model)
    chosen = seeds_of("validation", max(cities, region_cities), first=10)
    asking = _Asking(folder, photos, Path(work), report)
    if not keep_weights:
        _fit_weights(folder, [query for seed in chosen[:cities] for query in asking.queries(seed)], report)
    with ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else nullcontext() as pool:
        evidence = list((pool.map if pool else map)(asking.evidence, chosen[:region_cities]))
    fitted = fit_honesty(load_model(folder).config.calibration, evidence)
    report(f"temperatures {fitted.sibling_temperatures} among siblings, {fitted.global_temperature} over all leaves")
    save_calibration(folder, fitted)
    return fitted


@dataclass(frozen=True)
class _Asking:
    """Asks validation queries."""

    folder: Path
    photos: int
    work: Path
    report: Callable[[str], None]

    def queries(self, seed: int) -> Iterator[tuple[Locator, Photo, SimulatedSample]]:
        """Every photo of a city as every kind of query, with the numbers that the model's file holds now."""
        protocol = Protocol("validation", "validation", (seed,), self.photos)
        locator, samples = prepare(load_model(self.folder), protocol, seed, self.work, self.report)
        for query in protocol.queries:
            for sample in (s for s in samples if s.kind == query.kind):
                photo = Photo.open(sample.file)
                yield locator, photo if query.north_known else dataclasses.replace(photo, heading=None), sample

    def evidence(self, seed: int) -> Evidence:
        """What temperatures and regions are fitted to in one city; kept beside it, to go on after an interruption."""
        model = load_model(self.folder)
        # Temperatures and regions do not bear on what is gathered.
        weights = dataclasses.replace(
            model.config.calibration, sibling_temperatures=(), global_temperature=1.0, regions={}
        )
        digest = hashlib.sha256(f"{model.fingerprint} {weights} {self.photos} {seed}".encode()).hexdigest()[:16]
        kept = self.work / f"evidence-{digest}.npz"
        if not kept.is_file():
            found = gather((locator.analyse(photo), s.x, s.y) for locator, photo, s in self.queries(seed))
            kept.parent.mkdir(parents=True, exist_ok=True)
            found.save(kept)
        self.report(f"city {seed}: asked")
        return Evidence.load(kept)


def _fit_weights(
    folder: Path, asked: Sequence[tuple[Locator, Photo, SimulatedSample]], report: Callable[[str], None]
) -> None:
    """How much each method's word weighs, into the model's file."""
    known = [(locator, photo, _leaf(locator.atlas.tree, sample)) for locator, photo, sample in asked]
    first = _first_stage(known, report)
    before = load_model(folder).config.calibration
    save_calibration(folder, _final_weights(folder, before, first, known, report))


def _leaf(tree: ZoomTree, sample: SimulatedSample) -> int:
    """The leaf that a photo was taken in."""
    return int(tree.flat(tree.depth, *tree.cell_at(sample.x, sample.y, tree.depth)))


def save_calibration(folder: Path, calibration: Calibration) -> None:
    """Put calibration numbers into a checkpoint's ``config.json``."""
    config = load_model(folder, "cpu").config
    dataclasses.replace(config, calibration=calibration).save(folder / "config.json")


def _first_scores(locator: Locator, photo: Photo, truth: int) -> Floats:
    """Log-probability of the true leaf by the first stage: (temperatures, zoom weights)."""
    features = locator.model.encode_photos([photo])[0]
    scores = np.empty((len(TEMPERATURES), len(ZOOM_WEIGHTS)))
    for row, temperature in enumerate(TEMPERATURES):
        poses = locator.retriever.scores(features, temperature)
        for column, weight in enumerate(ZOOM_WEIGHTS):
            answer = posterior(zoom_policy(locator.atlas, features, poses, weight))
            scores[row, column] = max(LEAST_LOG, float(answer.log_probability[truth]))
    return scores


def _first_stage(asked: Sequence[tuple[Locator, Photo, int]], report: Callable[[str], None]) -> tuple[float, float]:
    """The temperature of retrieval and the weight of zooming."""
    scores = np.mean([_first_scores(*one) for one in asked], axis=0)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    chosen = TEMPERATURES[int(row)], ZOOM_WEIGHTS[int(column)]
    report(
        f"first stage: temperature {chosen[0]}, zoom weight {chosen[1]}, "
        f"mean log-probability of the truth {scores.max():.3f}"
    )
    return chosen


def _final_weights(
    folder: Path,
    before: Calibration,
    first: tuple[float, float],
    asked: Sequence[tuple[Locator, Photo, int]],
    report: Callable[[str], None],
) -> Calibration:
    """The weights of the first stage, as it was chosen, and the match beside each other."""
    start = dataclasses.replace(before, retrieval_temperature=first[0], zoom_weight=first[1])
    save_calibration(folder, start)
    model = load_model(folder)
    locators = {id(locator): Locator(locator.atlas, model) for locator, _, _ in asked}
    pairs = list(itertools.product(FIRST_WEIGHTS, MATCH_WEIGHTS))
    sums = np.zeros(len(pairs))
    for locator, photo, truth in asked:
        analysis = locators[id(locator)].analyse(photo)
        for number, weights in enumerate(pairs):
            sums[number] += max(LEAST_LOG, float(analysis.judged(*weights).log_probability[truth]))
    best = int(sums.argmax())
    first_weight, match_weight = pairs[best]
    report(
        f"weights {first_weight} of the first stage and {match_weight} of the match, "
        f"mean log-probability of the truth {sums[best] / len(asked):.3f}"
    )
    return dataclasses.replace(start, first_weight=first_weight, match_weight=match_weight)


def main() -> None:
    """``python -m tiercel.evaluation.calibrate FOLDER``."""
    import argparse

    parser = argparse.ArgumentParser(description="Fit a model's calibration numbers on validation cities.")
    parser.add_argument("model", type=Path, help="checkpoint folder")
    parser.add_argument("--cities", type=int, default=2, help="validation cities for the weights")
    parser.add_argument("--region-cities", type=int, default=10, help="validation cities for the rest")
    parser.add_argument("--photos", type=int, default=60, help="photos of each kind in each city")
    parser.add_argument("--jobs", type=int, default=1, help="cities asked at once, each by a process")
    parser.add_argument("--keep-weights", action="store_true", help="leave the weights, fit temperatures and regions")
    parser.add_argument("--work", type=Path, default=Path("runs/calibration"), help="where cities and atlases are kept")
    given = parser.parse_args()
    print(calibrate(**vars(given)))


__all__ = ["calibrate", "save_calibration"]

if __name__ == "__main__":
    main()
