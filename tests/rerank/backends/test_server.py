"""Asking a server: what is sent, what is read, and what comes of every way in which a server fails."""

from __future__ import annotations

import builtins
import math
import re
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.rerank.backends.openai_server import Fault, OpenAIServer, Parameters, completion, likely, pixels
from tiercel.errors import TiercelError
from tiercel.rerank.backends import Answer, Picture, Request, Turn
from tiercel.rerank.backends.cache import CachedBackend
from tiercel.rerank.backends.server import ServerBackend


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    running = OpenAIServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch) -> None:
    monkeypatch.delenv("TIERCEL_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def backend(running: OpenAIServer, **more) -> ServerBackend:
    return ServerBackend("eyes", running.url, **({"retries": 2, "backoff_s": 0.001} | more))


def picture(value: int) -> Picture:
    return Picture(np.full((4, 6, 3), value, np.uint8))


def question(text: str = "Which?", *, choices: tuple[str, ...] = (), max_tokens: int = 16) -> Request:
    parts = ("The photo:", picture(10), "a tile:", picture(20), text)
    return Request((Turn("system", ("You compare.",)), Turn("user", parts)), choices, max_tokens)


def said(parameters: Parameters) -> str:
    """The last text of a call."""
    return parameters["messages"][-1]["content"][-1]["text"]


def test_texts_and_pictures_are_sent_in_their_order_and_every_pixel_arrives(server) -> None:
    (answer,) = backend(server).answer([question("Which?", max_tokens=33)])
    assert answer == Answer("fine", tokens_in=100, tokens_out=7)
    (call,) = server.calls
    assert call["model"] == "eyes"
    assert call["temperature"] == 0.0
    assert call["max_tokens"] == 33
    assert "logprobs" not in call
    system, user = call["messages"]
    assert system == {"role": "system", "content": "You compare."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "text", "image_url", "text"]
    assert (pixels(user["content"][1]) == 10).all()
    assert (pixels(user["content"][3]) == 20).all()


def test_answers_keep_the_order_of_the_questions_and_few_are_on_their_way_at_once(server) -> None:
    def reply(parameters: Parameters) -> Parameters:
        number = int(said(parameters))
        time.sleep(0.05 if number % 3 == 0 else 0.01)
        return completion(f" {number}\n")

    server.reply = reply
    answers = backend(server, concurrency=3).answer([question(str(number)) for number in range(12)])
    assert [answer.text for answer in answers] == [str(number) for number in range(12)]
    assert server.busiest == 3


def test_choices_are_read_from_the_likeliest_tokens_and_their_variants_are_added(server) -> None:
    tokens = {"Yes": math.log(0.4), " yes": math.log(0.2), "No": math.log(0.1), "Maybe": math.log(0.3)}
    server.reply = lambda _: likely(tokens, "Yes")
    (answer,) = backend(server).answer([question(choices=("Yes", "No", "Unsure"))])
    assert answer.text == ""
    assert answer.log_probabilities == {"Yes": pytest.approx(math.log(0.6)), "No": pytest.approx(math.log(0.1))}
    (call,) = server.calls
    assert (call["logprobs"], call["top_logprobs"], call["max_tokens"]) == (True, 20, 1)


def test_choices_that_are_not_among_the_likeliest_tokens_are_a_trouble_of_that_answer(server) -> None:
    server.reply = lambda _: likely({"The": -0.1, "A": -3.0}, "The")
    (answer,) = backend(server).answer([question(choices=("Yes", "No"))])
    assert answer.log_probabilities == {}
    assert "none of Yes, No" in answer.trouble
    assert "'The'" in answer.trouble


def test_where_log_probabilities_are_left_out_text_is_asked_for_and_that_is_remembered(server) -> None:
    together = threading.Barrier(4, timeout=10)  # all four ask before any of them can know

    def reply(parameters: Parameters) -> Parameters:
        if "logprobs" not in parameters:
            return completion("Yes, since")
        together.wait()
        return completion("Y", "length")

    server.reply = reply
    asked = backend(server, concurrency=4)
    questions = [question(str(number), choices=("Yes", "No"), max_tokens=9) for number in range(4)]
    assert [answer.text for answer in asked.answer(questions)] == ["Yes, since"] * 4
    assert {call["max_tokens"] for call in server.calls if "logprobs" not in call} == {9}
    assert len(server.calls) == 8
    (answer,) = asked.answer([question("later", choices=("Yes", "No"))])
    assert answer.log_probabilities is None
    assert len(server.calls) == 9


def test_fewer_log_probabilities_are_asked_for_where_the_server_has_a_limit(server) -> None:
    def reply(parameters: Parameters) -> Parameters | Fault:
        if parameters["top_logprobs"] > 5:
            return Fault.openai(400, "top_logprobs must be at most 5")
        return likely({"1": -0.5, "2": -1.0}, "1")

    server.reply = reply
    asked = backend(server, concurrency=1)
    answers = asked.answer([question(str(number), choices=("1", "2")) for number in range(2)])
    assert [answer.log_probabilities for answer in answers] == [{"1": -0.5, "2": -1.0}] * 2
    assert [call["top_logprobs"] for call in server.calls] == [20, 5, 5]


def test_a_server_that_refuses_log_probabilities_is_asked_for_text(server) -> None:
    server.reply = lambda parameters: (
        Fault.openai(400, "logprobs is not supported by this model") if "logprobs" in parameters else completion("1")
    )
    (answer,) = backend(server).answer([question(choices=("1", "2"))])
    assert (answer.text, answer.trouble) == ("1", "")


def test_log_probabilities_can_be_left_alone(server) -> None:
    (answer,) = backend(server, log_probabilities="never").answer([question(choices=("1", "2"))])
    assert answer.text == "fine"
    assert "logprobs" not in server.calls[0]


def test_a_server_that_knows_the_limit_of_tokens_by_its_new_name_only_gets_it_so(server) -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.reply = lambda parameters: Fault.openai(400, message) if "max_tokens" in parameters else completion("fine")
    asked = backend(server)
    assert asked.answer([question(max_tokens=12)])[0].text == "fine"
    assert server.calls[-1]["max_completion_tokens"] == 12


@pytest.mark.parametrize("status", [500, 503, 429, "cut", "half", "not json", "no completion"])
def test_what_passes_is_tried_again(server, status) -> None:
    server.faults = [Fault(status), Fault(status)]
    (answer,) = backend(server).answer([question()])
    assert answer == Answer("fine", tokens_in=100, tokens_out=7)
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "status 500.*boom"),
        (429, "asked too often"),
        ("cut", "connection was cut"),
        ("half", "connection was cut"),
        ("not json", "cannot be read"),
        ("no completion", "upstream is out"),
    ],
)
def test_what_does_not_pass_is_a_trouble_of_that_question(server, status, words) -> None:
    server.reply = lambda parameters: Fault(status) if said(parameters) == "bad" else completion("fine")
    bad, good = backend(server, concurrency=1).answer([question("bad"), question("good")])
    assert re.search(words, bad.trouble)
    assert "after 2 retries" in bad.trouble
    assert (good.text, good.trouble) == ("fine", "")
    assert len(server.calls) == 4


def test_an_answer_that_does_not_come_in_time_is_asked_for_again(server) -> None:
    server.faults = [Fault("slow")]
    assert backend(server, timeout_s=0.3).answer([question()])[0].text == "fine"
    server.faults = [Fault("slow"), Fault("slow")]
    (late,) = backend(server, timeout_s=0.3, retries=1).answer([question()])
    assert "did not answer in time" in late.trouble


def test_a_server_that_says_how_long_to_wait_is_obeyed(server) -> None:
    server.faults = [Fault(429, headers={"Retry-After": "0.4"})]
    assert backend(server).answer([question()])[0].text == "fine"
    assert 0.4 <= server.times[1] - server.times[0] < 5


def test_a_refusal_is_a_trouble_that_keeps_what_the_model_said(server) -> None:
    server.reply = lambda parameters: (
        completion(None, refusal="I cannot locate people.")
        if said(parameters) == "refuse"
        else completion(None, "content_filter")
    )
    refused, filtered = backend(server).answer([question("refuse"), question("filter")])
    assert refused.text == "I cannot locate people."
    assert refused.trouble == "the model refused: I cannot locate people."
    assert filtered.trouble == "the model refused"
    assert refused.tokens_out == 7


def test_an_empty_answer_is_a_trouble(server) -> None:
    server.reply = lambda parameters: completion("  ", "length" if said(parameters) == "thoughts" else "stop")
    thoughts, empty = backend(server).answer([question("thoughts"), question("nothing")])
    assert empty.trouble == "the answer is empty"
    assert "all 16 tokens" in thoughts.trouble


def test_a_text_that_ran_out_of_tokens_comes_as_far_as_it_got(server) -> None:
    server.reply = lambda _: completion('{"score": 8', "length", (100, 16))
    assert backend(server).answer([question()])[0] == Answer('{"score": 8', tokens_in=100, tokens_out=16)


def test_a_question_that_is_too_long_is_its_own_trouble(server) -> None:
    message = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"
    server.reply = lambda parameters: Fault.openai(400, message) if said(parameters) == "long" else completion("fine")
    long, short = backend(server).answer([question("long"), question("short")])
    assert "too long" in long.trouble
    assert "maximum context length is 4096" in long.trouble
    assert short.text == "fine"
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.openai(401, "Incorrect API key provided: s3cret"), r"refuses the key \(.*: \*\*\*\).*TIERCEL_API_KEY"),
        (Fault.openai(403, "Forbidden"), "refuses the key"),
        (Fault.openai(404, "The model `eyes` does not exist."), "has no model 'eyes'.*/v1"),
        (Fault(404, {"detail": "Not Found"}), "no API at this address"),
        (Fault(400, {"detail": "Server is pinned to 'ears'; requested 'eyes'."}), "has no model 'eyes'.*ears"),
        (Fault.openai(400, "eyes is not a multimodal model"), "takes no pictures.*vision-language model"),
        (Fault.openai(500, "image input is not supported - hint: you may need to provide the mmproj"), "--mmproj"),
        (Fault.openai(400, "At most 1 image(s) may be provided in one prompt."), "fewer than 2.*--limit-mm-per-prompt"),
        (Fault.openai(429, "You exceeded your current quota", "insufficient_quota"), "no credit"),
    ],
)
def test_where_nothing_can_be_answered_the_user_is_told_at_once(server, fault, words) -> None:
    server.always = fault
    with pytest.raises(TiercelError, match=words) as raised:
        backend(server, key="s3cret", concurrency=1).answer([question("a"), question("b"), question("c")])
    assert "s3cret" not in str(raised.value)
    assert len(server.calls) == 1


def test_no_server_is_told_after_some_tries(server) -> None:
    url = server.url
    server.close()
    asked = backend(server)
    with pytest.raises(TiercelError, match=f"{url} cannot be reached .*start the server"):
        asked.answer([question()])
    assert asked.budget.calls == 3


def test_a_server_that_dies_half_way_is_given_up_and_what_it_said_is_kept(server, tmp_path) -> None:
    def reply(parameters: Parameters) -> Parameters | Fault:
        return completion("fine") if int(said(parameters)) < 5 else Fault("cut")

    server.reply = reply
    questions = [question(str(number)) for number in range(40)]
    with pytest.raises(TiercelError, match=f"{server.url} failed to answer 6 questions in a row.*start it again"):
        CachedBackend(backend(server, give_up_after=6, concurrency=2, retries=0), tmp_path).answer(questions)
    assert len(server.calls) < 16
    server.reply = lambda _: completion("again")
    again = CachedBackend(backend(server), tmp_path).answer(questions)
    assert [answer.text for answer in again] == ["fine"] * 5 + ["again"] * 35
    assert [answer.cached for answer in again] == [True] * 5 + [False] * 35


def test_beyond_a_budget_of_calls_nothing_is_sent(server) -> None:
    answers = backend(server, max_calls=3).answer([question(str(number)) for number in range(5)])
    assert sum(answer.text == "fine" for answer in answers) == 3
    assert sum("budget of 3 calls is spent" in answer.trouble for answer in answers) == 2
    assert len(server.calls) == 3


def test_a_budget_of_tokens_counts_questions_and_answers(server) -> None:
    asked = backend(server, max_tokens_total=200, concurrency=1)
    answers = asked.answer([question(str(number)) for number in range(4)])
    assert [answer.text for answer in answers] == ["fine", "fine", "", ""]
    assert "budget of 200 tokens" in answers[2].trouble
    assert asked.budget.tokens == 214


def test_tokens_that_are_not_counted_cannot_be_limited(server) -> None:
    server.reply = lambda _: completion("fine", usage=None)
    assert backend(server).answer([question()])[0].tokens_in == 0
    with pytest.raises(TiercelError, match=r"does not count tokens.*max_calls"):
        backend(server, max_tokens_total=200).answer([question()])


def test_the_key_goes_to_the_server_and_not_into_the_settings(server, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for OpenAI alone")
    backend(server).answer([question()])
    assert server.keys == {"Bearer none"}
    monkeypatch.setenv("TIERCEL_API_KEY", "s3cret")
    asked = backend(server)
    asked.answer([question()])
    assert server.keys == {"Bearer none", "Bearer s3cret"}
    assert "s3cret" not in str(asked.settings)


def test_settings_tell_models_servers_and_temperatures_apart_and_nothing_else(server) -> None:
    plain = backend(server).settings
    assert backend(server, retries=9, concurrency=9, key="k", max_calls=9).settings == plain
    others = [
        backend(server, temperature=None),
        backend(server, server="bf16"),
        backend(server, log_probabilities="never"),
    ]
    others += [ServerBackend("ears", server.url), ServerBackend("eyes", server.url + "/other")]
    assert all(other.settings != plain for other in others)
    named = [ServerBackend("eyes", url, server="bf16").settings for url in (server.url, "http://elsewhere/v1")]
    assert named[0] == named[1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": "localhost:8000/v1"}, "http://"),
        ({"url": "http://me:s3cret@localhost/v1"}, "as key="),
        ({"model": ""}, "model is empty"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(more, words) -> None:
    with pytest.raises(TiercelError, match=words):
        ServerBackend(**({"model": "eyes", "url": "http://localhost/v1"} | more))


def test_without_the_package_the_user_is_told_how_to_get_it(monkeypatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: object, **more):
        if name == "openai":
            raise ImportError(name)
        return original(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TiercelError, match=r"pip install 'tiercel\[vlm\]'"):
        ServerBackend("eyes", "http://localhost/v1")
