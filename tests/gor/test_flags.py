import pytest

from launcher.gor.flags import FLAGS, REMOVED, RENAMED, Word, for_release, needs_gor, parse_flags
from launcher.options import ConfigurationError

BUILTIN = """output-http http-set-header http-original-host output-stdout output-null output-http-timeout
    output-http-workers output-http-workers-min output-http-queue-len output-http-redirects output-http-skip-verify
    output-http-compatibility-mode output-http-response-buffer output-http-stats output-http-stats-ms
    output-http-worker-timeout http-allow-header http-allow-method http-allow-url http-basic-auth-filter
    http-disallow-header http-disallow-url http-header-limiter http-param-limiter http-rewrite-header http-rewrite-url
    http-set-param split-output"""


def words(*values: str) -> list[Word]:
    return [Word(value, value, f"file:{number}") for number, value in enumerate(values, 1)]


def parsed(*values: str) -> list[tuple[str, str]]:
    return [(option.name, option.value) for option in parse_flags(words(*values))[0]]


def warnings_of(*values: str) -> list[str]:
    return parse_flags(words(*values))[1]


def refusal(*values: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_flags(words(*values))
    return str(caught.value)


def test_the_table_has_the_92_flags_of_1_3_2_and_two_older_ones_that_still_matter() -> None:
    assert len([flag for flag in FLAGS.values() if flag.until is None]) == 92
    assert [flag.name for flag in FLAGS.values() if flag.until] == ["output-http-compatibility-mode", "input-http"]
    assert all(name == flag.name for name, flag in FLAGS.items())


def test_the_builtin_replayer_has_these_flags() -> None:
    assert {flag.name for flag in FLAGS.values() if flag.builtin} == {
        *BUILTIN.split(), "verbose",
        *"copy-buffer-size exit-after input-http middleware output-http-stats output-http-stats-ms stats".split(),
        *"input-file input-file-dry-run input-file-loop input-file-max-wait input-file-read-depth input-tcp".split(),
        *"output-file output-file-append output-file-flush-interval output-file-max-size-limit".split(),
        *"output-file-queue-limit output-file-size-limit output-http-track-response output-tcp".split(),
        *"output-tcp-stats output-tcp-sticky output-tcp-workers".split(),
    }


@pytest.mark.parametrize(
    "given",
    [
        ("--output-http-timeout", "5s", "--stats"),
        ("-output-http-timeout", "5s", "-stats"),
        ("--output-http-timeout=5s", "--stats=true"),
        ("-output-http-timeout=5s", "-stats=T"),
    ],
)
def test_go_s_four_ways_to_write_an_option_are_the_same(given: tuple[str, ...]) -> None:
    assert parsed(*given) == [("output-http-timeout", "5s"), ("stats", "true")]


def test_a_value_may_hold_equals_signs_and_begin_with_a_dash() -> None:
    assert parsed("--http-set-param=a=b=c", "--middleware", "-x") == [("http-set-param", "a=b=c"), ("middleware", "-x")]


def test_a_repeatable_flag_keeps_every_value_in_order() -> None:
    given = parsed("--output-http", "http://b", "--http-allow-method", "GET", "--output-http", "http://a")
    assert given == [("output-http", "http://b"), ("http-allow-method", "GET"), ("output-http", "http://a")]


def test_of_any_other_flag_the_last_value_counts_and_another_one_before_it_is_told() -> None:
    given = ("--output-http-workers", "3", "--stats", "--output-http-workers=4", "--stats")
    assert parsed(*given) == [("output-http-workers", "4"), ("stats", "true")]
    assert warnings_of(*given) == ["file:1: --output-http-workers is given again at file:4, which counts"]


def test_our_to_is_short_for_output_http() -> None:
    assert parsed("--to", "http://a", "--to=http://b|5") == [("output-http", "http://a"), ("output-http", "http://b|5")]
    assert warnings_of("--to", "http://a") == []


def test_no_words_are_no_options() -> None:
    assert parse_flags([]) == ([], [])


@pytest.mark.parametrize(
    ("given", "expected", "new_name"),
    [
        (["--output-http-header", "User-Agent: Gor"], ("http-set-header", "User-Agent: Gor"), "--http-set-header"),
        (["--output-http-method", "GET"], ("http-allow-method", "GET"), "--http-allow-method"),
        (["--output-http-url-regexp", "^/api"], ("http-allow-url", "^/api"), "--http-allow-url"),
        (["--output-http-rewrite-url", "/a:/b"], ("http-rewrite-url", "/a:/b"), "--http-rewrite-url"),
        (["--output-http-header-filter", "X-V:^1"], ("http-allow-header", "X-V:^1"), "--http-allow-header"),
        (["--output-http-header-hash-filter", "id:50%"], ("http-header-limiter", "id:50%"), "--http-header-limiter"),
        (["--http-header-hash-limiter", "id:50%"], ("http-header-limiter", "id:50%"), "--http-header-limiter"),
        (["--http-diallow-url", "^/x"], ("http-disallow-url", "^/x"), "--http-disallow-url"),
        (["--output-dummy", "0"], ("output-stdout", "true"), "--output-stdout"),
        (["--output-dummy="], ("output-stdout", "true"), "--output-stdout"),
        (["--output-dummy"], ("output-stdout", "true"), "--output-stdout"),
        (["--output-http-debug"], ("verbose", "3"), "--verbose 3"),
        (["--output-http-debug=false"], ("verbose", "0"), "--verbose 0"),
        (["--debug"], ("verbose", "1"), "--verbose 1"),
        (["--debug=0"], ("verbose", "0"), "--verbose 0"),
        (["--verbose"], ("verbose", "1"), "--verbose 1"),
        (["--verbose=true"], ("verbose", "1"), "--verbose 1"),
        (["--verbose=false"], ("verbose", "0"), "--verbose 0"),
    ],
)
def test_an_old_flag_is_translated_and_the_warning_names_the_new_one(
    given: list[str], expected: tuple[str, str], new_name: str
) -> None:
    options, warnings = parse_flags(words(*given, "--stats"))
    assert [(option.name, option.value) for option in options] == [expected, ("stats", "true")]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"file:1: {given[0].partition('=')[0]}: since gor ") and new_name in warnings[0]


def test_every_renamed_flag_leads_to_a_flag_of_today() -> None:
    assert all(renamed.new in FLAGS and old not in FLAGS for old, renamed in RENAMED.items())


def test_the_fraction_of_an_old_hash_filter_becomes_a_percentage() -> None:
    given = ("--output-http-header-hash-filter", "user-id:1/4")
    assert parsed(*given) == [("http-header-limiter", "user-id:25%")]
    warning = "file:2: --output-http-header-hash-filter 'user-id:25%': shares are written in per cent now"
    assert warnings_of(*given)[1].startswith(warning)


def test_a_verbose_of_today_takes_its_number() -> None:
    assert parsed("--verbose", "2", "--stats") == [("verbose", "2"), ("stats", "true")]
    assert warnings_of("--verbose", "2") == []


def test_the_compatibility_mode_stays_for_the_gors_that_have_it() -> None:
    options, warnings = parse_flags(words("--output-http-compatibility-mode"))
    assert warnings == []
    assert for_release(options, (1, 2, 0)) == (options, [])
    assert for_release(options, (1, 3, 0)) == ([], options)


@pytest.mark.parametrize(
    "name", ["input-http", "input-raw", "input-file", "input-tcp", "input-dummy", "input-raw-immediate-mode"]
)
def test_another_input_is_refused_since_the_launcher_is_the_input(name: str) -> None:
    assert refusal("--stats", f"--{name}", ":80").startswith(f"file:2: --{name} can't be used here: leave it out")


def test_every_input_flag_is_refused() -> None:
    assert {name for name in FLAGS if name.startswith("input-")} <= set(REMOVED)


@pytest.mark.parametrize("given", [("listen", "-i", "80"), ("replay", "-f", "http://a|10"), ("-f", "http://a|10")])
def test_the_form_of_before_0_7_is_refused_with_the_modern_one(given: tuple[str, ...]) -> None:
    text = refusal(*given)
    assert text.startswith("file:1: ") and "before 0.7; write --output-http 'http://host|10'" in text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("--nope",), "file:1: gor has no option --nope"),
        (("--output-htp", "x"), "file:1: gor has no option --output-htp (did you mean --output-http?)"),
        (("--output-http-redirect-limit", "2"), "file:1: gor has no option --output-http-redirect-limit (did you mean"),
        (("--" + "x" * 60,), "file:1: gor has no option --" + "x" * 38 + "..."),
        (("--output-http",), "file:1: --output-http needs a value"),
        (("--output-http", "--stats"), "file:1: --output-http needs a value, but --stats follows"),
        (("--output-http", "-to=x"), "file:1: --output-http needs a value, but -to follows"),
        (("gor", "--stats"), "file:1: 'gor' is no option, and gor would ignore all that follows it; leave it out"),
        (("x",), "file:1: there is a word at the beginning that is no option"),
        (("-",), "file:1: there is a word at the beginning that is no option"),
        (("--middleware", "a", "b"), "file:3: there is a word after the value of --middleware that is no option"),
        (("--stats", "true"), "file:2: --stats takes a value in the same word only, such as --stats=true"),
        (("--",), "file:1: a word of dashes is no option"),
        (("---stats",), "file:1: a word of dashes is no option"),
        (("-=x",), "file:1: a word of dashes is no option"),
        (("--stats=maybe",), "file:1: --stats must be true or false; it is 'maybe'"),
        (("--debug=maybe",), "file:1: --debug must be true or false"),
        (("--output-http-timeout", "5"), "file:2: --output-http-timeout must be a duration with its unit, such as 5s"),
        (("--output-http-header", "X"), "file:2: --output-http-header must be a header's name"),
        (("--output-kafka-host", "k:1"), "file:1: --output-kafka-host needs --output-kafka-topic"),
        (("--output-kafka-topic", "t"), "file:1: --output-kafka-topic needs --output-kafka-host"),
    ],
)
def test_a_wrong_word_is_refused_with_its_place(given: tuple[str, ...], text: str) -> None:
    assert refusal(*given).startswith(text)


@pytest.mark.parametrize("limit", ["|0", "|0%", "|-1", "|x", "|10|10", "|101%", "|"])
@pytest.mark.parametrize("name", ["output-http", "output-file", "output-tcp", "output-binary"])
def test_a_limit_that_replays_nothing_is_refused_on_every_output(name: str, limit: str) -> None:
    assert refusal(f"--{name}", f"host{limit}").startswith(f"file:2: --{name} must be an address ")


def test_kafka_with_host_and_topic_is_fine() -> None:
    assert parsed("--output-kafka-topic", "t", "--output-kafka-host", "k:1") == [
        ("output-kafka-topic", "t"), ("output-kafka-host", "k:1")
    ]


@pytest.mark.parametrize(
    "given",
    [
        ("--http-set-header", "X-Api-Key:", "SECRET"),
        ("--http-set-header", "Authorization SECRET"),
        ("--http-set-header", "Authorization: SECRET\nx"),
        ("--http-allow-header", "X-Key:SECRET("),
        ("--http-basic-auth-filter", "me:SECRET("),
        ("--http-set-param", "key SECRET"),
        ("--output-http", "http://me:SECRET@host|0"),
        ("--output-http", "http://me:SECRET/x@host"),
        ("--output-http", "http://host:x/?key=SECRET"),
        ("--http-diallow-url", "x", "SECRET"),
    ],
)
def test_no_refusal_shows_a_secret(given: tuple[str, ...]) -> None:
    assert "SECRET" not in refusal(*given)


def test_no_refusal_shows_what_a_variable_held() -> None:
    for flag in ("--output-http", "--http-allow-url", "--output-http-workers", "--output-file", "--stats"):
        expanded = Word("(SECRET|0", "$IT", "file:2")
        with pytest.raises(ConfigurationError) as caught:
            parse_flags([*words(flag), expanded])
        assert "SECRET" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        parse_flags([Word("--output-htp-SECRET", "$IT", "file:1")])
    assert str(caught.value) == "file:1: gor has no option $IT"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--output-http", "SECRET/SECRET"),
        ("--http-header-limiter", "SECRET:1/2"),
        ("--http-allow-url", "^SECRET"),
        ("--http-allow-method", "secret"),
        ("--output-http-header", "Host:SECRET"),
        ("--output-dummy", "SECRET"),
    ],
)
def test_no_warning_shows_what_a_variable_held(flag: str, value: str) -> None:
    _, warnings = parse_flags([*words(flag), Word(value, "$IT", "file:2")])
    assert warnings and "secret" not in "".join(warnings).lower()


def test_a_word_that_is_partly_a_variable_is_shown_with_its_name() -> None:
    given = [Word("--output-http=http://me:pw@host|10", "--output-http=http://$USER:$PASSWORD@$HOST|10", "file:1")]
    option = parse_flags(given)[0][0]
    assert option.shown == "http://***@$HOST|10"
    assert option.value == "http://me:pw@host|10"
    assert option.secrets == ("me:pw", "pw")


def test_a_whole_option_from_a_variable_is_shown_as_the_variable() -> None:
    option = parse_flags([Word("--output-http=http://host", "$OPTION", "file:1")])[0][0]
    assert (option.shown, option.value) == ("$OPTION", "http://host")


def test_an_option_never_represents_itself_with_its_value() -> None:
    word = Word("--http-set-header=Authorization: Bearer SECRET", "--http-set-header=Authorization: $IT", "file:1")
    option = parse_flags([word])[0][0]
    assert option.shown == "Authorization: ***"
    assert "SECRET" not in repr(option) and "SECRET" not in repr(word)


def test_argv_is_what_gor_takes() -> None:
    given = words("--to", "host|10%", "--stats", "--split-output=0", "--verbose", "0x1", "--copy-buffer-size", "1kb")
    assert [option.argv() for option in parse_flags(given)[0]] == [
        ["--output-http", "http://host|10%"],
        ["--stats"],
        ["--split-output=false"],
        ["--verbose=1"],
        ["--copy-buffer-size", "1024"],
    ]


def test_only_a_real_gor_has_these_outputs() -> None:
    given = words(
        "--output-http", "a", "--output-file", "s3://bucket/x", "--output-file", "x.gor", "--output-binary", "a:1",
        "--output-tcp", "a:1", "--output-http-elasticsearch", "http://a/b", "--output-kafka-host", "a",
        "--output-kafka-topic", "t", "--output-stdout",
    )
    assert [option.argv()[-1] for option in parse_flags(given)[0] if needs_gor(option)] == [
        "s3://bucket/x", "a:1", "http://a/b", "a", "t"
    ]


def test_a_release_gets_only_the_options_that_it_has() -> None:
    given = words("--output-http-skip-verify", "--output-tcp-sticky", "--stats", "--kafka-tls-ca-cert", "c")
    options, _ = parse_flags(given)
    names = {
        release: [option.name for option in for_release(options, release)[1]]
        for release in ((1, 0, 0), (1, 1, 0), (1, 2, 0), (1, 3, 0), (2, 0, 0))
    }
    assert names == {
        (1, 0, 0): ["output-http-skip-verify", "output-tcp-sticky", "kafka-tls-ca-cert"],
        (1, 1, 0): ["output-http-skip-verify", "kafka-tls-ca-cert"],
        (1, 2, 0): ["output-http-skip-verify"],
        (1, 3, 0): [],
        (2, 0, 0): [],
    }


TALKATIVE = [
    ((1, 1, 0), ["--verbose", "1"], "0"),  # a switch there, and with it requests are printed
    ((1, 2, 0), ["--verbose", "2"], "2"),
    ((1, 2, 0), ["--verbose", "3"], "2"),
    ((1, 2, 0), ["--output-binary", "a:1", "--verbose", "2"], "1"),
    ((1, 3, 2), ["--output-binary", "a:1", "--verbose", "3"], "3"),
    ((1, 3, 2), ["--output-binary", "a:1", "--output-binary-debug", "--verbose", "1"], "0"),
]


@pytest.mark.parametrize(("release", "given", "level"), TALKATIVE)
def test_no_release_gets_a_level_at_which_it_prints_requests(
    release: tuple[int, ...], given: list[str], level: str
) -> None:
    known, unknown = for_release(parse_flags(words(*given))[0], release)
    assert (known[-1].argv(), unknown) == ([f"--verbose={level}"], [])
