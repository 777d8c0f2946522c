"""What `config.toml` may hold: one frozen model a table, every key with its unit and default.

The models check one value at a time; what concerns several entries (unique names, `via` that names
a bastion, no cycles) is checked by `gpuhop_tui.config.references` when a file is loaded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from gpuhop_tui.config.durations import duration_seconds

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHELL = re.compile(r"['`\"$\\;&<>|(){}]")
_SIZE = re.compile(r"\d+(\.\d+)?\s*([bkmgt]|[kmgt]i?b)?", re.IGNORECASE)
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")
_PORTS = re.compile(r"((\[[0-9a-f:]+\]|\d+(\.\d+){3}):)?(\d+:)?\d+(/(tcp|udp))?", re.IGNORECASE)


def _plain(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    if _CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


def _argument(text: str) -> str:
    """`ssh` and a shell may see this value: nothing in it may look like an option or a command.

    The characters are those that OpenSSH itself refuses in host and user names (ssh.c).
    """
    _plain(text)
    if text.startswith("-"):
        raise ValueError('must not begin with "-"')
    if bad := _SHELL.search(text):
        raise ValueError(f"must not hold {bad.group()}")
    return text


def _host(text: str) -> str:
    _argument(text)
    if "@" in text:
        raise ValueError('names a user: write the part before "@" as `user`')
    if re.search(r"\s", text):
        raise ValueError("must not hold spaces")
    if re.fullmatch(r"([^:]+|\[.*\]):\d+", text):
        raise ValueError("names a port: write it as `port`")
    return text.removeprefix("[").removesuffix("]")


def _name(text: str) -> str:
    _plain(text)
    if text.startswith("-"):
        raise ValueError('must not begin with "-"')
    if text != text.strip():
        raise ValueError("must not begin or end with a space")
    if "/" in text:
        raise ValueError('must not hold "/", which parts a node from its container')
    return text


def _user_path(value: Any) -> Any:
    """`~` is $HOME, as a shell has it."""
    if not isinstance(value, str):
        return value
    try:
        path = Path(_plain(value)).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home of a user who does not exist") from None
    if not path.is_absolute():
        raise ValueError('must be absolute, or begin with "~/"')
    return path


def _duration(value: Any) -> Any:
    """Seconds of "8h", "30m", "1h30m", "2d" (sshd_config(5), TIME FORMATS) or of a number."""
    if not isinstance(value, str):
        return value
    seconds = duration_seconds(value)
    if seconds is None:
        raise ValueError('must be a duration such as "8h", "30m" or "2d", or seconds')
    return seconds


def _lifetime(seconds: int) -> int:
    if seconds >= 1 << 32:  # the protocol of agents has 32 bits for it
        raise ValueError("is longer than an agent can keep a key")
    return seconds


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _size(text: str) -> str:
    if not _SIZE.fullmatch(text):
        raise ValueError('must be a size such as "2gb" or "512m"')
    return text


def _size_in_bytes(value: Any) -> Any:
    """Bytes of a size as `_size` has it, or of a number."""
    if not isinstance(value, str):
        return value
    _size(value)
    number = value.lower().rstrip("bikmgt ")
    unit = value.lower()[len(number) :].strip()[:1] or "b"
    return int(float(number) * 1024 ** "bkmgt".index(unit))


def _ports(text: str) -> str:
    numbers = [int(number) for number in re.findall(r"(?:^|:)(\d+)(?=:|/|$)", text)]
    if not _PORTS.fullmatch(text) or not all(1 <= number <= 65535 for number in numbers):
        raise ValueError('must be "NODE_PORT:CONTAINER_PORT", such as "8888:8888"')
    return text


def _volume(text: str) -> str:
    _plain(text)
    source, _, target = text.partition(":")
    if not source or not target.startswith("/"):
        raise ValueError('must be "SOURCE:/TARGET" or "SOURCE:/TARGET:ro"')
    return text


def _restart(text: str) -> str:
    if not _RESTART.fullmatch(text):
        raise ValueError('must be "no", "always", "unless-stopped", "on-failure" or "on-failure:N"')
    return text


def _gpus(value: Any) -> Any:
    """Anything that picks GPUs; kept as it was written."""
    words = isinstance(value, str) and value in ("all", "pick")
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    chosen = (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(x, str | int) and not isinstance(x, bool) for x in value)
    )
    if not (words or count or chosen):
        raise ValueError('must be "all", "pick", a count, or a list of indexes or UUIDs')
    return tuple(value) if chosen else value


def _web_address(text: str) -> str:
    _plain(text)
    if not re.match(r"https?://[^/\s]", text) or re.search(r"\s", text):
        raise ValueError('must begin with "https://" or "http://" and hold no spaces')
    return text


def _agent_or_path(text: str) -> str:
    return text if text == "agent" else str(_user_path(text))


Name = Annotated[str, AfterValidator(_name)]
Host = Annotated[str, AfterValidator(_host)]
Argument = Annotated[str, AfterValidator(_argument)]
Text = Annotated[str, AfterValidator(_plain)]
Port = Annotated[int, Field(ge=1, le=65535)]
UserPath = Annotated[Path, BeforeValidator(_user_path)]
Seconds = Annotated[int, BeforeValidator(_duration), Field(ge=0, le=86400)]
KeyLifetime = Annotated[int, BeforeValidator(_duration), Field(ge=1), AfterValidator(_lifetime)]


class _Table(BaseModel):
    """A TOML table: no unknown key, no silent conversion, no change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class UiConfig(_Table):
    """[ui]: how the dashboard looks and how often it asks."""

    theme: Text = "textual-dark"
    """Name of a Textual theme. Default: "textual-dark"."""

    sample_interval: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    """Seconds between two samples of a node's GPUs, 0.5 to 60. Default: 2."""

    keymap: dict[str, Text] = Field(default_factory=dict)
    """[ui.keymap]: id of a binding = its keys, comma-separated. Default: none is changed."""


Decision = Literal["ask", "allow", "deny"]


class GuardRule(_Table):
    """[[agent.guard.rules]]: what becomes of signatures of one kind. The first rule that matches
    decides. Patterns have `*` and `?`, and ignore case."""

    decision: Decision
    """What becomes of it: "ask", "allow" or "deny". Required."""

    destination: Text = "*"
    """Pattern for the server logged in to: its name in this config or in known_hosts, or its host
    key's fingerprint. Anything but "*" matches only where the server has proven its host key.
    Default: "*"."""

    user: Text = "*"
    """Pattern for the user logged in as. Anything but "*" matches logins only. Default: "*"."""

    key: Text = "*"
    """Fingerprint ("SHA256:…") of the key that is to sign, or a pattern for its comment.
    Default: "*"."""

    purpose: Literal["any", "login", "unbound", "signature", "git", "unknown"] = "any"
    """What is signed: "login" at a server that has proven its host key; "unbound", a login at one
    that has not (OpenSSH before 8.9); "signature" of a file or commit, "git" those of git;
    "unknown", data of no known kind. Default: "any"."""

    node: Text = "*"
    """Pattern for the node or bastion that the agent is lent to. Default: "*"."""


class GuardConfig(_Table):
    """[agent.guard]: who may sign with a lent agent."""

    default: Decision = "ask"
    """What becomes of a signature that a remote host asks for, where no rule and no `guard` of the
    node says: "ask", "allow" or "deny". Default: "ask"."""

    signatures_per_minute: Annotated[int, Field(ge=1, le=6000)] = 60
    """How many signatures one node may ask for in a minute; more are denied. 1 to 6000.
    Default: 60."""

    rules: Annotated[tuple[GuardRule, ...], Field(strict=False)] = ()
    """[[agent.guard.rules]]. Default: none."""


class AgentConfig(_Table):
    """[agent]: the SSH agent on this machine."""

    socket: UserPath | None = None
    """Path of the agent's socket. Default: what SSH_AUTH_SOCK says."""

    key_lifetime: KeyLifetime = 8 * 3600
    """How long the agent keeps a key that gpuhop adds: "8h", "30m", "2d", or seconds; loaded as
    seconds. Default: "8h"."""

    guard: GuardConfig = GuardConfig()
    """[agent.guard]. Default: ask."""


AlertName = Literal[
    "job-finished",
    "job-failed",
    "job-killed",
    "job-out-of-memory",
    "job-ended",
    "job-stalled",
    "gpu-free",
    "gpu-hot",
    "gpu-throttled",
    "gpu-ecc",
    "gpu-lost",
    "gpu-memory-full",
    "node-lost",
    "node-back",
]


class AlertsConfig(_Table):
    """[alerts]: what is told unasked, and by which ways. What does not last as long as its rule
    wants is not told."""

    off: Annotated[tuple[AlertName, ...], Field(strict=False)] = ()
    """Kinds that are not told: "job-finished", "job-failed", "job-killed", "job-out-of-memory",
    "job-ended" (how is not known), "job-stalled", "gpu-free", "gpu-hot", "gpu-throttled",
    "gpu-ecc", "gpu-lost", "gpu-memory-full", "node-lost", "node-back". Default: none."""

    mine_only: bool = True
    """Of jobs only one's own, and of heat, throttling and memory only on GPUs with one's own
    processes. Default: true."""

    users: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Users of nodes that are oneself, beside the one logged in as. Default: none."""

    hot_celsius: Annotated[int, Field(ge=30, le=150)] = 87
    """From this temperature on a GPU is hot; one that is slowed down for heat always is.
    Default: 87."""

    hot_seconds: Seconds = 30
    """How long. Default: "30s"."""

    power_cap: bool = False
    """Whether a GPU at its power cap is throttled: under full load most are. Default: false."""

    throttled_seconds: Seconds = 60
    """How long a GPU's clock has to be held down. Default: "1m"."""

    memory_full_percent: Annotated[float, Field(gt=0, le=100)] = 97.0
    """From this use on a GPU's memory is nearly full. Default: 97."""

    memory_full_seconds: Seconds = 60
    """How long. Default: "1m"."""

    node_lost_seconds: Seconds = 20
    """How long the link of a node or bastion has to be down. Default: "20s"."""

    free_seconds: Seconds = 5
    """How long a GPU that was waited for has to be free. Default: "5s"."""

    silence: Annotated[int, BeforeValidator(_duration), Field(ge=60)] = 1800
    """For how long a key silences alerts; they are logged all the same. Default: "30m"."""

    terminal: Literal["auto", "osc9", "osc99", "osc777", "bell", "off"] = "auto"
    """How the terminal is told: "osc9" (iTerm2, WezTerm, Ghostty), "osc99" (kitty), "osc777" (foot,
    urxvt), "bell"; "auto": as this terminal is known to take it, else "bell". In tmux a sequence
    passes only where its option allow-passthrough is on. Default: "auto"."""

    command: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """A program and its arguments, run without a shell for every alert; GPUHOP_TITLE, GPUHOP_WORDS,
    GPUHOP_KIND, GPUHOP_NODE and others are in its environment, and "{title}" and "{words}" in its
    arguments stand for them. It is ended after 10 s. Default: none."""

    webhook: Annotated[str, AfterValidator(_web_address)] | None = None
    """Every alert is sent to this address, as JSON by POST; "https://…" or "http://…".
    Default: none."""


class _Server(_Table):
    """What a bastion and a node have in common. Where `ssh` is given, a key that is absent has the
    value that the alias resolves to; a key that is given wins over the alias."""

    name: Name
    """How it is shown and named. Required, unique over bastions and nodes."""

    host: Host | None = None
    """Host name or address. Required where `ssh` is absent."""

    ssh: Argument | None = None
    """Alias of OpenSSH, resolved as `ssh -G` does. Required where `host` is absent."""

    port: Port | None = None
    """TCP port of the SSH server, 1 to 65535. Default: 22."""

    user: Argument | None = None
    """Login name. Default: the local login name."""

    identity_file: UserPath | None = None
    """Private key. Default: the usual ones of ~/.ssh that exist."""

    forward_agent: bool | None = None
    """Lend the agent to shells on this server. Default: false."""

    guard: Decision | None = None
    """What becomes of signatures that this server asks for, where no rule says: "ask", "allow" or
    "deny". Default: that of [agent.guard]."""

    via: Annotated[tuple[Name, ...], BeforeValidator(_one_or_many), Field(strict=False)] | None = (
        None
    )
    """Bastions before this one, outermost first; a name or a list of names. Default: none; an
    empty list beside `ssh` drops the alias's ProxyJump."""

    @model_validator(mode="after")
    def _reachable(self) -> _Server:
        if self.host is None and self.ssh is None:
            raise ValueError("needs `host` or `ssh`")
        return self


class BastionConfig(_Server):
    """[[bastions]]: an SSH server that leads to others."""

    transport: Literal["tcp", "exec"] = "tcp"
    """How the next server is reached: "tcp", a direct-tcpip channel; "exec", a relay command, where
    the bastion forbids TCP forwarding. Default: "tcp"."""


class NodeConfig(_Server):
    """[[nodes]]: an SSH server with GPUs."""

    docker_socket: Text = "/var/run/docker.sock"
    """Path of the Docker engine's socket on the node. Default: "/var/run/docker.sock"."""

    tags: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Words to filter by. Default: none."""


class BuildConfig(_Table):
    """[templates.build]: how to build a template's image on the node when it is absent."""

    dockerfile: UserPath | None = None
    """Path of a Dockerfile on this machine. Either this or `preset`."""

    preset: Text | None = None
    """Name of a Dockerfile that gpuhop brings. Either this or `dockerfile`."""

    base: Argument | None = None
    """Image that a preset builds upon. Default: the preset's own."""

    authorized_keys: Annotated[Text, AfterValidator(_agent_or_path)] = "agent"
    """Who may log in to the container: "agent", the public keys that the agent holds, or the path
    of a file of public keys. Default: "agent"."""

    @model_validator(mode="after")
    def _one_source(self) -> BuildConfig:
        if (self.dockerfile is None) == (self.preset is None):
            raise ValueError("needs either `dockerfile` or `preset`")
        return self


class TemplateConfig(_Table):
    """[[templates]]: a container as the team agreed on it."""

    name: Name
    """How it is shown and named. Required, unique over templates."""

    image: Argument
    """Image with its tag. Required."""

    gpus: Annotated[str | int | tuple[str | int, ...], BeforeValidator(_gpus)] = "all"
    """"all", a count, a list of indexes or UUIDs, or "pick" to be asked. Default: "all"."""

    shm_size: Annotated[str, AfterValidator(_size)] | None = None
    """Size of /dev/shm, such as "2gb". Default: the engine's."""

    ports: Annotated[tuple[Annotated[str, AfterValidator(_ports)], ...], Field(strict=False)] = ()
    """Published ports, "NODE_PORT:CONTAINER_PORT". Default: none."""

    volumes: Annotated[
        tuple[Annotated[str, AfterValidator(_volume)], ...], Field(strict=False)
    ] = ()
    """Mounts, "SOURCE:/TARGET[:ro]". Default: none."""

    env: dict[str, str] = Field(default_factory=dict)
    """Environment of the container. Default: none."""

    command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Program and its arguments. Default: the image's own."""

    user: Text | None = None
    """User of the container's program, "NAME" or "UID[:GID]". Default: the image's."""

    working_dir: Text | None = None
    """Directory in the container to start in. Default: the image's."""

    entrypoint: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """What runs the command, in place of the image's own entrypoint. Default: the image's."""

    restart: Annotated[str, AfterValidator(_restart)] | None = None
    """When the engine starts it again. Default: "no"."""

    ipc: Text | None = None
    """IPC namespace: "private", "shareable", "host". Default: the engine's."""

    ulimits: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Limits, such as "memlock=-1" or "nofile=1024:4096". Default: the engine's."""

    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the container. Default: gpuhop's own only."""

    ssh_port: Port | None = None
    """The node's port at which the container's own sshd answers. Default: it has none."""

    forward_agent: bool = False
    """Mount a socket of the agent into the container, which answers while the agent is lent to the
    node. Default: false."""

    build: BuildConfig | None = None
    """[templates.build]. Default: the image is pulled."""


class HistoryConfig(_Table):
    """[history]: the past of the GPUs, kept across restarts under the user's state directory."""

    keep: bool = True
    """Whether it is kept; where not, the graphs begin with each start. Default: true."""

    limit: Annotated[int, BeforeValidator(_size_in_bytes), Field(ge=1 << 20)] = 64 << 20
    """Size that its file may have, such as "64mb", at least "1mb"; the oldest goes first. Loaded as
    bytes. Default: "64mb"."""


class Config(_Table):
    """The whole file."""

    ui: UiConfig = UiConfig()
    """[ui]"""

    agent: AgentConfig = AgentConfig()
    """[agent]"""

    history: HistoryConfig = HistoryConfig()
    """[history]"""

    alerts: AlertsConfig = AlertsConfig()
    """[alerts]"""

    bastions: Annotated[tuple[BastionConfig, ...], Field(strict=False)] = ()
    """[[bastions]], in the order of the screen."""

    nodes: Annotated[tuple[NodeConfig, ...], Field(strict=False)] = ()
    """[[nodes]], in the order of the screen."""

    templates: Annotated[tuple[TemplateConfig, ...], Field(strict=False)] = ()
    """[[templates]], in the order of the screen."""
