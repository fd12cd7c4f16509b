"""The app's words, moved to another port: only whole numbers equal to the port change, and placeholders win."""

from __future__ import annotations

from collections.abc import Hashable

from launcher.app_command import PORT, SOCKET, move, stay

CLIENT_PORT, APP_PORT, PATH = 5000, 5001, "/tmp/a.sock"
WORD_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
WORDS = (b"5000", b"{port}", b"{socket}", b"\0", b".", b":", b"-p", b"_", b"\xef\xbc\x95", b"0.0.0.0:5000", b"1.5000")


def seeds() -> dict[str, bytes]:
    """Start commands; NUL stands between the words."""
    commands = (
        "rails s -p 5000", "app --listen=0.0.0.0:5000,[::]:5000", "app tcp://0.0.0.0:5000", "app 50001 1.5000 5000ms",
        "gunicorn -b unix:{socket}", "app {port} 5000", "5000 5000", "app -p5000 x5000 5000.5",
    )  # fmt: skip
    return {command: command.replace(" ", "\0").encode() for command in commands}


def check(data: bytes) -> Hashable:
    """Raises AssertionError if a word is changed that must not be, or not changed that must be. Returns which kind."""
    command = tuple(data.decode("utf-8", "surrogateescape").split("\0"))
    environ = {"PORT": "5000", "A": "b"}
    moved = move(command, environ, client_port=CLIENT_PORT, app_port=APP_PORT, app_socket=PATH)
    stayed = stay(command, environ, port=CLIENT_PORT)
    assert (moved.environ, stayed.environ) == ({"PORT": "5001", "A": "b"}, environ)
    has_placeholder = any(PORT in word or SOCKET in word for word in command)
    if has_placeholder:
        expected = tuple(word.replace(PORT, str(APP_PORT)).replace(SOCKET, PATH) for word in command)
    else:
        expected = (command[0], *(with_port_moved(word) for word in command[1:]))
        assert stayed.argv == command
    assert moved.argv == expected
    assert stay(command, environ, port=None).argv == command
    return has_placeholder, moved.argv == command, len(command) > 1


def with_port_moved(word: str) -> str:
    """Each whole number equal to the port, found character by character."""
    old, result, at = str(CLIENT_PORT), "", 0
    while at < len(word):
        before, after = word[max(0, at - 2) : at], word[at + len(old) : at + len(old) + 1]
        is_part = is_digit(before[-1:]) or (before[1:] == "." and is_digit(before[:1]))
        if word.startswith(old, at) and not is_part and (not after or after not in WORD_CHARACTERS):
            result += str(APP_PORT)
            at += len(old)
        else:
            result += word[at]
            at += 1
    return result


def is_digit(character: str) -> bool:
    """One of the ten that a port is written with."""
    return character != "" and character in "0123456789"
