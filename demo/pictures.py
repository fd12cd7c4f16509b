#!/usr/bin/env python3
"""Makes the terminal pictures of README.md anew, from real runs: `.venv/bin/python demo/pictures.py [NAME...]`.

Each picture is a text block between `<!-- picture: NAME -->` and `<!-- /picture -->`. It needs what the tests need
(`python3 build.py test` installs it), and free ports. tests/system/test_pictures.py says whether one is out of date.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from watched import watched

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "dist" / "start-traffic-duplicator.pyz"
README = ROOT / "README.md"


def main(names: Sequence[str]) -> int:
    for name in names or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            replace(name, PICTURES[name](Path(folder)))
        print(f"{README.name}: {name}")
    return 0


def replace(name: str, text: str) -> None:
    """Puts a picture in the place of the one that is there."""
    readme = README.read_text()
    found = place(name, readme)
    README.write_text(f"{readme[: found.start(1)]}{text}{readme[found.end(1) :]}")


def place(name: str, readme: str) -> re.Match[str]:
    """Where a picture is. Group 1 is its text."""
    found = re.search(rf"<!-- picture: {name}\b[^>]*-->\n```text\n(.*?)```\n<!-- /picture -->", readme, re.DOTALL)
    if found is None:
        raise SystemExit(f"Error: README.md has no place for the picture {name}")
    return found


# ---- the pictures --------------------------------------------------------------------------------------------------


def dry_run(folder: Path, *, port: int = 5000, first: int = 8443, second: int = 8081) -> str:
    """An app that is to be copied to a destination that answers, and to one that is down."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    program = folder / "bin" / "bundle"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit\n")
    program.chmod(0o755)
    environ = {"PORT": str(port), "PATH": f"{program.parent}:/usr/bin:/bin", "SSL_CERT_FILE": str(folder / "ca.pem")}
    words = ["--dry-run", "--sample", "10", "--drop-header", "Cookie", "--to", f"https://localhost:{first}",
             "--to", f"http://localhost:{second}"]  # fmt: skip
    command = ["bundle", "exec", "puma", "-p"]
    with socket.create_server(("localhost", first)) as server:
        threading.Thread(target=_shake_hands, args=(server, context), daemon=True).start()
        said = _said([*words, *command, str(port)], environ, status=1)
    typed = "$ start-traffic-duplicator --dry-run --sample 10 --drop-header Cookie \\\n" + "".join(
        f"    {words[at]} {words[at + 1]} \\\n" for at in (5, 7)
    ) + f"    {' '.join(command)} $PORT\n"  # fmt: skip
    return typed + said.replace(f"{program.parent}/", "/app/bin/")


def _shake_hands(server: socket.socket, context: ssl.SSLContext) -> None:
    sock, _ = server.accept()
    with closing(sock), context.wrap_socket(sock, server_side=True) as tls:
        tls.recv(1)


def _said(words: Sequence[str], environ: Mapping[str, str], *, status: int) -> str:
    file = os.environ.get("TRAFFIC_DUPLICATOR_PYZ", str(FILE))
    with tempfile.TemporaryDirectory() as home:
        finished = subprocess.run(
            [file, *words], env={**environ, "HOME": home}, cwd=home, capture_output=True, text=True, timeout=120
        )
    if finished.returncode != status:
        raise SystemExit(f"Error: {words} exited with {finished.returncode}: {finished.stdout}{finished.stderr}")
    return finished.stdout


PICTURES: Mapping[str, Callable[[Path], str]] = {"dry-run": dry_run, "status": lambda folder: watched(FILE, folder)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
