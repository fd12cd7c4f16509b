"""The app's command and environment, moved to another port or to a socket. Pure: words in, words out.

`{port}` and `{socket}` in an argument are replaced; where neither occurs, each whole number equal to the clients' port
is: `-p 5000`, `-p5000`, `0.0.0.0:5000`, `tcp://0.0.0.0:5000`, never inside `50001`, `1.5000` or `5000ms`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PORT = "{port}"
SOCKET = "{socket}"


@dataclass(frozen=True)
class AppCommand:
    """What is executed."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]


def mentions_socket(command: Sequence[str]) -> bool:
    """Whether the app is told by its arguments to listen on a Unix socket."""
    return any(SOCKET in word for word in command)


def move(
    command: Sequence[str], environ: Mapping[str, str], *, client_port: int, app_port: int, app_socket: str | None
) -> AppCommand:
    """The command for an app behind the relay, on `app_port` (or on `app_socket`, where the port is only a hint)."""
    argv = _replaced(command, client_port, app_port, app_socket)
    return AppCommand(argv, {**environ, "PORT": str(app_port)})


def stay(command: Sequence[str], environ: Mapping[str, str], *, port: int | None) -> AppCommand:
    """The command for an app that has the clients' port to itself, as if there were no launcher.

    `port` None means that there is no such port (a worker): nothing is replaced.
    """
    if port is None:
        return AppCommand(tuple(command), environ)
    argv = tuple(word.replace(PORT, str(port)) for word in command)
    return AppCommand(argv, {**environ, "PORT": str(port)})


def _replaced(command: Sequence[str], client_port: int, app_port: int, app_socket: str | None) -> tuple[str, ...]:
    if any(PORT in word or SOCKET in word for word in command):
        return tuple(word.replace(PORT, str(app_port)).replace(SOCKET, app_socket or SOCKET) for word in command)
    number = re.compile(rf"(?<!\d)(?<!\d\.){client_port}(?!\w)", re.ASCII)
    return (*command[:1], *(number.sub(str(app_port), word) for word in command[1:]))
