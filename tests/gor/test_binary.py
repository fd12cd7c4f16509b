from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from launcher.gor import binary as gor_module
from launcher.gor.binary import Gor, Unusable, app_candidates, faults, identify, other_candidates
from launcher.gor.flags import GorOption, Word, parse_flags


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def says(path: Path, version: str) -> Path:
    """A program that answers --help as gor does, with status 2."""
    return executable(path, f"#!/bin/sh\necho Gor\necho 'Current Version: {version}'\necho ' -stats' >&2\nexit 2\n")


def reason(path: Path) -> str:
    found = identify(path)
    assert isinstance(found, Unusable)
    assert found.path == path
    return found.reason


def parsed(*words: str) -> list[GorOption]:
    return parse_flags([Word(word, word, "file:1") for word in words])[0]


def released(*version: int) -> Gor:
    return Gor(Path("gor"), version, ".".join(map(str, version)))


# ---- where it may be -----------------------------------------------------------------------------------------------


def test_the_app_s_gor_is_in_bin_or_in_vendor(tmp_path: Path) -> None:
    assert app_candidates(tmp_path) == []
    vendored = executable(tmp_path / "vendor" / "gor", "")
    assert app_candidates(tmp_path) == [vendored]
    own = executable(tmp_path / "bin" / "gor", "")
    assert app_candidates(tmp_path) == [own, vendored]


def test_a_folder_of_that_name_is_no_gor(tmp_path: Path) -> None:
    (tmp_path / "vendor" / "gor").mkdir(parents=True)
    assert app_candidates(tmp_path) == []


def test_an_app_s_gor_that_is_not_executable_is_named_rather_than_passed_over(tmp_path: Path) -> None:
    path = executable(tmp_path / "bin" / "gor", "")
    path.chmod(0o644)
    assert app_candidates(tmp_path) == [path]


def test_the_one_beside_the_launcher_comes_before_those_on_path(tmp_path: Path) -> None:
    first, second, beside = (tmp_path / name for name in ("first", "second", "beside"))
    expected = [
        executable(beside / "gor", ""), executable(beside / "goreplay", ""),
        executable(second / "gor", ""), executable(first / "goreplay", ""),
    ]  # fmt: skip
    assert other_candidates(beside, f"{first}:{second}") == expected


def test_on_path_only_executable_files_count_and_an_empty_entry_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "gor", "")
    executable(tmp_path / "on" / "gor", "").chmod(0o644)
    monkeypatch.chdir(tmp_path)
    assert other_candidates(tmp_path / "nowhere", f":{tmp_path}/on:") == []


# ---- which one it is -----------------------------------------------------------------------------------------------


def test_a_real_gor_is_identified(gor: Gor) -> None:
    assert isinstance(gor, Gor)
    assert gor.version >= (1, 0, 0)
    assert gor.version_text == ".".join(map(str, gor.version))


@pytest.mark.parametrize(
    ("text", "version"),
    [("v1.2.0", (1, 2, 0)), ("v2.0.0-rc2", (2, 0, 0)), ("1.3", (1, 3, 0)), ("1.10.1", (1, 10, 1))],
)
def test_the_version_is_what_it_says(tmp_path: Path, text: str, version: tuple[int, ...]) -> None:
    path = says(tmp_path / "gor", text)
    assert identify(path) == Gor(path, version, text.removeprefix("v"))


def test_a_relative_path_is_not_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says(tmp_path / "cat", "1.2.0")
    monkeypatch.chdir(tmp_path)
    assert identify(Path("cat")) == Gor(Path("cat"), (1, 2, 0), "1.2.0")


@pytest.mark.parametrize("text", ["v0.14.1", "0.16.1", "0.9"])
def test_releases_before_1_0_are_too_old(tmp_path: Path, text: str) -> None:
    assert reason(says(tmp_path / "gor", text)) == f"is gor {text.removeprefix('v')}: 1.0.0 or later is needed"


def test_another_program_is_not_gor() -> None:
    assert reason(Path("/bin/cat")) == "is not gor: its --help names no version"


def test_a_program_that_says_too_much_is_not_gor(tmp_path: Path) -> None:
    assert reason(executable(tmp_path / "gor", "#!/bin/sh\nexec yes\n")).startswith("is not gor")


def test_a_program_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gor_module, "_HELP_SECONDS", 0.3)
    own_pid = tmp_path / "pid"
    path = executable(tmp_path / "gor", f"#!/bin/sh\necho $$ >{own_pid}\nsleep 600 & wait\n")
    assert reason(path) == "did not answer --help within 0.3 s"
    with pytest.raises(ProcessLookupError):
        os.kill(int(own_pid.read_text()), 0)


def test_a_gor_that_goes_on_after_its_answer_is_identified_and_ended(tmp_path: Path) -> None:
    path = executable(tmp_path / "gor", "#!/bin/sh\necho 'Current Version: 1.2.0'\nexec sleep 600 >/dev/null 2>&1\n")
    assert identify(path) == Gor(path, (1, 2, 0), "1.2.0")


def test_it_gets_nothing_to_read(tmp_path: Path) -> None:
    path = executable(tmp_path / "gor", "#!/bin/sh\nread line || echo 'Current Version: 1.2.0'\n")
    assert isinstance(identify(path), Gor)


def test_a_file_that_is_not_executable_is_named(tmp_path: Path) -> None:
    path = says(tmp_path / "gor", "1.2.0")
    path.chmod(0o644)
    assert reason(path) == "is not executable"


def test_a_folder_and_nothing_at_all_are_named(tmp_path: Path) -> None:
    assert reason(tmp_path) == "is a directory"
    assert reason(tmp_path / "gor") == "does not exist"


def test_a_missing_interpreter_is_told_from_a_missing_file(tmp_path: Path) -> None:
    path = executable(tmp_path / "gor", "#!/no/such/interpreter\n")
    assert reason(path) == "names a loader or interpreter that is not installed"


def test_a_text_without_an_interpreter_is_no_program(tmp_path: Path) -> None:
    assert reason(executable(tmp_path / "gor", "Current Version: 1.2.0\n")) == "is no program that this system can run"


def patched(path: Path, source: Path, offset: int, data: bytes) -> Path:
    shutil.copy(source, path)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return path


@pytest.mark.skipif(sys.platform != "linux" or sys.byteorder != "little", reason="ELF, little-endian")
@pytest.mark.parametrize(("machine", "name"), [(8, "mips"), (22, "s390x"), (4242, "machine 4242")])
def test_a_program_for_another_machine_is_named(tmp_path: Path, machine: int, name: str) -> None:
    path = patched(tmp_path / "gor", Path("/bin/cat"), 18, machine.to_bytes(2, "little"))
    assert reason(path).startswith(f"is built for {name}, and this is Linux on ")


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux can't run")
@pytest.mark.parametrize(("head", "name"), [(b"\xcf\xfa\xed\xfe", "macOS"), (b"MZ\x90\x00", "Windows")])
def test_a_program_for_another_system_is_named(tmp_path: Path, head: bytes, name: str) -> None:
    path = executable(tmp_path / "gor", "")
    path.write_bytes(head + bytes(100))
    assert reason(path).startswith(f"is built for {name}, and this is Linux on ")


def test_a_missing_library_is_named(tmp_path: Path, gor: Gor) -> None:
    """A real gor whose libpcap is renamed to one that nobody has."""
    program = gor.path.read_bytes()
    library = re.search(rb"libpcap\.so\.[0-9.]+", program)
    if library is None:
        pytest.skip("this gor is static")
    missing = b"libpcaq" + library[0][7:]
    path = executable(tmp_path / "gor", "")
    path.write_bytes(program.replace(library[0], missing))
    assert reason(path) == f"needs {missing.decode()}, which is not installed"


def test_the_package_with_libpcap_is_named(tmp_path: Path) -> None:
    text = "gor: error while loading shared libraries: libpcap.so.0.8: cannot open shared object file"
    path = executable(tmp_path / "gor", f"#!/bin/sh\necho '{text}' >&2\nexit 127\n")
    assert reason(path) == "needs libpcap.so.0.8, which is not installed (the Debian package libpcap0.8 has it)"


def test_too_old_a_libc_is_named(tmp_path: Path) -> None:
    text = "gor: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by gor)"
    path = executable(tmp_path / "gor", f'#!/bin/sh\ncat >&2 <<"E"\n{text}\nE\nexit 1\n')
    assert reason(path) == "needs GLIBC_2.38, which this system's libraries don't have"


def test_a_crash_is_named(tmp_path: Path) -> None:
    path = executable(tmp_path / "gor", "#!/bin/sh\nkill -SEGV $$\n")
    assert reason(path) == "was ended by signal 11 when it was asked for --help"


# ---- what to warn of -----------------------------------------------------------------------------------------------

HTTP, HTTPS = ("--output-http", "http://a"), ("--output-http", "https://a")


@pytest.mark.parametrize(
    ("version", "words", "told"),
    [
        ((1, 2, 0), HTTP, ["loses copies at destinations that close"]),
        ((1, 2, 0), HTTPS, ["never verifies certificates", "loses copies at destinations that close"]),
        ((1, 2, 0), (*HTTPS, "--output-http-compatibility-mode"), ["waits without end"]),
        ((1, 3, 0), HTTP, ["opens a connection for nearly every copy"]),
        ((1, 3, 0), HTTPS, ["opens a connection for nearly every copy"]),
        ((1, 3, 0), (*HTTP, "--output-http-track-response"), []),
        ((1, 3, 2), (*HTTP, "--output-http-track-response=false"), ["opens a connection for nearly every copy"]),
        ((1, 2, 0), ("--output-tcp", "b:1|10"), ["takes a whole processor"]),
        ((1, 3, 0), ("--output-tcp", "b:1|10"), []),
        ((1, 2, 0), ("--output-file", "f"), ["a restart loses what was recorded"]),
        ((1, 3, 0), ("--output-http", "http://u:p@a"), ["opens a connection", "does not send a URL's user and"]),
        ((1, 2, 0), ("--output-http", "http://u:p@a"), ["loses copies at destinations that close"]),
        ((2, 0, 0), HTTPS, []),
    ],
)
def test_the_faults_of_a_release_are_told_if_the_options_concern_them(
    version: tuple[int, ...], words: tuple[str, ...], told: list[str]
) -> None:
    found = faults(released(*version), parsed(*words))
    assert len(found) == len(told)
    for line, part in zip(found, told, strict=True):
        assert line.startswith(f"gor {'.'.join(map(str, version))}: ")
        assert part in line


def test_that_only_one_destination_s_responses_are_kept_is_told() -> None:
    options = parsed(*HTTP, *HTTPS, "--output-http-track-response", "--output-stdout")
    assert [line for line in faults(released(1, 3, 0), options) if "only the first" in line]
    alone = parsed(*HTTP, "--output-http-track-response", "--output-stdout")
    assert not [line for line in faults(released(1, 3, 0), alone) if "only the first" in line]


def test_an_option_that_the_release_lacks_is_told_with_its_place() -> None:
    found = faults(released(1, 2, 0), parsed("--output-null", "--output-http-skip-verify"))
    assert found == ["file:1: gor 1.2.0 has no --output-http-skip-verify: it is left out"]


def test_a_level_at_which_requests_are_printed_is_told_with_its_place() -> None:
    found = [line for line in faults(released(1, 2, 0), parsed(*HTTP, "--verbose", "3")) if "verbose" in line]
    text = "gor 1.2.0 prints requests with --verbose 3, where clients could imitate its own lines: it gets --verbose 2"
    assert found == [f"file:1: {text}"]
    assert not [line for line in faults(released(1, 3, 0), parsed(*HTTP, "--verbose", "3")) if "verbose" in line]
