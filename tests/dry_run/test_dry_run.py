"""`--dry-run`: what is printed, word by word, and that its JSON is as docs/dry-run.schema.json says."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from launcher import __version__, addresses, cli, memory, probe
from launcher.dry_run import checks, destination_checks
from launcher.log import log

SCHEMA = json.loads((Path(__file__).parent.parent.parent / "docs" / "dry-run.schema.json").read_text())
PORT = 17170
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Run:
    """Runs the launcher's words in a folder of its own, on a machine of 1 GiB: the exit status and what is printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "limit_bytes", lambda: 1024**3)
    monkeypatch.setattr(addresses, "private_address", lambda family: "10.0.0.1")
    monkeypatch.setattr(log, "_masks", [])  # what other tests hide is no secret here, nor the other way round

    def launch(*argv: str, **environ: str) -> tuple[int, str]:
        given = {"PATH": "/usr/bin:/bin", "PORT": str(PORT), **environ}
        monkeypatch.setattr(cli, "original_environ", lambda: given)
        monkeypatch.setattr(cli.sys, "argv", ["start-traffic-duplicator", "--dry-run", *argv])
        status = cli.main()
        return status, capsys.readouterr().out

    return launch


@pytest.fixture(autouse=True)
def ports(monkeypatch) -> dict[int, str]:
    """Ports that are taken, and by whom; all others are free."""
    taken: dict[int, str] = {}
    refusal = "Address already in use"
    monkeypatch.setattr(addresses, "why_not_free", lambda host, port: refusal if port in taken else None)
    monkeypatch.setattr(addresses, "any_host", lambda: "::")
    return taken


def write(name: str, text: str, mode: int = 0o644) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def steady(text: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"\b\d+(\.\d)? ms\b", "N ms", text).replace(__version__, "VERSION")


FINE = """\
Dry run of start-traffic-duplicator VERSION: nothing is started

The app
  runs          behind the relay, with copies
  port          free    clients come to [::]:17170 once the app accepts
  app's port    free    it listens on 127.0.0.1:17171 or [::1]:17171
  command       sh -c 'exec puma -p 17171'
  its file      /usr/bin/sh
  environment   PORT=17171 (was 17170), all else as it is

The copies
  which         10 % of GET, HEAD and OPTIONS requests to paths with ^/api/, at
                most 50 a second; up to 4MiB each
  without       Cookie, Authorization
  sent on by    the built-in replayer VERSION, because nothing here needs a gor
  pause         while the replayers take more than 50 % of a core, or memory is
                95 % full

Destination 1: https://***@next.example.com (--to)
  limit         at most 10 copies a second
  connection    not tried: --offline

Memory, at most
  launcher      32 MiB, and 4 KiB a connection
  copies        16 MiB (--buffer)
  replayers     256 MiB (--replayer-memory)
  together      304 MiB, 30 % of the limit, 1.0 GiB

Result: fine
"""


def test_a_plan_without_a_fault_is_told_in_one_page(run: Run) -> None:
    status, said = run(
        "--offline", "--to", "https://user:s3cret@next.example.com|10", "--sample", "10",
        "--methods", "safe", "--path", "^/api/", "--rate", "50",
        "--drop-header", "Cookie", "--drop-header", "Authorization", "sh", "-c", f"exec puma -p {PORT}",
    )  # fmt: skip
    assert status == 0
    assert steady(said).splitlines() == FINE.splitlines()


BROKEN = """\
Dry run of start-traffic-duplicator VERSION: nothing is started

The app
  runs          by itself, unmirrored
  port          TAKEN   [::]:17170, by pid 4711 (puma)
  command       no-such-program --port 17170
  its file      FAILED  it can't be started
  environment   all as it is

The copies
  which         all requests; up to 4MiB each
  filter        only URLs in which this is found: ^/api/
  change        the header is set: Authorization: ***
  sent on by    the built-in replayer VERSION, because nothing here needs a gor
  pause         while memory is 95 % full
  end           by themselves, --until 2h
  setting       --output-http-timeout 2s (config/gor.options:5)

Destination 1: http://127.0.0.1:1 (config/gor.options:2)
  connection    FAILED  N ms, connection refused

Destination 2: http://nobody.invalid (config/gor.options:2)
  name          FAILED  N ms, the name was not found: name or service not known

Memory, at most
  launcher      32 MiB, and 4 KiB a connection
  copies        2.0 GiB (--buffer)
  replayers     256 MiB (--replayer-memory)
  together      2.3 GiB, 228 % of the limit, 1.0 GiB

Risks
  ! writes are copied: what POST, PUT, PATCH and DELETE do to the app, they do
    at the destination, too
      -> --methods safe copies GET, HEAD and OPTIONS only
  ! Cookie is sent on: whoever reads the copies can act as your users
      -> --drop-header Cookie
  ! http://nobody.invalid gets the copies in clear text, for all on the way to
    read
      -> use https://

Warnings
  ! TRAFFIC_DUPLICATOR_TOO is no variable of the launcher's; --help lists them
    all

Problems
  1. port 17170 of :: can't be listened on: Address already in use by pid 4711
     (puma)
  2. the command can't be started (status 127): no-such-program: not found on
     PATH
  3. config/gor.options:2: http://127.0.0.1:1: no connection: connection refused
  4. config/gor.options:2: http://nobody.invalid: the name was not found: name
     or service not known
  5. the bounds add up to 228 % of the memory limit: app and mirror would not
     fit together; lower --buffer and --replayer-memory

Result: 5 problems; the app would not start
"""


def test_every_problem_is_numbered_and_the_first_that_counts_says_what_would_happen(
    run: Run, ports: dict[int, str], monkeypatch
) -> None:
    ports[PORT] = "puma"
    monkeypatch.setattr("launcher.port_holders.holders", lambda *_: [checks.Holder(4711, "puma")])
    write("config/gor.options", """# the next version
--output-http http://127.0.0.1:1 --output-http http://nobody.invalid
--http-set-header "Authorization: Bearer $TOKEN"
--http-allow-url ^/api/
--output-http-timeout 2s
""")
    status, said = run(
        "--buffer", "2GiB", "--until", "2h", "--max-cpu", "0", "no-such-program", "--port", str(PORT),
        TOKEN="s3cret-word", TRAFFIC_DUPLICATOR_TOO="x",
    )  # fmt: skip
    said = re.sub(r"name or service not\s+known|(temporary|no address)[ \w]+", "name or service not known", said)
    assert status == 1
    assert steady(said).splitlines() == BROKEN.splitlines()


WORKER = """\
Dry run of start-traffic-duplicator VERSION: nothing is started

The app
  runs          by itself, unmirrored
  because       this dyno has no PORT, so no HTTP traffic
  command       sh
  its file      /usr/bin/sh

Result: fine; nothing would be copied
"""


def test_a_worker_has_neither_ports_nor_copies(run: Run) -> None:
    assert run("sh", PORT="", DYNO="worker.1") == (0, WORKER.replace("VERSION", __version__))


# ---- single findings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["./missing"], "(status 127): ./missing: no such file"),
        (["./folder"], "(status 126): ./folder: is a directory"),
        (["./text"], "(status 126): ./text: permission denied"),
        (["./script"], "(status 127): ./script: its interpreter /no/such/ruby is missing"),
        (["./windows"], "(status 127): ./windows: its first line ends as on Windows"),
        (["./by-env"], "(status 127): ./by-env: its interpreter no-such-ruby is not on PATH"),
    ],
)
def test_a_command_that_can_not_be_started(run: Run, words: list[str], problem: str) -> None:
    os.mkdir("folder")
    write("text", "hello")
    write("script", "#!/no/such/ruby -w\n", 0o755)
    write("windows", "#!/bin/sh\r\necho\r\n", 0o755)
    write("by-env", "#!/usr/bin/env no-such-ruby\n", 0o755)
    status, said = run("--offline", "--to", "https://h", *words)
    assert status == 1
    assert f"1. the command can't be started {problem}" in re.sub(r"\s+", " ", said)
    assert said.endswith("Result: 1 problem; the app would not start\n")


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\n", "#! /bin/sh -e\n", "#!/usr/bin/env sh\n", "#!/usr/bin/env -S sh -e\n", "x"]
)
def test_a_script_whose_interpreter_is_there_is_fine(run: Run, script: str) -> None:
    write("script", script, 0o755)
    assert run("--offline", "--to", "https://h", "./script")[0] == 0


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing/%Y.gor", "its folder is not there: nothing makes it"),
        ("/proc/x.gor|10%", "its folder can't be written to"),
        ("x.gor", ""),
        ("%Y/x.gor", ""),
    ],
)
def test_a_file_that_can_not_be_written_is_a_problem(run: Run, name: str, problem: str, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != "/proc")  # root may, until it tries
    write("config/gor.options", f"--output-file '{name}'")
    status, said = run("--offline", "sh")
    assert (status, problem in " ".join(said.split())) == (1 if problem else 0, True)


def test_an_end_that_has_passed_is_no_problem_and_told(run: Run) -> None:
    status, said = run("--offline", "--to", "https://h", "--until", "2020-01-01T00:00", "sh")
    assert status == 0
    assert "because       --until 2020-01-01T00:00 is over\n" in said
    assert said.endswith("Result: fine; nothing would be copied\n")


def gor(version: str) -> None:
    """A gor that the app brings along."""
    write("bin/gor", f"#!/bin/sh\necho 'Current Version: {version}'\nexit 2\n", 0o755)


def test_a_gor_is_told_with_its_release_and_the_faults_that_this_plan_meets(run: Run) -> None:
    gor("1.3.3")
    _, said = run("--offline", "--to", "https://user:hunter22@h", "sh")
    said = " ".join(said.split())
    assert re.search(r" sent on by gor 1\.3\.3 at \S+/bin/gor, because the app brings it along ", said)
    assert " its fault ! gor 1.3.3: it opens a connection for nearly every copy " in said
    assert " its fault ! gor 1.3.3: it does not send a URL's user and password; " in said
    assert "Warnings" not in said  # they are not told twice


@pytest.mark.parametrize(
    ("version", "gor_options", "verifies"),
    [
        ("1.2.0", "", False),
        ("1.2.0", "--output-http-compatibility-mode", True),
        ("1.3.3", "", True),
        ("1.3.3", "--output-http-skip-verify", False),
    ],
)
def test_a_certificate_counts_if_this_gor_looks_at_it(
    run: Run, version: str, gor_options: str, verifies: bool, monkeypatch
) -> None:
    targets: list[probe.Target] = []

    def reach(wanted: list[probe.Target]) -> list[probe.Reached]:
        targets.extend(wanted)
        return [probe.Reached(target) for target in wanted]

    monkeypatch.setattr(destination_checks, "reach", reach)
    gor(version)
    write("config/gor.options", gor_options)
    run("--to", "https://h", "sh", HTTPS_PROXY="http://127.0.0.1:3128")
    assert [target.verifies for target in targets] == [verifies]
    assert [target.proxy is not None for target in targets] == [version == "1.3.3"]


def test_a_proxy_that_only_gor_can_use_is_left_to_it(run: Run) -> None:
    gor("1.3.3")
    status, said = run("--to", "https://h", "sh", HTTPS_PROXY="socks5://proxy:1080")
    assert status == 0
    assert "connection    not tried: by a proxy that only gor can use" in said


def test_a_gor_as_json(run: Run) -> None:
    gor("1.2.0")
    found = as_json(run, "--offline", "--to", "https://h", "sh")["replayer"]
    assert (found["kind"], found["version"], found["path"].endswith("/bin/gor")) == ("gor", "1.2.0", True)
    assert any("never verifies certificates" in fault for fault in found["faults"])


@pytest.mark.parametrize(
    "environ", [{"HEROKU_APP_NAME": "shop"}, {"HEROKU_APP_DEFAULT_DOMAIN_NAME": "shop.herokuapp.com"}]
)
def test_a_destination_by_this_app_s_own_name_is_a_problem(run: Run, environ: Mapping[str, str]) -> None:
    status, said = run("--offline", "--to", "https://Shop.herokuapp.com", "sh", **environ)
    assert status == 1
    assert "is this app itself: Heroku gives it that name; it would get every request twice" in " ".join(said.split())


def test_a_destination_that_resolves_to_this_machine_and_has_the_clients_port_is_a_problem(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, said = run("--to", f"http://127.0.1.1:{port}", "sh", PORT=str(port))
    assert status == 1
    assert f"127.0.1.1 is this machine's, and {port} is the clients' port" in " ".join(said.split())


def test_a_proxy_that_can_not_be_used_is_a_problem_and_its_password_stays_secret(run: Run) -> None:
    status, said = run("--to", "https://next.example.com", "sh", HTTPS_PROXY="socks5://u:s3cret@proxy:1080")
    assert status == 1
    assert "HTTPS_PROXY is not the address of an http proxy" in " ".join(said.split())
    assert "s3cret" not in said


def test_a_proxy_is_told_of(run: Run) -> None:
    status, said = run("--to", "https://next.example.com", "sh", HTTPS_PROXY="http://u:s3cret@127.0.0.1:1")
    assert status == 1
    assert "reached       by the proxy that the environment names" in said
    assert "s3cret" not in said


def test_bounds_above_half_of_the_memory_are_a_warning(run: Run, monkeypatch) -> None:
    monkeypatch.setattr(memory, "limit_bytes", lambda: 512 * 1024**2)
    status, said = run("--offline", "--to", "https://h", "--replayer-memory", "256MiB", "sh")
    assert status == 0
    assert "! the bounds add up to 59 % of the memory limit" in said


def test_somebody_on_the_app_s_socket_is_a_warning(run: Run) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("app.sock")
        server.listen()
        status, said = run("--offline", "--to", "https://h", "--app-socket", "app.sock", "sh")
    assert status == 0
    assert "somebody listens on app.sock already" in said


@pytest.mark.parametrize(
    ("path", "warning"),
    [
        ("no/such/app.sock", "--app-socket no/such/app.sock: its folder can't be made"),
        ("/proc/app.sock", "no socket can be made in /proc"),
        ("new/app.sock", ""),
        ("app.sock", ""),
    ],
)
def test_a_socket_that_can_not_be_made_is_a_warning(run: Run, path: str, warning: str, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != "/proc")  # root may, until it tries
    status, said = run("--offline", "--to", "https://h", "--app-socket", path, "sh")
    assert status == 0
    assert warning in " ".join(said.split())
    assert ("Warnings" in said) == bool(warning)


def test_a_destination_that_is_there_twice_is_a_warning(run: Run) -> None:
    write("config/gor.options", "--output-http https://h")
    status, said = run("--offline", "--to", "https://h|10", "sh")
    assert status == 0
    assert "Destination 1: " in said and "Destination 2: " in said
    assert "! https://h is there twice (config/gor.options:1, --to): it gets every copy twice" in " ".join(said.split())


def test_the_very_same_destination_twice_has_two_numbers(run: Run) -> None:
    said = run("--offline", "--to", "https://h", "--to", "https://h", "sh")[1]
    assert re.findall(r"^Destination (\d):", said, re.MULTILINE) == ["1", "2"]


def test_strict_says_that_the_launcher_would_exit(run: Run) -> None:
    status, said = run("--strict", "sh")
    assert status == 1
    assert said.endswith("Result: 1 problem; the launcher would exit with 2, because of --strict\n")


def test_what_comes_from_outside_can_not_move_the_cursor(run: Run) -> None:
    write("config/gor.options", "--output-http http://h --http-allow-url '\u202e\u009b2J'\n")
    _, said = run("--offline", "sh", "\x1b[2J", "\r\n", "\udcff")
    assert not re.search(r"[^\n -~]", said), re.findall(r"[^\n -~]", said)
    assert r"\u001b[2J" in said and r"\u202e\x9b2J" in said


def test_no_line_is_wider_than_80_columns_but_for_a_long_word(run: Run) -> None:
    _, said = run("--to", f"http://{'a' * 60}.invalid", "sh", "-c", "word " * 50)
    assert max(len(line) for line in said.splitlines() if "aaaa" not in line) <= 80


# ---- JSON ----------------------------------------------------------------------------------------------------------


def closed(schema: Any) -> Any:
    """The schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(each) for name, each in schema.items()}
    return {**found, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else found


def as_json(run: Run, *argv: str, **environ: str) -> dict[str, Any]:
    status, said = run("--json", *argv, **environ)
    document = json.loads(said)
    jsonschema.validate(document, closed(SCHEMA), cls=jsonschema.Draft202012Validator)
    assert document["result"]["is_fine"] == (status == 0)
    assert said.isascii()
    return document


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_sound_plan_as_json(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        to = f"http://user:s3cret@localhost:{server.getsockname()[1]}|10%"
        found = as_json(run, "--to", to, "sh", f"-p{PORT}")
    assert found["mode"] == "mirror" and found["result"]["outcome"] == "fine"
    assert found["app"]["command"] == ["sh", f"-p{PORT + 1}"]
    assert found["app"]["environment"] == [{"name": "PORT", "before": str(PORT), "after": str(PORT + 1)}]
    assert found["clients"] == {"host": "::", "port": PORT, "is_free": True, "held_by": []}
    (destination,) = found["destinations"]
    assert destination["is_reached"] is True
    assert [step["name"] for step in destination["steps"]] == ["name", "connection"]
    assert [risk["name"] for risk in found["risks"]] == ["writes", "credentials"]
    assert found["memory"]["total_bytes"] == (32 + 16 + 256) * 1024**2
    assert "s3cret" not in json.dumps(found)


def test_problems_as_json(run: Run, ports: dict[int, str], monkeypatch) -> None:
    ports[PORT] = "puma"
    monkeypatch.setattr("launcher.port_holders.holders", lambda *_: [checks.Holder(4711, "puma")])
    found = as_json(run, "--to", "http://127.0.0.1:1", "no-such-program", "postgres://u:s3cret@h/db")
    assert found["clients"]["held_by"] == [{"pid": 4711, "command": "puma"}]
    assert [problem["kind"] for problem in found["problems"]] == ["configuration", "command", "destination"]
    assert found["result"]["outcome"] == "not-started"
    assert found["app"]["command"] == ["no-such-program", "postgres://***@h/db"]


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        ([], {}),
        (["sh"], {"PORT": "", "DYNO": "worker.1"}),
        (["sh"], {"TRAFFIC_DUPLICATOR_ENABLED": "false"}),
        (["sh", "{socket}"], {"TRAFFIC_DUPLICATOR_ENABLED": "false"}),
        (["--offline", "--to", "https://h", "sh", "{socket}"], {}),
        (["--build", "--to", "https://h", "--replayer", "gor", "sh"], {}),
        (["--offline", "--to", "https://h", "--methods", "get", "--path", "^/a", "--not-path", "b", "--rate", "0.5",
          "--sample", "1", "--sample-by", "cookie:sid", "sh"], {}),
        (["--strict", "sh"], {"TRAFFIC_DUPLICATOR_SAMPLE": "lots"}),
    ],
)
def test_every_other_kind_of_plan_is_as_the_schema_says(run: Run, argv: list[str], environ: dict[str, str]) -> None:
    as_json(run, *argv, **environ)


def test_every_kind_of_output_is_as_the_schema_says(run: Run) -> None:
    write("config/gor.options", "--output-tcp 127.0.0.1:1 --output-file x.gor --output-stdout --output-null\n"
          "--output-http http://h --http-set-param 'a=s3cret' --middleware cat --split-output")  # fmt: skip
    found = as_json(run, "--offline", "sh")
    assert [each["output"] for each in found["destinations"]] == [
        "output-tcp", "output-file", "output-stdout", "output-null", "output-http",
    ]  # fmt: skip


def test_what_a_build_can_not_tell_is_left_out(run: Run, ports: dict[int, str], monkeypatch) -> None:
    ports[PORT] = "puma"
    monkeypatch.setattr(memory, "limit_bytes", lambda: 1024)
    found = as_json(run, "--build", "--to", "http://127.0.0.1:1", "no-such-program")
    assert found["result"]["outcome"] == "fine"
    assert found["clients"]["is_free"] is None
    assert found["memory"]["limit_bytes"] is found["memory"]["percent_of_limit"] is None
    assert found["destinations"][0]["is_reached"] is None
    assert found["destinations"][0]["not_tried_because"] == "not tried: --build"


def test_a_review_of_a_procfile_has_no_json(run: Run, capsys) -> None:
    assert run("--json", "--build")[0] == 2


def test_what_only_a_shell_would_have_put_in_and_a_sample_of_all_are_told(run):
    status, told = run("--offline", "--to", "https://h", "--sample-by", "client", "cat", "$PORT")
    assert status == 0
    words = " ".join(told.split())
    assert "! $PORT stands in the command as it is, for no shell has put the port in its place: write {port}" in words
    assert "! --sample-by says whose requests a sample has, but all are copied: --sample 10 copies a tenth" in words


def test_a_max_request_that_no_replayer_takes_is_told_as_what_it_is_worth(run):
    told = run("--offline", "--to", "https://h", "--max-request", "10GiB", "cat")[1]
    assert "all requests; up to 64.0MiB (more can't be sent on) each" in " ".join(told.split())
