"""What engines answer, read into the model; what is odd about it harms nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.containers.engine import read_facts
from gpuhop_tui.containers.errors import advice, refusal
from gpuhop_tui.containers.find_engine import read_answer, script, why
from gpuhop_tui.containers.listing import (
    read_container,
    read_disk_use,
    read_grant,
    read_images,
    read_time,
)
from gpuhop_tui.containers.log_lines import LineSplitter, read_line
from gpuhop_tui.containers.lost_gpus import judge
from gpuhop_tui.containers.model import GpuGrant
from gpuhop_tui.containers.public_keys import keys_of_file
from gpuhop_tui.containers.pull import with_tag
from gpuhop_tui.containers.usage import Usage, cpu_percent, read_usage
from gpuhop_tui.containers.usage_points import point
from gpuhop_tui.problem import ErrorKind


def request(**facts: Any) -> dict[str, Any]:
    return {"DeviceRequests": [{"Capabilities": [["gpu"]], **facts}]}


@pytest.mark.parametrize(
    ("config", "host", "grant"),
    [
        ({}, {}, None),
        ({}, {"DeviceRequests": None}, None),
        ({}, request(Count=-1), GpuGrant(all=True)),
        ({}, request(Count=2), GpuGrant(count=2)),
        ({}, request(Count=0, DeviceIDs=["0", "GPU-a"]), GpuGrant(ids=("0", "GPU-a"))),
        ({}, {"DeviceRequests": [{"Capabilities": [["tpu"]], "Count": 1}]}, None),
        (
            {},
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=1"]}]},
            GpuGrant(ids=("1",)),
        ),
        (
            {},
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]},
            GpuGrant(all=True),
        ),
        ({"Env": ["NVIDIA_VISIBLE_DEVICES=all"]}, {"Runtime": "nvidia"}, GpuGrant(all=True)),
        ({"Env": ["NVIDIA_VISIBLE_DEVICES=1, 2"]}, {"Runtime": "nvidia"}, GpuGrant(ids=("1", "2"))),
        ({"Env": ["NVIDIA_VISIBLE_DEVICES=void"]}, {"Runtime": "nvidia"}, None),
        ({"Env": ["NVIDIA_VISIBLE_DEVICES=all"]}, {"Runtime": "runc"}, None),
        (
            {},
            {"Devices": [{"PathOnHost": "/dev/nvidia1"}, {"PathOnHost": "/dev/nvidiactl"}]},
            GpuGrant(ids=("1",)),
        ),
    ],
)
def test_gpus_that_were_given(config: Any, host: Any, grant: GpuGrant | None) -> None:
    assert read_grant(config, host) == grant


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["State", "Config", "HostConfig", "Name", "Id"]), JSON))
def test_a_container_without_sense_is_still_one(facts: dict[str, Any]) -> None:
    container = read_container("gpu-01", {k: v for k, v in facts.items() if isinstance(v, dict)})
    assert container.node == "gpu-01"


def test_text_of_an_engine_cannot_steer_a_terminal() -> None:
    facts = {"Name": "/a\x1b[2Jb\x07", "Config": {"Labels": {"x\x9b": "y\n"}}}
    container = read_container("n", facts)
    assert container.name == "ab?"
    assert container.labels == {"x?": "y?"}
    assert container.name.isprintable()


def test_times() -> None:
    assert read_time("1970-01-01T00:00:01.5Z") == 1.5
    assert read_time("1970-01-01T01:00:00+01:00") == 0.0
    assert read_time("0001-01-01T00:00:00Z") is None
    assert read_time("yesterday") is None
    assert read_time(None) is None


def test_ports_are_told_once() -> None:
    binding = [{"HostIp": ip, "HostPort": "2222"} for ip in ("0.0.0.0", "::")]
    facts = {"NetworkSettings": {"Ports": {"22/tcp": binding, "80/tcp": None}}}
    assert [str(port) for port in read_container("n", facts).ports] == ["2222→22", "80"]


def test_images_and_disk() -> None:
    images = read_images(
        [
            {"Id": "a", "RepoTags": ["<none>:<none>"], "Size": 5, "Created": 1},
            {"Id": "b", "RepoTags": None, "Size": 6, "Created": 2},
        ]
    )
    assert [(image.id, image.tags) for image in images] == [("b", ()), ("a", ())]
    disk = read_disk_use(
        {
            "LayersSize": 100,
            "Images": [{"Size": 60, "SharedSize": 10, "Containers": 0}, {"Containers": 1}],
            "Containers": [{"SizeRw": 7, "State": "exited"}, {"SizeRw": 5, "State": "running"}],
            "Volumes": [{"UsageData": {"Size": 9, "RefCount": 0}}, {"UsageData": {"Size": -1}}],
            "BuildCache": [{"Size": 3, "InUse": True}, {"Size": 4}],
        }
    )
    assert (disk.images_bytes, disk.containers_bytes, disk.volumes_bytes) == (100, 12, 9)
    assert (disk.build_cache_bytes, disk.reclaimable_bytes) == (7, 50 + 7 + 9 + 4)


def usage(cpu: int, system: int, **facts: Any) -> Usage:
    return read_usage(
        {
            "cpu_stats": {
                "cpu_usage": {"total_usage": cpu},
                "system_cpu_usage": system,
                "online_cpus": 4,
            },
            **facts,
        }
    )


def test_cpu_of_two_looks() -> None:
    assert cpu_percent(usage(0, 0), usage(50, 100)) == 200.0
    assert cpu_percent(usage(0, 100), usage(50, 100)) is None, "the clock stood still"
    assert cpu_percent(usage(90, 0), usage(50, 100)) is None, "it was started anew"
    assert cpu_percent(read_usage({}), usage(50, 100)) is None


def test_memory_is_without_the_file_cache() -> None:
    version_1 = {"usage": 100, "limit": 400, "stats": {"total_inactive_file": 30}}
    version_2 = {"usage": 100, "limit": 400, "stats": {"inactive_file": 40}}
    assert usage(0, 0, memory_stats=version_1).memory_bytes == 70
    assert usage(0, 0, memory_stats=version_2).memory_bytes == 60
    assert read_usage({}).memory_bytes is None


def test_rates_between_two_points() -> None:
    before = usage(0, 0, read="2026-01-01T00:00:00Z", networks={"eth0": {"rx_bytes": 10}})
    now = usage(9, 10, read="2026-01-01T00:00:02Z", networks={"eth0": {"rx_bytes": 30}})
    assert point(None, before).network_rate is None
    assert point(before, now).network_rate == (10.0, 0.0)


# Logs


@given(st.lists(st.binary(max_size=30)))
def test_lines_are_the_same_however_they_are_cut(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line.text for chunk in chunks for line in splitter.feed(chunk)]
    lines += [line.text for line in splitter.rest()]
    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert lines == [read_line(line).text for line in expected]


def test_the_engines_stamp_is_not_part_of_a_line() -> None:
    line = read_line(b"2026-01-02T03:04:05.123456789Z \x1b[31mred\x1b[0m ")
    assert line.text == "\x1b[31mred\x1b[0m "
    assert line.at == pytest.approx(1767323045.123456789)
    assert read_line(b"no stamp").at is None


# Lost GPUs


@pytest.mark.parametrize(
    ("status", "said", "cause"),
    [
        (255, "Failed to initialize NVML: Unknown Error", "rights to the GPU devices"),
        (18, "Failed to initialize NVML: Driver/library version mismatch", "driver was updated"),
        (6, "No devices were found", "unloaded"),
        (0, "GPU 0: A100 (UUID: GPU-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-1)", None),
        (0, "GPU 0: A100 (UUID: GPU-1)", "sees 1 of the 2"),
        (127, "exec: nvidia-smi: executable file not found", None),
        (126, "OCI runtime exec failed", None),
        (None, "", None),
    ],
)
def test_what_nvidia_smi_says_inside(status: int | None, said: str, cause: str | None) -> None:
    lost = judge(GpuGrant(ids=("0", "1")), status, said, systemd=True)
    if cause is None:
        assert lost is None
    else:
        assert lost is not None
        assert cause in lost.cause
        assert lost.advice


def test_the_cause_names_systemd_only_where_it_keeps_the_cgroups() -> None:
    said = "Failed to initialize NVML: Unknown Error"
    with_systemd = judge(GpuGrant(all=True), 255, said, systemd=True)
    without = judge(GpuGrant(all=True), 255, said, systemd=False)
    assert with_systemd is not None
    assert without is not None
    assert "daemon-reload" in with_systemd.cause
    assert "native.cgroupdriver=cgroupfs" in with_systemd.advice
    assert "daemon-reload" not in without.cause


# Engines and their refusals


def test_who_an_engine_is() -> None:
    podman = {"Components": [{"Name": "Podman Engine"}], "Version": "5.0"}
    facts = read_facts("/s", "1.41", podman, {"SecurityOptions": ["name=rootless"]})
    assert (facts.name, facts.version, facts.rootless) == ("podman", "5.0", True)
    assert read_facts("/s", "1.41", {}, {}).name == "docker"


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("write /x: no space left on device", "disk is full"),
        (
            'could not select device driver "" with capabilities: [[gpu]]',
            "nvidia-container-toolkit",
        ),
        ("Bind for 0.0.0.0:80 failed: port is already allocated", "another port"),
        ('Conflict. The container name "/a" is already in use by container "b"', "another name"),
        ("the --mount option requires BuildKit", "BuildKit"),
        ("something new", "journalctl"),
    ],
)
def test_refusals_come_with_advice(said: str, part: str) -> None:
    assert part in advice(said)
    assert part in refusal("gpu-01: starting x", said).advice


FOUND = "user mira\ngroups mira video\n"


def test_why_a_socket_cannot_be_used() -> None:
    socket = "/var/run/docker.sock"

    def problem(text: str, *, refused: bool = False) -> tuple[ErrorKind, str]:
        found = why("n", read_answer(socket, FOUND + text), "closed", refused=refused)
        return found.kind, found.message + found.advice

    kind, text = problem(f"denied docker {socket}\n")
    assert kind is ErrorKind.NO_PERMISSION
    assert "usermod -aG docker mira" in text
    kind, text = problem(f"denied root {socket}\n")
    assert "usermod" not in text
    assert problem("")[0] is ErrorKind.NO_DOCKER
    kind, text = problem("program podman\n")
    assert "podman is there" in text
    assert problem(f"usable {socket}\n")[0] is ErrorKind.REFUSED
    listening = f"usable {socket}\nlistening {socket}\n"
    assert problem(listening, refused=True)[0] is ErrorKind.FORWARDING_DENIED
    assert problem(listening)[0] is ErrorKind.REFUSED


def test_who_names_a_socket_means_that_one() -> None:
    assert "podman.sock" in script("/var/run/docker.sock")
    assert "podman.sock" not in script("/run/other.sock")
    assert "'/a b;c'" in script("/a b;c")


# Names and keys


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("pytorch", "pytorch:latest"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("a:1", "a:1"),
        ("a@sha256:12", "a@sha256:12"),
    ],
)
def test_an_image_without_a_tag_is_the_latest(image: str, full: str) -> None:
    assert with_tag(image) == full


def test_a_private_key_never_gets_into_an_image(tmp_path: Any) -> None:
    path = tmp_path / "id"
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")
    with pytest.raises(Exception, match="private key"):
        keys_of_file(path)
    path.write_text("# mine\nssh-ed25519 AAAA mira\n\nnonsense\n")
    assert keys_of_file(path) == ["ssh-ed25519 AAAA mira"]
    path.write_text("nonsense")
    with pytest.raises(Exception, match="no public key"):
        keys_of_file(path)
