"""Importing trio, by itself and as the launcher does it: which programs that runs."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TELLS_PROGRAMS = """
import sys

def tell(event, args):
    if event == "subprocess.Popen":
        print(args[0])

sys.addaudithook(tell)
"""
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="ctypes finds libraries otherwise")
BY_ITSELF = "import trio"
AS_WE_DO = "from launcher.trio_import import import_trio; import_trio()"


def programs(code: str) -> list[str]:
    words = [sys.executable, "-c", TELLS_PROGRAMS + code]
    return subprocess.run(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()


def test_the_launcher_s_import_runs_no_program():
    assert not programs(AS_WE_DO)


@ON_LINUX
def test_trio_s_own_import_does():
    """Else the launcher's is not needed any more."""
    assert programs(BY_ITSELF)


@ON_LINUX
def test_threads_have_names_all_the_same_where_libc_gives_them():
    try:
        is_in_libc = hasattr(ctypes.CDLL("libc.so.6"), "pthread_setname_np")
    except OSError:  # musl
        is_in_libc = False
    code = AS_WE_DO + "; from trio._core import _thread_cache; print(_thread_cache.set_os_thread_name is not None)"
    assert programs(code) == [str(is_in_libc)]


def test_ctypes_finds_libraries_again_afterwards():
    assert programs(AS_WE_DO + "; import ctypes.util; print(ctypes.util.find_library.__module__)") == ["ctypes.util"]
