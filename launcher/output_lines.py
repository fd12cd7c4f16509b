"""Reads a child's output line by line, whatever the child writes, and however much.

A child that writes without end waits: read as fast as it writes, it would take a whole processor from the relay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

_LONGEST_LINE_BYTES = 64 * 1024
_BYTES_A_SECOND = 1024**2  # about 9,000 lines, 5 % of a processor; gor at its most talkative stays below
_BURST_BYTES = 64 * 1024  # a pipe: what a child that ends has said before it


async def read_lines(
    stream: trio.abc.ReceiveStream, *, longest_bytes: int = _LONGEST_LINE_BYTES
) -> AsyncIterator[str]:
    """Lines without their ends, until the stream's end; of a line that is longer only the beginning."""
    held = bytearray()  # of the line that has no end yet
    is_cut = False
    async with stream:
        async for data in _chunks(stream):
            *ends, rest = data.split(b"\n")
            for end in ends:
                held += end
                if not is_cut:
                    yield held.decode(errors="backslashreplace")
                held.clear()
                is_cut = False
            held += rest
            if len(held) > longest_bytes:
                if not is_cut:
                    yield held.decode(errors="backslashreplace")
                held.clear()
                is_cut = True
    if held and not is_cut:
        yield held.decode(errors="backslashreplace")


async def _chunks(stream: trio.abc.ReceiveStream) -> AsyncIterator[bytes]:
    allowed_from = trio.current_time()  # when what has been read was due
    while True:
        try:
            data = await stream.receive_some()
        except trio.BrokenResourceError:
            return
        if not data:
            return
        yield bytes(data)
        now = trio.current_time()
        allowed_from = max(allowed_from, now) + len(data) / _BYTES_A_SECOND
        await trio.sleep(max(0.0, allowed_from - now - _BURST_BYTES / _BYTES_A_SECOND))
