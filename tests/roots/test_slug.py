"""Slugs in images without Python: real apps, moved, read-only, as a plain user, with a poisoned environment."""

from __future__ import annotations

import http.client
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.roots.chroot import USER, Bound, Chroot
from tests.roots.conftest import Enter, compile_in
from tests.roots.debian import BUILD, RUN, SID, TRIXIE
from tests.system.accounts import outcomes, tap_counters
from tests.system.launched import Launched
from tests.system.machine import free_port
from tests.system.sink import PATIENCE_SECONDS, Sink, sink, wait_until

REQUESTS = 1_000
APPS = Path(__file__).parent / "apps"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOWHERE = "http://127.0.0.1:9"

# What apps and their buildpacks leave in an environment, to the launcher's harm if it minded it.
POISON = {
    "PYTHONHOME": "/app/.heroku/python",
    "PYTHONPATH": "/app/nonexistent",
    "PYTHONSTARTUP": "/app/nonexistent.py",
    "PYTHONDONTWRITEBYTECODE": "1",
    "SHIV_ENTRY_POINT": "os:abort",
    "SHIV_INTERPRETER": "/nonexistent",
    "SHIV_ROOT": "/nonexistent",
    "LD_LIBRARY_PATH": "/app/.heroku/python/lib",
    "LANG": "C",
}
NO_SHELL_S_NAME = "app.mode=of Java's"  # which dash drops, and so the sh of a chroot's entrance

# As Heroku starts a process: bash, in the app's folder, after its .profile.d.
BOOT = 'cd /app; for script in .profile.d/*.sh; do . "$script"; done; exec "$@"'


def boot(chroot: Chroot, app: Path, words: Sequence[str], environ: Mapping[str, str], script: str = "") -> Launched:
    """`words` in the chroot, with the app at /app, read-only, which is HOME, too."""
    prefix = chroot.prefix(Bound(app, "/app"), script=script)
    given = {"PATH": PATH, "HOME": "/app", "PORT": str(free_port()), **environ}
    return Launched([*prefix, "env", NO_SHELL_S_NAME, "bash", "-c", BOOT, "bash", *words], given)


def send(port: int, count: int) -> None:
    """Posts, one after the other; each answer must tell of its own request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    for number in range(count):
        connection.request("POST", f"/r/{number}", b"x" * (number % 300))
        answer = connection.getresponse()
        assert (answer.status, answer.read().split()[1:]) == (200, [b"POST", b"/r/%d" % number, b"%d" % (number % 300)])
    connection.close()


@pytest.fixture
def app(slug: Path, tmp_path: Path) -> Path:
    """The slug, moved to another place; nobody may write to it but root."""
    moved = tmp_path / "app"
    shutil.copytree(slug, moved, symlinks=True)
    return moved


@pytest.fixture
def destinations(tmp_path: Path) -> Iterator[tuple[Sink, Sink]]:
    with sink(tmp_path / "first") as first, sink(tmp_path / "second") as second:
        yield first, second


def puma(app: Path, _: Chroot) -> list[str]:
    shutil.copy(APPS / "config.ru", app)
    return ["sh", "-c", 'exec puma --log-requests --port "$PORT" config.ru']


def node(app: Path, _: Chroot) -> list[str]:
    shutil.copy(APPS / "server.js", app)
    return ["node", "server.js"]


def nginx(app: Path, _: Chroot) -> list[str]:
    shutil.copy(APPS / "nginx.conf", app)
    command = 'sed "s/NGINX_PORT/$PORT/" nginx.conf >/tmp/nginx.conf && exec nginx -e stderr -c /tmp/nginx.conf'
    return ["sh", "-c", command]


def gunicorn(app: Path, run: Chroot) -> list[str]:
    """A Python of the app's own as heroku/python leaves it: in .heroku/python, its variables exported in .profile.d."""
    shutil.copy(APPS / "web.py", app)
    build = run.root.parent / BUILD.folder.name
    home = app / ".heroku" / "python"
    (home / "bin").mkdir(parents=True)
    shutil.copy(build / "usr" / "bin" / "python3.11", home / "bin" / "python")
    shutil.copytree(build / "usr" / "lib" / "python3.11", home / "lib" / "python3.11", symlinks=True)
    packages = home / "lib" / "python3.11" / "dist-packages"
    for name in ("gunicorn", "packaging"):
        found = importlib.util.find_spec(name)
        assert found is not None and found.submodule_search_locations
        shutil.copytree(found.submodule_search_locations[0], packages / name)
    (app / ".profile.d" / "python.sh").write_text(
        f'export PYTHONHOME=$HOME/.heroku/python PYTHONPATH=$HOME:{packages.relative_to(app)} '
        'PATH="$HOME/.heroku/python/bin:$PATH" LD_LIBRARY_PATH=$HOME/.heroku/python/lib\n'
    )
    return ["python", "-m", "gunicorn", "--no-control-socket", "web:application"]


@pytest.mark.parametrize("kind", [puma, node, nginx, gunicorn])
def test_an_app_of_any_language_is_mirrored_from_a_slug(kind, enter: Enter, app: Path, destinations):
    run = enter(RUN)
    enter(BUILD)
    command = kind(app, run)
    options = [word for each in destinations for word in ("--to", each.url)]
    status = []
    for words in (command, ["start-traffic-duplicator", *options, *command]):
        with boot(run, app, words, POISON) as launched:
            if words is command:
                wait_until(lambda: not launched.is_refused(), "the app by itself accepts")
            else:
                launched.wait_until_listening()
                send(launched.port, REQUESTS)
                for each in destinations:
                    each.wait_for(REQUESTS)
            ended = launched.stop()
            status.append(ended if ended >= 0 else 128 - ended)  # as a shell tells of a signal, and the launcher too
        if words is not command:
            assert tap_counters(launched) == {"seen": REQUESTS, "offered": REQUESTS}
            for each in destinations:
                assert outcomes(launched, each.url) == {"received": REQUESTS, "2xx": REQUESTS}
                assert sorted(arrival.id for arrival in each.arrivals()) == list(range(REQUESTS))
    assert status[0] == status[1], "the exit status is another with the launcher"


def facts_of(environment: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in environment.splitlines())


def test_the_app_s_environment_differs_in_its_port_alone(enter: Enter, app: Path):
    run = enter(RUN)
    seen = []
    for words in (["env"], ["start-traffic-duplicator", "--to", NOWHERE, "env"]):
        with boot(run, app, words, POISON) as launched:
            assert launched.wait() == 0
            seen.append((launched.port, facts_of(launched.output)))
    (port, bare), (_, mirrored) = seen
    for told in (bare, mirrored):
        told.pop("SYSTEM_TEST_MARK")
    assert int(bare.pop("PORT")) == port
    assert mirrored.pop("PORT") != str(seen[1][0])
    assert mirrored == bare
    assert bare["app.mode"] == "of Java's"


TRIO_NEEDS = ("libssl.so.3", "libcrypto.so.3", "libffi.so.8")  # through Python's own modules

BROKEN = {
    "its Python is gone": "rm -r app/.traffic-duplicator/python",
    "its Python does not start": "echo >app/.traffic-duplicator/python/bin/python3",
    "a module is cut": ": >app/.traffic-duplicator/packages/launcher/plan.py; "
    "rm -r app/.traffic-duplicator/packages/launcher/__pycache__",
    "a library is gone": "rm -r app/.traffic-duplicator/packages/trio",
    "boot.py is gone": "rm app/.traffic-duplicator/boot.py",
    "the options can't be read": "mkdir app/config; echo --output-http http://x.example.com >app/config/gor.options; "
    "chmod 0 app/config/gor.options",
}


@pytest.mark.parametrize("state", BROKEN)
def test_a_broken_launcher_leaves_the_app_to_itself_and_says_why_in_one_line(state, enter: Enter, app: Path):
    run = enter(RUN)
    with boot(run, app, ["true"], {}) as launched:  # the folder is there, and everything in it works
        assert launched.wait() == 0
    subprocess.run(["sh", "-ec", BROKEN[state]], cwd=app.parent, check=True)
    command = ["start-traffic-duplicator", *([] if "options" in state else ["--to", NOWHERE]), *node(app, run)]
    with boot(run, app, command, POISON) as launched:
        wait_until(lambda: not launched.is_refused(), "the app accepts on the clients' port")
        send(launched.port, 3)
        assert launched.stop() == 0
    assert len(launched.log.splitlines()) == 1, launched.log
    assert "unmirrored" in launched.log


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("libz.so.1", "does not start): LD_LIBRARY_PATH is set: "),
        ("libexpat.so.1", "does not start): LD_LIBRARY_PATH is set: "),
        *((name, f"can't load a library: /app/.heroku/python/lib/{name}: ") for name in TRIO_NEEDS),
    ],
)
def test_a_foreign_library_leaves_the_app_to_itself_and_starts_it_once(library, told, enter: Enter, app: Path):
    folder = app / ".heroku" / "python" / "lib"
    folder.mkdir(parents=True)
    (folder / library).write_text("junk\n")
    words = ["start-traffic-duplicator", "--to", NOWHERE, "sh", "-c", "echo run"]
    with boot(enter(RUN), app, words, POISON) as launched:
        assert launched.wait() == 0
    assert launched.output == "run\n"
    assert len(launched.log.splitlines()) == 1, launched.log
    assert told in launched.log and "LD_LIBRARY_PATH is set: " in launched.log


@pytest.mark.parametrize(
    ("missing", "script"),
    [
        ("no /tmp", "umount tmp; rmdir tmp"),
        ("nothing can be written", "mount -o remount,ro tmp; mount -o remount,ro ."),
    ],
)
def test_a_slug_needs_no_place_to_write_to(missing, script, enter: Enter, app: Path, destinations):
    run = enter(RUN)
    first, _ = destinations
    with boot(run, app, ["start-traffic-duplicator", "--to", first.url, *node(app, run)], POISON, script) as launched:
        launched.wait_until_listening()
        send(launched.port, 10)
        first.wait_for(10)
        assert launched.stop() == 0


@pytest.mark.parametrize("recipe", [BUILD, TRIXIE, SID], ids=lambda recipe: recipe.suite)
def test_the_python_of_a_suite_is_vendored_and_serves_where_there_is_none(recipe, enter, archive, tmp_path):
    chroot = enter(recipe)
    app = tmp_path / "made"
    app.mkdir()
    told = compile_in(chroot, archive, app)
    assert "Python: a copy of /usr/bin/python3" in told
    hidden = "rm -rf usr/bin/python3* usr/lib/python3*"
    with boot(chroot, app, ["sh", "-c", "command -v python3"], {}, hidden) as launched:
        assert launched.wait() != 0, "the system's own Python is hidden"
    with boot(chroot, app, ["start-traffic-duplicator", "--to", NOWHERE, "echo", "served"], POISON, hidden) as launched:
        assert launched.wait() == 0
    assert launched.output == "served\n"
    assert launched.facts("unmirrored") == []


@pytest.mark.parametrize("recipe", [BUILD, TRIXIE, SID], ids=lambda recipe: recipe.suite)
def test_the_file_runs_on_the_python_of_a_suite(recipe, enter, pyz, tmp_path, destinations):
    chroot = enter(recipe)
    first, _ = destinations
    place = tmp_path / "place"
    place.mkdir()
    shutil.copy(pyz, place / "start-traffic-duplicator")
    server = "import http.server, os; http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()"
    handler = (
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "  def do_POST(self): self.rfile.read(int(self.headers['Content-Length'])); self.send_response(200); "
        "self.send_header('Content-Length', '0'); self.end_headers()\n"
    )
    program = server.replace("; http.server.HTTP", f"\n{handler}http.server.HTTP")
    words = [*chroot.prefix(Bound(place, "/place")), "/place/start-traffic-duplicator", "--to", first.url]
    given = {"PATH": PATH, "PORT": str(free_port())}
    with Launched([*words, "python3", "-c", program], given) as launched:
        launched.wait_until_listening()
        assert launched.http("POST", "/r/1", body=b"x").status == 200
        first.wait_for(1)


def test_the_file_without_any_python_leaves_the_app_to_itself(enter: Enter, pyz: Path, app: Path):
    run = enter(RUN)
    shutil.copy(pyz, app / "launcher.pyz")
    with boot(run, app, ["./launcher.pyz", "--to", NOWHERE, *node(app, run)], {}) as launched:
        wait_until(lambda: not launched.is_refused(), "the app accepts on the clients' port")
        assert launched.stop() == 0
    assert 'reason="start-traffic-duplicator needs Python 3.10 or newer (found none)' in launched.log


def test_a_cloud_native_build_serves_from_its_layer(enter: Enter, archive: Path, tmp_path: Path, destinations):
    first, _ = destinations
    work = tmp_path / "work"
    shutil.unpack_archive(archive, work / "buildpack")
    for name in ("layers", "platform/env", "workspace"):
        (work / name).mkdir(parents=True)
    (work / "workspace" / "Procfile").write_text("web: start-traffic-duplicator node server.js\n")
    (work / "platform" / "env" / "TRAFFIC_DUPLICATOR_TO").write_text(first.url)
    for path in (work, *work.rglob("*")):
        shutil.chown(path, USER, USER)
    given = {
        "CNB_BUILD_PLAN_PATH": "/work/plan.toml",
        "CNB_LAYERS_DIR": "/work/layers",
        "CNB_PLATFORM_DIR": "/work/platform",
        "CNB_BUILDPACK_DIR": "/work/buildpack",
    }
    bound = Bound(work, "/work", writable=True)
    for program in ("detect", "build"):
        words = ["sh", "-c", f"cd /work/workspace && exec /work/buildpack/bin/{program}"]
        done = enter(BUILD).run(words, bound, environ=given)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (work / "plan.toml").read_text().count("traffic-duplicator") == 2
    layer = work / "layers" / "launcher"
    assert "launch = true" in layer.with_suffix(".toml").read_text()
    run = enter(RUN)
    prefix = run.prefix(Bound(layer, "/layers/x/launcher"), Bound(APPS, "/workspace"))
    environ = {"PATH": f"/layers/x/launcher/bin:{PATH}", "PORT": str(free_port()), "TRAFFIC_DUPLICATOR_TO": first.url}
    with Launched([*prefix, "start-traffic-duplicator", "node", "/workspace/server.js"], environ) as launched:
        launched.wait_until_listening()
        send(launched.port, 10)
        first.wait_for(10)
        assert launched.stop() == 0
