from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.gor.lines import MAX_CHARACTERS, known_line

AS_THEY_ARE = [  # all printed by 1.2.0, 1.3.2, Go or our helper
    "2026/11/23 17:44:44 [PPID 1 and PID 2] Version:1.3.0",
    "2026/11/23 17:50:25 HTTP input listener failure:listen tcp 127.0.0.1:18850: bind: address already in use",
    "2026/11/23 17:44:44 Required at least 1 input and 1 output",
    "2026/11/23 17:44:44 signal: killed",
    "2026/11/23 17:44:44 gor run timeout 1s",
    "gor run timeout 1s",
    "[DEBUG][elapsed 393ms]: [HTTP-OUTPUT] error when sending: context deadline exceeded",
    "[DEBUG][elapsed 5.000108556s]: ",
    " output_http:latest,mean,max,count,count/second,gcount",
    "output_http:1000,998,1000,127,25,108",
    "flag provided but not defined: -nope",
    "flag needs an argument: -output-http",
    "panic: runtime error: index out of range [3] with length 3",
    "fatal error: runtime: out of memory",
    "[MIDDLEWARE] KeyError: 'x'",
    "[GOR-HELPER] the middleware ./x ended with status 3: gor is ended, too",
    "gor: error while loading shared libraries: libpcap.so.0.8: cannot open shared object file",
    "gor: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by gor)",
]

NEVER = [
    "GET /s3cret HTTP/1.1",
    "Cookie: s3cret",
    "1 18a37cd0d4c120dc4b5777f1 1795456664802883550 -1",
    "313131",
    "",
    "goroutine 1 [running]:",
    "\t/root/go/src/github.com/buger/goreplay/emitter.go:30 +0x1d",
    "  -stats",
    "🐵🙈🙉",
    "2026/11/23",
    " output_http:s3cret value",
    '{"password":"s3cret"}',
]

CHANGED = [
    ('invalid value "X-Key s3cret" for flag -http-set-header: Expected `Key: Value`',
     "invalid value for flag -http-set-header: Expected "),
    ('invalid value "s3cret for flag -x: y" for flag -ms: parse error', "invalid value for flag -ms: parse error"),
    ('invalid boolean value "s3cret" for -stats: parse error', "invalid boolean value for -stats: parse error"),
    ('invalid value "first line of s3cret', "invalid value"),
    ('2026/11/23 17:44:44 [OUTPUT-HTTP] parse HTTP output URL error["parse \\"http://u:s3cret@[::1\\": missing"]',
     '2026/11/23 17:44:44 [OUTPUT-HTTP] parse HTTP output URL error["parse \\"http://***@[::1\\": missing"]'),
    ('[DEBUG][elapsed 1s]: [HTTP-OUTPUT] error when sending: "Get \\"http://a/b?token=s3cret\\": EOF"',
     '[DEBUG][elapsed 1s]: [HTTP-OUTPUT] error when sending: "Get \\"http://a/b?…\\": EOF"'),
    ('[DEBUG][elapsed 1s]: [MIDDLEWARE] command["python h.py fifo prog --key=\\"s3cret\\"]"] error: "exit status 1"',
     '[DEBUG][elapsed 1s]: [MIDDLEWARE] error: "exit status 1"'),
    ("[DEBUG][elapsed 1s]: Starting reading from Modifying traffic using 'prog --key=s3cret' command",
     "[DEBUG][elapsed 1s]: Starting reading from Modifying traffic using a command"),
    ("Failed to decode input payload encoding/hex: invalid byte 15 7333637265741", "Failed to decode input payload …"),
    ("2026/11/23 17:44:44 [HTTPClient] Failed to send request:  GET /s3cret HTTP/1.1",
     "2026/11/23 17:44:44 [HTTPClient] Failed to send request: …"),
    ("2026/11/23 17:44:44 [HTTPClient] Response:  HTTP/1.1 200 s3cret", "2026/11/23 17:44:44 [HTTPClient] Response: …"),
    ("[DEBUG][elapsed 1s]: [HTTPClient] runtime error GET /s3cret HTTP/1.1",
     "[DEBUG][elapsed 1s]: [HTTPClient] runtime error …"),
    ("[DEBUG][elapsed 1s]: [X] Found malformed record s3cret", "[DEBUG][elapsed 1s]: [X] Found malformed record …"),
]  # fmt: skip


@pytest.mark.parametrize("text", AS_THEY_ARE)
def test_a_known_line_is_passed_on_as_it_is(text: str) -> None:
    assert known_line(text.encode()) == text
    assert known_line(text.encode() + b"\r\n") == text


@pytest.mark.parametrize("text", NEVER)
def test_any_other_line_is_not_passed_on(text: str) -> None:
    assert known_line(text.encode()) is None


@pytest.mark.parametrize(("text", "passed_on"), CHANGED)
def test_what_may_be_secret_is_taken_out_of_a_known_line(text: str, passed_on: str) -> None:
    assert "s3cret" not in passed_on
    assert known_line(text.encode()) == passed_on


def test_control_characters_are_escaped() -> None:
    line = b"2026/11/23 17:44:44 a\x1b[31m\x00\tb\xe2\x80\xa8c\xff"
    assert known_line(line) == r"2026/11/23 17:44:44 a\x1b[31m\x00\tb\u2028c\xff"


def test_a_long_line_is_cut_after_secrets_were_masked() -> None:
    line = b"2026/11/23 17:44:44 " + b"x" * 175 + b"s3cret" + b"y" * 100
    told = known_line(line, lambda text: text.replace("s3cret", "***"))
    assert told is not None and len(told) == MAX_CHARACTERS
    assert told.endswith("x***y…")


@given(st.binary(max_size=400))
def test_whatever_follows_a_known_beginning_comes_out_printable_and_short(rest: bytes) -> None:
    told = known_line(b"2026/11/23 17:44:44 x" + rest.replace(b"\n", b""))
    assert told is not None and told.isprintable() and len(told) <= MAX_CHARACTERS


def test_a_line_of_many_addresses_takes_no_quadratic_time() -> None:
    """That would be seconds; a client chooses the path that gor quotes, and the launcher relays meanwhile."""
    line = "2026/11/27 12:00:00 http: " + "http://" * 9000
    assert known_line(line.encode() + b"?secret") == line[: MAX_CHARACTERS - 1] + "…"
    assert known_line(b"2026/11/27 12:00:00 http://a/?b http://c?d") == "2026/11/27 12:00:00 http://a/?… http://c?…"
