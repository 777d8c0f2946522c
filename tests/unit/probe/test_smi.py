"""nvidia-smi's lines read as samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.probe.smi import MAX_APPS, NO_PYTHON, NOT_IN_SMI, SmiReader, throttle_words
from gpuhop_tui.probe.validate import NONSENSE
from gpuhop_tui.problem import ErrorKind

FIRST = (
    b"0, 2, GPU-aa, NVIDIA A100-SXM4-80GB, 550.54.15, 83, 55296, 81920, 61, 312.45, 400.00, "
    b"[N/A], 1410, 0x0000000000000004, 0, Disabled"
)
SECOND = (
    b"1, 2, GPU-bb, NVIDIA A100-SXM4-80GB, 550.54.15, [N/A], 10, 81920, 33, [Unknown Error], "
    b"400.00, [Not Supported], 210, 0x0000000000000001, [N/A], Enabled"
)


def read(*lines: bytes) -> list[Sample]:
    reader = SmiReader("gpu-01")
    samples = [reader.feed(line, 5.0) for line in lines]
    return [sample for sample in samples if sample is not None]


def test_a_sweep_over_all_gpus_is_one_sample() -> None:
    (sample,) = read(FIRST, SECOND)
    assert (sample.source, sample.driver, sample.sampled_at) == ("nvidia-smi", "550.54.15", 5.0)
    gpu, other = sample.gpus
    assert (gpu.utilization_percent, gpu.memory_used_bytes) == (83, 55296 << 20)
    assert (gpu.power_watts, gpu.power_limit_watts) == (312.45, 400.0)
    assert gpu.throttle_reasons == ("power cap",)
    link = dict.fromkeys(
        ("pcie_generation", "pcie_generation_max", "pcie_width", "pcie_width_max"),
        "not asked of nvidia-smi",
    )
    assert gpu.missing == {"fan_percent": "not supported", **link}
    assert other.throttle_reasons == ()
    assert other.missing == {
        "utilization_percent": "MIG is on",
        "power_watts": "unknown error",
        "fan_percent": "not supported",
        "ecc_uncorrected": "not supported",
        "mig": NO_PYTHON,
        **link,
    }
    assert sample.host.missing["hostname"] == NO_PYTHON


def test_processes_join_the_next_sweep() -> None:
    app = b'GPU-aa, 4711, 54000, "/usr/bin/python3, odd"'
    (sample,) = read(app, b"GPU-bb, 12, [N/A], python", FIRST, SECOND)
    (process,) = sample.gpus[0].processes
    assert (process.pid, process.memory_bytes) == (4711, 54000 << 20)
    assert process.command == "/usr/bin/python3, odd"
    assert sample.gpus[1].processes[0].memory_bytes is None


def test_processes_that_come_late_stay_listed_for_one_more_sweep() -> None:
    """The two loops are not in step: between two sweeps there may be no list of processes."""
    samples = read(b"GPU-aa, 4711, 54000, python", FIRST, SECOND, FIRST, SECOND, FIRST, SECOND)
    assert [len(sample.gpus[0].processes) for sample in samples] == [1, 1, 0]


def test_processes_without_a_sweep_cannot_pile_up() -> None:
    reader = SmiReader("gpu-01")
    for pid in range(1, 3 * MAX_APPS):
        reader.feed(b"GPU-%d, %d, 10, python" % (pid % 7, pid), 0.0)
    reader.feed(FIRST.replace(b"GPU-aa", b"GPU-0"), 0.0)
    sample = reader.feed(SECOND.replace(b"GPU-bb", b"GPU-1"), 0.0)
    assert sample is not None
    assert 0 < sum(len(gpu.processes) for gpu in sample.gpus) <= MAX_APPS


def test_a_process_id_that_cannot_be_is_ignored() -> None:
    (sample,) = read(b"GPU-aa, 99999999, 10, python", b"GPU-aa, 0, 10, python", FIRST, SECOND)
    assert sample.gpus[0].processes == ()


@pytest.mark.parametrize(
    ("said", "nonsense", "figure"),
    [
        (b" 83,", b" 5000,", "utilization_percent"),
        (b" 55296,", b" -10,", "memory_used_bytes"),
        (b" 81920,", b" 999999999999999,", "memory_total_bytes"),
        (b" 61,", b" 100000,", "temperature_celsius"),
        (b" 312.45,", b" -1.0,", "power_watts"),
    ],
)
def test_figures_that_cannot_be_are_left_out(said: bytes, nonsense: bytes, figure: str) -> None:
    (sample,) = read(FIRST.replace(said, nonsense), SECOND)
    assert getattr(sample.gpus[0], figure) is None
    assert sample.gpus[0].missing[figure] == NONSENSE


def test_memory_of_a_process_that_cannot_be_is_left_out() -> None:
    (sample,) = read(b"GPU-aa, 12, -7, python", FIRST, SECOND)
    assert sample.gpus[0].processes[0].memory_bytes is None


def test_an_old_nvidia_smi_gives_less_and_names_it() -> None:
    (sample,) = read(b"0, 1, GPU-aa, Tesla K80, 470.1, 5, 10, 11441, 40")
    gpu = sample.gpus[0]
    assert gpu.temperature_celsius == 40
    assert gpu.missing["power_watts"] == NOT_IN_SMI
    assert gpu.missing["throttle_reasons"] == NOT_IN_SMI


def test_a_lost_gpu() -> None:
    lost = b", ".join([b"0, 1, GPU-aa, NVIDIA A100, 550.54.15", *[b"[GPU is lost]"] * 11])
    (sample,) = read(lost)
    assert sample.gpus[0].lost
    assert sample.gpus[0].name == "NVIDIA A100"


def test_a_torn_sweep_does_not_mix_with_the_next() -> None:
    (sample,) = read(FIRST, FIRST.replace(b" 83,", b" 84,"), SECOND)
    assert sample.gpus[0].utilization_percent == 84


@pytest.mark.parametrize(
    ("text", "status", "kind"),
    [
        (b"NVIDIA-SMI has failed because it couldn't communicate", b"9", ErrorKind.NO_DRIVER),
        (
            b"Failed to initialize NVML: Driver/library version mismatch",
            b"18",
            ErrorKind.DRIVER_MISMATCH,
        ),
        (b"Failed to initialize NVML: Insufficient Permissions", b"4", ErrorKind.NO_PERMISSION),
        (b"", b"124", ErrorKind.NO_DRIVER),
    ],
)
def test_failures(text: bytes, status: bytes, kind: ErrorKind) -> None:
    (sample,) = read(b"gpuhop-smi-error " + text, b"gpuhop-smi-failed " + status)
    assert sample.problem is not None
    assert sample.problem.kind is kind
    assert text.decode() in sample.problem.message


def test_no_gpu_at_all_is_no_failure() -> None:
    (sample,) = read(b"gpuhop-smi-error No devices were found", b"gpuhop-smi-failed 6")
    assert (sample.problem, sample.gpus) == (None, ())


@given(line=st.binary(max_size=120) | st.text("0123456789, []NA/GPU-", max_size=80).map(str.encode))
def test_no_line_raises(line: bytes) -> None:
    SmiReader("n").feed(line, 0.0)


@given(
    fields=st.lists(
        st.sampled_from(["0", "1", "9" * 30, "[N/A]", "", '"', "GPU-1", "-1", "1e9", "0x4"]),
        min_size=9,
        max_size=16,
    )
)
def test_no_row_raises(fields: list[str]) -> None:
    SmiReader("n").feed(", ".join(fields).encode(), 0.0)


def test_throttle_words() -> None:
    assert throttle_words("0x0000000000000048") == ("hardware slowdown", "thermal (hardware)")
    assert throttle_words("0x0000000000001001") == ("reason 0x1000",)
    assert throttle_words("Not Active") is None
