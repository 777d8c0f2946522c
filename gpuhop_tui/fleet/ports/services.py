"""What a server is, told by its command line or by the port that it usually has.

Defaults are those of each program's own documentation: Jupyter 8888, TensorBoard 6006, the Ray
dashboard 8265, MLflow 5000, Streamlit 8501, Gradio 7860, code-server 8080, vLLM 8000, Ollama 11434.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of server. `pattern` is searched in its words, joined by spaces."""

    id: str
    name: str
    pattern: str
    port: int
    path: str = "/"  # of its first page
    browser: bool = True  # whether a browser can show it


# The first that fits wins.
SERVICES: tuple[Service, ...] = (
    Service("jupyter", "Jupyter", r"jupyter(hub-singleuser|[-_ ]?(lab|notebook|server))", 8888),
    Service("tensorboard", "TensorBoard", r"tensorboard", 6006),
    Service(
        "vscode",
        "VS Code Server",
        r"\.vscode-server.*server-main\.js|code[ -]tunnel",
        0,
        "/",
        False,
    ),
    Service("code-server", "code-server", r"(^|/| )(code-server|openvscode-server)\b", 8080),
    Service("ray", "Ray dashboard", r"ray/dashboard/dashboard\.py|ray[ /]dashboard\b", 8265),
    Service("mlflow", "MLflow", r"mlflow[ .](server|ui)|mlflow\.server", 5000),
    Service("wandb", "W&B", r"wandb[ /](server|local)\b", 8080),
    Service("streamlit", "Streamlit", r"streamlit", 8501),
    Service("gradio", "Gradio", r"gradio", 7860),
    Service("vllm", "vLLM", r"vllm[ .](serve|entrypoints)", 8000, "/docs"),
    Service("ollama", "Ollama", r"(^|/| )ollama serve", 11434),
    Service("http", "HTTP server", r"http\.server\b", 8000),
    Service("sshd", "SSH server", r"(^|/)sshd\b", 22, "/", False),
)
# Ports that say enough by themselves; 5000, 8000 and 8080 are anybody's.
_TELLING = {s.port: s for s in SERVICES if s.port not in (0, 5000, 8000, 8080)}

_PORT_OPTIONS = (
    "--port", "-p", "--ServerApp.port", "--NotebookApp.port", "--dashboard-port", "--server.port",
    "--server_port", "--port-number", "--bind-addr", "--bind", "-b",
)  # fmt: skip
_TOKEN_OPTIONS = (
    "--IdentityProvider.token", "--ServerApp.token", "--NotebookApp.token", "--LabApp.token",
)  # fmt: skip
_BASE_OPTIONS = ("--ServerApp.base_url", "--NotebookApp.base_url")
_SECRET = re.compile(r"(?i)((?:token|password|passwd|secret|api[-_]?key)[\w.-]*)([= ]+)(\S+)")
_MASK = "…"


def recognise(words: Sequence[str]) -> Service | None:
    """What runs by this command line."""
    line = " ".join(words)
    return next((each for each in SERVICES if re.search(each.pattern, line)), None)


def by_port(port: int) -> Service | None:
    """What most likely listens there, where the port says enough."""
    return _TELLING.get(port)


def port_in(words: Sequence[str]) -> int | None:
    """The port that a command line asks for."""
    found = _option(words, _PORT_OPTIONS)
    number = found.rpartition(":")[2] if found else ""
    if number.isdecimal() and 0 < int(number) < 65536:
        return int(number)
    if "http.server" in words:
        rest = [word for word in words[words.index("http.server") + 1 :] if word.isdecimal()]
        return int(rest[0]) if rest and 0 < int(rest[0]) < 65536 else None
    return None


def token_in(words: Sequence[str]) -> str | None:
    """The token of a Jupyter server that its command line gives; "": it wants none."""
    return _option(words, _TOKEN_OPTIONS)


def base_in(words: Sequence[str]) -> str:
    """The path that a Jupyter server has its pages under."""
    return _option(words, _BASE_OPTIONS) or "/"


def _option(words: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of the last of these options, as `--name=value` or `--name value`."""
    found = None
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name not in names:
            continue
        if equals:
            found = value
        elif number + 1 < len(words):
            found = words[number + 1]
    return found.strip("'\"") if found is not None else None


def without_secrets(words: Sequence[str]) -> str:
    """A command line for the screen, what looks like a secret masked."""
    return _SECRET.sub(rf"\1\2{_MASK}", " ".join(words))


def jupyter_page(base: str, token: str | None) -> str:
    """Where a browser goes: the token, which is a secret, included."""
    base = f"/{base.strip('/')}/".replace("//", "/")
    return f"{base}?token={quote(token, safe='')}" if token else base
