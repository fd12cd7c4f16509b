"""Which of gor's lines may be passed on: those of a known form, without anything of a request or a configuration.

gor prints whole requests when it panics and whole records when it can't read one, so a line is known or it is not
passed on; nor is what follows a printed request, for its body may hold lines that look like gor's. Of errors
only the kind is told: gor quotes what a destination answered. What is known was read from the sources of 1.2.0 and
1.3.2 and from Go's own (log, flag, runtime, net).

This runs in the relay's loop, and clients choose much of what gor quotes: only the first 4 KiB of a line are looked at,
and every pattern takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_CHARACTERS = 200
SILENCED = "(a request: what this gor says from here on is not passed on, it might be the client's words)"

_MAX_LOOKED_AT = 4096

_KNOWN = re.compile(
    r"""\d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d\ .       # Go's package log: start-up line, fatal errors
    | \[DEBUG\]\[elapsed\ [^\]]*\]:               # --verbose, --output-http-stats
    | \ ?output_(?:http|tcp):[\w,/]+$             # the figures of the latter
    | \[(?:MIDDLEWARE|GOR-HELPER)\]\ .            # our helper, and the user's program through it
    | flag\ (?:provided\ but\ not\ defined|needs\ an\ argument):
    | invalid\ (?:boolean\ )?(?:value|flag)\ .
    | (?:panic|fatal\ error|runtime):\ .          # Go's runtime; the stacks behind it are not passed on
    | gor\ run\ timeout\ .
    | Failed\ to\ decode\ input\ payload
    | [^ ]+:\ (?:error\ while\ loading\ shared\ libraries:|.*version\ `[^'`]+'\ not\ found)
    """,
    re.VERBOSE,
)
_REQUEST = re.compile(  # from here on it is a request, a response or a record: 1.2.0, mostly with --verbose 3
    r"""(?<=Failed\ to\ decode\ input\ payload\ ).*
    | (?<=Failed\ to\ send\ request:\ ).* | (?<=Found\ malformed\ record\ ).*
    | (?<=Sending:\ ).* | (?<=Received:\ ).* | (?<=[Rr]esponse:\ ).*
    | \b[A-Za-z]+\ \S+\ HTTP/\d.* | \bHTTP/\d\.\d\ \d{3}.*""",
    re.VERBOSE | re.DOTALL,
)
_DUMP = re.compile(  # what follows is printed as it is, lines and all; output-binary's TCPClient does so in 1.3.2, too
    r"""(?:\[DEBUG\]\[elapsed\ [^\]]*\]:|\d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d)\ (?:
      \[HTTPClient\]\ (?:Failed\ to\ send\ request|Response):
    | \[TCPClient\]\ (?:runtime\ error|interface|Failed\ to\ send\ request|Sending|Received)
    | \[OUTPUT-TCP\]\ Received\ response:
    | \[EMITTER\]\ Found\ malformed\ record\ (?!"))""",  # 1.3.2 quotes this one
    re.VERBOSE,
)
_SEND_ERROR = re.compile(  # 1.3.2: around it are the request's address, and what a destination answered
    r"""(?<=\[HTTP-OUTPUT\]\ error\ when\ sending:\ )(?P<address>"?[A-Za-z]+\ \\"[^"]*":\ )?(?P<error>.*)
    | (?<=\[HTTPCLIENT\]\ HTTP\ redirects\ )from.*""",
    re.VERBOSE | re.DOTALL,
)
_REASON = re.compile(  # of Go's net, net/http, crypto/tls and crypto/x509
    r"""context\ (?:deadline\ exceeded|canceled) | Client\.Timeout\ exceeded | (?:i/o|TLS\ handshake)\ timeout
    | connection\ (?:refused|reset\ by\ peer|timed\ out) | broken\ pipe | server\ closed\ idle\ connection
    | no\ such\ host | server\ misbehaving | no\ route\ to\ host | network\ is\ unreachable | too\ many\ open\ files
    | cannot\ assign\ requested\ address | (?:proxyconnect|socks\ connect)\ tcp | Proxy\ Authentication\ Required
    | x509:\ certificate\ (?:signed\ by\ unknown\ authority|has\ expired\ or\ is\ not\ yet\ valid)
    | x509:\ (?:certificate\ is\ (?:not\ )?valid\ for|cannot\ validate\ certificate) | remote\ error:\ tls
    | first\ record\ does\ not\ look\ like\ a\ TLS\ handshake
    | server\ gave\ HTTP\ response\ to\ HTTPS\ client | multiple\ Content-Length\ headers | bad\ Content-Length
    | malformed\ (?:HTTP\ (?:response|status\ code|version)|MIME\ header|chunked\ encoding)
    | unsupported\ (?:transfer\ encoding|protocol\ scheme) | failed\ to\ parse\ Location\ header
    | (?:unexpected\ )?EOF""",
    re.VERBOSE,
)
_REMOVED: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^(invalid (?:boolean )?value) .* (for (?:flag )?-[\w-]+)(: [^\"`]*)?.*$"), r"\1 \2\3"),
    (re.compile(r"^(invalid (?:boolean )?value) (?!for (?:flag )?-[\w-]+).*$"), r"\1"),
    (re.compile(r' ?command\["(?:[^"\\]|\\.)*(?:"\]|$)'), ""),  # with all its arguments, the user's program's, too
    (re.compile(r"using ['\"].*"), "using a command"),  # it is the last thing in its lines
    (re.compile(r"//[^\s/@\"]*@"), "//***@"),
    (re.compile(r"https?://[^\s\"\\]*"), lambda url: re.sub(r"\?.*", "?…", url[0])),  # whole: many in one
)


class GorLines:
    """The lines of one stream of one gor, from its start on."""

    def __init__(self, mask: Callable[[str], str] = str) -> None:
        self._mask = mask
        self._is_silenced = False

    def told(self, line: str) -> str | None:
        """The next line as it may be passed on; None if it may not."""
        if self._is_silenced:
            return None
        known = known_line(line, self._mask)
        if known is not None and _DUMP.match(line):
            self._is_silenced = True
            known = f"{known.partition('…')[0]}… {SILENCED}"
        return known


def _reason(error: re.Match[str]) -> str:
    """The kind of an error, if it is a known one: its words may be a client's or a destination's."""
    reason = _REASON.search(error["error"] or "")
    if reason is None:
        return "…"
    return reason[0] if reason.end() == len(error["error"].rstrip('"')) else f"{reason[0]} …"


def known_line(line: str, mask: Callable[[str], str] = str) -> str | None:
    """The line as it may be passed on, at most `MAX_CHARACTERS` and all of them printable; None if it may not.

    `mask` takes secrets out. It is called before the line is cut: half a secret would not be recognised.
    """
    text = mask(line.rstrip("\r\n"))
    if len(text) > _MAX_LOOKED_AT:
        text = text[:_MAX_LOOKED_AT].rpartition(" ")[0] + "…"  # no half of a word, which no pattern would recognise
    if not _KNOWN.match(text):
        return None
    text = _SEND_ERROR.sub(_reason, text)
    text = _REQUEST.sub("…", text)
    for pattern, replacement in _REMOVED:
        text = pattern.sub(replacement, text)
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
