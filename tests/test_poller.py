"""The set of descriptors in its trio task: epoll, and poll(2), which takes its place where there is none."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from launcher import descriptor_set
from launcher.descriptor_set import EpollSet, PollSet
from launcher.log import log
from launcher.poller import READABLE, WRITABLE, Poller


@pytest.fixture(autouse=True, params=[EpollSet, PollSet])
def set_kind(request, monkeypatch):
    monkeypatch.setattr(descriptor_set, "new_descriptor_set", request.param)
    return request.param


@asynccontextmanager
async def running_poller() -> AsyncIterator[Poller]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        yield poller
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


async def test_a_ready_descriptor_s_callback_is_called_until_it_was_served():
    async with running_poller() as poller, pair() as (ours, theirs):
        received: list[bytes] = []
        done = trio.Event()

        def receive(ready: int) -> None:
            assert ready == READABLE
            received.append(ours.recv(2))
            if len(received) == 3:
                done.set()

        poller.register(ours.fileno(), READABLE, receive)
        theirs.send(b"abcdef")
        await done.wait()
        poller.unregister(ours.fileno())
        assert b"".join(received) == b"abcdef"


async def test_a_descriptor_that_was_modified_waits_for_the_new_events():
    async with running_poller() as poller, pair() as (ours, _):
        writable = trio.Event()
        poller.register(ours.fileno(), READABLE, lambda ready: writable.set())
        poller.modify(ours.fileno(), WRITABLE)
        await writable.wait()
        poller.unregister(ours.fileno())


async def test_one_unregistered_within_a_batch_gets_no_call_from_it():
    async with running_poller() as poller, pair() as (a, a_peer), pair() as (b, b_peer):
        called: list[socket.socket] = []
        ended = trio.Event()

        def forget_both(sock: socket.socket) -> None:
            called.append(sock)
            for one in (a, b):
                poller.unregister(one.fileno())
            poller.at_batch_end(ended.set)

        a_peer.send(b"x")
        b_peer.send(b"x")
        poller.register(a.fileno(), READABLE, lambda _: forget_both(a))
        poller.register(b.fileno(), READABLE, lambda _: forget_both(b))
        await ended.wait()
        assert len(called) == 1


async def test_a_socket_is_closed_at_the_end_of_the_batch_so_that_its_number_is_not_used_again_in_it():
    async with running_poller() as poller, pair() as (ours, theirs):
        numbers: list[int] = []
        ended = trio.Event()

        def replace(_ready: int) -> None:
            old = ours.fileno()
            poller.unregister(old)
            poller.close_later(ours)
            with socket.socket() as new:
                numbers.extend([old, new.fileno()])
            poller.at_batch_end(ended.set)

        poller.register(ours.fileno(), READABLE, replace)
        theirs.send(b"x")
        await ended.wait()
        assert numbers[0] != numbers[1]
        await trio.lowlevel.checkpoint()
        assert ours.fileno() == -1


async def test_timers_run_in_their_order_and_wake_a_sleeping_poller():
    async with running_poller() as poller:
        await trio.testing.wait_all_tasks_blocked()
        order: list[str] = []
        done = trio.Event()
        poller.call_later(0.02, done.set)
        poller.call_later(0.01, lambda: order.append("second"))
        poller.call_later(0, lambda: order.append("first"))
        await done.wait()
        assert order == ["first", "second"]


async def test_other_tasks_get_their_turn_while_a_descriptor_is_always_ready():
    async with running_poller() as poller, pair() as (ours, _):
        poller.register(ours.fileno(), WRITABLE, lambda _: None)
        for _ in range(5):
            await trio.sleep(0)
        poller.unregister(ours.fileno())


async def test_a_pipe_without_readers_is_told_to_one_that_waits_for_nothing_else():
    async with running_poller() as poller:
        reader, writer = os.pipe()
        told = trio.Event()

        def end(ready: int) -> None:
            assert ready == select.EPOLLERR
            poller.unregister(writer)
            told.set()

        poller.register(writer, 0, end)
        os.close(reader)
        await told.wait()
        os.close(writer)


async def test_a_callback_that_raises_is_forgotten_and_the_others_live_on():
    async with running_poller() as poller, pair() as (bad, bad_peer), pair() as (good, good_peer):
        served = trio.Event()

        def fail(_ready: int) -> None:
            raise RuntimeError("a defect")

        poller.register(bad.fileno(), READABLE, fail)
        bad_peer.send(b"x")
        poller.call_later(0, lambda: fail(0))
        await trio.testing.wait_all_tasks_blocked()
        poller.register(good.fileno(), READABLE, lambda _: served.set())
        good_peer.send(b"x")
        await served.wait()
        poller.unregister(good.fileno())


async def test_what_is_registered_while_the_poller_waits_is_served():
    async with running_poller() as poller, pair() as (ours, theirs):
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked(0.01)  # it waits, in a thread perhaps
            served = trio.Event()
            poller.register(ours.fileno(), READABLE, lambda _, served=served: served.set() or ours.recv(1))
            theirs.send(b"x")
            await served.wait()
            poller.unregister(ours.fileno())


async def test_one_that_was_closed_and_whose_number_another_took_gets_none_of_its_events():
    async with running_poller() as poller:
        old, old_peer = socket.socketpair()
        old_peer.send(b"for the old one")
        poller.register(old.fileno(), READABLE, lambda _: called.append("old"))
        called: list[str] = []
        poller.unregister(old.fileno())
        number = old.fileno()
        poller.close_later(old)
        async with pair() as (new, new_peer):
            assert number in (new.fileno(), new_peer.fileno())
            taker, giver = (new, new_peer) if new.fileno() == number else (new_peer, new)
            served = trio.Event()
            poller.register(number, READABLE, lambda _: called.append(taker.recv(9).decode()) or served.set())
            await trio.testing.wait_all_tasks_blocked(0.01)
            giver.send(b"for the new one"[:7])
            await served.wait()
            poller.unregister(number)
        old_peer.close()
        assert called == ["for the"]


async def test_an_idle_poller_does_not_spin(set_kind):
    """What is paused is unregistered, so that its peer's end is not told for ever: it costs no turn at all."""
    turns = 0

    class Counting(set_kind):
        def __init__(self) -> None:
            super().__init__()
            poll = self.poll

            def counted(timeout: float, most: int) -> list[tuple[int, int]]:
                nonlocal turns
                turns += 1
                return poll(timeout, most)

            self.poll = counted

    descriptor_set.new_descriptor_set = Counting  # type: ignore[misc] # the fixture puts it back
    async with running_poller() as poller, pair() as (ours, theirs):
        poller.register(ours.fileno(), READABLE, lambda _: None)
        poller.unregister(ours.fileno())
        theirs.close()
        before = turns
        await trio.sleep(0.05)
        assert turns - before <= 2


async def test_what_comes_first_may_close_a_ready_descriptor_and_its_number_may_be_another_s():
    async with running_poller() as poller, pair() as (ours, theirs), pair() as (others, _):
        called: list[str] = []
        done = trio.Event()
        number = ours.fileno()

        def first() -> bool:
            called.append("first")
            poller.unregister(number)
            os.dup2(others.fileno(), number)
            poller.register(number, READABLE, lambda _ready: called.append("the other"))
            done.set()
            return True

        poller.register(number, READABLE, lambda _ready: called.append("ready"))
        with poller.first(first):
            theirs.send(b"x")
            await done.wait()
            await trio.testing.wait_all_tasks_blocked()
        assert called == ["first"]
        poller.unregister(number)


async def test_what_comes_first_and_raises_is_told_and_left_out(capfd):
    async with running_poller() as poller, pair() as (ours, theirs):
        received = trio.Event()

        def receive(_ready: int) -> None:
            ours.recv(1)
            received.set()

        def first() -> bool:
            raise ValueError("oh")

        poller.register(ours.fileno(), READABLE, receive)
        with poller.first(first):
            theirs.send(b"x")
            with trio.fail_after(10):
                await received.wait()
        log.close()
        assert capfd.readouterr().err.count("at=poller-call-failed") == 1
        poller.unregister(ours.fileno())


async def test_nothing_comes_first_once_its_block_has_ended():
    async with running_poller() as poller, pair() as (ours, theirs):
        called: list[str] = []
        with poller.first(lambda: bool(called.append("first"))):
            await trio.testing.wait_all_tasks_blocked()
        poller.register(ours.fileno(), READABLE, lambda _ready: called.append(ours.recv(1).decode()))
        theirs.send(b"x")
        with trio.fail_after(10):
            while not called:
                await trio.sleep(0)
        assert called == ["x"]
