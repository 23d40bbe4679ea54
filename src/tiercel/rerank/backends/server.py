"""A vision-language model behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp, `transformers serve` ..."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from tiercel.errors import TiercelError
from tiercel.rerank.backends.backend import Answer, Request
from tiercel.rerank.backends.budget import Budget
from tiercel.rerank.backends.choices import choice_log_probabilities
from tiercel.rerank.backends.messages import messages
from tiercel.rerank.backends.replies import Reply, read_reply
from tiercel.rerank.backends.streaming import StreamingBackend
from tiercel.rerank.backends.threads import in_threads
from tiercel.rerank.backends.troubles import Trouble, understand, words

_TOP = (20, 5, 0)
"""How many of the likeliest tokens are asked for: the most that OpenAI's API allows, what others allow, none."""

_LONGEST_WAIT = 60.0
_LONGEST_RETRY_AFTER = 120.0
_LONGEST_CONNECT = 10.0


@dataclass(frozen=True)
class _Outcome:
    """An answer, and whether it is missing only because the server failed."""

    answer: Answer
    failed: bool = False


class ServerBackend(StreamingBackend):
    """Asks a server.

    Where a question has choices, their next-token log-probabilities are asked for, with one token of answer. A server
    that refuses or leaves them out is asked for text from then on; answers show which it was, since they have either a
    text or log-probabilities. A text that ended at `Request.max_tokens` comes back as far as it got, with that many
    `tokens_out`. Without a temperature, most servers still answer alike only mostly: batches of other sizes round
    differently.

    Attributes:
        model: As the server calls it.
        url: Of the server's API.
        budget: What was spent so far.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        key: str | None = None,
        concurrency: int = 4,
        timeout_s: float = 120.0,
        retries: int = 5,
        max_calls: int | None = None,
        max_tokens_total: int | None = None,
        temperature: float | None = 0.0,
        log_probabilities: Literal["auto", "never"] = "auto",
        single_image: bool = False,
        server: str = "",
        give_up_after: int = 20,
        backoff_s: float = 1.0,
    ) -> None:
        """Prepares to ask; nothing is sent yet.

        Args:
            model: As the server calls it, such as "Qwen/Qwen2.5-VL-7B-Instruct".
            url: Of the server's API, such as "http://localhost:8000/v1".
            key: For the server. By default what the variable TIERCEL_API_KEY holds; for OpenAI's own server
                OPENAI_API_KEY will do as well, which is sent to no other.
            concurrency: Questions on their way at once.
            timeout_s: Seconds without a byte after which a call has failed.
            retries: How often a call that failed is made again.
            max_calls: Calls at most during the life of this object, those that failed included; None for no limit.
                Questions beyond it get answers whose trouble says so.
            max_tokens_total: Likewise tokens of questions and answers, as counted by the server.
            temperature: 0 for the likeliest answer; None leaves it to the server, for models that allow no other.
            log_probabilities: "never" asks for text only.
            single_image: Whether the model takes one picture in a question.
            server: What runs there, for the settings, and so for the cache; by default `url`. Name it where the
                address changes and the model stays, or where the model changes and neither its name nor its address
                does, as with llama.cpp, which ignores the name.
            give_up_after: Questions in a row that the server fails to answer, after all retries, until it is taken to
                be broken.
            backoff_s: Seconds before the first retry; every further wait is twice as long, and up to a half of each is
                left out, so that not all come back at once. A server that says how long to wait is obeyed, up to two
                minutes.

        Raises:
            TiercelError: The package `openai` is missing, or an argument makes no sense.
        """
        _check(model, url, concurrency, retries)
        self.name = self.model = model
        self.url = url.rstrip("/")
        self.single_image = single_image
        self.budget = Budget(max_calls, max_tokens_total)
        self._server = server or self.url
        self._concurrency, self._retries = concurrency, retries
        self._temperature = temperature
        self._mode = log_probabilities
        self._give_up_after, self._backoff_s = give_up_after, backoff_s
        self._key = key or _key_for(self.url)
        self._client = _client(self.url, self._key, timeout_s)
        # What this server was found to understand.
        self._top = _TOP[0] if log_probabilities == "auto" else 0
        self._has_log_probabilities = False
        self._limit_name = "max_tokens"
        self._reached = False

    @property
    def settings(self) -> dict[str, Any]:
        """Server, model, temperature, and whether log-probabilities are asked for."""
        return {
            "backend": "server",
            "server": self._server,
            "model": self.model,
            "temperature": self._temperature,
            "log_probabilities": self._mode,
        }

    def stream(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Answers questions, several at once, each handed over when it arrives; see `StreamingBackend.stream`."""
        in_a_row = 0
        with closing(in_threads(self._ask, requests, self._concurrency)) as outcomes:
            for index, outcome in outcomes:
                yield index, outcome.answer
                in_a_row = in_a_row + 1 if outcome.failed else 0
                if in_a_row >= self._give_up_after:
                    raise TiercelError(
                        f"{self.url} failed to answer {in_a_row} questions in a row, the last because: "
                        f"{outcome.answer.trouble}; start it again, then run this again: answers in the cache are kept"
                    )

    def _ask(self, request: Request, over: threading.Event) -> _Outcome:
        """Puts one question; in a thread of its own."""
        conversation = messages(request)
        begun = time.monotonic()
        reply = self._send(request, conversation, bool(request.choices), over)
        if isinstance(reply, Reply) and reply.probe and not reply.likeliest:
            if not self._has_log_probabilities:
                self._top = 0
            reply = self._send(request, conversation, False, over)
        if isinstance(reply, Trouble):
            return _Outcome(Answer(trouble=reply.sentence), failed=reply.passes)
        self._has_log_probabilities |= bool(reply.likeliest)
        return _Outcome(replace(_answer(reply, request), seconds=time.monotonic() - begun))

    def _send(
        self, request: Request, conversation: list[dict[str, Any]], choosing: bool, over: threading.Event
    ) -> Reply | Trouble:
        """Makes a call until it succeeds, or fails for good."""
        import openai

        retried = 0
        while True:
            spent = self.budget.take()
            if spent:
                return Trouble(spent)
            parameters = self._parameters(request, choosing)
            try:
                return self._call(conversation, parameters)
            except openai.APIStatusError as error:
                self._reached = True
                if self._adapt(error, parameters):
                    continue
                trouble = understand(error, request, self.model, self.url, self._key)
            except openai.APIError as error:
                trouble = understand(error, request, self.model, self.url, self._key)
            except ValueError as error:  # not JSON, or no completion
                self._reached = True
                trouble = Trouble(f"the server's reply cannot be read ({error})", passes=True)
            if not trouble.passes:
                return trouble
            if retried == self._retries or over.wait(self._pause(retried, trouble)):
                break
            retried += 1
        if trouble.unreachable and not self._reached:
            raise TiercelError(f"{trouble.sentence}; start the server, or mend its address")
        return replace(trouble, sentence=f"{trouble.sentence}; given up after {retried} retries")

    def _call(self, conversation: list[dict[str, Any]], parameters: dict[str, Any]) -> Reply:
        """Makes one call."""
        create: Any = self._client.chat.completions.with_raw_response.create
        reply = read_reply(
            json.loads(create(model=self.model, messages=conversation, **parameters).text),
            probe="top_logprobs" in parameters,
        )
        self._reached = True
        self.budget.spend(reply.tokens_in + reply.tokens_out)
        if self.budget.max_tokens is not None and not reply.tokens_in:
            raise TiercelError(f"{self.url} does not count tokens; limit its calls by max_calls in place of tokens")
        return reply

    def _parameters(self, request: Request, choosing: bool) -> dict[str, Any]:
        """Of a call, beside model and messages."""
        parameters: dict[str, Any] = {} if self._temperature is None else {"temperature": self._temperature}
        top = self._top if choosing else 0
        if top:
            parameters |= {"logprobs": True, "top_logprobs": top}
        return parameters | {self._limit_name: 1 if top else request.max_tokens}

    def _adapt(self, error: Any, parameters: dict[str, Any]) -> bool:  # noqa: ANN401  (openai's, a heavy import)
        """Learns from a refusal what the server does not understand; whether the call is worth making again."""
        said = words(error).lower()
        if "max_completion_tokens" in said and "max_tokens" in parameters:
            self._limit_name = "max_completion_tokens"
            return True
        if ("logprob" in said or "log prob" in said) and "top_logprobs" in parameters:
            # Another thread may have learned it already.
            self._top = min(self._top, _TOP[_TOP.index(parameters["top_logprobs"]) + 1])
            return True
        return False

    def _pause(self, retried: int, trouble: Trouble) -> float:
        """Seconds to wait before the next try."""
        if trouble.wait is not None:
            return min(trouble.wait, _LONGEST_RETRY_AFTER) + random.uniform(0, 0.1) * self._backoff_s
        longest: float = min(self._backoff_s * 2.0**retried, _LONGEST_WAIT)
        return longest * random.uniform(0.5, 1.0)


def _answer(reply: Reply, request: Request) -> Answer:
    """What a reply means."""
    counted = Answer(tokens_in=reply.tokens_in, tokens_out=reply.tokens_out)
    if reply.refusal or reply.finish == "content_filter":
        said = reply.refusal or reply.text
        return replace(counted, text=said, trouble=f"the model refused: {said}" if said else "the model refused")
    if request.choices and reply.likeliest:
        values = choice_log_probabilities(reply.likeliest, request.choices)
        if values:
            return replace(counted, log_probabilities=values)
        likeliest = max(reply.likeliest, key=lambda entry: entry[1])[0]
        trouble = (
            f"none of {', '.join(request.choices)} is among the likeliest next tokens, of which {likeliest!r} leads"
        )
        return replace(counted, text=reply.text, log_probabilities={}, trouble=trouble)
    if not reply.text:
        cut = reply.finish == "length"
        why = f"; all {request.max_tokens} tokens went into what a server hides, such as thoughts" if cut else ""
        return replace(counted, trouble=f"the answer is empty{why}")
    return replace(counted, text=reply.text)


def _check(model: str, url: str, concurrency: int, retries: int) -> None:
    """Refuses what makes no sense."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise TiercelError(
            f"url is {url!r}; give an address that begins with http://, such as http://localhost:8000/v1"
        )
    if "@" in parts.netloc:
        raise TiercelError("url holds a password; leave it out there and give it as key= or in TIERCEL_API_KEY")
    if not model:
        raise TiercelError("model is empty; give the name under which the server knows the model")
    if concurrency < 1 or retries < 0:
        raise TiercelError(f"concurrency is {concurrency} and retries {retries}; give at least 1 and 0")


def _key_for(url: str) -> str:
    """The key in the environment; one that is OpenAI's goes to OpenAI alone."""
    key = os.environ.get("TIERCEL_API_KEY", "")
    if not key and url.startswith("https://api.openai.com/"):
        key = os.environ.get("OPENAI_API_KEY", "")
    return key


def _client(url: str, key: str, timeout_s: float) -> Any:  # noqa: ANN401  (openai.OpenAI, a heavy import)
    """The `openai` package's client, which makes each call once: trying again is done here, where it is counted."""
    try:
        import openai
    except ImportError as error:
        raise TiercelError("asking a server needs the package openai; run: pip install 'tiercel[vlm]'") from error
    timeout = openai.Timeout(timeout_s, connect=min(timeout_s, _LONGEST_CONNECT))
    return openai.OpenAI(base_url=url, api_key=key or "none", timeout=timeout, max_retries=0)
