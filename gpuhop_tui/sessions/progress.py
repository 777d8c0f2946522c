"""Progress in a line of text: the bars of tqdm, rich (pip, Lightning) and Keras, and what trainers
say in words.

Only what the line says outright is taken. A line that merely looks a bit like one gives None.
"""

from __future__ import annotations

import re

from gpuhop_tui.sessions.model import Progress
from gpuhop_tui.sessions.trainers import read_trainer_line

_LINE_LIMIT = 4096
_SCALES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}

_NUMBER = r"\d+(?:\.\d+)?"
_COUNT = rf"{_NUMBER}[kKMGTP]?"
_TIME = r"\d+:\d\d(?::\d\d)?"
_RATE = rf"(?P<rate>{_NUMBER}(?:e[+-]?\d+)?|\?)\s*(?P<unit>[^\s,\]\d/]*/\s?[^\s,\]]+)"

# "desc:  45%|####5     | 450/1000 [01:23<01:42,  5.41it/s, loss=0.1]"
_TQDM = re.compile(
    rf"^(?P<label>.*?)\s*(?P<percent>\d{{1,3}})%\|[^|]*\|\s*(?P<done>{_COUNT})/(?P<total>{_COUNT})"
    rf"\s\[(?P<elapsed>{_TIME})<(?P<eta>{_TIME}|\?),\s*{_RATE}[,\]]"
)
# "desc: 450it [01:23,  5.41it/s]"
_TQDM_ENDLESS = re.compile(
    rf"^(?:(?P<label>.*?):\s+)?(?P<done>{_COUNT})[^\s\d\[]+\s\[(?P<elapsed>{_TIME}),\s*{_RATE}[,\]]"
)
# "450/1000 [=====>......] - ETA: 1:42 - loss: 0.5"
_KERAS = re.compile(
    rf"^\s*(?P<done>\d+)/(?P<total>\d+)\s\[=*>?\.*\](?:\s-\sETA:\s(?P<eta>{_TIME}|\d+s))?"
)
# "450/1000 ━━━━━━━━━━ 1:42 190ms/step - loss: 0.5"
_KERAS_3 = re.compile(
    rf"^\s*(?P<done>\d+)/(?P<total>\d+)\s━+\s(?P<time>{_TIME}|\d+s)\s"
    rf"(?P<rate>{_NUMBER})(?P<unit>(?:us|ms|s)/step)"
)
_RICH = re.compile(r"^(?P<label>.*?)\s*(?P<bar>[━╸╺]{5,})\s+(?P<rest>\S.*)$")
_RICH_PERCENT = re.compile(r"(?<![\d.])(\d{1,3})%")
_RICH_FRACTION = re.compile(
    rf"(?<![\d./])({_NUMBER})/({_NUMBER})(?![\d./])(?:\s(?:bytes|[kKMGT]i?B)\b)?"
)
_RICH_RATE = re.compile(rf"(?<![\d.])({_NUMBER})\s?([A-Za-z]+/s|s/it)\b")
_RICH_ETA = re.compile(rf"\beta\s({_TIME})")
_RICH_TIMES = re.compile(rf"({_TIME})\s•\s({_TIME}|-:--:--)")


def read_progress(line: str) -> Progress | None:
    """The progress that `line` tells, or None. tqdm's counts in k, M, G are powers of 1000."""
    if len(line) > _LINE_LIMIT:
        return None
    for read in (_tqdm, _tqdm_endless, _keras, _keras_3, _rich, read_trainer_line):
        if (progress := read(line)) is not None:
            return progress
    return None


def _tqdm(line: str) -> Progress | None:
    found = _TQDM.search(line)
    if found is None or int(found["percent"]) > 100:
        return None
    return Progress(
        percent=float(found["percent"]),
        done=_count(found["done"]),
        total=_count(found["total"]),
        rate=_rate(found["rate"]),
        rate_unit=found["unit"],
        elapsed_seconds=_seconds(found["elapsed"]),
        eta_seconds=_seconds(found["eta"]),
        label=_label(found["label"]),
    )


def _tqdm_endless(line: str) -> Progress | None:
    found = _TQDM_ENDLESS.search(line)
    if found is None:
        return None
    return Progress(
        done=_count(found["done"]),
        rate=_rate(found["rate"]),
        rate_unit=found["unit"],
        elapsed_seconds=_seconds(found["elapsed"]),
        label=_label(found["label"] or ""),
    )


def _keras(line: str) -> Progress | None:
    found = _KERAS.search(line)
    if found is None or (percent := _percent(found["done"], found["total"])) is None:
        return None
    return Progress(
        percent=percent,
        done=float(found["done"]),
        total=float(found["total"]),
        eta_seconds=_seconds(found["eta"]),
    )


def _keras_3(line: str) -> Progress | None:
    found = _KERAS_3.search(line)
    if found is None or (percent := _percent(found["done"], found["total"])) is None:
        return None
    finished = percent == 100.0  # then the time is what it took
    time = _seconds(found["time"])
    return Progress(
        percent=percent,
        done=float(found["done"]),
        total=float(found["total"]),
        rate=float(found["rate"]),
        rate_unit=found["unit"],
        elapsed_seconds=time if finished else None,
        eta_seconds=0.0 if finished else time,
    )


def _rich(line: str) -> Progress | None:
    found = _RICH.search(line)
    if found is None:
        return None
    rest = found["rest"]
    percent, fraction = _RICH_PERCENT.search(rest), _RICH_FRACTION.search(rest)
    share = float(percent[1]) if percent else _percent(*fraction.groups()) if fraction else None
    if share is None or share > 100:
        return None
    rate, eta, times = _RICH_RATE.search(rest), _RICH_ETA.search(rest), _RICH_TIMES.search(rest)
    return Progress(
        percent=share,
        done=float(fraction[1]) if fraction else None,
        total=float(fraction[2]) if fraction else None,
        rate=float(rate[1]) if rate else None,
        rate_unit=rate[2] if rate else None,
        elapsed_seconds=_seconds(times[1]) if times else None,
        eta_seconds=_seconds(eta[1] if eta else times[2] if times else None),
        label=_label(found["label"]),
    )


def _percent(done: str, total: str) -> float | None:
    """Part of the whole; None where that makes no sense."""
    if not float(total) or float(done) > float(total):
        return None
    return 100.0 * float(done) / float(total)


def _count(text: str) -> float:
    number = text.rstrip("kKMGTP")
    return float(number) * _SCALES[text[len(number) :]]


def _rate(text: str) -> float | None:
    return None if text == "?" else float(text)


def _seconds(text: str | None) -> float | None:
    """Of "1:02:03", "02:03" or "42s"; None of anything else."""
    if text is None:
        return None
    if text.endswith("s"):
        return float(text[:-1])
    parts = text.split(":")
    if not all(part.isdigit() for part in parts):
        return None
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return seconds


def _label(text: str) -> str:
    return text.strip().removesuffix(":").rstrip()
