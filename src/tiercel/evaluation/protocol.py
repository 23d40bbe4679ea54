"""Named protocols: what is asked, where, and with what known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A kind of query.

    Attributes:
        name: As it stands in result rows.
        kind: Kind of photo in the data set.
        north_known: Whether the method is told the photo's heading.
        words: For people.
    """

    name: str
    kind: str
    north_known: bool
    words: str


QUERIES = (
    Query("panorama_north", "panorama", True, "panorama, north known"),
    Query("panorama", "panorama", False, "panorama, heading unknown"),
    Query("photo_90_north", "photo_90", True, "photo, 90 degrees, north known"),
    Query("photo_90", "photo_90", False, "photo, 90 degrees, heading unknown"),
)

ALL_QUERIES = (
    *QUERIES,
    Query("photo_70_north", "photo_70", True, "photo, 70 degrees, north known"),
    Query("photo_70", "photo_70", False, "photo, 70 degrees, heading unknown"),
)


@dataclass(frozen=True)
class Protocol:
    """What an evaluation measures.

    Attributes:
        name: Its name.
        area: ``unseen`` (cities of seeds that never trained) or a data set.
        seeds: Seeds of the cities.
        photos: Photos of each kind in each city.
        size: Side of a city in metres.
        queries: Kinds of queries.
    """

    name: str
    area: str
    seeds: tuple[int, ...]
    photos: int
    size: float = 2000.0
    queries: tuple[Query, ...] = QUERIES


UNSEEN = Protocol("unseen", "unseen", seeds=(0, 1, 2), photos=200)
"""Simulated cities of 2 km and 4,096 leaves, of seeds that neither trained nor fitted anything; 600 queries a kind."""
