"""Documents become samples, whatever a node puts into them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.probe.clean import clean
from gpuhop_tui.probe.protocol import merge
from gpuhop_tui.probe.sample import Gpu, Host, Sample
from gpuhop_tui.probe.validate import MAX_GPUS, MAX_PROCESSES, NONSENSE, NOT_SENT, SampleMaker
from gpuhop_tui.problem import ErrorKind

GPU: dict[str, Any] = {
    "uuid": "GPU-1",
    "name": "A100",
    "utilization_percent": 0,
    "memory_used_bytes": 1 << 30,
    "memory_total_bytes": 80 << 30,
    "temperature_celsius": 40,
    "power_watts": 61.5,
    "power_limit_watts": 400,
    "sm_clock_mhz": 1410,
    "throttle_reasons": [],
    "ecc_uncorrected": 0,
    "pcie_generation": 3,
    "pcie_generation_max": 4,
    "pcie_width": 16,
    "pcie_width_max": 16,
    "missing": {"fan_percent": "not supported"},
    "processes": {"12": 1 << 30, "7": -1},
}
DOCUMENT: dict[str, Any] = {
    "source": "nvml",
    "driver": "550.54.15",
    "gpus": {"1": GPU, "0": GPU},
    "processes": {"12": {"user": "mira", "command": "python train.py", "started_at": 1700000000}},
    "host": {"hostname": "gpu-01", "disks": {"/": [5, 10]}, "missing": {"cpu_percent": "later"}},
}


def make(document: Any) -> Sample:
    return SampleMaker("gpu-01").make(document, 1.0)


def changed(**figures: Any) -> Gpu:
    return make({"gpus": {"0": GPU | figures}}).gpus[0]


def test_a_whole_document() -> None:
    sample = make(DOCUMENT)
    assert [gpu.index for gpu in sample.gpus] == [0, 1]
    gpu = sample.gpus[0]
    assert gpu.utilization_percent == 0  # zero is a figure
    assert gpu.power_watts == 61.5
    assert gpu.throttle_reasons == ()
    assert (gpu.pcie_generation, gpu.pcie_generation_max) == (3, 4)
    assert gpu.missing == {"fan_percent": "not supported"}
    assert [process.pid for process in gpu.processes] == [7, 12]
    assert gpu.processes[0].memory_bytes is None
    assert gpu.processes[1].user == "mira"
    assert sample.host.disks[0].free_bytes == 5
    assert sample.host.missing["cpu_percent"] == "later"
    assert sample.host.missing["load_1"] == NOT_SENT
    assert sample.problem is None


def test_a_secret_in_a_command_line_goes_no_further() -> None:
    details = {"12": {"command": "python train.py --token abcdef123456"}}
    sample = make({"gpus": {"0": GPU}, "processes": details})
    assert sample.gpus[0].processes[1].command == "python train.py --token •••"


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("utilization_percent", 101),
        ("utilization_percent", -1),
        ("utilization_percent", True),
        ("utilization_percent", 50.5),
        ("utilization_percent", "50"),
        ("memory_used_bytes", 1 << 60),
        ("power_watts", float("nan")),
        ("power_watts", float("inf")),
        ("power_watts", [1]),
        ("temperature_celsius", {"a": 1}),
        ("throttle_reasons", ["x"] * 1000),
        ("throttle_reasons", [1]),
        ("throttle_reasons", "hot"),
        ("name", 7),
        ("name", "\x1b[31m"),
    ],
)
def test_a_figure_that_makes_no_sense_is_blank_and_says_so(figure: str, value: Any) -> None:
    gpu = changed(**{figure: value})
    assert getattr(gpu, figure) is None
    assert gpu.missing[figure] == NONSENSE


def test_huge_arrays_are_cut() -> None:
    gpus = {str(index): GPU for index in range(2000)}
    assert len(make({"gpus": gpus}).gpus) == MAX_GPUS
    assert len(changed(processes={str(pid): 1 for pid in range(1, 9999)}).processes) == (
        MAX_PROCESSES
    )


def test_keys_that_are_no_numbers_are_left_out() -> None:
    gpus = dict.fromkeys(["0", "01", "-1", "x", "", "٣", "9999999999"], GPU)
    assert [gpu.index for gpu in make({"gpus": gpus}).gpus] == [0]


def test_a_lost_gpu_keeps_its_name_and_blanks_the_rest() -> None:
    gpu = make({"gpus": {"3": {"name": "A100", "lost": "GPU is lost"}}}).gpus[0]
    assert (gpu.name, gpu.lost, gpu.utilization_percent) == ("A100", "GPU is lost", None)
    assert gpu.missing["utilization_percent"] == "GPU is lost"
    assert "name" not in gpu.missing


def test_mig_instances_and_their_processes() -> None:
    instance = {"name": "1g.10gb", "memory_used_bytes": 5, "processes": {"12": 5}}
    gpu = make(DOCUMENT | {"gpus": {"0": {"mig": {"0": instance}}}}).gpus[0]
    assert gpu.mig[0].name == "1g.10gb"
    assert gpu.mig[0].missing == {"uuid": NOT_SENT, "memory_total_bytes": NOT_SENT}
    assert gpu.mig[0].processes == gpu.processes
    assert gpu.processes[0].command == "python train.py"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("driver-mismatch", ErrorKind.DRIVER_MISMATCH),
        ("host-key-changed", ErrorKind.NO_DRIVER),  # not a node's to say
        (None, ErrorKind.NO_DRIVER),
    ],
)
def test_problems(kind: Any, expected: ErrorKind) -> None:
    sample = make(DOCUMENT | {"problem": {"kind": kind, "message": "a\x1b[2Jb"}})
    assert sample.gpus == ()
    assert sample.problem is not None
    assert sample.problem.kind is expected
    assert sample.problem.message == "ab"
    assert sample.problem.advice


def test_unchanged_parts_give_the_same_objects() -> None:
    maker = SampleMaker("gpu-01")
    first = maker.make(DOCUMENT, 1.0)
    document = merge(DOCUMENT, {"gpus": {"1": {"utilization_percent": 5}}})
    second = maker.make(document, 2.0)
    assert second.gpus[0] is first.gpus[0]
    assert second.host is first.host
    assert second.gpus[1].utilization_percent == 5
    renamed = merge(document, {"processes": {"12": {"user": "bo"}}})
    assert maker.make(renamed, 3.0).gpus[0].processes[1].user == "bo"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [field.name for field in (*dataclasses.fields(Gpu), *dataclasses.fields(Host))]
)
ANY_GPU = st.dictionaries(NAMES, JSON | st.dictionaries(st.sampled_from(["0", "1", "12"]), JSON))


@given(
    gpus=JSON | st.dictionaries(st.sampled_from(["0", "1", "x"]), ANY_GPU | JSON),
    processes=JSON,
    host=JSON | st.dictionaries(NAMES, JSON),
    problem=st.none() | JSON,
)
def test_no_document_raises_and_every_blank_has_a_reason(
    gpus: Any, processes: Any, host: Any, problem: Any
) -> None:
    document = {"gpus": gpus, "processes": processes, "host": host, "problem": problem}
    sample = make(document)
    for owner in (*sample.gpus, sample.host):
        for field in dataclasses.fields(owner):
            if getattr(owner, field.name) is None and field.name != "lost":
                assert owner.missing[field.name]
    for text in texts(sample):
        assert text.isprintable()


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if dataclasses.is_dataclass(value):
        return [
            text
            for field in dataclasses.fields(value)
            for text in texts(getattr(value, field.name))
        ]
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in texts(part)]
    if isinstance(value, tuple):
        return [text for item in value for text in texts(item)]
    return []


@given(text=st.text(max_size=60))
def test_clean_text_has_nothing_invisible(text: str) -> None:
    cleaned = clean(text)
    assert cleaned is None or (cleaned.isprintable() and cleaned == cleaned.strip())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python train.py --lr 1e-4", "python train.py --lr 1e-4"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;c2VjcmV0\x1b\\text", "text"),
        ("\x1bP1$r0m\x1b\\text", "text"),
        ("\x9b31mred", "red"),
        ("a\tb\nc", "a b c"),
        ("\u202egnp.exe", "gnp.exe"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("训练 🙂", "训练 🙂"),
        ("\x1b[", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_clean(text: Any, expected: str | None) -> None:
    assert clean(text) == expected


def test_clean_cuts() -> None:
    assert clean("x" * 5000, 100) == "x" * 100
