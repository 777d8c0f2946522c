"""A fleet that needs no network: rich states for the tests, and for a look with the eyes.

`python -m tests.tui.fakes [scenario]` runs the app on it. Scenarios: fleet, big, first, error, key,
passphrase, code.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpuhop_tui.containers.model import Listing
from gpuhop_tui.fleet.doctor.examine import Scope
from gpuhop_tui.fleet.doctor.finding import Finding
from gpuhop_tui.fleet.past_jobs import PastJob
from gpuhop_tui.fleet.state import BastionState, FleetState, HistoryPoint, NodeState
from gpuhop_tui.fleet.store.points import StoredPoint
from gpuhop_tui.fleet.summary import memory_percent
from gpuhop_tui.probe.sample import Disk, Gpu, Host, MigInstance, Process, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.sessions.hop_memory import OpenHop
from gpuhop_tui.sessions.hop_target import HopEnd, HopResult, HopTarget
from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.ssh.guard.model import Grant, Lending, Purpose, SignatureEvent, SignatureFacts
from gpuhop_tui.ssh.prompts import (
    ChallengeQuestion,
    HostKeyAnswer,
    HostKeyQuestion,
    PassphraseQuestion,
    Prompter,
    SignatureAnswer,
    SignatureQuestion,
)
from gpuhop_tui.ssh.status import LinkEvent, LinkState, LinkStatus
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.opening import FirstRun, Opened
from tests.tui.fake_containers import FakeContainers
from tests.tui.fake_jobs import with_jobs
from tests.tui.fake_keychain import FakeKeychain
from tests.tui.fake_past import KeptPast, kept_past
from tests.tui.fake_ports import FakePorts
from tests.tui.fake_sessions import FakeSessions, FakeTail, training_log, with_sessions

NOW = 1_762_869_731.0  # 11 November 2025, 14:02:11 UTC
GIB = 1 << 30

HOST_KEY = HostKeyQuestion(
    hop="gpu-07",
    address="[10.0.0.57]:2222",
    route=("jump-server",),
    algorithm="ssh-ed25519",
    fingerprint="SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8",
    known_hosts_file="~/.ssh/known_hosts",
)
PASSPHRASE = PassphraseQuestion(
    hop="jump-server",
    key_file="~/.ssh/id_ed25519",
    fingerprint="SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDgP6k2xVbrjqqRBzY",
    wrong=False,
    lifetime_seconds=8 * 3600,
)
CHALLENGE = ChallengeQuestion(
    hop="edge",
    title="Two-factor login",
    instructions="Open the authenticator on your phone.",
    prompts=(("One-time code: ", True), ("PIN: ", False)),
)

GITHUB = SignatureFacts(
    node="gpu-01",
    via=("jump-server",),
    purpose=Purpose.LOGIN,
    key="SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDgP6k2xVbrjqqRBzY",
    key_comment="ann@laptop",
    user="git",
    destination=("github.com", "ssh.github.com"),
    host_key="SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
)
SIGNATURE = SignatureQuestion(
    facts=GITHUB,
    expires_at=NOW + 30,
    seconds=30,
    minutes=10,
    choices=(
        SignatureAnswer.DENY,
        SignatureAnswer.ONCE,
        SignatureAnswer.MINUTES,
        SignatureAnswer.LENDING,
    ),
)


def with_lendings(state: FleetState, now: float = NOW) -> FleetState:
    """The agent is lent to two nodes, and some of what they asked for was allowed."""
    grants = (
        Grant(7, GITHUB.what, GITHUB.key, GITHUB.key_comment, now + 400),
        Grant(8, "sign for git", GITHUB.key, GITHUB.key_comment, None),
    )
    unbound = replace(GITHUB, purpose=Purpose.UNBOUND, destination=(), host_key="", user="root")
    said = (("jump-server",), True, "allowed by you for 10 min")
    return replace(
        state,
        lent_to=("gpu-01", "lab-a"),
        lendings=(
            Lending(1, "gpu-01", ("jump-server",), now - 4000, 1, 12, 2, grants),
            Lending(2, "lab-a", (), now - 62, 0, 0, 0),
        ),
        signatures=(
            SignatureEvent(now - 300, 1, "gpu-01", *said, GITHUB, asked=True),
            SignatureEvent(now - 200, 1, "gpu-01", (), False, "denied by you", unbound),
            SignatureEvent(
                now - 100, 1, "gpu-01", (), False, "only listing and signing are lent",
                refused="remove all keys", unlogged=41,
            ),
        ),
    )  # fmt: skip


class FakeFleet:
    """A `FleetSource` whose state is set by hand."""

    def __init__(self, state: FleetState, past: Callable[[str, int], list[HistoryPoint]]) -> None:
        self._state = state
        self._past = past
        self.kept: KeptPast = kept_past(state, NOW)
        self.ended_jobs: Sequence[PastJob] = ()
        self._changed = asyncio.Event()
        self.retried: list[str | None] = []
        self.findings: list[Finding] = []
        self.examined = asyncio.Event()
        self.revoked: list[int] = []
        self.dismissed: list[int] = []
        self.actors: dict[str, FakeSessions] = {}
        self.fleet_watched = False
        self.engines: dict[str, FakeContainers] = {}
        self.fleet_containers_watched = False
        self.doors: dict[str, FakePorts] = {}
        self.ports_restored = False
        self.keychain = FakeKeychain()
        self.hops: list[tuple[str, HopTarget]] = []
        self.during_hop: Callable[[], Awaitable[None]] | None = None
        self.hop_result = HopResult(HopEnd.DETACHED, 0, "detached from gpuhop; it runs on")
        self.started = False
        self.stopped = False
        self.notes = None  # nothing is kept

    @property
    def state(self) -> FleetState:
        return self._state

    def set(self, state: FleetState) -> None:
        self._state = state
        self._changed.set()

    def change(self, name: str, **fields: object) -> None:
        """Replace one node by itself with other fields."""
        nodes = tuple(
            replace(node, **fields) if node.name == name else node for node in self._state.nodes
        )
        self.set(replace(self._state, nodes=nodes))

    async def changes(self) -> AsyncIterator[FleetState]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield self._state

    def history(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        return self._past(node, gpu_index)

    async def past(
        self, node: str, gpu_index: int, since: float, until: float
    ) -> Sequence[StoredPoint]:
        return self.kept(node, gpu_index, since, until)

    async def past_gpus(self, node: str) -> Sequence[int]:
        return ()

    async def past_jobs(self) -> Sequence[PastJob]:
        return self.ended_jobs

    def retry(self, name: str | None = None) -> None:
        self.retried.append(name)

    async def examine(self, scope: Scope) -> AsyncGenerator[Finding, None]:
        """Tells `findings`; then waits for `examined`."""
        for finding in self.findings:
            yield finding
        await self.examined.wait()

    def dismiss_job(self, node: str, pid: int, started_at: float | None) -> None:
        self.dismissed.append(pid)
        found = self._state.node(node)
        jobs = found.jobs if found else ()
        self.change(node, jobs=tuple(job for job in jobs if job.key != (node, pid, started_at)))

    def lock_agent(self, locked: bool) -> None:
        self.set(replace(self._state, agent_locked=locked))

    def revoke_grant(self, grant: int) -> None:
        self.revoked.append(grant)

    def watch_sessions(self, wanted: bool) -> None:
        self.fleet_watched = wanted

    def sessions(self, node: str) -> FakeSessions:
        return self.actors.setdefault(node, FakeSessions(node))

    def watch_containers(self, wanted: bool) -> None:
        self.fleet_containers_watched = wanted

    def ports(self, node: str) -> FakePorts:
        return self.doors.setdefault(node, FakePorts(node))

    async def restore_ports(self) -> None:
        self.ports_restored = True

    def containers(self, node: str) -> FakeContainers:
        if node not in self.engines:

            def listing() -> Listing | None:
                found = self._state.node(node)
                return found.containers if found else None

            self.engines[node] = FakeContainers(node, listing)
        return self.engines[node]

    async def hop(self, node: str, target: HopTarget, **_more: object) -> HopResult:
        self.hops.append((node, target))
        if self.during_hop is not None:
            await self.during_hop()
        return self.hop_result

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.stopped = True


# Parts


def gpu(
    index: int,
    name: str = "NVIDIA A100-SXM4-80GB",
    util: int | None = 0,
    used: float | None = 0.4,
    total: float = 80,
    *processes: Process,
    **more: object,
) -> Gpu:
    figures: dict[str, object] = {
        "temperature_celsius": 31 + (util or 0) // 3,
        "power_watts": 62.0 + 2.9 * (util or 0),
        "power_limit_watts": 400.0,
        "sm_clock_mhz": 1410 if util else 210,
        "throttle_reasons": (),
        "ecc_uncorrected": 0,
        "pcie_generation": 4 if util else 1,
        "pcie_generation_max": 4,
        "pcie_width": 16,
        "pcie_width_max": 16,
        "missing": {"fan_percent": "not supported"},
    }
    return Gpu(
        index=index,
        uuid=f"GPU-5f2c1a7e-90b1-4e7d-8c11-{index:012x}",
        name=name,
        utilization_percent=util,
        memory_used_bytes=None if used is None else int(used * GIB),
        memory_total_bytes=int(total * GIB),
        processes=processes,
        **(figures | more),  # type: ignore[arg-type]
    )


def process(
    pid: int, user: str, command: str, gib: float, hours: float, now: float, **more: str
) -> Process:
    return Process(pid, user, command, int(gib * GIB), now - hours * 3600, **more)


def host(name: str, now: float, cpu: float = 37, cores: int = 128) -> Host:
    return Host(
        hostname=name,
        boot_time=now - 43 * 86400,
        cpu_count=cores,
        cpu_percent=cpu,
        memory_used_bytes=412 * GIB,
        memory_total_bytes=1007 * GIB,
        load_1=cores * cpu / 100 * 1.1,
        disks=(
            Disk("/", 211 * GIB, 439 * GIB),
            Disk("/var/lib/docker", 1240 * GIB, 7153 * GIB),
        ),
    )


def up(now: float, hours: float, rtt: float) -> LinkStatus:
    return LinkStatus(LinkState.UP, now - hours * 3600, connect_seconds=rtt * 9, rtt_seconds=rtt)


def log(now: float, hop: str, via: str) -> tuple[LinkEvent, ...]:
    lost = Problem(hop, ErrorKind.LOST, "the connection was lost", "")
    return (
        LinkEvent(now - 11525, hop, f"connecting through {via}"),
        LinkEvent(now - 11524, hop, "host key accepted: ssh-ed25519, in ~/.ssh/known_hosts"),
        LinkEvent(now - 11524, hop, "signed in with agent key ed25519 “laptop”"),
        LinkEvent(now - 3625, hop, "lost: no answer to keepalives for 6 s", lost),
        LinkEvent(now - 3624, hop, "connecting, attempt 1"),
        LinkEvent(now - 3623, hop, "up again after 2.1 s"),
    )


# The nodes


def busy_node(now: float) -> NodeState:
    """An A100x8 with two trainings, a throttled GPU, and two GPUs free."""
    train = process(
        418212, "marie", "python train.py --config big.yaml --resume last", 54, 3.2, now,
        container="llm-pretrain", container_id="9f86d081884c", tmux_session="train",
    )  # fmt: skip
    tune = process(
        422801, "jonas", "torchrun --nproc-per-node 2 finetune.py", 38.5, 27, now,
        tmux_session="ft",
    )  # fmt: skip
    note = process(
        390117, "wei", "python -m ipykernel_launcher -f kernel-8f1.json", 9.6, 74, now,
        container="jupyter-wei",
    )  # fmt: skip
    gpus = (
        gpu(0, "NVIDIA A100-SXM4-80GB", 97, 54, 80, train),
        gpu(1, "NVIDIA A100-SXM4-80GB", 93, 54, 80, train),
        gpu(2, "NVIDIA A100-SXM4-80GB", 95, 54, 80, train, throttle_reasons=("power cap",)),
        gpu(3, "NVIDIA A100-SXM4-80GB", 64, 54, 80, train, throttle_reasons=("too hot",),
            temperature_celsius=87),
        gpu(4, "NVIDIA A100-SXM4-80GB", 78, 38.5, 80, tune),
        gpu(5, "NVIDIA A100-SXM4-80GB", 31, 38.5, 80, replace(tune, pid=422802)),
        gpu(6, "NVIDIA A100-SXM4-80GB", 2, 9.6, 80, note),
        gpu(7, "NVIDIA A100-SXM4-80GB", 0, 0.4, 80),
    )  # fmt: skip
    return NodeState(
        "gpu-01", "gpu-user@10.0.0.50:2222", ("jump-server",), ("a100", "team-nlp"),
        up(now, 3.2, 0.018),
        Sample("nvml", now - 0.4, "550.90.07", "12.4", gpus, host("gpu-01", now)),
        events=log(now, "gpu-01", "jump-server"),
    )  # fmt: skip


def idle_node(now: float) -> NodeState:
    gpus = tuple(gpu(i, "NVIDIA H100 80GB HBM3", power_limit_watts=700.0) for i in range(8))
    return NodeState(
        "gpu-02", "gpu-user@10.0.0.51", ("jump-server",), ("h100",), up(now, 51, 0.017),
        Sample("nvml", now - 0.9, "550.90.07", "12.4", gpus, host("gpu-02", now, 2, 192)),
        events=log(now, "gpu-02", "jump-server")[:3],
    )  # fmt: skip


def waiting_node(now: float) -> NodeState:
    problem = Problem(
        "gpu-03", ErrorKind.UNREACHABLE,
        "jump-server could not open a connection to 10.0.0.52:22: No route to host.",
        "Is the node switched on? Ask jump-server: ssh jump-server nc -vz 10.0.0.52 22",
    )  # fmt: skip
    return NodeState(
        "gpu-03", "gpu-user@10.0.0.52", ("jump-server",), ("a100",),
        LinkStatus(LinkState.WAITING, now - 3, problem=problem, attempt=5, retry_at=now + 4),
        events=(
            LinkEvent(now - 40, "gpu-03", "connecting through jump-server"),
            LinkEvent(now - 37, "gpu-03", "unreachable: No route to host", problem),
            LinkEvent(now - 3, "gpu-03", "unreachable: No route to host", problem),
        ),
    )  # fmt: skip


def lost_gpu_node(now: float) -> NodeState:
    """Four GPUs; one has fallen off the bus, one has ECC errors."""
    job = process(90211, "priya", "python sample.py --steps 50", 31, 0.4, now)
    name = "NVIDIA RTX 6000 Ada Generation"
    fan: dict[str, object] = {"missing": {}, "power_limit_watts": 300.0}
    gpus = (
        gpu(0, name, 58, 31, 48, job, fan_percent=42, **fan),
        gpu(1, name, 0, 0.3, 48, fan_percent=30, **fan),
        Gpu(2, "GPU-dead", name, lost="Xid 79, the GPU has fallen off the bus"),
        gpu(3, name, 0, 0.3, 48, fan_percent=30, ecc_uncorrected=3, **fan),
    )
    return NodeState(
        "lab-a", "priya@lab-a.example.org", ("edge",), ("ada",), up(now, 0.6, 0.063),
        Sample("nvml", now - 1.2, "535.183.01", "12.2", gpus, host("lab-a", now, 12, 32)),
        events=log(now, "lab-a", "edge"),
    )  # fmt: skip


def mig_node(now: float) -> NodeState:
    """Two A100; one is cut into MIG instances."""
    serve = process(5120, "svc-llm", "vllm serve meta-llama/Llama-3.1-8B", 17.1, 200, now,
                    container="vllm-8b")  # fmt: skip
    eval_ = process(7719, "tomas", "python eval.py", 4.2, 1.1, now)

    def instance(index: int, name: str, used: float, total: float, *who: Process) -> MigInstance:
        return MigInstance(
            index, f"MIG-{index}", name, int(used * GIB), int(total * GIB), processes=who
        )

    gpus = (
        gpu(
            0, "NVIDIA A100-PCIE-40GB", None, 21.6, 40,
            mig=(
                instance(0, "3g.20gb", 17.1, 19.6, serve),
                instance(1, "2g.10gb", 4.2, 9.8, eval_),
                instance(2, "1g.5gb", 0.1, 4.9),
                instance(3, "1g.5gb", 0.1, 4.9),
            ),
            missing={"utilization_percent": "not available under MIG",
                     "fan_percent": "not supported"},
        ),
        gpu(1, "NVIDIA A100-PCIE-40GB", 41, 12, 40, replace(eval_, pid=7720)),
    )  # fmt: skip
    return NodeState(
        "mig-01", "gpu-user@10.0.0.60", ("jump-server",), ("mig", "shared"), up(now, 200, 0.019),
        Sample("nvml", now - 0.2, "550.90.07", "12.4", gpus, host("mig-01", now, 22, 64)),
    )  # fmt: skip


def blocked_node(now: float) -> NodeState:
    problem = Problem(
        "lab-b", ErrorKind.HOST_KEY_CHANGED,
        "The host key of lab-b.example.org is another than the one in "
        "/home/ann/.ssh/known_hosts, line 17. Someone may be listening in, or the machine was "
        "set up anew.",
        "If you know that it was set up anew: ssh-keygen -R lab-b.example.org, then try again.",
    )  # fmt: skip
    return NodeState(
        "lab-b", "ann@lab-b.example.org", ("edge",), (),
        LinkStatus(LinkState.BLOCKED, now - 600, problem=problem),
        events=(LinkEvent(now - 600, "lab-b", "the host key has changed", problem),),
    )  # fmt: skip


def stale_node(now: float) -> NodeState:
    job = process(6121, "ines", "python train_unet.py --fold 3", 20, 12, now)
    gpus = tuple(
        gpu(i, "NVIDIA GeForce RTX 3090", 88 if i < 3 else 0, 20 if i < 3 else 0.2, 24,
            *((job,) if i < 3 else ()), missing={}, fan_percent=61, power_limit_watts=350.0)
        for i in range(4)
    )  # fmt: skip
    problem = Problem(
        "lab-c", ErrorKind.LOST, "No answer to keepalives for 6 s.",
        "The link comes back by itself once the network does.",
    )  # fmt: skip
    return NodeState(
        "lab-c", "ines@lab-c.example.org", ("edge",), ("3090",),
        LinkStatus(LinkState.CONNECTING, now - 2, "answer of edge", problem, 2),
        Sample("nvml", now - 12, "535.183.01", "12.2", gpus, host("lab-c", now, 55, 24)),
        stale=True,
        events=log(now, "lab-c", "edge")[:4],
    )  # fmt: skip


def smi_node(now: float) -> NodeState:
    """No python3 there: figures by nvidia-smi, some of them missing."""
    missing = {
        "power_watts": "not supported",
        "power_limit_watts": "not supported",
        "processes": "nvidia-smi does not tell users",
        "throttle_reasons": "not asked for by nvidia-smi",
        "ecc_uncorrected": "not supported",
    }
    more: dict[str, object] = {
        "power_watts": None, "power_limit_watts": None, "throttle_reasons": None,
        "ecc_uncorrected": None, "missing": missing,
    }  # fmt: skip
    gpus = (
        gpu(0, "Quadro RTX 8000", 71, 33, 48, fan_percent=38, **more),
        gpu(1, "Quadro RTX 8000", 0, 0.1, 48, fan_percent=33, **more),
    )
    bare = Host(missing={"cpu_percent": "there is no python3 on the node"})
    return NodeState(
        "old-01", "gpu-user@10.0.0.70", ("jump-server",), ("turing",), up(now, 9, 0.02),
        Sample("nvidia-smi", now - 1.5, "470.256.02", "11.4", gpus, bare),
    )  # fmt: skip


def simulated_node(now: float) -> NodeState:
    gpus = tuple(
        gpu(i, "Simulated A10", u, 24 * u / 100, 24) for i, u in enumerate((12, 46, 83, 0))
    )
    return NodeState(
        "demo-01", "demo@127.0.0.1:40221", ("edge",), ("demo",), up(now, 0.05, 0.0004),
        Sample("simulated", now - 0.1, "550.90.07", "12.4", gpus, host("demo-01", now, 3, 8)),
    )  # fmt: skip


def no_driver_node(now: float) -> NodeState:
    problem = Problem(
        "cpu-01", ErrorKind.NO_DRIVER, "There is no NVIDIA driver: libnvidia-ml.so.1 is absent.",
        "Install the driver on the node, or take it out of the config.",
    )  # fmt: skip
    return NodeState(
        "cpu-01", "gpu-user@10.0.0.80", ("jump-server",), (), up(now, 2, 0.018),
        Sample("nvml", now - 1, host=host("cpu-01", now), problem=problem),
    )  # fmt: skip


def fleet_state(now: float = NOW) -> FleetState:
    """Two bastions and nodes in every state that there is."""
    return FleetState(
        bastions=(
            BastionState(
                "jump-server", "developer@192.168.1.100", link=up(now, 51, 0.012),
                events=log(now, "jump-server", "the network")[:3],
            ),
            BastionState("edge", "ann@edge.example.org:2222", link=up(now, 4, 0.041)),
        ),
        nodes=tuple(map(with_jobs, (
            busy_node(now), idle_node(now), waiting_node(now), mig_node(now), smi_node(now),
            lost_gpu_node(now), blocked_node(now), stale_node(now), simulated_node(now),
        ))),
        agent="2 keys",
    )  # fmt: skip


def big_state(now: float = NOW, nodes: int = 128) -> FleetState:
    """Many nodes of eight GPUs behind four bastions."""
    bastions = tuple(
        BastionState(f"bastion-{b}", f"me@10.{b}.0.1", link=up(now, 5, 0.01)) for b in range(4)
    )
    dice = random.Random(7)
    users = [f"user{n:02}" for n in range(40)]

    def one(number: int) -> NodeState:
        gpus = []
        for index in range(8):
            util = dice.choice((0, 0, 13, 55, 90, 99))
            who = [process(1000 * number + index, dice.choice(users), "train", 40, 2, now)]
            gpus.append(
                gpu(index, "NVIDIA A100-SXM4-80GB", util, 40 if util else 0.3, 80,
                    *(who if util else []))
            )  # fmt: skip
        return NodeState(
            f"node-{number:03}", f"me@10.0.1.{number}", (f"bastion-{number % 4}",), (),
            up(now, 5, 0.02), Sample("nvml", now, "550.90.07", "12.4", tuple(gpus)),
        )  # fmt: skip

    return FleetState(bastions, tuple(one(n) for n in range(nodes)), "1 key")


def past(state: FleetState, now: float = NOW) -> Callable[[str, int], list[HistoryPoint]]:
    """A wave for every GPU that ends at its figures, with a gap where the link was lost."""

    def points(node_name: str, index: int) -> list[HistoryPoint]:
        node = state.node(node_name)
        found = [g for g in node.sample.gpus if g.index == index] if node and node.sample else []
        if not found or found[0].lost:
            return []
        util, memory = found[0].utilization_percent, memory_percent(found[0])
        return [_point(now, step, index, util, memory) for step in range(_STEPS)]

    return points


_STEPS = 300


def _point(
    now: float, step: int, index: int, util: int | None, memory: float | None
) -> HistoryPoint:
    at = now - 2 * (_STEPS - 1 - step)
    if 150 < step < 175:
        return at, None, None
    swing = math.sin(step / 17 + index) * math.cos(step / 41) + 0.25 * math.sin(step * 1.7)
    nearness = min(1.0, (_STEPS - 1 - step) / 40)
    wander = 30 * nearness * swing if util else 0
    grown = memory if memory is None else memory * (1 if step > 70 else 0.35 + step / 108)
    return at, None if util is None else min(100.0, max(0.0, util + wander)), grown


# Apps


@dataclass
class Questions:
    """Asks what it is told to, when the fleet is opened, and keeps the answers."""

    ask: tuple[
        HostKeyQuestion | PassphraseQuestion | ChallengeQuestion | SignatureQuestion, ...
    ] = ()
    answers: list[HostKeyAnswer | SignatureAnswer | str | list[str] | None] = field(
        default_factory=list
    )

    async def put(self, prompter: Prompter) -> None:
        for question in self.ask:
            if isinstance(question, HostKeyQuestion):
                self.answers.append(await prompter.host_key(question))
            elif isinstance(question, SignatureQuestion):
                self.answers.append(await prompter.signature(question))
            elif isinstance(question, PassphraseQuestion):
                self.answers.append(await prompter.passphrase(question))
            else:
                self.answers.append(await prompter.challenge(question))


def app_on(
    state: FleetState,
    *,
    now: float = NOW,
    keymap: dict[str, str] | None = None,
    clock: Callable[[], float] | None = None,
    questions: Questions | None = None,
    open_hops: Sequence[OpenHop] = (),
) -> tuple[GpuhopApp, FakeFleet]:
    """The app on a fake fleet, with a clock that stands still."""
    fleet = FakeFleet(state, past(state, now))

    async def open_fleet(prompter: Prompter) -> Opened:
        if questions is not None:
            await questions.put(prompter)
        return Opened(fleet, open_hops=open_hops)

    return GpuhopApp(open_fleet, keymap=keymap, clock=clock or (lambda: now)), fleet


# By hand


def _live(fleet: FakeFleet, interval: float) -> Callable[[], None]:
    """Let the figures of live nodes wander."""
    dice = random.Random()

    def wander(node: NodeState, now: float) -> NodeState:
        if node.sample is None or node.stale:
            return node
        gpus = tuple(
            one
            if not one.utilization_percent
            else replace(
                one,
                utilization_percent=max(1, min(100, one.utilization_percent + dice.randint(-9, 9))),
            )
            for one in node.sample.gpus
        )
        return replace(node, sample=replace(node.sample, gpus=gpus, sampled_at=now))

    def step() -> None:
        now = time.time()
        state = fleet.state
        fleet.set(replace(state, nodes=tuple(wander(node, now) for node in state.nodes)))
        asyncio.get_running_loop().call_later(interval, step)

    return step


class LiveFleet(FakeFleet):
    """One whose tails have something to show."""

    def sessions(self, node: str) -> FakeSessions:
        actor = super().sessions(node)
        make = FakeSessions.tail

        def tail(session: TmuxSession, pane: TmuxPane) -> FakeTail:
            made = make(actor, session, pane)
            training_log(made)
            return made

        actor.tail = tail  # type: ignore[method-assign]
        return actor


def _main(scenario: str) -> int:
    now = time.time()
    state = big_state(now) if scenario == "big" else with_sessions(fleet_state(now), now)
    fleet = LiveFleet(state, past(state, now))
    fleet.kept = kept_past(state, now)
    asked = {"key": HOST_KEY, "passphrase": PASSPHRASE, "code": CHALLENGE}
    questions = Questions((asked[scenario],) if scenario in asked else ())
    configured = False

    def write_starter(hosts: Sequence[str]) -> None:
        nonlocal configured
        configured = True

    async def open_fleet(prompter: Prompter) -> Opened | FirstRun:
        if scenario == "error":
            raise ValueError(
                'config.toml:14: nodes[2].identify_file: unknown key; did you mean "identity_file"?'
            )
        if scenario == "first" and not configured:
            hosts = ("gpu-01", "gpu-02", "lab-alias", "github.com")
            return FirstRun(Path("~/.config/gpuhop-tui/config.toml"), hosts, write_starter)
        await questions.put(prompter)
        asyncio.get_running_loop().call_soon(_live(fleet, 1.0))
        return Opened(fleet)

    return GpuhopApp(open_fleet).run() or 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1] if len(sys.argv) > 1 else "fleet"))
