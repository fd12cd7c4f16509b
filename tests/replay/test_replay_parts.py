"""The small parts: the queue, tallies, the account pipe, names, idle connections."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Callable

import pytest
import trio
import trio.testing

from launcher.latencies import Latencies, bucket_of
from launcher.poller import Poller
from launcher.replay.account import AccountPipe
from launcher.replay.connection import MAX_AGE_SECONDS, Connection
from launcher.replay.connector import Connector, Route
from launcher.replay.outcomes import FAILURES, OUTCOMES, Ended, Tally, status_class
from launcher.replay.pool import MAX_IDLE_SECONDS, ConnectionPool
from launcher.replay.record_queue import RECORD_OVERHEAD_BYTES, RecordQueue
from launcher.replay.resolver import Found, Resolver
from launcher.replay_protocol import Account, DestinationFailed, OutputAccount, Ready, decode_line

OUTPUT = OutputAccount(destination="http://h", received=3, outcomes={"2xx": 3}, held_bytes=0, retries=0)

# ---- queue ---------------------------------------------------------------------------------------------------------


async def test_offer_refuses_what_does_not_fit_until_an_outcome_makes_room() -> None:
    queue = RecordQueue(max_bytes=2 * (10 + RECORD_OVERHEAD_BYTES))
    records = [b"%010d" % number for number in range(4)]
    assert [queue.offer(record) for record in records[:3]] == [True, True, False]
    assert await queue.take() == records[0]
    assert not queue.offer(records[3]), "what was taken is still held"
    queue.release(records[0])
    assert queue.offer(records[3])
    assert [queue.take_nowait() for _ in range(3)] == [records[1], records[3], None]


async def test_every_taker_gets_a_record_or_the_end(autojump_clock: trio.testing.MockClock) -> None:
    queue = RecordQueue(max_bytes=10_000)
    taken: list[bytes | None] = []

    async def take() -> None:
        taken.append(await queue.take())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        assert queue.has_takers
        queue.offer(b"one")
        queue.offer(b"two")
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(map(str, taken)) == ["b'one'", "b'two'"]
        queue.close()
    assert taken[2] is None
    assert await queue.take() is None


# ---- tallies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(101, "1xx"), (200, "2xx"), (299, "2xx"), (302, "3xx"), (404, "4xx"), (500, "5xx"), (999, "5xx")],
)
def test_a_status_counts_in_its_class(status: int, outcome: str) -> None:
    assert status_class(status) == outcome


def test_every_outcome_has_a_meaning_and_every_failure_is_an_outcome() -> None:
    assert all(OUTCOMES.values())
    assert set(OUTCOMES) >= FAILURES


def test_a_failure_is_said_once_for_each_kind_and_then_summed_up() -> None:
    tally = Tally("http://h")
    ends = [("refused", "a"), ("2xx", ""), ("refused", "b"), ("dns", "c"), ("unsent", ""), ("refused", "")]
    for outcome, error in ends:
        tally.received += 1
        tally.count(outcome, error)
    assert [(said.kind, said.error, said.count) for said in tally.take_news()] == [("refused", "a", 1), ("dns", "c", 1)]
    tally.sum_up()
    assert [(said.kind, said.error, said.count) for said in tally.take_news()] == [("refused", "b", 2)]
    tally.sum_up()
    assert tally.take_news() == []
    assert tally.held() == 0
    assert tally.account(0).outcomes == {"refused": 3, "2xx": 1, "dns": 1, "unsent": 1}


def test_a_record_without_an_outcome_is_held() -> None:
    tally = Tally("http://h")
    tally.received += 2
    tally.count("2xx")
    tally.measure(0.5)
    tally.measure(0.25)
    assert tally.held() == 1
    latencies = Latencies(2, 0.5, {bucket_of(0.5): 1, bucket_of(0.25): 1}, 750_000)
    assert tally.account(9) == OutputAccount(
        destination="http://h", received=2, outcomes={"2xx": 1}, held_bytes=9, retries=0, latencies=latencies
    )


# ---- account pipe --------------------------------------------------------------------------------------------------


async def test_a_full_account_pipe_keeps_other_lines_and_the_newest_account_only() -> None:
    reader, writer = os.pipe()
    try:
        pipe = AccountPipe(writer)
        padding = Ready(0, ("x" * 1000,))
        while pipe.flush():
            pipe.tell(padding)
        pipe.tell(Account((), final=False))
        pipe.tell(DestinationFailed(destination="d", kind="dns", error="e", count=1))
        pipe.tell(Account((OUTPUT,), final=True))
        with open(reader, "rb", closefd=False) as stream:
            os.set_blocking(reader, False)
            read = stream.read()
            pipe.flush()
            read += stream.read()
        told = [decode_line(line) for line in read.splitlines()]
        assert set(told[:-2]) == {padding}
        assert told[-2:] == [
            DestinationFailed(destination="d", kind="dns", error="e", count=1), Account((OUTPUT,), final=True)
        ]  # fmt: skip
    finally:
        os.close(reader)
        os.close(writer)


# ---- names and connections -----------------------------------------------------------------------------------------


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    """One that runs."""
    running = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.run)
        yield running
        nursery.cancel_scope.cancel()


def addresses(*sockets: socket.socket) -> list[tuple[object, ...]]:
    """What getaddrinfo would say of a name that stands for these."""
    return [(each.family, socket.SOCK_STREAM, 6, "", each.getsockname()) for each in sockets]


def not_found(*_query: object, **_more: object) -> object:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def connector(poller: Poller, look_up: Callable[..., object], **more: float) -> Connector:
    return Connector(poller, Resolver(poller, look_up, **more), Route(host="some.name", port=80))


async def connect(connector: Connector) -> Connection | Ended:
    """Waits for the one result."""
    results: list[Connection | Ended] = []
    arrived = trio.Event()

    def done(result: Connection | Ended) -> None:
        results.append(result)
        arrived.set()

    connector.connect(done)
    with trio.fail_after(30):
        await arrived.wait()
    (result,) = results
    return result


async def find(resolver: Resolver, host: str) -> Found:
    results: list[Found] = []
    arrived = trio.Event()

    def done(found: Found) -> None:
        results.append(found)
        arrived.set()

    resolver.find(host, 80, done)
    with trio.fail_after(30):
        await arrived.wait()
    return results[0]


async def test_a_name_that_is_not_found_is_a_dns_failure(poller: Poller) -> None:
    ended = await connect(connector(poller, not_found))
    assert ended == Ended("dns", "the name was not found: name or service not known")


async def test_in_backoff_the_last_failure_is_given_without_trying(poller: Poller) -> None:
    tries = []

    def count(*query: object, **_more: object) -> object:
        tries.append(query)
        return not_found()

    connecting = connector(poller, count)
    first = await connect(connecting)
    assert all([await connect(connecting) == first for _ in range(20)])
    assert len(tries) == 1


async def test_the_second_address_is_tried_when_the_first_one_is_dead(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        connection = await connect(connector(poller, lambda *_query, **_more: addresses(dead, listening)))
        assert not isinstance(connection, Ended)
        connection.close()


async def test_the_second_address_is_tried_when_the_first_one_is_silent(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:  # a backlog that is full makes the kernel drop what comes
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        connection = await connect(connector(poller, lambda *_query, **_more: addresses(full, listening)))
        assert not isinstance(connection, Ended)
        listening.accept()[0].close()
        connection.close()
        for filler in fillers:
            filler.close()


async def test_when_every_address_is_dead_it_is_refused_once(poller: Poller) -> None:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ended = await connect(connector(poller, lambda *_query, **_more: addresses(one, other)))
        assert ended == Ended("refused", "connection refused")


async def test_new_connections_follow_a_name_whose_address_changes(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as old, socket.create_server(("127.0.0.1", 0)) as new:
        answers = iter([addresses(old), addresses(new)])
        connecting = connector(poller, lambda *_query, **_more: next(answers), fresh_seconds=0)
        for listening in (old, new):
            connection = await connect(connecting)
            assert not isinstance(connection, Ended)
            listening.setblocking(False)
            listening.accept()[0].close()
            connection.close()


async def test_a_success_ends_the_backoff_of_the_connections_after_it(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        answers = iter([addresses(dead), *[addresses(listening)] * 20])
        connecting = connector(poller, lambda *_query, **_more: next(answers), fresh_seconds=0)
        assert await connect(connecting) == Ended("refused", "connection refused")
        while isinstance(connection := await connect(connecting), Ended):
            await trio.lowlevel.checkpoint()
        connection.close()
        for _ in range(5):
            connection = await connect(connecting)
            assert not isinstance(connection, Ended)
            connection.close()


async def test_a_lookup_that_hangs_does_not_hold_up_other_names(poller: Poller) -> None:
    release = threading.Event()

    def look_up(host: str, *_query: object, **_more: object) -> object:
        if host == "hangs":
            release.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    resolver = Resolver(poller, look_up)
    try:
        for _ in range(100):
            resolver.find("hangs", 80, lambda _found: None)
        assert await find(resolver, "works") == [(socket.AF_INET, ("127.0.0.1", 80))]
    finally:
        release.set()


async def test_those_who_wait_for_the_same_name_share_its_result(poller: Poller) -> None:
    lookups = []
    release = threading.Event()

    def look_up(*query: object, **_more: object) -> object:
        release.wait()
        lookups.append(query)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    resolver = Resolver(poller, look_up)
    results: list[Found] = []
    for _ in range(50):
        resolver.find("name", 80, results.append)
    release.set()
    await find(resolver, "name")
    assert len(results) == 50
    assert len(lookups) == 1


async def test_an_address_is_not_looked_up(poller: Poller) -> None:
    resolver = Resolver(poller, not_found)
    assert await find(resolver, "192.0.2.1") == [(socket.AF_INET, ("192.0.2.1", 80))]
    assert await find(resolver, "2001:db8::1") == [(socket.AF_INET6, ("2001:db8::1", 80, 0, 0))]


async def test_the_second_address_is_of_the_other_family(poller: Poller) -> None:
    families = [socket.AF_INET6, socket.AF_INET6, socket.AF_INET]
    answers = [(family, socket.SOCK_STREAM, 6, "", (str(number), 80)) for number, family in enumerate(families)]
    found = await find(Resolver(poller, lambda *_query, **_more: answers), "name")
    assert not isinstance(found, (OSError, UnicodeError))
    assert [address.sockaddr[0] for address in found] == ["0", "2", "1"]


# ---- idle connections ----------------------------------------------------------------------------------------------


def connected() -> tuple[Connection, socket.socket]:
    """A connection, and the destination's end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return Connection(Poller(), ours), theirs


def has_ended(theirs: socket.socket) -> bool:
    """Whether the destination sees the connection's end."""
    theirs.setblocking(False)
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False


async def test_the_newest_idle_connection_is_taken_first() -> None:
    pool = ConnectionPool()
    (first, their_first), (second, their_second) = connected(), connected()
    pool.give_back(first)
    pool.give_back(second)
    assert [pool.take(), pool.take(), pool.take()] == [second, first, None]
    for each in (first, second, their_first, their_second):
        each.close()


@pytest.mark.parametrize("what", ["an end", "bytes"])
async def test_an_idle_connection_on_which_anything_came_is_closed_not_taken(what: str) -> None:
    pool = ConnectionPool()
    ours, theirs = connected()
    pool.give_back(ours)
    if what == "an end":
        theirs.shutdown(socket.SHUT_WR)
    else:
        theirs.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert pool.take() is None
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        theirs.send(b"x")
    theirs.close()


async def test_an_idle_connection_that_the_destination_closes_is_closed_at_once(poller: Poller) -> None:
    pool = ConnectionPool()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    pool.give_back(Connection(poller, ours))
    theirs.close()
    with trio.fail_after(30):
        while ours.fileno() >= 0:
            await trio.lowlevel.checkpoint()
    assert len(pool) == 0


async def test_a_connection_that_has_grown_old_is_not_kept(autojump_clock: trio.testing.MockClock) -> None:
    pool = ConnectionPool()
    connection, theirs = connected()
    await trio.sleep(MAX_AGE_SECONDS)
    pool.give_back(connection)
    assert len(pool) == 0
    assert has_ended(theirs)
    theirs.close()


@pytest.mark.parametrize("way", ["take", "close_old"])
async def test_a_connection_that_was_idle_too_long_is_closed(way: str, autojump_clock: trio.testing.MockClock) -> None:
    pool = ConnectionPool()
    (old, their_old), (young, their_young) = connected(), connected()
    pool.give_back(old)
    await trio.sleep(MAX_IDLE_SECONDS / 2)
    pool.give_back(young)
    await trio.sleep(MAX_IDLE_SECONDS / 2 + 0.1)
    if way == "close_old":
        pool.close_old()
        assert has_ended(their_old)
    assert [pool.take(), pool.take()] == [young, None]
    assert has_ended(their_old) and not has_ended(their_young)
    for each in (young, their_old, their_young):
        each.close()
