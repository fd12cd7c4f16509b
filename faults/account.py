"""Compares what the launcher says it did with what others have counted: the load's clients, and the destinations.

The launcher's own balance only says that its numbers add up. A tap that sees nothing has a perfect one.

Every request that a client got an answer for has passed the launcher, so it was seen; none was seen that nobody sent.
What every replayer is given was offered, what it has read it was given; each copy that the built-in one has read was
received by each of its outputs. A destination had a copy whole before it answered, and got none that was not received;
a bodyless one perhaps twice (`retries`). Where a replayer dies its last words are missing, and the account is open.
"""

from __future__ import annotations

from collections.abc import Iterator

from faults.scenario import Destination, Run, Scenario, Seen
from tests.system import accounts
from tests.system.launched import Facts, Launched

_LAST_SECONDS = 2.0  # a replayer that has not come to its end by then is killed
_ANSWERED = ("2xx", "3xx", "4xx", "5xx")


def judge(scenario: Scenario, run: Run, seen: Seen) -> Iterator[str]:
    """What does not fit together in a half with the launcher, which has ended."""
    launched = run.launched
    has_told = bool(launched.facts("end"))
    if has_told is bool(scenario.no_balance):
        yield f"there is {'a' if has_told else 'no'} balance, and {scenario.no_balance or 'nothing'} speaks against one"
    if not has_told:
        return
    tap = accounts.tap_counters(launched)
    yield from _requests(scenario, tap, seen)
    feeds = [facts for facts in launched.facts("feed") if facts.get("final") == "true"]
    for feed in feeds:
        if int(feed["given"]) != tap.get("offered", 0):
            yield f"{tap.get('offered', 0)} requests were offered, and {feed['replayer']} was given {feed['given']}"
    may_be_unknown = scenario.replayer_dies or seen.stop_seconds >= _LAST_SECONDS
    taken = {feed["replayer"]: int(feed["taken"]) for feed in feeds}
    for output in _outputs(launched):
        yield from _copies(output, taken["builtin"], may_be_unknown=may_be_unknown)
        own = run.place.destinations.get(output["destination"])
        if own is not None:
            most = taken["builtin"] if may_be_unknown else int(output["received"])
            yield from _arrivals(scenario, output, own, most=most)
    missing = [url for url in run.place.destinations if url not in {each["destination"] for each in _outputs(launched)}]
    if missing and scenario.copies_arrive:
        yield f"nothing was told of {missing}"


def _requests(scenario: Scenario, tap: dict[str, int], seen: Seen) -> Iterator[str]:
    """Seen is what was answered; of a request that failed nobody knows how far it came."""
    least = seen.answered + (scenario.beside or 0)
    if tap.get("seen", 0) < least:
        yield f"{least} requests were answered, and only {tap.get('seen', 0)} were seen"
    if scenario.beside is not None and tap.get("seen", 0) > least + seen.errors.total():
        yield f"{tap.get('seen', 0)} requests were seen, and only {least} + {seen.errors.total()} were sent"


def _copies(output: Facts, taken: int, *, may_be_unknown: bool) -> Iterator[str]:
    received = int(output["received"])
    if received > taken or (received < taken and not may_be_unknown):
        yield f"the replayer has read {taken} copies, and {output['destination']} was to get {received}"


def _arrivals(scenario: Scenario, output: Facts, own: Destination, *, most: int) -> Iterator[str]:
    """`most` could have been sent there."""
    told = own.account()
    retries = int(output.get("retries", 0))
    answered = sum(int(output.get(name, 0)) for name in _ANSWERED)
    if answered > told["begun"]:
        yield f"{answered} copies were answered, and the destination has answered {told['begun']}"
    if told["arrived"] > most + retries:
        yield f"{told['arrived']} copies have arrived, and {most} were to be sent"
    if own.mode == "well" and scenario.copies_arrive and not answered:
        yield "no copy has arrived where all is well"


def _outputs(launched: Launched) -> list[Facts]:
    return [facts for facts in launched.facts("output") if facts.get("final") == "true"]
