"""How the built file starts: by any name and way, with any environment, wherever it may or may not write."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import __version__
from tests.pythons import SUPPORTED, TOO_OLD, need_python
from tests.system.launched import Product
from tests.system.plain_run import PATIENCE_SECONDS, SYSTEM_PATH, in_namespace, plain, run

VERSION_LINE = f"start-traffic-duplicator {__version__}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the file may have been unpacked before."""
    return tmp_path_factory.mktemp("used-home")


def unpacked_below(folder: Path) -> list[Path]:
    return [path.parents[2] for path in folder.rglob("site-packages/launcher/cli.py")]


# ---- ways to start it ----------------------------------------------------------------------------------------------

WAYS: dict[str, Callable[[Path], list[str]]] = {
    "an absolute path": lambda file: [str(file)],
    "a relative path": lambda file: [f"./{file.name}"],
    "its name, by PATH": lambda file: [file.name],
    "sh FILE": lambda file: ["sh", file.name],
    "bash FILE": lambda file: ["bash", file.name],
    "python3 FILE": lambda file: [sys.executable, file.name],
    "python3 -I -S FILE": lambda file: [sys.executable, "-I", "-S", str(file)],
}


@pytest.mark.parametrize("way", WAYS)
def test_starts_every_way_under_another_name_from_a_folder_with_spaces(
    pyz: Path, used_home: Path, tmp_path: Path, way: str
) -> None:
    folder = tmp_path / "a folder, and 'quotes'"
    folder.mkdir()
    file = Path(shutil.copy(pyz, folder / "launcher.pyz"))
    environ = {**plain(used_home), "PATH": f"{folder}:{SYSTEM_PATH}"}
    assert run([*WAYS[way](file), "--version"], environ, cwd=folder) == (0, VERSION_LINE, "")


def test_starts_through_a_symbolic_link_without_a_suffix(pyz: Path, used_home: Path, tmp_path: Path) -> None:
    link = tmp_path / "start-traffic-duplicator"
    link.symlink_to(pyz)
    assert run([link, "--version"], plain(used_home)) == (0, VERSION_LINE, "")


@pytest.mark.parametrize("release", SUPPORTED)
def test_runs_on_each_supported_python(pyz: Path, used_home: Path, release: str) -> None:
    python = need_python(release)
    assert run([python, pyz, "--version"], plain(used_home)) == (0, VERSION_LINE, "")
    status, out, _ = run([python, pyz, "sh", "-c", "echo $0; exit 7"], {**plain(used_home), "DYNO": "worker.1"})
    assert (status, out) == (7, "sh\n")


@pytest.mark.parametrize("release", TOO_OLD)
def test_an_older_python_says_so_in_one_line_and_becomes_the_command(pyz: Path, used_home: Path, release: str) -> None:
    python = need_python(release)
    why = rf"start-traffic-duplicator needs Python 3\.10 or newer, this is {re.escape(release)}\.\d+ \(/.*\)"
    status, out, errors = run([python, pyz, "--version"], plain(used_home))
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"Error: {why}\n", errors)
    words = [python, pyz, "--to", "http://a.example", "--port=6000", "sh", "-c", 'echo "$1 $PORT é"; exit 7', "sh"]
    status, out, errors = run([*words, "a{port}b{port}"], plain(used_home))
    assert (status, out) == (7, "a6000b6000 6000 é\n")
    line = rf'traffic-duplicator at=unmirrored level=error reason="{why}" app="by itself, unmirrored"\n'
    assert re.fullmatch(line, errors)


# ---- the environment -----------------------------------------------------------------------------------------------


@pytest.fixture
def poison(tmp_path: Path) -> dict[str, str]:
    """Variables that would each make another program of it, or none."""
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    for module in ("trio", "launcher", "attrs", "idna", "unpacking"):
        (fakes / f"{module}.py").write_text("raise SystemExit('a fake module was imported')\n")
    return {
        "PYTHONPATH": str(fakes), "PYTHONSTARTUP": str(fakes / "trio.py"), "PYTHONINSPECT": "1", "PYTHONOPTIMIZE": "2",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error", "SHIV_INTERPRETER": "1", "SHIV_MODULE": "this:d",
        "SHIV_ENTRY_POINT": "this:d", "SHIV_CONSOLE_SCRIPT": "nothing", "SHIV_ROOT": "/nonexistent",
        "SHIV_FORCE_EXTRACT": "1", "SHIV_EXTEND_PYTHONPATH": "1", "SHIV_PREPEND_PYTHONPATH": str(fakes),
    }  # fmt: skip


def test_no_variable_makes_another_program_of_it(pyz: Path, home: Path, poison: dict[str, str]) -> None:
    for module in ("sitecustomize", "os", "json", "zipfile"):
        Path(poison["PYTHONPATH"], f"{module}.py").write_text("raise SystemExit('a fake module was imported')\n")
    environ = {**plain(home), **poison, "PYTHONHOME": "/nonexistent"}
    assert run([pyz, "--version"], environ) == (0, VERSION_LINE, "")
    assert len(unpacked_below(home)) == 1


def test_no_variable_makes_another_program_of_python3_file(pyz: Path, used_home: Path, poison: dict[str, str]) -> None:
    """PYTHONHOME is left out: Python obeys it before a line of ours can run."""
    assert run([sys.executable, pyz, "--version"], {**plain(used_home), **poison}) == (0, VERSION_LINE, "")


@pytest.mark.parametrize("way", ["an absolute path", "bash FILE", "python3 FILE"])
@pytest.mark.parametrize("locale", [{}, {"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "C.UTF-8", "PWD": "/"}])
def test_the_app_gets_exactly_the_environment_that_the_file_was_given(
    pyz: Path, used_home: Path, poison: dict[str, str], way: str, locale: dict[str, str]
) -> None:
    given = {os.fsencode(name): os.fsencode(value) for name, value in {**plain(used_home), **poison, **locale}.items()}
    given |= {
        b"TRAFFIC_DUPLICATOR_ENABLED": b"false", b"PORT": b"5000", b"app.mode": b"a dot's \"value\"",
        b"with-dash": b"", b"LINES_": b"one\ntwo\n", b"ODD": bytes(range(1, 256)), b"odd name": b"$(false) `false`",
        b"td_python": b"/nonexistent", b"td_file": b"/nonexistent", b"BASH_FUNC_echo%%": b"() { false; }",
    }  # fmt: skip
    words = [*WAYS[way](pyz), "/usr/bin/env", "-0"]
    result = subprocess.run(words, env=given, cwd=pyz.parent, capture_output=True, timeout=PATIENCE_SECONDS)
    assert result.returncode == 0, result.stderr
    got = dict(pair.split(b"=", 1) for pair in result.stdout.split(b"\0")[:-1])
    assert got == given


# ---- where it unpacks ----------------------------------------------------------------------------------------------


def test_unpacks_once_below_home_for_its_user_alone(pyz: Path, home: Path) -> None:
    run([pyz, "--version"], plain(home))
    [tree] = unpacked_below(home)
    assert tree.parent == home / ".traffic-duplicator"
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    assert any(path.suffix == ".pyc" for path in before)
    assert run([pyz, "--version"], {**plain(home), "PYTHONDONTWRITEBYTECODE": "1"}) == (0, VERSION_LINE, "")
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_writes_bytecode_although_the_app_forbids_it_to_its_own_pythons(pyz: Path, home: Path) -> None:
    run([pyz, "--version"], {**plain(home), "PYTHONDONTWRITEBYTECODE": "1"})
    assert list(home.rglob("launcher/__pycache__/cli.*.pyc"))


def test_twelve_first_starts_at_once_all_start_and_leave_one_tree(pyz: Path, home: Path) -> None:
    words = [str(pyz), "--version"]
    racers = [
        subprocess.Popen(words, env=plain(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(12)
    ]
    assert [racer.communicate(timeout=PATIENCE_SECONDS)[0] for racer in racers] == [VERSION_LINE] * 12
    assert len(list((home / ".traffic-duplicator").iterdir())) == 1


@pytest.mark.parametrize("homeless", ["unset", "empty", "relative", "missing", "a file", "unsafe"])
def test_without_a_home_of_its_own_it_unpacks_in_the_temporary_folder(
    pyz: Path, home: Path, tmp_path: Path, homeless: str
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (home / ".traffic-duplicator").mkdir()
    (home / ".traffic-duplicator").chmod(0o777)  # anyone may have put code there
    (tmp_path / "a file").touch()
    values = {"empty": "", "relative": "home", "missing": "/nonexistent/home", "a file": str(tmp_path / "a file")}
    environ = {"PATH": SYSTEM_PATH, "TMPDIR": str(temporary), "HOME": values.get(homeless, str(home))}
    if homeless == "unset":
        del environ["HOME"]
    assert run([pyz, "--version"], environ, cwd=tmp_path) == (0, VERSION_LINE, "")
    [tree] = unpacked_below(tmp_path)
    assert tree.parent == temporary / f"traffic-duplicator-{os.geteuid()}"
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700


def test_never_runs_what_someone_else_may_have_put_into_the_temporary_folder(pyz: Path, tmp_path: Path) -> None:
    planted, elsewhere = tmp_path / f"traffic-duplicator-{os.geteuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    planted.symlink_to(elsewhere)
    assert run([pyz, "--version"], {"PATH": SYSTEM_PATH, "TMPDIR": str(tmp_path)}) == (0, VERSION_LINE, "")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("")], ids=["gone", "emptied"])
def test_a_tree_that_lost_files_is_made_whole_again(pyz: Path, home: Path, damage: Callable[[Path], object]) -> None:
    run([pyz, "--version"], plain(home))
    [tree] = unpacked_below(home)
    damage(tree / "site-packages" / "launcher" / "options.py")
    assert run([pyz, "--version"], plain(home)) == (0, VERSION_LINE, "")
    with zipfile.ZipFile(pyz) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist() if "site-packages/" in entry.filename}
    assert {name: (tree / name).stat().st_size for name in sizes} == sizes
    assert list(tree.parent.iterdir()) == [tree]


# ---- machines made for the test: a mount namespace each ------------------------------------------------------------


READ_ONLY = """
for folder in /tmp /var/tmp "$HOME"; do
  mount --bind "$folder" "$folder"
  mount -o remount,bind,ro "$folder"
done"""


def test_starts_from_the_archive_itself_where_nothing_can_be_written(pyz: Path, home: Path) -> None:
    assert run(in_namespace(READ_ONLY, pyz, "--version"), plain(home)) == (0, VERSION_LINE, "")
    words = in_namespace(READ_ONLY, pyz, "sh", "-c", "exit 7")
    assert run(words, {**plain(home), "DYNO": "worker.1"})[:2] == (7, "")
    assert list(home.iterdir()) == []


def test_serves_from_a_read_only_home_where_it_was_unpacked_before(pyz: Path, home: Path, tmp_path: Path) -> None:
    run([pyz, "--version"], plain(home))
    read_only = 'mount --bind "$HOME" "$HOME"; mount -o remount,bind,ro "$HOME"'
    environ = {**plain(home), "TMPDIR": str(tmp_path)}
    assert run(in_namespace(read_only, pyz, "--version"), environ) == (0, VERSION_LINE, "")
    assert unpacked_below(tmp_path) == unpacked_below(home)


def test_leaves_nothing_on_a_full_disk_and_goes_elsewhere(pyz: Path, home: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    words = in_namespace(
        'mount -t tmpfs -o size=256k none "$HOME"', "sh", "-c", '"$0" --version && find "$HOME" -type f', pyz
    )
    assert run(words, {**plain(home), "TMPDIR": str(temporary)}) == (0, VERSION_LINE, "")
    assert len(unpacked_below(temporary)) == 1


@pytest.mark.parametrize(
    "words", [["--help"], ["--dry-run", "--offline", "--to", "http://127.0.0.1:9", "true"]], ids=["help", "dry-run"]
)
def test_what_nobody_reads_to_its_end_ends_quietly(product: Product, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environ = {"PATH": os.environ["PATH"], "HOME": str(product.home)}
    done = subprocess.run([product.file, *words], stdout=writer, stderr=subprocess.PIPE, env=environ, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
