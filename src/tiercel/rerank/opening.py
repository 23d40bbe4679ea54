"""Judges by name, for the command line and for studies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tiercel.errors import TiercelError
from tiercel.rerank.backends.backend import Backend
from tiercel.rerank.judge import Judge
from tiercel.rerank.prompt import FOLDER, load_prompt
from tiercel.rerank.views import SMALL_VIEW, View
from tiercel.rerank.vision import VisionLanguageJudge

SMALL = "small"
"""Name of the vision-language model that comes with tiercel."""
CONTROLS = ("always_first", "always_second", "random", "oracle", "stage")
KINDS = ("model", "server", "match", *CONTROLS)


def open_judge(
    *,
    kind: str = "model",
    model: str = SMALL,
    url: str = "",
    arm: str = "pairwise",
    view: Mapping[str, Any] | None = None,
    backend: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    cache: Path | None = None,
    sent: Path | None = None,
) -> Judge:
    """A judge.

    Args:
        kind: ``model`` (a vision-language model in this process), ``server``, ``match``, or one of `CONTROLS`.
        model: Its id or folder; ``small`` for the one that comes with tiercel. For ``match`` the model whose geometric
            match it is.
        url: Of an OpenAI-compatible server.
        arm: Name of the prompt.
        view: Settings of `View`, instead of what suits the model.
        backend: Settings of the backend, such as precision or concurrency.
        prompts: Folder of prompts, instead of tiercel's own.
        cache: Folder in which answers are kept; none if left out.
        sent: Folder for pictures of what is sent; none if left out.

    Raises:
        TiercelError: There is no such judge, prompt or setting, or the model cannot be had.
    """
    if kind not in KINDS:
        raise TiercelError(f"There is no judge of the kind {kind!r}: choose from {', '.join(KINDS)}.")
    if kind in CONTROLS:
        return _control(kind)
    if kind == "match":
        from tiercel.rerank.geometry import MatchJudge

        return MatchJudge("bundled" if model == SMALL else model, cache=cache)
    prompt = load_prompt(arm, prompts or FOLDER)
    asked = _server(model, url, backend or {}) if kind == "server" else _local(model, backend or {})
    if cache is not None:
        from tiercel.rerank.backends.cache import CachedBackend

        asked = CachedBackend(asked, cache)
    return VisionLanguageJudge(asked, prompt, _view(kind, model, view or {}), sent)


def small_folder() -> Path:
    """Where the model that comes with tiercel is.

    Raises:
        TiercelError: It did not come with this installation.
    """
    from importlib import resources

    folder = Path(str(resources.files("tiercel"))) / "weights" / "judge"
    if not (folder / "config.json").is_file():
        raise TiercelError(f"{folder} is missing: install tiercel anew, or train one with recipes/judge.yaml.")
    return folder


def is_small(model: str) -> bool:
    """Whether a model is the small one, or of its kind."""
    if model == SMALL:
        return True
    try:
        content = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("model_type") == "tiercel_judge"


def _control(kind: str) -> Judge:
    from tiercel.rerank import controls

    return {
        "always_first": controls.AlwaysFirst, "always_second": controls.AlwaysSecond,
        "random": controls.RandomJudge, "oracle": controls.Oracle, "stage": controls.StageJudge,
    }[kind]()  # fmt: skip


def _local(model: str, settings: Mapping[str, Any]) -> Backend:
    chosen = {"precision": "fp32", "batch": 64, **settings} if is_small(model) else dict(settings)
    return _loaded(model, json.dumps(chosen, sort_keys=True))


@lru_cache(maxsize=1)
def _loaded(model: str, settings: str) -> Backend:
    """The last model stays in memory: the arms of a study ask the same one after the other."""
    from tiercel.rerank.backends.local import LocalBackend

    made = _made(LocalBackend, str(small_folder()) if model == SMALL else model, json.loads(settings))
    made.name = model  # rather than the folder where the small one lies
    return made


def _server(model: str, url: str, settings: Mapping[str, Any]) -> Backend:
    from tiercel.rerank.backends.server import ServerBackend

    if not url:
        raise TiercelError("A judge behind a server needs its address: give --url, such as http://127.0.0.1:8000/v1.")
    return _made(ServerBackend, model, {"url": url, **settings})


def _made(backend: type[Any], model: str, settings: Mapping[str, Any]) -> Backend:
    try:
        made: Backend = backend(model, **settings)
    except TypeError as error:
        raise TiercelError(f"{backend.__name__}: {error}: see its documentation for the settings it has.") from None
    return made


def _view(kind: str, model: str, settings: Mapping[str, Any]) -> View:
    """What suits the model, with what was chosen otherwise."""
    suits = SMALL_VIEW if kind == "model" and is_small(model) else View()
    unknown = sorted(set(settings) - {one.name for one in fields(View)})
    if unknown:
        choices = ", ".join(one.name for one in fields(View))
        raise TiercelError(f"A view has no setting {', '.join(unknown)}: choose from {choices}.")
    return replace(suits, **settings)
