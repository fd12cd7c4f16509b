"""Streams that a client may send, each with the events that the framer must make of it."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.framing import Body, End, Framed, Head, Unframed

MAX_HEAD_BYTES = 65536


@dataclass(frozen=True)
class Case:
    """`stricter` says why we refuse what llhttp takes; without it llhttp refuses it, too."""

    name: str
    data: bytes
    want: tuple[Framed, ...]
    is_last: bool = False  # its client sends no request after it
    stricter: str = ""


def head(raw: bytes, body_length: int | None = 0, *, switches: bool = False) -> Head:
    method, target, _ = raw.split(b" ", 2)
    return Head(raw, method, target, body_length, switches)


def whole(raw: bytes, body: bytes = b"", body_length: int | None = 0, *, switches: bool = False) -> tuple[Framed, ...]:
    """The events of one complete request."""
    return (head(raw, body_length, switches=switches), *([Body(body)] if body else []), End())


def sized(name: str, raw: bytes, body: bytes, **more: bool) -> Case:
    return Case(name, raw + body, whole(raw, body, len(body)), **more)


def bodyless(name: str, raw: bytes, *, switches: bool = False, is_last: bool = False) -> Case:
    return Case(name, raw, whole(raw, switches=switches), is_last=is_last)


def chunked(name: str, body: bytes) -> Case:
    return Case(name, CHUNKED + body, whole(CHUNKED, body, None))


def refused(name: str, data: bytes, reason: str, stricter: str = "") -> Case:
    return Case(name, data, (Unframed(reason),), stricter=stricter)


def with_header(line: bytes) -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"


def with_lines(lines: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + lines + b"\r\n"


def refused_header(name: str, line: bytes, reason: str, stricter: str = "") -> Case:
    return refused(name, with_header(line) + b"hello", reason, stricter)


def refused_line(name: str, line: bytes, reason: str, stricter: str = "") -> Case:
    """A request line that is refused before headers that are sound."""
    return refused(name, line + b"\r\nHost: x\r\n\r\n", reason, stricter)


def refused_chunks(name: str, sound: bytes, bad: bytes, reason: str, stricter: str = "") -> Case:
    """A chunked body that is sound up to `bad`."""
    want = (head(CHUNKED, None), *([Body(sound)] if sound else []), Unframed(reason))
    return Case(name, CHUNKED + sound + bad, want, stricter=stricter)


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
H2C = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n"
TLS_CLIENT_HELLO = bytes.fromhex("16030100c8010000c403030d0a0d0a") + bytes(40)
LONGEST_PATH = b"/" + b"a" * (MAX_HEAD_BYTES - len(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))

_BETWEEN_WORDS = "llhttp skips any number of spaces between the words of a request line"
_RFC_TARGET = "llhttp takes more for a target than RFC 9112 §3.2 has"
_AMBIGUOUS_LIST = "llhttp joins them; others take the first or the last"
_RFC_1_0 = "RFC 9112 §6.1 calls its framing faulty"
_BAD_EXTENSION = "llhttp takes more for an extension than RFC 9112 §7.1.1 has"
_RFC_TRAILERS = "RFC 9110 §6.5.1 has no header there that frames or routes"
_OLD_HTTP = "no framing that we know"
_BOUNDED = "we bound what we hold"

REQUEST_LINES = (
    bodyless("a path with a query", b"GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("every printable character in a path", b"GET /" + bytes(range(0x21, 0x7F)) + b" HTTP/1.1\r\n\r\n"),
    bodyless("a path that is not clean", b"GET //a/./b/../c HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("no header at all", b"GET / HTTP/1.1\r\n\r\n"),
    bodyless("an absolute target", b"GET http://example.com:8080/a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("an absolute target without a path", b"GET http://[::1]:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("an absolute target with a query alone", b"GET https://example.com?b HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("an asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("an authority", b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", switches=True),
    bodyless("a method of WebDAV", b"PROPFIND /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("a method with a dash", b"M-SEARCH /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("a method of caches", b"PURGE /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("a method of icecast", b"SOURCE /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    bodyless("a method of 2025", b"QUERY /a HTTP/1.1\r\nHost: x\r\n\r\n"),
    refused_line("a method in lower case", b"put /a HTTP/1.1", "bad-method"),
    refused_line("a method that nobody knows", b"FETCH /a HTTP/1.1", "bad-method"),
    refused_line("a method and a letter", b"GETS /a HTTP/1.1", "bad-method"),
    refused_line("a method of RTSP", b"DESCRIBE /a HTTP/1.1", "bad-method"),
    refused_line("a method with a colon", b"GET: /a HTTP/1.1", "bad-method"),
    refused_line("two spaces before the target", b"GET  /a HTTP/1.1", "bad-request-line", _BETWEEN_WORDS),
    refused_line("two spaces after the target", b"GET /a  HTTP/1.1", "bad-request-line", _BETWEEN_WORDS),
    refused_line("a tab before the target", b"GET\t/a HTTP/1.1", "bad-method"),
    refused_line("a tab after the target", b"GET /a\tHTTP/1.1", "not-http"),
    refused_line("a space after the version", b"GET /a HTTP/1.1 ", "not-http"),
    refused_line("a space in the target", b"GET /a b HTTP/1.1", "bad-request-line"),
    refused_line("two versions", b"GET /a HTTP/1.1 HTTP/1.1", "bad-request-line"),
    refused_line("no target", b"GET HTTP/1.1", "bad-request-line"),
    refused_line("an empty target", b"GET  HTTP/1.1", "bad-request-line"),
    refused_line("a relative target", b"GET a HTTP/1.1", "bad-target"),
    refused_line("a query for a target", b"GET ?a HTTP/1.1", "bad-target"),
    refused_line("an asterisk and more", b"OPTIONS *a HTTP/1.1", "bad-target", _RFC_TARGET),
    refused_line("an absolute target without a host", b"GET http:///a HTTP/1.1", "bad-target", _RFC_TARGET),
    refused_line("an absolute target with credentials", b"GET http://u:p@x/ HTTP/1.1", "bad-target", _RFC_TARGET),
    refused_line("a fragment after the host", b"GET http://x#a HTTP/1.1", "bad-target"),
    refused_line("an authority for a GET", b"GET x:443 HTTP/1.1", "bad-target"),
    refused_line("a CONNECT to a path", b"CONNECT /a HTTP/1.1", "bad-target", _RFC_TARGET),
    refused_line("a CONNECT to a URL", b"CONNECT http://x:80/ HTTP/1.1", "bad-target", _RFC_TARGET),
    refused_line("a CONNECT without a port", b"CONNECT x HTTP/1.1", "bad-target", _RFC_TARGET),
    refused_line("UTF-8 in the target", b"GET /\xc3\xa9 HTTP/1.1", "bad-target"),
    refused_line("a NUL in the target", b"GET /\x00 HTTP/1.1", "bad-target"),
    refused_line("a DEL in the target", b"GET /\x7f HTTP/1.1", "bad-target"),
    refused_line("HTTP/0.9 by name", b"GET / HTTP/0.9", "bad-version", _OLD_HTTP),
    refused_line("HTTP/1.2", b"GET / HTTP/1.2", "bad-version"),
    refused_line("HTTP/2.0", b"GET / HTTP/2.0", "bad-version", _OLD_HTTP),
    refused_line("HTTP/1.10", b"GET / HTTP/1.10", "not-http"),
    refused_line("http in lower case", b"GET / http/1.1", "not-http"),
    refused_line("RTSP", b"OPTIONS * RTSP/1.0", "not-http", _OLD_HTTP),
    refused("HTTP/0.9", b"GET /\r\n\r\n", "not-http", _OLD_HTTP),
    refused("the start of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), "http-2"),
    refused("TLS", TLS_CLIENT_HELLO, "not-http"),
    refused("the PROXY protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + GET, "not-http"),
    refused("the PROXY protocol in binary", b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c" + bytes(12), "not-http"),
    refused("a space before the method", b" " + GET, "not-http"),
    refused("a response", b"HTTP/1.1 200 OK\r\n\r\n", "not-http"),
)

HEADERS = (
    bodyless("empty values and values in spaces", with_header(b"A:\r\nB: \r\nC:  c \t\r\nD:d")),
    bodyless("every character of a token in a name", with_header(b"!#$%&'*+-.^_`|~09AZaz: x")),
    bodyless("tabs and bytes beyond ASCII in a value", with_header(b"A: \x80\xff\tb")),
    bodyless("names that begin like those that matter", with_header(b"Content-Lengths: a\r\nUpgrade-Insecure: 1")),
    bodyless("names that end before those that matter", with_header(b"Content: a\r\nConnect-Time: 1\r\nTE: trailers")),
    bodyless("no Host", b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"),
    bodyless("Expect without a body", with_header(b"Expect: 100-continue")),
    refused_header("a folded line", b"A: b\r\n c: d", "obs-fold"),
    refused_header("a line folded with a tab", b"A: b\r\n\tc: d", "obs-fold"),
    refused("a folded line before any header", b"GET / HTTP/1.1\r\n A: b\r\n\r\n", "obs-fold"),
    refused_header("a folded Content-Length", b"Content-Length:\r\n 5", "obs-fold"),
    refused_header("a space before the colon", b"A : b", "space-before-colon"),
    refused_header("a tab before the colon", b"A\t: b", "space-before-colon"),
    refused_header("a space before the colon of a Content-Length", b"Content-Length : 5", "space-before-colon"),
    refused_header("no name", b": b", "bad-header-name"),
    refused_header("no colon", b"A", "bad-header-name"),
    refused_header("a space in a name", b"A B: c", "bad-header-name"),
    refused_header("a slash in a name", b"A/B: c", "bad-header-name"),
    refused_header("a NUL in a name", b"A\x00: c", "bad-header-name"),
    refused_header("UTF-8 in a name", b"\xc3\xa9: c", "bad-header-name"),
    refused_header("a NUL in a value", b"A: b\x00c", "control-character"),
    refused_header("a DEL in a value", b"A: b\x7fc", "control-character"),
    refused_header("a vertical tab in a value", b"A: b\x0bc", "control-character"),
    refused_header("a control character in a Connection", b"Connection: close\x01", "control-character"),
    refused_header("a CR in a value", b"A: b\rc", "bare-cr"),
    refused_header("a CR that hides a header", b"A: b\rContent-Length: 5", "bare-cr"),
    refused_header("two CRs at a line's end", b"A: b\r\r\nC: d", "bare-cr"),
    refused_header("an LF in a value", b"A: b\nc", "bare-lf"),
    refused_header("an LF that hides a header", b"A: b\nContent-Length: 5", "bare-lf"),
    refused("LF for every line end", GET.replace(b"\r\n", b"\n") + GET, "bare-lf"),
    refused("an LF after the request line", b"GET / HTTP/1.1\nHost: x\r\n\r\n", "bare-lf"),
    refused("a CR after the request line", b"GET / HTTP/1.1\rHost: x\r\n\r\n", "bare-cr"),
)

LENGTHS = (
    sized("a Content-Length", with_header(b"Content-Length: 5"), b"hello"),
    sized("a Content-Length in another case", with_header(b"cONTENT-lENGTH:5"), b"hello"),
    sized("a Content-Length in spaces", with_header(b"Content-Length: \t 5 \t "), b"hello"),
    sized("a Content-Length with a leading zero", with_header(b"Content-Length: 05"), b"hello"),
    sized("a Content-Length after many headers", with_header(b"A: b\r\n" * 40 + b"Content-Length: 5"), b"hello"),
    sized("headers around it", with_header(b"Connection: a\r\nA: b\r\nContent-Length: 5\r\nC: d"), b"hello"),
    sized("a body that looks like a request", with_header(b"Content-Length: %d" % len(GET)), GET),
    sized("a GET with a body", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", b"\n"),
    sized("Expect with a body", with_header(b"Expect: 100-continue\r\nContent-Length: 5"), b"hello"),
    bodyless("a Content-Length of 0", with_header(b"Content-Length: 0")),
    Case(
        "the largest Content-Length",
        with_header(b"Content-Length: 9223372036854775807") + b"hello",
        (head(with_header(b"Content-Length: 9223372036854775807"), 2**63 - 1), Body(b"hello")),
    ),
    refused_header("a Content-Length over it", b"Content-Length: 9223372036854775808", "bad-content-length", _BOUNDED),
    refused_header("a Content-Length over 64 bits", b"Content-Length: 18446744073709551621", "bad-content-length"),
    refused_header("a Content-Length of 5000 digits", b"Content-Length: " + b"9" * 5000, "bad-content-length"),
    refused_header("no digits", b"Content-Length:", "bad-content-length"),
    refused_header("a plus sign", b"Content-Length: +5", "bad-content-length"),
    refused_header("a minus sign", b"Content-Length: -5", "bad-content-length"),
    refused_header("a space between digits", b"Content-Length: 5 5", "bad-content-length"),
    refused_header("an underscore between digits", b"Content-Length: 0_5", "bad-content-length"),
    refused_header("hexadecimal", b"Content-Length: 0x5", "bad-content-length"),
    refused_header("a fraction", b"Content-Length: 5.0", "bad-content-length"),
    refused_header("a list of equal lengths", b"Content-Length: 5, 5", "bad-content-length"),
    refused_header("superscript two in Latin-1", b"Content-Length: \xb2", "bad-content-length"),
    refused_header("two equal lengths", b"Content-Length: 5\r\nContent-Length: 5", "repeated-content-length"),
    refused_header("two lengths apart", b"Content-Length: 5\r\nA: b\r\ncontent-length: 6", "repeated-content-length"),
    refused_header("a length, then chunked", b"Content-Length: 5\r\nTransfer-Encoding: chunked", "both-lengths"),
    refused_header("chunked, then a length", b"Transfer-Encoding: chunked\r\nContent-Length: 5", "both-lengths"),
    refused_header("a length of 0 and chunked", b"Content-Length: 0\r\nTransfer-Encoding: chunked", "both-lengths"),
    refused(
        "a CONNECT with a body",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(GET), GET),
        "connect-with-body",
        "llhttp takes the body for the first bytes of the tunnel",
    ),
    refused(
        "a chunked CONNECT",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "connect-with-body",
        "llhttp takes the body for the first bytes of the tunnel",
    ),
)

_GZIP = with_header(b"Transfer-Encoding: gzip, chunked")
_TWICE = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
_MANY = with_header(b"Transfer-Encoding:\t gzip ,deflate,\t CHUNKED  ")

CODINGS = (
    Case("another coding, then chunked", _GZIP + b"0\r\n\r\n", whole(_GZIP, b"0\r\n\r\n", None)),
    Case("other codings, spaces, capitals", _MANY + b"0\r\n\r\n", whole(_MANY, b"0\r\n\r\n", None)),
    refused_header("a coding that isn't chunked", b"Transfer-Encoding: gzip", "bad-transfer-encoding"),
    refused_header("identity", b"Transfer-Encoding: identity", "bad-transfer-encoding"),
    refused_header("chunked, then another", b"Transfer-Encoding: chunked, gzip", "bad-transfer-encoding"),
    refused_header("chunked twice", b"Transfer-Encoding: chunked, chunked", "bad-transfer-encoding"),
    refused_header("chunked at both ends", b"Transfer-Encoding: chunked , gzip, chunked", "bad-transfer-encoding"),
    refused_header("something like chunked", b"Transfer-Encoding: xchunked", "bad-transfer-encoding"),
    refused_header("chunked and more letters", b"Transfer-Encoding: chunkedx", "bad-transfer-encoding"),
    refused_header("chunked with a parameter", b"Transfer-Encoding: chunked;a=b", "bad-transfer-encoding"),
    refused_header("chunked in quotes", b'Transfer-Encoding: "chunked"', "bad-transfer-encoding"),
    refused_header("a tab after chunked", b"Transfer-Encoding: chunked\t", "bad-transfer-encoding"),
    refused_header("chunked after a space, no comma", b"Transfer-Encoding: gzip chunked", "bad-transfer-encoding"),
    refused_header("a byte beyond ASCII before chunked", b"Transfer-Encoding: \xa0chunked", "bad-transfer-encoding"),
    refused("no coding", with_header(b"Transfer-Encoding:"), "bad-transfer-encoding"),
    refused_header("an empty coding and a length", b"Transfer-Encoding:\r\nContent-Length: 5", "both-lengths"),
    refused(
        "two lines of codings",
        with_header(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
        "repeated-transfer-encoding",
        _AMBIGUOUS_LIST,
    ),
    refused_header("chunked in two lines", _TWICE, "repeated-transfer-encoding"),
    refused(
        "chunked in HTTP/1.0",
        b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding-in-http-1-0",
        _RFC_1_0,
    ),
)

CHUNKS = (
    chunked("no chunk", b"0\r\n\r\n"),
    chunked("a chunk", b"5\r\nhello\r\n0\r\n\r\n"),
    chunked("chunks of several sizes", b"1A\r\n%s\r\n00c\r\n%s\r\n0\r\n\r\n" % (b"x" * 26, b"\r\n" * 6)),
    chunked("a zero of many digits", b"1\r\nx\r\n0000000000000000\r\n\r\n"),
    chunked("a chunk that looks like the end", b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    chunked("extensions", b'5;a;b=c;d="e f;\\"\\\\"\r\nhello\r\n0;z\r\n\r\n'),
    chunked("an empty quoted extension", b'1;a=""\r\nx\r\n0\r\n\r\n'),
    chunked("trailers", b"1\r\nx\r\n0\r\nA: b\r\nDigest: \xff\t\r\n\r\n"),
    refused_chunks("a size that isn't one", b"", b"z\r\n", "bad-chunk-size"),
    refused_chunks("an empty size", b"", b"\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("a size with a sign", b"", b"+5\r\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("a size with 0x", b"", b"0x5\r\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("a space before a size", b"1\r\nx\r\n", b" 5\r\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("a space after a size", b"", b"5 \r\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("a tab after a size", b"", b"5\t;a\r\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("an underscore in a size", b"", b"0_5\r\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("a size over 64 bits", b"", b"10000000000000005\r\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("a size over 63 bits", b"", b"8000000000000000\r\nhello", "bad-chunk-size", _BOUNDED),
    refused_chunks("a size of 17 digits", b"", b"00000000000000005\r\nhello\r\n0\r\n\r\n", "bad-chunk-size", _BOUNDED),
    refused_chunks("LF after a size", b"", b"5\nhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("CR after a size", b"", b"5\rhello\r\n0\r\n\r\n", "bad-chunk-size"),
    refused_chunks("LF after the last size", b"1\r\nx\r\n", b"0\n\r\n", "bad-chunk-size"),
    refused_chunks("no name in an extension", b"", b"5;\r\nhello\r\n0\r\n\r\n", "bad-chunk-extension"),
    refused_chunks("an extension of nothing", b"", b"5;;\r\nhello\r\n", "bad-chunk-extension"),
    refused_chunks("an extension without a name", b"", b"5;=a\r\nhello\r\n", "bad-chunk-extension", _BAD_EXTENSION),
    refused_chunks("an extension without a value", b"", b"5;a=\r\nhello\r\n", "bad-chunk-extension", _BAD_EXTENSION),
    refused_chunks("a space in an extension", b"", b"5; a\r\nhello\r\n0\r\n\r\n", "bad-chunk-extension"),
    refused_chunks("LF after an extension", b"", b"5;a\nhello\r\n0\r\n\r\n", "bad-chunk-extension"),
    refused_chunks("CR in an extension", b"", b"5;a\rb\r\nhello\r\n0\r\n\r\n", "bad-chunk-extension"),
    refused_chunks("a quote that doesn't end", b"", b'5;a="b\r\nhello\r\n0\r\n\r\n', "bad-chunk-extension"),
    refused_chunks("letters after a quote", b"", b'5;a="b"c\r\nhello\r\n0\r\n\r\n', "bad-chunk-extension"),
    refused_chunks("LF in a quote", b"", b'5;a="\n"\r\nhello\r\n0\r\n\r\n', "bad-chunk-extension"),
    refused_chunks("a NUL in a quote", b"", b'5;a="\x00"\r\nhello\r\n0\r\n\r\n', "bad-chunk-extension"),
    refused_chunks("a chunk that is longer than its size", b"5\r\nhello", b"XX", "no-crlf-after-chunk"),
    refused_chunks("LF after a chunk", b"5\r\nhello", b"\n0\r\n\r\n", "no-crlf-after-chunk"),
    refused_chunks("CR after a chunk", b"5\r\nhello", b"\r0\r\n\r\n", "no-crlf-after-chunk"),
    refused_chunks("a Content-Length in trailers", b"0\r\n", b"Content-Length: 5\r\n\r\n", "bad-trailer"),
    refused_chunks("a Transfer-Encoding in trailers", b"0\r\nA: b\r\n", b"Transfer-Encoding: a\r\n\r\n", "bad-trailer"),
    refused_chunks("a Connection in trailers", b"0\r\n", b"Connection: a\r\n\r\n", "bad-trailer", _RFC_TRAILERS),
    refused_chunks("a folded trailer", b"0\r\nA: b\r\n", b" c\r\n\r\n", "bad-trailer"),
    refused_chunks("LF after a trailer", b"0\r\n", b"A: b\n\r\n", "bad-trailer"),
    refused_chunks("LF after the trailers", b"0\r\nA: b\r\n", b"\n", "bad-trailer"),
    refused_chunks("CR in a trailer", b"0\r\n", b"A: b\rc\r\n\r\n", "bad-trailer"),
    refused_chunks("no colon in a trailer", b"0\r\n", b"GET / HTTP/1.1\r\n\r\n", "bad-trailer"),
)

_TWO = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
_CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_OLD_KEPT = b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
_WEBSOCKET = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
_H2C_POST = b"POST /a HTTP/1.1\r\nHost: x\r\n" + H2C + b"Content-Length: 5\r\n\r\n"
_NO_CHUNK = b"0\r\n\r\n"
_H2C_CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\n" + H2C + b"Transfer-Encoding: chunked\r\n\r\n"

CONNECTIONS = (
    Case(
        "requests of all kinds, one after the other",
        GET + CHUNKED + b"2\r\nab\r\n0\r\nA: b\r\n\r\n" + _TWO + b"abc" + GET,
        (*whole(GET), *whole(CHUNKED, b"2\r\nab\r\n0\r\nA: b\r\n\r\n", None), *whole(_TWO, b"abc", 3), *whole(GET)),
    ),
    Case("empty lines before a request", b"\r\n\r\n" + GET, whole(GET)),
    Case("an empty line after a body", _TWO + b"abc\r\n" + GET, (*whole(_TWO, b"abc", 3), *whole(GET))),
    Case("empty lines alone", b"\r\n" * 9, ()),
    refused("LF before a request", b"\n" + GET, "not-http", "llhttp skips any CR and LF there"),
    refused("CR before a request", b"\r" + GET, "bare-cr", "llhttp skips any CR and LF there"),
    bodyless("close", _CLOSE, is_last=True),
    bodyless("close among others", with_header(b"Connection: foo ,\t CLOSE , bar"), is_last=True),
    bodyless("close in the first Connection", with_header(b"Connection: close\r\nconnection: foo"), is_last=True),
    bodyless("close in the second Connection", with_header(b"Connection: foo\r\nconnection: close"), is_last=True),
    bodyless("close in Proxy-Connection", with_header(b"Proxy-Connection: close"), is_last=True),
    bodyless("something like close", with_header(b"Connection: closed, close d")),
    bodyless("keep-alive", with_header(b"Connection: keep-alive")),
    bodyless("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", is_last=True),
    bodyless("HTTP/1.0, keep-alive", _OLD_KEPT),
    Case("empty lines after close", _CLOSE + b"\r\n\n", whole(_CLOSE), is_last=True),
    Case("a space after close", _CLOSE + b" ", (*whole(_CLOSE), Unframed("data-after-close"))),
    Case("data after close", _CLOSE + GET, (*whole(_CLOSE), Unframed("data-after-close"))),
    Case("data after empty lines after close", _CLOSE + b"\r\n" + GET, (*whole(_CLOSE), Unframed("data-after-close"))),
    Case(
        "data after HTTP/1.0",
        b"GET / HTTP/1.0\r\n\r\n" + GET,
        (*whole(b"GET / HTTP/1.0\r\n\r\n"), Unframed("data-after-close")),
    ),
    Case(
        "keep-alive and close in HTTP/1.0",
        b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n" + GET,
        (*whole(b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), Unframed("data-after-close")),
        stricter="llhttp looks only for keep-alive in HTTP/1.0",
    ),
    Case("a request after HTTP/1.0 with keep-alive", _OLD_KEPT + GET, (*whole(_OLD_KEPT), *whole(GET))),
    bodyless("a WebSocket", _WEBSOCKET, switches=True),
    bodyless("an Upgrade that Connection doesn't name", with_header(b"uPGRADE: a"), switches=True),
    Case("an Upgrade with a body", _H2C_POST + b"hello", whole(_H2C_POST, b"hello", 5, switches=True)),
    Case("an Upgrade with chunks", _H2C_CHUNKED + _NO_CHUNK, whole(_H2C_CHUNKED, _NO_CHUNK, None, switches=True)),
    Case("a declined Upgrade", _WEBSOCKET + GET * 2, (*whole(_WEBSOCKET, switches=True), *whole(GET) * 2)),
    Case("two declined Upgrades", _H2C_POST + b"hello" + _WEBSOCKET + GET, (
        *whole(_H2C_POST, b"hello", 5, switches=True), *whole(_WEBSOCKET, switches=True), *whole(GET),
    )),
    Case("a body that is not whole", _TWO + b"ab", (head(_TWO, 3), Body(b"ab"))),
    Case("a chunk that is not whole", CHUNKED + b"5\r\nhel", (head(CHUNKED, None), Body(b"5\r\nhel"))),
    Case("trailers that are not whole", CHUNKED + b"0\r\nA: b\r\n", (head(CHUNKED, None), Body(b"0\r\nA: b\r\n"))),
    Case("a head that is not whole", GET[:-1], ()),
)  # fmt: skip

_TOO_MANY_OPTIONS = "too-many-connection-options"
_TRAILERS = b"A: %s\r\n" % (b"b" * 65) * 935  # of 70 bytes each
_MOST = with_lines(b"a:\r\n" * 1000)
MORE_MARKED = b"GET / HTTP/1.1\r\n" + b"Expect:\r\n" * 65
_LONG_CODING = b"POST / HTTP/1.1\r\nTransfer-Encoding: " + b"a," * 506 + b"a,  chunked\r\n\r\n"  # 1,024 with the spaces
_LONG = b"a" * (MAX_HEAD_BYTES - len(b"1;\r\n") + 1)

SIZES = (
    bodyless("the longest head", b"GET " + LONGEST_PATH + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    refused("a longer head", b"GET " + LONGEST_PATH + b"a HTTP/1.1\r\nHost: x\r\n\r\n", "head-too-large", _BOUNDED),
    refused("a head that doesn't end", b"GET /" + b"a" * MAX_HEAD_BYTES, "head-too-large", _BOUNDED),
    chunked("the longest chunk line", b"1;" + _LONG[:-1] + b"\r\nx\r\n0\r\n\r\n"),
    refused_chunks("a longer chunk line", b"", b"1;" + _LONG + b"\r\nx\r\n", "bad-chunk-extension", _BOUNDED),
    chunked("the longest trailers", b"0\r\n" + _TRAILERS + b"A: %s\r\n\r\n" % (b"b" * 79)),
    refused_chunks(
        "longer trailers", b"0\r\n" + _TRAILERS + b"A: %s\r\n" % (b"b" * 80), b"\r\n", "trailers-too-large",
        _BOUNDED,
    ),
    refused_chunks("an endless trailer", b"0\r\n", b"A: " + b"a" * MAX_HEAD_BYTES, "trailers-too-large", _BOUNDED),
)

ASKED_FOR_BY_MUTATION_TESTING = (
    refused_header("letters around a digit", b"Content-Length: X5X", "bad-content-length"),
    bodyless("HTTP/1.0 with another option", b"GET / HTTP/1.0\r\nConnection: a\r\n\r\n", is_last=True),
    sized("HTTP/1.0 with a body", b"PUT / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", b"hello", is_last=True),
    chunked("a chunk of 48 bytes before one of 1", b"30\r\n%s\r\n1\r\nx\r\n0\r\n\r\n" % (b"y" * 48)),
)

MANY = (
    chunked("the most trailers", b"0\r\n" + b"a:\r\n" * 1008 + b"\r\n"),
    refused_chunks("more trailers", b"0\r\n" + b"a:\r\n" * 1009, b"\r\n", "trailers-too-large", _BOUNDED),
    bodyless("the most headers", _MOST),
    refused("more headers", with_lines(b"a:\r\n" * 1001), "too-many-headers", _BOUNDED),
    refused("more headers, and a bad one", with_lines(b"a:\r\n" * 1000 + b"bad\r\n"), "too-many-headers"),
    refused("the most headers, and one is bad", with_lines(b"a:\r\n" * 999 + b"bad\r\n"), "bad-header-name"),
    bodyless("the most headers that matter", with_lines(b"Expect:\r\n" * 63 + b"a: b\r\nExpect: a\r\n")),
    refused("more headers that matter", with_lines(b"Expect:\r\n" * 65), "too-many-headers", _BOUNDED),
    refused("more that matter, and a bad one", with_lines(b"Expect:\r\n" * 65 + b"bad\r\n"), "too-many-headers"),
    Case("more headers that matter, and no end", MORE_MARKED, ()),
    Case("the most headers behind a request", GET + _MOST, (*whole(GET), *whole(_MOST))),
    refused("more that matter in a longer head", MORE_MARKED + b"A: %s\r\n\r\n" % _LONG, "head-too-large", _BOUNDED),
    bodyless("the most options", with_lines(b"Connection: a,a,a,a\r\n" * 16)),
    refused("more options", with_lines(b"Connection: a" + b",a" * 64 + b"\r\n"), _TOO_MANY_OPTIONS, _BOUNDED),
    refused("more options in lines", with_lines(b"Connection: a,a,a\r\n" * 22), _TOO_MANY_OPTIONS, _BOUNDED),
    Case("the longest coding", _LONG_CODING, (head(_LONG_CODING, None),)),
    refused("a longer coding", _LONG_CODING.replace(b",a,", b",a, ", 1), "bad-transfer-encoding", _BOUNDED),
)

CASES = (
    *(*REQUEST_LINES, *HEADERS, *LENGTHS, *CODINGS, *CHUNKS, *CONNECTIONS, *SIZES),
    *(*ASKED_FOR_BY_MUTATION_TESTING, *MANY),
)
