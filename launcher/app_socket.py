"""The folder of the Unix socket that the app listens on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from launcher.log import log


@contextmanager
def folder_for(socket_path: str | None, *, is_chosen: bool) -> Iterator[None]:
    """A private folder for the app's socket, if its own isn't there; `is_chosen` says that a user named the path.

    Afterwards it goes, with all that is in it if nobody but the launcher chose it; that one is locked, so that another
    launcher does not take it for one that was left (`leftovers`). An app without a folder for its socket runs all the
    same: it says best what it lacks.
    """
    if socket_path is None:
        yield
        return
    folder = os.path.dirname(socket_path) or os.curdir
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        yield
        return
    except OSError as error:
        log("app-socket-folder", level="error", folder=folder, error=error.strerror)
        yield
        return
    lock_fd = None
    if not is_chosen:
        from launcher.leftovers import lock  # few have a socket

        lock_fd = lock(folder)
    try:
        yield
    finally:
        if is_chosen:
            with suppress(OSError):
                os.unlink(socket_path)
            with suppress(OSError):
                os.rmdir(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        if lock_fd is not None:
            os.close(lock_fd)
