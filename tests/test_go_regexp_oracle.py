"""Our engine against the real Go: the same patterns, inputs and templates, the same answers."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.go_regexp import GoSyntaxError, GoUnsupported, compile_go
from tests import needs

SOURCE = Path(__file__).parent / "go_oracle" / "main.go"


class Go:
    """The running oracle."""

    def __init__(self, program: Path, version: str) -> None:
        self.minor = int(version.split(".")[1].split("rc")[0])
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, pattern: str, data: bytes, template: bytes) -> dict[str, object]:
        asked = {"Pattern": pattern.encode(errors="surrogateescape"), "Input": data, "Template": template}
        line = json.dumps({name: base64.b64encode(value).decode() for name, value in asked.items()})
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, object] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Go]:
    if not shutil.which("go"):
        needs.unavailable("there is no go to build the oracle with", needs.GO)
    program = tmp_path_factory.mktemp("go") / "oracle"
    subprocess.run(["go", "build", "-o", program, SOURCE], check=True, cwd=SOURCE.parent)
    version = subprocess.run(["go", "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout
    oracle = Go(program, version)
    yield oracle
    oracle.close()


def is_newer_than(minor: int, pattern: str) -> bool:
    """Go 1.22 brought (?<name>), Go 1.25 names of categories without regard to case and in words, and Cn and LC."""
    return (minor < 22 and "(?<" in pattern) or (minor < 25 and ("\\p" in pattern or "\\P" in pattern))


def compare(go: Go, pattern: str, data: bytes, template: bytes) -> bool:
    """Was the pattern taken? Fails if the two disagree."""
    answer = go.ask(pattern, data, template)
    refusal = str(answer["Error"])
    try:
        ours, reason = compile_go(pattern), ""
    except GoUnsupported:
        return False
    except GoSyntaxError as error:
        ours, reason = None, str(error)
    if ours is None:
        assert refusal, f"Go takes {pattern!r}, we don't: {reason}"
        assert refusal.removeprefix("error parsing regexp: ").split(":")[0] == reason.split(":")[0], pattern
        return False
    if refusal and is_newer_than(go.minor, pattern):
        return False
    assert not refusal, f"we take {pattern!r}, Go says {refusal}"
    assert ours.is_match(data) == answer["Match"], (pattern, data)
    replaced = base64.b64decode(str(answer["Replaced"] or ""))
    assert ours.replace_all(data, template) == replaced, (pattern, data, template)
    return True


ATOMS = r"""a b c A k s / . \d \D \w \W \s \S [ab] [^a] [a-c] [^/]+ [[:alpha:]] [[:^digit:]] [^[:space:]x] \pL \PL
    \p{Lu} \p{^N} [\pN_] ^ $ \b \B \A \z (?m:^) (?m:$) (?s:.) (?i:k) (?i:S) (?i:[a-c]) (?i:[^k]) (?i:\w) (?i:\W) (?i:ß)
    (?i:ω) \n \x41 \x{e9} é ß . \. \/ \_ \077 \Qa.b\E () (a) (?P<x>b) (?<y>c|) (|a) (a|b) (a*) (a|ab)(c|bcd)
    (?:a|b|) [\x{fffd}] \x{FFFD} [^\x00-\x{10FFFF}] [\d-z] [a-] []a] [^]a] [-a] [\]] (?U:a+) (?U:a+?) (?-s:.)
    (?i)k(?-i)k (?:) a{0} a{1} a{2} a{0,2} a{1,} a{,2} a{ x{2,1} (a{2}){2} (?:a*)* (?:a?)+ (a?)* (?:^)* (?:$)+
    (\b)*""".split()
REPETITIONS = ["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,3}?", "{2,}", "{0}", "{0,}?"]
WRONG = r"""( ) (?P<n>a)) ((a) [ [a [] [^] [z-a] [a-\d] [[:foo:]] [[:^foo:]] \ a\ \8 \1 \Z \C \E \h \q \p \pX \p{
    \p{Foo} \P{^Foo} [\pX] * + ? a** a*+ a++ a??? a{2}{3} a{2}* |* (* (|*) ^* a{1001} a{1,1001} a{1001,} (a{100}){100}
    x{2,1} ((a{10}){10}){11} a{2}{1001} a{99999999999} (?P<n) (?P<> (?P<a-b>c) (?<n (?<> (?P=n) (?Pn) (?'n'a)
    (?=a) (?!a) (?<=a) (?<!a) (?>a) (?#x) (?x) (?i (?i-) (?-) (?-:a) (?--i:a) (?a) (?ii) (?i-s) (?i-s:a) (?^i:a)
    (? (?: (?:a (?P (?P< (?P<n> \x \xg \x4 \x{ \x{} \x{110000} \x{g} \x{41 \07 \0 \400 \777 \08 \18 [\8] [\b] [\Q]
    [\z] [[:word:]] [[:alpha:] [[:a [a-[:digit:]] [[=a=]] [[.a.]] \Qab\E* \Q\E* a*\Q\E* a*(?i)* (?i)* \Qab \Q
    \Q*\E+ \Q\Qa\E [--a] [a--] [+--] [a-b-c] { {1} {2,1} a{1 a{1, a{,} a{} a{-1} a{01} a{1,02} a|*b (?i)[k-s]
    (?i)[^K] (?i)\pL (?i)\p{Lu} (?i)\P{Ll} (?i)[[:upper:]] (?i)[[:^lower:]] (?i)\x{17f} (?i)\x{212a} \p{Letter}
    \p{lu} \p{LC} \p{Any} \P{Any} \p{ASCII} \p{Assigned} \p{Cn} \p{C} \pC \p{L_u} \p{^Lu} \p^L \p{} \p{^} \pN
    \p{Uppercase_Letter} \p{Greek} \p{Old_Italic} \a\f\t\n\r\v \- \! \" \é \~ (?s).* (?m)^$ (?sm)^.$ (?U)a*?b
    a(?U)b* (a(?i)b)c (?i:a(?-i)b)c (?P<x>a)(?P<x>b) (?m)$* (^|a)* (?:(a)|b)* ((a)|b)+ (a|b*)* (a*|b)* (a*)+ (a+)*
    (?:a*?)* (?:(?:a*)*)* (a??)* (?:a?){3} (a?){2,4}? (?:a|){2,} (?:|a)* (|a)+ (?:|a)+? (a{0})b (a){0} (?:){5}
    (?:()|a)+ (?:a{1,2}){2} .*.*.*x (a*)*b (x+x+)+y (?:(?:(?:a))) \pZs \p{Zs}""".split()
INPUTS = [
    b"", b"a", b"aaaa", b"ab", b"abcd", b"kK\xe2\x84\xaa sS\xc5\xbf", b"/api/v1/users/12?x=a b", b"a\nb\n", b"\n",
    b"x" * 20, b"\xff", b"a\xffb\xe2\x82", b"\xed\xa0\x80a", b"\xef\xbf\xbd", "éßẞΩω".encode(), b"a_b-c d",
    b"aab ab b", b"{1} a{,}", b"a{1", b"\\.*+^$", b"\x07\x0c\t\n\r\v", b"A1_\x00", "ÀÁ٣".encode(), b"abab", b"baaac",
]  # fmt: skip
TEMPLATES = [b"x", b"<$0>", b"[$1|${2}]", b"$1x$x-${y}", b"$$1 $ ${ ${1 $", b"", b"\xff$1\xff"]


@pytest.mark.parametrize("pattern", [*dict.fromkeys(ATOMS + WRONG)])
def test_each_construct_means_what_it_means_in_go(go: Go, pattern: str) -> None:
    for data in INPUTS:
        for template in TEMPLATES[1:4]:
            compare(go, pattern, data, template)


@pytest.mark.parametrize("template", [
    "$", "$$", "$$$", "$1", "${1}", "$01", "$0", "$10", "$1_", "$1-", "$n", "${n}", "$nn", "${n", "${}", "${n }", "$ 1",
    "$é", "${é}", "$n²", "$٣", "a$na", "$n$n", "\udcff$1\udcff", "$1\udcff", "$123456789012", "$2", "$3", "{$1}", "$-1",
    "$ª",
])  # fmt: skip
def test_a_template_means_what_it_means_in_go(go: Go, template: str) -> None:
    written = template.encode(errors="surrogateescape")
    assert compare(go, r"(?P<n>a)(b)?", b"xabay", written)
    assert compare(go, r"(?P<n>a)|(?P<n>b)", b"xabay", written)  # twice the same name


patterns = st.recursive(
    st.builds(str.__add__, st.sampled_from(ATOMS), st.sampled_from(REPETITIONS)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.builds(lambda pattern, repetition: f"({pattern}){repetition}", inner, st.sampled_from(REPETITIONS)),
        st.builds(lambda pattern, repetition: f"(?:{pattern}){repetition}", inner, st.sampled_from(REPETITIONS)),
    ),
    max_leaves=6,
)
inputs = st.one_of(
    st.lists(st.sampled_from(b"aaabbcdkKsS/_ .\n1".decode()), max_size=12).map(lambda text: "".join(text).encode()),
    st.lists(st.sampled_from("a b é ß ω \udcff \udce2 \udc82 \ufffd K ſ".split(" ")), max_size=9).map(
        lambda text: "".join(text).encode(errors="surrogateescape")
    ),
)
thorough = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@thorough
@given(pattern=patterns, data=inputs, template=st.sampled_from(TEMPLATES))
def test_what_is_made_of_go_s_constructs_matches_as_in_go(go: Go, pattern: str, data: bytes, template: bytes) -> None:
    compare(go, pattern, data, template)


@thorough
@given(pattern=st.text(r"ab()[]{}*+?|^$.\-,:=!<>PpQEdwxizAZ019 is", max_size=12), data=inputs)
def test_any_text_is_taken_or_refused_as_go_does_it(go: Go, pattern: str, data: bytes) -> None:
    compare(go, pattern, data, b"<$1>")


def test_a_pattern_that_is_no_utf_8_is_refused(go: Go) -> None:
    assert not compare(go, "a\udcff", b"a", b"")


def test_letters_fold_as_in_go(go: Go) -> None:
    """Every character with case that Unicode 13, the oldest that we meet, has."""
    cased = [chr(point) for point in range(0x80, 0x1F000) if chr(point).swapcase() != chr(point)]
    for character in cased[:: max(1, len(cased) // 300)]:
        if unicodedata.category(character) != "Cn":
            other = "".join(sorted({character.lower(), character.upper(), character.casefold(), character}))
            compare(go, f"(?i){character}", other.encode(), b"<$0>")
            compare(go, f"(?i)[^{character}]", other.encode(), b"<$0>")
