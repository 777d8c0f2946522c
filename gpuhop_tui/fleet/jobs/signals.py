"""Ending a job on its node: a signal to that very process, looked at right before.

POSIX shell; /proc as in proc(5), kill(1). What is in a container has a process id of the host, too.
"""

from __future__ import annotations

import shlex
from enum import Enum
from typing import Literal

from gpuhop_tui.fleet.jobs.ends import SAME_START_SECONDS
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions.in_container import DEFAULT_SOCKET, FIND_ENGINE
from gpuhop_tui.sessions.shell import Runner

SignalName = Literal["INT", "TERM", "KILL"]
SIGNALS: tuple[SignalName, ...] = ("INT", "TERM", "KILL")
"""From the polite to the last: what a job can handle, what it may, what it cannot."""

_GONE, _OTHER, _DENIED = 3, 4, 5  # exit statuses of the script


class Signalled(Enum):
    """What became of a signal."""

    SENT = "sent"
    GONE = "gone"  # the process had ended
    OTHER = "other"  # its id belongs to another process now


def may_end(job: Job, login: str) -> str | None:
    """Why the user `login` of the node may not end a job; None: he may."""
    if job.is_over:
        return "it is over"
    if job.started_at is None:
        return "the node does not tell when it began: its process id may be another's by now"
    if login == "root" or login in (job.user, job.process_user):
        return None
    owner = job.process_user or "nobody knows whom"
    return f"it belongs to {owner}, and you are {login} on {job.node}"


async def send_signal(
    shell: Runner, job: Job, name: SignalName, docker_socket: str = DEFAULT_SOCKET
) -> Signalled:
    """Sends SIGINT or SIGTERM to the root of a job, SIGKILL to all of its processes.

    Raises ProblemError where the link is not up, or the node refuses.
    """
    answer = await shell.run(signal_script(job, name, docker_socket))
    if answer.status == 0:
        return Signalled.SENT
    if answer.status in (_GONE, _OTHER):
        return Signalled.GONE if answer.status == _GONE else Signalled.OTHER
    words = " ".join(answer.text.split())[:200] or f"exit status {answer.status}"
    raise ProblemError(
        Problem(
            job.node,
            ErrorKind.NO_PERMISSION,
            f"SIG{name} to process {job.pid} on {job.node} was refused: {words}",
            "Only its own user and root may signal it.",
        )
    )


def signal_script(job: Job, name: SignalName, docker_socket: str = DEFAULT_SOCKET) -> str:
    """Exits 0 where the signal was sent. Where the node refuses, and the job is in a container, it
    is tried from in there."""
    started = int(job.started_at or 0)
    container = shlex.quote(job.container_id or "")
    return f"""
p={int(job.pid)}; s={name}; C={container}; K={shlex.quote(docker_socket)}
look() {{ read -r l < "/proc/$1/stat"; set -- ${{l##*) }}; state=$1; start=${{20}}; }} 2>/dev/null
l=; look $p; if [ -z "$start" ] || [ "$state" = Z ]; then exit {_GONE}; fi
boot=$(sed -n "s/^btime //p" /proc/stat); hz=$(getconf CLK_TCK 2>/dev/null || echo 100)
d=$((boot + start / hz - {started})); if [ ${{d#-}} -gt {int(SAME_START_SECONDS)} ]; then
 exit {_OTHER}; fi
all=" $p "
if [ $s = KILL ]; then
 pairs=$(for f in /proc/[0-9]*; do read -r l < $f/stat || continue; set -- ${{l##*) }}
  echo "${{f#/proc/}}:$2"; done 2>/dev/null)
 more=1; while [ $more = 1 ]; do more=0; for c in $pairs; do case "$all" in *" ${{c#*:}} "*)
  case "$all" in *" ${{c%:*}} "*) ;; *) all="$all${{c%:*}} "; more=1;; esac;; esac; done; done
fi
if said=$(kill -s $s $p 2>&1); then kill -s $s ${{all#* $p}} 2>/dev/null; exit 0; fi
if [ ! -d /proc/$p ]; then exit {_GONE}; fi
if [ -n "$C" ] && [ -w "$K" ]; then
 inner=$(for q in $all; do sed -n "s/^NSpid:.*[[:space:]]//p" /proc/$q/status; done 2>/dev/null)
{FIND_ENGINE}
 if again=$(E exec -u 0 "$C" sh -c "kill -s $s $(echo $inner)" 2>&1); then exit 0; fi
 said="$said; $again"
fi
echo "$said"; exit {_DENIED}
"""
