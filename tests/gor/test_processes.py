from __future__ import annotations

from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from launcher.gor.flags import GorOption, Word, parse_flags
from launcher.gor.processes import GorProcess, environment, plan_processes

GOR = Gor(Path("/x/gor"), (1, 2, 0), "1.2.0")
HELPER = ["python", "helper.py", "/private/fifo"]
A, B = ("--output-http", "http://a"), ("--output-http", "http://b")


def planned(*words: str, gor: Gor = GOR) -> list[GorProcess]:
    return plan_processes(parse_flags([Word(word, word, "file:1") for word in words])[0], gor)


def words_of(process: GorProcess) -> list[str]:
    """Without the beginning that is always the same."""
    return process.argv(GOR, HELPER)[5:]


def values(process: GorProcess, name: str) -> list[str]:
    return [option.value for option in process.options if option.name == name]


def outputs(processes: list[GorProcess]) -> list[str]:
    return [process.shown for process in processes]


def test_the_whole_command_of_one_destination() -> None:
    (process,) = planned(*A, "--http-set-header", "X-A: 1 2", "--stats")
    assert process.argv(GOR, HELPER) == [
        "/x/gor", "--input-dummy", "|0", "--middleware", "python helper.py /private/fifo",
        "--output-http", "http://a", "--http-set-header", "X-A: 1 2", "--stats",
        "--output-http-workers", "50", "--output-http-workers-min", "50",
        "--output-http-queue-len", "100", "--output-http-timeout", "5s",
    ]  # fmt: skip


def test_each_destination_has_a_process_and_all_other_outputs_share_one() -> None:
    processes = planned("--output-file", "f", *A, "--output-null", *B, "--http-allow-method", "GET")
    assert outputs(processes) == ["http://a", "http://b", "file f + null"]
    assert [values(process, "output-http") for process in processes] == [["http://a"], ["http://b"], []]
    assert [values(process, "output-file") for process in processes] == [[], [], ["f"]]
    assert all(values(process, "http-allow-method") == ["GET"] for process in processes)


def test_an_output_that_is_off_is_no_output() -> None:
    assert outputs(planned("--output-null=false", "--output-stdout=false", *A)) == ["http://a"]
    assert planned("--output-null=false") == []


def test_kafka_is_one_output_of_two_options() -> None:
    (process,) = planned("--output-kafka-host", "h:1", "--output-kafka-topic", "t", "--output-kafka-json-format")
    assert words_of(process) == [
        "--output-kafka-host", "h:1", "--output-kafka-topic", "t", "--output-kafka-json-format",
    ]  # fmt: skip


def test_without_destinations_there_are_no_bounds_of_theirs() -> None:
    (process,) = planned("--output-stdout")
    assert words_of(process) == ["--output-stdout"]


@pytest.mark.parametrize(
    ("given", "workers", "least"),
    [
        ([], "50", "50"),
        (["--output-http-workers", "7"], "7", "7"),
        (["--output-http-workers", "2000"], "2000", "1000"),
        (["--output-http-workers", "0"], "0", "50"),
        (["--output-http-workers-min", "5"], "50", "5"),
        (["--output-http-workers-min", "80"], "80", "80"),
        (["--output-http-workers", "9", "--output-http-workers-min", "3"], "9", "3"),
    ],
)
def test_workers_that_the_user_set_stay_and_the_other_bound_fits(given: list[str], workers: str, least: str) -> None:
    (process,) = planned(*A, *given)
    assert values(process, "output-http-workers") == [workers]
    assert values(process, "output-http-workers-min") == [least]


def test_queue_length_and_time_out_that_the_user_set_stay() -> None:
    (process,) = planned(*A, "--output-http-queue-len", "9", "--output-http-timeout", "1m")
    assert values(process, "output-http-queue-len") == ["9"]
    assert values(process, "output-http-timeout") == ["1m"]


@pytest.mark.parametrize("name", ["http-pprof", "cpuprofile", "memprofile"])
def test_what_only_one_process_can_have_goes_to_the_first(name: str) -> None:
    processes = planned(*A, *B, "--output-null", f"--{name}", "x")
    assert [values(process, name) for process in processes] == [["x"], [], []]


def test_split_output_is_ours_and_each_output_has_a_process() -> None:
    processes = planned("--split-output", *A, *B, "--output-null", "--output-file", "f")
    assert outputs(processes) == ["http://a", "http://b", "null", "file f"]
    assert not [process for process in processes if values(process, "split-output")]


def test_split_output_that_is_off_changes_nothing() -> None:
    processes = planned("--split-output=false", *A, "--output-null", "--output-stdout")
    assert outputs(processes) == ["http://a", "null + stdout"]


def test_with_tracked_responses_the_other_outputs_stay_with_the_first_destination() -> None:
    first, second = planned(*A, *B, "--output-http-track-response", "--output-file", "f", "--output-stdout")
    assert (first.shown, second.shown) == ("http://a + file f + stdout", "http://b")
    assert (first.echoes_responses, second.echoes_responses) == (True, False)
    assert first.argv(GOR, HELPER)[4] == "python helper.py /private/fifo --echo-responses"


def test_tracked_responses_that_no_output_takes_are_not_echoed() -> None:
    (process,) = planned(*A, "--output-http-track-response")
    assert not process.echoes_responses
    (process,) = planned("--output-null", "--output-stdout", "--output-http-track-response")
    assert not process.echoes_responses


def test_the_user_s_middleware_runs_behind_the_helper_in_every_process() -> None:
    processes = planned(*A, *B, "--middleware", "./filter.rb  -x y", "--output-http-track-response", "--output-null")
    assert {process.argv(GOR, HELPER)[4] for process in processes} == {
        "python helper.py /private/fifo ./filter.rb -x y"
    }
    assert all(process.argv(GOR, HELPER).count("--middleware") == 1 for process in processes)


def test_only_the_process_that_prints_records_writes_to_standard_output() -> None:
    assert [process.writes_stdout for process in planned(*A, "--output-stdout")] == [False, True]


def test_names_hide_credentials_and_commands_have_them() -> None:
    (process,) = planned("--output-http", "http://u:s3cret@a|10%")
    assert process.shown == "http://***@a|10%"
    assert "http://u:s3cret@a|10%" in process.argv(GOR, HELPER)


def test_neither_repr_has_a_secret() -> None:
    process = planned("--output-http", "http://u:s3cret@a", "--http-set-header", "X-Key: s3cret")
    assert "s3cret" not in repr(process)


def test_an_option_that_the_release_lacks_is_left_out() -> None:
    (process,) = planned(*A, "--output-http-skip-verify")
    assert not values(process, "output-http-skip-verify")
    newer = Gor(Path("/x/gor"), (1, 3, 0), "1.3.0")
    (process,) = planned(*A, "--output-http-skip-verify", "--output-http-compatibility-mode", gor=newer)
    assert values(process, "output-http-skip-verify") == ["true"]
    assert not values(process, "output-http-compatibility-mode")


def test_a_helper_whose_path_has_a_space_is_a_mistake_of_ours() -> None:
    process = GorProcess("x", (GorOption("output-null", "true", "true", ""),))
    with pytest.raises(AssertionError, match="split"):
        process.argv(GOR, ["python", "my helper.py"])


def test_the_heap_s_limit_leaves_a_fifth_of_the_memory_and_the_rest_stays_as_given() -> None:
    assert environment({"A": "b", "GOMEMLIMIT": "1GiB"}, 100_000_000) == {"A": "b", "GOMEMLIMIT": "80000000"}
