"""The mechanism of options: declare one as a field, read argv and environment, convert, refuse.

A class of options is a frozen dataclass whose fields come from `option(...)`; everything else (parsing, `--help`, the
table in the docs, what `--dry-run` prints) follows from the fields. An option beats its variable, a variable beats
the default. A bad option is wrong usage (`UsageError`, exit status 2); a bad variable is a broken configuration: it
is told (`Reading.problems`), and the app runs unmirrored.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar


class UsageError(Exception):
    """Wrong words on the command line. The text says which, and what would be right. Exit status 2."""


class ConfigurationError(Exception):
    """A broken configuration (a variable, an options file). The text says what, where and what to do."""


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: its flag, its variable, how its text becomes a value, and what `--help` says of it."""

    flag: str  # empty for one that has a variable only
    help: str
    parse: Callable[[str], Any]
    metavar: str
    env: str | None = None
    default_text: str = ""
    repeatable: bool = False  # the value is a tuple; the variable holds several, separated by spaces
    starts_nothing: bool = False  # with it the command is not what is asked for
    takes_words: bool = False  # its value is all words up to the next option

    @property
    def takes_value(self) -> bool:
        """Whether its value is the next word."""
        return bool(self.metavar) and not self.takes_words


def option(
    flag: str,
    help: str,
    *,
    metavar: str = "",
    parse: Callable[[str], Any] = str,
    env: str | None = None,
    default: Any = None,
    default_text: str = "",
    repeatable: bool = False,
    starts_nothing: bool = False,
    takes_words: bool = False,
) -> Any:
    """A dataclass field for one option. Without `metavar` it is a switch, False until given."""
    if not metavar:
        parse, default = boolean, bool(default)
    declared = Option(
        flag=flag, help=help, parse=parse, metavar=metavar, env=env, default_text=default_text, repeatable=repeatable,
        starts_nothing=starts_nothing, takes_words=takes_words,
    )  # fmt: skip
    return field(default=() if repeatable else default, metadata={"option": declared})


def declared(cls: type[Any]) -> dict[str, Option]:
    """The options of `cls` by field name, in their declared order."""
    return {f.name: f.metadata["option"] for f in fields(cls) if "option" in f.metadata}


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What argv and environment said."""

    values: T
    command: tuple[str, ...]
    problems: tuple[str, ...]  # broken variables; their options have the default value
    given: Mapping[str, str]  # field name -> "option" or "variable"; the rest are defaults


def read(cls: type[T], argv: Sequence[str], environ: Mapping[str, str]) -> Reading[T]:
    """Reads options up to the first word that is none, which starts the command. Raises UsageError."""
    from_argv, command = _read_argv(declared(cls), argv)
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    problems: list[str] = []
    for name, opt in declared(cls).items():
        if name in from_argv:
            values[name], given[name] = from_argv[name], "option"
        elif opt.env and environ.get(opt.env, "") != "":
            try:
                values[name] = _convert_variable(opt, environ[opt.env])
                given[name] = "variable"
            except ValueError as error:
                problems.append(f"{opt.env} must be {error}")
    return Reading(cls(**values), tuple(command), tuple(problems), given)


def _read_argv(options: Mapping[str, Option], argv: Sequence[str]) -> tuple[dict[str, Any], Sequence[str]]:
    by_flag = {opt.flag: (name, opt) for name, opt in options.items() if opt.flag}
    values: dict[str, Any] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        flag, equals, text = word.partition("=")
        if flag not in by_flag:
            raise UsageError(f"there is no option {flag}{_closest(flag, by_flag)}; --help lists them all")
        name, opt = by_flag[flag]
        if opt.takes_words and not equals:
            while rest and not rest[0].startswith("-"):
                text = f"{text} {rest.pop(0)}".strip()
        elif opt.takes_value and not equals:
            if not rest:
                raise UsageError(f"{flag} needs a value: {flag} {opt.metavar}")
            text = rest.pop(0)
        try:
            value = opt.parse(text if equals or opt.metavar else "true")
        except ValueError as error:
            raise UsageError(f"{flag} must be {error}") from None
        values[name] = (*values.get(name, ()), value) if opt.repeatable else value
    return values, rest


def _convert_variable(opt: Option, text: str) -> Any:
    if opt.repeatable:
        return tuple(opt.parse(word) for word in text.split())
    return opt.parse(text.strip())


def _closest(flag: str, known: Mapping[str, Any]) -> str:
    import difflib  # only an error needs it, and it is slow to import

    close = difflib.get_close_matches(flag, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def help_text(cls: type[Any], *, width: int = 80) -> str:
    """One paragraph an option: flag, variable, meaning, default."""
    paragraphs = []
    for opt in declared(cls).values():
        head = f"  {opt.flag or opt.env} {opt.metavar}".rstrip()
        tail = opt.help
        if opt.repeatable:
            tail += "; may be repeated"
        if opt.default_text:
            tail += f" (default: {opt.default_text})"
        if opt.env and opt.flag:
            tail += f" [{opt.env}]"
        body = textwrap.wrap(
            tail, width, initial_indent=" " * 6, subsequent_indent=" " * 6,
            break_on_hyphens=False, break_long_words=False,
        )
        paragraphs.append("\n".join([head, *body]))
    return "\n".join(paragraphs)


# ---- converters: text -> value; a ValueError completes the sentence "--flag must be ..." -------------------------

_MOST_QUOTED = 60


def quoted(text: str) -> str:
    """A value that was refused, in quotes, cut where it is long."""
    return repr(text if len(text) <= _MOST_QUOTED else text[:_MOST_QUOTED] + "…")


_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)
_SIZE_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def size(text: str) -> int:
    """Bytes, 1 to 2**50: `16MiB`, `16m`, `16mb`, `65536`. As with gor, k is 1024, with or without the i."""
    match = _SIZE.fullmatch(text.strip())
    value = int(float(match[1]) * 1024 ** _SIZE_EXPONENT[match[2].lower()]) if match else 0
    if not 1 <= value <= 2**50:
        raise ValueError(f"a size such as 16MiB, not {quoted(text)}")
    return value


def format_size(value: int) -> str:
    """The size with the largest unit that keeps it whole, such as 16MiB."""
    for unit, exponent in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if value >= 1024**exponent and value % 1024**exponent == 0:
            return f"{value // 1024 ** exponent}{unit}"
    return f"{value}B"


def rough_size(value: int) -> str:
    """A measured size for people, such as 34.2MiB."""
    return f"{value / 1024**2:.1f}MiB"


def percent(text: str) -> float:
    """0 to 100, with or without a percent sign."""
    value = number(text.strip().removesuffix("%").rstrip())
    if value is None or not 0 <= value <= 100:
        raise ValueError(f"a percentage from 0 to 100, not {quoted(text)}")
    return value


def per_second(text: str) -> float:
    """More than 0, at most a million, a second: `50`, `0.5`, `50/s`."""
    value = number(text.strip().removesuffix("/s"))
    if value is None or not 0 < value <= 1_000_000:
        raise ValueError(f"a number a second, more than 0 and at most a million, not {quoted(text)}")
    return value


def seconds(text: str) -> float:
    """0 to 86400 (a day), in seconds: `60`, `0.5`, `60s`."""
    value = number(text.strip().removesuffix("s"))
    if value is None or not 0 <= value <= 86400:
        raise ValueError(f"a number of seconds from 0 to 86400, not {quoted(text)}")
    return value


def port(text: str) -> int:
    """1 to 65535."""
    stripped = text.strip()
    if not (re.fullmatch(r"[0-9]{1,5}", stripped) and 1 <= int(stripped) <= 65535):
        raise ValueError(f"a port from 1 to 65535, not {quoted(text)}")
    return int(stripped)


def process_id(text: str) -> int:
    """1 to 2**22, the most that Linux counts to (proc(5), pid_max)."""
    stripped = text.strip()
    if not (re.fullmatch(r"[0-9]{1,7}", stripped) and 1 <= int(stripped) <= 2**22):
        raise ValueError(f"a process's number, not {quoted(text)}")
    return int(stripped)


def boolean(text: str) -> bool:
    """true/1/yes/on or false/0/no/off, in any case."""
    word = text.strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"true or false, not {quoted(text)}")


_MOST_COUNTED = 10_000


def count(text: str) -> int:
    """0 to 10000."""
    if not re.fullmatch(r"[0-9]{1,5}", text.strip(), re.ASCII) or int(text) > _MOST_COUNTED:
        raise ValueError(f"a number from 0 to {_MOST_COUNTED}, not {quoted(text)}")
    return int(text)


def ignorable(text: str) -> str:
    """What a comparison leaves out: a path in JSON such as `$.items[].id`, or a header's name."""
    if not re.fullmatch(r"\$[^\s]{0,200}", text) and not _HEADER_NAME.fullmatch(text.removeprefix("header:")):
        raise ValueError(f"a path in JSON such as $.items[].id, or a header's name, not {quoted(text)}")
    return text


_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # a token: RFC 9110 §5.6.2


def header_name(text: str) -> str:
    """A field name, RFC 9110 §5.1."""
    if "," in text:
        several = "several stand with spaces between them in the variable"
        raise ValueError(f"one header's name: {several}, not {quoted(text)}")
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError(f"a header's name such as Cookie, not {quoted(text)}")
    return text


def number(text: str) -> float | None:
    """A number without sign or exponent; None for anything else."""
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) else None
