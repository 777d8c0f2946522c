"""Tree rows, the GPU table, jobs, heads, problems and logs, without a screen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu, Process, Sample
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from gpuhop_tui.tui.render.details import gpu_details
from gpuhop_tui.tui.render.gpus import gpu_table, short_name
from gpuhop_tui.tui.render.head import bastion_head, node_head
from gpuhop_tui.tui.render.header import header_line
from gpuhop_tui.tui.render.history import history
from gpuhop_tui.tui.render.jobs import job_details, node_job_rows
from gpuhop_tui.tui.render.line import Line, Span, Tone, fit_line, plain, width_of
from gpuhop_tui.tui.render.machine import machine
from gpuhop_tui.tui.render.tree import Row, Sort, TreeLayout, bastion_line, node_line, tree_rows
from gpuhop_tui.tui.render.trouble import log_lines, problem_lines
from gpuhop_tui.tui.render.units import ranges
from tests.tui import fakes
from tests.tui.fake_jobs import some_jobs, with_jobs
from tests.tui.fakes import NOW, fleet_state

STATE = fleet_state()
WIDTHS = (30, 40, 54)


def names(rows: tuple[Row, ...]) -> list[str]:
    return ["  " * row.depth + row.name for row in rows]


def drawn(node: NodeState, width: int = 40, state: FleetState = STATE) -> str:
    layout = TreeLayout.of(state, width)
    return plain(node_line(node, Row("node", node.name, len(node.via)), layout, NOW))


def text(lines: list[Line] | tuple[Line, ...]) -> str:
    return "\n".join(plain(line) for line in lines)


# The tree


def test_nodes_stand_under_their_bastion() -> None:
    assert names(tree_rows(STATE)) == [
        "jump-server", "  gpu-01", "  gpu-02", "  gpu-03", "  mig-01", "  old-01",
        "edge", "  lab-a", "  lab-b", "  lab-c", "  demo-01",
    ]  # fmt: skip


def test_bastions_behind_bastions_and_nodes_without_any() -> None:
    state = FleetState(
        bastions=(
            replace(STATE.bastions[0], name="outer"),
            replace(STATE.bastions[1], name="inner", via=("outer",)),
        ),
        nodes=(
            NodeState("deep", "a", ("outer", "inner")),
            NodeState("direct", "b"),
            NodeState("odd", "c", ("not-in-the-config",)),
        ),
    )
    assert names(tree_rows(state)) == ["outer", "  inner", "    deep", "direct", "odd"]
    assert names(tree_rows(state, folded={"outer"})) == ["outer", "direct", "odd"]


def test_orders_within_a_bastion() -> None:
    by_name = [row.name for row in tree_rows(STATE, sort=Sort.NAME) if row.depth]
    assert by_name == [
        "gpu-01", "gpu-02", "gpu-03", "mig-01", "old-01", "demo-01", "lab-a", "lab-b", "lab-c",
    ]  # fmt: skip
    assert [row.name for row in tree_rows(STATE, sort=Sort.FREE)][1] == "gpu-02"
    by_use = [row.name for row in tree_rows(STATE, sort=Sort.USE)]
    assert by_use[1] == "gpu-02"
    assert by_use[5] == "gpu-03"  # unknown comes last


@pytest.mark.parametrize(
    ("needle", "found"),
    [
        ("LAB", ["edge", "lab-a", "lab-b", "lab-c"]),
        ("team-nlp", ["jump-server", "gpu-01"]),
        ("h100", ["jump-server", "gpu-02"]),
        ("marie", ["jump-server", "gpu-01"]),
        ("svc-llm", ["jump-server", "mig-01"]),
        ("nothing like it", []),
    ],
)
def test_filter_by_name_tag_gpu_and_user(needle: str, found: list[str]) -> None:
    rows = tree_rows(STATE, needle, folded={"edge", "jump-server"})
    assert [row.name for row in rows] == found


@pytest.mark.parametrize("width", WIDTHS)
def test_every_row_fills_its_width_exactly(width: int) -> None:
    layout = TreeLayout.of(STATE, width)
    for row in tree_rows(STATE):
        node = STATE.node(row.name)
        if node is not None:
            line = node_line(node, row, layout, NOW)
        else:
            bastion = next(b for b in STATE.bastions if b.name == row.name)
            line = bastion_line(bastion, row, layout, NOW, folded=False)
        assert width_of(line) == width, plain(line)


def test_a_row_says_how_its_node_is() -> None:
    assert "● gpu-01" in drawn(fakes.busy_node(NOW))
    assert "███▆▇▃▁▁ 1 free" in drawn(fakes.busy_node(NOW))
    assert "waiting 4 s" in drawn(fakes.waiting_node(NOW))
    assert "! lab-b" in drawn(fakes.blocked_node(NOW))
    assert "host key changed" in drawn(fakes.blocked_node(NOW), 30)
    assert "▅▁×▁" in drawn(fakes.lost_gpu_node(NOW))
    assert "2 MIG" in drawn(fakes.mig_node(NOW))
    assert "demo-01 sim" in drawn(fakes.simulated_node(NOW))
    assert "no driver" in drawn(fakes.no_driver_node(NOW))
    assert "answer of edge…" in drawn(fakes.stale_node(NOW))
    fresh = replace(fakes.idle_node(NOW), sample=None)
    assert "sampling…" in drawn(fresh)
    silent = replace(fakes.idle_node(NOW - 12), stale=True, link=fakes.up(NOW, 1, 0.01))
    assert "12 s old" in drawn(silent)


def test_old_mini_bars_are_dimmed() -> None:
    node = fakes.stale_node(NOW)
    line = node_line(node, Row("node", node.name, 1), TreeLayout.of(STATE, 40), NOW)
    assert {span.tone for span in line if set(span.text) <= set("▁▂▃▄▅▆▇█")} == {Tone.OLD}


def test_too_many_gpus_for_the_row_are_told() -> None:
    node = fakes.idle_node(NOW)
    assert node.sample is not None
    many = replace(node, sample=replace(node.sample, gpus=node.sample.gpus[:1] * 20))
    assert "▁" * 15 + "+" in drawn(many, 54, FleetState(nodes=(many,)))


def test_an_unknown_use_is_no_bar() -> None:
    node = replace(fakes.idle_node(NOW), sample=Sample("nvml", NOW, gpus=(Gpu(0),)))
    assert "?  " in drawn(node)


# GPUs


def table(node: NodeState, width: int = 140) -> str:
    assert node.sample is not None
    lines = gpu_table(node.sample, width, node.stale)
    assert all(width_of(line) <= width for _, line in lines.rows)
    return text([lines.heading, *(line for _, line in lines.rows), *lines.notes])


@pytest.mark.parametrize("width", [30, 46, 78, 140])
def test_the_table_fits_every_width(width: int) -> None:
    for node in STATE.nodes:
        if node.sample:
            table(node, width)


def test_a_busy_gpu_in_full() -> None:
    lines = table(fakes.busy_node(NOW)).splitlines()
    assert lines[0].split() == [
        "#", "GPU", "UTIL", "MEMORY", "TEMP", "POWER", "USERS", "CLOCK", "FAN", "NOTES",
    ]  # fmt: skip
    for words in ("A100-SXM4", "97 %", "54/80 G", "63°C", "343/400 W", "marie", "1410 MHz"):
        assert words in lines[1]
    assert "too hot" in lines[4]
    assert lines[-1] == " – fan: not supported"


def test_narrow_tables_keep_what_matters() -> None:
    head = table(fakes.busy_node(NOW), 46).splitlines()[0]
    assert head.split() == ["#", "UTIL", "MEMORY", "TEMP", "USERS"]


def test_a_lost_gpu_has_its_reason_for_figures() -> None:
    lines = table(fakes.lost_gpu_node(NOW), 78)
    assert "× lost: Xid 79, the GPU has fallen off the bus" in lines
    assert "3 ECC errors" in table(fakes.lost_gpu_node(NOW))


def test_mig_instances_have_lines_of_their_own() -> None:
    lines = table(fakes.mig_node(NOW)).splitlines()
    assert "2/4 free" in lines[1]
    assert "├ 3g.20gb" in lines[2]
    assert "in use" in lines[2]
    assert "└ 1g.5gb" in lines[5]
    assert "free" in lines[5]
    assert " – utilization of 0: not available under MIG" in lines


def test_missing_figures_have_their_reasons_below() -> None:
    lines = table(fakes.smi_node(NOW))
    assert " – power: not supported" in lines
    assert " – processes: nvidia-smi does not tell users" in lines


def test_short_names() -> None:
    assert short_name("NVIDIA A100-SXM4-80GB") == "A100-SXM4"
    assert short_name("NVIDIA H100 80GB HBM3") == "H100"
    assert short_name("NVIDIA RTX 6000 Ada Generation") == "RTX 6000 Ada"
    assert short_name("NVIDIA GeForce RTX 3090") == "RTX 3090"
    assert short_name("NVIDIA ") == "NVIDIA "


def test_details_name_every_figure_or_its_reason() -> None:
    sample = fakes.smi_node(NOW).sample
    assert sample is not None
    lines = text(gpu_details(sample.gpus[0], 72))
    assert "utilization       71 %" in lines
    assert "power             – not supported" in lines
    assert "processes         – nvidia-smi does not tell users" in lines
    assert "the node gave no reason" in text(gpu_details(Gpu(0), 72))
    lost = text(gpu_details(Gpu(0, lost="Xid 79", name="A100"), 72))
    assert "state             × lost: Xid 79" in lost
    again = text(gpu_details(Gpu(0, lost="GPU is lost", name="A100"), 72))
    assert "state             × GPU is lost" in again
    assert "A100" in lost


# Jobs


def job_rows(node: NodeState, width: int) -> str:
    return text([line for _, line in node_job_rows(with_jobs(node), width, NOW)])


def test_a_process_on_many_gpus_is_one_job() -> None:
    node = with_jobs(fakes.busy_node(NOW))
    assert [job.gpus for job in node.jobs] == [(0, 1, 2, 3), (4,), (5,), (6,)]
    assert node.jobs[0].memory_bytes == 4 * 54 * fakes.GIB
    lines = job_rows(node, 200)
    for words in ("0-3", "3h 12m", "llm-pretrain", "216 G"):
        assert words in lines


def test_no_job_is_said_and_not_knowing_too() -> None:
    assert job_rows(fakes.idle_node(NOW), 80) == "No job on any GPU"
    unknown = "Who is on the GPUs is not known: nvidia-smi does not tell users"
    assert job_rows(fakes.smi_node(NOW), 80) == unknown


@pytest.mark.parametrize("width", range(30, 240, 7))
def test_job_rows_fit_and_what_matters_most_stays(width: int) -> None:
    node = replace(fakes.busy_node(NOW), jobs=some_jobs(NOW))
    rows = [plain(line) for _, line in node_job_rows(node, width, NOW)]
    assert len(rows) == 1 + len(node.jobs)
    if width >= 46:
        assert all(cell_len(row) <= width for row in rows)
        for words in ("● running", "◐ stalled", "✗ exit 1", "✗ no memo", "✗ SIGKILL", "marie"):
            assert any(words in row for row in rows), words


@pytest.mark.parametrize("job", some_jobs(NOW), ids=lambda job: job.state.value)
def test_details_of_a_job_name_each_reason(job: Job) -> None:
    told = text(job_details(job, 100, NOW))
    assert f"process {job.pid} on gpu-01" in told
    assert job.reason in told
    if not job.is_over:
        assert all(why in told for why in job.missing.values())
    if job.user_from:
        assert "marie (started llm-pretrain)" in told


def test_ranges() -> None:
    assert ranges((0, 1, 2, 3, 5)) == "0-3,5"
    assert ranges((7,)) == "7"


# Heads, problems, logs


def test_heads() -> None:
    lines = text(node_head(fakes.busy_node(NOW), 100, NOW))
    assert "● gpu-01  gpu-user@10.0.0.50:2222 via jump-server" in lines
    assert lines.splitlines()[0].endswith("up 3 h 12 min · rtt 18 ms")
    assert "8× A100-SXM4 · driver 550.90.07 · CUDA 12.4" in lines
    narrow = text(node_head(fakes.busy_node(NOW), 60, NOW)).splitlines()
    assert narrow[1].startswith("up 3 h 12 min")
    assert "simulated GPUs" in text(node_head(fakes.simulated_node(NOW), 100, NOW))
    assert "by nvidia-smi" in text(node_head(fakes.smi_node(NOW), 100, NOW))
    stale = text(node_head(fakes.stale_node(NOW), 100, NOW))
    assert "12 s old" in stale
    assert "connecting: answer of edge…" in stale
    bastion = text(bastion_head(STATE.bastions[0], STATE, 100, NOW))
    assert "4 of 5 nodes up" in bastion


def test_a_problem_says_where_what_and_what_next() -> None:
    node = fakes.waiting_node(NOW)
    assert node.problem is not None
    lines = text(problem_lines(node.problem, node.link, 46, NOW, "r"))
    assert lines.startswith("Unreachable at gpu-03\n")
    assert "No route to host." in lines
    assert "→ Is the node switched on?" in lines
    assert "Tries again in 4 s after 5 attempts; r" in lines
    blocked = fakes.blocked_node(NOW)
    assert blocked.problem is not None
    lines = text(problem_lines(blocked.problem, blocked.link, 60, NOW, "x"))
    assert "x tries once it is mended" in lines


def test_the_log_is_newest_first() -> None:
    lines = text(log_lines(fakes.busy_node(NOW).events, 80, NOW)).splitlines()
    assert lines[0] == "13:01:48  up again after 2.1 s"
    narrow = log_lines(fakes.busy_node(NOW).events, 40, NOW)
    assert len(narrow) > 6
    assert all(width_of(line) <= 40 for line in narrow)
    mixed = (*STATE.nodes[0].events[:1], *STATE.nodes[6].events)
    assert "lab-b   the host key has changed" in text(log_lines(mixed, 80, NOW))
    assert text(log_lines((), 80, NOW)) == "Nothing has happened yet"


def test_the_header_drops_what_there_is_no_room_for() -> None:
    wide = plain(header_line(STATE, 120, NOW))
    for words in ("6/9 nodes", "32 GPUs", "free", "busy", "6 users", "agent: 2 keys", "14:02:11"):
        assert words in wide
    narrow = plain(header_line(STATE, 40, NOW))
    assert "6/9 nodes" in narrow
    assert "agent" not in narrow
    assert "opening" in plain(header_line(None, 80, NOW))
    for width in (20, 40, 80, 200):
        assert width_of(header_line(STATE, width, NOW)) == width


def test_the_header_says_to_whom_the_agent_is_lent() -> None:
    state = replace(fakes.fleet_state(), lent_to=("gpu-01", "lab-a"))
    for width in (80, 120):
        assert "lent to gpu-01, lab-a" in plain(header_line(state, width, NOW))
        assert width_of(header_line(state, width, NOW)) == width
    assert "agent: 2 keys" in plain(header_line(state, 120, NOW))


def test_a_cut_line_ends_with_one_ellipsis() -> None:
    line = fit_line([Span("a b  cd"), Span("more"), Span("and more")], 5)
    assert plain(line) == "a b… "


def test_node_names_are_whole_before_anything_else() -> None:
    node = replace(fakes.simulated_node(NOW), name="demo-a-long-name")
    shown = drawn(node, width=30, state=FleetState(nodes=(node,)))
    assert "demo-a-long-name" in shown
    assert "1 free" in shown


def test_the_header_marks_a_simulated_fleet() -> None:
    state = FleetState(nodes=(fakes.simulated_node(NOW),))
    assert "simulated" in plain(header_line(state, 120, NOW))
    assert "simulated" not in plain(header_line(STATE, 120, NOW))


def test_history_and_machine_fill_their_place() -> None:
    points = fakes.past(STATE)("gpu-01", 0)
    lines = history(points, "GPU 0", 100, 10, NOW)
    assert len(lines) == 10
    assert "GPU 0 utilization" in plain(lines[0])
    assert "97 %" in plain(lines[0])
    assert "No history of GPU 0 yet" in text(history([], "GPU 0", 80, 10, NOW))
    sample = fakes.busy_node(NOW).sample
    assert sample is not None
    host = text(machine(sample, 90, NOW, stale=False))
    assert "128 cores" in host
    assert "/var/lib/docker" in host
    assert "43 d" in host
    bare = fakes.smi_node(NOW).sample
    assert bare is not None
    assert "– cpu percent: there is no python3" in text(machine(bare, 90, NOW, stale=False))


def test_hostile_strings_stay_text() -> None:
    evil = "[red]x[/red]\x1b[2J\u202e"
    gpu = Gpu(
        0, name=evil, utilization_percent=5, memory_used_bytes=1, memory_total_bytes=2,
        throttle_reasons=(evil,), missing={"fan_percent": evil},
        processes=(Process(1, evil, evil, 1, NOW, evil, evil, evil),),
    )  # fmt: skip
    lost = Gpu(1, name=evil, lost=evil)
    node = NodeState(
        evil, evil, (evil,), (evil,), LinkStatus(LinkState.UP),
        Sample("nvml", NOW, evil, evil, (gpu, lost)),
    )  # fmt: skip
    assert node.sample is not None
    everything = [
        table(node), drawn(node), text(node_head(node, 200, NOW)),
        job_rows(node, 240), text(job_details(with_jobs(node).jobs[0], 90, NOW)),
        text(gpu_details(gpu, 90)),
    ]  # fmt: skip
    for shown in everything:
        assert "[red]x" in shown
        assert not set("\x1b\u202e") & set(shown)
