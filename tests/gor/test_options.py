import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.gor.flags import FLAGS, REMOVED, RENAMED
from launcher.gor.options import GorOptions, destinations, hidden, read_gor_options
from launcher.options import ConfigurationError

FILE = "config/gor.options"


def read(text: str, **environ: str) -> GorOptions:
    return read_gor_options(text, file=FILE, environ=environ)


def refusal(text: str, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(text, **environ)
    return str(caught.value)


def test_the_file_of_the_original_s_readme_still_works() -> None:
    read_options = read(
        "--output-http 'https://my-downstream-app.herokuapp.com'\n"
        "--output-http-header 'Host: my-downstream-app.herokuapp.com'\n"
    )
    assert [option.argv() for option in read_options.options] == [
        ["--output-http", "https://my-downstream-app.herokuapp.com"],
        ["--http-set-header", "Host: my-downstream-app.herokuapp.com"],
    ]
    assert read_options.warnings == (
        f"{FILE}:2: --output-http-header: since gor 0.9.6 it is called --http-set-header, and is taken as that",
    )
    assert read_options.secrets == ()


def test_a_file_as_people_write_it() -> None:
    text = """
        # where the copies go
        --output-http "$STAGING|10%"     # a tenth
        --output-http
            'https://me:pass%20word@next.example.com/'
        --http-set-header "Authorization: Bearer $TOKEN" \\
        --http-allow-url ^/api/.*$ --stats
    """
    read_options = read(text, STAGING="http://staging.example.com:8080/x", TOKEN="tok-12345", OTHER="other-secret")
    assert [option.argv() for option in read_options.options] == [
        ["--output-http", "http://staging.example.com:8080|10%"],
        ["--output-http", "https://me:pass%20word@next.example.com"],
        ["--http-set-header", "Authorization: Bearer tok-12345"],
        ["--http-allow-url", "^/api/.*$"],
        ["--stats"],
    ]
    assert [(option.shown, option.where) for option in read_options.options] == [
        ("$STAGING|10%", f"{FILE}:3"),
        ("https://***@next.example.com", f"{FILE}:4"),
        ("Authorization: ***", f"{FILE}:6"),
        ("^/api/.*$", f"{FILE}:7"),
        ("true", f"{FILE}:7"),
    ]
    assert read_options.warnings == (
        f"{FILE}:3: --output-http '$STAGING|10%': its path or query is left out: every copy keeps its own",
    )
    assert dict(read_options.secrets) == {
        "http://staging.example.com:8080/x": "$STAGING",
        "http://staging.example.com:8080": "$STAGING",
        "Bearer tok-12345": "***",
        "tok-12345": "***",
        "me:pass%20word": "***",
        "pass%20word": "***",
        "pass word": "***",
    }


def test_each_destination_comes_with_its_option() -> None:
    options = read("--stats --output-http 'a|10' --to https://b:8443/").options
    found = [(option.where, destination.argument) for option, destination in destinations(options)]
    assert found == [(f"{FILE}:1", "http://a|10"), (f"{FILE}:1", "https://b:8443")]


def test_an_empty_file_has_no_options() -> None:
    assert read("# nothing yet\n") == GorOptions((), (), ())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("--stats\n--output-http http://host|10", "2: an unquoted | would be a pipe in a shell"),
        ("--stats\n--output-http 'http://host|0'", "2: --output-http must be an address whose limit"),
        ("--stats\n\n--input-http :80", "3: --input-http can't be used here"),
        ("--output-http\n\n$STAGING", "3: the variable STAGING is not set"),
        ("--output-http $EMPTY\n--stats", "1: --output-http needs a value, but --stats follows"),
        ('--output-http "$EMPTY"', "1: --output-http must be an address with a host"),
        ("--http-set-header X-Key: $SECRET", "1: there is a word after the value of --http-set-header"),
    ],
)
def test_an_error_starts_with_file_and_line(text: str, error: str) -> None:
    assert refusal(text, EMPTY="", SECRET="s3cret").startswith(f"{FILE}:{error}")


@pytest.mark.parametrize(
    "text",
    [
        "--output-http $SECRET", "--output-http-workers $SECRET", "--http-set-header $SECRET", "--stats=$SECRET",
        "--stats $SECRET", "$SECRET", "--$SECRET", "--output-file '|'$SECRET", "--http-allow-url ($SECRET",
        "--http-allow-url \"($SECRET\"", "--http-header-limiter $SECRET", "--copy-buffer-size=$SECRET",
        "--output-http ftp://$SECRET", '--http-allow-method "a $SECRET"', "--output-kafka-host $SECRET",
    ],
)
def test_no_error_shows_what_a_variable_holds(text: str) -> None:
    assert "hunter2" not in refusal(text, SECRET="(hunter2")


def test_a_whole_list_of_options_may_come_from_one_variable() -> None:
    held = "--output-http=http://me:s3cret@host --http-set-param key=12345678"
    read_options = read("$GOR_OPTIONS", GOR_OPTIONS=held)
    assert [option.argv() for option in read_options.options] == [
        ["--output-http", "http://me:s3cret@host"], ["--http-set-param", "key=12345678"]
    ]
    assert [option.shown for option in read_options.options] == ["$GOR_OPTIONS", "***"]
    assert {"http://me:s3cret@host", "s3cret", "12345678", "key=12345678"} <= {text for text, _ in read_options.secrets}


def test_secrets_are_hidden_the_longest_first() -> None:
    secrets = read("--http-set-header 'X-Key: abcd' --http-set-param k=abcdef").secrets
    assert secrets == (("abcdef", "***"), ("abcd", "***"))


def test_each_line_of_a_variable_is_hidden_since_a_log_has_lines() -> None:
    assert ("second", "$PEM") in hidden([], {"first\nsecond": "$PEM"})


@pytest.mark.parametrize("value", ["", "a", "abc", "80", "5000", "1234567", "true", "HTTPS", "http"])
def test_what_occurs_everywhere_is_not_hidden(value: str) -> None:
    assert hidden([], {value: "$IT"}) == ()


def test_a_long_number_is_hidden() -> None:
    assert hidden([], {"12345678": "$IT"}) == (("12345678", "$IT"),)


def test_no_representation_holds_a_secret() -> None:
    read_options = read("--to https://me:s3cret@host --http-set-header \"X-Key: $KEY\"", KEY="hunter2")
    text = repr(read_options) + repr(destinations(read_options.options))
    assert "s3cret" not in text and "hunter2" not in text


values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=30)


@given(st.lists(values, max_size=5), st.sampled_from([" ", "\n"]))
def test_any_header_value_arrives_as_written(header_values: list[str], separator: str) -> None:
    text = separator.join(f"--http-set-header {shlex.quote('X-Any:' + value)}" for value in header_values)
    assert [option.value for option in read(text).options] == [f"X-Any: {value.strip()}" for value in header_values]


pieces = st.sampled_from(
    [*(f"--{name}" for name in [*FLAGS, *RENAMED, *REMOVED]), "=", " ", "\n", "'", "http://", "u:p@", "host", "/path",
     "|10%", "5s", "5mb", "1", "true", "X-A:", "$SECRET", ":", "1/2", "(", "\\", "#"]
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_any_text_is_refused_with_file_and_line_or_reads_the_same_when_written_back(text: str) -> None:
    try:
        options = read(text, SECRET="(hunter2").options
    except ConfigurationError as error:
        shown = str(error)
    else:
        shown = repr(options)
        written = "\n".join(shlex.join(option.argv()) for option in options)
        again = read(written)
        assert [(option.name, option.value) for option in again.options] == [(o.name, o.value) for o in options]
    assert "hunter2" not in shown
    assert shown[0] in "([" or re.match(r"config/gor\.options:\d+: ", shown)


def test_curly_quotes_in_a_value_are_a_warning_because_they_may_be_meant():
    text = "--output-http http://h\n--http-allow-url \u2018/api\u2019 --http-set-header 'X-A: 1 \u2013 2'\n"
    read = read_gor_options(text, file="gor.options", environ={})
    [warning] = read.warnings
    assert warning.startswith("gor.options:2: the value of --http-allow-url has \u2018 \u2019, as pages show them: ")


def test_curly_quotes_and_long_dashes_are_named_where_they_may_be_the_fault():
    with pytest.raises(ConfigurationError, match=r"(?s)^gor.options:2: .*the line has – “ ”, as pages show them"):
        read_gor_options("# a comment\n–output-http “http://x.example.com”\n", file="gor.options", environ={})
