"""What there is on the demo's nodes beside their GPUs: images, containers, tmux sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gpuhop_tui.demo.engine.container import Container
from gpuhop_tui.demo.engine.engine import Engine
from gpuhop_tui.demo.engine.files import WORKSPACE, Files
from gpuhop_tui.demo.engine.images import LABEL, Images, of_registry
from gpuhop_tui.demo.scenario import HOUR, container_id
from gpuhop_tui.demo.shell.place import Place
from gpuhop_tui.demo.shell.shell import Shell
from gpuhop_tui.demo.story import Kind, Story
from gpuhop_tui.demo.tmux.program import Evaluation, Program, Said, Telling, Training
from gpuhop_tui.demo.tmux.server import TmuxServer

Json = dict[str, Any]

DAY = 24 * HOUR
TORCH = "pytorch/pytorch:2.8.0-cuda12.6-cudnn9-devel"
RUNTIME = "pytorch/pytorch:2.8.0-cuda12.6-cudnn9-runtime"
NGC = "nvcr.io/nvidia/pytorch:25.08-py3"
VLLM = "vllm/vllm-openai:v0.11.0"
OWN = "pytorch-ssh:2.8"  # built on the node


@dataclass(frozen=True, slots=True)
class Box:
    """A container that is there at first. Ages are seconds."""

    name: str
    image: str
    kind: Kind
    command: tuple[str, ...]
    age: float
    owner: str = ""
    gpus: tuple[str, ...] = ()  # indexes; ("all",)
    ports: tuple[tuple[str, str], ...] = ()  # node's, container's
    binds: tuple[str, ...] = ()
    shm_gib: int = 8
    health: str = ""
    exit_code: int | None = None  # of one that has ended
    ran: float = 40.0  # seconds that it lived, then
    labels: dict[str, str] = field(default_factory=dict)


IMAGES: dict[str, tuple[str, ...]] = {
    "gpu-01": (TORCH, VLLM, "ubuntu:24.04"),
    "gpu-02": (NGC, "nvidia/cuda:12.6.3-base-ubuntu24.04"),
    "lab-a": (VLLM, RUNTIME, "python:3.12-slim"),
    "lab-c": (TORCH,),
}
SPEED = {"gpu-01": 480e6, "gpu-02": 640e6, "lab-a": 290e6, "lab-c": 210e6}  # bytes a second

_DATA = "/data/datasets:/mnt/data:ro"

BOXES: dict[str, tuple[Box, ...]] = {
    "gpu-01": (
        Box(
            "jonas-lora", TORCH, "training", ("python", "-m", "axolotl.cli.train", "lora.yml"),
            3.2 * HOUR, "jonas", ("0", "1"), binds=(_DATA, "/home/jonas/lora:/workspace/lora"),
            shm_gib=16,
        ),
        Box(
            "sofia-notebook", TORCH, "notebook", ("jupyter", "lab", "--ip=0.0.0.0"), 2 * DAY,
            "sofia", ("2", "3"), ports=(("8888", "8888"),), binds=(_DATA,),
        ),
        Box(
            "ann-debug", TORCH, "crash", ("python", "train.py", "--batch-size", "64"), 5 * HOUR,
            "ann", ("5",), exit_code=1, shm_gib=1,
        ),
        Box("eval-cache", "ubuntu:24.04", "quiet", ("sleep", "infinity"), 11 * DAY, "ann"),
    ),
    "gpu-02": (
        Box(
            "mira-pretrain", NGC, "training",
            ("python", "train.py", "--config", "configs/7b.yaml", "--data", "/mnt/data/pile"),
            31 * HOUR, "mira", ("all",), binds=(_DATA, "checkpoints:/workspace/checkpoints"),
            shm_gib=64,
        ),
        Box(
            "smoke-test", "nvidia/cuda:12.6.3-base-ubuntu24.04", "echo", ("true",), 32 * HOUR,
            "mira", exit_code=0, ran=2.0,
        ),
    ),
    "lab-a": (
        Box(
            "vllm-prod", VLLM, "serving",
            ("vllm", "serve", "Qwen/Qwen3-32B", "--tensor-parallel-size", "2"), 19 * DAY,
            "svc-llm", ("0", "1"), ports=(("8000", "8000"),), health="healthy", shm_gib=16,
        ),
        Box(
            "tomas-dev", OWN, "sshd", ("/etc/gpuhop/entry.sh",), 3 * DAY, "tomas", ("2",),
            ports=(("2222", "22"),), binds=("/home/lab/work:/workspace/work",),
            labels={"gpuhop.template": "pytorch-ssh", "gpuhop.ssh-port": "2222"},
        ),
    ),
    "lab-c": (Box("wei-vit", TORCH, "training", ("python", "main.py"), 44 * HOUR, "wei", ("0",)),),
}  # fmt: skip


def fill_engine(engine: Engine) -> None:
    """Puts a node's containers into its engine, and the image that was built there."""
    boxes = BOXES.get(engine.node, ())
    if any(box.image == OWN for box in boxes):
        base = of_registry(RUNTIME)
        engine.images.add(
            replace(
                base,
                id=f"sha256:{container_id(OWN)}",
                tags=(OWN,),
                created_at=time.time() - 4 * DAY,
                config={"Entrypoint": ["/etc/gpuhop/entry.sh"], "Labels": {LABEL: "true"}},
            )
        )
    for box in boxes:
        engine.add(_container(engine, box))


def images_of(node: str) -> Images:
    return Images(IMAGES.get(node, ()), SPEED.get(node, 300e6))


def _container(engine: Engine, box: Box) -> Container:
    now = time.time()
    identity = container_id(box.name)
    request: Json = {"Driver": "", "Capabilities": [["gpu"]], "Count": 0}
    request |= {"Count": -1} if box.gpus == ("all",) else {"DeviceIDs": list(box.gpus)}
    bindings = {f"{inside}/tcp": [{"HostPort": port}] for port, inside in box.ports}
    body: Json = {
        "Image": box.image,
        "Cmd": list(box.command),
        "Labels": {LABEL: "true", "gpuhop.user": box.owner, **box.labels},
        "WorkingDir": "/workspace",
        "HostConfig": {
            "Binds": list(box.binds),
            "ShmSize": box.shm_gib << 30,
            "DeviceRequests": [request] if box.gpus else None,
            "PortBindings": bindings,
            "RestartPolicy": {"Name": "unless-stopped" if box.health else "no"},
        },
    }
    files = Files(WORKSPACE, ("/root", "/mnt/data", "/etc/gpuhop"))
    started = now - box.age
    container = Container(
        identity, box.name, engine.images.find(box.image).id, body, started - 2, files
    )
    container.started_at = started
    if box.exit_code is None:
        container.state, container.health = "running", box.health
        container.gpus = tuple(engine.gpus.resolve(request) or ()) if box.gpus else ()
        container.pid = engine.gpus.pid_in(identity) or 9000 + len(engine.containers)
        container.ports = {
            name: [{"HostIp": "0.0.0.0", **each} for each in found]
            for name, found in bindings.items()
        }
        container.stories = [Story(box.kind, identity, started)]
    else:
        container.state, container.exit_code = "exited", box.exit_code
        container.finished_at = started + box.ran
        container.stories = [Story(box.kind, identity, started, container.finished_at)]
    return container


def fill_tmux(
    node: str, server: TmuxServer, place: Callable[[], Place], ended: Callable[[str], None]
) -> None:
    """Begins a node's sessions. `ended` is told the session whose work has ended."""
    now = time.time()

    def add(name: str, work: Program, age: float, window: str = "") -> None:
        shell = Shell(place(), running=work, finished=lambda: ended(name))
        server.new(name, shell, cwd="/home", created_at=now - age, window=window)

    if node == "gpu-01":
        add("lora", Training("lora", now - 3.2 * HOUR, seconds=190, steps=1410), 2 * DAY)
        session = server.sessions[-1]
        server.add_window(session, Shell(place()), cwd="/home", name="shell")
        add("notebook", Telling("jupyter", Story("notebook", "tmux", now - 26 * HOUR)), 26 * HOUR)
        add("eval", Evaluation("eval", now - 0.7 * HOUR), 0.8 * HOUR)
        text = (
            "sending incremental file list\nckpt/step-120000.pt\n"
            "rsync: [receiver] write failed: No space left on device (28)\n"
            "rsync error: error in file IO (code 11) [simulated]\n"
        )
        backup = Said("rsync", text, 11)
        pane = server.new("backup", backup, created_at=now - 2 * HOUR, stays=True).window.pane
        pane.catch_up()
        pane.activity_at = int(now - 1.6 * HOUR)
    elif node == "gpu-02":
        add("train", Training("7b", now - 31 * HOUR, seconds=700, steps=8000), 31 * HOUR)
    elif node == "lab-a":
        add("serve", Telling("python", Story("serving", "tmux", now - 19 * DAY)), 19 * DAY)
    elif node == "lab-b":
        add("mmlu", Evaluation("mmlu", now - 5 * HOUR), 5 * HOUR)
        add("sweep", Training("lr-warmup", now - 8 * HOUR, seconds=95, steps=610), 8 * HOUR)
    elif node == "lab-c":
        add("vit", Training("vit_b_16", now - 44 * HOUR, seconds=540, steps=2502), 44 * HOUR)
        add("sweep", Training("lr-warmup", now - 2 * HOUR, seconds=95, steps=610), 2 * HOUR)


def fill_container_tmux(
    container: Container, server: TmuxServer, place: Callable[[], Place]
) -> None:
    """Begins the sessions of a tmux in a container that has run from the first."""
    started = container.started_at or 0.0
    begun: dict[str, Program] = {
        container_id("tomas-dev"): Training("scratch", started + HOUR, seconds=260, steps=900),
        container_id("jonas-lora"): Telling("python", Story("training", container.id, started)),
    }
    if container.id in begun and len(container.stories) == 1:
        shell = Shell(place(), running=begun[container.id])
        server.new("main", shell, cwd="/workspace", created_at=started + 60)
