"""The small parts: frames, the protocol with the launcher, the queue, tallies, names."""

from __future__ import annotations

import os
import socket
import threading

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from launcher.records import frame
from launcher.replay.account import AccountPipe
from launcher.replay.connection import Ended
from launcher.replay.connector import Connector
from launcher.replay.frames import FrameError, FrameReader
from launcher.replay.outcomes import FAILURES, OUTCOMES, Tally, status_class
from launcher.replay.record_queue import RECORD_OVERHEAD_BYTES, RecordQueue
from launcher.replay.resolver import Resolver
from launcher.replay_protocol import (
    MAX_DRAIN_SECONDS,
    Account,
    Closing,
    DestinationFailed,
    Latencies,
    OutputAccount,
    Ready,
    ReplaySettings,
    decode_line,
    encode_line,
)

# ---- frames --------------------------------------------------------------------------------------------------------


def frames_of(reader: FrameReader) -> list[bytes]:
    return list(iter(reader.next_frame, None))


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 1000)))
def test_frames_come_out_as_they_went_in_whatever_the_split(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, payloads))
    reader = FrameReader()
    found = []
    ends = [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in zip([0, *ends], ends, strict=False):
        reader.receive(stream[start:end])
        found += frames_of(reader)
    assert found == payloads


def test_a_frame_that_is_not_whole_is_not_given() -> None:
    reader = FrameReader()
    for byte in frame(b"abc")[:-1]:
        reader.receive(bytes([byte]))
        assert reader.next_frame() is None


def test_a_frame_over_the_bound_is_an_error_after_the_ones_before_it() -> None:
    reader = FrameReader(max_frame_bytes=10)
    reader.receive(frame(b"x" * 10) + frame(b"y" * 11)[:4])
    assert reader.next_frame() == b"x" * 10
    with pytest.raises(FrameError, match="11 bytes is longer than the 10"):
        reader.next_frame()


# ---- protocol ------------------------------------------------------------------------------------------------------


def test_settings_survive_the_way_with_words_that_are_no_text() -> None:
    told = ReplaySettings(
        options=(("http-set-header", os.fsdecode(b"X: \xff\xc3\xa4"), "X: ***"),), queue_bytes=5, stats_interval=0.5
    )
    assert ReplaySettings.decode(told.encode()) == told


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"secret", b'{"options":[],"queue_bytes":1,"stats_interval":1}', b'{"version":2}', b'{"version":1}',
     b'{"version":1,"options":[["secret"]],"queue_bytes":1,"stats_interval":1}',
     b'{"version":1,"options":[],"queue_bytes":"secret","stats_interval":1}', b"[" * 100_000],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_without_repeating_them(payload: bytes) -> None:
    with pytest.raises(ValueError, match="settings|JSON") as caught:
        ReplaySettings.decode(payload)
    assert "secret" not in str(caught.value)


def test_a_closing_frame_is_read_and_its_drain_bounded() -> None:
    assert Closing.decode(Closing(1.2).encode()) == Closing(1.2)
    assert Closing.decode(b'{"drain_seconds": 1e9}') == Closing(MAX_DRAIN_SECONDS)


@pytest.mark.parametrize("payload", [b"{}", b'{"drain_seconds": -1}', b'{"drain_seconds": "1"}', b'{"drain_seconds": NaN}'])
def test_a_closing_frame_that_makes_no_sense_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="drain_seconds"):
        Closing.decode(payload)


OUTPUT = OutputAccount(
    destination="http://h", received=3, outcomes={"2xx": 1, "reset": 1}, held_bytes=7, retries=1,
    latencies=Latencies(1, 0.25),
)  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        Ready(42, ("stdout", "http://***@h")),
        Account((OUTPUT, OUTPUT)),
        Account((), final=True),
        DestinationFailed(destination="http://h", kind="tls", error="expired \u2028", count=5),
    ],
)
def test_what_the_replayer_tells_survives_the_way_in_one_line(told: Ready | Account | DestinationFailed) -> None:
    line = encode_line(told)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode_line(line) == told


@pytest.mark.parametrize("line", [b"\n", b"x", b"[]", b"{}", b'{"at":"what"}', b'{"at":"ready"}', b'{"at":"account","outputs":[1]}'])
def test_a_line_that_is_no_account_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="account line|JSON"):
        decode_line(line)


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
    ("status", "outcome"), [(101, "1xx"), (200, "2xx"), (299, "2xx"), (302, "3xx"), (404, "4xx"), (500, "5xx"), (999, "5xx")]
)
def test_a_status_counts_in_its_class(status: int, outcome: str) -> None:
    assert status_class(status) == outcome


def test_every_outcome_has_a_meaning_and_every_failure_is_an_outcome() -> None:
    assert all(OUTCOMES.values())
    assert set(OUTCOMES) >= FAILURES


def test_a_failure_is_said_once_for_each_kind_and_then_summed_up() -> None:
    tally = Tally("http://h")
    for outcome, error in [("refused", "a"), ("2xx", ""), ("refused", "b"), ("dns", "c"), ("unsent", ""), ("refused", "")]:
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
        assert await resolver.getaddrinfo(b"works", 80) == [b"works"]
        nursery.cancel_scope.cancel()
        release.set()


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
