"""Runs one half of a pair: launcher, app, what the scenario adds, and the open-loop client in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from bench.loads import processor_ns
from faults import account
from faults.door import knocked_at
from faults.scenario import BUFFER_BYTES, MIB, Place, Run, Scenario, Seen, Setup, app_command
from tests.system.accounts import peak_resident_bytes, resident_bytes
from tests.system.launched import PATIENCE_SECONDS, Launched, Product

_CLIENT = Path(__file__).resolve().parent.parent / "bench" / "open_loop.py"
_WARM_SECONDS = 1.0  # replayer and connections are new until then, and latencies don't count; errors do
QUICK_RATE = 200.0  # requests a second: any machine carries them
_AT_ONCE = 4
_CLIENT_SECONDS = 60.0  # behind its load: it has time-outs of its own


def run_half(
    scenario: Scenario, product: Product, *, is_mirrored: bool, rate: float = QUICK_RATE, is_quick: bool = True
) -> Seen:
    """One half; `rate` is for a scenario without a rate of its own. What must hold and doesn't is in `missed`."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ExitStack() as stack:
        place = Place(Path(folder), stack, is_mirrored, is_quick)
        setup = scenario.prepare(place)
        seconds = scenario.quick_seconds if is_quick else scenario.seconds
        if not is_mirrored:
            seconds = min(seconds, scenario.longest_alone_seconds / (10 if is_quick else 1))
        seen = Seen()
        launched = _launch(product, setup, is_mirrored=is_mirrored)
        run = Run(launched, place, seconds)
        try:
            with launched:
                scenario.until_served(run)
                scenario.until_ready(run)
                _drive(scenario, run, seen, scenario.rate or rate)
                _wait_for_copies(scenario, run)
                stopped_at = time.monotonic()
                if launched.is_running:
                    scenario.stop(run)
                seen.stop_seconds = time.monotonic() - stopped_at
        except AssertionError as error:
            seen.missed.append(str(error))
        seen.launched = launched
        _judge(scenario, run, seen)
        return seen


def run_halves(scenario: type[Scenario], product: Product, times: int) -> list[Seen]:
    """So many halves with the launcher, some at once: it is about what happens, not how fast."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rate = scenario.rate or QUICK_RATE
        return list(pool.map(lambda _: run_half(scenario(), product, is_mirrored=True, rate=rate), range(times)))


def capacity(product: Product, scenario: Scenario, seconds: float) -> float:
    """Requests a second that the app of a scenario carries unmirrored, when its clients ask as fast as it answers."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ExitStack() as stack:
        place = Place(Path(folder), stack, False, False)
        setup = scenario.prepare(place)
        with _launch(product, setup, is_mirrored=False) as launched:
            scenario.until_served(Run(launched, place, seconds))
            with _client(launched.port, scenario, 0, seconds) as client:
                told = json.loads(client.communicate(timeout=seconds + _CLIENT_SECONDS)[0])
            launched.stop()
    return float(told["answered"]) / seconds


def _launch(product: Product, setup: Setup, *, is_mirrored: bool) -> Launched:
    environ: dict[str, str | None] = {**setup.environ}
    if not is_mirrored:
        environ["TRAFFIC_DUPLICATOR_ENABLED"] = "false"
    options = [*([] if "--buffer" in setup.options else ["--buffer", str(BUFFER_BYTES)]), *setup.options]
    return product.launch(
        options, setup.command or app_command(),
        environ=environ, prefix=setup.prefix, cwd=setup.cwd, has_log=setup.has_log,
    )  # fmt: skip


def _drive(scenario: Scenario, run: Run, seen: Seen, rate: float) -> None:
    """The load, and the fault meanwhile."""
    pid = run.launched.pid
    memory = processor = 0
    if run.launched.is_running:
        _forget_peak(pid)
        memory = resident_bytes(pid)
        scenario.crowd(run)
        processor = processor_ns([pid])
    failed: list[BaseException] = []
    warm_seconds = 0.0 if run.place.is_quick else _WARM_SECONDS
    fault = threading.Thread(target=_guarded, args=(scenario, run, warm_seconds, failed), daemon=True)
    door = knocked_at(run) if scenario.judges_door else nullcontext()
    with door, _client(run.port, scenario, rate, run.seconds, warm_seconds) as client:
        fault.start()
        told = json.loads(client.communicate(timeout=run.seconds + _CLIENT_SECONDS)[0])
    if run.launched.is_running:
        seen.grown_mib = (peak_resident_bytes(pid) - memory) / MIB
        seen.processor_us = (processor_ns([pid]) - processor) / 1000 / max(told["answered"], 1)
    run.ended.set()
    fault.join(PATIENCE_SECONDS)
    assert not fault.is_alive(), "the fault has not returned"
    if failed:
        raise AssertionError(f"in the fault: {failed[0]!r}\n{run.launched.story()}") from failed[0]
    seen.answered = told["answered"]
    seen.errors = Counter(told["errors"])
    seen.refused = Counter(told["refused"])
    seen.p50, seen.p99, seen.max = (told[name] and 1000 * told[name] for name in ("p50", "p99", "max"))


def _wait_for_copies(scenario: Scenario, run: Run) -> None:
    """With --quick the replayer may not have started yet."""
    if run.place.is_quick and run.launched.is_running and scenario.copies_arrive:
        for destination in run.place.destinations.values():
            if destination.mode == "well":
                destination.wait_for_first()


def _guarded(scenario: Scenario, run: Run, warm_seconds: float, failed: list[BaseException]) -> None:
    """Not before latencies count."""
    try:
        run.wait(warm_seconds)
        scenario.fault(run)
    except BaseException as error:  # noqa: BLE001 - told by the thread that waits for it
        failed.append(error)


@contextmanager
def _client(
    port: int, scenario: Scenario, rate: float, seconds: float, warm_seconds: float = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """The client's process, once it drives."""
    words = [port, rate, seconds, scenario.connections, scenario.body_bytes, warm_seconds]
    words += ["until-refused"] if scenario.ends_with_app else []
    client = subprocess.Popen(
        [*scenario.client_prefix(), sys.executable, "-S", str(_CLIENT), *map(str, words)],
        stdout=subprocess.PIPE, bufsize=0,  # what comes behind the first line is left for `communicate`
    )  # fmt: skip
    try:
        assert client.stdout is not None
        client.stdout.readline()
        yield client
    finally:
        client.kill()
        client.communicate()


def _forget_peak(pid: int) -> None:
    """proc(5), clear_refs: 5 sets the peak to what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _judge(scenario: Scenario, run: Run, seen: Seen) -> None:
    """What can be told from one half alone, but for the latency."""
    if seen.missed:
        return
    if run.place.is_mirrored and scenario.judges_memory:
        most = scenario.most_grown_bytes / MIB
        if seen.grown_mib is not None and seen.grown_mib > most:
            seen.missed.append(f"the launcher grew by {seen.grown_mib:.1f} MiB, and {most:.0f} are its bound")
    if seen.stop_seconds > scenario.longest_stop_seconds:
        seen.missed.append(f"the end took {seen.stop_seconds:.1f} s")
    if seen.errors and not scenario.app_may_fail:
        seen.missed.append(f"clients met {dict(seen.errors)}")
    try:
        scenario.judge(run, seen)
        found = list(account.judge(scenario, run, seen)) if run.place.is_mirrored else []
        assert not found, "; ".join(found)
    except AssertionError as error:
        seen.missed.append(f"{error}\n{run.launched.story()}")


def new_product(file: Path, home: Path) -> Product:
    """The built file, unpacked in `home`, so that no half pays for that."""
    product = Product(file, home)
    product.run(["--version"])
    return product


def built_file() -> Path:
    """The built file: `build.py` says where it is."""
    return Path(os.environ["TRAFFIC_DUPLICATOR_PYZ"]).resolve()
