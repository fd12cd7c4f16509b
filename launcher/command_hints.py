"""What people write behind the word that a shell understands and a launcher can't. Pure: words in, sentences out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# Commands that only a shell has: POSIX XCU §2.14, and what bash adds to them.
_SHELL_ONLY = frozenset(
    ". : alias cd eval exec exit export local popd pushd readonly return set shift shopt source trap ulimit umask "
    "unalias unset until wait while for if case function {".split()
)
# Flags of the launcher's that no app is likely to have: behind COMMAND they are the app's words.
_OURS_ALONE = frozenset(
    "--to --gor-options --replayer --app-port --app-socket --methods --not-path --sample --sample-by --drop-header "
    "--max-request --replayer-memory --max-cpu --stats-interval --metrics-port --drain-timeout".split()
)
_TYPOGRAPHY = "\u2018\u2019\u201c\u201d\u2013\u2014\u2212"  # curly quotes, dashes, the minus sign
_PORT_VARIABLE = re.compile(r"\$(?:PORT\b|\{PORT[}:])", re.ASCII)
_SHELLS = frozenset("sh bash dash ash zsh ksh".split())
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_PORT_FLAG = re.compile(r"-p|-P|--port|--http-port|--bind|-b|--listen|--address|--http", re.ASCII)
_PORT_FLAG_WITH_VALUE = re.compile(rf"(?:{_PORT_FLAG.pattern})=(.*)|-p(\d+)", re.ASCII)
_FIXED_PORT = re.compile(r"(?:(?:tcp|http)://)?(?:[\w.*-]*:|\[[0-9a-fA-F:.]*\]:)?([1-9]\d{1,4})", re.ASCII)


def typography_hint(text: str) -> str:
    """What to say of characters in it that web pages and word processors put in the place of plain ones; or nothing."""
    found = " ".join(dict.fromkeys(char for char in text if char in _TYPOGRAPHY))
    return f"{found}, as pages show them: type plain quotes and hyphens" if found else ""


def why_no_command(command: Sequence[str]) -> str | None:
    """What is wrong with the first word, if no program can have such a name, and how to mend it."""
    if not command:
        return None
    first = command[0]
    if _ASSIGNMENT.match(first):
        return f"{first.partition('=')[0]}=... before a command is a shell's: put it before start-traffic-duplicator"
    if first in _SHELL_ONLY:
        return f"{first} is a shell's own command: write bash -c '...', with exec before its last command"
    if len(command) == 1 and re.search(r"\s", first):
        return "the quotes make one word of the whole command: leave them out, or write bash -c '...'"
    return None


def hints(command: Sequence[str], client_port: int | None) -> Iterator[str]:
    """What is likely to be a mistake in a command that is to run behind the launcher on `client_port`."""
    wrong = why_no_command(command)
    if wrong is not None:
        yield wrong
    for word in command[1:]:
        if word.partition("=")[0] in _OURS_ALONE:
            yield f"{word.partition('=')[0]} stands behind the command, so it is the app's: put it before the command"
    port = _fixed_port(command)
    if port is not None and int(port) != client_port:
        yield (
            f"the command has the fixed port {port}, but clients come to $PORT, and the app must listen on another "
            "one: write $PORT, or {port}, in its place"
        )


def unexpanded_port_hint(command: Sequence[str]) -> str:
    """What to say of a `$PORT` that no shell has replaced, as in a Dockerfile's CMD in brackets; or nothing.

    Not for a Procfile's words, which a shell has not read yet.
    """
    if any(word.rpartition("/")[2] in _SHELLS for word in command) or not any(map(_PORT_VARIABLE.search, command)):
        return ""
    return "$PORT stands in the command as it is, for no shell has put the port in its place: write {port} instead"


def _fixed_port(command: Sequence[str]) -> str | None:
    """A port that the command names, if it mentions no variable one."""
    if any("PORT" in word or "{port}" in word or "{socket}" in word for word in command):
        return None
    for before, word in zip(("", *command), command, strict=False):
        match = _PORT_FLAG_WITH_VALUE.fullmatch(word)
        value = (match[1] or match[2] or "") if match else word if _PORT_FLAG.fullmatch(before) else ""
        if port := _FIXED_PORT.fullmatch(value):
            return port[1]
    return None
