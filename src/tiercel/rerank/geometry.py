"""The geometric match as a judge: how well a place, seen from above, lies under the photo at its best pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.datasets.journal import appending, read_journal
from tiercel.errors import TiercelError
from tiercel.rerank.judge import Cost, Judge, Pair, Preference, Score
from tiercel.rerank.views import SMALL_VIEW

if TYPE_CHECKING:
    from torch import Tensor

    from tiercel.models.judge import Glimpse, JudgeVisionModel

_REMEMBERED = 256
JOURNAL = "match.jsonl"
"""File of scores in the folder of a cache."""


@dataclass(frozen=True)
class _Seen:
    """What a candidate comes to, or why it has no score."""

    value: float | None
    trouble: str = ""
    computed: int = 0


class MatchJudge(Judge):
    """Compares candidates by the geometric match, from the same pictures that the small model is shown.

    It has no order of two and no words, so it is the yardstick for models that have: what geometry alone says.

    Args:
        model: Whose match: ``bundled``, a checkpoint folder, or a Hugging Face id.
        temperature: Scores further apart than this, in nats, leave little doubt.
        cache: Folder in which scores are kept; none if left out.

    Raises:
        TiercelError: The model has no geometric match.
    """

    name = "match"

    def __init__(self, model: str | Path = "bundled", temperature: float = 1.0, cache: Path | None = None) -> None:
        """Loads the model."""
        from tiercel.models import load_model
        from tiercel.models.judge import tower_of

        loaded = load_model(model)
        self.tower: JudgeVisionModel = tower_of(loaded).eval()
        self.temperature = temperature
        self._fingerprint, self._journal = loaded.fingerprint, cache and cache / JOURNAL
        self._kept = self._read()
        self._memory: dict[tuple[object, ...], _Seen] = {}
        self._place = lru_cache(maxsize=_REMEMBERED)(self._placed)
        self._glimpse = lru_cache(maxsize=2)(self._glimpsed)

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """By the difference of scores."""
        return [self._preference(query, *pair) for pair in pairs]

    def _read(self) -> dict[str, float]:
        """Scores of this model that were kept."""
        if self._journal is None:
            return {}
        try:
            self._journal.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TiercelError(f"{self._journal.parent} cannot be made ({error.strerror}): choose another.") from error
        return {
            str(one["key"]): float(one["score"])
            for one in read_journal(self._journal)
            if one.get("model") == self._fingerprint
        }

    def _keep(self, key: str, score: float) -> None:
        self._kept[key] = score
        if self._journal is not None:
            with appending(self._journal) as append:
                append({"model": self._fingerprint, "key": key, "score": score})

    def score_each(self, query: CandidateList, candidates: Sequence[Candidate]) -> list[Score]:
        """The score, in a range that is open at both ends, brought into 0 to 100."""
        found = [self._score(query, one) for one in candidates]
        return [
            Score(None, one.trouble, cost=Cost(1))
            if one.value is None
            else Score(100.0 / (1.0 + math.exp(-one.value / self.temperature / 4.0)), cost=Cost(1, one.computed))
            for one in found
        ]

    def _preference(self, query: CandidateList, a: Candidate, b: Candidate) -> Preference:
        first, second = self._score(query, a), self._score(query, b)
        cost = Cost(1, max(first.computed, second.computed))
        if first.value is None or second.value is None:
            return Preference(None, first.trouble or second.trouble, cost=cost)
        return Preference(1.0 / (1.0 + math.exp((second.value - first.value) / self.temperature)), cost=cost)

    def _score(self, query: CandidateList, candidate: Candidate) -> _Seen:
        """A candidate's score, computed once."""
        key = (query.query, query.heading, query.field_of_view, candidate.crop, candidate.crop_m)
        if key in self._memory:
            return self._memory[key]
        seen = self._scored(query, candidate)
        self._memory[key] = replace(seen, computed=0)
        return seen

    def _scored(self, query: CandidateList, candidate: Candidate) -> _Seen:
        import torch

        try:
            key = f"{SMALL_VIEW.of_photo(query).digest[:32]}-{SMALL_VIEW.of_candidate(query, candidate).digest[:32]}"
            if key in self._kept:
                return _Seen(self._kept[key])
            with torch.inference_mode():
                place = self._place(candidate.crop, candidate.crop_m)
                look = self.tower.look(self._glimpse(query), place[None])[0]
        except TiercelError as error:
            return _Seen(None, str(error))
        self._keep(key, float(look.summary[0]) * 8.0)
        return _Seen(self._kept[key], computed=1)

    def _placed(self, crop: Path | None, crop_m: float | None) -> Tensor:
        picture = SMALL_VIEW.of_candidate(CandidateList(Path("photo")), Candidate(crop=crop, crop_m=crop_m))
        return self.tower.places(picture_tensor(picture.pixels)[None])[0]

    def _glimpsed(self, query: CandidateList) -> Glimpse:
        return self.tower.glimpse(picture_tensor(SMALL_VIEW.of_photo(query).pixels))


def picture_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as the small model's processor makes it: (3, H, W) in -1..1."""
    import torch

    from tiercel.models.blocks import image_to_tensor

    return image_to_tensor(torch.from_numpy(pixels.copy())[None])[0]
