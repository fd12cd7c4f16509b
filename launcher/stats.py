"""The counters, as log lines: every interval, and once more at the end with the balance.

First the lines for people, without what is 0; then `at=metrics`, the same for Heroku's log metrics (`l2met`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import trio

from launcher.account_lines import middleware_facts, non_zero, output_facts
from launcher.builtin_launch import BuiltinLaunch, middlewares, outputs
from launcher.counters import RelayCounters, as_dict
from launcher.l2met import L2met, Names, Reading
from launcher.latencies import Latencies
from launcher.log import log
from launcher.mirror import Mirror
from launcher.replay_protocol import OutputAccount
from launcher.replayers import Replayer


class Stats:
    """What the lines are made of. `source` is the dyno that they are about."""

    def __init__(
        self, mirror: Mirror, replayers: Sequence[Replayer], connections: RelayCounters, source: str | None = None
    ) -> None:
        self._mirror = mirror
        self._replayers = replayers
        self._connections = connections
        self._source = source
        self._l2met = L2met()
        self._names = Names()

    async def run(self, interval_seconds: float) -> None:
        """A set of lines each interval; none with 0."""
        while interval_seconds > 0:
            await trio.sleep(interval_seconds)
            try:
                self._tell("stats")
            except Exception as error:  # noqa: BLE001 - a defect in what is told must not end the app
                log("stats-failed", level="error", error=repr(error))

    def tell_end(self) -> None:
        """The last set, and whether it balances."""
        self._tell("end", final=True)
        problems = list(self.imbalances())
        log("balance", level="error" if problems else None, balanced=not problems, problem="; ".join(problems) or None)

    def imbalances(self) -> Iterator[str]:
        """What doesn't add up, in words; nothing should be here once all is quiet."""
        tap = self._mirror.counters
        if tap.imbalance():
            yield f"{tap.imbalance()} requests seen ended in no counter"
        given = [replayer.feed.queue.counters.given for replayer in self._replayers]
        expected = [tap.offered] * len(given)
        if self._mirror.settings.split_output:
            given, expected = [sum(given)], [tap.offered]
        if given != expected:
            yield f"{tap.offered} requests were offered, but {given} given"
        for replayer in self._replayers:
            if imbalance := replayer.feed.queue.counters.imbalance():
                yield f"{imbalance} copies given to {replayer.name} ended in no counter"
        for _, output in outputs(self._replayers):
            if held := output.received - sum(output.outcomes.values()):
                yield f"{held} copies received by {output.destination} ended in no outcome"
        for _, middleware in middlewares(self._replayers):
            if imbalance := middleware.counters.imbalance():
                yield f"{imbalance} copies given to the middleware ended in no counter"
        for name, received, handed in self._received():
            if received > handed:
                yield f"{name} received {received} copies, of {handed} handed on"
        yield from self._untold_responses()

    def _tell(self, at: str, *, final: bool | None = None) -> None:
        log(at, final=final, **non_zero(as_dict(self._mirror.counters), always=("seen", "offered")))
        log("connections", final=final, **non_zero(as_dict(self._connections), always=("connections",)))
        for replayer in self._replayers:
            feed = replayer.feed
            feed.update_counters()
            log(
                "feed", replayer=replayer.name,
                **non_zero(as_dict(feed.queue.counters), always=("given", "taken")),
                waiting=feed.queue.statistics().records or None, restarts=replayer.restarts or None, final=final,
            )  # fmt: skip
        for _, middleware in middlewares(self._replayers):
            log("middleware", **middleware_facts(middleware), final=final)
        for _, output in outputs(self._replayers):
            log("output", **output_facts(output), final=final)
        for name, copies in self._unknown() if final else ():
            log("output-unknown", level="warning", destination=name, copies=copies)
        for facts in self._l2met.lines(self._reading(), always=("requests.seen", "requests.offered")):
            log("metrics", source=self._source, **facts)

    def _reading(self) -> Reading:
        """The figures by their names for log metrics."""
        tap, relay = as_dict(self._mirror.counters), as_dict(self._connections)
        counts = {f"requests.{name}": count for name, count in tap.items()}
        counts |= {f"connections.{name.replace('connections', 'accepted')}": count for name, count in relay.items()}
        samples = {"buffer": f"{self._mirror.budget.used_bytes}bytes"}
        latencies: dict[str, Latencies] = {}
        for replayer in self._replayers:
            start = f"replayer.{self._names(log.masked(replayer.name))}"
            queue = replayer.feed.queue
            counts |= {f"{start}.{name}": count for name, count in as_dict(queue.counters).items()}
            counts[f"{start}.restarts"] = replayer.restarts
            samples[f"{start}.waiting"] = f"{queue.statistics().records}copies"
        for _, middleware in middlewares(self._replayers):
            counts |= {f"middleware.{name}": count for name, count in as_dict(middleware.counters).items()}
            counts["middleware.restarts"] = middleware.restarts
        for _, output in outputs(self._replayers):
            start = f"destination.{self._names(log.masked(output.destination))}"
            counts |= {f"{start}.{name}": count for name, count in output.outcomes.items()}
            samples[f"{start}.held"] = f"{output.held_bytes}bytes"
            latencies[f"{start}.latency"] = output.latencies
        return Reading(counts, samples, latencies)

    def _received(self) -> Iterator[tuple[str, int, int]]:
        """What was received of what was handed on: by each output, or by all together if each has its turn."""
        together: dict[Replayer, list[OutputAccount]] = {}
        for replayer, output in outputs(self._replayers):
            together.setdefault(replayer, []).append(output)
        returned = {replayer: middleware.counters.returned for replayer, middleware in middlewares(self._replayers)}
        for replayer, told in together.items():
            handed = returned.get(replayer, replayer.feed.queue.counters.taken)
            if isinstance(replayer.launch, BuiltinLaunch) and replayer.launch.splits_output:
                yield "all", sum(output.received - output.responses for output in told), handed
            else:
                yield from ((output.destination, output.received - output.responses, handed) for output in told)

    def _unknown(self) -> Iterator[tuple[str, int]]:
        """What a replayer that died had taken and never told of. Its middleware's account and its outputs' are one."""
        all_middlewares = list(middlewares(self._replayers))
        for replayer, middleware in all_middlewares:
            tracked = sum(output.tracked for owner, output in outputs(self._replayers) if owner is replayer)
            if (copies := replayer.feed.queue.counters.taken - (middleware.counters.given - tracked)) > 0:
                yield "middleware", copies
        for name, received, handed in self._received() if not all_middlewares else ():
            if handed > received:
                yield name, handed - received

    def _untold_responses(self) -> Iterator[str]:
        """Answers that were tracked, but not received by an output that takes them: each gets all, or takes none."""
        for replayer in self._replayers:
            if not isinstance(replayer.launch, BuiltinLaunch) or replayer.launch.has_middleware:
                continue
            told = replayer.launch.account.outputs()
            tracked = sum(output.tracked for output in told)
            for output in told:
                if output.responses not in (0, tracked):
                    yield f"{output.destination} received {output.responses} answers, of {tracked} tracked"
