"""Prompts: YAML files with a version, one an arm, that users may edit.

A prompt has a `kind` (``point`` asks about one candidate, ``pair`` about two, ``list`` about all), a `prefix` that is
the same in all questions about one photo, a `question`, perhaps a request for a `reason` that is answered first and
given back, and a `verdict`. A verdict that has `choices` is read from their next-token log-probabilities where the
backend gives them (and is asked for in the words of `choice`), and from JSON otherwise (in the words of `json`).

Texts may hold these, in braces: in the prefix ``photo`` (the picture), ``photo_words`` (what it shows); in the question
``candidate``, ``first``, ``second`` (pictures), ``places`` (all pictures, each with its number), ``candidate_words``.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tiercel.errors import TiercelError, wrong_setting

FOLDER = Path(__file__).parent / "prompts"
"""The prompts that come with tiercel."""

_SLOTS = re.compile(r"\{([a-z_]+)\}")
_PICTURES = {"point": ("candidate",), "pair": ("first", "second"), "list": ("places",)}


class Verdict(BaseModel):
    """How the answer is asked for and read.

    Attributes:
        json_words: Asks for JSON.
        key: Of the answer in the JSON object.
        choice: Asks for one of the choices.
        choices: The possible answers, where they are a few words.
        values: What each choice is worth, 0 to 100 (kind ``point``).
        range: Least and greatest value of an answer that is a number.
        reasoning: Key of the reason in the JSON object; empty if none is asked for.
        max_tokens: At most so many tokens of JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    json_words: str
    key: str
    choice: str = ""
    choices: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    range: tuple[float, float] | None = None
    reasoning: str = ""
    max_tokens: int = 128

    @model_validator(mode="before")
    @classmethod
    def _named_json(cls, content: object) -> object:
        """In files it is called ``json``, which pydantic keeps for itself."""
        if isinstance(content, dict) and "json" in content:
            content = {**content, "json_words": content["json"]}
            del content["json"]
        return content

    @model_validator(mode="after")
    def _consistent(self) -> Verdict:
        if bool(self.choices) != bool(self.choice):
            raise ValueError("choices need words that ask for one of them, in choice, and these need choices")
        if self.values and len(self.values) != len(self.choices):
            raise ValueError("values: one is needed for each choice")
        return self


class Prompt(BaseModel):
    """One arm's questions.

    Attributes:
        name: The file's, which names the arm.
        about: What is asked, in a line.
        version: To be raised with every change.
        kind: What it is about: one candidate, a pair, or all.
        prefix: The same in all questions about a photo.
        question: Shows the candidates.
        reason: Asks for a reason before the verdict; empty for none.
        reason_tokens: At most so many tokens of it.
        verdict: How the answer is asked for and read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str = ""
    version: int
    kind: Literal["point", "pair", "list"]
    prefix: str
    question: str
    reason: str = ""
    reason_tokens: int = 256
    verdict: Verdict

    @model_validator(mode="after")
    def _consistent(self) -> Prompt:
        wanted = _PICTURES[self.kind]
        _check_slots("prefix", self.prefix, ("photo",), ("photo_words",))
        _check_slots("question", self.question, wanted, ("candidate_words",))
        if self.kind == "point" and not (self.verdict.values or self.verdict.range):
            raise ValueError("verdict: a kind of point needs values for its choices, or a range")
        if self.kind == "pair" and len(self.verdict.choices) != 2:
            raise ValueError("verdict: a pair needs two choices")
        return self

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} v{self.version}"


def _check_slots(where: str, text: str, needed: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    found = _SLOTS.findall(text)
    for name in needed:
        if found.count(name) != 1:
            raise ValueError(f"{where}: {{{name}}} must be there once")
    unknown = set(found) - set(needed) - set(allowed)
    if unknown:
        raise ValueError(f"{where}: {{{min(unknown)}}} means nothing here")


def pieces(text: str) -> list[str]:
    """A text cut at its slots: plain text and the names of slots, in turn, plain text first."""
    return _SLOTS.split(text)


def arms(folder: Path = FOLDER) -> list[str]:
    """Names of the prompts in a folder."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


@cache
def load_prompt(name: str, folder: Path = FOLDER) -> Prompt:
    """Reads a prompt.

    Args:
        name: Of the arm.
        folder: Where its file is.

    Raises:
        TiercelError: There is no such file, or it is no prompt.
    """
    file = folder / f"{name}.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = ", ".join(arms(folder)) or "none"
        raise TiercelError(f"{file} does not exist: the prompts in that folder are {there}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise TiercelError(f"{file} is not valid YAML: compare it with those in {FOLDER}.") from None
    if not isinstance(content, dict):
        raise TiercelError(f"{file} holds no prompt: compare it with those in {FOLDER}.")
    try:
        return Prompt.model_validate({"name": name, **content})
    except ValidationError as error:
        raise wrong_setting(file, error, f"those in {FOLDER}") from None
