"""A pytest plugin that runs the tests on one change after the other: `python -m pytest -p mutation.trials`.

It collects the tests once. Each change is then tried in a fork, which runs the tests that reach the changed function:
first those that have noticed other changes of it, then the quick ones, until one fails. A test has a limit of
processor time, of time and of memory, so that a loop without end ends soon.

The words of the command are in the environment: TRIALS_FUNCTIONS, a JSON file of the changes' names by the name of
their function; TRIALS_RESULTS, a file that gets a line of JSON for each trial; TRIALS_PROCESSES.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test

MIN_SECONDS = 0.5  # of processor time that each test may take; of time it may take forty times as much
SLOWER = 30  # times that a test may be slower than on the code as it is
MORE_MEMORY_BYTES = 1 << 30

PASSED, NOTICED, BROKEN = 0, 1, 2  # exit statuses of a fork


@dataclass
class Test:
    """One test, and what it does on the code as it is."""

    item: pytest.Item
    seconds: float = 0.0  # of processor time
    reaches: frozenset[str] = field(default_factory=frozenset)  # mutmut's names of functions
    passes: bool = True


def pytest_runtestloop(session: pytest.Session) -> bool:
    with open(os.environ["TRIALS_FUNCTIONS"]) as file:
        functions: dict[str, list[str]] = json.load(file)
    processes = int(os.environ["TRIALS_PROCESSES"])
    tests = [Test(item) for item in session.items]
    with open(os.environ["TRIALS_RESULTS"], "w", buffering=1) as results:
        if session.testsfailed:
            return True  # to import them has failed: pytest says so
        learn(tests)
        failed = [test.item.nodeid for test in tests if not test.passes] or control(tests)
        if failed:
            results.write(json.dumps({"failed": failed}) + "\n")
            return True
        for result in try_all(functions, tests, processes):
            results.write(json.dumps(result) + "\n")
    return True


def learn(tests: Sequence[Test]) -> None:
    """What each test does on the code as it is: in a fork, so that no test leaves anything behind."""

    def run_all() -> tuple[int, Any]:
        reached: set[str] = set()
        put_in("nothing", reached.add)
        known = []
        for test in tests:
            reached.clear()
            begun = time.process_time()
            passes = run(test.item)
            known.append((passes, time.process_time() - begun, sorted(reached)))
        return PASSED, known

    for test, (passes, seconds, reaches) in zip(tests, Fork(run_all).wait()[1], strict=True):
        test.passes, test.seconds, test.reaches = passes, seconds, frozenset(reaches)


def control(tests: Sequence[Test]) -> list[str]:
    """What fails without any change, when all is run as for a change."""
    places = {id(test): place for place, test in enumerate(tests)}
    ordered = sorted(tests, key=lambda test: test.seconds)
    code, place = Fork(partial(first_failure, "nothing", ordered, places)).wait()
    return [] if code == PASSED else [tests[place].item.nodeid if place is not None else f"exit status {code}"]


def try_all(functions: dict[str, list[str]], tests: Sequence[Test], processes: int) -> Iterator[dict[str, Any]]:
    """Tries every change; the outcome of each, as it comes."""
    places = {id(test): place for place, test in enumerate(tests)}
    running: dict[int, tuple[str, dict[int, int], Fork]] = {}
    for function, names in functions.items():
        reaching = sorted((test for test in tests if function in test.reaches), key=lambda test: test.seconds)
        noticed_by: dict[int, int] = {}  # how many changes of this function, by the test's place
        for name in names:
            if len(running) >= processes:
                yield outcome(tests, running)
            ordered = sorted(reaching, key=lambda test: -noticed_by.get(places[id(test)], 0))
            fork = Fork(partial(first_failure, name, ordered, places))
            running[fork.pid] = name, noticed_by, fork
    while running:
        yield outcome(tests, running)


def first_failure(name: str, ordered: Sequence[Test], places: dict[int, int]) -> tuple[int, int | None]:
    """Runs the tests on the change until one fails; that one's place."""
    put_in(name)
    limit_memory()
    for test in ordered:
        limit_time(max(MIN_SECONDS, SLOWER * test.seconds))
        if not run(test.item):
            return NOTICED, places[id(test)]
    return PASSED, None


def outcome(tests: Sequence[Test], running: dict[int, tuple[str, dict[int, int], Fork]]) -> dict[str, Any]:
    """Of the next fork that ends."""
    pid, status = os.wait()
    name, noticed_by, fork = running.pop(pid)
    code, place = os.waitstatus_to_exitcode(status), fork.answer()
    if place is not None:
        noticed_by[place] = noticed_by.get(place, 0) + 1
    if code == PASSED:
        kind = "survived"
    elif code == NOTICED:
        kind = "noticed"
    elif code < 0:
        kind = "ran out of time" if -code in (signal.SIGPROF, signal.SIGALRM) else "died"
    else:
        kind = "broken"
    return {"name": name, "kind": kind, "test": None if place is None else tests[place].item.nodeid}


class Fork:
    """A process that calls `function` and hands back what it returns: its exit status, and an answer as JSON."""

    def __init__(self, function: Callable[[], tuple[int, Any]]) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(writer)
            return
        code, answer = BROKEN, None
        try:
            code, answer = function()
        finally:  # whatever it was: no fork returns into the parent's code
            with os.fdopen(writer, "w") as file:
                json.dump(answer, file)
            os._exit(code)

    def answer(self) -> Any:
        with os.fdopen(self._reader) as file:
            text = file.read()
        return json.loads(text) if text else None

    def wait(self) -> tuple[int, Any]:
        answer = self.answer()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), answer


def run(item: pytest.Item) -> bool:
    """Whether the test passes."""
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def put_in(name: str, note: Callable[[str], object] | None = None) -> None:
    """Makes the change the code, or has `note` told each function that is called for which there are changes. mutmut's
    own way, a function in its place that asks at each call which one is to run, takes a multiple of the time."""
    set_mutant_under_test(name)  # for whoever has kept such a function
    function_name, _, number = name.rpartition("__mutmut_")
    modules = [module for key, module in sys.modules.items() if key.split(".")[0] in ("launcher", "tests")]
    spaces = [*modules, *(each for module in modules for each in vars(module).values() if isinstance(each, type))]
    instead: dict[int, tuple[Any, Any]] = {}  # by identity: mutmut's function, and the one that is to run
    for space in spaces:
        for mangled in [key.removesuffix("__mutmut_orig") for key in vars(space) if key.endswith("__mutmut_orig")]:
            function = vars(space)[f"{mangled}__mutmut_orig"]
            full_name = f"{function.__module__}.{mangled}"
            if note is not None:
                function = noting(function, full_name, note)
            elif full_name == function_name:
                function = vars(space)[f"{mangled}__mutmut_{number}"]
            asks = vars(space)[re.sub(r"^x(?:_|ǁ\w+ǁ)", "", mangled)]
            instead[id(asks)] = asks, property(function) if isinstance(asks, property) else function
    for space in spaces:
        for key, value in list(vars(space).items()):
            if id(value) in instead:
                setattr(space, key, instead[id(value)][1])


def noting(function: Callable[..., Any], name: str, note: Callable[[str], object]) -> Callable[..., Any]:
    def noted(*arguments: Any, **named: Any) -> Any:
        note(name)
        return function(*arguments, **named)

    return noted


def limit_time(seconds: float) -> None:
    """From now on; the kernel ends the process, even one that is inside a regular expression."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 40 * seconds)


def limit_memory() -> None:
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + MORE_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
