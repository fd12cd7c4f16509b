"""What the launcher was given by whoever started it, before Python or shiv added to it.

CPython puts `LC_CTYPE=C.UTF-8` into the environment of a C locale, and shiv's variables are taken out before its
bootstrap reads them; the app must see neither. `/proc/self/environ` still has the original.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def original_environ() -> dict[str, str]:
    """The environment at the start of this process; `os.environ` where there is no /proc."""
    try:
        block = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environ)
    pairs = [entry.partition(b"=") for entry in block.split(b"\0")]
    # One without a name can't be handed down; of two with the same name the first counts, as for getenv(3).
    return {os.fsdecode(name): os.fsdecode(value) for name, equals, value in reversed(pairs) if name and equals}


def is_dyno(environ: Mapping[str, str]) -> bool:
    """Whether this is a Heroku dyno (or a platform that says so, too)."""
    return bool(environ.get("DYNO"))
