from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.gor.lines import MAX_CHARACTERS, SILENCED, GorLines, known_line

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

SENDING = "[DEBUG][elapsed 1s]: [HTTP-OUTPUT] error when sending: "
CHANGED = [
    ('invalid value "X-Key s3cret" for flag -http-set-header: Expected `Key: Value`',
     "invalid value for flag -http-set-header: Expected "),
    ('invalid value "s3cret for flag -x: y" for flag -ms: parse error', "invalid value for flag -ms: parse error"),
    ('invalid boolean value "s3cret" for -stats: parse error', "invalid boolean value for -stats: parse error"),
    ('invalid value "first line of s3cret', "invalid value"),
    ('2026/11/23 17:44:44 [OUTPUT-HTTP] parse HTTP output URL error["parse \\"http://u:s3cret@[::1\\": missing"]',
     '2026/11/23 17:44:44 [OUTPUT-HTTP] parse HTTP output URL error["parse \\"http://***@[::1\\": missing"]'),
    ('[DEBUG][elapsed 1s]: [HTTP-OUTPUT] error when sending: "Get \\"http://a/b?token=s3cret\\": EOF"',
     "[DEBUG][elapsed 1s]: [HTTP-OUTPUT] error when sending: EOF"),
    (SENDING + '"Get \\"http://a/s3cret\\": net/http: HTTP/1.x: malformed HTTP response \\"s3cret\\""',
     SENDING + "malformed HTTP response …"),
    (SENDING + '"Get \\"http://a/EOF\\": x509: certificate is valid for s3cret, not a"',
     SENDING + "x509: certificate is valid for …"),
    (SENDING + '"Get \\"http://a/EOF\\": s3cret"', SENDING + "…"),
    ('[DEBUG][elapsed 1s]: [HTTPCLIENT] HTTP redirects from "a" to "s3cret" with "302 s3cret"',
     "[DEBUG][elapsed 1s]: [HTTPCLIENT] HTTP redirects …"),
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
    assert known_line(text) == text
    assert known_line(text + "\r\n") == text


@pytest.mark.parametrize("text", NEVER)
def test_any_other_line_is_not_passed_on(text: str) -> None:
    assert known_line(text) is None


@pytest.mark.parametrize(("text", "passed_on"), CHANGED)
def test_what_may_be_secret_is_taken_out_of_a_known_line(text: str, passed_on: str) -> None:
    assert "s3cret" not in passed_on
    assert known_line(text) == passed_on


def test_control_characters_are_escaped() -> None:
    line = "2026/11/23 17:44:44 a\x1b[31m\x00\tb\u2028c\\xff"
    assert known_line(line) == r"2026/11/23 17:44:44 a\x1b[31m\x00\tb\u2028c\xff"


def test_a_long_line_is_cut_after_secrets_were_masked() -> None:
    line = "2026/11/23 17:44:44 " + "x" * 175 + "s3cret" + "y" * 100
    told = known_line(line, lambda text: text.replace("s3cret", "***"))
    assert told is not None and len(told) == MAX_CHARACTERS
    assert told.endswith("x***y…")


@given(st.text(max_size=400))
def test_whatever_follows_a_known_beginning_comes_out_printable_and_short(rest: str) -> None:
    told = known_line("2026/11/23 17:44:44 x" + rest.replace("\n", ""))
    assert told is not None and told.isprintable() and len(told) <= MAX_CHARACTERS


SLOW_ONCE = {  # each took from a quarter of a second to minutes: a client chooses what gor quotes, and the relay waits
    "addresses": "2026/11/27 12:00:00 http: " + "http://" * 9000,
    "versions": "X-A: " + "version `" * 7000,
    "commands": "[DEBUG][elapsed 1s]: " + "using '" * 9000,
    "quoted commands": '[DEBUG][elapsed 1s]: ' + 'using "' * 9000,
    "a command's words": "[DEBUG][elapsed 1s]: " + ' command["' * 6000,
    "values": "invalid " + "value " * 10_000,
    "values for flags": "invalid " + "value for -a" * 5000,
    "heads": "[DEBUG][elapsed 1s]: " + "GET " * 15_000,
    "user informations": "2026/11/27 12:00:00 " + "//a" * 20_000,
}


@pytest.mark.parametrize("line", SLOW_ONCE.values(), ids=SLOW_ONCE)
def test_a_line_of_64_kb_takes_no_quadratic_time(line: str) -> None:
    known_line(line)
    begun = time.process_time()
    known_line(line)
    assert time.process_time() - begun < 0.05  # a few milliseconds


def test_of_each_of_many_addresses_the_query_is_taken_out() -> None:
    assert known_line("2026/11/27 12:00:00 http://a/?b http://c?d") == "2026/11/27 12:00:00 http://a/?… http://c?…"


@pytest.mark.parametrize("before", [" ", ' command["', " using '", ' using "', " Failed to send request:  GET /"])
def test_what_stands_where_a_very_long_line_is_cut_is_not_told_in_half(before: str) -> None:
    told = known_line(f"2026/11/27 12:00:00 x{before}{'s3cret ' * 9000}".rstrip())
    assert told is not None and len(told) <= MAX_CHARACTERS
    assert before == " " or "s3cret" not in told
    assert known_line(f"2026/11/27 12:00:00 x //{'s3cret' * 9000}@host") == "2026/11/27 12:00:00 x…"


DUMPS = [  # 1.2.0's, once its client has panicked, and of a middleware's bad record at --verbose 2; output-binary's
    "2026/11/23 17:44:44 [HTTPClient] Failed to send request:  POST /s3cret HTTP/1.1\r",
    "2026/11/23 17:44:44 [HTTPClient] Response:  HTTP/1.1 200 OK\r",
    "[DEBUG][elapsed 1s]: [EMITTER] Found malformed record s3cret",
    "[DEBUG][elapsed 1s]: [TCPClient] runtime error: index out of range POST /" + "s3cret" * 10_000,
    "[DEBUG][elapsed 1s]: [TCPClient] Failed to send request:  s3cret",
    "[DEBUG][elapsed 1s]: [TCPClient] Sending: s3cret",
    "[DEBUG][elapsed 1s]: [OUTPUT-TCP] Received response: s3cret",
]


@pytest.mark.parametrize("dump", DUMPS)
def test_once_gor_has_printed_a_request_nothing_is_passed_on_any_more(dump: str) -> None:
    """The lines of its body can't be told from gor's own: a client could write the log."""
    lines = GorLines()
    assert lines.told(AS_THEY_ARE[0]) == AS_THEY_ARE[0]
    told = lines.told(dump)
    assert told is not None and "s3cret" not in told and told.endswith(f"… {SILENCED}")
    assert [lines.told(line) for line in (*AS_THEY_ARE, dump)] == [None] * (len(AS_THEY_ARE) + 1)


@pytest.mark.parametrize("line", [*AS_THEY_ARE, *(text for text, _ in CHANGED if "HTTPClient" not in text)])
def test_any_other_line_silences_nothing(line: str) -> None:
    lines = GorLines()
    if "malformed record" not in line:
        lines.told(line)
        assert lines.told(AS_THEY_ARE[0]) == AS_THEY_ARE[0]
