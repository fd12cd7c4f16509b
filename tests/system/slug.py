"""Lays out what the buildpack puts into an app's folder, from the built file alone: without bin/compile."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

WORD = "start-traffic-duplicator"
SYSTEM_PYTHON = "/usr/bin/python3"


def lay_out(pyz: Path, app: Path, python: str = SYSTEM_PYTHON) -> Path:
    """Makes `app/.traffic-duplicator` and the link in `app/bin`. The wrapper's path.

    A Python that is not the system's own stands in the place of a vendored one.
    """
    slug = app / ".traffic-duplicator"
    wrapper = slug / "bin" / WORD
    wrapper.parent.mkdir(parents=True)
    with zipfile.ZipFile(pyz) as archive:
        for name in archive.namelist():
            if name.startswith("site-packages/"):
                archive.extract(name, slug)
        wrapper.write_bytes(archive.read(f"slug/{WORD}"))
        (slug / "boot.py").write_bytes(archive.read("slug/boot.py"))
    wrapper.chmod(0o755)
    (slug / "site-packages").rename(slug / "packages")
    compiling = [python, "-I", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*compiling, slug / "packages"], check=True)
    if python != SYSTEM_PYTHON:
        (slug / "python" / "bin").mkdir(parents=True)
        (slug / "python" / "bin" / "python3").symlink_to(str(shutil.which(python)))
    (app / "bin").mkdir(exist_ok=True)
    (app / "bin" / WORD).symlink_to(f"../.traffic-duplicator/bin/{WORD}")
    return wrapper
