"""The records and the option sets of the differential tests against the real gors."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from launcher.records import new_record
from tests.replay.gor_players import MARKER


def record(name: str, line: str, *headers: str, body: bytes = b"") -> bytes:
    """A record with this request line (HTTP/1.1 unless it says more) and these headers, and its name in X-Case."""
    first = line if " HTTP/" in line else f"{line} HTTP/1.1"
    return new_record("\r\n".join([first, *headers, f"X-Case: {name}", "", ""]).encode(), body)


HOST = "Host: app.example.com"
BASIC = "Authorization: Basic dXNlcjpwYXNz"  # user:pass
CHUNKS = b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n"

_PLAIN = {
    "root": record("root", "GET /", HOST),
    "api": record("api", "GET /api/users?id=7&sort=name", HOST, "Accept: */*", "User-Agent: test/1"),
    "api-v2": record("api-v2", "GET /api/v2/users/42", HOST, "X-Version: v12", "X-Keep: no"),
    "head": record("head", "HEAD /api/head", HOST, "X-Keep: yes"),
    "delete": record("delete", "DELETE /api/users/3?force", HOST, "Authorization: Bearer abc.def"),
    "options": record("options", "OPTIONS /api", HOST, "Origin: https://x.test"),
    "star": record("star", "OPTIONS *", HOST),
    "trace": record("trace", "TRACE /t", HOST),
    "patch": record("patch", "PATCH /api/p", HOST, "Content-Length: 3", body=b"a=b"),
    "post": record("post", "POST /submit?x=1", HOST, "Content-Length: 11", "Accept: */*", body=b"hello world"),
    "put-empty": record("put-empty", "PUT /empty", HOST, "Content-Length: 0"),
    "post-binary": record("post-binary", "POST /bin", HOST, "Content-Length: 257", body=bytes(range(256)) + b"\n"),
    "post-large": record("post-large", "POST /large", HOST, "Content-Length: 300000", body=b"0123456789" * 30000),
    "get-body": record("get-body", "GET /search", HOST, "Content-Length: 4", body=b"q=1\n"),
    "chunked": record("chunked", "POST /chunked", HOST, "Transfer-Encoding: chunked", "Trailer: X-Sum", body=CHUNKS),
    "unclean": record("unclean", "GET //double/./a/../b", HOST),
    "encoded": record("encoded", "GET /a%2Fb%20c/%e2%82%ac?q=%26%3D+x", HOST),
    "absolute": record("absolute", "GET http://other.test:99/abs?id=9", "Host: other.test:99"),
    "empty-params": record("empty-params", "GET /p?id=&k&=v&&id=2", HOST),
    "question": record("question", "GET /q?", HOST),
    "two-ids": record("two-ids", "GET /p?id=1&id=2", HOST),
    "like-id": record("like-id", "GET /p?xid=5&id=6&idx=7", HOST),
    "case": record("case", "GET /case", "hOsT: App.Example.COM:8080", "x-vErSiOn: v7", "ACCEPT: a/b", "x-keep: YES"),
    "order": record("order", "GET /order", "Z-Last: 1", "A-First: 2", HOST, "M-Middle: 3", "Cookie: a=1; b=2"),
    "duplicates": record("duplicates", "GET /dup", HOST, "X-Version: v1", "x-version: v2", "X-Keep: yes", "X-Keep: no"),
    "empty-value": record("empty-value", "GET /ev", HOST, "X-Version:", "X-Keep:   "),
    "blanks": record("blanks", "GET /bl", HOST, "X-Version: \t v3 \t", "X-Keep:yes"),
    "empty-agent": record("empty-agent", "GET /ua", HOST, "User-Agent:"),
    "basic": record("basic", "GET /auth", HOST, BASIC),
    "basic-other": record("basic-other", "GET /auth", HOST, "Authorization: Basic b3RoZXI6c2VjcmV0"),
    "basic-lower": record("basic-lower", "GET /auth", HOST, "authorization: basic b3RoZXI6c2VjcmV0"),
    "http10": record("http10", "GET /old HTTP/1.0", HOST),
    "no-host": record("no-host", "GET /no-host HTTP/1.0", "X-Keep: yes"),
    "encodings": record("encodings", "GET /enc", HOST, "Accept-Encoding: br, gzip", "Range: bytes=0-1"),
}  # fmt: skip
_ODD = {
    "purge": record("purge", "PURGE /api/cache?id=3", HOST, "X-Version: v12"),
    "lower": record("lower", "get /lower", HOST, "X-Keep: no"),
    "propfind": record("propfind", "PROPFIND /dav", HOST),
}

ODD_METHODS = frozenset(_ODD)
ALL = {**_PLAIN, **_ODD}
PLAIN = _PLAIN

# The choice of the hash limiters: by header, by parameter, and without either.
IDS = {
    **{f"id{n}": record(f"id{n}", f"GET /hash?a=b&user={n * 7919}", HOST, f"X-User: user-{n}") for n in range(400)},
    **{f"none{n}": record(f"none{n}", "GET /hash", HOST) for n in range(3)},
}

REDIRECTED = {
    f"{method.lower()}-{status}": record(
        f"{method.lower()}-{status}", f"{method} /jump/{status}/3", HOST, "X-Keep: yes",
        *(["Content-Length: 3"] if method == "POST" else []), body=b"abc" if method == "POST" else b"",
    )
    for method, status in [("GET", 301), ("GET", 302), ("GET", 303), ("GET", 307), ("GET", 308), ("HEAD", 302),
                           ("POST", 301), ("POST", 302), ("POST", 303), ("POST", 307), ("POST", 308)]
}  # fmt: skip


def marker(line: str = "GET /api/marker?id=1&keep=1", *headers: str) -> bytes:
    return record(MARKER, line, HOST, *headers)


@dataclass(frozen=True)
class Case:
    """One option set. `gor_words` are gor's for the same, where a documented difference makes them other ones.

    `differs`: records that don't arrive as from gor, each with the name of the difference; they must differ.
    With `1.2 ` before its name only that gor's does.
    """

    words: Sequence[str]
    records: Mapping[str, bytes] = field(default_factory=lambda: ALL, repr=False)
    marker: bytes = field(default=marker(), repr=False)
    destinations: int = 1
    has_stdout: bool = False
    gor_words: Sequence[str] = ()
    differs: Mapping[str, str] = field(default_factory=dict)
    not_1_3: str = ""  # the difference for which it is not compared with gor 1.3

    @property
    def is_split(self) -> bool:
        return "--split-output" in self.words


def case(words: str, **more: object) -> Case:
    given = shlex.split(words)
    if "--output-" not in words:
        given += ["--output-http", "{0}"]
    if "gor_words" in more:
        more["gor_words"] = [*shlex.split(str(more["gor_words"])), "--output-http", "{0}"]
    more.setdefault("has_stdout", "--output-stdout" in given)
    more.setdefault("destinations", sum(word.startswith("{") for word in given))
    return Case(given, **more)  # type: ignore[arg-type]


BASIC_LOWER = {"basic-lower": "scheme-case"}
STAR = {"star": "set-param-star"}

FILTERS = [
    case(""),
    case("--http-allow-url ^/api"),
    case("--http-allow-url ^/api/v2 --http-allow-url marker --http-allow-url users$"),
    case("--http-allow-url 'id=[0-9]+(&|$)'"),
    case(r"--http-allow-url '^/[a-z]+(/\w+)*\?'"),
    case("--http-allow-url '(?i)^/API'"),
    case("--http-allow-url app.example.com --http-allow-url marker"),
    case("--http-disallow-url ^/api/users"),
    case("--http-disallow-url // --http-disallow-url %2F --http-disallow-url '[?]$'"),
    case("--http-allow-url /api --http-disallow-url v2"),
    case("--http-allow-method GET"),
    case("--http-allow-method GET --http-allow-method POST --http-allow-method OPTIONS"),
    case("--http-allow-method DELETE", marker=marker("DELETE /m")),
    case("--http-allow-header X-Keep:^yes$", marker=marker("GET /", "X-Keep: yes")),
    case("--http-allow-header x-keep:(?i)yes", marker=marker("GET /", "X-Keep: yes")),
    case("--http-allow-header X-Version:^v --http-allow-header X-Keep:yes",
         marker=marker("GET /", "X-Keep: yes", "X-Version: v0")),
    case("--http-allow-header Host:^app"),
    case("--http-allow-header 'X-Version: ^v[0-9]+$'", marker=marker("GET /", "X-Version: v0")),
    case("--http-disallow-header X-Keep:^no$"),
    case("--http-disallow-header X-Version:1 --http-disallow-header Cookie:b="),
    case("--http-disallow-header User-Agent:test"),
    case("--http-disallow-header Authorization:Bearer"),
    case("--http-basic-auth-filter ^user:", differs=BASIC_LOWER),
    case("--http-basic-auth-filter ^user: --http-basic-auth-filter pass$", differs=BASIC_LOWER),
    case("--http-basic-auth-filter secret"),
]  # fmt: skip

LIMITERS = [
    *(case(f"--http-header-limiter X-User:{percent}%", records=IDS) for percent in (0, 1, 10, 25, 50, 99, 100)),
    *(case(f"--http-param-limiter user:{percent}%", records=IDS) for percent in (0, 1, 10, 33, 75, 100)),
    case("--http-header-limiter X-User:50% --http-param-limiter user:50%", records=IDS),
    case("--http-header-limiter X-User:60% --http-header-limiter x-user:20%", records=IDS),
    case("--http-param-limiter id:40%", marker=marker("GET /")),
    case("--http-param-limiter id:50% --http-header-limiter X-Version:50%", marker=marker("GET /")),
    case("--http-header-limiter X-Version:1/4", marker=marker("GET /")),
]

REWRITERS = [
    case("--http-rewrite-url /api/:/v9/"),
    case("--http-rewrite-url '/api/([^/?]+):/$1/api'"),
    case("--http-rewrite-url '/api/v([0-9]+)/users/(?P<id>[0-9]+):/u/${id}/v$1' --http-rewrite-url /api:/other"),
    case("--http-rewrite-url /p:/q --http-rewrite-url /q:/r"),
    case("--http-rewrite-url '[?].*$:'"),
    case("--http-rewrite-url '^/$:/index.html?a=$0'"),
    case("--http-rewrite-url a:bb"),
    case("--http-rewrite-header 'X-Version: v(.*),w$1'"),
    case("--http-rewrite-header 'X-Version: v,w' --http-rewrite-header 'X-Version: w(1),u$1-$1'"),
    case("--http-rewrite-header 'X-Keep: ^(no|yes)$,was-$1'"),
    case("--http-rewrite-header 'Cookie: a=1,a=2'"),
    case("--http-rewrite-header 'X-Absent: a,b' --http-rewrite-header 'X-Version: v,w'",
         gor_words="--http-rewrite-header 'X-Version: v,w' --http-rewrite-header 'X-Absent: a,b'"),
    case("--http-rewrite-header 'Host: example,beta' --http-original-host"),
    case("--http-set-header 'X-Version: set'"),
    case("--http-set-header 'X-New: a b' --http-set-header 'User-Agent: replay/1'"),
    case("--http-set-header 'X-Colon: a:b:c'"),
    case("--http-set-header 'Host: set.example.net'"),
    case("--http-set-header 'host: set.example.net'", gor_words="--http-set-header 'Host: set.example.net'",
         differs={"1.2 no-host": "host-spelling"}),
    case("--http-set-header 'Authorization: Bearer new' --http-disallow-header Authorization:Basic"),
    case("--http-set-param id=99", differs=STAR),
    case("--http-set-param k=1 --http-set-param new=a%20b", differs=STAR),
    case("--http-original-host"),
]  # fmt: skip

COMBINED = [
    case("--http-set-header 'X-V: v1' --http-allow-header X-V:v1"),
    case("--http-set-header 'X-Keep: yes' --http-disallow-header X-Keep:no",
         differs={"1.2 empty-value": "blank-value"}),
    case("--http-set-param id=5 --http-allow-url id=5", differs={"1.2 star": "set-param-star"}),
    case("--http-allow-url ^/api --http-rewrite-url ^/api:/v3 --http-set-header 'X-V: 1'"),
    case("--http-rewrite-url ^/api:/v3 --http-disallow-url ^/v3"),
    case("--http-rewrite-header 'X-Version: v,w' --http-disallow-header X-Version:w"),
    case("--http-allow-method GET --http-disallow-url /p --http-set-param k=1 --http-set-header 'X-A: 1' "
         "--http-original-host"),
    case("--http-set-header 'X-User: one' --http-header-limiter X-User:50% --http-allow-method GET"),
    case("--http-set-param id=1 --http-param-limiter id:90% --http-rewrite-url 'id=1:id=2'", differs=STAR),
]  # fmt: skip

OUTPUTS = [
    case("--output-stdout"),
    case("--output-stdout --http-rewrite-url ^/api:/v3 --http-set-header 'X-V: 1'"),
    case("--output-stdout --http-set-header 'Host: set.example.net' --http-allow-method GET"),
    case("--output-http {0} --output-stdout --http-disallow-url v2"),
    case("--output-http {0} --output-stdout --split-output", records=PLAIN, not_1_3="split-loses"),
    case("--output-http {0} --output-stdout --split-output --http-disallow-url ^/p", records=PLAIN,
         not_1_3="split-loses"),
    case("--output-http {0} --output-http {1}", not_1_3="several-destinations"),
    case("--output-http {0} --output-http {1} --http-original-host --http-set-header 'X-V: 1'",
         not_1_3="several-destinations"),
    case("--output-http {0} --output-http {1} --output-http {2} --split-output", records=PLAIN,
         not_1_3="several-destinations"),
    case("--output-http {0} --output-http {1} --split-output --http-allow-method GET", records=PLAIN,
         not_1_3="several-destinations"),
]  # fmt: skip

CASES = [*FILTERS, *LIMITERS, *REWRITERS, *COMBINED, *OUTPUTS]
