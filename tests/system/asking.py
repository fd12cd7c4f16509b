"""Asks a running launcher as an operator would: with the built file, in a process and an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tests.system.launched import PATIENCE_SECONDS, SYSTEM_PATH, Launched, Product


def ask(
    product: Product, *words: str, prefix: Sequence[str] = (), environ: Mapping[str, str] | None = None, cwd: str = "/"
) -> subprocess.CompletedProcess[str]:
    """Runs the file with these options to its end; without `environ` with nothing in its environment but PATH."""
    return subprocess.run(
        [*prefix, str(product.file), *words], env={"PATH": SYSTEM_PATH, **(environ or {})}, cwd=cwd,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def figures(product: Product, launched: Launched) -> dict[str, Any]:
    """What --status --json says of this launcher."""
    asked = ask(product, "--status", "--json", "--port", str(launched.port))
    assert (asked.returncode, asked.stderr) == (0, ""), f"{asked}\n{launched.story()}"
    told: dict[str, Any] = json.loads(asked.stdout)
    return told


def control(product: Product, launched: Launched, *words: str) -> str:
    """What --control says."""
    asked = ask(product, "--control", *words, "--port", str(launched.port))
    assert (asked.returncode, asked.stderr) == (0, ""), f"{asked}\n{launched.story()}"
    return asked.stdout
