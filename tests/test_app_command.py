"""The app's words, moved to another port or socket."""

from __future__ import annotations

import pytest

from launcher.app_command import mentions_socket, move, stay


def moved(*command: str, socket: str | None = None) -> tuple[str, ...]:
    return move(command, {}, client_port=5000, app_port=5001, app_socket=socket).argv


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("5000", "5001"),
        ("-p5000", "-p5001"),
        ("--port=5000", "--port=5001"),
        ("0.0.0.0:5000", "0.0.0.0:5001"),
        ("tcp://0.0.0.0:5000", "tcp://0.0.0.0:5001"),
        ("[::]:5000/x", "[::]:5001/x"),
        ("5000,5000", "5001,5001"),
        ("50001", "50001"),
        ("15000", "15000"),
        ("1.5000", "1.5000"),
        ("5000ms", "5000ms"),
        ("5000_000", "5000_000"),
    ],
)
def test_a_whole_number_equal_to_the_clients_port_is_replaced(before, after):
    assert moved("app", before) == ("app", after)


def test_the_program_s_own_name_is_left_alone():
    assert moved("app-5000", "5000") == ("app-5000", "5001")


def test_with_a_placeholder_numbers_are_left_alone():
    assert moved("app", "{port}", "--timeout", "5000") == ("app", "5001", "--timeout", "5000")


def test_the_socket_s_placeholder_is_replaced():
    assert moved("app", "--bind", "unix:{socket}", "5000", socket="/run/a.sock") == (
        "app", "--bind", "unix:/run/a.sock", "5000",
    )  # fmt: skip
    assert mentions_socket(["app", "unix:{socket}"])
    assert not mentions_socket(["app", "{port}"])


def test_the_environment_differs_in_port_alone():
    environ = {"A": "1", "PORT": "5000"}
    app = move(["app"], environ, client_port=5000, app_port=5001, app_socket=None)
    assert app.environ == {"A": "1", "PORT": "5001"}
    assert environ["PORT"] == "5000"


def test_alone_the_app_gets_the_clients_port():
    app = stay(["app", "{port}", "5000"], {"A": "1"}, port=8080)
    assert app.argv == ("app", "8080", "5000")
    assert app.environ == {"A": "1", "PORT": "8080"}


def test_without_a_port_nothing_is_changed():
    app = stay(["worker", "{port}"], {"A": "1"}, port=None)
    assert app.argv == ("worker", "{port}")
    assert app.environ == {"A": "1"}
