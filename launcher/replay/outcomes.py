"""Every outcome, declared once with its meaning, and each output's tally.

Every record that an output received ends in exactly one outcome; until then the output holds it. Failures are told
to people once for each kind, and then summed up, so that a dead destination does not fill a log. While a destination
is in back-off, records end with the outcome of the last failed connect: `refused`, `dns`, `tls` or `reset`; while its
brake is pulled, as `paused`. A record that holds no HTTP/1.x request ends as `protocol`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from launcher.latencies import LatencyRecorder
from launcher.replay.failures import Failures
from launcher.replay.responses import Response
from launcher.replay_protocol import (
    DestinationFailed,
    DestinationNews,
    DestinationPaused,
    DestinationResumed,
    OutputAccount,
)

OUTCOMES: Mapping[str, str] = {
    "1xx": "answered 101: the destination wanted to switch protocols",
    "2xx": "answered with a status of 200 to 299",
    "3xx": "answered with a status of 300 to 399: a redirect that was not to be followed, or 304",
    "4xx": "answered with a status of 400 to 499",
    "5xx": "answered with a status of 500 or more",
    "written": "written whole; for --output-tcp, acknowledged by the other machine; for --output-null, thrown away",
    "timeout": "not answered whole within --output-http-timeout, connecting included",
    "refused": "no connection: refused, unreachable, or none was tried: one was refused a moment before, or the proxy "
    "that the environment names is not an http proxy",
    "reset": "the connection ended before the whole answer had come, or for --output-tcp the acknowledgement",
    "dns": "the destination's name was not found",
    "tls": "no TLS connection: the certificate is not valid, or the destination does not speak TLS",
    "protocol": "the answer was not HTTP/1.x, or could be read in two ways",
    "write_failed": "the output could not be written: nobody reads it any more, or its disk is full",
    "paused": "not sent: the destination had done nothing but fail for 30 s, and no probe was answered yet",
    "filtered": "left out by a filter (--http-allow-*, --http-disallow-*, a hash limiter...)",
    "limited": "left out by the limit behind | of the output",
    "untellable": "not written: it holds gor's separator of records, so a reader would take it for two",
    "size_limit": "not written: --output-file-max-size-limit was reached",
    "queue_full": "the output held as much as it may",
    "unsent": "still waiting, or unanswered, when the replayer had to end",
    "unknown": "held by a replayer that died: sent or not, the launcher can't tell",
}

# Those that are also said in words. `unsent` is not: the final account says it.
FAILURES = frozenset({
    "timeout", "refused", "reset", "dns", "tls", "protocol", "write_failed", "untellable", "size_limit", "queue_full",
})

# Those of copies that were sent, or were to be, and got no answer.
DESTINATION_FAILURES = frozenset({"timeout", "refused", "reset", "dns", "tls", "protocol"})

STATUS_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


def status_class(status: int) -> str:
    """The outcome for a status, 100 to 999."""
    return STATUS_CLASSES[min(status // 100, 5)]


class Ended(NamedTuple):
    """How one exchange, or the making of a connection, ended."""

    outcome: str
    error: str = ""  # for people; it holds neither secrets nor bytes from the destination
    is_reusable: bool = False  # the connection can carry another request
    was_silent: bool = False  # the connection ended before one byte of an answer
    response: Response | None = None  # what was answered, if anything was


class Tally:
    """One output's account: what it received, what became of it, what went wrong."""

    def __init__(self, destination: str, *, takes_responses: bool = True) -> None:
        self.destination = destination  # as it may be shown
        self.takes_responses = takes_responses  # and not only requests
        self.received = 0
        self.responses = 0  # among them: answers, recorded or tracked, that came with no request of their own
        self.retries = 0
        self.tracked = 0  # answers of this destination that were handed on
        self.untracked = 0  # and those that should have been, but did not fit
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self._latencies = LatencyRecorder()
        self._failures = Failures()
        self._news: list[DestinationPaused | DestinationResumed] = []
        self._is_paused = False
        self.watcher: Callable[[str, str, bytes], None] | None = None  # told of each end, for --verbose

    def count(self, outcome: str, error: str = "", record: bytes = b"") -> None:
        """One record's end. `error` says of a failure what it was, for people, without secrets."""
        self.outcomes[outcome] += 1
        if self.watcher is not None:
            self.watcher(outcome, error, record)
        if outcome in FAILURES:
            self._failures.add(outcome, error)

    def note(self, kind: str, error: str) -> None:
        """Tells people of a failure that ended no record."""
        self._failures.add(kind, error)

    def tell(self, news: DestinationPaused | DestinationResumed) -> None:
        """Tells people what the destination's brake does."""
        self._is_paused = isinstance(news, DestinationPaused)
        self._news.append(news)

    def measure(self, seconds: float) -> None:
        """How long an answered record took."""
        self._latencies.add(seconds)

    def held(self) -> int:
        """Records received that have no outcome yet."""
        return self.received - sum(self.outcomes.values())

    def sum_up(self) -> None:
        """Makes news of the failures that were only counted since the last call."""
        self._failures.sum_up()

    def take_news(self) -> list[DestinationNews]:
        """What people have not been told yet."""
        news, self._news = self._news, []
        return [
            DestinationFailed(destination=self.destination, kind=kind, error=error, count=count)
            for kind, error, count in self._failures.take_news()
        ] + news  # what was a failure came before

    def account(self, held_bytes: int) -> OutputAccount:
        """The totals as they are now."""
        return OutputAccount(
            destination=self.destination,
            received=self.received,
            outcomes={outcome: count for outcome, count in self.outcomes.items() if count},
            held_bytes=held_bytes,
            retries=self.retries,
            responses=self.responses,
            tracked=self.tracked,
            untracked=self.untracked,
            is_paused=self._is_paused,
            latencies=self._latencies.latencies(),
        )
