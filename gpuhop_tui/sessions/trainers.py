"""How far trainers say they are in lines that are no bars: `Epoch: [3][ 120/5005]`, `epoch 3/90`.

Counts are what the line says: whether its first epoch is 0 or 1 it does not tell. Only a line that
names what it counts is taken.
"""

from __future__ import annotations

import re

from gpuhop_tui.sessions.model import Progress

_INT = r"\d{1,12}"
# Time as 1:02:03, or "1 day, 1:02:03" (str of a timedelta)
_ETA = re.compile(
    r"\beta\b[\s:=(]*(?:(?P<days>\d+) days?, )?(?P<clock>\d+:\d\d(?::\d\d)?)(?:\.\d+)?", re.I
)
# A number as it is within braces: 1.5, 5e-05, nan
_FLOAT = r"-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|nan|inf)"

# "Epoch: [3][ 120/5005]" of PyTorch's imagenet example, "Epoch(train) [3][120/5005]" of mmengine,
# "Epoch [3][120/5005]" of mmcv, "Train: 3 [ 120/5005 (  2%)]" of timm
_EPOCH_STEP = re.compile(
    rf"\b(?P<what>epoch|train)(?:\((?:train|val|test)\))?:?\s*\[?(?P<epoch>{_INT})\]?\s*"
    rf"\[\s*(?P<done>{_INT})/\s*(?P<total>{_INT})",
    re.I,
)
# "epoch 3/90", "Epoch: [3/90]", "epoch=3/90", "Epoch 3 of 90", "Iter(train) [ 100/80000]",
# " iteration      100/  500000 |" of Megatron, "step 1200/50000"
_OF = re.compile(
    rf"\b(?P<what>epoch|epochs|global[_ ]step|step|steps|iteration|iter|batch|round)"
    rf"(?:\((?:train|val|test)\))?\s*[:=#]?\s*\[?\s*(?P<done>{_INT})\s*(?:/|\sof\s)\s*"
    rf"(?P<total>{_INT})(?![\d./-])",
    re.I,
)
_EPOCH_FIRST = {"epoch": 0, "epochs": 0, "round": 1}  # the outermost count is the job's
# "{'loss': 0.52, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 1.5}" of transformers.Trainer
_TRAINER = re.compile(
    rf"^\s*\{{(?=.*'(?:loss|eval_loss|train_loss|train_runtime)':)"
    rf"(?:'[\w./-]+': (?:{_FLOAT}|'{_FLOAT}'), )*'epoch': '?(?P<epoch>\d+(?:\.\d+)?)'?\}}\s*$"
)


def read_trainer_line(line: str) -> Progress | None:
    """What a trainer's line says of how far it is, or None."""
    return _epoch_and_step(line) or _count_of(line) or _trainer(line)


def _epoch_and_step(line: str) -> Progress | None:
    found = _EPOCH_STEP.search(line)
    if found is None:
        return None
    return _progress(found["done"], found["total"], f"epoch {int(found['epoch'])}", line)


def _count_of(line: str) -> Progress | None:
    found = min(
        _OF.finditer(line),
        key=lambda each: (_EPOCH_FIRST.get(each["what"].lower(), 2), each.start()),
        default=None,
    )
    if found is None:
        return None
    label = found["what"].lower().replace("_", " ").removesuffix("s")
    return _progress(found["done"], found["total"], label, line)


def _progress(done: str, total: str, label: str, line: str) -> Progress | None:
    if not int(total) or int(done) > int(total):
        return None
    return Progress(
        percent=100.0 * int(done) / int(total),
        done=float(done),
        total=float(total),
        eta_seconds=_eta(line),
        label=label,
    )


def _eta(line: str) -> float | None:
    found = _ETA.search(line)
    if found is None:
        return None
    seconds = 0.0
    for part in found["clock"].split(":"):
        seconds = 60 * seconds + int(part)
    return seconds + 86400.0 * int(found["days"] or 0)


def _trainer(line: str) -> Progress | None:
    found = _TRAINER.search(line)
    return None if found is None else Progress(done=float(found["epoch"]), label="epoch")
