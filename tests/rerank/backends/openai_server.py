"""A server on this machine that answers as OpenAI-compatible ones do, with every trouble that real ones give."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

Parameters = dict[str, Any]


def completion(
    text: str | None, finish: str = "stop", usage: tuple[int, int] | None = (100, 7), **message: Any
) -> Parameters:
    """The body of a chat completion."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text} | message}
    body: Parameters = {"id": "c", "object": "chat.completion", "created": 1, "model": "eyes", "choices": [choice]}
    if usage:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return body


def likely(tokens: dict[str, float], drawn: str) -> Parameters:
    """A chat completion with the likeliest first tokens."""
    body = completion(drawn, "length", (100, 1))
    top = [{"token": token, "logprob": value, "bytes": None} for token, value in tokens.items()]
    place = {"token": drawn, "logprob": tokens.get(drawn, -9999.0), "top_logprobs": top}
    body["choices"][0]["logprobs"] = {"content": [place]}
    return body


@dataclass
class Fault:
    """What goes wrong with one call.

    Attributes:
        status: Of the reply; or "slow", "cut" for a connection that is cut, "half" for half a body, "not json" for half
            a body that claims to be whole, "no completion" for JSON that is something else.
        body: Sent with the status.
        headers: Likewise.
    """

    status: int | str
    body: Any = "boom"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def openai(cls, status: int, message: str, code: str | None = None) -> Fault:
        """An error in the shape that OpenAI, vLLM and llama.cpp give it."""
        return cls(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})


class OpenAIServer(ThreadingHTTPServer):
    """Answers with what `reply` makes of the parameters of a call, once the faults are used up.

    Attributes:
        reply: May also return a fault.
        faults: Of the next calls, in turn.
        always: A fault of all calls.
        calls: Parameters of the calls so far.
        times: When they came, in seconds.
        busiest: Most calls that were being answered at once.
        keys: What the calls brought as authorization.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[Parameters], Parameters | Fault] = lambda _: completion("fine")
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.calls: list[Parameters] = []
        self.times: list[float] = []
        self.keys: set[str] = set()
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def close(self) -> None:
        """Goes down."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that gave up waiting is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: OpenAIServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        server = self.server
        with server.lock:
            server.calls.append(parameters)
            server.times.append(time.monotonic())
            server.keys.add(self.headers["Authorization"])
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
            fault = server.faults.pop(0) if server.faults else server.always
        answer = fault or server.reply(parameters)
        with server.lock:
            server.busy -= 1
        if isinstance(answer, Fault):
            self.fail(answer)
        else:
            self.send(200, json.dumps(answer).encode())

    def fail(self, fault: Fault) -> None:
        whole = json.dumps(completion("fine")).encode()
        half = whole[: len(whole) // 2]
        if isinstance(fault.status, int):
            self.send(fault.status, json.dumps(fault.body).encode(), fault.headers)
        elif fault.status == "slow":
            time.sleep(1.0)
        elif fault.status == "half":
            self.send(200, half, {"Content-Length": str(len(whole))})
        elif fault.status == "not json":
            self.send(200, half)
        elif fault.status == "no completion":
            self.send(200, b'{"error": {"message": "upstream is out"}}')
        self.close_connection = True

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def pixels(part: Parameters) -> np.ndarray:
    """The picture in a part of a message."""
    head, _, content = part["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
