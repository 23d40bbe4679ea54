"""Named protocols: what is asked, where, and with what known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.datasets import SimulatedSample

DIFFICULTIES = ("plain", "hard")
"""How hard simulated cities may be, as `tiercel.datasets.simulate` takes it."""


@dataclass(frozen=True)
class Query:
    """A kind of query.

    Attributes:
        name: As it stands in result rows.
        kind: Kind of photo in the data set.
        north_known: Whether the method is told the photo's heading.
        words: For people.
        shots: Which of the photos from a spot are asked together, the one whose heading is asked for first.
        turns_known: Whether the method is told how far the camera turned between them.
    """

    name: str
    kind: str
    north_known: bool
    words: str
    shots: tuple[int, ...] = (0,)
    turns_known: bool = False


QUERIES = (
    Query("panorama_north", "panorama", True, "panorama, north known"),
    Query("panorama", "panorama", False, "panorama, heading unknown"),
    Query("photo_90_north", "photo_90", True, "photo, 90 degrees, north known"),
    Query("photo_90", "photo_90", False, "photo, 90 degrees, heading unknown"),
)

PHOTO_70 = Query("photo_70", "photo_70", False, "photo, 70 degrees, heading unknown")

ALL_QUERIES = (*QUERIES, Query("photo_70_north", "photo_70", True, "photo, 70 degrees, north known"), PHOTO_70)

OPPOSITE = (
    Query("photo_90_opposite", "photo_90", False, "two of 90 degrees back to back, nothing known", (0, 1)),
    Query("photo_90_opposite_turned", "photo_90", False, "two of 90 degrees back to back, turn known", (0, 1), True),
)
"""Two photos from one spot, the camera turned half around, give or take ten degrees."""

LOCATE_QUERIES = (*QUERIES, PHOTO_70, *OPPOSITE)

GOALS = {
    "panorama_north": 96.0,
    "panorama": 90.0,
    "photo_90_north": 65.0,
    "photo_90": 45.0,
    "photo_70": 30.0,
    "photo_90_opposite": 85.0,
}
"""Answers within 50 m, in percent, that the full pipeline is to reach."""
GOAL_M = 1.5
"""Median error in metres, where the place is right, that it is to reach."""


@dataclass(frozen=True)
class Protocol:
    """What an evaluation measures.

    Attributes:
        name: Its name.
        area: ``unseen`` (cities of seeds that never trained) or a data set.
        seeds: Seeds of the cities.
        photos: Photos of each kind in each city, or spots where several are taken from each.
        size: Side of a city in metres.
        queries: Kinds of queries.
        difficulty: One of `DIFFICULTIES`.
        photos_if_hard: As `photos`, for the difficulties beyond plain; 0 for as many.
    """

    name: str
    area: str
    seeds: tuple[int, ...]
    photos: int
    size: float = 2000.0
    queries: tuple[Query, ...] = QUERIES
    difficulty: str = "plain"
    photos_if_hard: int = 0

    def at(self, difficulty: str) -> Protocol:
        """The same in cities of a difficulty, whose area in rows says so: ``unseen``, or ``unseen_hard``."""
        if difficulty == "plain":
            return dataclasses.replace(self, difficulty=difficulty)
        photos = self.photos_if_hard or self.photos
        return dataclasses.replace(self, difficulty=difficulty, area=f"{self.area}_{difficulty}", photos=photos)

    @property
    def shots(self) -> dict[str, int]:
        """For each kind of photo that is asked, how many are taken from each spot."""
        kinds: dict[str, int] = {}
        for query in self.queries:
            kinds[query.kind] = max(kinds.get(query.kind, 1), *(shot + 1 for shot in query.shots))
        return kinds

    def asked(self, samples: Sequence[SimulatedSample], query: Query) -> list[list[SimulatedSample]]:
        """The photos of each query of a kind, from those of a city in the order in which they were taken."""
        shots = self.shots[query.kind]
        of_kind = [sample for sample in samples if sample.kind == query.kind]
        spots = [of_kind[first : first + shots] for first in range(0, len(of_kind), shots)]
        return [[spot[shot] for shot in query.shots] for spot in spots]


UNSEEN = Protocol("unseen", "unseen", seeds=(0, 1, 2), photos=200)
"""What methods are compared on: simulated cities of 2 km and 4,096 leaves, of seeds that neither trained nor fitted
anything; 600 queries a kind."""

LOCATE = Protocol("locate", "unseen", seeds=(0, 1, 2, 3), photos=500, queries=LOCATE_QUERIES, photos_if_hard=250)
"""What a model is measured on: cities of the same make; 2,000 queries a kind, and 1,000 in hard cities."""
