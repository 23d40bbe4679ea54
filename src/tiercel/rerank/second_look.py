"""A second look at one photo's answer: the candidates compared, and the fix that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.candidates.crops import Crops
from tiercel.candidates.lists import CandidateList
from tiercel.candidates.on_map import Method, Plan, retrieve
from tiercel.errors import TiercelError
from tiercel.geo import Area, ZoomTree
from tiercel.locate import Judged
from tiercel.photos.write import replacing
from tiercel.rerank.judge import Judge
from tiercel.rerank.tournaments import Outcome, Tournament
from tiercel.search import Posterior

if TYPE_CHECKING:
    from rich.console import Console

    from tiercel.fix import Fix
    from tiercel.locate import Locator, Prior
    from tiercel.photos import Photo

CROP_M, CROP_PIXELS = 156.25, 320
"""Ground and size of the crops, as the small model is used to."""


@dataclass(frozen=True)
class SecondLook:
    """What came of comparing.

    Attributes:
        fix: The answer, with the winner in front.
        candidates: As the first stage had them.
        outcome: What the tournament decided.
        judge: Its name.
        tournament: Its name.
        pictures: Crops of the candidates in that order, (height, width, 3) uint8, once they have been read.
    """

    fix: Fix
    candidates: CandidateList
    outcome: Outcome
    judge: str
    tournament: str
    pictures: tuple[NDArray[np.uint8], ...] = ()

    def with_pictures(self) -> SecondLook:
        """The same with the crops in memory, for when their folder is gone."""
        crops = [one.crop for one in self.candidates.candidates if one.crop is not None]
        return replace(self, pictures=tuple(np.asarray(Image.open(crop).convert("RGB")) for crop in crops))

    def to_json(self) -> dict[str, Any]:
        """What was compared and decided, as JSON types."""
        return {
            "judge": self.judge,
            "tournament": self.tournament,
            "calls": self.outcome.cost.calls,
            "unreadable": self.outcome.unreadable,
            "consistency": self.outcome.consistency,
            "constant": self.outcome.constant,
            "candidates": [
                {
                    "rank": rank,
                    "first_place": place + 1,
                    "lat": self.candidates.candidates[place].latitude,
                    "lon": self.candidates.candidates[place].longitude,
                    "verdict": self.words_for(place),
                    "reason": self.reason_for(place),
                }
                for rank, place in enumerate(self.outcome.order, 1)
            ],
        }

    def print(self, console: Console | None = None) -> None:
        """Prints the candidates in their new order, and what the judge said."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = console or Console()
        table = Table(box=None, padding=(0, 2), header_style="dim")
        heads = ("second look", "before", "latitude", "longitude", "score" if self.outcome.scores else "preferred in")
        for name in heads:
            table.add_column(name, justify="right", no_wrap=True)
        reasons = [self.reason_for(place) for place in self.outcome.order]
        if any(reasons):
            table.add_column("reason")
        for rank, (place, reason) in enumerate(zip(self.outcome.order, reasons, strict=True), 1):
            one = self.candidates.candidates[place]
            where = (f"{one.latitude:.6f}", f"{one.longitude:.6f}")
            fared = self.words_for(place).removeprefix("preferred in ").removesuffix(" comparisons")
            fared = fared.removeprefix("score ").removesuffix(" of 100") if self.outcome.scores else fared
            table.add_row(str(rank), str(place + 1), *where, fared, *([escape(reason)] if any(reasons) else []))
        console.print(table)
        console.print(f"  {escape(self.summary())}", highlight=False)

    def summary(self) -> str:
        """Who decided, how, and what it took."""
        cost, steady = self.outcome.cost, self.outcome.consistency
        calls = f"{cost.calls:,} calls" if cost.calls else f"{len(self.outcome.asked):,} comparisons"
        words = f"{self.judge}, {self.tournament}: {calls}"
        words += f", {self.outcome.unreadable:,} unreadable" if self.outcome.unreadable else ""
        words += f", {steady:.0%} alike in both orders" if steady is not None else ""
        constant = self.outcome.constant
        return words + (f"; it named what was shown {constant} every time" if constant else "")

    def to_png(self, path: Path, photo: Photo) -> None:
        """Writes the comparison as a picture: the photo, and the candidates beside one another in their new order.

        Raises:
            TiercelError: The file cannot be written.
        """
        from tiercel.rerank.comparison import draw_comparison

        with replacing(path) as part:
            draw_comparison(self, photo).save(part, "PNG")

    def reason_for(self, place: int) -> str:
        """What the judge said about a candidate when it was compared with the winner, or alone; empty if nothing.

        Of two, it is said which place of the reason the candidate is.
        """
        winner = self.outcome.order[0]
        if self.outcome.scores:
            return self.outcome.scores[place].reason
        pairs = [one for one in self.outcome.asked if place in one[:2] and one.answer.reason]
        best = next((one for one in pairs if winner in one[:2]), pairs[0] if pairs else None)
        return f"As place {1 if best.first == place else 2}: {best.answer.reason}" if best else ""

    def words_for(self, place: int) -> str:
        """How a candidate fared, in a few words."""
        if self.outcome.scores:
            value = self.outcome.scores[place].value
            return "unreadable" if value is None else f"score {value:.0f} of 100"
        readable = [
            (one.answer.probability if one.first == place else 1.0 - one.answer.probability)
            for one in self.outcome.asked
            if place in one[:2] and one.answer.probability is not None
        ]
        if not readable:
            return "not asked" if not self.outcome.rankings else ""
        return f"preferred in {sum(share > 0.5 for share in readable)} of {len(readable)} comparisons"


def second_look(
    locator: Locator,
    photo: Photo,
    judge: Judge,
    tournament: Tournament,
    crops: Path,
    *,
    prior: Prior | None = None,
    within: Area | None = None,
    source: Method = "first",
    count: int = 10,
) -> SecondLook:
    """Compares the likeliest places of a photo, and gives the answer that follows.

    The probability that the candidates hold together, each with the leaves around it, is divided among them anew: the
    winner gets what the tournament says it deserves, or else the largest of their shares, and so on down the order.

    Args:
        locator: Holds the map and the model.
        photo: The photo, opened from a file.
        judge: Compares.
        tournament: Decides.
        crops: Folder for pictures of the places.
        prior: What is known beforehand; bears on the answer, not on the candidates.
        within: Likewise, and bears on both.
        source: Where the candidates come from.
        count: How many.

    Raises:
        TiercelError: The photo was never a file, the model has no such source, or too few answers were readable.
    """
    if photo.path is None:
        raise TiercelError(f"{photo.name or 'The photo'} is no file: a second look needs one.")
    plan = Plan(count, source, within=within)
    found = next(retrieve(locator, [photo], plan, crops=Crops(crops, locator, CROP_M, CROP_PIXELS)))
    outcome = tournament.run(judge, found)
    if outcome.trouble:
        raise TiercelError(f"{photo.path}: {outcome.trouble}")
    analysis = locator.analyse(photo, prior, within)
    tree = locator.atlas.tree
    cells = [found.candidates[place].cell for place in outcome.order]
    leaves = np.array([int(tree.flat(*cell)) for cell in cells if isinstance(cell, tuple)])
    posterior = divided_anew(analysis.final, leaves, outcome.probability)
    fix = locator.answer([photo], analysis, Judged(posterior, leaves))
    return SecondLook(fix, found, outcome, judge.name, tournament.name)


def divided_anew(posterior: Posterior, leaves: NDArray[np.int64], probability: float | None) -> Posterior:
    """The probability around some leaves divided among them as somebody who compared them would.

    Args:
        posterior: So far.
        leaves: (K,) flat, best first.
        probability: That the first is right, as far as they know; None where they only know the order.

    Returns:
        The same elsewhere. A leaf belongs to the best of the leaves that it touches.
    """
    owner, held = _owners(posterior.tree, leaves), posterior.probability.astype(np.float64)
    masses = np.array([held[owner == place].sum() for place in range(len(leaves))])
    total = masses.sum()
    if not total > 0:
        return posterior
    shares = np.sort(masses)[::-1] / total
    if probability is not None:
        # Never less than the second, or the order would be lost.
        first = min(max(probability, 1.0 / len(leaves)), 1.0 - 1e-6)
        rest = shares[1:].sum()
        even = np.full(len(leaves) - 1, 1.0 / max(1, len(leaves) - 1))
        others = (1.0 - first) * (shares[1:] / rest if rest > 0 else even)
        shares = np.concatenate([[first], np.minimum(others, first)])
        shares /= shares.sum()
    for place, (leaf, mass) in enumerate(zip(leaves, masses, strict=True)):
        mine = owner == place
        if mass > 0:
            held[mine] *= shares[place] * total / mass
        else:
            held[leaf] = shares[place] * total
    with np.errstate(divide="ignore"):
        return Posterior.from_scores(posterior.tree, np.log(held))


def _owners(tree: ZoomTree, leaves: NDArray[np.int64]) -> NDArray[np.int64]:
    """(all leaves,) for each the place in `leaves` of the first one that it touches or is; -1 if there is none."""
    row, col = tree.unflat(tree.depth, np.arange(tree.count(tree.depth)))
    owner = np.full(len(row), -1)
    for place in range(len(leaves) - 1, -1, -1):
        own_row, own_col = tree.unflat(tree.depth, int(leaves[place]))
        owner[(abs(row - own_row) <= 1) & (abs(col - own_col) <= 1)] = place
    return owner
