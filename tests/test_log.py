"""The log: logfmt, masked, never in anybody's way."""

from __future__ import annotations

import os
import shlex
import threading
from contextlib import suppress

import pytest

from launcher.log import Logger


def logged(*calls: tuple[str, dict[str, object]], secrets: list[tuple[str, str]] | None = None) -> str:
    reader, writer = os.pipe()
    logger = Logger(writer)
    logger.hide(secrets or [])
    for at, facts in calls:
        logger(at, **facts)  # type: ignore[arg-type]
    logger.close()
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        return file.read()


def test_a_line_is_one_fact_in_logfmt():
    line = logged(("listening", {"port": 5000, "host": "::"}))
    assert line == "traffic-duplicator at=listening level=info port=5000 host=::\n"


@pytest.mark.parametrize(("value", "text"), [
    ("two words", '"two words"'), ('a"b', '"a\\"b"'), ("a=b", '"a=b"'), ("", '""'),
    ("a\nb\t\x1b[1m\u2028\udcff", '"a\\nb\\t\\u001b[1m\\u2028\\udcff"'),
    ("sure\u202egnp.exe", '"sure\\u202egnp.exe"'), ("a\u200bb\ufeff\u2066", '"a\\u200bb\\ufeff\\u2066"'),
    (True, "true"), (0.5, "0.5"), (2.0, "2"), (7, "7"), ("é", "é"),
])  # fmt: skip
def test_values_are_quoted_when_they_need_it(value, text):
    assert logged(("x", {"k": value})) == f"traffic-duplicator at=x level=info k={text}\n"


def test_a_fact_that_is_none_is_left_out():
    assert logged(("x", {"k": None, "level": None})) == "traffic-duplicator at=x level=info\n"


def test_a_quiet_log_has_warnings_and_errors_only(capfd):
    logger = Logger()
    logger.is_quiet = True
    logger("told", n=1)
    logger("warned", level="warning")
    logger("failed", level="error")
    start = "traffic-duplicator at="
    assert logger.pass_on(f"{start}a level=info") and logger.pass_on(f"{start}b level=error")
    logger.close()
    assert capfd.readouterr().err == f"{start}warned level=warning\n{start}failed level=error\n{start}b level=error\n"


def test_a_line_of_a_process_of_ours_is_passed_on_masked_and_no_other_is(capfd):
    logger = Logger()
    logger.hide([("hunter2", "***")])
    assert logger.pass_on('traffic-duplicator at=x level=warning error="hunter2 \\u001b"')
    own = "traffic-duplicator at=x level=info"
    for line in ("Traceback", "traffic-duplicator at=x", f"x {own}", f"{own} a\x1b[1m", f"{own}\nat=y"):
        assert not logger.pass_on(line)
    logger.close()
    assert capfd.readouterr().err == 'traffic-duplicator at=x level=warning error="*** \\u001b"\n'


def test_secrets_leave_as_what_is_shown_instead():
    secrets = [("hunter2", "***"), ("hunter2long", "$LONG"), ("10", "$N")]
    line = logged(("x", {"a": "hunter2 and hunter2long and 10"}), secrets=secrets)
    assert shlex.split(line)[3] == "a=*** and $LONG and 10"


def test_a_stuck_standard_error_stops_nobody_and_what_is_dropped_is_counted():
    reader, writer = os.pipe()
    logger = Logger(writer)
    for _ in range(5000):
        logger("filler", text="x" * 200)
    text = b""
    while b"at=log-dropped" not in text:
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            break
        text += chunk
        logger("more")
    assert b"traffic-duplicator at=log-dropped level=warning lines=" in text
    os.close(reader)
    logger.close()
    os.close(writer)


def test_a_standard_error_that_the_app_made_non_blocking_still_gets_every_line():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    logger = Logger(writer)
    for number in range(900):
        logger("line", number=number, text="x" * 200)
    text = b""
    while b"number=899" not in text:
        text += os.read(reader, 1 << 16)
    assert text.count(b"at=line") == 900
    logger.close()
    os.close(reader)
    os.close(writer)


def test_where_no_thread_can_be_started_a_line_is_written_at_once_or_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    reader, writer = os.pipe()
    logger = Logger(writer)
    logger("said", long="x" * 5000)
    assert os.read(reader, 65536).endswith(b"x\n")
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            pass
    logger("dropped")
    logger.close()
    os.read(reader, 65536)
    monkeypatch.undo()
    logger("next")
    logger.close()
    assert b"at=log-dropped level=warning lines=1\n" in os.read(reader, 65536)
    os.close(reader)
    os.close(writer)


def refuse_to_start(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
