"""Each output of a plan: can it be reached, in the way that this replayer will take, and is it rather this very app?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from launcher import addresses
from launcher.destinations import parse_destination, split_limit
from launcher.gor.flags import GorOption, is_output
from launcher.gor.values import dialed
from launcher.gor.words import limit_of
from launcher.plan import Plan
from launcher.probe import Reached, Step, Target, reach
from launcher.proxies import Proxy, UnusableProxy, proxy_for

_DAYS_TO_TELL = 14.0  # a certificate's last ones
_NOT_CONNECTED = ("output-stdout", "output-null", "output-file")
_VERIFIES_SINCE = (1, 3)  # gor; and knows proxies


@dataclass(frozen=True)
class DestinationCheck:
    """One output."""

    option: GorOption
    limit: str  # in words; empty: none
    way: str  # how it is reached, if not directly
    reached: Reached | None
    why_not: str  # it was not tried; empty: it was

    @property
    def address(self) -> str:
        """As it may be printed, without its limit."""
        return self.option.shown.partition("|")[0]

    @property
    def shown(self) -> str:
        """The output as people know it."""
        if self.option.name == "output-http":
            return self.address
        return f"--{self.option.name}{'' if self.option.value == 'true' else ' ' + self.address}"


def check_destinations(plan: Plan) -> list[DestinationCheck]:
    """Every output in its order. Takes at most `probe.TOTAL_SECONDS` and a little."""
    offline = "--build" if plan.options.build else "--offline" if plan.options.offline else ""
    outputs = [option for option in plan.gor_options if is_output(option)]
    targets = [_target(option, plan) for option in outputs]
    wanted = [] if offline else [target for target in targets if isinstance(target, Target)]
    found = iter(reach(wanted))
    checks = []
    for option, target in zip(outputs, targets, strict=True):
        is_tried = isinstance(target, Target) and not offline
        why_not = target if isinstance(target, str) else "" if is_tried else f"not tried: {offline}"
        way = "by the proxy that the environment names" if isinstance(target, Target) and target.proxy else ""
        checks.append(DestinationCheck(option, limit_of(option), way, next(found) if is_tried else None, why_not))
    return checks


def problems(check: DestinationCheck, plan: Plan) -> Iterator[str]:
    """Why copies will not get where they should, or not be wanted there."""
    where = f"{check.option.where}: {check.shown}"
    failure = check.reached.failure if check.reached is not None else None
    if failure is not None:
        yield f"{where}: {_in_words(failure)}"
    elif check.why_not and _unusable_proxy(check.option, plan):
        yield f"{where}: {check.why_not}"
    if check.option.name == "output-file" and (reason := _why_no_file(check.option)):
        yield f"{where}: {reason}"
    if reason := _why_same_app(check, plan):
        yield f"{where} is this app itself: {reason}; it would get every request twice"


def warnings(check: DestinationCheck) -> Iterator[str]:
    """What is well today."""
    if check.reached is None:
        return
    where = f"{check.option.where}: {check.shown}"
    days = check.reached.certificate_days
    if days is not None and days < _DAYS_TO_TELL and check.reached.failure is None:
        yield f"{where}: its certificate ends in {days:.0f} days"
    for note in check.reached.notes:
        yield f"{where}: {note}"


def _target(option: GorOption, plan: Plan) -> Target | str:
    """What to reach, or why not."""
    if option.name == "output-tcp":
        host, port = dialed(split_limit(option.value)[0])
        return Target(host or "localhost", port)
    if option.name != "output-http":
        return "none is needed" if option.name in _NOT_CONNECTED else "not tried: only gor can connect to it"
    destination, _ = parse_destination(option.value)
    proxy = _proxy(option, plan)
    if isinstance(proxy, UnusableProxy):
        return proxy.error if _is_builtin(plan) else "not tried: by a proxy that only gor can use"
    return Target(
        destination.host, destination.port, destination.scheme == "https", _verifies(plan), proxy,
    )  # fmt: skip


def _proxy(option: GorOption, plan: Plan) -> Proxy | UnusableProxy | None:
    destination, _ = parse_destination(option.value)
    gor = plan.replayer.gor if plan.replayer is not None else None
    if gor is not None and gor.version < _VERIFIES_SINCE:
        return None
    return proxy_for(destination.scheme, destination.host, destination.port, plan.environ)


def _unusable_proxy(option: GorOption, plan: Plan) -> bool:
    return option.name == "output-http" and _is_builtin(plan) and isinstance(_proxy(option, plan), UnusableProxy)


def _is_builtin(plan: Plan) -> bool:
    return plan.replayer is None or plan.replayer.gor is None


def _verifies(plan: Plan) -> bool:
    is_on = {option.name for option in plan.gor_options if option.value != "false"}
    gor = plan.replayer.gor if plan.replayer is not None else None
    if gor is not None and gor.version < _VERIFIES_SINCE:
        return "output-http-compatibility-mode" in is_on
    return "output-http-skip-verify" not in is_on


def _in_words(failure: Step) -> str:
    return f"no connection: {failure.text}" if failure.name == "connection" else failure.text


def _why_no_file(option: GorOption) -> str:
    """Why nothing can be written; the name's patterns, such as %Y, are not followed. Empty if it can."""
    name = split_limit(option.value)[0]
    folder = os.path.dirname(name) or os.curdir
    if "%" in folder or name.startswith("s3://"):
        return ""
    if not os.path.isdir(folder):
        return "its folder is not there: nothing makes it"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "its folder can't be written to"


# ---- is it this app? -----------------------------------------------------------------------------------------------


def own_names(environ: Mapping[str, str]) -> Sequence[str]:
    """What Heroku calls this app, where it says so (dyno metadata)."""
    name = environ.get("HEROKU_APP_NAME", "")
    found = (environ.get("HEROKU_APP_DEFAULT_DOMAIN_NAME", ""), f"{name}.herokuapp.com" if name else "")
    return [each.lower() for each in found if each]


def _why_same_app(check: DestinationCheck, plan: Plan) -> str:
    if check.option.name != "output-http":
        return ""
    destination, _ = parse_destination(check.option.value)
    if destination.host.lower().rstrip(".") in own_names(plan.environ):
        return "Heroku gives it that name"
    if check.reached is None or check.reached.target.proxy is not None or destination.port != plan.port:
        return ""
    if any(check.option.shown in problem for problem in plan.problems):  # the plan has seen it already
        return ""
    own = [address for address in check.reached.addresses if addresses.is_own(address)]
    return f"{own[0]} is this machine's, and {plan.port} is the clients' port" if own else ""
