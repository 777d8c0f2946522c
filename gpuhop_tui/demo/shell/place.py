"""Where a simulated shell is: a node or one of its containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gpuhop_tui.demo.engine.engine import Engine
from gpuhop_tui.demo.engine.files import Files
from gpuhop_tui.demo.gpus import NodeGpus


@dataclass(slots=True)
class Place:
    """What its commands look at. `visible`: the GPUs that are seen there; None: all."""

    host: str
    user: str
    home: str
    files: Files
    gpus: NodeGpus
    visible: tuple[int, ...] | None = None
    engine: Engine | None = None  # on a node that has one, to this user
    why_no_engine: str = ""  # what `docker` says without it
    sessions: Callable[[], list[str]] = field(default=list)  # what `tmux ls` prints
    is_container: bool = False
    directory: str = ""

    def __post_init__(self) -> None:
        self.directory = self.directory or self.home

    @property
    def prompt(self) -> str:
        """As most shells have it; a container's is red."""
        where = self.directory
        if where == self.home or where.startswith(f"{self.home}/"):
            where = "~" + where[len(self.home) :]
        colour = "31" if self.is_container else "32"
        sign = "#" if self.user == "root" else "$"
        return f"\x1b[{colour}m{self.user}@{self.host}\x1b[0m:\x1b[34m{where}\x1b[0m{sign} "
