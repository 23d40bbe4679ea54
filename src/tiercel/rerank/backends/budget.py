"""What may be spent at a server."""

from __future__ import annotations

import threading


class Budget:
    """Calls and tokens, counted for all threads together.

    Attributes:
        calls: Sent so far, those that failed included.
        tokens: Of questions and answers so far, as the server says.
    """

    def __init__(self, max_calls: int | None = None, max_tokens: int | None = None) -> None:
        """Sets the limits; None for no limit.

        Args:
            max_calls: Calls at most.
            max_tokens: No call is begun once so many are spent; calls that are on their way then are still paid for.
        """
        self.max_calls, self.max_tokens = max_calls, max_tokens
        self.calls = self.tokens = 0
        self._lock = threading.Lock()

    def take(self) -> str:
        """Counts a call that is about to be sent; or says why it must not be, in a sentence that is otherwise empty."""
        with self._lock:
            if self.max_calls is not None and self.calls >= self.max_calls:
                return f"the budget of {self.max_calls:,} calls is spent; raise max_calls to go on"
            if self.max_tokens is not None and self.tokens >= self.max_tokens:
                return f"the budget of {self.max_tokens:,} tokens is spent; raise max_tokens_total to go on"
            self.calls += 1
        return ""

    def spend(self, tokens: int) -> None:
        """Counts tokens."""
        with self._lock:
            self.tokens += tokens
