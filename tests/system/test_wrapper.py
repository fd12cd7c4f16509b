"""The word never takes the app down: whatever is broken, the app is served and one line says why.

Both forms of it: "slug" is the wrapper as the buildpack lays it out, "file" the single file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from launcher import __version__
from tests import needs
from tests.needs import PYTHONS, unavailable
from tests.pythons import TOO_OLD, find_python, supported_pythons
from tests.system.launched import Product, app
from tests.system.machine import free_port
from tests.system.plain_run import PATIENCE_SECONDS, SYSTEM_PATH, in_namespace, plain, run
from tests.system.slug import SYSTEM_PYTHON, WORD, lay_out

VERSION_LINE = f"start-traffic-duplicator {__version__}\n"
UNMIRRORED = 'traffic-duplicator at=unmirrored level=error reason="{}" app="by itself, unmirrored"\n'
SWITCHED_OFF = UNMIRRORED.format("TRAFFIC_DUPLICATOR_ENABLED is false").replace("level=error", "level=info")
NO_PYTHON = "start-traffic-duplicator needs Python 3.10 or newer (found none): "
OFF = {"TRAFFIC_DUPLICATOR_ENABLED": "false"}
SAY_WORDS = ["sh", "-c", 'printf "%s|" "PORT=$PORT" "$@"; exit 7', "sh"]


@dataclass(frozen=True)
class Form:
    """One form of the word in a folder of its own, to be broken by a test."""

    name: str
    program: Path  # what is started; its first lines are sh
    folder: Path  # all that belongs to it
    tools: Path  # a PATH without any Python

    @property
    def no_python(self) -> str:
        """Why the app is unmirrored where there is no Python at all."""
        return NO_PYTHON + ("apt-get install python3" if self.name == "file" else "deploy the app anew")

    def without_python(self) -> Form:
        """The same, where no Python is found. (The machine's own may be what runs the test's app.)"""
        text = self.program.read_bytes()
        for path in (SYSTEM_PYTHON, "/usr/local/bin/python3"):
            text = text.replace(path.encode(), path.replace("python", "nopyth").encode())
        self.program.write_bytes(text)
        return self

    def with_broken_launcher(self) -> Form:
        """The same, where Python starts and the launcher does not."""
        if self.name == "file":
            flip_in_member(self.program, "site-packages/launcher/cli.py")
        else:
            remove_module(self.folder / "packages" / "launcher" / "cli.py")
        return self

    def environ(self, **more: str) -> dict[str, str]:
        return {"HOME": str(self.folder / "home"), "PATH": str(self.tools), **more}


@pytest.fixture(scope="session")
def slug(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slug's folder, to be copied."""
    is_fit = os.path.realpath(SYSTEM_PYTHON) in map(os.path.realpath, supported_pythons())
    return lay_out(pyz, tmp_path_factory.mktemp("slug"), SYSTEM_PYTHON if is_fit else sys.executable).parents[1]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "env", "readlink", "grep", "sort", "tr", "printenv", "true"):
        (folder / name).symlink_to(str(shutil.which(name, path=SYSTEM_PATH)))
    return folder


@pytest.fixture
def file_form(pyz: Path, tmp_path: Path, tools: Path) -> Form:
    folder = tmp_path / "a folder"
    (folder / "home").mkdir(parents=True)
    return Form("file", Path(shutil.copy(pyz, folder / "the file.pyz")), folder, tools)


@pytest.fixture
def slug_form(slug: Path, tmp_path: Path, tools: Path) -> Form:
    folder = tmp_path / "an app" / ".traffic-duplicator"
    shutil.copytree(slug, folder, symlinks=True)
    return Form("slug", folder / "bin" / WORD, folder, tools)


@pytest.fixture(params=["file", "slug"])
def form(request: pytest.FixtureRequest) -> Form:
    found: Form = request.getfixturevalue(f"{request.param}_form")
    return found


# ---- ways to break it ----------------------------------------------------------------------------------------------


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


def data_of(path: Path, name: str) -> range:
    """Where in an archive a member's data are."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(name)
        with archive.open(entry):
            start = entry.header_offset + 30 + len(name)  # a local header without extra fields
            return range(start, start + entry.compress_size)


def flip_in_member(path: Path, name: str) -> None:
    data = data_of(path, name)
    flip(path, data[len(data) // 2])


def directory_of(path: Path) -> range:
    """Where the archive's central directory is, with its end record."""
    with zipfile.ZipFile(path) as archive:
        return range(archive.start_dir, path.stat().st_size)


def remove_module(path: Path) -> None:
    path.unlink()
    for bytecode in path.parent.glob(f"__pycache__/{path.stem}.*"):
        bytecode.unlink()


def truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def served_unmirrored(form: Form, *options: str, prefix: Sequence[str] = (), **environ: str) -> str:
    """Starts a real app that listens at PORT, asks it for a page, ends it. The one line that the word has written."""
    product = Product(form.program, form.folder)
    with product.launch(options, app("controlled.py", "listen {port}"), environ=environ, prefix=prefix) as launched:
        launched.wait_for_output(f"listen {launched.port}")
        assert launched.http("GET", "/page").body == b"GET /page 0\n"
        launched.tell("exit 3")
        assert launched.wait() == 3
        assert launched.log.count("\n") == 1, launched.story()
        assert launched.log.startswith("traffic-duplicator at=unmirrored "), launched.story()
        return launched.log


def no_python_path(form: Form) -> dict[str, str]:
    return {"PATH": str(form.tools)}


# ---- each broken state ---------------------------------------------------------------------------------------------


def test_without_any_python_the_app_serves(form: Form) -> None:
    form.without_python()
    assert served_unmirrored(form, **no_python_path(form)) == UNMIRRORED.format(form.no_python)


def hide_python() -> str:
    """Lines of sh that hide the machine's own Pythons, for a namespace."""
    hidden = {os.path.realpath(path) for path in (SYSTEM_PYTHON, "/usr/local/bin/python3") if os.path.exists(path)}
    return "; ".join(f"mount --bind /dev/null {path}" for path in sorted(hidden)) or ":"


def test_without_any_python_the_command_runs_as_the_word_was_built(form: Form) -> None:
    shutil.rmtree(form.folder / "python", ignore_errors=True)
    words = in_namespace(f"{hide_python()}\nPATH={form.tools}", form.program, *SAY_WORDS, "{port}")
    told = UNMIRRORED.format(form.no_python)
    assert run(words, plain(form.folder) | {"PORT": "5000"}) == (7, "PORT=5000|5000|", told)


UNFIT = {
    "does not start": ("#!/bin/sh\nexit 1\n", r"{} does not start"),
    "has no interpreter": ("#!/nonexistent\n", r"{} does not start"),
    "is empty": ("", r"{} does not start"),  # a shell runs these itself, to a good end
    "is an empty line": ("\n", r"{} does not start"),
    "ends well": ("#!/bin/sh\nexit 0\n", r"{} does not start"),
    "is killed": ("#!/bin/sh\nkill -9 $$\n", r"{} does not start"),
    "lacks its library": ('#!/bin/sh\nexec PYTHON -I -S -c "import os, sys; sys.path.clear()\n$4" "$5" "$6"\n',
                          r"{} is 3\.\d+\.\d+ without its library"),
}  # fmt: skip


@pytest.mark.parametrize("how", UNFIT)
def test_a_python_that_is_unfit_is_named(form: Form, how: str) -> None:
    text, told = UNFIT[how]
    place = form.without_python().tools / "python3"
    if form.name == "slug":
        place = form.folder / "python" / "bin" / "python3"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
    place.write_text(text.replace("PYTHON", sys.executable))
    place.chmod(0o755)
    line = served_unmirrored(form, **no_python_path(form))
    named = re.escape(str(place)) if form.name == "file" else r"\S.*/bin/\.\./python/bin/python3"
    assert re.fullmatch(UNMIRRORED.format(rf".* \({told.format(named)}\): .*"), line)


def test_a_python_that_is_too_old_is_named_and_a_newer_one_behind_it_is_taken(file_form: Form) -> None:
    old = next((path for release in reversed(TOO_OLD) if release != "2.7" and (path := find_python(release))), None)
    if old is None:
        unavailable("this machine has no Python from 3.6 to 3.9", PYTHONS)
    form = file_form.without_python()
    (form.tools / "python3").symlink_to(old)
    assert re.search(r"\(\S.*/tools/python3 is 3\.\d\.\d+\): apt", served_unmirrored(form, **no_python_path(form)))
    (form.tools / "python3.10").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (form.tools / "python3.10").chmod(0o755)
    assert run([form.program, "--version"], form.environ()) == (0, VERSION_LINE, "")


ARCHIVE_DAMAGE: dict[str, Callable[[Path], None]] = {
    "half of it": lambda path: truncate(path, path.stat().st_size // 2),
    "its last byte gone": lambda path: truncate(path, path.stat().st_size - 1),
    "no more than the sh lines": lambda path: truncate(path, path.read_bytes().index(b"PK\3\4")),
    "zeros at the end": lambda path: path.write_bytes(path.read_bytes()[:-4096] + bytes(4096)),
    "the end record": lambda path: flip(path, path.stat().st_size - 22),
    "the start of the directory": lambda path: flip(path, directory_of(path)[0]),
    "the archive's __main__": lambda path: flip_in_member(path, "__main__.py"),
    "what unpacks it": lambda path: flip_in_member(path, "unpacking.py"),
    "its identity": lambda path: flip_in_member(path, "environment.json"),
    "a module of the launcher": lambda path: flip_in_member(path, "site-packages/launcher/options.py"),
    "a module of trio": lambda path: flip_in_member(path, "site-packages/trio/_core/_run.py"),
}


@pytest.mark.parametrize("damage", ARCHIVE_DAMAGE)
def test_a_damaged_file_serves_the_app(file_form: Form, damage: str) -> None:
    ARCHIVE_DAMAGE[damage](file_form.program)
    line = served_unmirrored(file_form, HOME=str(file_form.folder / "home"))
    assert re.search(r"the file\.pyz:? .*; (put a sound copy there|deploy it anew, or report this)\"", line)


def test_a_flipped_byte_anywhere_behind_the_sh_lines_lets_the_command_run(file_form: Form) -> None:
    """At any place: where it matters one line says so, and where it doesn't (a date) nothing does."""
    whole = file_form.program.read_bytes()
    directory = directory_of(file_form.program)
    places = [*directory[:: len(directory) // 60], *range(len(whole) - 22, len(whole))]
    for name in ("__main__.py", "unpacking.py", "site-packages/launcher/cli.py"):
        data = data_of(file_form.program, name)
        places += [data[0] - 30 - len(name), *data[:: len(data) // 4]]
    words = [file_form.program, *SAY_WORDS, "{port}"]
    for place in places:
        flip(file_form.program, place)
        shutil.rmtree(file_form.folder / "home")
        (file_form.folder / "home").mkdir()
        status, out, errors = run(words, file_form.environ(PORT="5000"))
        assert (status, out) == (7, "PORT=5000|5000|"), f"{place}: {errors}"
        assert errors.count("\n") == 1, f"{place}: {errors}"
        file_form.program.write_bytes(whole)


SLUG_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "boot.py missing": (lambda slug: (slug / "boot.py").unlink(), r".*/boot\.py: No such file or directory; deploy.*"),
    "boot.py cut": (lambda slug: truncate(slug / "boot.py", 3000), r".*/boot\.py: damaged; deploy the app anew"),
    "boot.py emptied": (lambda slug: truncate(slug / "boot.py", 0), r".*/boot\.py: damaged; deploy the app anew"),
    "boot.py flipped": (lambda slug: flip(slug / "boot.py", 2000), r".*/boot\.py: damaged; deploy the app anew"),
    "no packages": (lambda slug: shutil.rmtree(slug / "packages"), r".*No module named 'launcher'.*; deploy it anew.*"),
    "no launcher": (lambda slug: shutil.rmtree(slug / "packages/launcher"), r".*No module named 'launcher'.*"),
    "no cli": (lambda slug: remove_module(slug / "packages/launcher/cli.py"), r".*No module named 'launcher\.cli'.*"),
    "no plan": (lambda slug: remove_module(slug / "packages/launcher/plan.py"), r".*'launcher\.plan' \(cli\.py, .*"),
    "no log": (lambda slug: remove_module(slug / "packages/launcher/log.py"), r".*No module named 'launcher\.log'.*"),
}


@pytest.mark.parametrize("damage", SLUG_DAMAGE)
def test_a_damaged_slug_serves_the_app(slug_form: Form, damage: str) -> None:
    do, told = SLUG_DAMAGE[damage]
    do(slug_form.folder)
    assert re.fullmatch(UNMIRRORED.format(told), served_unmirrored(slug_form))


MODULE_DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": remove_module,
    "cut": lambda path: (remove_module(path), path.write_text("def half(")),
    "emptied": lambda path: (remove_module(path), path.write_text("")),
    "bytecode cut": lambda path: [truncate(found, 200) for found in path.parent.glob(f"__pycache__/{path.stem}.*")],
}


@pytest.mark.parametrize("module", ["launcher/service.py", "launcher/relay.py", "trio/__init__.py", "outcome/_impl.py"])
@pytest.mark.parametrize("damage", MODULE_DAMAGE)
def test_a_damaged_module_that_only_mirroring_needs_takes_no_app_down(
    slug_form: Form, module: str, damage: str
) -> None:
    MODULE_DAMAGE[damage](slug_form.folder / "packages" / module)
    line = served_unmirrored(slug_form, "--to", f"http://127.0.0.1:{free_port()}")
    assert re.search(r'level=error reason=".*(Error|damaged).*deploy it anew', line)


def test_a_command_that_has_ended_before_the_damage_is_seen_is_not_run_again(slug_form: Form, tmp_path: Path) -> None:
    service = slug_form.folder / "packages" / "launcher" / "service.py"
    remove_module(service)
    service.write_text("import os\nos.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)\n")
    words = [slug_form.program, "--to", "http://127.0.0.1:9", "sh", "-c", 'echo run >>"$0"; exit 3', tmp_path / "runs"]
    status, _, errors = run(words, {**plain(slug_form.folder), "PORT": str(free_port())})
    assert (status, (tmp_path / "runs").read_text()) == (3, "run\n")
    assert errors.count("\n") == 1 and "start-traffic-duplicator is damaged: AttributeError" in errors


def test_a_damaged_launcher_tells_no_secret(slug_form: Form) -> None:
    plan = slug_form.folder / "packages" / "launcher" / "plan.py"
    remove_module(plan)
    plan.write_text("import os\nMode = None\ndef make_plan(*_): return {}[os.environ['KEY']]\n")
    line = served_unmirrored(slug_form, KEY="hush-hush")
    told = "the launcher failed with KeyError (plan.py, line 3); deploy it anew, or report this"
    assert line == UNMIRRORED.format(told)


def test_an_unreadable_options_file_serves_the_app(form: Form, tmp_path: Path) -> None:
    (tmp_path / "options").mkdir()
    line = served_unmirrored(form, "--gor-options", str(tmp_path / "options"))
    assert "options: can't be read: Is a directory" in line


# ---- machines made for the test ------------------------------------------------------------------------------------

FULL = 'mount -t tmpfs -o size=64k none "{0}"; head -c 100000 /dev/zero >"{0}/filler" || :'


def test_on_a_full_disk_the_app_is_mirrored(form: Form, tmp_path: Path) -> None:
    home = tmp_path / "full"
    home.mkdir()
    setup = "; ".join(FULL.format(folder) for folder in (home, "/var/tmp"))
    assert_mirrors(form, setup, HOME=str(home), TMPDIR=str(home))


def test_with_a_read_only_home_the_app_is_mirrored(form: Form) -> None:
    setup = f'mount --bind "{form.folder}" "{form.folder}"; mount -o remount,bind,ro "{form.folder}"'
    assert_mirrors(form, setup, HOME=str(form.folder))


@pytest.mark.parametrize("home", ["", "/nonexistent"])
def test_without_a_home_the_app_is_mirrored(form: Form, tmp_path: Path, home: str) -> None:
    assert_mirrors(form, "", HOME=home, TMPDIR=str(tmp_path))


def assert_mirrors(form: Form, setup: str, **environ: str) -> None:
    prefix = in_namespace(setup) if setup else []
    product = Product(form.program, form.folder)
    options = ["--to", f"http://127.0.0.1:{free_port()}"]
    with product.launch(options, app("controlled.py", "listen"), environ=environ, prefix=prefix) as launched:
        launched.wait_until_listening()
        assert launched.http("GET", "/page").body == b"GET /page 0\n"
        launched.tell("exit 0")
        assert launched.wait() == 0


def test_in_a_root_without_tmp_and_home_the_command_runs(form: Form, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("usr", "proc", "dev", "app"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        if Path("/", name).exists():
            (root / name).symlink_to(f"usr/{name}")
    if not Path("/bin").is_symlink():
        pytest.skip("/bin is a folder of its own here, and this root has only /usr")
    setup = f'for name in usr proc dev; do mount --rbind "/$name" "{root}/$name"; done'
    setup += f'\nmount --bind "{form.folder}" "{root}/app"\nmount -o remount,bind,ro "{root}/app"'
    program = Path("/app") / form.program.relative_to(form.folder)
    words = in_namespace(setup, "chroot", root, program, *SAY_WORDS, "{port}")
    status, out, errors = run(words, {"PATH": f"{SYSTEM_PATH}:/usr/sbin", "PORT": "5000"})
    assert (status, out) == (7, "PORT=5000|5000|")
    assert 'reason="there is no destination' in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("state", ["sound", "switched off", "without python", "with a broken launcher"])
@pytest.mark.parametrize("stream", ["closed", "full", "unread"])
def test_a_standard_error_that_takes_nothing_keeps_no_app_from_running(form: Form, state: str, stream: str) -> None:
    if state == "without python":
        form.without_python()
    elif state == "with a broken launcher":
        form.with_broken_launcher()
    reader, writer = os.pipe()
    os.close(reader)
    words = ["sh", "-c", 'exec "$@" 2>&-' if stream == "closed" else 'exec "$@"', "sh", form.program, *SAY_WORDS]
    with open("/dev/full", "w") as full, os.fdopen(writer, "w") as unread:
        result = subprocess.run(
            words, env=form.environ(PORT="5000", **(OFF if state == "switched off" else {})),
            stdout=subprocess.PIPE, stderr=full if stream == "full" else unread, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    assert (result.returncode, result.stdout) == (7, b"PORT=5000|")


# ---- what runs: the same by every way ------------------------------------------------------------------------------

WAYS = ("switched off", "switched off, through Python", "without python", "with a broken launcher")


@pytest.fixture(params=WAYS)
def unmirrored(request: pytest.FixtureRequest, form: Form) -> Callable[..., tuple[int, str, str]]:
    """Runs the word so that the command runs by itself, by one of the four texts that can do that."""
    more: dict[str, str] = {}
    if request.param.startswith("switched off"):
        more |= OFF
    if request.param.endswith("through Python"):
        more |= {"odd.name": "which dash would drop"}
    if request.param == "without python":
        form.without_python()
    if request.param == "with a broken launcher":
        form.with_broken_launcher()

    def run_it(words: Sequence[str], **environ: str) -> tuple[int, str, str]:
        with_python = {"PATH": f"{form.tools}:{SYSTEM_PATH}"} if request.param != "without python" else {}
        return run([form.program, *words], form.environ(**more, **with_python, **environ))

    return run_it


RUNS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "PORT as given": ([], {"PORT": "5000"}, "5000"),
    "a mark before the command": (["--"], {"PORT": "5000"}, "5000"),
    "options to skip": (["--to", "http://a.b", "--sample=5", "--strict=no", "--app-port", "1"], {"PORT": "50"}, "50"),
    "a value that looks like an option": (["--gor-options", "--port"], {"PORT": "5000"}, "5000"),
    "--port N": (["--port", "6000", "--"], {"PORT": "5000"}, "6000"),
    "--port=N": (["--port=6000"], {"PORT": "5000"}, "6000"),
    "the last of two": (["--port=6000", "--port", "7000"], {}, "7000"),
    "no port at all": ([], {}, "5000"),
    "an empty PORT": ([], {"PORT": ""}, "5000"),
    "--port in a dyno": (["--port", "6000"], {"DYNO": "web.1"}, "6000"),
}  # fmt: skip


@pytest.mark.parametrize("case", RUNS)
def test_the_command_gets_its_port(unmirrored: Callable[..., tuple[int, str, str]], case: str) -> None:
    options, environ, port = RUNS[case]
    words = ["-p", "{port}", "a b", "{port}/{port}", "", "-n 5000", "$PORT `x` \\n 'q'", "tcp://[::]:{port}"]
    expected = words[:]
    for number, word in enumerate(words):
        expected[number] = word.replace("{port}", port)
    status, out, errors = unmirrored([*options, *SAY_WORDS, *words], **environ)
    assert (status, out) == (7, "|".join([f"PORT={port}", *expected, ""]))
    assert errors.count("\n") == 1 and errors.startswith("traffic-duplicator at=unmirrored ")


@pytest.mark.parametrize(
    "environ",
    [{"DYNO": "run.1"}, {"DYNO": "web.1", "PORT": "many"}, {"PORT": "many"}, {"PORT": "70000"}, {"PORT": "123456789"}],
)
def test_without_a_port_the_command_runs_as_it_is(
    unmirrored: Callable[..., tuple[int, str, str]], environ: dict[str, str]
) -> None:
    words = ["{port}", "5000", *(["{socket}"] if "DYNO" in environ else [])]
    status, out, _ = unmirrored([*SAY_WORDS, *words], **environ)
    assert (status, out) == (7, "|".join([f"PORT={environ.get('PORT', '')}", *words, ""]))


@pytest.mark.parametrize(
    ("command", "status"),
    [(["/nonexistent"], 127), (["no-such-command"], 127), (["/dev/null"], 126), (["sh", "-c", "kill -9 $$"], -9)],
)
def test_the_status_is_the_commands_own_or_a_shells(
    unmirrored: Callable[..., tuple[int, str, str]], command: list[str], status: int
) -> None:
    assert unmirrored(command)[0] == status


def test_a_script_without_a_first_line_runs_through_sh(
    unmirrored: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "script").write_text('echo "$1"; exit 7\n')
    (tmp_path / "script").chmod(0o755)
    assert unmirrored([str(tmp_path / "script"), "a b"])[:2] == (7, "a b\n")


@pytest.mark.parametrize("way", WAYS)
def test_the_command_dies_of_a_broken_pipe_as_without_the_word(form: Form, way: str) -> None:
    """Python ignores SIGPIPE, and what it becomes must not."""
    if way == "without python":
        form.without_python()
    if way == "with a broken launcher":
        form.with_broken_launcher()
    more = (OFF if "off" in way else {}) | ({"odd.name": ""} if "through" in way else {})
    path = {} if way == "without python" else {"PATH": SYSTEM_PATH}
    status, out, _ = run([form.program, "grep", "-h", "SigIgn", "/proc/self/status"], form.environ(**more, **path))
    assert status == 0
    assert int(out.split()[1], 16) & 1 << 12 == 0  # SIGPIPE is 13


# ---- what can't run, and what is no command ------------------------------------------------------------------------


@pytest.fixture(params=["without python", "with a broken launcher"])
def broken(request: pytest.FixtureRequest, form: Form) -> Callable[..., tuple[int, str, str]]:
    is_without = request.param == "without python"
    broken_form = form.without_python() if is_without else form.with_broken_launcher()
    path = {} if is_without else {"PATH": SYSTEM_PATH}

    def run_it(words: Sequence[str], **environ: str) -> tuple[int, str, str]:
        return run([broken_form.program, *words], broken_form.environ(**path, **environ))

    return run_it


@pytest.mark.parametrize(
    ("words", "environ"),
    [(["--version"], {}), (["--help"], {}), (["-h"], {}), (["--dry-run", "true"], {}), (["--to"], {}), ([], {}),
     (["--replay", "--output-http", "http://a.example"], {}), (["--to", "http://a.example"], {}),
     (["--strict", "true"], {}), (["--strict=yes", "true"], {}), (["--port", "many", "true"], {}),
     (["--prot", "5000", "true"], {}), (["true"], {"TRAFFIC_DUPLICATOR_STRICT": "Yes"})],
)  # fmt: skip
def test_what_is_no_command_or_insists_on_the_launcher_exits_with_2(
    broken: Callable[..., tuple[int, str, str]], words: list[str], environ: dict[str, str]
) -> None:
    status, out, errors = broken(words, **environ)
    assert (status, out) == (2, "")
    assert errors.startswith("Error: ") and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "environ"),
    [(["true", "unix:{socket}"], {}), (["--app-socket", "/run/app.sock", "true"], {}),
     (["--app-socket=/run/app.sock", "true"], {}), (["true"], {"TRAFFIC_DUPLICATOR_APP_SOCKET": "/run/app.sock"})],
)  # fmt: skip
def test_an_app_on_a_socket_is_not_started_without_the_launcher(
    broken: Callable[..., tuple[int, str, str]], words: list[str], environ: dict[str, str]
) -> None:
    status, out, errors = broken(words, **environ)
    assert (status, out) == (1, "")
    assert re.fullmatch(r"Error: .*; an app on a socket can't run without it, so nothing was started\n", errors)


# ---- the environment -----------------------------------------------------------------------------------------------

SHELLS = {"dash": ["dash"], "bash as sh": ["bash", "--posix"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
GIVEN = {
    b"PORT": b"5000", b"PATH": SYSTEM_PATH.encode(), b"HOME": b"/nonexistent", b"LINES_": b"one\ntwo\n", b"EMPTY": b"",
    b"ODD": bytes(range(1, 256)), b"PYTHONHOME": b"/nonexistent", b"LD_LIBRARY_PATH": b"/nonexistent",
}  # fmt: skip
ODD_NAMES = {
    b"app.mode": b"a dot's \"value\"", b"with-dash": b"", b"odd name": b"$(false) `false`", b"\xff": b"\xfe",
    b"td_python": b"mine", b"td_file": b"mine", b"td_words": b"mine", b"td_line": b"mine", b"IFS": b"x",
    b"BASH_FUNC_echo%%": b"() { false; }",
}  # fmt: skip
LOCALES = [{}, {b"LANG": b"C"}, {b"LC_ALL": b"POSIX"}, {b"LANG": b"C.UTF-8", b"PWD": b"/", b"SHLVL": b"3", b"_": b"it"}]


def shell_words(name: str) -> list[str]:
    words = SHELLS[name]
    path = shutil.which(words[0])
    if path is None:
        unavailable(f"this machine has no {words[0]}", needs.SHELLS)
    return [path, *words[1:]]


def environment_of_app(words: Sequence[str | Path], given: dict[bytes, bytes]) -> dict[bytes, bytes]:
    result = subprocess.run([*words, "/usr/bin/env", "-0"], env=given, capture_output=True, timeout=PATIENCE_SECONDS)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(b"\n") == 1, result.stderr
    return dict(pair.split(b"=", 1) for pair in result.stdout.split(b"\0")[:-1])


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("locale", LOCALES, ids=lambda locale: b" ".join(locale).decode() or "none")
@pytest.mark.parametrize("state", ["sound", "switched off", "with a broken launcher"])
def test_the_app_sees_the_environment_that_the_word_was_given(
    slug_form: Form, shell: str, locale: dict[bytes, bytes], state: str
) -> None:
    if state == "with a broken launcher":
        slug_form.with_broken_launcher()
    off = {b"TRAFFIC_DUPLICATOR_ENABLED": b"oFF"} if state == "switched off" else {}
    for odd in ({}, ODD_NAMES):
        given = {**GIVEN, **locale, **odd, **off}
        assert environment_of_app([*shell_words(shell), slug_form.program], given) == given


def test_behind_the_relay_the_app_sees_another_port_and_nothing_else(slug_form: Form) -> None:
    given = {**GIVEN, **ODD_NAMES, b"PORT": str(free_port()).encode()}
    words = [slug_form.program, "--to", f"http://127.0.0.1:{free_port()}", "/usr/bin/env", "-0"]
    result = subprocess.run(words, env=given, capture_output=True, timeout=PATIENCE_SECONDS)
    got = dict(pair.split(b"=", 1) for pair in result.stdout.split(b"\0")[:-1])
    assert got.pop(b"PORT") != given.pop(b"PORT")
    assert got == given


def test_without_python_dash_hands_down_all_that_has_a_shells_name(form: Form) -> None:
    form.without_python()
    given = {**GIVEN, b"PATH": os.fsencode(form.tools)}
    assert environment_of_app([*shell_words("dash"), form.program], given) == given


# ---- the kill switch -----------------------------------------------------------------------------------------------


@pytest.fixture
def python_mark(slug_form: Form, tmp_path: Path) -> Path:
    """A file that is there once the slug's own Python has been started."""
    python, mark = slug_form.folder / "python" / "bin" / "python3", tmp_path / "python was started"
    real = os.path.realpath(python if python.exists() else SYSTEM_PYTHON)
    python.parent.mkdir(parents=True, exist_ok=True)
    python.unlink(missing_ok=True)
    python.write_text(f'#!/bin/bash\n: >"{mark}"\nexec {real} "$@"\n')  # bash hands odd names down
    python.chmod(0o755)
    return mark


@pytest.mark.parametrize("value", ["false", "FALSE", "0", "no", "oFf"])
def test_the_kill_switch_starts_no_python(slug_form: Form, python_mark: Path, value: str) -> None:
    environ = {**plain(slug_form.folder), "PORT": "5000", "TRAFFIC_DUPLICATOR_ENABLED": value}
    assert run([slug_form.program, *SAY_WORDS, "{port}"], environ) == (7, "PORT=5000|5000|", SWITCHED_OFF)
    assert not python_mark.exists()


@pytest.mark.parametrize("value", ["true", "1", "", "maybe", " false "])
def test_any_other_value_is_the_launchers_to_judge(slug_form: Form, python_mark: Path, value: str) -> None:
    environ = {**plain(slug_form.folder), "PORT": "5000", "TRAFFIC_DUPLICATOR_ENABLED": value}
    assert run([slug_form.program, *SAY_WORDS], environ)[:2] == (7, "PORT=5000|")
    assert python_mark.exists()


@pytest.mark.parametrize("name", ["app.mode", "td_count"])
def test_the_kill_switch_needs_python_for_what_a_shell_would_change(
    slug_form: Form, python_mark: Path, name: str
) -> None:
    words = [*shell_words("dash"), slug_form.program, "printenv", name]
    assert run(words, {**plain(slug_form.folder), **OFF, name: "mine"}) == (0, "mine\n", SWITCHED_OFF)
    assert python_mark.exists()


@pytest.mark.parametrize(
    ("words", "status"), [(["--version"], 0), (["--help"], 0), ([], 2), (["--prot", "1", "true"], 2)]
)
def test_the_kill_switch_leaves_what_is_no_command_to_the_launcher(
    slug_form: Form, python_mark: Path, words: list[str], status: int
) -> None:
    got = run([slug_form.program, *words], {**plain(slug_form.folder), **OFF})
    assert got[0] == status
    assert "needs Python" not in got[2]
    assert python_mark.exists()


def test_with_the_kill_switch_an_app_on_a_socket_is_relayed_and_not_mirrored(slug_form: Form) -> None:
    product = Product(slug_form.program, slug_form.folder)
    with product.launch([], app("controlled.py", "listen {socket}"), environ=OFF) as launched:
        launched.wait_until_listening()
        assert launched.http("GET", "/page").body == b"GET /page 0\n"
        launched.tell("exit 0")
        assert launched.wait() == 0


# ---- where it is ---------------------------------------------------------------------------------------------------

STARTS: dict[str, Callable[[Path], list[str]]] = {
    "absolute": lambda app: [str(app / ".traffic-duplicator" / "bin" / WORD)],
    "relative": lambda app: [f".traffic-duplicator/bin/{WORD}"],
    "the link": lambda app: [str(app / "bin" / WORD)],
    "the link, relative": lambda app: [f"bin/{WORD}"],
    "by PATH": lambda app: [WORD],
    "bash, by PATH": lambda app: ["bash", WORD],
    "a link to the link": lambda app: [str(app / "links" / "to the link")],
    "a link to a link by an absolute path": lambda app: ["links/absolute"],
}


@pytest.mark.parametrize("by_path", [".traffic-duplicator/bin", "bin"])
@pytest.mark.parametrize("how", STARTS)
def test_the_wrapper_finds_what_it_runs(slug_form: Form, how: str, by_path: str) -> None:
    app_folder = slug_form.folder.parent
    (app_folder / "bin").mkdir()
    (app_folder / "bin" / WORD).symlink_to(f"../.traffic-duplicator/bin/{WORD}")
    (app_folder / "links").mkdir()
    (app_folder / "links" / "to the link").symlink_to(f"../bin/{WORD}")
    (app_folder / "links" / "absolute").symlink_to(app_folder / "links" / "to the link")
    environ = {**plain(app_folder), "PATH": f"{app_folder / by_path}:{SYSTEM_PATH}"}
    assert run([*STARTS[how](app_folder), "--version"], environ, cwd=app_folder) == (0, VERSION_LINE, "")


def test_the_slugs_own_python_comes_before_the_systems_and_the_apps_is_never_taken(
    slug_form: Form, python_mark: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("python3", "python3.10", "python3.12", "python3.14", "python"):
        (theirs / name).write_text("#!/bin/sh\necho the wrong Python >&2\nexit 0\n")
        (theirs / name).chmod(0o755)
    environ = {**plain(slug_form.folder), "PATH": f"{theirs}:{SYSTEM_PATH}"}
    assert run([slug_form.program, "--version"], environ) == (0, VERSION_LINE, "")
    assert python_mark.exists()
    without = replace(slug_form).without_python()
    shutil.rmtree(without.folder / "python")
    status, _, errors = run([without.program, "true"], environ)
    assert (status, errors) == (0, UNMIRRORED.format(without.no_python))


def test_nothing_is_written_at_a_boot(slug_form: Form) -> None:
    before = {path: path.stat().st_mtime_ns for path in slug_form.folder.rglob("*")}
    for bytecode in list(before)[::2]:  # as where the system's Python is not the one that compiled it
        if bytecode.suffix == ".pyc":
            bytecode.unlink()
    before = {path: path.stat().st_mtime_ns for path in slug_form.folder.rglob("*")}
    status, _, _ = run([slug_form.program, "true"], plain(slug_form.folder))
    assert status == 0
    assert {path: path.stat().st_mtime_ns for path in slug_form.folder.rglob("*")} == before
