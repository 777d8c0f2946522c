"""How the probe gets to a node: one command that any login shell understands, and its payload.

The command finds a Python (3.6 or newer) and hands it a small loader, which runs the probe from its
cache on the node: one exec request, one round trip. Only when the cache is missing does the loader
ask for the payload on standard output (see `protocol`). Without a Python the command loops
`nvidia-smi` instead (see `smi`).
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import shlex
import zlib
from dataclasses import dataclass
from pathlib import Path

from gpuhop_tui.probe.remote import loader
from gpuhop_tui.probe.smi import APP_FIELDS, BASIC_FIELDS, GPU_FIELDS

HEARTBEAT_SECONDS = 20.0
"""The probe ends when the laptop has said nothing for this long."""

_REMOTE = Path(loader.__file__).parent

# `last` is `b=$!`, spelled so that no `!` is in it: csh would take that for its history.
# `-I`: neither the user's PYTHON* variables, nor site packages of the user, nor a json.py in the
# working directory can break the probe.
_SCRIPT = """
PATH="$PATH:/usr/local/bin:/usr/bin:/bin";
for p in python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7
 python3.6 /opt/conda/bin/python3 "$HOME/miniconda3/bin/python3" "$HOME/anaconda3/bin/python3"
 "$HOME/miniforge3/bin/python3" /usr/libexec/platform-python python; do
 if command -v "$p" >/dev/null 2>&1 && "$p" -I -c
 "import sys,json,zlib,select,ctypes,hashlib;sys.exit(sys.version_info<(3,6))"
 </dev/null >/dev/null 2>&1; then
 exec "$p" -I -c "import sys,zlib,base64;exec(zlib.decompress(base64.b64decode(sys.argv[1])));
start(sys.argv[2:])" "$1" "$2" "$3" "$4"; fi; done;
s=; for p in nvidia-smi /usr/lib/wsl/lib/nvidia-smi /usr/local/nvidia/bin/nvidia-smi
 /run/current-system/sw/bin/nvidia-smi; do
 if command -v "$p" >/dev/null 2>&1; then s=$p; break; fi; done;
echo; if [ -z "$s" ]; then echo "$5"; exit 69; fi;
t=; if command -v timeout >/dev/null 2>&1; then t="timeout $4"; fi;
full=$6; basic=$7; apps=$8; pause=$9; form=--format=csv,noheader,nounits;
a=; b=;
last=$(printf "b=\\044\\041"); halt() { if [ -n "$a" ]; then kill $a $b 2>/dev/null; a=; fi; };
trap "halt; exit 0" HUP INT TERM PIPE;
launch() { f=$full; o=$($t "$s" --query-gpu="$f" $form 2>&1 </dev/null) ||
 { f=$basic; o=$($t "$s" --query-gpu="$f" $form 2>&1 </dev/null); }; r=$?;
 if [ $r -ne 0 ]; then echo "$o" | sed "s/^/gpuhop-smi-error /"; echo "gpuhop-smi-failed $r";
 return; fi;
 "$s" --query-compute-apps="$apps" $form --loop-ms="$pause" </dev/null 2>/dev/null &
 eval "$last"; a=$b;
 "$s" --query-gpu="$f" $form --loop-ms="$pause" </dev/null 2>/dev/null & eval "$last"; };
launch; while l=$($t head -n 1) && [ -n "$l" ]; do
 if [ -n "$a" ] && kill -0 $a && kill -0 $b; then continue; fi 2>/dev/null; halt; launch;
 done; halt
"""

_NOTHING_THERE = {
    "gpuhop": 1,
    "problem": {
        "kind": "no-probe",
        "message": "There is neither Python 3.6 or newer nor nvidia-smi on this node",
        "advice": "Install python3, or put it on the PATH of non-interactive logins.",
    },
}


@dataclass(frozen=True, slots=True)
class Payload:
    """The probe as it is sent: `data` is zlib-compressed JSON, file name → source."""

    digest: str
    data: bytes

    @property
    def message(self) -> bytes:
        """What answers a loader's `need`."""
        return b"payload %d\n" % len(self.data) + self.data


@functools.cache
def sources() -> dict[str, bytes]:
    """The files that run on the node: the package `gpuhop_probe`, and pynvml beside it."""
    files = {
        f"{loader.PACKAGE}/{path.name}": path.read_bytes()
        for path in _REMOTE.glob("*.py")
        if path.name != "loader.py"
    }
    pynvml = importlib.util.find_spec("pynvml")
    if pynvml is None or pynvml.origin is None:
        raise RuntimeError("nvidia-ml-py is not installed: there is no pynvml to send")
    files["pynvml.py"] = Path(pynvml.origin).read_bytes()
    return files


@functools.cache
def payload() -> Payload:
    """The probe, packed. Takes some 50 ms the first time."""
    texts = {name: source.decode("utf-8") for name, source in sources().items()}
    packed = zlib.compress(json.dumps(texts).encode("utf-8"), 9)
    return Payload(loader.digest_of(sources()), packed)


def probe_command(interval: float = 2.0, heartbeat: float = HEARTBEAT_SECONDS) -> str:
    """The command to exec on the node; `stream.stream_samples` speaks to what it starts, and sets
    the interval, in seconds, once more.

    It fits bash, zsh, fish, csh and dash as login shells: one line, no `!`, only single quotes.
    """
    arguments = (
        _packed_loader(),
        loader.digest_of(sources()),
        f"{interval:g}",
        f"{heartbeat:g}",
        json.dumps(_NOTHING_THERE),
        ",".join(GPU_FIELDS),
        ",".join(BASIC_FIELDS),
        ",".join(APP_FIELDS),
        str(round(interval * 1000)),
    )
    script = " ".join(_SCRIPT.split())
    return " ".join(["exec sh -c", shlex.quote(script), "gpuhop-probe", *map(_quoted, arguments)])


def _quoted(argument: str) -> str:
    return f"'{argument}'"  # none of ours holds a single quote


@functools.cache
def _packed_loader() -> str:
    """The loader's source, as one word."""
    return base64.b64encode(zlib.compress(Path(loader.__file__).read_bytes(), 9)).decode("ascii")
