"""Containers, images, facts and losses as lines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from gpuhop_tui.containers.actions import Client, Losses
from gpuhop_tui.containers.model import Container, GpuGrant, Listing, LostGpus
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.tui.render.container_facts import container_facts
from gpuhop_tui.tui.render.containers import (
    KeyNames,
    all_containers,
    container_rows,
    gpu_names,
    gpus_given,
    ports,
    state_words,
)
from gpuhop_tui.tui.render.engine import Extras, image_rows, short_image
from gpuhop_tui.tui.render.line import Tone, plain
from gpuhop_tui.tui.render.losses import losses_lines
from tests.tui.fake_containers import (
    NO_DOCKER,
    RESTARTING,
    a_listing,
    container,
    many_containers,
    some_containers,
    some_images,
    with_containers,
)
from tests.tui.fakes import NOW, fleet_state, mig_node, process

KEYS = KeyNames("n", "i")


def node(name: str = "gpu-01", **fields: object) -> NodeState:
    found = with_containers(fleet_state(), NOW).node(name)
    assert found is not None
    return replace(found, **fields)  # type: ignore[arg-type]


def text(which: NodeState, width: int = 140, extras: Extras | None = None) -> list[str]:
    return [plain(line) for _, line in container_rows(which, width, NOW, KEYS, extras)]


def listed(*containers: Container) -> NodeState:
    return node(containers=Listing("docker 27.3.1", containers))


# The list


@pytest.mark.parametrize("width", [1, 8, 20, 45, 75, 100, 141, 300])
def test_no_line_is_wider_than_its_room(width: int) -> None:
    marked = {each.key for each in some_containers(NOW)}
    busy = dict.fromkeys(marked, "restarting")
    failures = dict.fromkeys(marked, "gpu-01: stopping it failed: " + "x" * 400)
    rows = container_rows(node(), width, NOW, KEYS, Extras(marked, busy, failures))
    rows += image_rows(node(), width, NOW, Extras(failures=failures))
    if width >= 30:
        assert max(cell_len(plain(line)) for _, line in rows) <= width


def test_a_wide_table_has_a_line_for_each_and_all_that_is_known() -> None:
    lines = text(node())
    train = next(line for line in lines if line.startswith("train-llm"))
    for words in ("healthy", "3h", "0-3", "216 G", "812 %", "61 G", "pytorch-ssh:2.8", "2222→22"):
        assert words in train
    assert "8 of 11 run · i 4 images, 81 G · docker 27.3.1 · 48 G can be freed" in lines[0]
    assert "quay" not in next(line for line in lines if line.startswith("jupyter-wei"))
    assert any("…/pytorch-notebook" in line for line in lines)


def test_what_has_no_column_is_told_below() -> None:
    lines = text(node(), 45)
    place = next(n for n, line in enumerate(lines) if line.startswith("jupyter-wei"))
    assert lines[place + 1].startswith("  restarts 2  gpu 9.0 G  cpu 0 %  mem 900 M")
    wide = text(node(), 75)
    place = next(n for n, line in enumerate(wide) if line.startswith("jupyter-wei"))
    assert "9.0 G" in wide[place]
    assert "restarts 2  quay.io/jupyter" in wide[place + 1]
    assert "cpu" not in wide[place + 1]


def test_lost_gpus_have_cause_and_way_out() -> None:
    lost = next(each for each in some_containers(NOW) if each.name == "diffusion")
    lines = [line for key, line in container_rows(node(), 140, NOW, KEYS) if key == lost.key]
    said = " ".join(map(plain, lines))
    assert "0/2 lost" in said
    assert "systemctl daemon-reload" in said
    assert "→ Restart the container" in said
    tones = {span.tone for line in lines for span in line}
    assert {Tone.BAD, Tone.INFO} <= tones


def test_why_it_ended_or_did_not_start() -> None:
    said = "\n".join(text(node()))
    assert "killed: it ran out of memory" in said
    assert 'did not start: exec: "pyhton": executable file not found in $PATH' in said


def test_each_missing_figure_of_a_running_one_has_its_reason_once() -> None:
    lines = text(node())
    assert lines.count("– CPU: podman 4.3.1 cannot tell it cheaply") == 1
    assert lines.count("– CPU, memory, GPU memory: not measured yet") == 1
    ended = text(listed(container("done", NOW, state="exited")))
    assert not any(line.startswith("–") for line in ended)


def test_zero_is_a_figure() -> None:
    idle = container("idle", NOW, cpu_percent=0.0, memory_bytes=0, gpu_memory_bytes=0)
    line = next(line for line in text(listed(idle)) if line.startswith("idle"))
    assert "0 %" in line
    assert line.count("0 M") == 2
    assert "–" not in line


def test_marks_what_is_under_way_and_what_failed() -> None:
    first, second, *_ = some_containers(NOW)
    extras = Extras({first.key}, {first.key: "stopping"}, {second.key: "stopping it failed"})
    lines = text(node(), 140, extras)
    assert lines[0].startswith("1 marked")
    assert next(line for line in lines if "train-llm" in line).startswith("✓ train-llm")
    assert "stopping…" in next(line for line in lines if "train-llm" in line)
    place = next(n for n, line in enumerate(lines) if line.startswith("jupyter-wei"))
    assert lines[place + 1] == "  stopping it failed"


def test_control_characters_of_a_node_do_not_get_through() -> None:
    bad = container(
        "evil\x1b[2J", NOW, image="x\x1b[31m\u202ey", command="a\x07b", error="\x1b]0;t\x07"
    )
    lines = [plain(line) for _, line in container_rows(listed(bad), 140, NOW, KEYS)]
    lines += [plain(line) for line in container_facts(bad, None, 70, NOW)]
    assert not any(char in line for line in lines for char in "\x1b\x07\u202e")


# Without a listing of now


def test_old_containers_are_dimmed_and_their_age_is_said() -> None:
    rows = container_rows(node("lab-c"), 100, NOW, KEYS)
    assert plain(rows[0][1]).startswith("No link to lab-c")
    assert plain(rows[1][1]) == "What was there 12 s ago:"  # by its sample
    assert all(
        span.tone is Tone.OLD for key, line in rows if key is not None for span in line if span.text
    )
    seen = text(node(containers_problem=RESTARTING), 100, Extras(seen_at=NOW - 75))
    assert "What was there 1 min ago:" in seen
    unknown = text(node(containers_problem=RESTARTING), 100)
    assert "What was there before that:" in unknown
    assert any(line.startswith("Refused: the engine at") for line in unknown)
    assert any(line.startswith("→ It is tried again by itself") for line in unknown)


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (node("old-01"), "No docker: there is no Docker on old-01"),
        (node("mig-01"), "→ Join the group that may: `sudo usermod -aG docker gpu-user`"),
        (node("lab-a"), "Looking for containers on lab-a…"),
        (node("gpu-03"), "No link to gpu-03: waiting 4 s"),
        (node("gpu-02"), "There is no container on gpu-02. n starts one."),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_without_containers_the_reason_is_there(which: NodeState, words: str) -> None:
    assert words in " ".join(text(which, 100))


# Cells


@pytest.mark.parametrize(
    ("fields", "words", "tone"),
    [
        ({}, "running", Tone.GOOD),
        ({"health": "healthy"}, "healthy", Tone.GOOD),
        ({"health": "starting"}, "starting", Tone.WARN),
        ({"health": "unhealthy"}, "unhealthy", Tone.BAD),
        ({"state": "paused"}, "paused", Tone.INFO),
        ({"state": "restarting"}, "restarting", Tone.WARN),
        ({"state": "exited", "exit_code": 0}, "exited 0", Tone.DIM),
        ({"state": "exited", "exit_code": 137}, "exited 137", Tone.BAD),
        ({"state": "created"}, "created", Tone.DIM),
        ({"state": "dead"}, "dead", Tone.BAD),
    ],
)
def test_states(fields: dict[str, object], words: str, tone: Tone) -> None:
    assert state_words(container("x", NOW, **fields)) == (words, tone)


def test_gpus_given_are_called_as_the_node_calls_them() -> None:
    names = gpu_names(mig_node(NOW).sample)

    def given(grant: GpuGrant | None, lost: LostGpus | None = None) -> str:
        return plain(gpus_given(container("x", NOW, gpus=grant, lost_gpus=lost), names))

    uuid = next(key for key, name in names.items() if name == "1")
    assert given(None) == ""
    assert given(GpuGrant(all=True)) == "all"
    assert given(GpuGrant(count=2)) == "any 2"
    assert given(GpuGrant(ids=("0", "1", "2", "5"))) == "0-2,5"
    assert given(GpuGrant(ids=(uuid, "0"))) == "0-1"
    assert given(GpuGrant(ids=("MIG-1",))) == "0:1"
    assert given(GpuGrant(ids=("GPU-elsewhere",))) == "GPU-elsewhere"
    assert given(GpuGrant(all=True), LostGpus(1, None, "", "")) == "1/all lost"


def test_only_published_ports_are_in_the_list() -> None:
    train = some_containers(NOW)[0]
    assert plain(ports(train)) == "2222→22 127.0.0.1:8888→8888"
    assert ports(some_containers(NOW)[2]) == ()


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("busybox", 10, "busybox"),
        ("registry.example.org:5000/team/torch:2", 12, "…/torch:2"),
        ("registry.example.org:5000/team/torch:2", 60, "registry.example.org:5000/team/torch:2"),
        ("sha256:" + "ab" * 32, 40, "abababababab"),
        ("a-long-name-without-folders", 10, "a-long-na…"),
    ],
)
def test_the_end_of_an_images_name_is_kept(name: str, width: int, shown: str) -> None:
    assert short_image(name, width) == shown


# Images


def test_images_with_their_users_and_the_disk() -> None:
    lines = [plain(line) for _, line in image_rows(node(), 140, NOW)]
    assert lines[0].startswith("On disk: images 81 G, containers 12 G, volumes 240 G, build cache")
    assert "pytorch-ssh:2.8 +1" in lines[2]
    assert "train-llm" in lines[2]
    assert "without a tag" in lines[3]
    assert "nothing" in lines[3]
    assert "jupyter-wei" in lines[4]


def test_why_the_disk_use_is_not_known() -> None:
    unknown = Listing("docker 27.3.1", (), some_images(NOW))
    lines = [plain(line) for _, line in image_rows(node(containers=unknown), 100, NOW)]
    assert lines[0] == "Its disk use is being measured…"
    slow = replace(NO_DOCKER, message="it did not answer within 60 s")
    lines = [
        plain(line)
        for _, line in image_rows(node(containers=replace(unknown, disk_problem=slow)), 100, NOW)
    ]
    assert lines[0] == "Its disk use is not known: it did not answer within 60 s"


def test_an_image_that_is_being_removed_or_was_not() -> None:
    first, second, *_ = some_images(NOW)
    extras = Extras(
        busy={("gpu-01", first.id): "removing"}, failures={("gpu-01", second.id): "it is in use"}
    )
    lines = [plain(line) for _, line in image_rows(node(), 140, NOW, extras)]
    assert "removing…" in lines[2]
    assert lines[4] == "  it is in use"


# Facts and losses


def test_facts_have_a_reason_for_what_is_missing() -> None:
    fresh = next(each for each in some_containers(NOW) if each.name == "fresh")
    lines = [plain(line) for line in container_facts(fresh, None, 70, NOW)]
    assert "uses        GPU memory and CPU and memory – not measured yet" in lines
    train = some_containers(NOW)[0]
    said = "\n".join(plain(line) for line in container_facts(train, None, 70, NOW))
    for words in ("61 G of 1.0 T", "127.0.0.1:8888→8888", "a volume without a name at /var/lib"):
        assert words in said


def test_losses_name_processes_clients_and_data() -> None:
    train = some_containers(NOW)[0]
    found = Losses(
        True,
        (Client("bash", "", True, 1), Client("python watch.py", "", False, 2)),
        ("/var/lib/data",),
        12,
        3 << 20,
    )
    jobs = [process(n, "marie", f"python rank{n}.py", 54, 3, NOW) for n in range(6)]
    lines = losses_lines(train, found, jobs, 200, NOW, removal=True)
    said = [plain(line) for line in lines]
    assert said[0] == "train-llm has run /usr/sbin/sshd -D for 3 h."
    assert said[1].startswith("  Ends: 6 processes on GPUs, 324 G: python rank0.py (marie), ")
    assert said[1].endswith("and 2 more")
    assert said[2] == (
        "  Ends: 2 programs run in it by docker exec: bash (at a terminal), python watch.py"
    )
    assert "12 paths changed in it, 3 M" in said[3]
    assert "/var/lib/data" in said[4]
    kept = losses_lines(train, found, (), 200, NOW, removal=False)
    assert not any("removal" in plain(line) for line in kept)


@pytest.mark.parametrize(
    ("bytes", "words"), [(0, ", 0 M,"), (90, ", less than 1 M,"), (5 << 30, ", 5.0 G,")]
)
def test_a_little_is_not_nothing(bytes: int, words: str) -> None:
    found = Losses(True, changed_paths=1, layer_bytes=bytes)
    lines = losses_lines(some_containers(NOW)[0], found, (), 90, NOW, removal=True)
    assert words in plain(lines[1])


def test_losses_that_are_not_known_are_not_none() -> None:
    train = some_containers(NOW)[0]
    asked = [plain(line) for line in losses_lines(train, None, (), 90, NOW, removal=True)]
    assert asked[-1] == "  Looking what else would be lost…"
    failed = [plain(line) for line in losses_lines(train, "no answer", (), 90, NOW, removal=True)]
    assert failed[-1] == "  What else would be lost is not known: no answer"
    ended = container("done", NOW, state="exited")
    unknown = Losses(False, changed_paths=None, layer_bytes=None)
    said = [plain(line) for line in losses_lines(ended, unknown, (), 90, NOW, removal=True)]
    assert said[0] == "done does not run."
    assert "files changed in it" in said[1]


def test_all_containers_of_a_fleet() -> None:
    found = list(all_containers(with_containers(fleet_state(), NOW).nodes))
    assert {each.node for each in found} == {"gpu-01", "lab-c"}
    assert len(found) == 2 * len(a_listing(NOW).containers)


def test_many_are_laid_out_at_once() -> None:
    crowd = node(containers=Listing("docker 27.3.1", many_containers(NOW)))
    keys = {key for key, _ in container_rows(crowd, 45, NOW, KEYS)}
    assert len(keys - {None}) == 200
