"""Which module may import which: docs/architecture.md's table, held here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "launcher"
ROOMS = ("control", "dry_run", "gor")  # folders whose modules have layers of their own; the others are told below

# Each layer may import those before it; within a layer, modules import one another without circles.
LAYERS: tuple[tuple[str, ...], ...] = (
    # pure: words, bytes and numbers; no I/O
    (
        "http_grammar", "options", "counters", "records", "app_command", "command_hints", "procfile", "gor.flag_table",
        "destinations", "latencies", "until", "fnv1a", "rate_limit", "control.request", "status",
    ),
    (
        "control.words", "framing", "listen_address", "gor.values", "gor.masking", "replay_protocol", "copied_head",
        "proxies",
    ),
    ("gor.flags", "account_lines", "selection", "prometheus", "l2met"),
    ("shell_words", "launcher_options", "gor.words", "sampling"),
    ("gor.options", "roles"),
    # what the machine and the start tell
    ("log", "environment", "itself", "memory", "addresses", "executable", "tls_trust", "port_holders", "leftovers"),
    ("probe", "printing", "news_lines", "listener_lookup", "written_file", "priority", "trio_import"),
    ("compared",),
    ("app_process", "app_socket", "control.socket_file"),
    ("control.client", "control.watch"),
    ("control.operate",),
    ("report_command",),
    # account: what is held and counted
    ("mirror_queue", "controls"),
    ("processor_time", "brakes"),
    ("brake_watch",),
    ("selector",),
    ("mirror",),
    # I/O
    ("descriptor_set",),
    ("poller", "sockets", "splicing"),
    ("pair",),
    ("relay", "feed", "output_lines"),
    ("readiness",),
    # processes
    ("child", "gor.helper"),
    ("gor.binary", "gor.lines", "gor.folder"),
    ("gor.processes",),
    ("replayers",),
    ("builtin_launch", "gor.launch"),
    ("supervisor",),
    # plan
    ("replayer_choice",),
    ("plan",),
    # wire
    ("stats", "snapshot", "review", "dry_run.risks", "dry_run.destination_checks"),
    ("dry_run.checks",),
    ("dry_run.as_json",),
    ("dry_run.text",),
    ("control.routes",),
    ("control.server",),
    ("metrics_port",),
    ("service",),
    ("cli",),
    ("__main__",),
)
PURE = {module for layer in LAYERS[:5] for module in layer}
NOT_PURE = {
    "os", "socket", "select", "subprocess", "trio", "time", "threading", "pathlib", "tempfile", "fcntl", "signal",
}  # fmt: skip
REPLAY_MAY_IMPORT = {
    "framing", "options", "counters", "records", "gor.flags", "gor.flag_table", "gor.values", "destinations",
    "replay_protocol", "go_regexp", "account_lines", "log", "memory", "poller", "copied_head", "listen_address",
    "sockets", "addresses", "latencies", "child", "executable", "feed", "mirror_queue", "output_lines", "fnv1a",
    "proxies", "tls_trust", "news_lines", "comparison", "compared", "roles", "trio_import", "printing",
}  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Modules of ours by their dotted names below `launcher`, others by their first name."""
    found: set[str] = set()
    package = ["launcher", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            is_package = (PACKAGE.parent / module.replace(".", "/")).is_dir()
            names = [f"{module}.{alias.name}" for alias in node.names] if is_package else [module]
        else:
            continue
        for name in names:
            is_ours = name.startswith("launcher.") and name != "launcher.__version__"
            found.add(name.removeprefix("launcher.") if is_ours else name.partition(".")[0])
    return found - {"launcher"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {
    name_of(path): imports_of(path)
    for path in (*PACKAGE.glob("*.py"), *(path for room in ROOMS for path in (PACKAGE / room).glob("*.py")))
    if path.stem != "__init__"
}
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
OURS = {*MODULES, *ROOMS, "go_regexp", "comparison", "replay"}


def test_every_module_has_its_layer():
    assert set(RANK) == set(MODULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_layers_below_its_own(module):
    upward = {other for other in MODULES[module] & set(MODULES) if RANK[other] > RANK[module]}
    assert not upward


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_does_no_io(module):
    impure = {"time"} if module == "records" else set()  # a record says when it was made
    assert not MODULES[module] & (NOT_PURE - impure)


def test_only_cli_imports_the_built_in_replayer():
    importers = {module for module, names in MODULES.items() if any(name.split(".")[0] == "replay" for name in names)}
    assert importers == {"cli"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "replay").rglob("*.py")), ids=lambda path: path.stem)
def test_the_built_in_replayer_imports_only_what_both_programs_share(path):
    names = imports_of(path)
    ours = {name if name.split(".")[0] in ROOMS else name.split(".")[0] for name in names}
    assert ours & OURS <= REPLAY_MAY_IMPORT | {"replay"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "go_regexp").glob("*.py")), ids=lambda path: path.stem)
def test_the_regular_expressions_are_pure_and_know_nothing_of_the_rest(path):
    imports = {name.split(".")[0] for name in imports_of(path)}
    assert not imports & (NOT_PURE | OURS - {"go_regexp"})


@pytest.mark.parametrize("path", sorted((PACKAGE / "comparison").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_comparison_comes_to_is_pure_and_knows_nothing_of_the_rest(path):
    imports = {name.split(".")[0] for name in imports_of(path)}
    assert not imports & (NOT_PURE | OURS - {"comparison"})


def test_what_runs_without_the_relay_does_not_wait_for_trio():
    """The kill switch, a worker's dyno, --version and --dry-run: importing trio takes longer than all the rest."""
    without = {"cli", "dry_run.text", "plan", "control.operate"}
    seen: set[str] = set()
    while without - seen:
        module = (without - seen).pop()
        seen.add(module)
        is_lazy = {"service", "trio_import"} if module == "cli" else set()
        without |= (MODULES[module] & set(MODULES)) - is_lazy
    assert not [module for module in seen if "trio" in MODULES[module]]


def test_there_is_no_circle():
    seen: dict[str, int] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module in seen:
            return
        for other in sorted(MODULES[module] & set(MODULES)):
            visit(other, (*trail, module))
        seen[module] = 1

    for module in MODULES:
        visit(module, ())
