"""How full the memory is: read from files as kernels write them, and from this machine's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.memory import MemoryFiles, Usage, limit_bytes

MIB = 1024**2
NO_LIMIT_V1 = 9223372036854771712


def files(tmp_path: Path, contents: dict[str, object]) -> MemoryFiles:
    for name, content in {"proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 400 kB\n", **contents}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return MemoryFiles(tmp_path / "cgroup", tmp_path / "proc")


def v2(folder: str, maximum: object, current: int, inactive_file: int = 0, high: object = "max") -> dict[str, object]:
    return {
        f"cgroup/{folder}/memory.max": maximum,
        f"cgroup/{folder}/memory.high": high,
        f"cgroup/{folder}/memory.current": current,
        f"cgroup/{folder}/memory.stat": f"anon 1\nfile 2\ninactive_anon 3\ninactive_file {inactive_file}",
    }


def v1(folder: str, limit: int, usage: int, inactive_file: int = 0) -> dict[str, object]:
    return {
        f"cgroup/memory/{folder}/memory.limit_in_bytes": limit,
        f"cgroup/memory/{folder}/memory.usage_in_bytes": usage,
        f"cgroup/memory/{folder}/memory.stat": f"inactive_file 7\ntotal_inactive_file {inactive_file}",
    }


def test_without_a_cgroup_the_machine_counts(tmp_path):
    assert files(tmp_path, {}).usage() == Usage(600 * 1024, 1000 * 1024)


@pytest.mark.parametrize(
    "contents",
    [
        {"proc/self/cgroup": "0::/", **v2("", 512 * MIB, 500 * MIB, 100 * MIB)},
        {"proc/self/cgroup": "0::/docker/abc", **v2("", 512 * MIB, 500 * MIB, 100 * MIB)},  # its own is at the root
        {"proc/self/cgroup": "0::/../../elsewhere", **v2("", 512 * MIB, 500 * MIB, 100 * MIB)},
        {"proc/self/cgroup": "0::/system.slice/a.service",
         **v2("system.slice/a.service", 512 * MIB, 500 * MIB, 100 * MIB)},
        {"proc/self/cgroup": "0::/system.slice/a.service", **v2("system.slice", 512 * MIB, 500 * MIB, 100 * MIB),
         **v2("system.slice/a.service", "max", 10)},
        {"proc/self/cgroup": "0::/", **v2("", 2048 * MIB, 500 * MIB, 100 * MIB, high=512 * MIB)},
        {"proc/self/cgroup": "9:cpu,cpuacct:/x\n4:memory:/a/b\n0::/",
         **v1("a/b", 512 * MIB, 500 * MIB, 100 * MIB), **v1("", NO_LIMIT_V1, 9000 * MIB)},
        {"proc/self/cgroup": "4:memory:/docker/abc", **v1("", 512 * MIB, 500 * MIB, 100 * MIB)},
        v1("", 512 * MIB, 500 * MIB, 100 * MIB),
    ],
)  # fmt: skip
def test_a_cgroup_counts_without_file_pages_that_the_kernel_could_take_back(tmp_path, contents):
    read = files(tmp_path, contents)
    assert read.usage() == Usage(400 * MIB, 512 * MIB)
    assert 512 * MIB in read.limits()


def test_of_several_cgroups_with_limits_the_fullest_counts(tmp_path):
    contents = {
        "proc/self/cgroup": "0::/a/b", **v2("a", 1000 * MIB, 900 * MIB), **v2("a/b", 500 * MIB, 100 * MIB)
    }  # fmt: skip
    assert files(tmp_path, contents).usage() == Usage(900 * MIB, 1000 * MIB)
    assert files(tmp_path, contents).limits() == [500 * MIB, 1000 * MIB]


def test_what_can_t_be_read_is_an_error_and_no_number(tmp_path):
    with pytest.raises(OSError, match="meminfo"):
        MemoryFiles(tmp_path, tmp_path).usage()
    with pytest.raises(ValueError, match="does not tell MemTotal: and MemAvailable:"):
        files(tmp_path, {"proc/meminfo": "MemFree: 1 kB"}).usage()


def test_this_machine_can_be_read():
    usage = MemoryFiles().usage()
    assert 0 < usage.used_bytes <= usage.limit_bytes
    assert 0 < limit_bytes() <= min(MemoryFiles().limits(), default=limit_bytes())
