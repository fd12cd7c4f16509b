"""Whatever a destination does, the replayer's memory is 40 MB and its queues, and a destination beside it gets all."""

from __future__ import annotations

import socket
import subprocess

import pytest
import trio

from launcher.replay_protocol import Account, DestinationFailed, OutputAccount, Ready
from tests.replay.harness import OK, Handler, Visit, destination, get, peak_memory_bytes, post, replayer
from tests.replay.test_replay_destinations import BAD

MB = 1_000_000
QUEUE_BYTES = 8 * MB
BASE_BYTES = 40 * MB
COPIES = 60
BODY = bytes(MB // 2)  # all bodies together are far more than the queues hold


def is_settled(told: Ready | Account | DestinationFailed) -> bool:
    """The first output has received all, and each has its outcome."""
    return isinstance(told, Account) and told.outputs[0].received == sum(told.outputs[0].outcomes.values()) == COPIES


async def account_beside_a_healthy_one(url: str, *, timeout: str = "30s") -> OutputAccount:
    """Replays far more than the queues hold, as fast as the healthy one answers; the other one's account."""
    answered, answers = trio.open_memory_channel[None](COPIES)

    async def healthy(visit: Visit) -> None:
        while await visit.request() is not None:
            await visit.send(OK)
            answered.send_nowait(None)

    async with destination(healthy) as good:
        options = [("output-http", url), ("output-http", good.url), ("output-http-timeout", timeout)]
        async with replayer(options, queue_bytes=QUEUE_BYTES) as replaying:
            for number in range(COPIES):
                await replaying.replay(post(f"/{number}", BODY))
                await answers.receive()
            await replaying.until(is_settled)
            assert peak_memory_bytes(replaying.process.pid) < BASE_BYTES + 2 * QUEUE_BYTES
            assert await replaying.end() == 0
    bad_account, good_account = replaying.final
    assert good_account.outcomes == {"2xx": COPIES}
    assert len(good.requests) == COPIES
    assert bad_account.held_bytes == good_account.held_bytes == 0
    return bad_account


@pytest.mark.parametrize(("handler", "outcome"), BAD, ids=[handler.__name__ for handler, _ in BAD])
async def test_a_bad_destination_costs_its_queue_and_no_more(handler: Handler, outcome: str) -> None:
    async with destination(handler) as bad:
        account = await account_beside_a_healthy_one(bad.url, timeout="3s" if outcome == "timeout" else "30s")
    assert account.outcomes.keys() <= {outcome, "queue_full"}
    assert account.outcomes[outcome] >= QUEUE_BYTES // (2 * len(BODY))
    assert sum(account.outcomes.values()) == account.received == COPIES


async def test_a_destination_that_refuses_costs_no_memory() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        account = await account_beside_a_healthy_one(f"http://127.0.0.1:{reserved.getsockname()[1]}")
    assert account.outcomes == {"refused": COPIES}


async def test_a_destination_without_a_name_costs_its_queue_and_no_more() -> None:
    account = await account_beside_a_healthy_one("http://nowhere.invalid", timeout="10s")
    assert account.outcomes.keys() <= {"dns", "timeout", "queue_full"}  # the machine's resolver may be slow
    assert sum(account.outcomes.values()) == account.received == COPIES


async def test_answers_that_are_kept_for_tracking_share_the_queues_bound() -> None:
    async def almost_whole(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(999_999))
        await trio.sleep_forever()

    async with destination(almost_whole) as bad:
        options = [("output-stdout", "true"), ("output-http", bad.url), ("output-http-timeout", "5s")]
        options += [("output-http-track-response", "true"), ("output-http-workers", str(COPIES))]
        async with replayer(options, queue_bytes=QUEUE_BYTES, stdout=subprocess.DEVNULL) as replaying:
            await replaying.replay(*(get(f"/{number}") for number in range(COPIES)))
            await replaying.until(
                lambda told: isinstance(told, Account) and sum(told.outputs[1].outcomes.values()) == COPIES
            )
            assert peak_memory_bytes(replaying.process.pid) < BASE_BYTES + 2 * QUEUE_BYTES
            assert await replaying.end() == 0
    stdout, http = replaying.final
    assert (http.outcomes, http.tracked, http.held_bytes) == ({"timeout": COPIES}, 0, 0)
    assert stdout.outcomes == {"written": COPIES}
