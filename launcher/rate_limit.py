"""At most so many a second: a bucket of tokens. Pure; the clock is the caller's."""

from __future__ import annotations

_BURST_SECONDS = 0.1  # so much of a second's worth may come at once


class RateLimit:
    """Full at first. In any `t` seconds it admits at most `rate * t` and a burst: a tenth of the rate, at least one."""

    def __init__(self) -> None:
        self._tokens: float | None = None
        self._filled_at: float  # since there are tokens

    def admits(self, now: float, rate_per_second: float) -> bool:
        """Whether the next one may pass; `now` in seconds, never less than before. The rate may change from call to
        call; at 0 none passes."""
        most = max(1.0, rate_per_second * _BURST_SECONDS)
        if self._tokens is None:
            self._tokens = most
        else:
            self._tokens = min(most, self._tokens + (now - self._filled_at) * rate_per_second)
        self._filled_at = now
        if self._tokens < 1 or rate_per_second <= 0:
            return False
        self._tokens -= 1
        return True
