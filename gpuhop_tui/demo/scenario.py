"""Who is in the demo: two bastions, six nodes, and what goes on there.

One node is down, one has a lost GPU, one is split by MIG; one has no Docker, and one does not let
its user at it. Everything is marked as simulated by the
probe itself (`gpuhop_tui.probe.remote.simulated` has the format of a node's specification).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

GIB = 2**30
HOUR = 3600

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoNode:
    """A node behind a bastion. `spec` is what its probe simulates; None: its sshd is down."""

    name: str
    host: str
    user: str
    tags: tuple[str, ...]
    spec: Spec | None
    port: int = 22
    delay: float = 0.001  # seconds between it and its bastion, one way
    engine: Literal["docker", "denied", "none"] = "docker"


@dataclass(frozen=True, slots=True)
class DemoBastion:
    """A bastion, `delay` seconds away, one way."""

    name: str
    user: str
    delay: float
    nodes: tuple[DemoNode, ...] = field(default=())


def _gpu(
    name: str, memory_gib: int, profile: str, who: tuple[str, str] | None = None, **more: Any
) -> Spec:
    spec: Spec = {"name": name, "memory_total_bytes": memory_gib * GIB, "profile": profile, **more}
    if who:
        spec["user"], spec["command"] = who
    if "container" in spec:
        spec["container_id"] = container_id(spec["container"])
    return spec


def container_id(name: str) -> str:
    """The id of a container that is there at first, as its engine and its probe have it."""
    return hashlib.sha256(name.encode()).hexdigest()


def _a100(profile: str, who: tuple[str, str] | None = None, **more: Any) -> Spec:
    return _gpu("NVIDIA A100-SXM4-80GB", 80, profile, who, power_limit_watts=400, **more)


def _h100(profile: str, who: tuple[str, str] | None = None, **more: Any) -> Spec:
    return _gpu("NVIDIA H100 80GB HBM3", 80, profile, who, power_limit_watts=700, **more)


def _a6000(profile: str, who: tuple[str, str] | None = None, **more: Any) -> Spec:
    return _gpu("NVIDIA RTX A6000", 48, profile, who, power_limit_watts=300, fan=True, **more)


def _host(hostname: str, cpus: int, memory_gib: int) -> Spec:
    return {"hostname": hostname, "cpu_count": cpus, "memory_total_bytes": memory_gib * GIB}


_PRETRAIN = ("mira", "python train.py --config configs/7b.yaml --data /mnt/data/pile")
_FINETUNE = ("jonas", "python -m axolotl.cli.train lora.yml")
_NOTEBOOK = ("sofia", "python -m ipykernel_launcher -f kernel-4c1f.json")
_SERVE = ("svc-llm", "python -m vllm.entrypoints.openai.api_server --port 8000")
_VISION = ("wei", "python main.py --arch vit_b_16 --epochs 300")
_SWEEP = ("tomas", "python sweep.py --study lr-warmup")
_EVAL = ("ann", "python eval.py --suite mmlu --batch-size auto")

_TRAIN_BOX = {"container": "mira-pretrain", "tmux_session": "train", "started_ago": 31 * HOUR}
_LORA_BOX = {"container": "jonas-lora", "tmux_session": "lora", "started_ago": 3.2 * HOUR}
_NOTEBOOK_BOX = {
    "container": "sofia-notebook",
    "tmux_session": "notebook",
    "started_ago": 26 * HOUR,
}
_VLLM_BOX = {"container": "vllm-prod", "started_ago": 19 * 24 * HOUR}

GPU_01: Spec = {
    "seed": 1,
    "driver": "550.54.15",
    "cuda": "12.4",
    "host": _host("gpu-01", 128, 1024),
    "gpus": [
        _a100("training", _FINETUNE, **_LORA_BOX),
        _a100("training", _FINETUNE, **_LORA_BOX),
        _a100("stalled", _NOTEBOOK, **_NOTEBOOK_BOX),
        _a100("lost"),
        _a100("bursty", _EVAL, tmux_session="eval", started_ago=0.7 * HOUR),
        _a100("idle"),
        _a100("idle"),
        _a100("idle"),
    ],
}

GPU_02: Spec = {
    "seed": 2,
    "driver": "550.54.15",
    "cuda": "12.4",
    "host": _host("gpu-02", 192, 2048),
    "gpus": [_h100("training", _PRETRAIN, **_TRAIN_BOX) for _ in range(8)],
}

LAB_A: Spec = {
    "seed": 4,
    "driver": "535.183.01",
    "cuda": "12.2",
    "host": _host("lab-a", 64, 512),
    "gpus": [
        _a6000("bursty", _SERVE, **_VLLM_BOX),
        _a6000("bursty", _SERVE, **_VLLM_BOX),
        _a6000("idle"),
        _a6000("idle"),
    ],
}

LAB_B: Spec = {
    "seed": 5,
    "driver": "550.90.07",
    "cuda": "12.4",
    "host": _host("lab-b", 64, 512),
    "gpus": [
        _a100(
            "mig",
            instances=[
                {
                    "name": "3g.40gb",
                    "memory_total_bytes": 40 * GIB,
                    "user": _EVAL[0],
                    "command": _EVAL[1],
                    "tmux_session": "mmlu",
                    "started_ago": 5 * HOUR,
                },
                {
                    "name": "2g.20gb",
                    "memory_total_bytes": 20 * GIB,
                    "user": _NOTEBOOK[0],
                    "command": _NOTEBOOK[1],
                    "started_ago": 1.5 * HOUR,
                },
                {"name": "1g.10gb", "memory_total_bytes": 10 * GIB},
                {"name": "1g.10gb", "memory_total_bytes": 10 * GIB},
            ],
        ),
        _a100("training", _SWEEP, tmux_session="sweep", started_ago=8 * HOUR),
    ],
}

LAB_C: Spec = {
    "seed": 6,
    "driver": "535.183.01",
    "cuda": "12.2",
    "host": _host("lab-c", 32, 256),
    "gpus": [
        _a6000(
            "throttled", _VISION, container="wei-vit", tmux_session="vit", started_ago=44 * HOUR
        ),
        _a6000("busy", _SWEEP, tmux_session="sweep", started_ago=2 * HOUR),
    ],
}

BASTIONS = (
    DemoBastion(
        "jump-server",
        user="developer",
        delay=0.006,
        nodes=(
            DemoNode("gpu-01", "10.0.0.50", "gpu-user", ("a100", "team-nlp"), GPU_01),
            DemoNode("gpu-02", "10.0.0.51", "gpu-user", ("h100", "team-nlp"), GPU_02),
            DemoNode("gpu-03", "10.0.0.52", "gpu-user", ("a100", "team-nlp"), None),
        ),
    ),
    DemoBastion(
        "edge",
        user="guest",
        delay=0.031,
        nodes=(
            DemoNode("lab-a", "10.7.1.11", "lab", ("a6000", "serving"), LAB_A, delay=0.002),
            DemoNode(
                "lab-b", "10.7.1.12", "lab", ("a100", "mig"), LAB_B, delay=0.002, engine="none"
            ),
            DemoNode(
                "lab-c",
                "10.7.1.13",
                "lab",
                ("a6000", "team-vision"),
                LAB_C,
                delay=0.002,
                engine="denied",
            ),
        ),
    ),
)
