"""Tournaments by name, for recipes and the command line."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

from tiercel.errors import TiercelError
from tiercel.rerank.tournaments.adaptive import Adaptive
from tiercel.rerank.tournaments.all_pairs import Aggregation, AllPairs
from tiercel.rerank.tournaments.bradley_terry import BradleyTerry
from tiercel.rerank.tournaments.knockout import Knockout
from tiercel.rerank.tournaments.listwise import ByRanking
from tiercel.rerank.tournaments.orders import Orders
from tiercel.rerank.tournaments.paper import PaperSelection
from tiercel.rerank.tournaments.pointwise import ByScore
from tiercel.rerank.tournaments.sorting import Insertion, Sliding
from tiercel.rerank.tournaments.tournament import Tournament

KINDS: dict[str, type[Tournament]] = {
    "paper": PaperSelection,
    "all_pairs": AllPairs,
    "insertion": Insertion,
    "sliding": Sliding,
    "knockout": Knockout,
    "adaptive": Adaptive,
    "scores": ByScore,
    "ranking": ByRanking,
}
"""The first word of every name."""


def tournament_names() -> list[str]:
    """Every name in full: `<kind>`, `<kind>-<orders>` or `<kind>-<orders>-<aggregation>`."""
    names = []
    for kind, of in KINDS.items():
        known = _settings(of)
        orders = ("single", "both") if of is ByRanking else get_args(Orders) if "orders" in known else ()
        aggregations = get_args(Aggregation) if "aggregation" in known else ()
        for order in orders or ("",):
            names += ["-".join(filter(None, (kind, order, one))) for one in aggregations or ("",)]
    return names


def tournament(name: str, **settings: object) -> Tournament:
    """A tournament by its name, such as `paper`, `knockout-both` or `all_pairs-both-log_odds`.

    Args:
        name: What is left out at its end is as the kind has it if nobody says otherwise.
        settings: The attributes of its class and, where it has a `model`, of `BradleyTerry`.

    Raises:
        TiercelError: There is no such tournament, it has no such setting, or a value is out of range.
    """
    names = tournament_names()
    if not any(full == name or full.startswith(f"{name}-") for full in names):
        raise TiercelError(f"There is no tournament {name!r}: choose from {', '.join(names)}.")
    kind, *words = name.split("-")
    of = KINDS[kind]
    known = _settings(of)
    unknown = sorted(set(settings) - set(known))
    if unknown:
        choices = ", ".join(known) or "it has none"
        raise TiercelError(f"The tournament {name} has no setting {', '.join(unknown)}: choose from {choices}.")
    chosen: dict[str, Any] = settings | dict(zip(("orders", "aggregation"), words, strict=False))
    model = {one: chosen.pop(one) for one in _model_settings(of) if one in chosen}
    return of(**chosen, **({"model": BradleyTerry(**model)} if model else {}))


def _settings(of: type[Tournament]) -> list[str]:
    """What may be set, the model's settings in place of the model."""
    return [one.name for one in fields(of) if one.name != "model"] + _model_settings(of)


def _model_settings(of: type[Tournament]) -> list[str]:
    has_model = any(one.name == "model" for one in fields(of))
    return [one.name for one in fields(BradleyTerry)] if has_model else []
