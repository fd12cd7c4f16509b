"""Imports trio without the programs that it would run for that."""

from __future__ import annotations

import ctypes.util
import sys


def import_trio() -> None:
    """To be called before anything else imports it.

    To give its threads names, trio asks ctypes where pthread_setname_np is (trio/_core/_thread_cache.py), and that runs
    ldconfig, or the compiler where ldconfig knows nothing: while the app boots, and at each start of a replayer. Since
    glibc 2.34 it is in libc; elsewhere the threads have no names.
    """
    find_library = ctypes.util.find_library
    if sys.platform == "linux":
        ctypes.util.find_library = lambda name: "libc.so.6" if name == "pthread" else find_library(name)
    try:
        import trio as trio
    finally:
        ctypes.util.find_library = find_library
