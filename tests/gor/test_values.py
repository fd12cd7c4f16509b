import pytest

from launcher.gor.flag_table import FLAGS
from launcher.gor.masking import masked
from launcher.gor.values import boolean, checked, duration, integer, size


def test_integers_are_read_as_go_reads_them() -> None:
    texts = ["0", "-0", "+7", "007", "0x1F", "0X_f", "0b101", "0o17", "1_000", "-5", "0_7"]
    assert [integer(text) for text in texts] == [0, 0, 7, 7, 31, 15, 5, 15, 1000, -5, 7]


@pytest.mark.parametrize("text", ["", "x", "1.5", "08", "1__0", "_1", "1_", "0x", " 1", "1 ", "١", "1e3", "--1", "0b2"])
def test_what_go_takes_for_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        integer(text)


def test_durations_are_read_as_go_reads_them() -> None:
    texts = ["5s", "1m30s", "1.5h", "200ms", ".5s", "1.s", "0", "+2s", "1h1m1s1ms1us1ns", "3µs", "3μs"]
    seconds = [5, 90, 5400, 0.2, 0.5, 1, 0, 2, 3661.001001001, 3e-6, 3e-6]
    assert [duration(text) for text in texts] == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "s", "-5s", "1d", "5S", "1m30", ".s", "1.5.5s", "٥s", "1e3s", "9" * 12 + "h"]
)
def test_what_go_takes_for_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration with its unit"):
        duration(text)


def test_sizes_are_read_as_gor_reads_them() -> None:
    texts = ["0", "65536", "32mb", "32MB", "1Kb", "2gb", "1tb", "0x10kb", "1_000"]
    assert [size(text) for text in texts] == [0, 65536, 2**25, 2**25, 1024, 2**31, 2**40, 16384, 1000]


@pytest.mark.parametrize(
    "text", ["", "mb", "5m", "5b", "5MiB", "1.5mb", "5 mb", "-1", "-1mb", "5mbb", "2000tb", "5mb\n"]
)
def test_what_gor_takes_for_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size as gor writes it"):
        size(text)


def test_booleans_are_the_twelve_words_of_go() -> None:
    assert all(boolean(text) for text in ("1", "t", "T", "TRUE", "true", "True"))
    assert not any(boolean(text) for text in ("0", "f", "F", "FALSE", "false", "False"))
    for text in ("", "yes", "on", "tRUE", " true"):
        with pytest.raises(ValueError, match="true or false"):
            boolean(text)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("verbose", "0x2", "2"),
        ("output-http-workers", "0", "0"),
        ("output-http-stats-ms", "1000", "1000"),
        ("copy-buffer-size", "5mb", "5242880"),
        ("output-http-timeout", "1m30s", "1m30s"),
        ("stats", "T", "true"),
        ("stats", "0", "false"),
        ("middleware", "./change.rb --fast", "./change.rb --fast"),
        ("output-http", "https://host/|10%", "https://host|10%"),
        ("output-file", "requests-%Y.gor|10", "requests-%Y.gor|10"),
        ("output-file", "s3://bucket/x.gz", "s3://bucket/x.gz"),
        ("output-tcp", "replay.local:28020|50%", "replay.local:28020|50%"),
        ("output-tcp", ":28020", ":28020"),
        ("output-tcp", "[::1]:28020", "[::1]:28020"),
        ("input-file", "requests-*.gor|1000%", "requests-*.gor|1000%"),
        ("http-allow-method", "PURGE", "PURGE"),
        ("http-allow-url", r"^/api/(v1|v2)/[^/]+\.(?:json|xml)$", r"^/api/(v1|v2)/[^/]+\.(?:json|xml)$"),
        ("http-allow-url", r"[]()[]\Q(\E\(a|[[:alpha:]*]\12", r"[]()[]\Q(\E\(a|[[:alpha:]*]\12"),
        ("http-disallow-url", "", ""),
        ("http-allow-header", "api-version:^v1", "api-version:^v1"),
        ("http-disallow-header", "User-Agent: Replayed by Gor", "User-Agent: Replayed by Gor"),
        ("http-basic-auth-filter", "^customer[0-9].*", "^customer[0-9].*"),
        ("http-rewrite-url", r"/v1/user/([^\/]+)/ping:/v2/user/$1/ping", r"/v1/user/([^\/]+)/ping:/v2/user/$1/ping"),
        ("http-rewrite-header", "Host: (.*).example,$1.beta.example", "Host: (.*).example,$1.beta.example"),
        ("http-set-header", "User-Agent:Gor", "User-Agent: Gor"),
        ("http-set-header", " X-Time :  a:b\tc ", "X-Time: a:b\tc"),
        ("http-set-header", "X-Empty:", "X-Empty: "),
        ("http-set-param", "api_key=1", "api_key=1"),
        ("http-set-param", "api_key=", "api_key="),
        ("http-header-limiter", "user-id: 25%", "user-id:25%"),
        ("http-param-limiter", "user_id:0%", "user_id:0%"),
    ],
)
def test_a_good_value_takes_the_form_that_every_gor_reads(name: str, text: str, value: str) -> None:
    assert checked(FLAGS[name], text) == (value, [])


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("verbose", "-1", "from 0"),
        ("output-http-workers", "2147483648", "from 0"),
        ("output-http-queue-len", "-1", "from 0"),
        ("output-http-stats-ms", "999", "from 1000"),
        ("output-tcp-workers", "0", "from 1"),
        ("copy-buffer-size", "0", "at least one byte"),
        ("copy-buffer-size", "10m", "size"),
        ("output-http-timeout", "5", "duration"),
        ("stats", "yes", "true or false"),
        ("middleware", "a\0b", "NUL"),
        ("output-http", "ftp://host", "http or https"),
        ("output-http", "http://host|0", "limit"),
        ("output-file", "requests.gor|0", "limit"),
        ("output-file", "|10", "not empty"),
        ("output-file", "", "not empty"),
        ("output-tcp", "replay.local", "HOST:PORT"),
        ("output-tcp", "http://replay.local:28020", "HOST:PORT"),
        ("output-tcp", "replay.local:65536|10", "HOST:PORT"),
        ("output-tcp", "", "HOST:PORT"),
        ("input-file", "", "name or pattern"),
        ("input-file", "a.gor|0%", "speed"),
        ("input-file", "a.gor|2x", "speed"),
        ("output-tcp", "replay.local:28020|-5", "limit"),
        ("output-tcp", "replay.local:28020|ten", "limit"),
        ("output-binary", "replay.local:1|5|5", "one limit"),
        ("http-allow-method", "GET,POST", "several times"),
        ("http-allow-method", "", "several times"),
        ("http-allow-url", "*.js", "missing"),
        ("http-allow-url", "/a(b", "every ("),
        ("http-allow-url", "/a)b(", "every ("),
        ("http-allow-url", "/a[b", "every ["),
        ("http-allow-url", "/a\\", "single \\"),
        ("http-disallow-url", "^/(?!admin)", "look-around"),
        ("http-disallow-url", r"(.)\1", "look-around and back-references"),
        ("http-allow-header", "no-colon", "directly followed by a colon"),
        ("http-allow-header", "X-Name : v1", "directly followed by a colon"),
        ("http-allow-header", ":v1", "directly followed by a colon"),
        ("http-disallow-header", "X-Name:(", "every ("),
        ("http-basic-auth-filter", "(", "every ("),
        ("http-rewrite-url", "/a", "a colon"),
        ("http-rewrite-url", "/(?:a|b):/c", "before the first colon"),
        ("http-rewrite-header", "Host", "directly followed by a colon"),
        ("http-rewrite-header", "Host: a", "a comma"),
        ("http-rewrite-header", "Host: (a,b)", "before the first comma"),
        ("http-set-header", "Authorization Bearer x", "directly followed by a colon"),
        ("http-set-header", "X Y: z", "directly followed by a colon"),
        ("http-set-header", "X-Y: a\r\nX-Z: b", "no line ends"),
        ("http-set-param", "api_key", "as it stands in a URL"),
        ("http-set-param", "=1", "as it stands in a URL"),
        ("http-set-param", "q=a b", "as it stands in a URL"),
        ("http-header-limiter", "user-id", "0% to 100%"),
        ("http-header-limiter", "user-id:25", "0% to 100%"),
        ("http-header-limiter", "user-id:101%", "0% to 100%"),
        ("http-header-limiter", "user-id:50.5%", "0% to 100%"),
        ("http-header-limiter", "user-id :50%", "0% to 100%"),
        ("http-header-limiter", ":50%", "0% to 100%"),
        ("http-param-limiter", "user_id:1/0", "0% to 100%"),
        ("http-param-limiter", "user_id:2/1", "0% to 100%"),
        ("http-rewrite-url", "/a:/b\r\nX: y", "no spaces, line ends"),
        ("http-rewrite-url", "/a:/b HTTP/1.1", "no spaces, line ends"),
        ("http-rewrite-header", "A: b,c\nX: y", "no line ends"),
        ("http-rewrite-header", "A: b,c\x1b[m", "no line ends"),
    ],
)
def test_a_value_that_ends_gor_or_replays_nothing_is_refused(name: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the reasons differ
        checked(FLAGS[name], text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "value", "warning"),
    [
        ("http-header-limiter", "user-id:1/2", "user-id:50%", "in per cent now"),
        ("http-param-limiter", "user_id:1/3", "user_id:33%", "in per cent now"),
        ("http-allow-method", "get", "get", "with their case"),
        ("http-allow-url", "^www.", "^www.", "only path and query"),
        ("http-disallow-url", r"^\w+/x", r"^\w+/x", "only path and query"),
        ("http-rewrite-url", "^http://a", "^http://a", "only path and query"),
        ("output-http", "host", "http://host", "no scheme"),
    ],
)
def test_a_doubtful_value_is_taken_with_a_warning(name: str, text: str, value: str, warning: str) -> None:
    checked_value, warnings = checked(FLAGS[name], text)
    assert checked_value == value
    assert len(warnings) == 1 and warning in warnings[0]


@pytest.mark.parametrize(
    ("name", "text", "shown", "secrets"),
    [
        ("http-set-header", "Authorization: Bearer abc", "Authorization: ***", ("Bearer abc", "abc")),
        ("http-set-header", "X-Key:abc", "X-Key: ***", ("abc",)),
        ("http-set-header", "no colon", "***", ("no colon",)),
        ("http-set-header", "Host: a.example", "Host: a.example", ()),
        ("http-allow-header", "user-agent:^Moz", "user-agent:^Moz", ()),
        ("http-disallow-header", "Cookie:id=1", "Cookie: ***", ("id=1",)),
        ("http-rewrite-header", "X-Key: a,b", "X-Key: ***", ("a,b",)),
        ("http-basic-auth-filter", "^me:pw", "***", ("^me:pw",)),
        ("http-set-param", "api_key=abc", "api_key=***", ("abc",)),
        ("http-set-param", "abc", "***", ("abc",)),
        ("http-header-limiter", "user-id:25%", "user-id:25%", ()),
        ("output-http", "https://me:p%20w@host|10", "https://***@host|10", ("me:p%20w", "p%20w", "p w")),
        ("output-http", "https://me@host", "https://***@host", ("me",)),
        ("output-http-elasticsearch", "http://me:pw@es/index", "http://***@es", ("me:pw", "pw")),
        ("middleware", "./m --to http://a:b@c@d/x?y=e@f", "./m --to http://***@d/x?y=e@f", ("a:b@c", "b@c")),
        ("http-allow-url", "^/@me", "^/@me", ()),
        ("middleware", "a\nb\x1b", "a\\nb\\x1b", ()),
    ],
)
def test_masking_shows_what_is_harmless_and_tells_what_it_hides(
    name: str, text: str, shown: str, secrets: tuple[str, ...]
) -> None:
    assert masked(name, text) == (shown, secrets)
