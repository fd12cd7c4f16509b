"""bin/detect, bin/compile, bin/build and bin/release as a platform calls them: whole outputs, and what a slug holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from launcher import __version__
from tests.buildpack.conftest import ROOT
from tests.system.plain_run import in_namespace

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What other buildpacks may have exported; none of it is meant for this one.
ENVIRON = {"PATH": PATH, "HOME": "/nonexistent", "GIT_DIR": ".", "PYTHONHOME": "/nonexistent", "LD_PRELOAD": ""}
WORD = "start-traffic-duplicator"
SYSTEM_PYTHON = "/usr/bin/python3"
VERSION = subprocess.run(
    [SYSTEM_PYTHON, "-I", "-c", "import platform; print(platform.python_version())"],
    capture_output=True, text=True, check=True,
).stdout.strip()  # fmt: skip

STEP = f"-----> Installing traffic-duplicator {__version__}\n"
PYTHON = f"       Python: a copy of {SYSTEM_PYTHON}, {VERSION}, in the slug, because the run image may have none\n"
NO_GOR = "       gor: none; the built-in replayer serves\n"
DONE = "       Done in N s: N MiB in the slug\n"
USE_IT = f"       Procfile does not use the word yet: put `web: {WORD} COMMAND...` into it\n"
NO_PROCFILE = f"       There is no Procfile yet: put `web: {WORD} COMMAND...` into one\n"
FROM_CACHE = "       Using what the last build left in the cache\n"


class Platform:
    """One app on a platform: its folders, and the buildpack as the platform unpacked it."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.folder = folder
        self.buildpack, self.app, self.cache, self.env = (folder / name for name in ("bp", "app", "cache", "env"))
        shutil.unpack_archive(archive, self.buildpack)
        for path in (self.app, self.cache, self.env):
            path.mkdir()

    def run(self, name: str, *arguments: Path, environ: Mapping[str, str] | None = None, cwd: Path | None = None):
        done = subprocess.run(
            [self.buildpack / "bin" / name, *arguments], env={**ENVIRON, **(environ or {})}, cwd=cwd,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        done.stdout = re.sub(r"[0-9]+\.[0-9] (s|MiB)\b", r"N \1", done.stdout)
        return done

    def compile(self, **environ: str):
        return self.run("compile", self.app, self.cache, self.env, environ=environ)

    @property
    def slug(self) -> Path:
        return self.app / ".traffic-duplicator"


@pytest.fixture
def platform(tmp_path: Path, archive: Path) -> Platform:
    return Platform(tmp_path, archive)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Platform:
    """A platform whose app is compiled; for tests that only look at it, or copy its cache."""
    made = Platform(tmp_path_factory.mktemp("compiled"), archive)
    assert made.compile().returncode == 0
    return made


@pytest.fixture
def warm(platform: Platform, compiled: Platform) -> Platform:
    """A platform with the cache of an earlier build."""
    shutil.copytree(compiled.cache, platform.cache, dirs_exist_ok=True)
    return platform


# ---- what it says -------------------------------------------------------------------------------------------------


def test_detect_says_yes_to_any_app_and_which_release_it_is(platform):
    done = platform.run("detect", platform.app)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"traffic-duplicator {__version__}\n", "")


def test_release_changes_no_process_types(platform):
    done = platform.run("release", platform.app)
    assert (done.returncode, done.stdout, done.stderr) == (0, "--- {}\n", "")


def test_a_first_build_says_what_serves_and_what_to_do(platform):
    done = platform.compile()
    assert (done.returncode, done.stdout, done.stderr) == (0, STEP + PYTHON + NO_GOR + NO_PROCFILE + DONE, "")


def test_a_second_build_takes_everything_from_the_cache_and_gives_the_same_slug(platform):
    def tree() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in platform.app.rglob("*") if path.is_file()}

    platform.compile()
    before = tree()
    done = platform.compile()
    assert (done.returncode, done.stdout, done.stderr) == (
        0, STEP + FROM_CACHE + PYTHON + NO_GOR + NO_PROCFILE + DONE, "",
    )  # fmt: skip
    assert tree() == before


def test_a_second_build_unpacks_copies_and_compiles_nothing(platform):
    work = ("slug::build", "slug::try")  # what does all of that, and the trial of it
    for is_done in (True, False):
        traced = platform.compile(SHELLOPTS="xtrace")
        assert traced.returncode == 0
        assert [f" {step} " in traced.stderr for step in work] == [is_done] * len(work)


@pytest.mark.parametrize(
    "change", ["a library of the buildpack's", "the stack's Python", "gor", "the launcher's own file"]
)
def test_a_build_after_a_change_does_not_use_the_cache(change, warm):
    environ = {}
    if change == "gor":
        (warm.buildpack / "gor").mkdir()
        shutil.copy("/bin/true", warm.buildpack / "gor" / "goreplay")
        (warm.buildpack / "gor" / "LICENSE").write_text("licence")
    elif change == "the launcher's own file":
        with zipfile.ZipFile(warm.buildpack / f"{WORD}.pyz", "a") as file:
            file.writestr("site-packages/launcher/new.py", "")
    elif change == "the stack's Python":
        environ["STACK"] = "heroku-22"
    else:
        with (warm.buildpack / "lib" / "app.sh").open("a") as file:
            file.write("# changed\n")
    done = warm.compile(**environ)
    assert done.returncode == 0
    assert FROM_CACHE not in done.stdout


def test_what_was_damaged_in_the_cache_is_made_anew(warm):
    next(warm.cache.rglob("launcher/plan.py")).write_text("")
    done = warm.compile()
    assert done.returncode == 0
    assert FROM_CACHE not in done.stdout
    assert (warm.slug / "packages" / "launcher" / "plan.py").stat().st_size > 0


def test_a_stack_with_a_fit_python_gets_no_copy_and_is_told(platform):
    done = platform.compile(STACK="heroku-22")
    told = f"       Python: {SYSTEM_PYTHON}, {VERSION}, which heroku-22 has at run time, too\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, STEP + told + NO_GOR + NO_PROCFILE + DONE, "")
    assert not (platform.slug / "python").exists()


def test_a_gor_of_the_app_s_own_is_told_of(warm):
    (warm.app / "bin").mkdir()
    shutil.copy("/bin/true", warm.app / "bin" / "gor")
    assert "       gor: the app's own bin/gor\n" in warm.compile().stdout


def test_a_gor_in_the_archive_is_put_beside_the_launcher_with_its_licence(platform):
    (platform.buildpack / "gor").mkdir()
    shutil.copy("/bin/true", platform.buildpack / "gor" / "goreplay")
    (platform.buildpack / "gor" / "LICENSE").write_text("licence")
    done = platform.compile()
    assert "       gor: this buildpack's, for options that the built-in replayer lacks\n" in done.stdout
    assert (platform.slug / "gor").stat().st_mode & 0o111
    assert (platform.slug / "gor.LICENSE").read_text() == "licence"


# ---- the review of the app ----------------------------------------------------------------------------------------


def test_a_sound_procfile_is_told_in_a_sentence_with_variables_from_the_platform(warm):
    (warm.app / "Procfile").write_text(f"web: {WORD} --to $NEXT puma -p $PORT\nworker: sidekiq\n")
    (warm.env / "NEXT").write_text("http://user:secret@next.example.com")
    (warm.env / "OTHER").write_text("nobody's business")
    done = warm.compile()
    told = (
        "       web: copies all requests to http://***@next.example.com, sent on by the built-in replayer\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, STEP + FROM_CACHE + PYTHON + NO_GOR + told + DONE, "")


def test_a_procfile_without_the_word_is_told_how_to_use_it(warm):
    (warm.app / "Procfile").write_text("web: puma\n")
    assert USE_IT in warm.compile().stdout


def test_mistakes_stand_out_and_the_build_goes_on(warm):
    (warm.app / "Procfile").write_text(f"web: {WORD} puma -p 3000\n")
    (warm.app / "config").mkdir()
    (warm.app / "config" / "gor.options").write_text('--http-set-header "A: $TOKEN"\n--output-http $NEXT\n')
    (warm.env / "TOKEN").write_text("hush-hush")
    done = warm.compile()
    assert (done.returncode, done.stdout) == (0, STEP + FROM_CACHE + PYTHON + NO_GOR + DONE)
    assert done.stderr == (
        " !     warning: Procfile:1, web: the command has the fixed port 3000, but clients come to $PORT,\n"
        " !       and the app must listen on another one: write $PORT, or {port}, in its place\n"
        " !     problem: Procfile:1, web: config/gor.options:2: the variable NEXT is not set: set it; if\n"
        " !       no variable is meant, put the whole value into single quotes; the app would run\n"
        " !       unmirrored\n"
    )


def test_with_strict_a_configuration_that_would_not_boot_fails_the_build(warm):
    (warm.app / "Procfile").write_text(f"web: {WORD} puma\n")
    (warm.env / "TRAFFIC_DUPLICATOR_STRICT").write_text("true")
    done = warm.compile()
    assert done.returncode == 1
    assert "problem: Procfile:1, web: there is no destination" in done.stderr
    assert done.stderr.endswith(
        " !     TRAFFIC_DUPLICATOR_STRICT is set, and so the app would not boot with what is said above.\n"
        " !     Mend it, or take that variable away: then the app boots unmirrored.\n"
    )


# ---- the slug -----------------------------------------------------------------------------------------------------


def test_the_slug_has_only_what_it_says(compiled):
    assert sorted(path.name for path in compiled.app.iterdir()) == [".profile.d", ".traffic-duplicator", "bin"]
    assert sorted(path.name for path in compiled.slug.iterdir()) == ["LICENSE", "bin", "boot.py", "packages", "python"]
    assert os.readlink(compiled.app / "bin" / WORD) == f"../.traffic-duplicator/bin/{WORD}"
    assert [path.name for path in (compiled.slug / "bin").iterdir()] == [WORD]


def test_the_slug_is_as_small_as_is_promised(compiled):
    files = [path for path in compiled.slug.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 36e6
    packed = compiled.folder / "packed.tgz"
    subprocess.run(["tar", "-czf", packed, "-C", compiled.app, ".traffic-duplicator"], check=True)
    assert packed.stat().st_size <= 12e6


def test_every_module_has_its_bytecode_so_that_a_boot_compiles_nothing(compiled):
    sources = list((compiled.slug / "packages").rglob("*.py"))
    assert sources
    assert [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))] == []
    assert list((compiled.slug / "python" / "lib").rglob("*.py")) == []


def test_no_file_names_the_folder_that_it_was_built_in(compiled):
    named = os.fsencode(compiled.folder)
    assert [path for path in compiled.slug.rglob("*") if path.is_file() and named in path.read_bytes()] == []


def test_the_slug_runs_where_it_is_moved_to_for_another_user(compiled, tmp_path):
    home = tmp_path / "app"
    shutil.copytree(compiled.app, home, symlinks=True)
    for word in (WORD, f"bin/{WORD}"):
        command = f'for script in "$HOME"/.profile.d/*.sh; do . "$script"; done; {word} --version'
        ran = subprocess.run(
            ["bash", "-c", command], cwd=home, env={"PATH": PATH, "HOME": str(home), "PYTHONHOME": "/nonexistent"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ran.stdout == f"{WORD} {__version__}\n"
    assert (home / ".traffic-duplicator" / "packages" / "launcher").stat().st_mode & 0o055 == 0o055


def test_an_app_s_own_file_of_that_name_is_left_alone(warm):
    (warm.app / "bin").mkdir()
    (warm.app / "bin" / WORD).write_text("mine")
    told = f"       bin/{WORD} is the app's own and stays as it is; the word alone is this buildpack's\n"
    assert warm.compile().stdout == STEP + FROM_CACHE + PYTHON + told + NO_GOR + NO_PROCFILE + DONE
    assert (warm.app / "bin" / WORD).read_text() == "mine"


def test_an_app_whose_bin_is_a_file_gets_no_link_and_is_told(warm):
    (warm.app / "bin").write_text("mine")
    done = warm.compile()
    told = f"       bin is a file of the app's: there is no bin/{WORD}; write the word alone\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == STEP + FROM_CACHE + PYTHON + told + NO_GOR + NO_PROCFILE + DONE
    assert (warm.app / "bin").read_text() == "mine"


def test_folders_may_be_named_from_where_one_is(warm):
    done = warm.run("compile", Path("app"), Path("cache"), Path("env"), cwd=warm.folder)
    assert (done.returncode, done.stderr) == (0, "")
    shutil.rmtree(warm.cache)
    done = warm.run("compile", Path("app"), Path("cache"), cwd=warm.folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, STEP + PYTHON + NO_GOR + NO_PROCFILE + DONE, "")


# ---- a checkout ---------------------------------------------------------------------------------------------------


def checkout_at(place: Path) -> Path:
    """The sources as a platform has them from a git address: without what .gitignore names."""
    names = (ROOT / ".gitignore").read_text().split()
    ignored = shutil.ignore_patterns(".git", *(name.strip("/") for name in names))
    return Path(shutil.copytree(ROOT, place, symlinks=True, ignore=ignored))


@pytest.fixture
def checkout(platform: Platform) -> Platform:
    shutil.rmtree(platform.buildpack)
    checkout_at(platform.buildpack)
    return platform


def test_a_checkout_detects_and_releases_as_the_archive_does(checkout):
    done = checkout.run("detect", checkout.app)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"traffic-duplicator {__version__}\n", "")
    assert checkout.run("release", checkout.app).stdout == "--- {}\n"
    assert (checkout.buildpack / "buildpack.toml").read_bytes() == (ROOT / "buildpack/buildpack.toml").read_bytes()


def test_a_checkout_builds_the_file_from_its_sources_with_pip_and_hashes(checkout):
    if subprocess.run([SYSTEM_PYTHON, "-I", "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{SYSTEM_PYTHON} has no pip")
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
    done = checkout.compile(**pip)
    building = f"       Building {WORD}.pyz from the buildpack's sources\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == STEP + building + PYTHON + NO_GOR + NO_PROCFILE + DONE
    ran = subprocess.run([checkout.app / "bin" / WORD, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{WORD} {__version__}\n"
    for path in checkout.buildpack.glob("requirements*.txt"):
        path.write_text(path.read_text().replace("sha256:", "sha256:00"))
    (checkout.buildpack / "dist" / f"{WORD}.pyz").unlink()
    done = checkout.compile(**pip)
    assert done.returncode == 1
    assert done.stderr.startswith(f" !     {WORD}.pyz could not be built with {SYSTEM_PYTHON} ({VERSION}):\n")
    assert "expected sha256" in done.stderr.lower()


# ---- failures -----------------------------------------------------------------------------------------------------


def fails(done: subprocess.CompletedProcess[str], *lines: str) -> None:
    assert done.returncode == 1
    assert done.stderr == "".join(f" !     {line}\n" for line in lines)


def test_a_damaged_file_fails_the_build_and_says_what_to_do(platform):
    path = platform.buildpack / f"{WORD}.pyz"
    path.write_bytes(path.read_bytes()[:-100])
    fails(
        platform.compile(),
        f"{WORD}.pyz of this buildpack is damaged.",
        "Make the archive anew (python3 build.py buildpack) and put it in the place of the old one.",
    )
    assert not platform.slug.exists()


def test_a_launcher_that_does_not_run_fails_the_build(platform):
    path = platform.buildpack / f"{WORD}.pyz"
    broken = platform.folder / "broken.pyz"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) if name != "site-packages/launcher/cli.py" else "1 / 0\n")
    broken.replace(path)
    done = platform.compile()
    assert done.returncode == 1
    assert done.stderr.startswith(f" !     {WORD} does not run in this image: ")
    assert not platform.slug.exists()


def test_without_a_file_and_without_pip_the_build_says_what_to_use_instead(tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "buildpack", checkout / "buildpack")
    (checkout / "build.py").write_text("import sys; sys.exit('Error: there is no pip')\n")
    for name in ("app", "cache", "env"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [checkout / "buildpack" / "bin" / "compile", *(tmp_path / name for name in ("app", "cache", "env"))],
        env=ENVIRON, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.endswith(f"       Building {WORD}.pyz from the buildpack's sources\n")
    fails(
        done,
        f"{WORD}.pyz could not be built with {SYSTEM_PYTHON} ({VERSION}):",
        "Error: there is no pip",
        "Heroku's build images have no pip. Make the archive elsewhere: python3 build.py buildpack",
        "and list its address as the buildpack, instead of the git repository's.",
    )


def test_a_folder_that_is_missing_is_named(platform):
    platform.app.rmdir()
    fails(
        platform.compile(),
        f"BUILD_DIR, {platform.app}, is no folder.",
        "Usage: bin/compile BUILD_DIR CACHE_DIR [ENV_DIR]",
    )


def test_without_arguments_the_usage_is_told(platform):
    fails(platform.run("compile"), "Usage: bin/compile BUILD_DIR CACHE_DIR [ENV_DIR]")
    told = "Usage: CNB_LAYERS_DIR=FOLDER CNB_PLATFORM_DIR=FOLDER bin/build, in the app's folder"
    fails(platform.run("build", cwd=platform.app), told)


def test_an_app_whose_profile_d_is_a_file_fails_the_build_and_nothing_is_left(warm):
    (warm.app / ".profile.d").write_text("mine")
    fails(
        warm.compile(),
        "The app's .profile.d is no folder, but scripts that run before the app must be in one.",
        "Rename it, or take it out of the app.",
    )
    assert [path.name for path in warm.app.iterdir()] == [".profile.d"]


def test_what_nobody_foresaw_fails_the_build_and_nothing_is_left(warm):
    (warm.app / ".profile.d" / "traffic-duplicator.sh").mkdir(parents=True)
    done = warm.compile()
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-2].startswith(" !     traffic-duplicator could not be installed: app.sh, line ")
    assert lines[-1].startswith(" !     Nothing of it is left in the app. ")
    assert [path.name for path in warm.app.iterdir()] == [".profile.d"]


@pytest.mark.parametrize(
    ("full", "told"),
    [
        ("cache", "The launcher can't be put together in CACHE_DIR, {}: "),
        ("app", "The launcher (N MiB) can't be put into the app's folder: "),
    ],
)
def test_a_full_disk_fails_the_build_in_two_lines(full, told, warm):
    place = warm.folder / full
    if full == "cache":
        shutil.rmtree(place)
        place.mkdir()
    words = [warm.buildpack / "bin" / "compile", warm.app, warm.cache, warm.env]
    words = in_namespace(f'mount -t tmpfs -o size=4m none "{place}"', *words)
    done = subprocess.run(words, env=ENVIRON, capture_output=True, text=True, check=False)
    first, second = re.sub(r"[0-9]+\.[0-9] MiB", "N MiB", done.stderr).splitlines()
    assert done.returncode == 1
    assert first.startswith(" !     " + told.format(warm.cache)) and first.endswith("No space left on device")
    assert second == " !     Make room there, or take this buildpack off the app's list."


# ---- Cloud Native -------------------------------------------------------------------------------------------------


@pytest.fixture
def cnb(platform: Platform) -> dict[str, str]:
    """The variables of a Cloud Native build."""
    for name in ("layers", "platform/env"):
        (platform.folder / name).mkdir(parents=True)
    return {
        "CNB_BUILD_PLAN_PATH": str(platform.folder / "plan.toml"),
        "CNB_LAYERS_DIR": str(platform.folder / "layers"),
        "CNB_PLATFORM_DIR": str(platform.folder / "platform"),
        "CNB_BUILDPACK_DIR": str(platform.buildpack),
    }


def test_detect_writes_a_plan_for_a_cloud_native_build(platform, cnb):
    done = platform.run("detect", environ=cnb, cwd=platform.app)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"traffic-duplicator {__version__}\n", "")
    plan = (platform.folder / "plan.toml").read_text()
    assert plan == '[[provides]]\nname = "traffic-duplicator"\n\n[[requires]]\nname = "traffic-duplicator"\n'


def test_a_cloud_native_build_makes_a_layer_and_takes_the_next_one_from_what_was_kept(platform, cnb):
    (platform.app / "Procfile").write_text(f"web: {WORD} puma\n")
    (platform.folder / "platform" / "env" / "TRAFFIC_DUPLICATOR_TO").write_text("http://next.example.com")
    told = (
        "       web: copies all requests to http://next.example.com, sent on by the built-in replayer\n"
    )
    done = platform.run("build", environ=cnb, cwd=platform.app)
    image = DONE.replace("slug", "image")
    assert (done.returncode, done.stdout, done.stderr) == (0, STEP + PYTHON + NO_GOR + told + image, "")
    layer = platform.folder / "layers" / "launcher"
    assert layer.with_suffix(".toml").read_text() == "[types]\nlaunch = true\n"
    assert sorted(path.name for path in layer.iterdir()) == ["bin", "traffic-duplicator"]
    ran = subprocess.run(
        [WORD, "--version"], env={"PATH": f"{layer / 'bin'}:{PATH}"}, capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"{WORD} {__version__}\n"
    shutil.rmtree(layer)
    again = platform.run("build", environ=cnb, cwd=platform.app)
    assert again.stdout == STEP + FROM_CACHE + PYTHON + NO_GOR + told + image


def test_the_archive_is_the_same_when_it_is_made_again(archive):
    before = archive.read_bytes()
    os.utime(ROOT / "buildpack" / "bin" / "compile")
    subprocess.run(["python3", ROOT / "build.py", "buildpack"], check=True, capture_output=True)
    assert archive.read_bytes() == before
