"""Vision-language models as judges: a prompt, a view, and a backend that runs the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from PIL import Image

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.errors import TiercelError
from tiercel.photos.write import replacing
from tiercel.rerank import reading
from tiercel.rerank.backends.backend import Answer, Backend, Picture, Request, Turn
from tiercel.rerank.judge import Cost, Judge, Pair, Preference, Ranking, Score
from tiercel.rerank.prompt import Prompt, pieces
from tiercel.rerank.reading import UnreadableError
from tiercel.rerank.views import View, collage, picture_of

_Value = TypeVar("_Value")
_Part = str | Picture


@dataclass(frozen=True)
class Question:
    """One question on its way to a verdict.

    Attributes:
        turns: The conversation so far; the last turn is the user's, and the verdict is asked for at its end.
        prefix_parts: As in `Request`.
        trouble: Why it cannot be asked; empty if it can.
        reason: What the model gave as its reason.
        cost: So far.
    """

    turns: tuple[Turn, ...] = ()
    prefix_parts: int = 0
    trouble: str = ""
    reason: str = ""
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True)
class _Verdict(Generic[_Value]):
    """What came of a question."""

    value: _Value | None
    trouble: str
    reason: str
    cost: Cost


class VisionLanguageJudge(Judge):
    """Asks a vision-language model.

    Args:
        backend: Runs it.
        prompt: What is asked.
        view: What is shown.
        sent: A folder into which a picture of exactly what was sent is written for every call; None for none.
    """

    def __init__(self, backend: Backend, prompt: Prompt, view: View | None = None, sent: Path | None = None) -> None:
        """Nothing is asked yet."""
        self.backend, self.prompt, self.view, self.sent = backend, prompt, view or View(), sent
        self.name = f"{backend.name} {prompt.label}"
        self._no_log_probabilities = False

    @property
    def note(self) -> str:
        """What lies in the cache and is not used."""
        cache = getattr(self.backend, "cache", None)
        return str(cache.note(self.prompt.label)) if cache is not None else ""

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """The share of the first choice."""
        self._must_be("pair")
        questions = [self.question(query, pair) for pair in pairs]
        found = self._verdicts(questions, self._share_of_first)
        return [Preference(one.value, one.trouble, one.reason, one.cost) for one in found]

    def score_each(self, query: CandidateList, candidates: Sequence[Candidate]) -> list[Score]:
        """The expected value of the choices, or the number that is named."""
        self._must_be("point")
        found = self._verdicts([self.question(query, [one]) for one in candidates], self._expected_value)
        return [Score(one.value, one.trouble, one.reason, one.cost) for one in found]

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        """The order that is named."""
        self._must_be("list")
        verdict = self.prompt.verdict

        def order(answer: Answer) -> tuple[int, ...]:
            return reading.read_order(reading.json_object(answer.text), verdict, len(candidates))

        one = self._verdicts([self.question(query, candidates)], order)[0]
        return Ranking(one.value, one.trouble, one.reason, one.cost)

    def question(self, query: CandidateList, shown: Sequence[Candidate]) -> Question:
        """What is asked about candidates, before any reason is given; a picture that is missing is its trouble."""
        try:
            prefix = self._parts(self.prompt.prefix, {"photo": [self.view.of_photo(query)]}, query, shown)
            rest = self._parts(self.prompt.question, self._pictures(query, shown), query, shown)
        except TiercelError as error:
            return Question(trouble=str(error))
        if not (self.view.collage or self.backend.single_image):
            return Question((Turn("user", (*prefix, *rest)),), len(prefix))
        return Question((Turn("user", _collaged((*prefix, *rest), self._names(len(shown)))),))

    def _must_be(self, kind: str) -> None:
        if self.prompt.kind != kind:
            asks = {"point": "one candidate", "pair": "two candidates", "list": "all candidates"}[self.prompt.kind]
            raise TiercelError(f"Prompt {self.prompt.name} asks about {asks}: choose one of the kind '{kind}'.")

    def _pictures(self, query: CandidateList, shown: Sequence[Candidate]) -> dict[str, list[_Part]]:
        crops: list[Picture] = [self.view.of_candidate(query, one) for one in shown]
        if self.prompt.kind == "list":
            numbered: list[_Part] = []
            for number, crop in enumerate(crops, 1):
                numbered += [f"Place {number} from above: ", crop, "\n"]
            return {"places": numbered[:-1]}
        names = ("candidate",) if self.prompt.kind == "point" else ("first", "second")
        return {name: [crop] for name, crop in zip(names, crops, strict=True)}

    def _parts(
        self, text: str, slots: dict[str, list[_Part]] | dict[str, list[Picture]], query: CandidateList,
        shown: Sequence[Candidate],
    ) -> list[_Part]:  # fmt: skip
        """A text of the prompt with pictures and words in its slots; texts that touch become one."""
        words = {"photo_words": self.view.photo_words(query), "candidate_words": self.view.candidate_words(shown[0])}
        parts: list[_Part] = []
        for number, piece in enumerate(pieces(text)):
            for part in [piece] if number % 2 == 0 else slots.get(piece, [words.get(piece, "")]):
                if isinstance(part, str) and parts and isinstance(parts[-1], str):
                    parts[-1] += part
                elif part != "":
                    parts.append(part)
        return parts

    def _names(self, shown: int) -> list[str]:
        places = ["Place"] if self.prompt.kind == "point" else [f"Place {number}" for number in range(1, shown + 1)]
        return ["Street photo", *places]

    def _verdicts(self, questions: Sequence[Question], read: Callable[[Answer], _Value]) -> list[_Verdict[_Value]]:
        """Asks for reasons, if the prompt does, and then for verdicts."""
        questions = self._with_reasons(questions)
        answered = self._ask_verdicts(questions)
        return [self._read(question, answer, read) for question, answer in zip(questions, answered, strict=True)]

    def _with_reasons(self, questions: Sequence[Question]) -> Sequence[Question]:
        if not self.prompt.reason:
            return questions
        tokens = self.prompt.reason_tokens
        answers = self._ask([self.request(one, self.prompt.reason, tokens=tokens) for one in questions], questions)
        return [
            question if answer is None else self._with_reason(question, answer)
            for question, answer in zip(questions, answers, strict=True)
        ]

    def _with_reason(self, question: Question, answer: Answer) -> Question:
        cost = question.cost + _cost(answer)
        trouble = answer.trouble or ("" if answer.text else "the model gave no reason where one was asked for")
        if trouble:
            return replace(question, trouble=trouble, cost=cost)
        return replace(self.reasoned(question, answer.text), cost=cost)

    def reasoned(self, question: Question, reason: str) -> Question:
        """The question with a reason that the model gave."""
        asked = _asked(question.turns, self.prompt.reason)
        return replace(question, turns=(*asked, Turn("assistant", (reason,)), Turn("user", ())), reason=reason)

    def _ask_verdicts(self, questions: Sequence[Question]) -> list[Answer | None]:
        """By log-probabilities of choices where there are choices and the backend has these, else by JSON."""
        verdict = self.prompt.verdict
        if verdict.choices and not self._no_log_probabilities:
            requests = [self.request(one, verdict.choice, verdict.choices) for one in questions]
            answers = self._ask(requests, questions)
            lacking = [answer for answer in answers if answer and not answer.trouble and not answer.log_probabilities]
            if not lacking:
                return answers
            self._no_log_probabilities = True
        tokens = verdict.max_tokens
        return self._ask([self.request(one, verdict.json_words, tokens=tokens) for one in questions], questions)

    def request(self, question: Question, words: str, choices: tuple[str, ...] = (), tokens: int = 1) -> Request:
        """A question with the words that ask for an answer at its end."""
        turns = _asked(question.turns, words) if question.turns else ()
        return Request(turns, choices, tokens, question.prefix_parts, self.prompt.label)

    def _ask(self, requests: Sequence[Request], questions: Sequence[Question]) -> list[Answer | None]:
        """Answers to the questions that can be asked, None for the others."""
        possible = [number for number, question in enumerate(questions) if not question.trouble]
        answers: list[Answer | None] = [None] * len(questions)
        for number, answer in zip(possible, self.backend.answer([requests[i] for i in possible]), strict=True):
            answers[number] = answer
            if self.sent is not None:
                self._show(requests[number], answer)
        return answers

    def _show(self, request: Request, answer: Answer) -> None:
        assert self.sent is not None
        self.sent.mkdir(parents=True, exist_ok=True)
        words = (
            answer.trouble
            or answer.text
            or ", ".join(f"{choice} {value:.3f}" for choice, value in (answer.log_probabilities or {}).items())
        )
        with replacing(self.sent / f"{self.prompt.name}-{request.digest[:16]}.png") as part:
            Image.fromarray(picture_of(request, words)).save(part, "PNG")

    def _read(self, question: Question, answer: Answer | None, read: Callable[[Answer], _Value]) -> _Verdict[_Value]:
        if answer is None:
            return _Verdict(None, question.trouble, question.reason, question.cost)
        cost = question.cost + _cost(answer)
        if answer.trouble:
            return _Verdict(None, answer.trouble, question.reason, cost)
        reason = question.reason or self._reason_in(answer)
        try:
            return _Verdict(read(answer), "", reason, cost)
        except UnreadableError as error:
            return _Verdict(None, str(error), reason, cost)

    def _reason_in(self, answer: Answer) -> str:
        """The reason that came with the verdict, if one was asked for."""
        if not self.prompt.verdict.reasoning:
            return ""
        try:
            return str(reading.json_object(answer.text).get(self.prompt.verdict.reasoning, ""))
        except UnreadableError:
            return ""

    def _share_of_first(self, answer: Answer) -> float:
        verdict = self.prompt.verdict
        if answer.log_probabilities:
            return reading.choice_shares(answer, verdict.choices)[0]
        return float(reading.read_choice(reading.json_object(answer.text), verdict) == 0)

    def _expected_value(self, answer: Answer) -> float:
        verdict = self.prompt.verdict
        if answer.log_probabilities and verdict.choices:
            shares = reading.choice_shares(answer, verdict.choices)
            return float(sum(share * value for share, value in zip(shares, verdict.values, strict=True)))
        content = reading.json_object(answer.text)
        if verdict.choices:
            return verdict.values[reading.read_choice(content, verdict)]
        return reading.read_number(content, verdict)


def _asked(turns: tuple[Turn, ...], words: str) -> tuple[Turn, ...]:
    """A conversation with words added to its last turn."""
    last = turns[-1]
    parts = last.parts
    if parts and isinstance(parts[-1], str):
        parts = (*parts[:-1], parts[-1].rstrip("\n") + "\n" + words)
    else:
        parts = (*parts, words)
    return (*turns[:-1], replace(last, parts=parts))


def _collaged(parts: Sequence[_Part], names: Sequence[str]) -> tuple[_Part, ...]:
    """All pictures in one, at the beginning; the text says where each of them was."""
    sheet = collage([part for part in parts if isinstance(part, Picture)], names)
    name = iter(names)
    words = "".join(f'(titled "{next(name)}" in the picture)' if isinstance(part, Picture) else part for part in parts)
    return sheet, words


def _cost(answer: Answer) -> Cost:
    computed = 0 if answer.cached else 1
    return Cost(1, computed, answer.tokens_in, answer.tokens_out, 0.0 if answer.cached else answer.seconds)
