"""Candidates in simulated cities: what judges are taught with, and what they are measured on.

A city, its atlas, the candidates of its photos and their crops are kept in one folder, each part made unless it is
there, so that a run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiercel.candidates.crops import Crops
from tiercel.candidates.files import CandidateFile
from tiercel.candidates.on_map import Method, Plan, retrieve_into
from tiercel.candidates.truth import ExifTruth
from tiercel.datasets.simulated import MAP_FILE, simulate

if TYPE_CHECKING:
    from tiercel.models import Model

Report = Callable[[str], None]


@dataclass(frozen=True)
class CityPlan:
    """What is asked in a city.

    Attributes:
        size: Side of the city, metres.
        photos: Photos of each kind.
        queries: Kinds of photos, such as ``panorama`` or ``photo_90``; with ``_north`` behind it where the first stage
            may use their headings.
        count: Candidates for each photo.
        method: What ranks them, as in `Plan`.
        crop_m: Side of the ground that a crop shows, metres.
        crop_pixels: Side of a crop.
    """

    size: float = 2000.0
    photos: int = 100
    queries: tuple[str, ...] = ("panorama_north", "panorama", "photo_90_north", "photo_90")
    count: int = 10
    method: Method = "first"
    crop_m: float = 156.25
    crop_pixels: int = 320

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of photos, each once."""
        return tuple(dict.fromkeys(query.removesuffix("_north") for query in self.queries))


def city_candidates(
    folder: str | Path, seed: int, plan: CityPlan, model: Model, report: Report = print
) -> dict[str, CandidateFile]:
    """The first stage's candidates for the photos of a simulated city.

    Args:
        folder: Where the city is kept; made if missing.
        seed: Of the city and its photos.
        plan: What is asked.
        model: The first stage.
        report: Told a line now and then.

    Returns:
        For each of the plan's queries a file of candidates, with truth and crops.

    Raises:
        TiercelError: The folder holds another city, or candidates of another plan.
    """
    from tiercel.atlas import build
    from tiercel.locate import Locator
    from tiercel.maps import open_map

    folder = Path(folder)
    report(f"city {seed}: photos and map")
    samples = simulate(folder, seed=seed, size=plan.size, photos=plan.photos * len(plan.kinds), kinds=plan.kinds)
    found = {}
    with open_map(folder / MAP_FILE) as basemap:
        locator = Locator(build(basemap, model, folder / f"atlas-{model.fingerprint}"), model, basemap)
        crops = Crops(folder / f"crops-{plan.crop_m:g}m-{plan.crop_pixels}", locator, plan.crop_m, plan.crop_pixels)
        for query in plan.queries:
            photos = [sample.file for sample in samples if sample.kind == query.removesuffix("_north")]
            asked = Plan(plan.count, plan.method, headings=query.endswith("_north"))
            name = query if plan.method == "first" else f"{plan.method}-{query}"
            target = folder / f"candidates-{model.fingerprint}" / f"{name}-{plan.count}-{plan.crop_m:g}m.jsonl"
            found[query] = retrieve_into(target, locator, photos, asked, crops=crops, truth=ExifTruth())
            report(f"city {seed}, {query}: {_line(found[query])}")
    return found


def _line(found: CandidateFile) -> str:
    first, all_of_them = (
        sum(one.correct_in(k) for one in found.lists) / max(1, len(found.lists)) for k in (1, len(found.lists))
    )
    return f"{first:.1%} right at once, {all_of_them:.1%} among the candidates"
