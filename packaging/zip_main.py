"""The archive's __main__: what runs before anything of ours or of shiv's can be imported.

It unpacks the archive where shiv's bootstrap looks for it, so that nothing of the environment, of another user or of
an earlier, interrupted start decides what runs; where nothing can be unpacked, the launcher is imported from the
archive itself. Every Python since 2.7 must be able to parse this file: an older one gets its one clear line.
"""
import os
import sys

ARCHIVE = sys.argv[0]
PACKAGES = "site-packages/"


def main():
    if sys.version_info < (3, 10):
        found = "%d.%d.%d (%s)" % (sys.version_info[:3] + (sys.executable,))
        sys.stderr.write("start-traffic-duplicator needs Python 3.10 or newer, this is %s\n" % found)
        sys.exit(2)
    run_again_isolated()
    for name in [name for name in os.environ if name.startswith("SHIV_")]:
        del os.environ[name]  # from here on only: the app's environment is taken from /proc/self/environ
    root = root_with_packages()
    if root is not None:
        import _bootstrap

        os.environ["SHIV_ROOT"] = root
        _bootstrap.bootstrap()
    sys.path.append(os.path.join(os.path.abspath(ARCHIVE), PACKAGES.rstrip("/")))
    from launcher.cli import main as launcher_main

    sys.exit(launcher_main())


def run_again_isolated():
    """Becomes `python -I -S -u ARCHIVE ...`, as the sh lines before the archive would have started it."""
    if (sys.flags.isolated and sys.flags.no_site) or not sys.executable:
        return
    words = [sys.executable, "-I", "-S", "-u"] + sys.argv
    os.execve(sys.executable, words, given_environment())


def given_environment():
    """The environment as it was given: CPython adds LC_CTYPE to os.environ in a C locale. Without /proc, os.environ."""
    try:
        with open("/proc/self/environ", "rb") as file:
            words = [word.partition(b"=") for word in file.read().split(b"\0")]
    except OSError:
        return os.environ
    return {name: value for name, _, value in reversed(words) if name}  # of two of a name the first counts, as in C


def root_with_packages():
    """The first root whose unpacked packages are whole, unpacked now if need be. None if there can't be one."""
    import json
    import zipfile

    import _bootstrap

    with zipfile.ZipFile(ARCHIVE) as archive:
        build_id = json.loads(archive.read("environment.json"))["build_id"]
        entries = [entry for entry in archive.infolist() if entry.filename.startswith(PACKAGES)]
        for root in candidate_roots():
            tree = str(_bootstrap.cache_path(archive, root, build_id))
            try:
                make_private(root)
                if not is_whole(tree, entries):
                    unpack(archive, entries, tree)
            except OSError:  # read-only, full, not ours, no such user
                continue
            return root
    return None


def candidate_roots():
    if os.path.isabs(os.environ.get("HOME", "")):
        yield os.path.join(os.environ["HOME"], ".traffic-duplicator")
    for folder in (os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"):
        if os.path.isabs(folder):
            yield os.path.join(folder, "traffic-duplicator-%d" % os.geteuid())


def make_private(root):
    """Raises OSError unless `root` is a folder that only we (or root) can write to: what is in it will be run."""
    import stat

    try:
        os.mkdir(root, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(root)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise PermissionError("%s is not ours alone" % root)


def is_whole(tree, entries):
    """Every file is there in its full size: a cleaner of /tmp or a power cut may have taken some."""
    try:
        return all(os.stat(os.path.join(tree, entry.filename)).st_size == entry.file_size for entry in entries)
    except OSError:
        return False


def unpack(archive, entries, tree):
    """Unpacks beside `tree`, then renames. No lock: starts that race unpack one each, the first rename wins.

    (shiv's own lock waits for ever where flock does not work, or when its holder is stopped.)
    """
    import shutil

    scratch = "%s.%s" % (tree, os.urandom(8).hex())
    try:
        for entry in entries:
            archive.extract(entry, scratch)
        if os.path.lexists(tree) and not is_whole(tree, entries):
            os.rename(tree, scratch + ".broken")
            shutil.rmtree(scratch + ".broken", ignore_errors=True)
        try:
            os.rename(scratch, tree)
        except OSError:
            if not is_whole(tree, entries):
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
