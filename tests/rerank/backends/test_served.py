"""Asking a real server of a real, if tiny and random, vision-language model: `transformers serve` on the CPU."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.rerank.backends.tiny_llava import save_tiny_llava
from tiercel.errors import TiercelError
from tiercel.rerank.backends import Picture, Request, Turn
from tiercel.rerank.backends.cache import CachedBackend
from tiercel.rerank.backends.server import ServerBackend

PATIENCE = 300.0  # seconds, on a machine that does much else


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """Model and address of a server that is up."""
    folder = tmp_path_factory.mktemp("served")
    save_tiny_llava(folder / "llava")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).parent / "transformers", "serve", folder / "llava", "--device", "cpu"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log, stderr=subprocess.STDOUT, env=os.environ | offline,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, folder / "log")
            yield str(folder / "llava"), f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no server after {PATIENCE:g} s: {log.read_text(errors='replace')}")


def question(pictures: int, *, choices: tuple[str, ...] = (), max_tokens: int = 6) -> Request:
    noise = np.random.default_rng(pictures).integers(0, 255, (pictures, 40, 60, 3), np.uint8)
    parts = [part for one in noise for part in ("image", Picture(one))]
    return Request((Turn("user", (*parts, "is the better match")),), choices, max_tokens)


def test_pictures_are_seen_and_rubbish_comes_back_as_it_is(served, tmp_path) -> None:
    backend = CachedBackend(ServerBackend(*served, concurrency=2), tmp_path)
    questions = [question(1), question(2), question(3)]
    answers = backend.answer(questions)
    assert [answer.trouble for answer in answers] == ["", "", ""]
    assert all(answer.text and 1 <= answer.tokens_out <= 6 for answer in answers)
    # A picture of 2 x 2 patches is four tokens, and the word before it one.
    assert np.diff([answer.tokens_in for answer in answers]).tolist() == [5, 5]
    assert backend.answer(questions) == answers


def test_without_log_probabilities_a_choice_is_made_in_words(served) -> None:
    backend = ServerBackend(*served)
    (chosen,) = backend.answer([question(2, choices=("yes", "no"))])
    (said,) = backend.answer([question(2)])
    assert chosen.log_probabilities is None
    assert chosen.text == said.text
    assert backend.budget.calls == 3


def test_a_model_that_is_not_served_is_a_mistake_of_the_user(served) -> None:
    model, url = served
    with pytest.raises(TiercelError, match=r"has no model 'other'.*pinned"):
        ServerBackend("other", url).answer([question(1)])
    with pytest.raises(TiercelError, match=r"no API at this address.*/v1"):
        ServerBackend(model, url.removesuffix("/v1")).answer([question(1)])
