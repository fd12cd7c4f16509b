"""What is risky about a plan although nothing is wrong with it, each with the option that changes it. Does no I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from launcher.destinations import Destination
from launcher.gor.flags import GorOption, is_output
from launcher.gor.options import destinations
from launcher.options import format_size
from launcher.plan import Plan
from launcher.selection import SAFE_METHODS, listed

WRITES = ("POST", "PUT", "PATCH", "DELETE")
CREDENTIALS = ("Cookie", "Authorization")

_LOCAL_SUFFIXES = (".internal", ".local", ".localhost", ".svc")  # no names of the public net's
_DYNO_GRACE_SECONDS = 30.0  # between Heroku's SIGTERM and its SIGKILL


@dataclass(frozen=True)
class Risk:
    """`name` stays the same from release to release."""

    name: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Circumstances:
    """A plan, and what only the machine can tell."""

    plan: Plan
    addresses: Mapping[int, Sequence[str]] = field(default_factory=dict)  # of the nth --output-http, where resolved
    has_private_address: bool = True

    def values(self, name: str) -> list[str]:
        """What gor's option is set to."""
        return [each.value for each in self.plan.gor_options if each.name == name and each.value != "false"]

    @property
    def outputs(self) -> list[GorOption]:
        return [option for option in self.plan.gor_options if is_output(option) and option.name != "output-null"]

    @property
    def set_headers(self) -> set[str]:
        """Headers that every copy has from the options, in lower case."""
        return {value.partition(":")[0].strip().lower() for value in self.values("http-set-header")}


def find_risks(found: Circumstances) -> list[Risk]:
    """The gravest first."""
    return [risk for look in _LOOKS for risk in look(found)] if found.outputs else []


def _writes(found: Circumstances) -> Iterator[Risk]:
    ours, gors = found.plan.options.methods, found.values("http-allow-method")
    methods = [method for method in WRITES if method in (ours or WRITES) and method in (gors or WRITES)]
    if methods:
        yield Risk(
            "writes", f"writes are copied: what {listed(methods)} do to the app, they do at the destination, too",
            f"--methods safe copies {listed(SAFE_METHODS)} only",
        )  # fmt: skip


def _credentials(found: Circumstances) -> Iterator[Risk]:
    """An --output-http with a user puts its own Authorization in place of the client's."""
    gone = {name.lower() for name in found.plan.options.drop_header} | found.set_headers
    if all(each.name == "output-http" and "@" in each.value for each in found.outputs):
        gone.add("authorization")
    kept = [name for name in CREDENTIALS if name.lower() not in gone]
    if kept:
        yield Risk(
            "credentials", f"{listed(kept)} {'is' if len(kept) == 1 else 'are'} sent on: whoever reads the copies "
            "can act as your users", " ".join(f"--drop-header {name}" for name in kept),
        )  # fmt: skip


def _clear_text(found: Circumstances) -> Iterator[Risk]:
    for number, (option, destination) in enumerate(destinations(found.plan.gor_options)):
        if destination.scheme == "http" and _is_public(destination, found.addresses.get(number, ())):
            yield Risk("clear-text", f"{option.shown} gets the copies in clear text, for all on the way to read",
                       "use https://")  # fmt: skip


def _is_public(destination: Destination, addresses: Sequence[str]) -> bool:
    if not addresses:
        try:
            ipaddress.ip_address(destination.host)
        except ValueError:
            name = destination.host.lower().rstrip(".")
            return "." in name and not name.endswith(_LOCAL_SUFFIXES)
        addresses = (destination.host,)
    return any(ipaddress.ip_address(text.partition("%")[0]).is_global for text in addresses)


def _unverified(found: Circumstances) -> Iterator[Risk]:
    if found.values("output-http-skip-verify") and any(
        destination.scheme == "https" for _, destination in destinations(found.plan.gor_options)
    ):
        yield Risk("unverified", "no certificate is verified: whoever answers at an https address gets the copies",
                   "leave --output-http-skip-verify out")  # fmt: skip


def _kept_host(found: Circumstances) -> Iterator[Risk]:
    if found.values("http-original-host") and found.values("output-http"):
        yield Risk("original-host", "Host stays the app's own: a router before the destination may take a copy for a "
                   "request to this app", "leave --http-original-host out")  # fmt: skip


def _redirects(found: Circumstances) -> Iterator[Risk]:
    if any(value != "0" for value in found.values("output-http-redirects")):
        yield Risk("redirects", "redirects are followed: a destination decides where else copies go",
                   "leave --output-http-redirects out")  # fmt: skip


def _recorded(found: Circumstances) -> Iterator[Risk]:
    places = [
        "the log" if option.name == "output-stdout" else option.shown.partition("|")[0]
        for option in found.outputs if option.name in ("output-file", "output-stdout")
    ]  # fmt: skip
    if places:
        yield Risk("recorded", f"whole requests, with what people type into forms, are written to {listed(places)}",
                   "--methods safe, --not-path REGEXP and --drop-header NAME leave out what must not be kept"
                   )  # fmt: skip


def _answers(found: Circumstances) -> Iterator[Risk]:
    if found.values("output-http-track-response"):
        yield Risk("answers", "what destinations answer is kept with the copies",
                   "leave --output-http-track-response out")  # fmt: skip


def _local_callers(found: Circumstances) -> Iterator[Risk]:
    if found.plan.app_socket is None and found.plan.port is not None and not found.has_private_address:
        yield Risk("local-callers", "this machine has no private address of its own, so the relay connects to the app "
                   "from loopback: what the app keeps for local callers (allow 127.0.0.1, debug consoles) is open to "
                   "every client", "--app-socket PATH, if the app can listen on one")  # fmt: skip


def _grace(found: Circumstances) -> Iterator[Risk]:
    if found.plan.in_dyno and found.plan.options.drain_timeout >= _DYNO_GRACE_SECONDS:
        yield Risk("grace", f"a dyno is killed {_DYNO_GRACE_SECONDS:g} s after it was told to stop: what is drained "
                   "later is lost, and so is the account of it", "--drain-timeout 25")  # fmt: skip


def _buffer(found: Circumstances) -> Iterator[Risk]:
    buffer, largest = found.plan.options.buffer, found.plan.max_request
    if buffer < largest:
        yield Risk("buffer", f"copies of over {format_size(buffer)} are dropped, and most while others wait: --buffer "
                   f"holds no more, and --max-request allows {format_size(largest)}",
                   f"--buffer {format_size(4 * largest)}")  # fmt: skip


_LOOKS: tuple[Callable[[Circumstances], Iterator[Risk]], ...] = (
    _writes, _credentials, _clear_text, _unverified, _kept_host, _redirects, _recorded, _answers, _local_callers,
    _grace, _buffer,
)  # fmt: skip
