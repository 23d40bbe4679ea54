"""Answers kept on disk, so that no question is put to a model twice and an interrupted run goes on where it stopped.

One SQLite file in write-ahead mode: each answer is a transaction of its own, so a process that is killed loses none
that arrived, and several processes on one machine may read and write at once. (Not over a network file system: SQLite's
locks do not work there.) Any SQLite browser shows what it holds.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from tiercel.errors import TiercelError
from tiercel.rerank.backends.backend import Answer, Backend, Request
from tiercel.rerank.backends.streaming import StreamingBackend

FILE = "answers.sqlite"
VERSION = 1
"""Of the tables; a file of another version is refused."""

_APPLICATION = 0x74636C61  # "tcla", which tells our files from other SQLite files
_PATIENCE = 60.0  # seconds to wait for another process that writes
_AT_ONCE = 500  # questions looked up by one statement; SQLite's own limit was 999 for long
_TABLES = (
    """CREATE TABLE settings (
        id INTEGER PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,  -- SHA-256 of the next column
        settings TEXT NOT NULL      -- of the backend, canonical JSON
    )""",
    """CREATE TABLE prompts (
        id INTEGER PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,  -- SHA-256 of the next column
        prompt TEXT NOT NULL        -- JSON: its name and version, the turns, pictures numbered, choices, tokens allowed
    )""",
    """CREATE TABLE answers (
        settings INTEGER NOT NULL REFERENCES settings,
        request BLOB NOT NULL,       -- SHA-256 of all that bears on the answer, pictures included
        prompt INTEGER NOT NULL REFERENCES prompts,
        pictures TEXT NOT NULL,      -- JSON: SHA-256 of each, in their order
        text TEXT NOT NULL,
        log_probabilities TEXT,      -- JSON
        trouble TEXT NOT NULL,
        tokens_in INTEGER NOT NULL,
        tokens_out INTEGER NOT NULL,
        seconds REAL NOT NULL,
        stored REAL NOT NULL,        -- seconds since 1970
        PRIMARY KEY (settings, request)
    ) WITHOUT ROWID""",
)


@dataclass(frozen=True)
class Kept:
    """Answers that a cache holds for one setting.

    Attributes:
        settings: Of the backend that gave them.
        hash: SHA-256 of the settings as canonical JSON, hexadecimal.
        answers: How many.
    """

    settings: dict[str, Any]
    hash: str
    answers: int


def canonical(value: Any) -> str:  # noqa: ANN401  (whatever JSON can hold)
    """JSON that is the same for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class AnswerCache:
    """Answers to questions put with one setting, in a file that may hold those of other settings too.

    An answer is found by the settings and by `Request.digest`, which holds every word of the prompt and every pixel: an
    answer to another wording, about another picture or of another model is never taken for it.

    Attributes:
        folder: It lies in.
        hash: SHA-256 of the settings as canonical JSON, hexadecimal.
    """

    def __init__(self, folder: Path | str, settings: Mapping[str, Any]) -> None:
        """Opens the cache, and makes it where there is none.

        Args:
            folder: To lie in.
            settings: Of the backend, see `Backend.settings`.

        Raises:
            TiercelError: The folder cannot be written, or holds no cache, or that of an incompatible version.
        """
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._settings = canonical(dict(settings))
        self.hash = _hash(self._settings)
        with self._using():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(
                self.folder / FILE, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._prepare()
            self._id = self._id_of("settings", self._settings)

    def close(self) -> None:
        """Closes the file; what was kept is there at once, closed or not."""
        self._file.close()

    def find(self, digests: Sequence[str]) -> dict[str, Answer]:
        """The answers that are kept, by `Request.digest`; questions without one are left out."""
        found = {}
        with self._using():
            for start in range(0, len(digests), _AT_ONCE):
                part = [bytes.fromhex(digest) for digest in digests[start : start + _AT_ONCE]]
                rows = self._file.execute(
                    "SELECT request, text, log_probabilities, trouble, tokens_in, tokens_out FROM answers"
                    f" WHERE settings = ? AND request IN ({','.join('?' * len(part))})",
                    [self._id, *part],
                )
                found.update({row[0].hex(): _answer(row[1:]) for row in rows})
        return found

    def keep(self, request: Request, answer: Answer) -> None:
        """Keeps an answer. Where another process was faster, its answer stays."""
        with self._using():
            row = {
                "settings": self._id,
                "request": bytes.fromhex(request.digest),
                "prompt": self._id_of("prompts", _prompt(request)),
                "pictures": canonical([picture.digest for picture in request.pictures]),
                "text": answer.text,
                "log_probabilities": None if answer.log_probabilities is None else canonical(answer.log_probabilities),
                "trouble": answer.trouble,
                "tokens_in": answer.tokens_in,
                "tokens_out": answer.tokens_out,
                "seconds": answer.seconds,
                "stored": time.time(),
            }
            names = ", ".join(row)
            places = ", ".join(f":{name}" for name in row)
            self._file.execute(f"INSERT OR IGNORE INTO answers ({names}) VALUES ({places})", row)

    def contents(self) -> list[Kept]:
        """What the file holds: first the answers of this setting, then those of the others, most first."""
        with self._using():
            rows = self._file.execute(
                "SELECT settings.settings, hash, count(request) FROM settings"
                " LEFT JOIN answers ON answers.settings = settings.id GROUP BY settings.id"
            ).fetchall()
        kept = [Kept(json.loads(settings), digest, count) for settings, digest, count in rows]
        return sorted(kept, key=lambda one: (one.hash != self.hash, -one.answers))

    def note(self, prompt: str = "") -> str:
        """For people: how many answers of other settings, or to another version of a prompt, lie here unused.

        Args:
            prompt: As `Request.prompt`: the name and version that is asked now; without, versions are not looked at.

        Returns:
            A sentence; empty if there are none.
        """
        settings = sum(one.answers for one in self.contents() if one.hash != self.hash)
        versions = sum(count for label, count in self._labels() if label != prompt and _name(label) == _name(prompt))
        told = [f"{settings:,} answers of other settings"] if settings else []
        told += [f"{versions:,} to another version of the prompt than {prompt}"] if versions and prompt else []
        return f"{' and '.join(told)} are kept in {self.folder}, none used" if told else ""

    def _labels(self) -> list[tuple[str, int]]:
        """Names and versions of prompts, and how many answers of this setting there are to each."""
        with self._using():
            rows = self._file.execute(
                "SELECT prompt_label, count(*) FROM (SELECT json_extract(prompts.prompt, '$.prompt') AS prompt_label"
                " FROM answers JOIN prompts ON answers.prompt = prompts.id WHERE answers.settings = ?)"
                " GROUP BY prompt_label",
                [self._id],
            ).fetchall()
        return [(str(label or ""), int(count)) for label, count in rows]

    def _prepare(self) -> None:
        """Makes the tables in a new file, and refuses a file that is not ours."""
        self._file.execute(f"PRAGMA busy_timeout = {round(1000 * _PATIENCE)}")
        self._file.execute("BEGIN IMMEDIATE")  # of several processes one makes them
        with self._file:
            application, version = (self._pragma("application_id"), self._pragma("user_version"))
            tables = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if (application, version, tables) == (0, 0, 0):
                for statement in (*_TABLES, f"PRAGMA application_id={_APPLICATION}", f"PRAGMA user_version={VERSION}"):
                    self._file.execute(statement)
            elif application != _APPLICATION:
                raise TiercelError(f"{self.folder / FILE} is no cache of answers; name another folder for the cache")
            elif version != VERSION:
                raise TiercelError(
                    f"the answers in {self.folder} were kept by another version of tiercel (cache version {version}, "
                    f"this one reads {VERSION}); name another folder for the cache, or delete this one to ask anew"
                )
        self._write_ahead()

    def _write_ahead(self) -> None:
        """Sets the journal, for which SQLite does not wait for others by itself."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._file.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
        self._file.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; a power cut a few answers

    def _pragma(self, name: str) -> int:
        return cast(int, self._file.execute(f"PRAGMA {name}").fetchone()[0])

    def _id_of(self, table: str, content: str) -> int:
        """Of the settings or the prompt, which is entered if it is new."""
        column, digest = {"settings": "settings", "prompts": "prompt"}[table], _hash(content)
        find = f"SELECT id FROM {table} WHERE hash = ?"
        row = self._file.execute(find, [digest]).fetchone()
        if row is None:
            self._file.execute(f"INSERT OR IGNORE INTO {table} (hash, {column}) VALUES (?, ?)", [digest, content])
            row = self._file.execute(find, [digest]).fetchone()
        return cast(int, row[0])

    @contextmanager
    def _using(self) -> Iterator[None]:
        """One thread at a time, and what goes wrong with the file told to the user."""
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            raise TiercelError(
                f"the cache of answers {self.folder / FILE} cannot be used ({error}); see that the folder can be "
                "written and the disk is not full, or name another folder for the cache"
            ) from error


class CachedBackend(Backend):
    """A backend that asks another one only what is not yet in its cache.

    Kept is what the model said: answers without trouble, and those with trouble that have a text or output tokens, such
    as refusals. What may come right at another time, such as a server that is overloaded, is asked again.

    Attributes:
        backend: That is asked.
        cache: Of its answers.
    """

    def __init__(self, backend: Backend, folder: Path | str, together: int = 64) -> None:
        """Opens the cache.

        Args:
            backend: To ask.
            folder: For the cache.
            together: How many questions a backend that is no `StreamingBackend` gets at once; answers are kept after
                each such group.

        Raises:
            TiercelError: As `AnswerCache`.
        """
        self.backend = backend
        self.name = backend.name
        self.single_image = backend.single_image
        self.cache = AnswerCache(folder, backend.settings)
        self._together = together

    @property
    def settings(self) -> dict[str, Any]:
        """Of the backend that is asked."""
        return self.backend.settings

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers questions, in their order; of equal ones the first is asked, and the others find its answer."""
        first: dict[str, Request] = {}
        for request in requests:
            first.setdefault(request.digest, request)
        answers = self.cache.find(list(first))
        missing = [request for digest, request in first.items() if digest not in answers]
        fresh: dict[str, Answer] = {}
        for request, answer in self._ask(missing):
            if not answer.trouble or answer.text or answer.tokens_out:
                self.cache.keep(request, answer)
            answers[request.digest] = replace(answer, seconds=0.0, cached=True)
            fresh[request.digest] = answer
        return [fresh.pop(digest) if (digest := one.digest) in fresh else answers[digest] for one in requests]

    def _ask(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        """Puts questions to the backend, and yields answers as they come."""
        if isinstance(self.backend, StreamingBackend):
            for index, answer in self.backend.stream(requests):
                yield requests[index], answer
            return
        for start in range(0, len(requests), self._together):
            group = requests[start : start + self._together]
            yield from zip(group, self.backend.answer(group), strict=True)


def _name(prompt: str) -> str:
    """Of a prompt, without its version."""
    return prompt.rpartition(" ")[0]


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _prompt(request: Request) -> str:
    """The question with its pictures numbered, so that it is stored once for all pictures."""
    numbers = iter(range(1, len(request.pictures) + 1))
    turns = [
        [turn.role, [part if isinstance(part, str) else {"picture": next(numbers)} for part in turn.parts]]
        for turn in request.turns
    ]
    return canonical(
        {"prompt": request.prompt, "turns": turns, "choices": request.choices, "max_tokens": request.max_tokens}
    )


def _answer(row: Sequence[Any]) -> Answer:
    text, log_probabilities, trouble, tokens_in, tokens_out = row
    read = None if log_probabilities is None else json.loads(log_probabilities)
    return Answer(text, read, trouble, tokens_in, tokens_out, cached=True)
