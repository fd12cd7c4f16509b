"""Slugs built by the real bin/compile in a root with Python, and the roots that run them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.buildpack.conftest import archive
from tests.needs import CHROOT, unavailable
from tests.roots.chroot import USER, Bound, Chroot
from tests.roots.debian import BUILD, SID, CannotMake, Recipe, provide
from tests.system.conftest import pyz

__all__ = ["archive", "pyz"]

Enter = Callable[[Recipe], Chroot]


@pytest.fixture
def enter(tmp_path: Path) -> Enter:
    """The root of a recipe, to run programs in."""

    def enter_root(recipe: Recipe) -> Chroot:
        return chroot_of(recipe, tmp_path)

    return enter_root


def chroot_of(recipe: Recipe, folder: Path) -> Chroot:
    """Ends the test where there can be no such root. That sid can't be made on a day is nobody's fault here."""
    try:
        root = provide(recipe)
    except CannotMake as error:
        if recipe is SID:
            pytest.skip(str(error))
        unavailable(str(error), CHROOT)
    layer = folder / f"layer-{recipe.name}"
    layer.mkdir(exist_ok=True)
    return Chroot(root, layer)


def compile_in(chroot: Chroot, archive: Path, app: Path) -> str:
    """bin/compile as a plain user, in a build's own folder; `app` then holds the slug. What it printed."""
    work = app.parent / f"work-{app.name}"
    shutil.unpack_archive(archive, work / "buildpack")
    for name in ("cache", "env"):
        (work / name).mkdir()
    for path in (app, *app.rglob("*"), *work.rglob("*"), work):
        shutil.chown(path, USER, USER)
    done = chroot.run(
        ["/tmp/work/buildpack/bin/compile", "/tmp/build_f00", "/tmp/work/cache", "/tmp/work/env"],
        Bound(work, "/tmp/work", writable=True), Bound(app, "/tmp/build_f00", writable=True),
        environ={"HOME": "/app", "STACK": "heroku-24", "PYTHONHOME": "/nonexistent", "PYTHONPATH": "/nonexistent"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def slug(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty app's folder, compiled in the build root."""
    folder = tmp_path_factory.mktemp("slug")
    app = folder / "app"
    app.mkdir()
    compile_in(chroot_of(BUILD, folder), archive, app)
    return app
