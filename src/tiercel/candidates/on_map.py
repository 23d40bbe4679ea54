"""Candidates of photos on a prepared map."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tiercel.candidates.crops import Crops
from tiercel.candidates.files import (
    KIND,
    VERSION,
    CandidateFile,
    absolute,
    entry_of,
    list_of,
    read_candidates,
    write_candidates,
)
from tiercel.candidates.lists import CORRECT_M, Candidate, CandidateList
from tiercel.candidates.truth import Truth, judged
from tiercel.datasets.journal import appending, read_journal
from tiercel.errors import TiercelError
from tiercel.photos import Photo

if TYPE_CHECKING:
    from tiercel.atlas import Atlas
    from tiercel.geo import Area
    from tiercel.locate import Locator
    from tiercel.search import Posterior

Method = Literal["retrieval", "zoom", "first", "final"]
Progress = Callable[[int, int], None]
"""Called with how many photos are done and how many there are."""

_FOR_PEOPLE = ("map", "model", "within")  # settings that name things; their fingerprints tell them apart


@dataclass(frozen=True)
class Plan:
    """How candidates are chosen.

    Attributes:
        count: Candidates for each photo; fewer where the map has no more.
        method: Which of the locator's answers ranks them: ``retrieval`` alone, ``zoom`` alone (all leaves weighed
            against each other), the ``first`` stage (both together), or the ``final`` answer, after the match.
        apart: A leaf this many rows and cols or fewer from a better one is no candidate: the better one stands for it.
            0 takes neighbours as well.
        within: The part of the map that is searched; all of it if None.
        headings: Whether the photos' headings may be used, where they are known.

    Raises:
        TiercelError: A value is out of range.
    """

    count: int = 20
    method: Method = "first"
    apart: int = 1
    within: Area | None = None
    headings: bool = True

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.count < 1 or self.apart < 0:
            raise TiercelError(f"{self.count} candidates, {self.apart} apart: give at least 1, and 0 or more apart.")
        if self.method not in get_args(Method):
            raise TiercelError(f"There is no method {self.method!r}: choose from {', '.join(get_args(Method))}.")


def retrieve(
    locator: Locator,
    photos: Iterable[Photo | str | Path],
    plan: Plan | None = None,
    *,
    crops: Crops | str | Path | None = None,
    truth: Truth | None = None,
) -> Iterator[CandidateList]:
    """The likeliest places of each photo, as they are found.

    Args:
        locator: Holds the map and the model.
        photos: Photos, or paths of them. The positions they carry have no part in it; their headings have.
        plan: How many candidates, by which method.
        crops: Where their pictures go; none are made if left out.
        truth: Says where the photos were taken, to judge the candidates by.

    Yields:
        One list a photo, in the order of the photos. One that cannot be read has no candidates, and `failed` says why.

    Raises:
        TiercelError: The model has no such method, or crops cannot be written.
    """
    plan = plan or Plan()
    if crops is not None and not isinstance(crops, Crops):
        crops = Crops(crops, locator)
    for each in photos:
        try:
            photo = each if isinstance(each, Photo) else Photo.open(each)
        except TiercelError as error:
            yield CandidateList(Path(str(each)), failed=str(error))
            continue
        photo = photo if plan.headings else replace(photo, heading=None)
        found = _with_crops(_candidates(locator, photo, plan), crops)
        yield judged(found, truth.of(photo) if truth else None, locator.atlas)


def retrieve_into(
    path: str | Path,
    locator: Locator,
    photos: Sequence[str | Path],
    plan: Plan | None = None,
    *,
    crops: Crops | None = None,
    truth: Truth | None = None,
    progress: Progress | None = None,
) -> CandidateFile:
    """The likeliest places of many photos, in a file; stopped half-way, the same call goes on where it was.

    While photos are being done, each is added to a journal beside the file (its name and `.part`); the file appears,
    or is replaced, when all are done. Photos that it has already are not done again, only those that failed; crops and
    truth that are asked for later are added to them. What the file has of other photos stays, unless they failed.

    Args:
        path: JSON lines, as `tiercel.candidates.files` specifies them.
        locator: Holds the map and the model.
        photos: Their paths, each once.
        plan: How many candidates, by which method.
        crops: Where their pictures go.
        truth: Says where the photos were taken.
        progress: Called after each photo.

    Returns:
        What the file holds now, those photos that cannot be read among it as failed.

    Raises:
        TiercelError: A photo is given twice, the file was made with other settings, or it cannot be written.
    """
    path, plan, report = Path(path), plan or Plan(), progress or (lambda done, total: None)
    queries, settings, part = _distinct(photos), settings_of(locator, plan), path.with_name(path.name + ".part")
    done = _done_before(path, part, settings)
    there = [query for query in queries if query in done]
    for number, query in enumerate(there, 1):
        done[query] = _amended(done[query], locator.atlas, crops, truth)
        report(number, len(queries))
    new = [photo for query, photo in queries.items() if query not in done]
    for number, one in enumerate(retrieve(locator, new, plan, crops=crops, truth=truth), len(there) + 1):
        done[absolute(one.query)] = one
        _keep(part, settings, one)
        report(number, len(queries))
    ordered = [done[query] for query in dict.fromkeys((*queries, *done))]
    good, bad = (tuple(one for one in ordered if bool(one.failed) == failed) for failed in (False, True))
    content = CandidateFile(good, bad, settings)
    write_candidates(path, content)
    part.unlink(missing_ok=True)
    return content


def settings_of(locator: Locator, plan: Plan) -> dict[str, Any]:
    """All that the candidates of a photo follow from, as a file's header keeps it."""
    built, tree = locator.atlas.manifest, locator.atlas.tree
    return {
        "map": built.map.name, "map_fingerprint": built.map.fingerprint,
        "model": built.model.name, "model_fingerprint": built.model.fingerprint,
        "crs": built.frame, "root": {"x": tree.root.x, "y": tree.root.y, "side": tree.root.side},
        "branching": tree.branching, "depth": tree.depth,
        "gallery": built.gallery and built.gallery.model_dump(mode="json"),
        "count": plan.count, "method": plan.method, "apart": plan.apart, "correct_m": CORRECT_M,
        "headings": plan.headings,
        "within": None if plan.within is None else plan.within.name, "within_fingerprint": _fingerprint(plan.within),
    }  # fmt: skip


def _fingerprint(area: Area | None) -> str | None:
    from tiercel.maps.digest import combined  # whoever only reads candidates needs no maps

    return None if area is None else combined(ring.tobytes() for polygon in area.polygons for ring in polygon)


def _candidates(locator: Locator, photo: Photo, plan: Plan) -> CandidateList:
    """The likeliest leaves for a photo."""
    tree, area = locator.atlas.tree, plan.within
    name = {"zoom": "zoom_global"}.get(plan.method, plan.method)
    answer: Posterior = getattr(locator.analyse(photo, within=area), name)
    if area is not None:  # a method alone takes nothing into account that is known beforehand
        answer = answer.restricted(area.cells(tree, tree.depth), area.name)
    leaves, _ = answer.top(plan.count, apart=plan.apart)
    scores = answer.log_probability[leaves]
    row, col = tree.unflat(tree.depth, leaves)
    x, y = tree.centre(tree.depth, row, col)
    latitude, longitude = locator.atlas.frame.to_wgs84(x, y)
    candidates = tuple(
        Candidate(
            cell=(tree.depth, int(row[i]), int(col[i])),
            score=float(scores[i]),
            x=float(x[i]),
            y=float(y[i]),
            latitude=float(latitude[i]),
            longitude=float(longitude[i]),
            side_m=tree.side(tree.depth),
        )
        for i in range(len(leaves))
    )
    return CandidateList(
        query=photo.path or Path(photo.name),
        candidates=candidates,
        panorama=photo.panorama,
        field_of_view=photo.field_of_view.value,
        heading=photo.heading.value if photo.heading else None,
    )


def _with_crops(one: CandidateList, crops: Crops | None) -> CandidateList:
    if crops is None:
        return one
    pictured = (
        replace(it, crop=crops.of(*it.cell), crop_m=crops.side_m) if isinstance(it.cell, tuple) else it
        for it in one.candidates
    )
    return replace(one, candidates=tuple(pictured))


def _amended(one: CandidateList, atlas: Atlas, crops: Crops | None, truth: Truth | None) -> CandidateList:
    """A list of an earlier run with the crops and the truth that are asked for now."""
    one = _with_crops(one, crops)
    if truth is None or (one.truth is not None and one.truth.source == truth.source):
        return one
    with suppress(TiercelError):  # the photo has been moved away since, and its candidates are none the worse for it
        return judged(one, truth.of(Photo.open(one.query)), atlas)
    return one


def _distinct(photos: Sequence[str | Path]) -> dict[Path, Path]:
    """The photos as given, by what tells them apart."""
    queries: dict[Path, Path] = {}
    for photo in map(Path, photos):
        if absolute(photo) in queries:
            raise TiercelError(f"{photo} is given twice: give each photo once.")
        queries[absolute(photo)] = photo
        try:
            str(photo).encode()
        except UnicodeEncodeError:
            raise TiercelError(
                f"{str(photo)!r} has a name that is not UTF-8 and cannot be listed: rename it."
            ) from None
    return queries


def _done_before(path: Path, part: Path, settings: dict[str, Any]) -> dict[Path, CandidateList]:
    """Queries that need not be done again, from the file and from the journal of a run that was stopped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TiercelError(f"{path} cannot be written ({error.strerror}): choose another folder.") from error
    done: list[CandidateList] = []
    if path.exists():
        file = read_candidates(path, partial=True)
        _check_settings(path, file.settings, settings)
        done += file.lists
    header, *entries = [*read_journal(part)] or [{}]
    if entries:
        _check_settings(part, header.get("settings"), settings)
        try:
            done += [list_of(json.dumps(entry), part.parent) for entry in entries]
        except ValueError as error:
            raise TiercelError(f"{part} is damaged ({error}): delete it and run the command again.") from error
    else:
        part.unlink(missing_ok=True)
    return {absolute(one.query): one for one in done if not one.failed}


def _keep(part: Path, settings: dict[str, Any], one: CandidateList) -> None:
    """Adds to the journal, which begins with what it is of."""
    try:
        begun = part.is_file()
        with appending(part) as append:
            if not begun:
                append({"kind": KIND, "version": VERSION, "settings": settings})
            append(entry_of(one, part.parent))
    except OSError as error:
        raise TiercelError(
            f"{part} cannot be written ({error.strerror}): free some space or choose another folder."
        ) from error


def _check_settings(path: Path, there: object, settings: dict[str, Any]) -> None:
    """Refuses a file of candidates that follow from something else."""
    found = there if isinstance(there, dict) else {}
    for name, value in settings.items():
        if name not in _FOR_PEOPLE and found.get(name) != value:
            was = f"with {name} {found[name]}" if name in found else f"without {name}"
            raise TiercelError(f"{path} was made {was}, not {value}: give the same settings, or choose another file.")
