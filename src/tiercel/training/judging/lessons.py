"""Lessons: questions to the small model as large ones get them, with the right answers behind them.

Every step's lessons are a function of the seed and the step alone. Each step asks about other photos; a photo and its
candidates are turned together by a random angle, and mirrored half the time, so that no answer can be learnt by heart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.rerank.backends.backend import Answer, Backend, Picture, Request
from tiercel.rerank.prompt import Prompt, load_prompt
from tiercel.rerank.views import SMALL_VIEW, View
from tiercel.rerank.vision import VisionLanguageJudge
from tiercel.training.judging.looks import CityLooks
from tiercel.training.judging.words import END, chat, make_tokenizer

Floats = NDArray[np.float32]

MOST = 10
"""Candidates of a photo that are shown at most."""
CERTAINTY = "{certainty}"
"""In an answer, stands for what the model itself makes of the place, 0 to 100, at that moment."""
AZIMUTHS = 64
"""Columns of a photo's polar features."""


@dataclass(frozen=True)
class Example:
    """One question and what is right.

    Attributes:
        photo: Index of the photo in the step's photos.
        places: Indices of the candidates shown.
        text: The question as the model reads it, one `IMAGE` a picture.
        answer: What it should say.
        open_ended: Whether it has to end its answer; else just the next token matters, as where choices are read by
            their log-probabilities.
        certainty_text: The question whose answer is put in place of `CERTAINTY`, if that is in the answer.
    """

    photo: int
    places: tuple[int, ...]
    text: str
    answer: str
    open_ended: bool = False
    certainty_text: str = ""


@dataclass(frozen=True)
class Step:
    """What a step asks.

    Attributes:
        polar: (n, match_width, ranges, columns) float32 of the photos.
        shown: Photo and candidate of each of the k places that are shown.
        ground: (k, match_width, ranges, columns) float32 of these.
        summary: (k, SUMMARY) float32.
        examples: Questions about them.
    """

    polar: Tensor
    shown: list[tuple[int, int]]
    ground: Tensor
    summary: Tensor
    examples: list[Example]


class _Unseen(View):
    """A view that makes no pictures: questions are put together with what the tower saw in their place."""

    def of_photo(self, query: CandidateList) -> Picture:
        return _BLANK

    def of_candidate(self, query: CandidateList, candidate: Candidate) -> Picture:
        return _BLANK


_BLANK = Picture(np.zeros((1, 1, 3), np.uint8))


class _Nobody(Backend):
    """Answers nothing; questions are only put together."""

    name = "nobody"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        raise NotImplementedError


@dataclass
class Wording:
    """The texts of all questions and answers.

    Attributes:
        tokenizer: Of the model; made from the texts where there is none yet.
    """

    tokenizer: Any = None
    _judges: dict[str, VisionLanguageJudge] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes the tokenizer."""
        if self.tokenizer is None:
            self.tokenizer = make_tokenizer(list(_corpus(self)))

    def judge(self, arm: str) -> VisionLanguageJudge:
        """Puts an arm's questions together."""
        if arm not in self._judges:
            view = _Unseen(**vars(SMALL_VIEW))
            self._judges[arm] = VisionLanguageJudge(_Nobody(), load_prompt(arm), view)
        return self._judges[arm]

    def prompt(self, arm: str) -> Prompt:
        """Of an arm."""
        return self.judge(arm).prompt

    def question(self, arm: str, photo: dict[str, Any], count: int, *, words: str, reason: str = "") -> str:
        """A question as the model reads it.

        Args:
            arm: Whose.
            photo: What is known of the photo, as in `CityLooks.photos`.
            count: Candidates that are shown.
            words: What asks for the answer.
            reason: What the model said before, if it was asked for a reason first.
        """
        judge = self.judge(arm)
        query = CandidateList(Path(), (), None, None, photo["panorama"], photo["field_of_view"], photo["heading"])
        asked = judge.question(query, [Candidate(crop_m=photo["crop_m"])] * count)
        asked = judge.reasoned(asked, reason) if reason else asked
        return chat_text(self.tokenizer, judge.request(asked, words))


def chat_text(tokenizer: Any, request: Request) -> str:  # noqa: ANN401  (transformers' tokenizers are untyped)
    """A request as the model reads it."""
    messages = [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in turn.parts
            ],
        }
        for turn in request.turns
    ]
    return chat(tokenizer, messages)


def point_reason(photo: str, place: str) -> str:
    """What the model says about one candidate."""
    return f"Photo: {photo}. Place: {place}."


def pair_reason(photo: str, first: str, second: str) -> str:
    """What it says about two."""
    return f"Photo: {photo}. Place 1: {first}. Place 2: {second}."


def score_answer(score: int | str, reason: str = "") -> str:
    """A score in JSON, with a reason if there is one."""
    return f'{{"reasoning": "{reason}", "score": {score}}}' if reason else f'{{"score": {score}}}'


def _corpus(wording: Wording) -> Iterator[str]:
    """Every kind of text that the model reads or writes."""
    from itertools import product

    from tiercel.training.judging.words import GROUND

    class _Plain:
        """Stands for the tokenizer while there is none."""

        def apply_chat_template(self, messages: list[dict[str, Any]], **kwargs: Any) -> str:  # noqa: ANN401
            from jinja2 import Template

            template = Template(kwargs["chat_template"])
            return str(template.render(messages=messages, add_generation_prompt=True))

    wording.tokenizer = _Plain()
    photos = [
        {"panorama": fov >= 359, "field_of_view": fov, "heading": heading, "crop_m": 156.25}
        for fov in (360.0, 90.0, 70.0)
        for heading in (None, 0.0)
    ]
    for photo in photos:
        for arm in ("pairwise", "pairwise_reasoning"):
            for words in _ways_of_asking(wording.prompt(arm)):
                yield wording.question(arm, photo, 2, words=words)
                yield wording.question(arm, photo, 2, words=words, reason="Photo: x. Place 1: x. Place 2: x.")
        for arm in ("score", "reasoning_score", "yes_no", "likert", "reasoning_then_score", "reasoning_then_yes_no"):
            for words in _ways_of_asking(wording.prompt(arm)):
                yield wording.question(arm, photo, 1, words=words)
                yield wording.question(arm, photo, 1, words=words, reason="Photo: x. Place: x.")
        yield wording.question("listwise", photo, MOST, words=wording.prompt("listwise").verdict.json_words)
    yield from ("Yes", "No", score_answer(50), score_answer(50, "Photo: x. Place: x."), '{"ranking": [1, 2, 3]}')
    sides = ("north", "east", "south", "west", "ahead", "right", "behind", "left")
    for side, ground in product(sides, GROUND):
        yield f"{side} {ground}, {side} {ground}. "
    yield END


def _ways_of_asking(prompt: Prompt) -> list[str]:
    return [words for words in (prompt.reason, prompt.verdict.choice, prompt.verdict.json_words) if words]


@dataclass(frozen=True)
class _Asked:
    """A photo that is asked about.

    Attributes:
        number: In the step.
        looks: Its city.
        row: In the city.
        rng: Source of chance.
        wording: Texts.
    """

    number: int
    looks: CityLooks
    row: int
    rng: np.random.Generator
    wording: Wording

    @property
    def photo(self) -> dict[str, Any]:
        """What is known of it."""
        return self.looks.photos[self.row]

    def right(self) -> int:
        """A candidate that holds the camera."""
        return int(self.rng.choice(np.nonzero(self.looks.right[self.row])[0]))

    def wrong(self) -> int:
        """One that does not; half the time the one that the first stage likes best."""
        some = np.nonzero(self.looks.wrong[self.row])[0]
        return int(some[0] if self.rng.random() < 0.5 else self.rng.choice(some))

    def ask(self, arm: str, count: int, reason: str = "") -> str:
        """The question that asks for the verdict."""
        verdict = self.wording.prompt(arm).verdict
        words = verdict.choice if verdict.choices else verdict.json_words
        return self.wording.question(arm, self.photo, count, words=words, reason=reason)

    def ask_reason(self, arm: str, count: int) -> str:
        """The question that asks for the reason."""
        return self.wording.question(arm, self.photo, count, words=self.wording.prompt(arm).reason)

    def reason(self, *places: int) -> str:
        """What is true of the photo and of candidates."""
        sides = [self.looks.places[self.row][place] for place in places]
        photo = self.photo["sides"]
        return point_reason(photo, sides[0]) if len(sides) == 1 else pair_reason(photo, sides[0], sides[1])


def _pairs(asked: _Asked, arm: str) -> Iterator[Example]:
    """Which of two, asked in both orders."""
    right, wrong = asked.right(), asked.wrong()
    for answer, places in (("1", (right, wrong)), ("2", (wrong, right))):
        if not asked.wording.prompt(arm).reason:
            yield Example(asked.number, places, asked.ask(arm, 2), answer)
            continue
        reason = asked.reason(*places)
        yield Example(asked.number, places, asked.ask_reason(arm, 2), reason, open_ended=True)
        yield Example(asked.number, places, asked.ask(arm, 2, reason), answer)


def _points(asked: _Asked, arm: str) -> Iterator[Example]:
    """What of a right and of a wrong one."""
    verdict = asked.wording.prompt(arm).verdict
    for place, best in ((asked.right(), True), (asked.wrong(), False)):
        reason = asked.reason(place)
        first = reason if asked.wording.prompt(arm).reason else ""
        if first:
            yield Example(asked.number, (place,), asked.ask_reason(arm, 1), reason, open_ended=True)
        text = asked.ask(arm, 1, first)
        if verdict.choices:
            worth = verdict.values.index(100.0 if best else 0.0)
            yield Example(asked.number, (place,), text, verdict.choices[worth])
        else:
            answer = score_answer(CERTAINTY, reason if verdict.reasoning else "")
            yield Example(asked.number, (place,), text, answer, True, asked.ask("yes_no", 1))


def _list(asked: _Asked, arm: str) -> Iterator[Example]:
    """In which order: the right one first, then as the first stage has them."""
    right = asked.right()
    wrong = np.nonzero(asked.looks.wrong[asked.row])[0]
    count = min(len(wrong), int(asked.rng.integers(2, MOST)))
    shown = asked.rng.permutation([right, *wrong[:count]]).tolist()
    best_first = [right, *wrong[:count].tolist()]
    order = [shown.index(place) + 1 for place in best_first]
    yield Example(asked.number, tuple(shown), asked.ask(arm, len(shown)), f'{{"ranking": {order}}}', open_ended=True)


@dataclass(frozen=True)
class _Turn:
    """What was seen is changed as if the world, or else the camera, had been turned, and perhaps mirrored.

    Attributes:
        columns: Clockwise.
        mirror: Whether east and west change places afterwards.
    """

    columns: int
    mirror: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Turn:
        """A random one."""
        return cls(int(rng.integers(AZIMUTHS)), bool(rng.random() < 0.5))

    def summary(self, summary: Floats, known: bool) -> Floats:
        """What is said of the best pose; `known` where the left edge of the strip is north."""
        angle = self.columns * 2 * math.pi / AZIMUTHS
        whole, best, east, north, sine, cosine = summary.tolist()
        if known:  # the world turns under a strip whose left edge stays north
            east, north = _clockwise(east, north, angle)
        else:  # the strip begins further left
            sine, cosine = _clockwise(sine, cosine, -angle)
        sign = -1.0 if self.mirror else 1.0
        return np.array([whole, best, sign * east, north, sign * sine, cosine], np.float32)


def _clockwise(east: float, north: float, angle: float) -> tuple[float, float]:
    return east * math.cos(angle) + north * math.sin(angle), north * math.cos(angle) - east * math.sin(angle)


def _seen(array: NDArray[np.float16], turn: _Turn | None) -> Floats:
    """What the tower saw, in fp32, as after a turn."""
    seen = array.astype(np.float32)
    if turn is None:
        return seen
    rolled = np.roll(seen, turn.columns, -1)
    return np.ascontiguousarray(rolled[..., ::-1]) if turn.mirror else rolled


class Lessons:
    """Draws the lessons of each step.

    Args:
        cities: What the tower saw.
        wording: Texts.
        shares: For each arm its share of the photos.
        photos: Photos in a step.
        dropout: Share of a photo's sectors that are hidden.
        seed: Of all that is drawn.
    """

    def __init__(
        self,
        cities: Sequence[CityLooks],
        wording: Wording,
        shares: Mapping[Any, float],
        photos: int,
        dropout: float,
        seed: int,
    ) -> None:
        """Lists the photos that have a right and a wrong candidate."""
        self.cities, self.wording, self.photos, self.dropout, self.seed = cities, wording, photos, dropout, seed
        self.arms = [arm for arm, share in shares.items() if share > 0]
        self.shares = np.array([shares[arm] for arm in self.arms]) / sum(shares[arm] for arm in self.arms)
        self.usable = [
            (city, int(photo))
            for city, looks in enumerate(cities)
            for photo in np.nonzero(looks.right.any(1) & (looks.wrong.sum(1) > 1))[0]
        ]

    def step(self, number: int) -> Step:
        """The lessons of a step."""
        rng = np.random.default_rng([self.seed, number])
        examples: list[Example] = []
        polar: list[Floats] = []
        places: dict[tuple[int, int], tuple[Floats, Floats]] = {}
        for photo in range(self.photos):
            city, row = self.usable[int(rng.integers(len(self.usable)))]
            asked = _Asked(photo, self.cities[city], row, rng, self.wording)
            arm = self.arms[int(rng.choice(len(self.arms), p=self.shares))]
            make = _list if arm == "listwise" else _pairs if arm.startswith("pairwise") else _points
            made = list(make(asked, arm))
            examples += made
            prompt = self.wording.prompt(arm)
            # A reason names directions, which a turn would change.
            turn = None if prompt.reason or prompt.verdict.reasoning else _Turn.drawn(rng)
            hidden = np.repeat(rng.random(16) < self.dropout, AZIMUTHS // 16)
            polar.append(np.where(hidden, 0, _seen(asked.looks.polar[row], turn)))
            for place in sorted({place for one in made for place in one.places}):
                summary = asked.looks.summary[row, place]
                summary = turn.summary(summary, bool(asked.looks.known[row])) if turn else summary
                places[photo, place] = _seen(asked.looks.ground[row, place], turn), summary
        ground, summaries = (torch.from_numpy(np.stack(part)) for part in zip(*places.values(), strict=True))
        return Step(torch.from_numpy(np.stack(polar)), list(places), ground, summaries, examples)
