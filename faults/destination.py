"""Destinations that go wrong, behind the built-in replayer: programs/destination.py in a mode, or none at all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

from faults.scenario import MIB, Destination, Place, Run, Scenario, Seen, Setup, python
from launcher.priority import session_stands_back, stand_back
from tests.system import accounts
from tests.system.launched import PATIENCE_SECONDS
from tests.system.machine import free_port
from tests.system.plain_run import namespaces_work
from tests.system.sink import wait_until

_TIMEOUT = "500ms"  # --output-http-timeout, by default 5 s: a half is shorter
_REPLAYER_BYTES = 128 * MIB  # --replayer-memory
_SAMPLE_SECONDS = 0.1
_HALF_OPEN_SECONDS = 0.5
_LONG_BYTES = 64 * 1024  # of an answer without end, where processors are busy, too
_LATE_SECONDS = 0.3
_OURS, _THEIRS = "198.18.77.1", "198.18.77.2"  # RFC 2544: for such tests


def destination(place: Place, *words: str, prefix: Sequence[str] = (), scheme: str = "http", host: str = "") -> str:
    """The URL of one that runs until the half's end; none is started for the unmirrored half."""
    host = host or "127.0.0.1"
    if not place.is_mirrored:
        return f"{scheme}://{host}:9"
    process, port = _start(place, "destination.py", *words, prefix=prefix)
    url = f"{scheme}://{host}:{port}"
    place.destinations[url] = Destination(words[0], process)
    return url


class WellServed(Scenario):
    """The built-in replayer, with a destination that does well: what goes wrong is elsewhere."""

    def prepare(self, place: Place) -> Setup:
        return Setup(options=["--to", destination(place, "well")])


def program(place: Place, *words: str, prefix: Sequence[str] = ()) -> str:
    """The first line of a program of ours that runs until the half's end."""
    return _start(place, *words, prefix=prefix)[1]


def _start(place: Place, *words: str, prefix: Sequence[str] = ()) -> tuple[subprocess.Popen[str], str]:
    """The process, and its first line.

    It takes what processor others leave: it stands for another machine, whose processor is not the app's.
    """
    process = subprocess.Popen([*prefix, *python(*words)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    place.stack.callback(process.communicate)
    place.stack.callback(process.kill)
    stand_back(process.pid)
    wait_until(lambda: session_stands_back(process.pid), "the destination stands back", PATIENCE_SECONDS)
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, f"{words} has not started"
    return process, line


class BadDestination(Scenario):
    """The built-in replayer, with one destination in a mode."""

    group = "Destination"
    mode: tuple[str, ...] = ()
    outcomes: frozenset[str] = frozenset()  # all that may become of its copies
    wrong: frozenset[str] = frozenset()  # one of these must: by default all that tells of a fault

    def prepare(self, place: Place) -> Setup:
        self.url = self.new_url(place)
        options = place.folder / "gor.options"
        options.write_text(f"--output-http {self.url}\n--output-http-timeout {_TIMEOUT}\n{self.more_options(place)}\n")
        return Setup(options=["--gor-options", str(options), "--replayer-memory", str(_REPLAYER_BYTES)])

    def new_url(self, place: Place) -> str:
        return destination(place, *self.mode)

    def more_options(self, place: Place) -> str:
        return ""

    def fault(self, run: Run) -> None:
        self.most_seen = 0
        if run.place.is_mirrored:
            replayer = accounts.process(run.launched, accounts.is_builtin)
            while not run.wait(_SAMPLE_SECONDS):
                self.most_seen = max(self.most_seen, accounts.peak_resident_bytes(replayer))

    def judge(self, run: Run, seen: Seen) -> None:
        if not run.place.is_mirrored:
            return
        assert self.most_seen <= _REPLAYER_BYTES, f"the replayer had {self.most_seen / MIB:.0f} MiB"
        told = accounts.outcomes(run.launched, self.url)
        others = told.keys() - self.outcomes - {"received"}
        assert told["received"], "the replayer has got nothing"
        assert not others, f"its copies ended as {told}"
        wrong = self.wrong or self.outcomes - {"unsent", "2xx", "queue_full"}
        assert any(told.get(name) for name in wrong), f"nothing went wrong: {told}"


class Hangs(BadDestination):
    name = "destination-hangs"
    says = "takes requests and never answers"
    mode = ("hang",)
    outcomes = frozenset({"timeout", "queue_full", "unsent"})


class DeafDestination(BadDestination):
    name = "destination-deaf"
    says = "accepts connections and never reads"
    mode = ("deaf",)
    outcomes = frozenset({"timeout", "queue_full", "unsent"})


class Refuses(BadDestination):
    name = "destination-refuses"
    says = "refuses connections"
    outcomes = frozenset({"refused", "unsent"})

    def new_url(self, place: Place) -> str:
        return f"http://127.0.0.1:{free_port()}"


class Resets(BadDestination):
    name = "destination-resets"
    says = "resets each connection on which a request has come"
    mode = ("reset",)
    outcomes = frozenset({"reset", "unsent"})


class Errors(BadDestination):
    name = "destination-errors"
    says = "answers 500"
    mode = ("errors",)
    outcomes = frozenset({"5xx", "unsent"})


class Late(BadDestination):
    name = "destination-late"
    says = f"answers after twice the time-out of {_TIMEOUT} (60 s, shortened)"
    mode = ("late", "1")
    outcomes = frozenset({"timeout", "queue_full", "unsent"})


class Trickles(BadDestination):
    name = "destination-trickles"
    says = "answers with a byte a second"
    mode = ("trickle", "1")
    outcomes = frozenset({"timeout", "queue_full", "unsent"})


class Endless(BadDestination):
    name = "destination-endless"
    says = "answers with a body without end, at 1 Gbit/s"
    mode = ("endless",)
    outcomes = frozenset({"2xx", "timeout", "queue_full", "unsent"})  # behind 1 MiB the replayer hangs up: it was told
    wrong = frozenset({"2xx", "timeout"})  # both are well: `judge` looks at the destination

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        if run.place.is_mirrored:
            longest = run.place.destinations[self.url].account()["longest"]
            assert longest > _LONG_BYTES, f"its longest answer had {longest} bytes"


class EndlessHead(BadDestination):
    name = "destination-endless-head"
    says = "answers with a head without end, at 1 Gbit/s"
    mode = ("endless-head",)
    outcomes = frozenset({"protocol", "timeout", "queue_full", "unsent"})


class OneOfTwo(BadDestination):
    name = "destination-one-of-two"
    says = "hangs, and another does well: that one gets every copy"
    mode = ("hang",)
    outcomes = frozenset({"timeout", "queue_full", "unsent"})

    def more_options(self, place: Place) -> str:
        self.good_url = destination(place, "well")
        return f"--output-http {self.good_url}"

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        if run.place.is_mirrored:
            told = accounts.outcomes(run.launched, self.good_url)
            assert told == {"received": seen.answered, "2xx": seen.answered}, (
                f"{seen.answered} were answered, and the copies for the good one ended as {told}"
            )


# ---- names and certificates ----------------------------------------------------------------------------------------


class BadCertificate(BadDestination):
    name = "destination-certificate"
    says = "has a certificate that nobody has signed whom the machine knows"
    copies_arrive = False
    outcomes = frozenset({"tls", "unsent"})

    def new_url(self, place: Place) -> str:
        import trustme  # takes 0.1 s, and only this needs it

        file = place.folder / "certificate.pem"
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(file))
        return destination(place, "well", "--tls", str(file), scheme="https")


class DeafToTls(BadDestination):
    name = "destination-tls-hangs"
    says = "accepts connections for https, and never says hello"
    outcomes = frozenset({"timeout", "queue_full", "unsent"})

    def new_url(self, place: Place) -> str:
        return destination(place, "deaf", scheme="https")


class BadNames(BadDestination):
    """A mount namespace in which a name server of ours is the only one."""

    outcomes = frozenset({"dns", "timeout", "queue_full", "unsent"})

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        if run.place.is_mirrored:
            assert self.asked.exists(), "nobody has asked the name server"

    def missing(self) -> str | None:
        if os.geteuid() or not namespaces_work():
            return "a name server of its own needs port 53 and a mount namespace (unshare --mount), which needs root"
        return None

    def new_url(self, place: Place) -> str:
        return "http://destination.example"

    def prepare(self, place: Place) -> Setup:
        setup = super().prepare(place)
        if not place.is_mirrored:
            return setup
        self.asked = place.folder / "names"
        program(place, "dns.py", str(self.asked), *self.mode)
        config = place.folder / "resolv.conf"
        config.write_text("nameserver 127.0.0.77\n")
        enter = f'mount --bind {config} /etc/resolv.conf; exec "$@"'
        setup.prefix = ["unshare", "--mount", "sh", "-ec", enter, "sh"]
        return setup


class UnknownName(BadNames):
    name = "destination-dns-fails"
    says = "has a name that the name server doesn't know"
    mode = ("unknown",)


class UnansweredName(BadNames):
    name = "destination-dns-silent"
    says = "has a name for which the name server has no answer"
    mode = ("silent",)


class SlowName(BadNames):
    name = "destination-dns-slow"
    says = f"has a name for which the name server needs {_LATE_SECONDS:g} s"
    mode = ("late", str(_LATE_SECONDS))
    outcomes = frozenset({"2xx", "timeout", "queue_full", "unsent"})
    wrong = frozenset({"2xx", "timeout"})  # both are well: `judge` looks at the name server

    def new_url(self, place: Place) -> str:
        return destination(place, "well", host="destination.example")

    def judge(self, run: Run, seen: Seen) -> None:
        super().judge(run, seen)
        if run.place.is_mirrored:
            taken = [float(line) for line in self.asked.read_text().splitlines()]
            assert taken and min(taken) >= _LATE_SECONDS, f"the name server has answered after {taken} s"


class HalfOpen(BadDestination):
    """A network namespace from which nothing comes back any more: connections stand, and nobody is there."""

    name = "destination-half-open"
    says = f"vanishes after {_HALF_OPEN_SECONDS:g} s without a word (an hour, shortened): its connections are half open"
    outcomes = frozenset({"2xx", "timeout", "queue_full", "unsent"})
    quick_seconds = 2.0  # the replayer starts first

    def missing(self) -> str | None:
        with ExitStack() as stack:
            try:
                _network(stack)
            except (OSError, subprocess.CalledProcessError) as error:
                return f"a network namespace (ip netns) needs root: {getattr(error, 'stderr', error)}"
        return None

    def new_url(self, place: Place) -> str:
        if not place.is_mirrored:
            return f"http://{_THEIRS}"
        self.namespace = _network(place.stack)
        inside = [_ip_tool(), "netns", "exec", self.namespace]
        return destination(place, "well", "--host", _THEIRS, prefix=inside, host=_THEIRS)

    def fault(self, run: Run) -> None:
        run.wait(_HALF_OPEN_SECONDS)
        if run.place.is_mirrored:
            run.place.destinations[self.url].wait_for_first()  # its connections stand
            _ip("-n", self.namespace, "route", "add", "blackhole", f"{_OURS}/32")
        super().fault(run)


def _network(stack: ExitStack) -> str:
    """A namespace at the other end of a wire. Raises OSError, CalledProcessError."""
    namespace = f"faults-{os.getpid()}"
    near, far = f"fa{os.getpid()}", f"fb{os.getpid()}"
    _ip("netns", "add", namespace)
    stack.callback(_ip, "netns", "delete", namespace)
    _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
    stack.callback(_remove_link, near)
    _ip("addr", "add", f"{_OURS}/30", "dev", near)
    _ip("link", "set", near, "up")
    _ip("-n", namespace, "addr", "add", f"{_THEIRS}/30", "dev", far)
    _ip("-n", namespace, "link", "set", far, "up")
    return namespace


def _remove_link(name: str) -> None:
    """The namespace's end takes it along, but the kernel does that later."""
    subprocess.run([_ip_tool(), "link", "delete", name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run([_ip_tool(), *words], check=True, capture_output=True, text=True)


def _ip_tool() -> str:
    return shutil.which("ip") or "/sbin/ip"
