import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.destinations import Destination, Limit, masked, parse_destination, parse_limit, split_limit

TEN_A_SECOND = Limit(10, is_percent=False)
TEN_PERCENT = Limit(10, is_percent=True)


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("http://staging.example.com", Destination("http", "staging.example.com", 80, None, None, False)),
        ("https://staging.example.com", Destination("https", "staging.example.com", 443, None, None, False)),
        ("https://staging.example.com/", Destination("https", "staging.example.com", 443, None, None, False)),
        ("HTTPS://Staging.example.com", Destination("https", "Staging.example.com", 443, None, None, False)),
        ("http://staging:8080", Destination("http", "staging", 8080, None, None, True)),
        ("http://staging:80", Destination("http", "staging", 80, None, None, True)),
        ("http://my_app.internal", Destination("http", "my_app.internal", 80, None, None, False)),
        ("http://example.com.", Destination("http", "example.com.", 80, None, None, False)),
        ("http://127.0.0.1:65535", Destination("http", "127.0.0.1", 65535, None, None, True)),
        ("http://[2001:db8::1]:8080", Destination("http", "2001:db8::1", 8080, None, None, True)),
        ("http://u:p@host", Destination("http", "host", 80, "u:p", None, False)),
        ("http://u:p%20@x@host:81", Destination("http", "host", 81, "u:p%20@x", None, True)),
        ("http://@host", Destination("http", "host", 80, None, None, False)),
        ("http://host|10", Destination("http", "host", 80, None, TEN_A_SECOND, False)),
        ("http://host/|10%", Destination("http", "host", 80, None, TEN_PERCENT, False)),
    ],
)
def test_an_address_becomes_a_destination_without_warnings(text: str, destination: Destination) -> None:
    assert parse_destination(text) == (destination, [])


@pytest.mark.parametrize(
    ("text", "argument", "warning"),
    [
        ("staging.com", "http://staging.com", "no scheme"),
        ("127.0.0.1:18801", "http://127.0.0.1:18801", "no scheme"),
        ("httpbin.org", "http://httpbin.org", "no scheme"),
        ("u:p@host|5", "http://u:p@host|5", "no scheme"),
        ("http://host/base", "http://host", "path or query"),
        ("http://host//", "http://host", "path or query"),
        ("http://host?z=1|10%", "http://host|10%", "path or query"),
        ("https://host:8443/#top", "https://host:8443", "path or query"),
    ],
)
def test_what_gor_would_misread_is_mended_with_a_warning(text: str, argument: str, warning: str) -> None:
    destination, warnings = parse_destination(text)
    assert destination.argument == argument
    assert len(warnings) == 1 and warning in warnings[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "with a host"),
        ("http://", "with a host"),
        ("http:///path", "with a host"),
        ("http://:8080", "with a host"),
        ("http://u:p@", "with a host"),
        ("//host", "with a host"),
        ("/path", "with a host"),
        ("ftp://host", "no other scheme"),
        ("postgres://u:p@host/db", "no other scheme"),
        ("http:host", "port from 1 to 65535"),
        ("http://host:", "port from 1 to 65535"),
        ("http://host:0", "port from 1 to 65535"),
        ("http://host:99999", "port from 1 to 65535"),
        ("http://host:http", "port from 1 to 65535"),
        ("http://host:80:80", "in brackets"),
        ("http://::1:80", "in brackets"),
        ("http://2001:db8::1", "in brackets"),
        ("http://[::1", "in brackets"),
        ("http://::1]", "in brackets"),
        ("http://[::1]x", "in brackets"),
        ("http://[::1]:", "port from 1 to 65535"),
        ("http://[]", "IPv6 address in its brackets"),
        ("http://[127.0.0.1]", "IPv6 address in its brackets"),
        ("http://[fe80::1%eth0]", "zone"),
        ("http://-host", "letters, digits"),
        ("http://a..b", "letters, digits"),
        ("http://" + "a" * 64, "letters, digits"),
        ("http://" + "a." * 127 + "a", "letters, digits"),
        ("http://$HOST", "letters, digits"),
        ("http://a,http://b", "spaces between them, not commas"),
        ("a.example,b.example", "spaces between them, not commas"),
        ("http://host\\x", "letters, digits"),
        ("http://256.1.1.1", "four numbers"),
        ("http://1.2.3", "four numbers"),
        ("http://1", "four numbers"),
        ("http://h st", "without spaces"),
        (" http://host", "without spaces"),
        ("http://host\n", "without spaces"),
        ("http://host\x7f", "without spaces"),
        ("http://bücher.example", "in ASCII"),
        ("http://u:p%zz@host", "%-encoded"),
        ("http://u:p^@host", "%-encoded"),
        ("http://host|", "limit"),
        ("http://host|0", "limit"),
        ("http://host|0%", "limit"),
        ("http://host|-1", "limit"),
        ("http://host|+1", "limit"),
        ("http://host|101%", "limit"),
        ("http://host|50.5%", "limit"),
        ("http://host|10x", "limit"),
        ("http://host|10%%", "limit"),
        ("http://host|2147483648", "limit"),
        ("http://host|10|20", "one limit at most"),
        ("http://host||10", "one limit at most"),
    ],
)
def test_an_address_that_would_lose_every_copy_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^an address") as caught:
        parse_destination(text)
    assert reason in str(caught.value)


def test_the_host_header_is_the_address_as_given_without_a_default_port() -> None:
    texts = ["http://a", "http://a:80", "https://a:443", "https://A.b:8443", "http://u:p@a", "http://[::1]:81"]
    headers = [parse_destination(text)[0].host_header for text in texts]
    assert headers == ["a", "a:80", "a:443", "A.b:8443", "a", "[::1]:81"]


def test_an_ipv6_address_always_names_its_port_since_gor_1_2_needs_it() -> None:
    arguments = [parse_destination(text)[0].argument for text in ("http://[::1]", "https://[::1]/|5")]
    assert arguments == ["http://[::1]:80", "https://[::1]:443|5"]


def test_only_the_argument_and_the_url_hold_credentials() -> None:
    destination = parse_destination("https://user:s3cret@host:8443/|10%")[0]
    assert destination.argument == "https://user:s3cret@host:8443|10%"
    assert destination.url == "https://user:s3cret@host:8443"
    assert destination.shown == "https://***@host:8443"
    assert "s3cret" not in repr(destination)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:80|10", "http://host:80|10"),
        ("http://u:p@host", "http://***@host"),
        ("u:p@host|10%", "***@host|10%"),
        ("http://u:p/w@host", "http://***@host"),
        ("http://u:p w@host", "http://***@host"),
        ("http://u:p|w@host|9", "http://***@host|9"),
        ("http://u:p\nw@host", "http://***@host"),
        ("postgres://u:p@host/db?x", "postgres://***@host"),
        ("http://host/?token=abc", "http://host"),
        ("http://host?token=abc|10", "http://host|10"),
        ("http://$USER:$PASSWORD@$HOST", "http://***@$HOST"),
        ("$STAGING|10%", "$STAGING|10%"),
        ("", ""),
    ],
)
def test_masking_hides_credentials_path_and_query_of_any_text(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_limit_is_a_rate_or_a_percentage() -> None:
    assert [parse_limit(text) for text in ("10", "10%", "010", "100%", "2147483647")] == [
        TEN_A_SECOND, TEN_PERCENT, TEN_A_SECOND, Limit(100, is_percent=True), Limit(2**31 - 1, is_percent=False)
    ]


def test_split_limit_leaves_an_address_without_limit_alone() -> None:
    assert split_limit("requests.gor") == ("requests.gor", None)
    assert split_limit("requests.gor|10%") == ("requests.gor", TEN_PERCENT)


names = st.from_regex(r"[a-z][a-z0-9_]{0,10}(\.[a-z]{2,5}){0,3}", fullmatch=True)
hosts = names | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
userinfos = st.from_regex(r"([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2}){1,20}", fullmatch=True)


@given(st.sampled_from(["http", "https"]), hosts, st.none() | st.integers(1, 65535), st.none() | userinfos,
       st.none() | st.builds(Limit, st.integers(1, 100), st.booleans()))
def test_an_argument_reads_back_as_the_same_destination(
    scheme: str, host: str, port: int | None, userinfo: str | None, limit: Limit | None
) -> None:
    authority = (f"{userinfo}@" if userinfo else "") + host + (f":{port}" if port else "")
    text = f"{scheme}://{authority}" + (f"|{limit}" if limit else "")
    destination, warnings = parse_destination(text)
    assert warnings == []
    assert (destination.scheme, destination.userinfo, destination.limit) == (scheme, userinfo, limit)
    assert destination.port == (port or {"http": 80, "https": 443}[scheme])
    assert parse_destination(destination.argument) == (destination, [])


@given(st.text(alphabet=st.sampled_from("ab:/@|%?#[].1-_ \\é\x00"), max_size=20))
def test_any_text_is_either_refused_or_written_back_in_a_form_that_reads_the_same(text: str) -> None:
    try:
        destination, _ = parse_destination(text)
    except ValueError:
        return
    assert parse_destination(destination.argument) == (destination, [])


@given(st.sampled_from(["http://host:", "http://", "https://u:", ""]),
       st.sampled_from([" ", "^", "é", "|x", "@ h", "/|0"]))
def test_a_refusal_never_repeats_the_text(before: str, after: str) -> None:
    with pytest.raises(ValueError, match=r"^an address") as caught:
        parse_destination(f"{before}SECRET{after}")
    assert "SECRET" not in str(caught.value)


@given(st.sampled_from(["", "http://", "https://", "ftp://"]), st.text(min_size=1), st.text(max_size=10))
def test_masking_never_leaves_what_stands_before_the_last_at_sign(scheme: str, credentials: str, rest: str) -> None:
    assert "SECRET" not in masked(f"{scheme}SECRET {credentials}@{rest}")
    assert masked(f"{scheme}SECRET {credentials}@") == f"{scheme}***@"
