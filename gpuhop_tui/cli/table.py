"""The table of `status`: one block a node, one line a GPU, within 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from gpuhop_tui.cli.node_lines import node_head, problem_lines
from gpuhop_tui.cli.text import clean, fit, paint
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.sample import Gpu, MigInstance

GIB = 2**30
_NAME = 22  # columns of a GPU's name


def render_table(state: FleetState, *, width: int = 80, colour: bool = False) -> str:
    """All nodes as plain text, each line at most `width` columns wide, ending in a newline."""
    if not state.nodes:
        return "The config has no nodes.\n"
    blocks = ("\n".join(_node(node, width, colour)) for node in state.nodes)
    return "\n\n".join(blocks) + "\n"


def _node(node: NodeState, width: int, colour: bool) -> Iterator[str]:
    well = node.problem is None and node.sample is not None
    yield node_head(node.name, _facts(node), room=60, well=well, width=width, colour=colour)
    if node.problem is not None:
        yield from problem_lines(node.problem, width)
    for gpu in node.sample.gpus if node.sample else ():
        yield from _gpu(gpu, width, colour)


def _facts(node: NodeState) -> list[str]:
    facts = [node.link.state.value]
    if node.via:
        facts.append("via " + ", ".join(node.via))
    if node.sample:
        if node.sample.driver:
            facts.append(f"driver {node.sample.driver}")
        if node.sample.source != "nvml":
            facts.append(node.sample.source)
    return facts


def _gpu(gpu: Gpu, width: int, colour: bool) -> Iterator[str]:
    name = clean((gpu.name or "-").removeprefix("NVIDIA "))
    head = f"  {gpu.index:>2}  {fit(name, _NAME)}"
    if gpu.lost is not None:
        yield (
            head
            + "  "
            + paint(fit(clean(gpu.lost), width - cell_len(head) - 2).rstrip(), "red", wanted=colour)
        )
        return
    figures = (
        _figure(gpu.utilization_percent, " %", 5),
        _memory(gpu.memory_used_bytes, gpu.memory_total_bytes),
        _figure(gpu.temperature_celsius, " °C", 6),
        _figure(gpu.power_watts, " W", 5),
    )
    yield _with_users(f"{head}  {'  '.join(figures)}", _users(gpu), width)
    for instance in gpu.mig:
        yield _mig(instance, width)


def _mig(instance: MigInstance, width: int) -> str:
    name = f"MIG {instance.index} {clean(instance.name or '-')}"
    head = f"      {fit(name, _NAME)}"
    memory = _memory(instance.memory_used_bytes, instance.memory_total_bytes)
    users = sorted({clean(process.user or "?") for process in instance.processes})
    return _with_users(f"{head}  {'':5}  {memory}  {'':6}  {'':5}", users, width)


def _users(gpu: Gpu) -> list[str]:
    return sorted({clean(process.user or "?") for process in gpu.processes})


def _with_users(line: str, users: list[str], width: int) -> str:
    return fit(f"{line}  {', '.join(users)}".rstrip(), width).rstrip()


def _figure(value: float | None, unit: str, width: int) -> str:
    return ("-" if value is None else f"{value:.0f}{unit}").rjust(width)


def _memory(used: int | None, total: int | None) -> str:
    """Used and total in GiB; `-` stands for what is not known."""
    first = "-" if used is None else f"{used / GIB:.1f}"
    second = "-" if total is None else f"{total / GIB:.0f}"
    return f"{first}/{second} GiB".rjust(13)
