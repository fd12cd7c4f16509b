"""The comparison of one run: takes each output's answers, and makes the report out of what was counted.

Plain calls, none of which raises into the replayer: a defect here ends the comparison, said once, and the copies go
on. Looking into bodies that are not the same bytes is bounded in processor time (`looking`); what there is no time for
is counted as `skipped`, and that is decided before anything is known of the pair, so the shares stay fair.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from launcher.comparison.report import REPORT_VERSION
from launcher.comparison.sketches import Sketch, bucket_of
from launcher.mirror_queue import Budget
from launcher.replay.comparison.answers import Answer, no_answer
from launcher.replay.comparison.balances import BLOCK_SECONDS
from launcher.replay.comparison.candidate import Candidate
from launcher.replay.comparison.endpoints import Endpoints
from launcher.replay.comparison.examples import ExampleMaker
from launcher.replay.comparison.json_values import MAX_PARSED_BYTES
from launcher.replay.comparison.judging import Ignored, Judgement, are_long, judge
from launcher.replay.comparison.looking import Looking
from launcher.replay.comparison.pairing import Pairing
from launcher.roles import RECORDED, Roles, roles_of

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})  # RFC 9110 §9.2.1
# Ends of a record that say nothing of the destination.
NOT_SENT = frozenset({"paused", "queue_full", "unsent", "filtered", "limited", "unknown"})
_QUICK = frozenset({"equal", "none", "skipped"})  # what takes next to no time
_LONGEST_IDENTITY = 256
_LEAST_WAITING_BYTES = 16 * 1024**2  # of requests: some of the largest
_NO_NOISE = Judgement()

KeepPair = Callable[[bytes, Answer, Answer], None]


class Comparison:
    """`names` are the compared outputs' roles, `destinations` how each may be shown.

    Answers that wait are held in `max_bytes`; while two bodies are compared, at most four times that is parsed."""

    def __init__(
        self,
        names: Sequence[str],
        destinations: Sequence[str],
        ignored: Ignored,
        max_bytes: int,
        *,
        keep_pair: KeepPair | None = None,
        clock: Callable[[], float] = time.monotonic,
        processor_clock: Callable[[], float] = time.process_time,
        draw: random.Random | None = None,
    ) -> None:
        self._names = names
        self._destinations = destinations
        self._ignored = ignored
        self._keep_pair = keep_pair
        self._clock = clock
        draw = draw or random.Random()
        self.budget = Budget(max_bytes)
        self._max_parsed_bytes = min(2 * max_bytes, MAX_PARSED_BYTES)
        roles: Roles = roles_of(names)
        self._baseline = names.index(roles.baseline) if roles.baseline else None
        self._noise = names.index(roles.noise_baseline) if roles.noise_baseline else None
        self._roles = roles
        has_noise = self._noise is not None
        self._candidates = [
            Candidate(name, names.index(name), draw, has_noise=has_noise) for name in roles.candidates
        ]
        self._pairing = Pairing(
            len(names), max((len(names) + 1) * max_bytes, _LEAST_WAITING_BYTES), self._complete
        )
        self._endpoints = Endpoints()
        self._example = ExampleMaker()
        self._latencies = [Sketch() for _ in names]
        self._outcomes: list[Counter[str]] = [Counter() for _ in names]
        self._sets = Counter[str]()
        self._unsafe = 0
        self._started = clock()
        self._looking = Looking(clock, processor_clock)

    def new_answer(self) -> Answer:
        """To be filled while it comes."""
        return Answer(self.budget)

    def ended(self, role: int, record: bytes, answer: Answer | None, outcome: str = "") -> None:
        """A record's end at one output: its answer, or why there is none."""
        answer = answer or no_answer(self.budget, outcome)
        self._outcomes[role][answer.label] += 1
        if answer.microseconds:
            answer.bucket = bucket_of(answer.microseconds)
            self._latencies[role].add_to(answer.bucket, answer.microseconds)
        identity = record[2 : max(2, record.find(b" ", 2, _LONGEST_IDENTITY))]
        self._pairing.add(identity, role, record, answer, self._clock())

    def tick(self) -> None:
        """Once a second."""
        self._pairing.tick(self._clock())

    def _is_without_answers(self) -> bool:
        """Whether the baseline is a recording that has no answers."""
        return self._roles.baseline == RECORDED and not self._outcomes[self._names.index(RECORDED)]

    # ---- a set of answers ------------------------------------------------------------------------------------

    def _complete(self, record: bytes, answers: list[Answer]) -> None:
        for answer in answers:
            if not answer.status and answer.outcome in NOT_SENT:
                self._sets["dropped"] += 1
                return
        if self._baseline is None:
            self._sets["alone"] += 1
            return
        baseline = answers[self._baseline]
        if not baseline.status:
            self._sets["baseline_failed"] += 1
            return
        self._sets["compared"] += 1
        method, target = _method_and_target(record)
        self._unsafe += method not in _SAFE
        endpoint = self._endpoints.name(method, target)
        if self._endpoints.is_changed:
            endpoint = self._rename(endpoint)
        block = int((self._clock() - self._started) / BLOCK_SECONDS)
        looks = self._looking.may_look()
        other = answers[self._noise] if self._noise is not None else None
        noise = self._judge(baseline, other, looks) if other is not None else _NO_NOISE
        self._sets["baseline2_failed"] += other is not None and not other.status
        for candidate in self._candidates:
            answer = answers[candidate.role]
            judgement = self._judge(baseline, answer, looks)
            example = _Once(self._new_example, record, baseline, answer)  # however much differs
            candidate.add(endpoint, (baseline, answer, other), judgement, noise, example, block)

    def _judge(self, baseline: Answer, other: Answer, looks: bool) -> Judgement:
        began = self._clock()
        judgement = judge(baseline, other, self._ignored, looks=looks, max_parsed_bytes=self._max_parsed_bytes)
        if judgement.bodies not in _QUICK or (looks and are_long(baseline, other)):
            self._looking.spent(self._clock() - began)
        return judgement

    def _new_example(self, record: bytes, baseline: Answer, answer: Answer) -> dict[str, Any]:
        if self._keep_pair is not None:
            self._keep_pair(record, baseline, answer)
        return self._example(record, baseline, answer)

    def _rename(self, endpoint: str) -> str:
        """What is called now what was called so before, here and in all that was counted."""
        renamed = self._endpoints.settle()
        for candidate in self._candidates:
            candidate.rename(lambda name: renamed.get(name, name))
        return renamed.get(endpoint, endpoint)

    def sets(self) -> dict[str, int]:
        """What became of the sets of answers so far."""
        return {**+self._sets, "unpaired": self._pairing.unpaired, "waiting": len(self._pairing)}

    # ---- the report ------------------------------------------------------------------------------------------

    def report(self, *, final: bool = False, detail: tuple[int, int, int] = (60, 200, 128)) -> dict[str, Any]:
        """All that was counted, as plain JSON. `detail`: endpoints, differences and pairs of a sample at most."""
        if final:
            self._pairing.end()
        return {
            "version": REPORT_VERSION,
            "final": final,
            "seconds": round(self._clock() - self._started, 1),
            "baseline": None if self._is_without_answers() else self._roles.baseline,
            "noise_baseline": self._roles.noise_baseline,
            "sets": self.sets(),
            "repeated": self._pairing.repeated,
            "unsafe": self._unsafe,
            "outputs": [
                {
                    "role": name, "destination": destination, "answers": dict(outcomes), "latency": sketch.encode(),
                }
                for name, destination, outcomes, sketch in zip(
                    self._names, self._destinations, self._outcomes, self._latencies, strict=True
                )
            ],
            "candidates": [candidate.encode(*detail) for candidate in self._candidates],
        }  # fmt: skip


class _Once:
    """An example that is made when it is first wanted. (functools.cache takes 4 µs to make, for each pair.)"""

    __slots__ = ("_example", "_make", "_of")

    def __init__(self, make: Callable[[bytes, Answer, Answer], dict[str, Any]], *of: Any) -> None:
        self._make = make
        self._of = of
        self._example: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any]:
        if self._example is None:
            self._example = self._make(*self._of)
        return self._example


def _method_and_target(record: bytes) -> tuple[bytes, bytes]:
    start = record.find(b"\n") + 1
    line = record[start : record.find(b"\r\n", start)]
    method, _, rest = line.partition(b" ")
    target, _, _ = rest.rpartition(b" ")
    path, _, _ = target.partition(b"?")
    return method, path
