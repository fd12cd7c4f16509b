"""Finds the archive's packages a folder, unpacking them there if need be.

Nothing of the environment, of another user or of an earlier, interrupted start decides what runs; where nothing can be
unpacked, the launcher is imported from the archive itself.
"""

import json
import os
import shutil
import stat
import zipfile
import zlib

PACKAGES = "site-packages/"


def packages(archive_path):
    """The folder (or the place in the archive) to import from. Raises ImportError if the archive is damaged."""
    try:
        with zipfile.ZipFile(archive_path) as archive:
            folder = unpacked_folder(archive)
            if folder is not None:
                return folder
            damaged = archive.testzip()  # which an import from an archive would not notice
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, NotImplementedError, EOFError) as error:
        raise ImportError(f"{archive_path} is damaged: {error}") from None
    if damaged is not None:
        raise ImportError(f"{archive_path} is damaged: {damaged}")
    return os.path.join(archive_path, PACKAGES.rstrip("/"))


def unpacked_folder(archive):
    """Where the packages are whole, unpacked now if need be. None if they can't be unpacked anywhere."""
    build_id = json.loads(archive.read("environment.json"))["build_id"]
    name = f"{os.path.basename(os.path.realpath(archive.filename))}_{build_id}"
    entries = [entry for entry in archive.infolist() if entry.filename.startswith(PACKAGES)]
    for root in candidate_roots():
        tree = os.path.join(root, name)
        try:
            make_private(root)
            if not is_whole(tree, entries):
                unpack(archive, entries, tree)
        except OSError:  # read-only, full, not ours, no such user
            continue
        return os.path.join(tree, PACKAGES.rstrip("/"))
    return None


def candidate_roots():
    if os.path.isabs(os.environ.get("HOME", "")):
        yield os.path.join(os.environ["HOME"], ".traffic-duplicator")
    for folder in (os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"):
        if os.path.isabs(folder):
            yield os.path.join(folder, f"traffic-duplicator-{os.geteuid()}")


def make_private(root):
    """Raises OSError unless `root` is a folder that only we (or root) can write to: what is in it will be run."""
    try:
        os.mkdir(root, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(root)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise PermissionError(f"{root} is not ours alone")


def is_whole(tree, entries):
    """Every file is there in its full size: a cleaner of /tmp or a power cut may have taken some."""
    try:
        return all(os.stat(os.path.join(tree, entry.filename)).st_size == entry.file_size for entry in entries)
    except OSError:
        return False


def unpack(archive, entries, tree):
    """Unpacks beside `tree`, then renames. No lock: starts that race unpack one each, the first rename wins."""
    scratch = f"{tree}.{os.urandom(8).hex()}"
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
