import subprocess
import sys

import pytest

from launcher.go_regexp import GoSyntaxError, GoUnsupported, check_go, compile_go


@pytest.mark.parametrize(
    ("pattern", "data", "is_match"),
    [
        ("", b"", True),
        ("^/api", b"/api/1", True),
        ("^/api", b"/x?u=/api", False),
        ("api", b"/x?u=/api", True),
        (r"/$", b"/a/\n", False),  # Python's $ would match before the line's end
        (r"/\z", b"/a/", True),
        (r"(?m)a$", b"a\nb", True),
        (r"^\d+$", "٣".encode(), False),
        (r"^\w+$", "é".encode(), False),
        (r"^\pL+$", "é".encode(), True),
        (r"^[[:alpha:]]+$", b"abc", True),
        (r"\bfoo\b", "éfooé".encode(), True),
        ("(?i)straße", "STRAẞE".encode(), True),
        ("(?i)k", "\u212a".encode(), True),
        ("^.$", "é".encode(), True),
        ("^.$", b"\xff", True),
        ("^..$", b"\xe2\x82", True),  # a character cut short: each byte is one
        (r"^\x{FFFD}$", b"\xff", True),
        (r"\xff", b"\xff", False),  # the character U+00FF, not the byte
        (r"\Qa.b\E", b"axb", False),
        ("^a{,2}$", b"a{,2}", True),
        (r"^[^\x00-\x{10FFFF}]", b"a", False),
    ],
)
def test_a_pattern_matches_as_in_go(pattern: str, data: bytes, is_match: bool) -> None:
    assert compile_go(pattern).is_match(data) is is_match


@pytest.mark.parametrize(
    ("pattern", "data", "template", "replaced"),
    [
        ("/v1/(.*)", b"/v1/a", b"/v2/$1", b"/v2/a"),
        ("(?P<rest>.*)$", b"/v1", b"/x${rest}", b"/x/v1"),
        ("(?<rest>a)", b"a", b"$rest$rest", b"aa"),
        ("a", b"xax", b"$1x", b"xx"),  # the group "1x", which there is not
        ("a", b"xax", b"$$0", b"x$0x"),
        ("a*", b"baaac", b"-", b"-b-c-"),  # no empty match directly behind another
        ("", b"ab", b"-", b"-a-b-"),
        ("x", b"abc", b"$0", b"abc"),
        ("(a|ab)(c|bcd)", b"abcd", b"[$1,$2]", b"[a,bcd]"),
        ("(a+?)(a*)", b"aaa", b"[$1,$2]", b"[a,aa]"),
        ("(?U)(a+)(a*?)", b"aaa", b"[$1,$2]", b"[a,aa]"),
        (".", b"\xff\xe2\x82", b"<$0>", b"<\xff><\xe2><\x82>"),
        ("\u00e9", "\u00e9".encode() + b"\xff", b"\xfe", b"\xfe\xff"),
    ],
)
def test_what_matches_is_replaced_as_in_go(pattern: str, data: bytes, template: bytes, replaced: bytes) -> None:
    assert compile_go(pattern).replace_all(data, template) == replaced


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing closing )"),
        (")", "unexpected )"),
        ("[a", "missing closing ]"),
        ("[b-a]", "invalid character class range: `b-a`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"a\1", r"invalid escape sequence: `\1`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("x|*", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("((a{100}){10}){2}", "invalid repeat count: `{2}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
        ("a\\", "trailing backslash at end of expression"),
        ("\udcff", "invalid UTF-8"),
    ],
)
def test_what_go_refuses_is_refused_in_its_words(pattern: str, reason: str) -> None:
    with pytest.raises(GoSyntaxError) as caught:
        compile_go(pattern)
    assert str(caught.value) == reason
    assert not isinstance(caught.value, GoUnsupported)


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        (r"\p{Greek}", "Greek"),
        (r"(?:abcdefghijk){1000}", "too large"),
        ("(" * 400 + ")" * 400, "groups in one another"),
    ],
)
def test_what_only_this_engine_does_not_know_is_refused_by_name(pattern: str, named: str) -> None:
    with pytest.raises(GoUnsupported, match=named):
        check_go(pattern)


@pytest.mark.parametrize("pattern", ["(user:secret", "user:secret)", "user:[secret", "(?P<secret", "user:secret(?=a)"])
def test_a_refusal_shows_only_the_construct_and_no_secret(pattern: str) -> None:
    with pytest.raises(GoSyntaxError) as caught:
        compile_go(pattern)
    assert "secret" not in str(caught.value)


# Backtracking engines take exponential, cubic and quadratic time for these.
HOSTILE = [
    ("(a*)*b", b"a"),
    ("(x+x+)+y", b"x"),
    (".*.*.*x", b"a"),
    ("a.*b|a", b"a"),
    ("(a|aa)+$", b"ab"),
    (r"(\w+\s?)+!", b"word "),
    ("(?:a?){30}a{30}b", b"a"),
    (".{300}x", b"ab"),
    ("a[ab]{200}c", b"ab"),
    (r"(?m)^.*\b$", b"a b\n"),
]


@pytest.mark.parametrize(("pattern", "piece"), HOSTILE)
def test_work_grows_with_the_text_and_not_faster(pattern: str, piece: bytes) -> None:
    work = []
    for size in (500, 1000):
        regexp = compile_go(pattern)
        regexp.is_match(piece * size)
        regexp.replace_all(piece * size, b"$1")
        work.append(regexp.moves)
    assert work[1] <= 2.2 * work[0] + 50
    assert work[1] < 100 * len(piece) * 1000


def test_a_text_of_64_kib_is_searched_and_replaced_at_once() -> None:
    for pattern, piece in HOSTILE:
        data = (piece * 65536)[:65536]
        regexp = compile_go(pattern)
        regexp.is_match(data)
        assert regexp.replace_all(data + b"b!x", b"$0") == data + b"b!x"


def test_the_tables_are_bounded() -> None:
    regexp = compile_go("(a|b|é)[^x]{40}x|y(.)z")
    text = "".join(chr(0x100 + number * 7919 % 50000) + "ab"[number // 3 % 2] for number in range(15000))
    assert regexp.replace_all(text.encode(), b"") == text.encode()
    regexp.replace_all(text.encode() + b"ycz", b"")
    assert regexp._search._entries <= 10_000
    assert regexp._captures._entries <= 10_000
    assert sum(map(len, regexp._captures._states.values())) <= 10_001
    assert sum(map(len, regexp._search._states.values())) <= 10_001


def test_a_start_without_regular_expressions_does_not_load_the_engine() -> None:
    code = "import sys, launcher.cli, launcher.plan; sys.exit('launcher.go_regexp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
