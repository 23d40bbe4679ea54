"""Answers kept on disk: what is found, what is not, and what survives."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel.errors import TiercelError
from tiercel.rerank.backends import Answer, Backend, Picture, Request, Turn
from tiercel.rerank.backends.cache import FILE, AnswerCache, CachedBackend
from tiercel.rerank.backends.streaming import StreamingBackend


class Echo(Backend):
    """Answers with the last text, and counts what it was asked."""

    name, single_image = "echo", True

    def __init__(self, reply: Callable[[str], Answer] | None = None, **settings: Any) -> None:
        self.reply = reply or (lambda text: Answer(text, tokens_in=50, tokens_out=3, seconds=2.0))
        self.asked: list[str] = []
        self.groups: list[int] = []
        self._settings = {"model": "echo"} | settings

    @property
    def settings(self) -> dict[str, Any]:
        return self._settings

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        self.groups.append(len(requests))
        return [self.one(request) for request in requests]

    def one(self, request: Request) -> Answer:
        text = str(request.turns[-1].parts[-1])
        self.asked.append(text)
        return self.reply(text)


class Stream(Echo, StreamingBackend):
    """Hands over the last first."""

    def stream(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for index in reversed(range(len(requests))):
            yield index, self.one(requests[index])


def question(text: str, *, value: int = 7, choices: tuple[str, ...] = (), prompt: str = "Compare:") -> Request:
    picture = Picture(np.full((3, 4, 3), value, np.uint8))
    return Request((Turn("user", (prompt, picture, text)),), choices)


def test_a_question_is_put_once_and_found_with_its_tokens_ever_after(tmp_path) -> None:
    first = CachedBackend(Echo(), tmp_path)
    (fresh,) = first.answer([question("a")])
    assert (fresh.text, fresh.cached, fresh.seconds) == ("a", False, 2.0)
    first.cache.close()
    echo = Echo()
    (found,) = CachedBackend(echo, tmp_path).answer([question("a")])
    assert (found.text, found.tokens_in, found.tokens_out, found.cached, found.seconds) == ("a", 50, 3, True, 0.0)
    assert echo.asked == []


def test_it_stands_for_the_backend_it_asks(tmp_path) -> None:
    cached = CachedBackend(Echo(revision="r1"), tmp_path)
    assert (cached.name, cached.single_image) == ("echo", True)
    assert cached.settings == {"model": "echo", "revision": "r1"}


def test_log_probabilities_come_back_to_the_last_digit(tmp_path) -> None:
    values = {"Yes": -0.1234567890123456789, "No": -2.0000000000000004}
    reply = Answer(log_probabilities=values)
    for _ in range(2):
        (answer,) = CachedBackend(Echo(lambda _: reply), tmp_path).answer([question("a", choices=("Yes", "No"))])
        assert answer == reply
        assert answer.log_probabilities == values
    assert answer.cached


@pytest.mark.parametrize("echo", [Echo, Stream])
def test_found_and_fresh_answers_come_in_the_order_of_the_questions(tmp_path, echo) -> None:
    CachedBackend(echo(), tmp_path).answer([question("b"), question("d")])
    backend = echo()
    answers = CachedBackend(backend, tmp_path).answer([question(text) for text in "abcde"])
    assert [answer.text for answer in answers] == list("abcde")
    assert [answer.cached for answer in answers] == [False, True, False, True, False]
    assert sorted(backend.asked) == list("ace")


def test_equal_questions_are_put_once(tmp_path) -> None:
    backend = Echo()
    answers = CachedBackend(backend, tmp_path).answer([question("a"), question("b"), question("a")])
    assert backend.asked == ["a", "b"]
    assert [(answer.text, answer.cached) for answer in answers] == [("a", False), ("b", False), ("a", True)]


def test_another_word_picture_choice_or_setting_is_another_question(tmp_path) -> None:
    CachedBackend(Echo(), tmp_path).answer([question("a")])
    backend = Echo()
    others = [question("a", prompt="Compare well:"), question("a", value=8), question("a", choices=("a", "b"))]
    assert not any(answer.cached for answer in CachedBackend(backend, tmp_path).answer(others))
    other = CachedBackend(Echo(temperature=0.5), tmp_path)
    assert not other.answer([question("a")])[0].cached


def test_the_order_of_settings_does_not_matter(tmp_path) -> None:
    CachedBackend(Echo(x=1, y=2), tmp_path).answer([question("a")])
    assert CachedBackend(Echo(y=2, x=1), tmp_path).answer([question("a")])[0].cached


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (Answer(trouble="the server did not answer in time"), False),
        (Answer(trouble="the model refused: no", text="no", tokens_out=4), True),
        (Answer(trouble="the answer is empty", tokens_in=9, tokens_out=1), True),
        (Answer("neither 1 nor 2"), True),
    ],
)
def test_kept_is_what_the_model_said_and_not_what_the_server_failed_to_do(tmp_path, reply, kept) -> None:
    twice = [question("a"), question("a")]
    for run in range(2):
        answers = CachedBackend(Echo(lambda _: reply), tmp_path).answer(twice)
        assert answers == [reply, reply]
        assert answers[0].cached == (kept and run == 1)


def test_a_file_tells_a_person_what_it_holds(tmp_path) -> None:
    mine = CachedBackend(Echo(), tmp_path)
    mine.answer([question("a"), question("b")])
    assert mine.cache.note() == ""
    CachedBackend(Echo(temperature=1), tmp_path).answer([question("a")])
    assert mine.cache.note() == f"1 answers of other settings are kept in {tmp_path}, none used"
    own, other = mine.cache.contents()
    assert (own.settings, own.answers, own.hash) == ({"model": "echo"}, 2, mine.cache.hash)
    assert (other.settings, other.answers) == ({"model": "echo", "temperature": 1}, 1)
    file = sqlite3.connect(tmp_path / FILE)
    (prompt,) = file.execute("SELECT DISTINCT prompt FROM prompts WHERE prompt LIKE '%\"a\"%'").fetchone()
    assert '"Compare:",{"picture":1},"a"' in prompt
    pictures = file.execute("SELECT pictures FROM answers").fetchone()[0]
    assert question("a").pictures[0].digest in pictures


def test_a_prompt_is_stored_once_for_all_pictures(tmp_path) -> None:
    cached = CachedBackend(Echo(), tmp_path)
    cached.answer([question("a", value=value) for value in range(9)])
    file = sqlite3.connect(tmp_path / FILE)
    assert file.execute("SELECT count(*) FROM prompts").fetchone() == (1,)
    assert file.execute("SELECT count(*) FROM answers").fetchone() == (9,)


@pytest.mark.parametrize("echo", [Echo, Stream])
def test_what_arrived_before_a_failure_is_kept(tmp_path, echo) -> None:
    def reply(text: str) -> Answer:
        if text == "3":
            raise TiercelError("the server is down")
        return Answer(text)

    questions = [question(str(number)) for number in range(6)]
    with pytest.raises(TiercelError, match="is down"):
        CachedBackend(echo(reply), tmp_path, together=2).answer(questions)
    again = echo()
    CachedBackend(again, tmp_path, together=2).answer(questions)
    arrived = {Echo: "01", Stream: "54"}[echo]
    assert sorted(again.asked) == [str(number) for number in range(6) if str(number) not in arrived]


def test_a_backend_that_does_not_stream_gets_questions_in_groups(tmp_path) -> None:
    backend = Echo()
    CachedBackend(backend, tmp_path, together=4).answer([question(str(number)) for number in range(10)])
    assert backend.groups == [4, 4, 2]


def keep_in_another_process(folder: Path, numbers: range, *, pause: float = 0.0) -> subprocess.Popen[bytes]:
    """Keeps answers to numbered questions, and says so after the first."""
    code = f"""
import sys, time
from tests.rerank.backends.test_cache import question
from tiercel.rerank.backends import Answer
from tiercel.rerank.backends.cache import AnswerCache
cache = AnswerCache({str(folder)!r}, {{"model": "echo"}})
for number in {numbers!r}:
    cache.keep(question(str(number)), Answer(str(number)))
    print(number, flush=True)
    time.sleep({pause})
"""
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(Path(tiercel.__file__).parents[1]), str(root)])
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path})


def test_answers_survive_a_process_that_is_killed(tmp_path) -> None:
    process = keep_in_another_process(tmp_path, range(10_000), pause=0.001)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    backend = Echo()
    answers = CachedBackend(backend, tmp_path).answer([question(str(number)) for number in said])
    assert [answer.text for answer in answers] == [str(number) for number in range(20)]
    assert backend.asked == []


def test_two_processes_make_and_fill_a_cache_at_once(tmp_path) -> None:
    both = [keep_in_another_process(tmp_path, range(start, start + 300)) for start in (0, 200)]
    for process in both:
        process.communicate()
    assert [process.returncode for process in both] == [0, 0]
    found = AnswerCache(tmp_path, {"model": "echo"}).find([question(str(number)).digest for number in range(500)])
    assert len(found) == 500


def test_a_hundred_thousand_answers_are_looked_up_in_a_moment(tmp_path) -> None:
    cache = AnswerCache(tmp_path, {"model": "echo"})
    (prompt,) = [cache._id_of("prompts", "{}")]
    digests = [f"{number:064x}" for number in range(100_000)]
    rows = ((cache._id, bytes.fromhex(digest), prompt, "[]", f"{{{digest}}}", "", 1, 1, 0.0, 0.0) for digest in digests)
    cache._file.execute("BEGIN")
    names = "settings, request, prompt, pictures, text, trouble, tokens_in, tokens_out, seconds, stored"
    cache._file.executemany(f"INSERT INTO answers ({names}) VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
    cache._file.execute("COMMIT")
    begun = time.process_time()
    found = cache.find([*digests, "f" * 64])
    assert time.process_time() - begun < 5
    assert len(found) == 100_000
    assert found[digests[77]].text == f"{{{digests[77]}}}"


def test_a_cache_of_another_version_is_refused_and_left_as_it_is(tmp_path) -> None:
    AnswerCache(tmp_path, {}).close()
    file = sqlite3.connect(tmp_path / FILE)
    file.execute("PRAGMA user_version = 99")
    file.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(TiercelError, match=rf"{tmp_path}.*version 99.*name another folder.*delete"):
        AnswerCache(tmp_path, {})
    assert (tmp_path / FILE).read_bytes() == before


def test_files_that_are_no_caches_are_refused(tmp_path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / FILE).write_text("my notes " * 1000)
    with pytest.raises(TiercelError, match=f"{tmp_path / 'text' / FILE}.*not a database.*another folder"):
        AnswerCache(tmp_path / "text", {})
    (tmp_path / "other").mkdir()
    file = sqlite3.connect(tmp_path / "other" / FILE)
    file.execute("CREATE TABLE mine (x)")
    file.commit()
    file.close()
    with pytest.raises(TiercelError, match=r"no cache of answers; name another folder"):
        AnswerCache(tmp_path / "other", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(TiercelError, match=f"{tmp_path / 'file'}.*another folder"):
        AnswerCache(tmp_path / "file", {})


def test_answers_to_another_version_of_a_prompt_are_named_and_never_used(tmp_path: Path) -> None:
    echo = Echo()
    cached = CachedBackend(echo, tmp_path)
    old = replace(question("Which?"), prompt="pairwise v1")
    cached.answer([old, replace(question("Is it?"), prompt="yes_no v1")])
    assert cached.cache.note("pairwise v1") == ""
    told = cached.cache.note("pairwise v2")
    assert told == f"1 to another version of the prompt than pairwise v2 are kept in {tmp_path}, none used"
    cached.answer([replace(old, prompt="pairwise v2")])
    assert echo.asked == ["Which?", "Is it?", "Which?"]
