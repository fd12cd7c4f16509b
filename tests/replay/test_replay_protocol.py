"""What launcher and replayer say to each other: frames, settings, the closing frame, the account's lines."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.latencies import Latencies
from launcher.records import frame
from launcher.replay.frames import FrameError, FrameReader
from launcher.replay_protocol import (
    MAX_DRAIN_SECONDS,
    Account,
    Closing,
    DestinationFailed,
    DestinationPaused,
    DestinationResumed,
    OutputAccount,
    Ready,
    ReplaySettings,
    Told,
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
    with pytest.raises(ValueError, match=r"settings|JSON") as caught:
        ReplaySettings.decode(payload)
    assert "secret" not in str(caught.value)


def test_a_closing_frame_is_read_and_its_drain_bounded() -> None:
    assert Closing.decode(Closing(1.2).encode()) == Closing(1.2)
    assert Closing.decode(b'{"drain_seconds": 1e9}') == Closing(MAX_DRAIN_SECONDS)


@pytest.mark.parametrize(
    "payload", [b"{}", b'{"drain_seconds": -1}', b'{"drain_seconds": "1"}', b'{"drain_seconds": NaN}']
)
def test_a_closing_frame_that_makes_no_sense_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="drain_seconds"):
        Closing.decode(payload)


OUTPUT = OutputAccount(
    destination="http://h", received=3, outcomes={"2xx": 1, "reset": 1}, held_bytes=7, retries=1,
    latencies=Latencies(1, 0.25, {254: 1}),
)  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        Ready(42, ("stdout", "http://***@h")),
        Account((OUTPUT, OUTPUT)),
        Account((), final=True),
        DestinationFailed(destination="http://h", kind="tls", error="expired \u2028", count=5),
        DestinationPaused("http://h", 30.5, 12, "refused", "connection refused"),
        DestinationResumed("http://h", 7.25, 40),
    ],
)
def test_what_the_replayer_tells_survives_the_way_in_one_line(told: Told) -> None:
    line = encode_line(told)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode_line(line) == told


@pytest.mark.parametrize(
    "line", [b"\n", b"x", b"[]", b"{}", b'{"at":"what"}', b'{"at":"ready"}', b'{"at":"account","outputs":[1]}',
     b'{"at":"destination-paused"}']
)
def test_a_line_that_is_no_account_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"account line|JSON"):
        decode_line(line)
