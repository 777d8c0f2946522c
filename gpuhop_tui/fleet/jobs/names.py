"""Short names for what people run: `python train.py --cfg big.yaml`, `torchrun train.py`.

A command line comes from the kernel as one line, its words parted by blanks: quotes are gone.
Interpreters and launchers lose their path and the options that are about themselves; the program
and its own arguments stay.
"""

from __future__ import annotations

import re

_PYTHON = re.compile(r"(?:pypy|python)[\d.]*(?:t|w)?")
_PYTHON_VALUES = {"-W", "-X", "--check-hash-based-pycs"}  # options that take a word of their own
_MODULES = {  # what `python -m MODULE` is better known as
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torchrun",
    "accelerate.commands.launch": "accelerate launch",
    "accelerate.commands.accelerate_cli": "accelerate",
    "deepspeed.launcher.launch": "deepspeed",
    "deepspeed.launcher.runner": "deepspeed",
}
LAUNCHERS = frozenset(
    {"torchrun", "accelerate", "deepspeed", "horovodrun", "mpirun", "mpiexec", "srun", "composer"}
)
"""Programs that start a process a GPU, and are never the job themselves."""

_LAUNCHER_FLAGS = frozenset(
    {
        "--standalone",
        "--multi_gpu",
        "--multi-gpu",
        "--use_deepspeed",
        "--use_fsdp",
        "--no_python",
        "--module",
        "-m",
        "--allow-run-as-root",
        "--oversubscribe",
    }
)
_WRAPPERS = frozenset({"nohup", "time", "nice", "ionice", "setsid", "stdbuf", "env", "exec"})
_SPAWNED = re.compile(r"-c from multiprocessing\.\w+ import \w+")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=\S*")


def short_command(command: str) -> str:
    """`command` without paths, interpreter options and launcher options."""
    words = command.split()
    while words and (_base(words[0]) in _WRAPPERS or _ASSIGNMENT.fullmatch(words[0])):
        words = _after_options(words[1:])
    if not words or words[0].startswith("["):  # a kernel's name for what has no command line
        return command.strip()
    program, rest = _base(words[0]), words[1:]
    if _PYTHON.fullmatch(program):
        return _python(rest)
    if program in LAUNCHERS:
        return _launched(program, rest)
    return " ".join([program, *rest])


def is_launcher(command: str) -> bool:
    """Whether this starts the ranks of a job rather than being one of them."""
    return short_command(command).split(" ", 1)[0] in LAUNCHERS


def is_spawned(command: str) -> bool:
    """Whether `multiprocessing` started this: a data loader, or its resource tracker."""
    return _SPAWNED.search(command) is not None


def _python(words: list[str]) -> str:
    """What follows the word `python`: python(1)."""
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c", "-"):
        taken = 2 if words[0] in _PYTHON_VALUES else 1
        if words[0][-1] in "mc" and re.fullmatch(r"-[bBdEhiIOPqsSuvx]+[mc]", words[0]):
            words = [f"-{words[0][-1]}", *words[1:]]  # -um MODULE
            break
        words = words[taken:]
    if not words:
        return "python"
    if words[0] == "-m" and len(words) > 1:
        known = _MODULES.get(words[1])
        if known is not None:
            return _launched(known, words[2:])
        return " ".join(["python -m", *words[1:]])
    if words[0] == "-c":
        return " ".join(["python -c", *words[1:]])
    script = _base(words[0])
    if script in LAUNCHERS:  # console scripts run as `python /…/bin/torchrun`
        return _launched(script, words[1:])
    return " ".join(["python", script, *words[1:]])


def _launched(launcher: str, words: list[str]) -> str:
    """A launcher and what it launches, without its own options."""
    if launcher == "accelerate" and words[:1] == ["launch"]:
        launcher, words = "accelerate launch", words[1:]
    words = _after_options(words)
    if words and _PYTHON.fullmatch(_base(words[0])):
        words = _python(words[1:]).split()[1:]
    elif words:
        words = [_base(words[0]), *words[1:]]
    return " ".join([launcher, *words])


def _after_options(words: list[str]) -> list[str]:
    """The words from the first program on. An option without `=` takes the next word, unless that
    is an option, or it is known to take none."""
    while words and words[0].startswith("-"):
        alone = "=" in words[0] or words[0] in _LAUNCHER_FLAGS
        followed = len(words) > 1 and not words[1].startswith("-")
        words = words[1 if alone or not followed else 2 :]
    return words


def _base(word: str) -> str:
    return word.rsplit("/", 1)[-1] or word
