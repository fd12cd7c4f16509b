"""The values of gor's flags: read as Go reads them, refused where gor would fail or silently replay nothing.

`checked` gives the one form that every gor from 1.0.0 on reads alike; `duration` and `size` turn that into numbers. A
ValueError completes the sentence "--flag must be ..." and never repeats the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from launcher import destinations
from launcher.gor.flag_table import Flag, Kind
from launcher.listen_address import parse_listen_address

# ---- plain kinds ---------------------------------------------------------------------------------------------------

_INTEGER = re.compile(r"([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|[1-9](?:_?[0-9])*|0)")
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_SIZE_UNIT = {"": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}
_MAX_SECONDS = 2**63 / 1e9  # Go counts nanoseconds in 64 bits
_MAX_INT = 2**31 - 1
_MOST_DIGITS = 100
_MAX_SIZE = 2**50
_TRUE = ("1", "t", "T", "TRUE", "true", "True")  # Go's strconv.ParseBool
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def boolean(text: str) -> bool:
    """True or False, from one of the twelve words that Go knows."""
    if text not in _TRUE + _FALSE:
        raise ValueError("true or false")
    return text in _TRUE


def integer(text: str) -> int:
    """A whole number as Go's `strconv.ParseInt(text, 0, 64)` reads it: 10, 0x1f, 0b11, 0o17 and 017 (octal), 1_000."""
    match = _INTEGER.fullmatch(text)
    if not match:
        raise ValueError("a whole number")
    sign, digits = match[1], match[2].lower()
    base = 10 if digits == "0" or digits[0] != "0" else {"x": 16, "b": 2}.get(digits[1], 8)
    if base == 10:
        digits = digits[:_MOST_DIGITS]  # more are beyond all bounds as well, and beyond what Python reads
    return int(sign + re.sub(r"^0[xbo]_?|_", "", digits), base)


def duration(text: str) -> float:
    """Seconds, 0 or more, as Go's `time.ParseDuration` reads them: 5s, 1m30s, 1.5h, 200ms; only 0 needs no unit."""
    bare = text.removeprefix("+")
    if bare == "0":
        return 0.0
    parts = _DURATION_PART.findall(bare)
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != bare or seconds >= _MAX_SECONDS:
        raise ValueError("a duration with its unit, such as 5s, 1m30s or 200ms")
    return seconds


def size(text: str) -> int:
    """Bytes, 0 to 2**50, as gor's `size.Size` reads them: 5mb, 512KB, 5242880; no other units, no fractions."""
    match = re.fullmatch(r"(.*?)([kmgt]b|)", text, re.IGNORECASE)
    try:
        value = integer(match[1]) * _SIZE_UNIT[match[2].lower()] if match else -1
    except ValueError:
        value = -1
    if not 0 <= value <= _MAX_SIZE:
        raise ValueError("a size as gor writes it, such as 32mb, 512kb or 65536")
    return value


def _checked_integer(text: str, flag: Flag) -> str:
    value = integer(text)
    if not flag.minimum <= value <= _MAX_INT:
        raise ValueError(f"a whole number from {flag.minimum} to {_MAX_INT}")
    return str(value)


def _checked_duration(text: str, flag: Flag) -> str:
    duration(text)
    return text


def _checked_size(text: str, flag: Flag) -> str:
    value = size(text)
    if value < flag.minimum:
        raise ValueError("a size of at least one byte: gor takes 0 for its default")
    return str(value)  # 1.0.0 knows bytes only


_BY_KIND: Mapping[Kind, Callable[[str, Flag], str]] = {
    Kind.BOOL: lambda text, flag: str(boolean(text)).lower(),
    Kind.INT: _checked_integer,
    Kind.DURATION: _checked_duration,
    Kind.SIZE: _checked_size,
}

# ---- values with a form of their own -------------------------------------------------------------------------------

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # §5.5: it would end the line, and more could follow
_BACK_REFERENCE = re.compile(r"\\(?:[1-7](?![0-7])|[89])")  # two digits are an octal number
_GROUP_NOT_IN_GO = re.compile(r"\(\?(?:=|!|<=|<!|>|#)")  # look-around, atomic groups, comments

Checked = tuple[str, list[str]]  # the value for gor, and warnings


def regular_expression(text: str, *, part: str = "", for_gor: bool = True) -> None:
    """Refuses what Go refuses. What only our own engine does not know passes `for_gor`: who uses it says so."""
    from launcher import go_regexp  # it takes some milliseconds, and few use it

    try:
        go_regexp.check_go(text)
    except go_regexp.GoUnsupported as error:
        if not for_gor:
            raise ValueError(f"a regular expression that can be had here: {error}") from None
    except go_regexp.GoSyntaxError as error:
        raise ValueError(
            f"a regular expression{part}, {_hint(text) or f'which for Go has this fault: {error}'}"
        ) from None


def _hint(text: str) -> str | None:
    """How to mend what is usually wrong with a pattern that Go has refused."""
    if re.match(r"[*+?]", text):
        return f"but what its {text[0]} repeats is missing (any text is .*)"
    bare = re.sub(r"\\\\|\\Q.*?(?:\\E|\Z)", "e", text, flags=re.DOTALL)
    back_reference = _BACK_REFERENCE.search(bare)
    bare = re.sub(r"\\.", "e", bare, flags=re.DOTALL)
    if bare.endswith("\\"):
        return "not ending in a single \\"
    bare = re.sub(r"\[\^?\]?(?:\[:\^?\w+:\]|[^\]])*\]", "c", bare)
    if back_reference or _GROUP_NOT_IN_GO.search(bare):
        return "as Go knows them: without look-around and back-references"
    if "[" in bare:
        return "whose every [ has its ]"
    without_pairs = re.sub(r"[^()]", "", bare)
    while "()" in without_pairs:
        without_pairs = without_pairs.replace("()", "")
    return "whose every ( has its )" if without_pairs else None


def _header_name(text: str) -> None:
    if not _TOKEN.fullmatch(text):
        raise ValueError("a header's name, directly followed by a colon and its value, such as 'X-Name: value'")


def _set_header(text: str) -> Checked:
    name, _, value = text.partition(":")
    _header_name(name.strip() if ":" in text else "")
    if _NOT_IN_A_VALUE.search(value.strip()):
        raise ValueError("a header whose value has no line ends and other control characters")
    return f"{name.strip()}: {value.strip()}", []


def _header_filter(text: str) -> Checked:
    name, colon, regexp = text.partition(":")
    _header_name(name if colon else "")  # gor doesn't trim it here: with a space behind it no header would match
    regular_expression(regexp.strip())
    return text, []


def _rewrite_header(text: str) -> Checked:
    name, colon, rest = text.partition(":")
    _header_name(name if colon else "")
    regexp, comma, new = rest.strip().partition(",")
    if not comma:
        raise ValueError("a header's name, a colon, a regular expression, a comma, what to put in its place")
    regular_expression(regexp, part=" before the first comma")
    if _NOT_IN_A_VALUE.search(new):
        raise ValueError("a rule that puts no line ends and other control characters into a header")
    return text, []


def _rewrite_url(text: str) -> Checked:
    regexp, colon, new = text.partition(":")
    if not colon:
        raise ValueError("a regular expression, a colon, what to put in its place, such as /v1/(.*):/v2/$1")
    regular_expression(regexp, part=" before the first colon")
    if re.search(r"[\x00-\x20\x7f]", new):
        raise ValueError("a rule that puts no spaces, line ends and control characters into a URL (%20 is a space)")
    return text, _path_warnings(regexp)


def _url_filter(text: str) -> Checked:
    regular_expression(text)
    return text, _path_warnings(text)


def _path_warnings(regexp: str) -> list[str]:
    if re.match(r"\^(?:[A-Za-z0-9]|\\w)", regexp):
        return ["only path and query are compared, which start with /: it matches nothing, unlike what gor's help says"]
    return []


def _method(text: str) -> Checked:
    if not _TOKEN.fullmatch(text):
        raise ValueError("one method such as GET; for several write the flag several times")
    return text, [] if text.isupper() else ["methods are compared with their case: those of HTTP are written GET, POST"]


def _basic_auth(text: str) -> Checked:
    regular_expression(text)
    return text, []


def _parameter(text: str) -> Checked:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or re.search(r"[\x00-\x20\x7f#]", f"{name.strip()}={value.strip()}"):
        raise ValueError("a parameter as it stands in a URL, such as api_key=1, spaces and other such as %20")
    return text, []


def _hash_limiter(text: str) -> Checked:
    """`NAME:25%`; the form of before 0.9.6, `NAME:1/4`, is reckoned as gor does it."""
    name, colon, share = text.partition(":")
    share = share.strip()
    percent = re.fullmatch(r"([0-9]{1,3})%", share)
    fraction = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", share)
    value = int(percent[1]) if percent else -1
    if fraction and int(fraction[2]):
        value = int(int(fraction[1]) / int(fraction[2]) * 100)
    if not colon or not name or name != name.strip() or not 0 <= value <= 100:
        raise ValueError("a name, directly followed by a colon and a whole share from 0% to 100%, such as user-id:25%")
    return f"{name}:{value}%", ["shares are written in per cent now, and it is taken so"] if fraction else []


def _destination(text: str) -> Checked:
    destination, warnings = destinations.parse_destination(text)
    return destination.argument, warnings


def _limited(text: str) -> Checked:
    address, _ = destinations.split_limit(text)
    if not address:
        raise ValueError("an address, not empty")
    return text, []


def dialed(address: str) -> tuple[str, int]:
    """Host, may be empty, and port of an address that gor dials. A ValueError completes "must be ..."."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/@]*)):([0-9]{1,5})", address)
    if not match or not 1 <= int(match[3]) <= 65535:
        raise ValueError("an aggregator's HOST:PORT, such as next:28020, with |10 (a second) or |10% behind it")
    return match[1] or match[2], int(match[3])


def _dialed(text: str) -> Checked:
    address, _ = destinations.split_limit(text)
    dialed(address)
    return text, []


def split_speed(text: str) -> tuple[str, destinations.Limit | None]:
    """`PATTERN|200%` is a speed, from 1 % on; `PATTERN|10` a rate. A ValueError completes "must be ..."."""
    pattern, bar, limit = text.partition("|")
    match = re.fullmatch(r"([1-9][0-9]{0,6})(%?)", limit)
    if not pattern or (bar and not match):
        raise ValueError("a name or pattern of files, with a speed (|200%) or at most so many a second (|10) behind it")
    return pattern, destinations.Limit(int(match[1]), bool(match[2])) if match else None


def _paced(text: str) -> Checked:
    split_speed(text)
    return text, []


def _listening(text: str) -> Checked:
    parse_listen_address(text)
    return text, []


_BY_NAME: Mapping[str, Callable[[str], Checked]] = {
    "http-allow-header": _header_filter,
    "http-allow-method": _method,
    "http-allow-url": _url_filter,
    "http-basic-auth-filter": _basic_auth,
    "http-disallow-header": _header_filter,
    "http-disallow-url": _url_filter,
    "http-header-limiter": _hash_limiter,
    "http-param-limiter": _hash_limiter,
    "http-rewrite-header": _rewrite_header,
    "http-rewrite-url": _rewrite_url,
    "http-set-header": _set_header,
    "http-set-param": _parameter,
    "input-file": _paced,
    "input-http": _listening,
    "input-tcp": _listening,
    "output-binary": _limited,
    "output-file": _limited,
    "output-http": _destination,
    "output-tcp": _dialed,
}


def checked(flag: Flag, text: str) -> Checked:
    """The value in the form that every gor reads alike, and warnings. A ValueError completes "must be ..."."""
    if "\0" in text:
        raise ValueError("a text without NUL")
    if flag.name in _BY_NAME:
        return _BY_NAME[flag.name](text)
    if flag.kind in _BY_KIND:
        return _BY_KIND[flag.kind](text, flag), []
    return text, []
