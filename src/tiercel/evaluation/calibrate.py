"""Fitting a model's few calibration numbers on validation cities: how much each method's word weighs.

All are chosen by the mean log-probability of the cell that holds the truth (a proper score: being sure and wrong costs
most), over panoramas and photos with heading known and unknown alike.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.evaluate import prepare
from tiercel.evaluation.protocol import Protocol
from tiercel.locate import Locator
from tiercel.models import Calibration, load_model
from tiercel.photos import Photo
from tiercel.search import posterior
from tiercel.search.policies import zoom_policy
from tiercel.training.splits import seeds as seeds_of

TEMPERATURES = (0.7, 0.85, 1.0, 1.2, 1.4)
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
    photos: int = 60,
    work: Path | str = "runs/calibration",
    report: Callable[[str], None] = print,
) -> Calibration:
    """Fit the numbers and write them into the model's ``config.json``.

    Args:
        model: A checkpoint folder.
        cities: How many validation cities.
        photos: Photos of each kind in each.
        work: Where cities and atlases are kept.
        report: Told a line now and then.

    Returns:
        What was chosen.
    """
    folder = Path(model)
    loaded = load_model(folder)
    protocol = Protocol("validation", "validation", tuple(seeds_of("validation", cities, first=10)), photos)
    ready = [prepare(loaded, protocol, seed, Path(work), report) for seed in protocol.seeds]
    asked: list[tuple[Locator, Photo, int]] = []
    for locator, samples in ready:
        tree = locator.atlas.tree
        for query in protocol.queries:
            for sample in (s for s in samples if s.kind == query.kind):
                photo = Photo.open(sample.file)
                photo = photo if query.north_known else dataclasses.replace(photo, heading=None)
                row, col = tree.cell_at(sample.x, sample.y, tree.depth)
                asked.append((locator, photo, int(tree.flat(tree.depth, row, col))))
    first = _first_stage(asked, report)
    chosen = _final_weights(folder, loaded.config.calibration, first, asked, report)
    save_calibration(folder, chosen)
    return chosen


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
    parser.add_argument("--cities", type=int, default=2)
    parser.add_argument("--photos", type=int, default=60, help="photos of each kind in each city")
    given = parser.parse_args()
    print(calibrate(given.model, cities=given.cities, photos=given.photos))


__all__ = ["calibrate", "save_calibration"]

if __name__ == "__main__":
    main()
