"""What is decided before anything starts."""

from __future__ import annotations

import socket

import pytest

from launcher import addresses
from launcher.launcher_options import LauncherOptions
from launcher.options import UsageError, read
from launcher.plan import Mode, Plan, make_plan

PATH = "/usr/bin:/bin"
TO = ["--to", "http://localhost:9"]


@pytest.fixture(autouse=True)
def app_folder(tmp_path, monkeypatch):
    """The app's folder is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def port():
    """A free port whose successor is free, too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            number = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", number + 1))
            except (OSError, OverflowError):
                continue
            return number


def plan(*argv: str, **environ: str) -> Plan:
    environ = {"PATH": PATH, **environ}
    return make_plan(read(LauncherOptions, argv, environ), environ)


def write_options(folder, text):
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "gor.options").write_text(text)


def test_an_app_with_a_destination_is_mirrored_on_the_next_port(port):
    made = plan(*TO, "app", "-p", str(port), PORT=str(port))
    assert (made.mode, made.reason, made.problems) == (Mode.MIRROR, "", ())
    assert (made.port, made.app_port) == (port, port + 1)
    assert made.app.argv == ("app", "-p", str(port + 1))
    assert made.app.environ == {"PATH": PATH, "PORT": str(port + 1)}
    assert made.replayer is not None
    assert made.replayer.gor is None


def test_a_taken_port_for_the_app_is_passed_over(port):
    with socket.create_server(("127.0.0.1", port + 1)):
        made = plan(*TO, "app", PORT=str(port))
    assert made.app_port not in (port, port + 1)


def test_the_kill_switch_leaves_the_app_alone(port):
    made = plan(*TO, "app", "{port}", PORT=str(port), TRAFFIC_DUPLICATOR_ENABLED="off")
    assert made.mode is Mode.ALONE
    assert made.app.argv == ("app", str(port))
    assert made.app.environ["PORT"] == str(port)


def test_with_the_kill_switch_an_app_on_a_socket_is_relayed(port):
    made = plan(*TO, "app", "{socket}", PORT=str(port), TRAFFIC_DUPLICATOR_ENABLED="off")
    assert made.mode is Mode.RELAY
    assert made.app.argv == ("app", made.app_socket)
    assert made.app_socket


def test_a_dyno_without_a_port_leaves_the_command_as_it_is():
    made = plan(*TO, "worker", "{port}", DYNO="worker.1")
    assert made.mode is Mode.ALONE
    assert made.app.argv == ("worker", "{port}")
    assert "PORT" not in made.app.environ
    assert not made.problems


def test_elsewhere_the_port_is_5000_by_default():
    assert plan(*TO, "app").port == 5000


@pytest.mark.parametrize(("environ", "problem"), [
    ({"TRAFFIC_DUPLICATOR_BUFFER": "lots"}, "TRAFFIC_DUPLICATOR_BUFFER must be a size such as 16MiB, not 'lots'"),
    ({"TRAFFIC_DUPLICATOR_GOR_OPTIONS": "nowhere"}, "nowhere: can't be read: No such file or directory"),
    ({"TRAFFIC_DUPLICATOR_REPLAYER": "/no/gor"}, "TRAFFIC_DUPLICATOR_REPLAYER /no/gor: "),
    ({"TRAFFIC_DUPLICATOR_DROP_HEADER": "Host"}, "TRAFFIC_DUPLICATOR_DROP_HEADER must be a header that a copy can do"),
])  # fmt: skip
def test_a_broken_configuration_is_one_problem_and_leaves_the_app_alone(environ, problem, port):
    made = plan(*TO, "app", PORT=str(port), **environ)
    assert made.mode is Mode.ALONE
    assert len(made.problems) == 1
    assert made.problems[0].startswith(problem)


def test_a_variable_that_an_option_beats_is_not_looked_at(port):
    assert plan(*TO, "app", PORT=str(port), TRAFFIC_DUPLICATOR_TO="ftp://x").mode is Mode.MIRROR
    (problem,) = plan("app", PORT=str(port), TRAFFIC_DUPLICATOR_TO="ftp://x").problems
    assert problem.startswith("TRAFFIC_DUPLICATOR_TO must be")


def test_a_port_variable_that_is_no_number_is_left_to_the_app():
    made = plan(*TO, "app", PORT="abc")
    assert made.mode is Mode.ALONE
    assert made.app.environ["PORT"] == "abc"


def test_no_destination_is_a_problem(port):
    assert "there is no destination" in plan("app", PORT=str(port)).problems[0]


def test_a_port_that_is_taken_is_a_problem(port):
    with socket.create_server(("127.0.0.1", port)):
        made = plan(*TO, "app", PORT=str(port))
    assert made.mode is Mode.ALONE
    assert str(port) in made.reason


@pytest.mark.parametrize("taken", [False, True])
def test_an_app_port_that_can_t_be_the_app_s_is_a_problem(port, taken):
    with socket.create_server(("127.0.0.1", port + 1)):
        made = plan(*TO, "--app-port", str(port + 1 if taken else port), "app", PORT=str(port))
    assert made.problems[0].startswith("--app-port ")


def test_gor_s_options_are_read_from_their_file(app_folder, port):
    write_options(app_folder, '--output-http "$NEXT|10%"\n--http-set-header "Authorization: Bearer $TOKEN"\n')
    made = plan("app", PORT=str(port), NEXT="http://next.example", TOKEN="sesame-open")
    assert [option.name for option in made.gor_options] == ["output-http", "http-set-header"]
    assert ("sesame-open", "$TOKEN") in made.secrets or any("sesame-open" in value for value, _ in made.secrets)


def test_a_file_that_is_no_text_is_a_problem(app_folder, port):
    (app_folder / "gor.options").write_bytes(b"\xff\xfe")
    made = plan("--gor-options", "gor.options", "app", PORT=str(port))
    assert made.problems == ("gor.options: is no UTF-8 text (byte 1)",)


def test_a_middleware_that_is_not_there_is_warned_of_without_its_arguments(app_folder, port):
    write_options(app_folder, "--output-http http://a\n--middleware './program --key word'\n")
    made = plan("app", PORT=str(port))
    [warning] = made.warnings
    assert (made.mode, warning) == (
        Mode.MIRROR, "config/gor.options:2: --middleware can't be started: ./program: no such file",
    )  # fmt: skip
    (app_folder / "program").write_text("#!/bin/sh\n")
    (app_folder / "program").chmod(0o755)
    assert not plan("app", PORT=str(port)).warnings


def test_an_option_that_is_only_gor_s_needs_a_gor(app_folder, port):
    write_options(app_folder, "--output-http http://h --prettify-http\n")
    made = plan("app", PORT=str(port))
    assert made.problems[0].startswith("config/gor.options:1: --prettify-http needs a gor")


def test_builtin_refuses_what_it_does_not_have(app_folder, port):
    write_options(app_folder, "--output-http http://h --prettify-http\n")
    made = plan("--replayer", "builtin", "app", PORT=str(port))
    assert made.problems[0].startswith("config/gor.options:1: the built-in replayer has no --prettify-http")


def test_all_options_that_only_a_gor_has_are_told_at_once(app_folder, port):
    write_options(app_folder, "--output-http http://h --prettify-http\n--output-kafka-host k --output-kafka-topic t\n")
    told = "--prettify-http, --output-kafka-host (config/gor.options:2), --output-kafka-topic (config/gor.options:2)"
    [problem] = plan("app", PORT=str(port)).problems
    assert problem.startswith(f"config/gor.options:1: {told} need a gor: none is ")
    [problem] = plan("--replayer", "builtin", "app", PORT=str(port)).problems
    assert problem == (
        f"config/gor.options:1: the built-in replayer has no {told}: leave them out, or use --replayer gor"
    )


@pytest.mark.parametrize(("variable", "value", "told"), [
    ("TRAFFIC_DUPLICATOR_APP_PORT", "{port}", "TRAFFIC_DUPLICATOR_APP_PORT must differ from the clients' port"),
    ("TRAFFIC_DUPLICATOR_REPLAYER", "/no/gor", "TRAFFIC_DUPLICATOR_REPLAYER /no/gor: "),
    ("TRAFFIC_DUPLICATOR_REPLAYER_MEMORY", "1m", "TRAFFIC_DUPLICATOR_REPLAYER_MEMORY 1MiB is less than a replayer"),
    ("TRAFFIC_DUPLICATOR_TO", "http://localhost:{port}", "TRAFFIC_DUPLICATOR_TO: http://localhost:"),
    ("TRAFFIC_DUPLICATOR_TO", "\u201chttp://h\u201d", "TRAFFIC_DUPLICATOR_TO must be an address in ASCII"),
])  # fmt: skip
def test_what_a_variable_gave_is_told_by_its_name_and_not_by_the_option_s(variable, value, told, port):
    environ = {"TRAFFIC_DUPLICATOR_TO": "http://h", variable: value.format(port=port)}
    made = plan("app", PORT=str(port), **environ)
    [line] = [*made.problems, *made.warnings]
    assert line.startswith(told)
    assert "\u201c" not in value or "\u201c \u201d, as pages show them: type plain quotes" in line


def test_an_enabled_launcher_mirrors(port):
    made = plan(*TO, "app", PORT=str(port), TRAFFIC_DUPLICATOR_ENABLED="true")
    assert (made.mode, made.reason) == (Mode.MIRROR, "")


def test_an_unusable_gor_of_the_app_s_is_named_and_the_built_in_replayer_takes_over(app_folder, port):
    (app_folder / "bin").mkdir()
    gor = app_folder / "bin" / "gor"
    gor.write_text("#!/bin/sh\necho no gor\n")
    gor.chmod(0o755)
    made = plan(*TO, "app", PORT=str(port))
    assert made.mode is Mode.MIRROR
    assert made.replayer is not None
    assert made.replayer.gor is None
    assert any("bin/gor" in warning for warning in made.warnings)


def test_a_lower_copy_buffer_lowers_the_largest_request(app_folder, port):
    write_options(app_folder, "--output-http http://h --copy-buffer-size 1mb\n")
    assert plan("--replayer", "builtin", "app", PORT=str(port)).max_request < 1024**2


def test_what_the_built_in_replayer_s_pipe_does_not_take_lowers_the_largest_request(port):
    assert plan(*TO, "--replayer", "builtin", "--max-request", "1GiB", "app", PORT=str(port)).max_request < 64 * 1024**2


@pytest.mark.parametrize(("argv", "text"), [
    (["--to", "http://", "app"], "--to must be"),
    (["--sample", "120", "app"], "--sample must be a percentage from 0 to 100, not '120'"),
    (["--host", "example.com", "app"], "--host must be an address such as 0.0.0.0, 127.0.0.1 or ::, not 'example.com'"),
    (["--drop-header", "content-length", "app"], "--drop-header must be a header that a copy can do without"),
    (["--app-socket", "/" + "x" * 107, "app"], "--app-socket must be a path of at most 107 bytes"),
])  # fmt: skip
def test_wrong_usage(argv, text):
    with pytest.raises(UsageError) as caught:
        plan(*argv)
    assert str(caught.value).startswith(text)


def test_a_metrics_port_that_would_be_in_the_way_of_clients_or_app_is_left_out(port):
    free = addresses.free_port(port + 2)
    for taken in (port, free):
        made = plan(*TO, "--app-port", str(free), "--metrics-port", str(taken), "app", PORT=str(port))
        assert (made.mode, made.metrics_port) == (Mode.MIRROR, None)
        assert made.warnings[-1].startswith("--metrics-port must differ from the ports of clients and app")


def test_the_app_s_port_is_chosen_beside_the_metrics_port(port):
    made = plan(*TO, "--metrics-port", str(port + 1), "app", PORT=str(port))
    assert (made.metrics_port, made.warnings) == (port + 1, ())
    assert made.app_port != port + 1
