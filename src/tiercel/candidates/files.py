"""The files in which candidates are handed on, and reading them back.

**JSON lines**, version 1, for all that is known. UTF-8, one JSON object a line. Paths are written with forward slashes
and start from the folder that the file lies in, so that the folder can be moved with all it holds. A field that is not
known is left out, and a reader passes over fields that it does not know. The first line is the header:

* `kind`: always `candidates`;
* `version`: 1; raised whenever an older reader would misread the file;
* `queries`: how many lines follow, each one query;
* `failed`: how many of these have no candidates because their photo cannot be used;
* `settings`: an object of what the candidates follow from, such as the map, the model and the method.

Every other line is a query:

* `query`: path of the photo; no two lines have the same;
* `failed`: why there are no candidates, in one sentence; the line then has no other field;
* `panorama` (true or false), `field_of_view` (degrees), `heading` (azimuth of the centre column, degrees clockwise from
  true north): what was known of the photo when it was looked for; without `heading`, every heading was tried;
* `truth`: `{"latitude", "longitude", "source"}`, where it was taken (degrees, WGS84) and who says so; it had no part in
  the ranking;
* `positive`: path of the right tile, in a benchmark of pairs; it need not be among the candidates;
* `candidates`: a list of objects, best first, each with

  * `cell`: `[level, row, col]` in the map's tree (level 0 is the whole square, row 0 in the north, col 0 in the west),
    or the number of a tile in its gallery;
  * `score`: what it was ranked by, falling along the list; comparable within one list only. On a map the natural
    logarithm of the probability that the cell holds the camera;
  * `crop`: path of a picture of the place from above, north up, and `crop_m`, the side of its ground in metres;
  * `x`, `y`: centre of the cell in the map's frame (metres, east and north), `latitude`, `longitude`: the same in
    degrees, WGS84;
  * `side_m`: side of the cell, metres;
  * `distance_m`: from the centre to the truth, metres;
  * `correct`: whether it is a right answer: on a map, where `distance_m` is at most 50; in a benchmark of pairs, where
    it is the positive;
  * `semi_positive`: true where a benchmark of pairs lists it as one that overlaps the positive;
  * `first_place`: its place in the first stage's order, 1 for the best, where judges have put the list in another
    order; there is no `score` then.

**The paper's list**, for the code of "retrieval, then a vision-language reranker" (arXiv 2603.27251): a JSON list of
`{"query_path": ..., "predictions": [paths of the candidates' pictures, best first]}`. It knows nothing else, and no
photo that failed: none is written while there is one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.errors import TiercelError
from tiercel.photos.write import replacing

if TYPE_CHECKING:
    from pydantic import TypeAdapter

KIND = "candidates"
VERSION = 1

_DECIMALS = {
    "score": 6, "crop_m": 3, "x": 3, "y": 3, "latitude": 9, "longitude": 9, "side_m": 6, "distance_m": 3,
    "field_of_view": 4, "heading": 4,
}  # fmt: skip


@dataclass(frozen=True)
class CandidateFile:
    """What a file of candidates holds.

    Attributes:
        lists: One for each query that has candidates.
        failed: One for each query whose photo cannot be used; their `failed` says why.
        settings: What the candidates follow from; empty where the file does not say.
    """

    lists: tuple[CandidateList, ...]
    failed: tuple[CandidateList, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


def read_candidates(path: str | Path, *, partial: bool = False) -> CandidateFile:
    """Reads candidates in either format; which one it is follows from the content.

    Args:
        path: JSON lines, or the paper's JSON list.
        partial: Whether to take a file that lists photos as failed; otherwise that is an error, so that no incomplete
            set of queries is taken for the whole.

    Returns:
        The candidates, all paths absolute.

    Raises:
        TiercelError: The file cannot be read, is malformed or cut off, names a query twice, or lists failed photos.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TiercelError(f"{path} cannot be read ({error.strerror}): check the path of the candidates.") from error
    except UnicodeDecodeError as error:
        raise TiercelError(f"{path} is no text in UTF-8 ({error.reason}): give a file of candidates.") from error
    found = _of_paper(path, text) if text.lstrip().startswith("[") else _of_lines(path, text)
    if found.failed and not partial:
        lacking, queries = len(found.failed), len(found.lists) + len(found.failed)
        raise TiercelError(
            f"{path} lacks candidates for {lacking} of its {queries} queries, the first {found.failed[0].query.name}: "
            "mend the photos and run tiercel retrieve again, or ask for a partial list."
        )
    return found


def write_candidates(path: str | Path, content: CandidateFile) -> None:
    """Writes candidates as JSON lines; the file appears whole or not at all.

    Args:
        path: Where to; its folder exists.
        content: The candidates. The queries follow in the order of `lists`, then those of `failed`.

    Raises:
        TiercelError: A query is there twice, or the file cannot be written.
    """
    path = Path(path)
    both = (*content.lists, *content.failed)
    _check_distinct((str(path), one) for one in both)
    header = {"kind": KIND, "version": VERSION, "queries": len(both), "failed": len(content.failed)}
    entries = (entry_of(one, path.parent) for one in both)
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        for entry in (header | {"settings": content.settings}, *entries):
            file.write(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n")


def write_paper(path: str | Path, lists: Iterable[CandidateList]) -> None:
    """Writes candidates as the paper's JSON list; the file appears whole or not at all.

    Args:
        path: Where to; its folder exists. The paths in it start from there.
        lists: The candidates, each with a crop.

    Raises:
        TiercelError: A query failed, is there twice, or has a candidate without a crop; or the file cannot be written.
    """
    path, lists = Path(path), list(lists)
    _check_distinct((str(path), one) for one in lists)
    entries = []
    for one in lists:
        crops = [candidate.crop for candidate in one.candidates if candidate.crop is not None]
        if one.failed or len(crops) < len(one.candidates):
            lack = "has no candidates" if one.failed else "has candidates without crops"
            raise TiercelError(f"{path} cannot be written, because {one.query} {lack}: the list is of crops' paths.")
        predictions = [relative(crop, path.parent) for crop in crops]
        entries.append({"query_path": relative(one.query, path.parent), "predictions": predictions})
    with replacing(path) as part:
        part.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def absolute(path: Path) -> Path:
    """The path that tells one photo from another: absolute, with a link to the photo itself left as it is."""
    return _resolved(path.parent.absolute()) / path.name


def relative(path: Path, folder: Path) -> str:
    """A path from a folder, with forward slashes; absolute where there is no way, as between drives of Windows."""
    whole = absolute(path)
    try:
        return Path(os.path.relpath(whole, _resolved(folder.absolute()))).as_posix()
    except ValueError:
        return whole.as_posix()


@lru_cache(maxsize=256)
def _resolved(folder: Path) -> Path:
    return folder.resolve()  # asks the disk about every part of the path, which takes longer than all else here


def entry_of(one: CandidateList, folder: Path) -> dict[str, Any]:
    """The JSON object of a query, with paths from a folder."""
    entry = _known(vars(one), folder)
    if one.failed:
        return {"query": entry["query"], "failed": one.failed}
    if one.truth is not None:
        entry["truth"] = _known(vars(one.truth), folder)
    entry["candidates"] = [_known(vars(candidate), folder) for candidate in one.candidates]
    return entry


def list_of(text: str, folder: Path) -> CandidateList:
    """The query of a JSON object, with paths from a folder.

    Raises:
        ValueError: The text is no such object; says in a few words why.
    """
    from pydantic import ValidationError

    try:
        one = _reader().validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    scores = [candidate.score for candidate in one.candidates if candidate.score is not None]
    if any(score < after for score, after in pairwise(scores)):
        raise ValueError("candidates: they are not in order of score")
    crops = (absolute(folder / candidate.crop) if candidate.crop else None for candidate in one.candidates)
    return replace(
        one,
        query=absolute(folder / one.query),
        positive=absolute(folder / one.positive) if one.positive else None,
        candidates=tuple(replace(it, crop=crop) for it, crop in zip(one.candidates, crops, strict=True)),
    )


@cache
def _reader() -> TypeAdapter[CandidateList]:
    from pydantic import TypeAdapter

    return TypeAdapter(CandidateList)


def _known(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fields of plain values as JSON has them; what is unknown is left out."""
    known = {}
    for name, value in fields.items():
        if value is None or name in ("candidates", "truth", "failed") or (name == "semi_positive" and not value):
            continue
        if isinstance(value, Path):
            value = relative(value, folder)
        known[name] = round(value, _DECIMALS[name]) if name in _DECIMALS else value
    return known


def _of_lines(path: Path, text: str) -> CandidateFile:
    first, *lines = text.split("\n")  # and at nothing else that a file's name may hold
    header = _header(path, first)
    numbered = [(number, _line(path, number, line)) for number, line in enumerate(lines, 2) if line.strip()]
    _check_distinct((f"{path}, line {number}", one) for number, one in numbered)
    found = [one for _, one in numbered]
    if len(found) != header["queries"]:
        raise TiercelError(
            f"{path} holds {len(found)} of the {header['queries']} queries that its first line speaks of: it was cut "
            "off or changed; make it again."
        )
    good, bad = (tuple(one for one in found if bool(one.failed) == failed) for failed in (False, True))
    return CandidateFile(good, bad, header["settings"])


def _header(path: Path, line: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise TiercelError(
            f'{path}, line 1: this is no header of candidates (`{{"kind": "{KIND}", ...}}`): give a file that tiercel '
            "retrieve wrote, or a JSON list of query_path and predictions."
        )
    if header.get("version") != VERSION:
        raise TiercelError(
            f"{path}, line 1: it is of version {header.get('version')}, and this tiercel reads {VERSION}: "
            "upgrade tiercel."
        )
    if not isinstance(header.get("queries"), int) or not isinstance(header.get("settings"), dict):
        raise TiercelError(f"{path}, line 1: the header lacks its queries or settings: make the file again.")
    return header


def _line(path: Path, number: int, line: str) -> CandidateList:
    try:
        json.loads(line, parse_constant=_no_number)
        return list_of(line, path.parent)
    except ValueError as error:
        raise TiercelError(f"{path}, line {number}: {error}; make the file again, or mend the line.") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _of_paper(path: Path, text: str) -> CandidateFile:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise TiercelError(
            f"{path}, line {error.lineno}: this is no JSON ({error.msg}); make the file again."
        ) from error
    lists = [_entry(path, number, entry) for number, entry in enumerate(entries, 1)]
    _check_distinct((f"{path}, entry {number}", one) for number, one in enumerate(lists, 1))
    return CandidateFile(tuple(lists))


def _entry(path: Path, number: int, entry: object) -> CandidateList:
    query, predictions = (
        (entry.get("query_path"), entry.get("predictions")) if isinstance(entry, dict) else (None, None)
    )
    named = isinstance(predictions, list) and all(isinstance(name, str) and name for name in predictions)
    if not isinstance(query, str) or not query or not isinstance(predictions, list) or not named:
        raise TiercelError(
            f'{path}, entry {number}: this is not `{{"query_path": path, "predictions": [paths]}}`; make the '
            "file again."
        )
    crops = tuple(Candidate(crop=absolute(path.parent / name)) for name in predictions)
    return CandidateList(absolute(path.parent / query), crops)


def _check_distinct(lists: Iterator[tuple[str, CandidateList]]) -> None:
    """Refuses a query that is there twice; with each comes where it stands."""
    seen = set()
    for where, one in lists:
        whole = absolute(one.query)
        if whole in seen:
            raise TiercelError(f"{where} names the query {one.query} a second time: keep one of the two.")
        seen.add(whole)
