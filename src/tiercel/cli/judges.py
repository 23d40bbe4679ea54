"""Options that choose a judge and a tournament, the same for every verb that has a second look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.rerank import Judge
    from tiercel.rerank.tournaments import Tournament

PANEL = "The judge"
PER_KIND = {"pair": "adaptive", "point": "scores", "list": "ranking"}
"""The tournament that suits questions of a kind."""

JudgeName = Annotated[
    str,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="small (comes with tiercel), a vision-language model's id or folder, match, or a control: always_first, "
        "always_second, random, oracle, stage.",
        rich_help_panel=PANEL,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="OpenAI-compatible server that runs the model JUDGE.", rich_help_panel=PANEL
    ),
]
TournamentName = Annotated[
    str | None,
    typer.Option(
        "--tournament",
        metavar="NAME",
        help="How it is decided: adaptive, all_pairs-both-bradley_terry, paper, insertion, sliding, knockout, scores, "
        "ranking, and more.",
        show_default="what suits the arm",
        rich_help_panel=PANEL,
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="DIR", help="Folder of prompts of your own.", rich_help_panel=PANEL),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Keep answers here, and ask nothing twice.", rich_help_panel=PANEL),
]
Sent = Annotated[
    Path | None,
    typer.Option(
        "--sent", metavar="DIR", help="Write a picture of exactly what was sent, for every call.", rich_help_panel=PANEL
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the view, the backend or the tournament, such as view.north_arrow=true, "
        "backend.concurrency=8 or tournament.budget=20; may be repeated.",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        arm: Name of the prompt.
        judge: As in `JudgeName`.
        url: Of a server.
        tournament: Its name.
        prompts: Folder of prompts.
        cache: Folder of answers.
        sent: Folder of pictures.
        settings: As given.
    """

    arm: str
    judge: str
    url: str | None
    tournament: str | None
    prompts: Path | None
    cache: Path | None
    sent: Path | None
    settings: list[str] | None

    def opened(self) -> tuple[Judge, Tournament]:
        """The judge and the tournament.

        Raises:
            TiercelError: There is no such thing, or they do not go together.
        """
        from tiercel.rerank.opening import CONTROLS, open_judge
        from tiercel.rerank.prompt import FOLDER, load_prompt
        from tiercel.rerank.tournaments import tournament

        groups: dict[str, dict[str, Any]] = {"view": {}, "backend": {}, "tournament": {}}
        for text in self.settings or []:
            group, name, value = _setting(text)
            groups[group][name] = value
        words = self.judge in CONTROLS or self.judge == "match"
        kind = self.judge if words else "server" if self.url else "model"
        asks = "pair" if words else load_prompt(self.arm, self.prompts or FOLDER).kind
        name = self.tournament or PER_KIND[asks]
        if not words and (name in ("scores", "ranking")) != (asks != "pair"):
            suits = PER_KIND[asks]
            raise TiercelError(
                f"--tournament {name} does not go with {self.arm}, which is about "
                f"{ {'pair': 'two candidates', 'point': 'one candidate', 'list': 'all candidates'}[asks] }: "
                f"leave it out for {suits}."
            )
        judge = open_judge(
            kind=kind,
            model="small" if words else self.judge,
            url=self.url or "",
            arm=self.arm,
            view=groups["view"],
            backend=groups["backend"],
            prompts=self.prompts,
            cache=self.cache,
            sent=self.sent,
        )
        return judge, tournament(name, **groups["tournament"])


def _setting(text: str) -> tuple[str, str, Any]:
    """Read ``GROUP.NAME=VALUE``."""
    import yaml

    name, equals, value = text.partition("=")
    group, dot, key = name.partition(".")
    if not (equals and dot and key) or group not in ("view", "backend", "tournament"):
        raise TiercelError(f"--set {text}: give view.NAME=VALUE, backend.NAME=VALUE or tournament.NAME=VALUE.")
    return group, key, yaml.safe_load(value)
