"""packaging/static_gor.sh: a gor that needs nothing of the system it runs in, and what has to be said beside it.

The first test to ask for it builds it, unless it is in the cache already.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from launcher.gor.binary import Gor, identify
from tests.needs import GOR, NAMESPACES, unavailable
from tests.system import accounts
from tests.system.launched import SYSTEM_PATH, Product
from tests.system.load import check_arrivals, mixed_requests, send_all
from tests.system.sink import command, journal, sink

SCRIPT = Path(__file__).resolve().parent.parent.parent / "packaging" / "static_gor.sh"
LACKING = 3  # its status where the machine is not able to
PT_DYNAMIC, PT_INTERP = 2, 3  # elf(5): libraries are asked for in the one, the loader in the other
NOT_FOR_GOR = ("HTTP/1.0",)  # at its end the destination closes: gor 1.2.0 loses copies there


def run(script: Path, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", script, *words], env={**os.environ, **environ}, cwd="/", capture_output=True, text=True, check=False
    )


def run_where_able(script: Path, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same; skips the test on a machine that lacks a compiler or can't reach the sources."""
    done = run(script, *words, **environ)
    if done.returncode == LACKING:
        unavailable(done.stderr.strip(), GOR)
    return done


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("static") / "gor"
    done = run_where_able(SCRIPT, output)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture
def licence(file: Path) -> str:
    return file.with_name("gor.LICENSE").read_text()


def go_build_cache() -> str:
    """Where Go keeps what it has compiled: in the way of everyone who moves XDG_CACHE_HOME."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return os.environ.get("GOCACHE") or str(Path(caches, "go-build"))


def segment_types(file: Path) -> set[int]:
    """The types of an ELF file's segments, of 64 bits and little-endian as all of Heroku's machines are."""
    data = file.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01"
    [start] = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    return {struct.unpack_from("<I", data, start + number * size)[0] for number in range(count)}


# ---- the program ---------------------------------------------------------------------------------------------------


def test_it_asks_for_no_loader_and_no_library(file: Path) -> None:
    types = segment_types(file)
    assert types, "there are segments at all"
    assert types.isdisjoint({PT_DYNAMIC, PT_INTERP})


def test_the_launcher_takes_it_for_gor_1_2_0(file: Path) -> None:
    assert identify(file) == Gor(file, (1, 2, 0), "1.2.0")


def test_it_starts_where_there_is_no_other_file(file: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        unavailable("only root can change the root folder", NAMESPACES)
    shutil.copy(file, tmp_path / "gor")
    done = subprocess.run(
        ["chroot", tmp_path, "/gor", "--help"], env={"PATH": SYSTEM_PATH}, capture_output=True, text=True, check=False
    )
    assert "Current Version: v1.2.0\n" in done.stdout + done.stderr


def test_it_sends_the_copies_of_all_requests(product: Product, file: Path, tmp_path: Path) -> None:
    requests = mixed_requests(300, without=NOT_FOR_GOR)
    with sink(tmp_path / "copies") as destination:
        options = ["--replayer", str(file), "--to", destination.url]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_all(launched.port, requests)
            destination.wait_for(len(requests))
            launched.stop()
            assert accounts.feed_counters(launched, destination.url)["taken"] == len(requests)
        check_arrivals(requests, destination.arrivals(), at="the destination")
    check_arrivals(requests, journal(tmp_path / "app"), at="the app")


@pytest.mark.parametrize("words", ["--input-dummy |0 --output-file s3://bucket/key", "--input-file s3://bucket/key"])
def test_it_refuses_what_is_commercial_as_gor_does(file: Path, words: str) -> None:
    done = subprocess.run([file, *words.split(), "--output-null"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Using S3 output and input requires PRO license" in done.stderr


# ---- its licences --------------------------------------------------------------------------------------------------


def test_each_module_that_is_linked_in_stands_there_with_its_licence(file: Path, licence: str) -> None:
    listed = re.search(r"==== Linked-in modules.* ====\n\n((?:.+\n)+)", licence)
    assert listed
    modules = [line.split()[:2] for line in listed[1].splitlines()]
    assert ["github.com/google/gopacket", "v1.1.18"] in modules
    for path, version in modules:
        # the module cache writes a capital as ! and the small letter
        folder = re.sub("[A-Z]", lambda letter: f"!{letter[0].lower()}", path)
        assert re.search(rf"==== {re.escape(folder)}@{re.escape(version)}/(LICENSE|COPYING)\S* ====", licence), path
        assert path.encode() in file.read_bytes(), f"{path} is in the program itself"


@pytest.mark.parametrize("words", [
    "GNU LESSER GENERAL PUBLIC LICENSE\n                       Version 3",
    "GNU GENERAL PUBLIC LICENSE\n                       Version 3",
    "GNU LESSER GENERAL PUBLIC LICENSE\n                       Version 2.1",
    "Copyright (c) 2011-present Leonid Bugaev",
    "==== libpcap 1.10.3: LICENSE ====\n\nLicense: BSD",
    "The Go Authors",
    "GNU C Library",
])  # fmt: skip
def test_the_licences_of_all_else_that_is_linked_in_stand_there(licence: str, words: str) -> None:
    assert words in licence


def test_it_says_what_was_changed_and_holds_the_script_that_builds_it(licence: str) -> None:
    assert "\n- pro.go s3_reader.go output_s3.go, which GoReplay's LICENSE.txt puts under a commercial" in licence
    assert "\n- capture/sock_linux.go waits by unix.Poll" in licence
    assert licence.endswith(SCRIPT.read_text())


# ---- how it is built -----------------------------------------------------------------------------------------------


def test_a_build_in_another_folder_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    elsewhere = shutil.copy(SCRIPT, tmp_path)
    places = {"TMPDIR": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "GOCACHE": go_build_cache()}
    done = run_where_able(elsewhere, tmp_path / "gor", **places, CGO_CFLAGS="-O0", GOFLAGS="-race")
    assert done.returncode == 0, done.stderr
    assert "Building a static gor 1.2.0" in done.stdout
    assert (tmp_path / "gor").read_bytes() == file.read_bytes()
    assert (tmp_path / "gor.LICENSE").read_bytes() == file.with_name("gor.LICENSE").read_bytes()
    assert list((tmp_path / "tmp").iterdir()) == [], "nothing is left behind"


def test_what_was_built_once_comes_from_the_cache(file: Path, tmp_path: Path) -> None:
    done = run(SCRIPT, tmp_path / "new" / "gor")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "new" / "gor").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("pin", "named"), [
    ("readonly GOR_SUM='h1:Z7", "The sources of gor 1.2.0 have the sum h1:Z7Fu"),
    ("readonly PCAP_SHA256=2a", "libpcap_1.10.3.orig.tar.gz has the SHA-256 sum 2a88"),
])  # fmt: skip
def test_sources_with_another_sum_are_not_built(tmp_path: Path, pin: str, named: str) -> None:
    text = SCRIPT.read_text()
    assert text.count(pin) == 1
    changed = tmp_path / "static_gor.sh"
    changed.write_text(text.replace(pin, pin[:-2] + "AA"))
    done = run_where_able(changed, tmp_path / "gor", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert done.stderr.startswith(f" !     {named}")
    assert "Building" not in done.stdout
    assert not (tmp_path / "gor").exists()


def test_a_machine_without_compilers_is_told_what_to_install(tmp_path: Path) -> None:
    for name in ("bash", "env", "realpath", "sed"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = run(SCRIPT, tmp_path / "gor", PATH=str(tmp_path))
    assert done.returncode == LACKING
    told, advice = done.stderr.splitlines()
    assert told.startswith(" !     To build a static gor this machine lacks: gcc make flex bison readelf apt-get")
    assert advice == " !     On Debian: apt-get install golang-go gcc libc6-dev make flex bison"


@pytest.mark.parametrize("words", [[], [""], ["--help"], ["one", "two"], ["/"]])
def test_wrong_usage_is_told(words: list[str]) -> None:
    done = run(SCRIPT, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == " !     Usage: static_gor.sh OUTPUT_FILE\n"
