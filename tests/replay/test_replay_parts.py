"""The small parts: the queue, tallies, the account pipe, names, idle connections."""

from __future__ import annotations

import os
import socket
import threading

import pytest
import trio
import trio.testing

from launcher.replay.account import AccountPipe
from launcher.replay.connection import Connection, Ended
from launcher.replay.connector import Connector
from launcher.replay.outcomes import FAILURES, OUTCOMES, Tally, status_class
from launcher.replay.pool import MAX_IDLE_SECONDS, ConnectionPool
from launcher.replay.record_queue import RECORD_OVERHEAD_BYTES, RecordQueue
from launcher.replay.resolver import Resolver
from launcher.replay_protocol import Account, DestinationFailed, Latencies, OutputAccount, Ready, decode_line

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
    assert tally.account(9) == OutputAccount(
        destination="http://h", received=2, outcomes={"2xx": 1}, held_bytes=9, retries=0, latencies=Latencies(2, 0.5)
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


# ---- names ---------------------------------------------------------------------------------------------------------


async def test_a_name_that_is_not_found_is_a_dns_failure() -> None:
    def not_found(*_query: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    trio.socket.set_custom_hostname_resolver(Resolver(not_found))
    ended = await Connector("no.such.name", 80, None).connect()
    assert ended == Ended("dns", "the name was not found: name or service not known")


async def test_in_backoff_the_last_failure_is_given_without_trying() -> None:
    tries = []

    def not_found(*query: object) -> object:
        tries.append(query)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    trio.socket.set_custom_hostname_resolver(Resolver(not_found))
    connector = Connector("no.such.name", 80, None)
    first = await connector.connect()
    assert all([await connector.connect() == first for _ in range(20)])
    assert len(tries) == 1


async def test_the_second_address_is_tried_when_the_first_one_is_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each.getsockname()) for each in (dead, listening)]
        trio.socket.set_custom_hostname_resolver(Resolver(lambda *_query: addresses))
        connection = await Connector("two.addresses", 80, None).connect()
        assert not isinstance(connection, Ended)
        connection.close()


async def test_a_success_ends_the_backoff_of_the_connections_after_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        addresses = iter([dead.getsockname(), *[listening.getsockname()] * 20])
        trio.socket.set_custom_hostname_resolver(
            Resolver(lambda *_query: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", next(addresses))], fresh_seconds=0)
        )
        connector = Connector("comes.back", port, None)
        assert await connector.connect() == Ended("refused", "connection refused")
        while isinstance(connection := await connector.connect(), Ended):
            pass
        connection.close()
        for _ in range(5):
            connection = await connector.connect()
            assert not isinstance(connection, Ended)
            connection.close()


async def test_a_lookup_that_hangs_does_not_hold_up_other_names() -> None:
    release = threading.Event()

    def look_up(host: bytes, *_query: object) -> object:
        if host == b"hangs":
            release.wait()
        return [host]

    resolver = Resolver(look_up)
    async with trio.open_nursery() as nursery:
        for _ in range(100):  # more than trio's threads
            nursery.start_soon(resolver.getaddrinfo, b"hangs", 80)
        await trio.testing.wait_all_tasks_blocked()
        try:
            with trio.fail_after(30):
                assert await resolver.getaddrinfo(b"works", 80) == [b"works"]
        finally:
            release.set()
        nursery.cancel_scope.cancel()


async def test_those_who_wait_for_the_same_name_share_its_result() -> None:
    lookups = []

    def look_up(*query: object) -> object:
        lookups.append(query)
        return ["address"]

    resolver = Resolver(look_up)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(resolver.getaddrinfo, b"name", 80)
    assert len(lookups) == 1


# ---- idle connections ----------------------------------------------------------------------------------------------


def connected() -> tuple[Connection, socket.socket]:
    """A connection, and the destination's end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return Connection(ours), theirs


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
