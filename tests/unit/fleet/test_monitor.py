"""A node's monitor, with a probe that the test plays."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from gpuhop_tui.fleet import monitor as monitor_module
from gpuhop_tui.fleet.monitor import NodeMonitor
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.ssh.status import LinkState, LinkStatus


class FakeLink:
    """Always up; a process is nothing."""

    def __init__(self):
        self.status, self.events, self.is_up = LinkStatus(LinkState.UP), [], True

    def listen(self, callback):
        pass

    def note(self, text, problem=None):
        self.events.append(text)

    async def connection(self):
        pass

    @contextlib.asynccontextmanager
    async def process(self, command):
        yield None


@pytest.mark.parametrize(("first", "seconds"), [(True, "0"), (False, "1")])
async def test_a_probe_is_late_only_after_its_interval(monkeypatch, first, seconds):
    """Samples may be a minute apart; silence is told with the time that was waited."""
    monkeypatch.setattr(monitor_module, "START_SECONDS", 0.1 if first else 10.0)
    monkeypatch.setattr(monitor_module, "SILENT_SECONDS", 0.4)
    interval = 0.6
    starts, problems = [], asyncio.Queue()

    async def samples(process, node, interval):
        starts.append(node)
        for wait in () if first else (0.0, interval, interval):
            await asyncio.sleep(wait)
            yield SimpleNamespace(source="nvml", gpus=())
        await asyncio.Event().wait()

    monkeypatch.setattr(monitor_module, "stream_samples", samples)
    taken = []

    def changed():
        if monitor.state.probe_problem is not None:
            problems.put_nowait(monitor.state.probe_problem)

    node = NodeState("gpu-01", "", (), (), LinkStatus())
    monitor = NodeMonitor(node, FakeLink(), interval, changed, taken.append, lambda: None)
    running = asyncio.create_task(monitor.run())
    try:
        async with asyncio.timeout(20):
            problem = await problems.get()
    finally:
        running.cancel()
    assert starts == ["gpu-01"]
    assert len(taken) == (0 if first else 3)
    assert problem.message == f"the probe said nothing for {seconds} s"
