"""What Python runs first: it finds the launcher's packages and calls the launcher. If that fails before the app is
started, it becomes the app's command itself: unmirrored, as with the kill switch, and one line says why.

In the slug it is boot.py, beside the folder `packages`; in the single file it is the archive's __main__, and
`unpacking` finds a folder. Every Python since 2.7 must be able to parse it and to become the command with it: the file
may be given to any. build.py writes the launcher's options into it.
"""

import gc
import os
import sys

VALUE_FLAGS = "@VALUE_FLAGS@".split()
SWITCHES = "@SWITCHES@".split()  # but for those with which the command is not started
DEFAULT_PORT = "@DEFAULT_PORT@"

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
NOTHING_STARTED, WRONG_USAGE, CANNOT_EXECUTE, NOT_FOUND = 1, 2, 126, 127


def main():
    if sys.version_info < (3, 10):
        found = "%d.%d.%d (%s)" % (sys.version_info[:3] + (sys.executable,))
        run_unmirrored("start-traffic-duplicator needs Python 3.10 or newer, this is " + found)
    gc.set_threshold(50000)  # imports leave no garbage, and looking for it takes a twentieth of the start
    try:
        run_again_isolated()
        sys.path.append(packages())
        from launcher.cli import main as launcher_main

        status = launcher_main()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if app_was_started():
            raise
        run_unmirrored(told(error))
    sys.exit(status)


def packages():
    """The folder to import the launcher from."""
    here = os.path.dirname(os.path.abspath(__file__))
    if os.path.isfile(here):  # the archive
        import unpacking

        return unpacking.packages(here)
    sys.dont_write_bytecode = True  # it is there, and nothing may be written at a boot
    return os.path.join(here, "packages")


def run_again_isolated():
    """Becomes `python -I -S -u ...`, as the sh lines would have started it."""
    if (sys.flags.isolated and sys.flags.no_site) or not sys.executable:
        return
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-u"] + sys.argv, given_environment())


def given_environment():
    """The environment as it was given: CPython adds LC_CTYPE to os.environ in a C locale. Without /proc, os.environ."""
    try:
        with open("/proc/self/environ", "rb") as file:
            words = [word.partition(b"=") for word in file.read().split(b"\0")]
    except (IOError, OSError):
        return dict(getattr(os, "environb", os.environ))
    return {name: value for name, _, value in reversed(words) if name}  # of two of a name the first counts, as in C


def app_was_started():
    itself = sys.modules.get("launcher.itself")
    return itself is not None and itself.app_was_started()


def told(error):
    """An error in one line. Only one of imports and files is quoted: any other might hold a secret of the options."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith("<frozen"):
            place = " (%s, line %d)" % (os.path.basename(code.co_filename), trace.tb_lineno)
        trace = trace.tb_next
    text = type(error).__name__
    if isinstance(error, (ImportError, SyntaxError, OSError, EOFError)):
        text += ": %s" % error
    return "the launcher failed with %s%s; deploy it anew, or report this" % (text, place)


# ---- the command by itself -----------------------------------------------------------------------------------------


def run_unmirrored(reason):
    """Becomes the command on the clients' port. Exits with 2 if none is to be started, or --strict asks for that, and
    with 1 if the app would listen on a socket: nothing can bring clients there from $PORT.
    """
    environment = given_environment()
    command, given = read_words(sys.argv[1:], environment)
    if not command or (given["strict"].lower() in TRUE and given["enabled"] not in FALSE):
        give_up(WRONG_USAGE, reason)
    port = given["port"] or ("" if given["dyno"] else DEFAULT_PORT)
    has_clients = is_port(port) or not given["dyno"]
    if has_clients and (given["socket"] or any("{socket}" in word for word in command)):
        give_up(NOTHING_STARTED, reason + "; an app on a socket can't run without it, so nothing was started")
    if is_port(port):
        command = [word.replace("{port}", str(port)) for word in command]
        environment[b"PORT"] = port.encode("ascii")
    quoted = " ".join(reason.replace("\\", "\\\\").replace('"', '\\"').splitlines())
    say('traffic-duplicator at=unmirrored level=error reason="%s" app="by itself, unmirrored"' % quoted)
    execute(command, environment)


def read_words(words, environment):
    """The command, empty if none is to be started, and what options and variables say."""

    def variable(name):
        return environment.get(name, b"").decode("latin-1").strip().lower()

    given = {
        "strict": variable(b"TRAFFIC_DUPLICATOR_STRICT"),
        "enabled": variable(b"TRAFFIC_DUPLICATOR_ENABLED"),
        "socket": variable(b"TRAFFIC_DUPLICATOR_APP_SOCKET"),
        "port": variable(b"PORT"),
        "dyno": variable(b"DYNO"),
    }
    words = list(words)
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        flag, equals, value = word.partition("=")
        if flag in VALUE_FLAGS:
            if not equals and not words:
                return [], given
            value = value if equals else words.pop(0)
        elif flag not in SWITCHES:
            return [], given
        if flag == "--port" and not is_port(value):
            return [], given
        name = {"--app-socket": "socket"}.get(flag, flag[2:])
        given[name] = value if flag in VALUE_FLAGS or equals else "true"
    return words, given


def is_port(text):
    return 0 < len(text) <= 5 and not text.strip("0123456789") and 1 <= int(text) <= 65535


def execute(command, environment):
    """Becomes the command, as a shell would: by PATH, a text without #! through sh, 126 or 127 if it can't be."""
    import errno
    import signal

    ignored = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores them, and its heir would
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    status, failure = NOT_FOUND, command[0] + ": not found"
    folders = [""] if "/" in command[0] else os.environ.get("PATH", os.defpath).split(os.pathsep)
    for folder in folders:
        path = os.path.join(folder or os.curdir, command[0])
        try:
            os.execve(path, command, environment)
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                os.execve("/bin/sh", ["/bin/sh", path] + command[1:], environment)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                status, failure = CANNOT_EXECUTE, "%s: %s" % (path, error.strerror)
    for number in ignored:  # who can't be told must not end us
        signal.signal(number, signal.SIG_IGN)
    give_up(status, failure)


def give_up(status, reason):
    say("Error: " + reason)
    sys.exit(status)


def say(line):
    data = (line + "\n").encode("utf-8", "backslashreplace") if sys.version_info[0] > 2 else line + "\n"
    try:
        os.write(2, data)
    except OSError:  # closed, or its disk is full: there is nobody to tell
        pass


if __name__ == "__main__":
    main()
