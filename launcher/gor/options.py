"""`config/gor.options`: the words of a shell, as gor's options, and what of them the log must hide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from launcher.command_hints import typography_hint
from launcher.destinations import Destination, parse_destination, split_role
from launcher.gor.flags import GorOption, parse_flags
from launcher.options import ConfigurationError
from launcher.shell_words import read_words

_CURLY_QUOTES = re.compile("[\u2018\u2019\u201c\u201d]")
MIN_SECRET_LENGTH = 4  # shorter ones occur everywhere by chance


@dataclass(frozen=True)
class GorOptions:
    """A file that was read and understood."""

    options: tuple[GorOption, ...]
    warnings: tuple[str, ...]
    secrets: tuple[tuple[str, str], ...] = field(repr=False)  # text -> what to print instead; the longest first


def read_gor_options(text: str, *, file: str, environ: Mapping[str, str]) -> GorOptions:
    """Reads a whole file. Raises ConfigurationError that starts with `file:line: `."""
    try:
        words, expanded = read_words(text, file=file, environ=environ)
        options, warnings = parse_flags(words)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}{_hint_at_typography(text, str(error))}") from None
    warnings += [
        f"{option.where}: the value of --{option.name} has {typography_hint(option.value)}"
        for option in options
        if _CURLY_QUOTES.search(option.value)
    ]
    return GorOptions(tuple(options), tuple(warnings), hidden(options, expanded))


def _hint_at_typography(text: str, error: str) -> str:
    """Says so if the line that `error` names has characters that a web page or a word processor puts in."""
    where = re.match(r".*?:(\d+): ", error)
    line = text.splitlines()[int(where[1]) - 1] if where and int(where[1]) <= len(text.splitlines()) else ""
    hint = typography_hint(line)
    return f" (the line has {hint})" if hint else ""


def destinations(options: Iterable[GorOption]) -> tuple[tuple[GorOption, Destination], ...]:
    """Each `--output-http`, in its order. The log names it by the option's `shown`."""
    return tuple(
        (option, parse_destination(option.value)[0]) for option in options if option.name == "output-http"
    )


def hidden(options: Iterable[GorOption], expanded: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What the log replaces: the options' secrets by ***, what variables held by their names; the longest first.

    Texts that occur by chance stay, lest the log become unreadable: short ones, small numbers, common words.
    """
    replacements = {secret: "***" for option in options for secret in option.secrets}
    for text, name in expanded.items():
        value = text.partition("=")[2] if text.startswith("-") else text  # a whole option may come from a variable
        for part in (value, *value.splitlines(), _address(value)):
            replacements.setdefault(part, name)
    telling = {text: instead for text, instead in replacements.items() if _is_telling(text)}
    return tuple(sorted(telling.items(), key=lambda pair: len(pair[0]), reverse=True))


def _address(value: str) -> str:
    """The part of a URL that a replayer may name in its messages: without limit, path and query."""
    try:
        return parse_destination(split_role(value)[1])[0].url if "://" in value else ""
    except ValueError:
        return ""


def _is_telling(text: str) -> bool:
    is_small_number = text.isdigit() and len(text) < 8
    is_common = text.lower() in ("true", "false", "http", "https")
    return len(text) >= MIN_SECRET_LENGTH and not is_small_number and not is_common
