"""From gor's options to what the replayer works with."""

from __future__ import annotations

import pytest

from launcher.destinations import Limit
from launcher.gor.flags import FLAGS, Word, parse_flags
from launcher.options import ConfigurationError
from launcher.replay.settings import HttpOutputSettings, Settings, understand
from launcher.replay_protocol import ReplaySettings


def understood(*words: str) -> Settings:
    """The settings for words as they stand in gor.options."""
    options, _ = parse_flags([Word(word, word, "test") for word in words])
    told = tuple((option.name, option.value, option.shown) for option in options)
    return understand(ReplaySettings(options=told, queue_bytes=1000, stats_interval=9))


def output(*words: str) -> HttpOutputSettings:
    (only,) = understood(*words).http_outputs
    return only


HEAD = b"GET / HTTP/1.1\r\nhost: app\r\n\r\n"


def edited(settings: HttpOutputSettings, head: bytes = HEAD) -> bytes:
    for edit in settings.head_edits:
        head = edit(head)
    return head


def test_the_defaults() -> None:
    settings = output("--output-http", "http://next")
    assert (settings.shown, settings.host, settings.port, settings.is_https) == ("http://next", "next", 80, False)
    assert (settings.timeout_seconds, settings.max_connections, settings.max_waiting) == (5.0, 50, None)
    assert edited(settings) == b"GET / HTTP/1.1\r\nhost: next\r\n\r\n"


@pytest.mark.parametrize(
    ("words", "connections"),
    [
        (["--output-http-workers", "3"], 3),
        (["--output-http-workers", "3", "--output-http-workers-min", "7"], 7),
        (["--output-http-workers-min", "7"], 50),
        (["--output-http-workers", "0"], 50),
    ],
)
def test_workers_bound_the_connections(words: list[str], connections: int) -> None:
    assert output("--to", "http://next", *words).max_connections == connections


@pytest.mark.parametrize(("text", "seconds"), [("1m30s", 90), ("200ms", 0.2), ("0", 1)])
def test_the_timeout_is_gors(text: str, seconds: float) -> None:
    assert output("--output-http", "http://next", "--output-http-timeout", text).timeout_seconds == seconds


def test_the_queue_may_be_bounded_in_records() -> None:
    assert output("--output-http", "http://next", "--output-http-queue-len", "7").max_waiting == 7


@pytest.mark.parametrize(
    ("url", "host", "port", "is_https", "header"),
    [
        ("https://next", "next", 443, True, b"next"),
        ("next:8080", "next", 8080, False, b"next:8080"),
        ("http://[::1]:81/", "::1", 81, False, b"[::1]:81"),
    ],
)
def test_the_destination_is_taken_apart(url: str, host: str, port: int, is_https: bool, header: bytes) -> None:
    settings = output("--output-http", url)
    assert (settings.host, settings.port, settings.is_https) == (host, port, is_https)
    assert edited(settings) == HEAD.replace(b"app", header)


def test_a_user_in_the_url_sets_authorization_decoded() -> None:
    settings = output("--output-http", "http://us%40er:p%3aw:x@next")
    assert settings.shown == "http://***@next"
    authorization = b"Authorization: Basic dXNAZXI6cDp3Ong=\r\n"  # us@er:p:w:x
    assert edited(settings) == b"GET / HTTP/1.1\r\n" + authorization + b"host: next\r\n\r\n"
    own = b"GET / HTTP/1.1\r\nAuthorization: Bearer own\r\n\r\n"
    assert edited(settings, own) == b"GET / HTTP/1.1\r\nHost: next\r\n" + authorization + b"\r\n"


@pytest.mark.parametrize("words", [["--http-original-host"], ["--http-set-header", "HOST: x"]])
def test_the_host_is_kept(words: list[str]) -> None:
    assert edited(output("--output-http", "http://next", *words)) == HEAD


def test_headers_are_set_for_all_outputs_alike() -> None:
    settings = understood("--http-set-header", "A: b: c", "--http-set-header=X-Empty:", "--output-http", "http://next")
    assert settings.modify is not None
    changed = b"1 abc 0 -1\nGET / HTTP/1.1\r\nX-Empty: \r\nA: b: c\r\nhost: app\r\n\r\n"
    assert settings.modify(b"1 abc 0 -1\n" + HEAD) == changed


def test_without_modifiers_nothing_is_to_be_done_with_a_record() -> None:
    assert understood("--output-http", "http://next").modify is None


def test_outputs_are_those_asked_for() -> None:
    settings = understood(
        "--output-null", "--output-stdout=false", "--output-http", "http://a", "--output-http", "http://a"
    )
    assert (settings.has_null, settings.has_stdout) == (True, False)
    assert [each.shown for each in settings.http_outputs] == ["http://a", "http://a#2"]


VALUES = {
    "output-http": "http://next", "http-set-header": "A: b", "output-http-timeout": "1s", "exit-after": "1s",
    "http-header-limiter": "A:1%", "http-param-limiter": "a:1%", "output-tcp": "next:28020",
}  # fmt: skip


@pytest.mark.parametrize("flag", [flag for flag in FLAGS.values() if flag.builtin], ids=lambda flag: flag.name)
def test_every_option_that_the_table_gives_us_is_understood(flag: object) -> None:
    name = getattr(flag, "name")  # noqa: B009
    understand(ReplaySettings(options=((name, VALUES.get(name, "1"), ""),), queue_bytes=1, stats_interval=1))


@pytest.mark.parametrize("flag", [flag for flag in FLAGS.values() if not flag.builtin], ids=lambda flag: flag.name)
def test_every_other_option_is_refused_by_name(flag: object) -> None:
    name = getattr(flag, "name")  # noqa: B009
    with pytest.raises(ConfigurationError, match=rf"--{name} \(as shown\)") as caught:
        understand(ReplaySettings(options=((name, "secret", "as shown"),), queue_bytes=1, stats_interval=1))
    assert "secret" not in str(caught.value)


def test_a_limit_is_the_outputs_own() -> None:
    one, two = understood("--output-http", "http://u:secret@next|10%", "--output-http", "http://next").http_outputs
    assert (one.shown, one.limit, two.limit) == ("http://***@next", Limit(10, is_percent=True), None)


@pytest.mark.parametrize(("words", "splits"), [([], False), (["--split-output"], True), (["--split-output=0"], False)])
def test_the_output_is_split_if_it_is_asked_for(words: list[str], splits: bool) -> None:
    assert understood("--output-null", *words).splits_output is splits
