"""Words to gor's options: Go's flag syntax, current names, checked values.

Shared by config/gor.options, by `--to` and by the built-in replayer's command line. What gor would ignore, or accept
and then replay nothing, is refused: a `ConfigurationError` that starts with where the word stands. Old names are
translated, with a warning. Nothing that is printed holds a variable's value or a credential.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from launcher.destinations import split_role
from launcher.gor.flag_table import FLAGS, OUTPUTS, POSITIONAL, REMOVED, RENAMED, Flag, Kind, Release
from launcher.gor.masking import masked
from launcher.gor.values import boolean, checked, integer
from launcher.options import ConfigurationError

__all__ = [
    "FLAGS", "REMOVED", "RENAMED", "Flag", "GorOption", "Kind", "Release", "Word",
    "for_release", "is_output", "needs_gor", "parse_flags",
]

_ALIASES = {"to": "output-http"}  # ours, at home wherever gor's words are


@dataclass(frozen=True)
class Word:
    """One word, as a shell would hand it to gor."""

    value: str = field(repr=False)
    shown: str  # what may be printed: variables unexpanded; `masked` hides the rest
    where: str  # such as `config/gor.options:3`, `--to` or `argument 2`


@dataclass(frozen=True)
class GorOption:
    """One option by its current name. A BOOL has the value `true` or `false`, a SIZE plain bytes, an INT is decimal."""

    name: str  # without dashes
    value: str = field(repr=False)
    shown: str  # the value for the log: variables unexpanded, credentials, values of headers and parameters masked
    where: str
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what `shown` hides
    role: str = ""  # of a destination whose answers are compared; `shown` has it, too

    def argv(self) -> list[str]:
        """The option as gor takes it."""
        if FLAGS[self.name].kind is Kind.BOOL:
            return [f"--{self.name}" if self.value == "true" else f"--{self.name}=false"]
        if self.name == "verbose":  # a switch before 1.2.0: a number behind a space would end gor's options there
            return [f"--verbose={self.value}"]
        return [f"--{self.name}", self.value]


def parse_flags(
    words: Sequence[Word], refused: Mapping[str, str] = REMOVED
) -> tuple[list[GorOption], list[str]]:
    """The options in their order, and warnings. Of a flag that can't be repeated the last one counts, as with Go.

    `refused` are flags that have no place here, and what to do instead.
    """
    options: list[GorOption] = []
    warnings: list[str] = []
    rest = deque(words)
    previous = None
    while rest:
        word = rest.popleft()
        given, inline = _split(word, previous)
        kind = _kind(given, word, refused)
        previous = _Given(given, kind is Kind.BOOL and inline is None)
        value = _take_value(given, kind, inline, word, rest)
        name, value, notes = _translated(given, kind, value)
        option, value_notes = _option(given, FLAGS[name], word, value)
        options.append(option)
        warnings += [f"{word.where}: --{given}: {note}" for note in notes]
        warnings += [f"{value.where}: --{given} '{option.shown}': {note}" for note in value_notes]
    options, repeated = _without_repeated(options)
    _check_pairs(options)
    return options, warnings + repeated


def is_output(option: GorOption) -> bool:
    """Whether it is a place where copies go, and not a setting of one."""
    return option.name in OUTPUTS and option.value != "false"


def needs_gor(option: GorOption) -> bool:
    """Whether it is, or belongs to, an output that only a real gor has."""
    return FLAGS[option.name].gor_only_output or (option.name == "output-file" and option.value.startswith("s3://"))


def for_release(options: Iterable[GorOption], release: Release) -> tuple[list[GorOption], list[GorOption]]:
    """The options that a gor of this release, such as (1, 2, 0), is to get, and those that it doesn't have.

    An option that it doesn't have ends it at once with status 2 (Go's `flag provided but not defined`). One that would
    make it print requests is weakened: what a body holds would look like lines of gor's.
    """
    known: list[GorOption] = []
    unknown: list[GorOption] = []
    options = list(options)
    most = _most_verbose(options, release)
    for option in options:
        flag = FLAGS[option.name]
        fits = flag.since <= release and (flag.until is None or release < flag.until)
        if option.name == "verbose" and int(option.value) > most:
            option = GorOption("verbose", str(most), str(most), option.where)
        (known if fits else unknown).append(option)
    return known, unknown


def _most_verbose(options: Iterable[GorOption], release: Release) -> int:
    """The level up to which this release prints no requests and no answers, but for its panics and bad records."""
    names = {option.name for option in options if option.value != "false"}
    if release < (1, 2) or "output-binary-debug" in names:  # before 1.2 it is a switch
        return 0
    if release < (1, 3):
        return 1 if "output-binary" in names else 2
    return 3


@dataclass(frozen=True)
class _Given:
    """A flag as it was given."""

    name: str
    is_bare_switch: bool  # a BOOL without `=`


def _split(word: Word, previous: _Given | None) -> tuple[str, Word | None]:
    """The flag's name as given, and its value if it stands in the same word."""
    text = word.value
    if not text.startswith("-") or text == "-":
        raise ConfigurationError(f"{word.where}: {_about_positional(text, previous)}")
    dashes = "--" if text.startswith("--") else "-"
    name, equals, value = text.removeprefix(dashes).partition("=")
    if not name or name.startswith("-"):
        raise ConfigurationError(f"{word.where}: a word of dashes is no option, and gor would stop reading there")
    if not equals:
        return name, None
    prefix = f"{dashes}{name}="
    shown = word.shown.removeprefix(prefix) if word.shown.startswith(prefix) else word.shown
    return name, Word(value, shown, word.where)


def _about_positional(text: str, previous: _Given | None) -> str:
    """The word is not shown unless it is a known one: it may be half of a header that was not quoted."""
    if text in POSITIONAL:
        return f"{text!r} is no option, and gor would ignore all that follows it; {POSITIONAL[text]}"
    if previous and previous.is_bare_switch:
        return f"--{previous.name} takes a value in the same word only, such as --{previous.name}=true"
    place = f"after the value of --{previous.name}" if previous else "at the beginning"
    advice = "; if both belong together, put them into single quotes" if previous else ""
    return f"there is a word {place} that is no option, and gor would ignore all that follows it{advice}"


def _kind(given: str, word: Word, refused: Mapping[str, str]) -> Kind:
    if given in refused:
        raise ConfigurationError(f"{word.where}: --{given} can't be used here: {refused[given]}")
    if given in RENAMED:
        return RENAMED[given].kind
    name = _ALIASES.get(given, given)
    if name not in FLAGS:
        raise ConfigurationError(f"{word.where}: gor has no option {_shown_flag(word)}{_closest(given, word)}")
    return FLAGS[name].kind


def _translated(given: str, kind: Kind, value: Word) -> tuple[str, Word, list[str]]:
    """The current name, its value, what to say of it."""
    if given == "verbose" and value.value in ("true", "false"):
        level = "1" if value.value == "true" else "0"
        note = f"since gor 1.2.0 it takes a number: taken as --verbose {level}"
        return given, Word(level, level, value.where), [note]
    if given not in RENAMED:
        return _ALIASES.get(given, given), value, []
    renamed = RENAMED[given]
    if renamed.value is not None:
        text = renamed.value if kind is not Kind.BOOL or _is_on(given, value) else "0"
        value = Word(text, text, value.where)
    becomes = f"--{renamed.new}" + (f" {value.value}" if renamed.new == "verbose" else "")
    return renamed.new, value, [f"since gor {renamed.since} it is called {becomes}, and is taken as that"]


def _is_on(given: str, value: Word) -> bool:
    try:
        return boolean(value.value)
    except ValueError as error:
        raise ConfigurationError(f"{value.where}: --{given} must be {error}") from None


def _closest(given: str, word: Word) -> str:
    if word.value != word.shown:
        return ""
    import difflib  # only an error needs it, and it is slow to import

    close = difflib.get_close_matches(given, [*FLAGS, *RENAMED], n=1)
    return f" (did you mean --{close[0]}?)" if close else ""


def _shown_flag(word: Word) -> str:
    name = masked("", word.shown.partition("=")[0])[0]
    return name if len(name) <= 40 else name[:40] + "..."


def _take_value(given: str, kind: Kind, inline: Word | None, word: Word, rest: deque[Word]) -> Word:
    if inline is not None:
        return inline
    if kind is Kind.BOOL:
        return Word("true", "true", word.where)
    if given == "verbose" and not (rest and _is_number(rest[0].value)):
        return Word("true", "true", word.where)  # the switch of before 1.2.0
    if not rest or _is_flag(rest[0].value):
        if given == "output-dummy":  # its value means nothing
            return Word("", "", word.where)
        found = f", but {_shown_flag(rest[0])} follows" if rest else ""
        raise ConfigurationError(f"{word.where}: --{given} needs a value{found}")
    return rest.popleft()


def _is_number(text: str) -> bool:
    try:
        integer(text)
    except ValueError:
        return False
    return True


def _is_flag(text: str) -> bool:
    """Whether a word names a flag. gor would take it for the value before it, but nobody can have meant that."""
    name = text.removeprefix("-").removeprefix("-").partition("=")[0]
    return text.startswith("-") and (name in FLAGS or name in RENAMED or name in REMOVED or name in _ALIASES)


def _option(given: str, flag: Flag, word: Word, value: Word) -> tuple[GorOption, list[str]]:
    role, value_text, value_shown = "", value.value, value.shown
    if flag.name == "output-http":
        role, value_text = split_role(value.value)
        value_shown = value.shown.removeprefix(f"{role}=") if role else value.shown
    shown = masked(flag.name, value_shown)[0]
    try:
        text, notes = checked(flag, value_text)
    except ValueError as error:
        raise ConfigurationError(f"{value.where}: --{given} must be {error}; it is '{shown}'") from None
    if shown == value_text:  # nothing to hide: then as it was understood
        shown = text
    shown = f"{role}={shown}" if role else shown
    return GorOption(flag.name, text, shown, word.where, masked(flag.name, text)[1], role), notes


def _without_repeated(options: list[GorOption]) -> tuple[list[GorOption], list[str]]:
    last = {option.name: option for option in options}
    kept, warnings = [], []
    for option in options:
        winner = last[option.name]
        if FLAGS[option.name].kind is Kind.MULTI or option is winner:
            kept.append(option)
        elif option.value != winner.value:
            warnings.append(f"{option.where}: --{option.name} is given again at {winner.where}, which counts")
    return kept, warnings


def _check_pairs(options: list[GorOption]) -> None:
    by_name = {option.name: option for option in options}
    pair = ("output-kafka-host", "output-kafka-topic")
    for name, other in (pair, pair[::-1]):
        if name in by_name and other not in by_name:
            raise ConfigurationError(f"{by_name[name].where}: --{name} needs --{other}: without it gor sends nothing")
