"""``tiercel rerank``: a second look at candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tiercel.cli.judges import Cache, Choice, JudgeName, Prompts, Sent, Settings, TournamentName, Url
from tiercel.cli.terminal import progress, say, stoppable
from tiercel.errors import TiercelError


def rerank(
    candidates: Annotated[
        Path, typer.Argument(metavar="FILE", help="Candidates with crops, from [bold]tiercel retrieve[/bold].")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File of candidates to write.")],
    arm: Annotated[
        str,
        typer.Option(
            help="What is asked: pairwise, pairwise_reasoning, yes_no, likert, score, reasoning_score, "
            "reasoning_then_score, reasoning_then_yes_no, listwise, or a prompt of yours."
        ),
    ] = "pairwise",
    judge: JudgeName = "small",
    url: Url = None,
    tournament: TournamentName = None,
    top: Annotated[
        int, typer.Option(min=0, metavar="N", help="Judge only the first N candidates of each photo; 0 for all.")
    ] = 10,
    form: Annotated[
        Literal["jsonl", "paper"],
        typer.Option("--format", help="JSON lines with all that is known, or a list of query_path and predictions."),
    ] = "jsonl",
    failed_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Greatest share of photos without a second look that is no failure."),
    ] = 0.05,
    prompts: Prompts = None,
    cache: Cache = Path("runs/answers"),
    sent: Sent = None,
    settings: Settings = None,
) -> None:
    """Let a judge compare the candidates of each photo, and write them in the order that a tournament decides.

    Answers are kept, so that a run that was stopped goes on and a finished one asks nothing again. An answer that
    cannot be read is counted and told, and is never a vote.

    [bold]Examples[/bold]

    tiercel rerank candidates.jsonl -o reranked.jsonl

    tiercel rerank candidates.jsonl -o reranked.jsonl --judge llava-hf/llava-1.5-7b-hf --tournament paper

    tiercel rerank candidates.jsonl -o reranked.jsonl --judge Qwen/Qwen2.5-VL-7B-Instruct --url http://127.0.0.1:8000/v1
    """
    from tiercel.candidates import CandidateFile, read_candidates, write_candidates, write_paper
    from tiercel.rerank.files import Tally, reordered
    from tiercel.rerank.files import rerank as rerank_lists

    if out.is_dir():
        raise TiercelError(f"{out} is a folder: give the name of a file in it, such as {out / 'reranked.jsonl'}.")
    if out.resolve() == candidates.resolve():
        raise TiercelError(f"{out} is the file that is read: give another name, so that the first order is kept.")
    content = read_candidates(candidates, partial=True)
    asked, held = Choice(arm, judge, url, tournament, prompts, cache, sent, settings).opened()
    if asked.note:
        say(asked.note[0].upper() + asked.note[1:] + ".")
    tally, lists = Tally(), []
    with stoppable(), progress("Comparing") as report:
        for one, outcome in rerank_lists(content.lists, asked, held, top):
            tally.add(one, outcome)
            lists.append(reordered(one, outcome))
            report(len(lists), len(content.lists))
    made = {"judge": asked.name, "tournament": held.name, "top": top}
    written = CandidateFile(tuple(lists), content.failed, {**content.settings, "reranked": made})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_paper(out, written.lists) if form == "paper" else write_candidates(out, written)
    print(f"{out}: the candidates of {tally.photos:,} photos as {asked.name} orders them ({held.name})")
    for line in tally.lines():
        print(f"  {line}")
    if tally.failed_share > failed_share:
        say(f"Error: {tally.failed:,} photos kept the first stage's order, more than {failed_share:.0%} of all.")
        raise typer.Exit(2)
