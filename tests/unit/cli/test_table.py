"""The table: 80 columns, a reason for every blank, and nothing that steers the terminal."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gpuhop_tui.cli.table import render_table
from gpuhop_tui.cli.text import clean
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu, Process
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from tests.unit.cli.states import BUSY_GPU, IDLE_GPU, LOST_GPU, MIG_GPU, REFUSED, refused, up


def table(*nodes: NodeState, **options: bool) -> str:
    return render_table(FleetState(nodes=nodes), **options)  # type: ignore[arg-type]


def test_a_node_with_gpus_and_one_that_is_refused() -> None:
    text = table(up("gpu-01", BUSY_GPU, IDLE_GPU, LOST_GPU, MIG_GPU), refused())
    assert text == (
        "gpu-01  up  via jump-server  driver 535.104.05\n"
        "   0  A100-SXM4-80GB           83 %    54.0/80 GiB   61 °C  312 W  ann\n"
        "   1  A100-SXM4-80GB            0 %     0.0/80 GiB   31 °C   58 W\n"
        "   2  -                       lost: it fell off the bus (Xid 79)\n"
        "   3  A100-SXM4-80GB              -     0.0/80 GiB   31 °C   58 W\n"
        "      MIG 0 3g.40gb                     4.0/40 GiB                 ann\n"
        "\n"
        "gpu-02  waiting  via jump-server\n"
        "  refused at gpu-02: connection refused by 10.0.0.51:22\n"
        "    Start sshd.\n"
    )


def test_a_fleet_without_nodes_is_said_to_have_none() -> None:
    assert table() == "The config has no nodes.\n"


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b[" not in table(up(), refused())
    assert "\x1b[32m" in table(up(), refused(), colour=True)


words = st.text(max_size=120)
gpus = st.builds(
    Gpu,
    index=st.integers(0, 99),
    name=st.none() | words,
    lost=st.none() | words,
    utilization_percent=st.none() | st.integers(0, 100),
    memory_used_bytes=st.none() | st.integers(0, 2**39),
    processes=st.lists(
        st.builds(Process, st.just(1), st.none() | words, words, st.none(), st.none()), max_size=9
    ).map(tuple),
)


@given(words, words, st.lists(gpus, max_size=3), words)
def test_whatever_a_server_sends_stays_inside_80_columns(
    name: str, message: str, gpus: list[Gpu], user: str
) -> None:
    node = replace(up(name or "n", *gpus), via=(user,))
    problem = Problem(name, ErrorKind.LOST, message, message)
    text = table(node, replace(node, probe_problem=problem))
    for line in text.split("\n"):
        assert cell_len(line) <= 80
        assert line == clean(line)


@given(st.text())
def test_clean_text_has_no_control_characters(text: str) -> None:
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in clean(text))
    assert len(clean(text)) == len(text)


def test_a_long_advice_is_wrapped() -> None:
    problem = replace(REFUSED, advice="word " * 60)
    text = table(replace(refused(), link=LinkStatus(state=LinkState.WAITING, problem=problem)))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.count("word") == 60
