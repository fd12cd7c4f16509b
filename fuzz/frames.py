"""The built-in replayer's frames: any bytes in any split give the same payloads, and nothing is lost or made up."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from launcher.records import frame
from launcher.replay.frames import FrameError, FrameReader
from tests.framing_oracles import cut, single_bytes

STEERING_BYTES = 4  # of an input, before the stream
MAX_FRAME_BYTES = 300
WORDS = (b"\0\0\0\0", b"\0\0\0\1", b"\0\0\1\x2c", b"\0\0\1\x2d", b"\xff\xff\xff\xff")


def seeds() -> dict[str, bytes]:
    """Frames of several sizes, one that is not whole, one that is too long."""
    streams = {
        "frames": frame(b"") + frame(b"abc") + frame(b"x" * 40),
        "a frame that is not whole": frame(b"abc") + frame(b"abc")[:-1],
        "the longest frame": frame(b"x" * MAX_FRAME_BYTES),
        "a longer frame": frame(b"abc") + frame(b"x" * (MAX_FRAME_BYTES + 1)),
    }
    return {title: bytes([2, 9, 30, 77]) + stream for title, stream in streams.items()}


def check(data: bytes) -> Hashable:
    """Raises AssertionError if the reader breaks a promise. Returns how it ended."""
    steering, stream = data[:STEERING_BYTES], data[STEERING_BYTES:]
    payloads, is_broken = read([stream])
    assert read(single_bytes(stream)) == read(cut(stream, steering)) == (payloads, is_broken)
    carried = b"".join(frame(payload) for payload in payloads)
    assert stream.startswith(carried), "the payloads are not those that came"
    rest = stream[len(carried) :]
    length = int.from_bytes(rest[:4], "big") if len(rest) >= 4 else 0
    assert is_broken == (length > MAX_FRAME_BYTES)
    assert is_broken or len(rest) < 4 or len(rest) < 4 + length, "a whole frame was not told"
    return min(len(payloads), 3), is_broken


def read(pieces: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """The payloads, and whether the stream was found broken."""
    reader = FrameReader(MAX_FRAME_BYTES)
    payloads = []
    try:
        for piece in pieces:
            reader.receive(piece)
            while (payload := reader.next_frame()) is not None:
                payloads.append(payload)
    except FrameError:
        return payloads, True
    return payloads, False
