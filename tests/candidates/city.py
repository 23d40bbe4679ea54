"""A small simulated city with candidates, made in some seconds and shared by the tests that need one."""

from pathlib import Path

from tiercel.candidates import CandidateFile
from tiercel.candidates.simulated import CityPlan, city_candidates
from tiercel.models import load_model

PLAN = CityPlan(size=500.0, photos=3, queries=("panorama", "photo_90_north"), count=4)


def candidates_in_city(folder: Path, seed: int = 20_000, plan: CityPlan = PLAN) -> dict[str, CandidateFile]:
    """Candidates of a handful of photos."""
    return city_candidates(folder, seed, plan, load_model("bundled").with_heads(["retrieval", "zoom"]), lambda _: None)
