"""Progress bars as programs print them; and text that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.model import Progress
from gpuhop_tui.sessions.progress import read_progress


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (  # tqdm
            " 45%|████▌     | 450/1000 [01:23<01:42,  5.41it/s]",
            Progress(45, 450, 1000, 5.41, "it/s", 83, 102),
        ),
        (  # tqdm, nothing known yet
            "  0%|          | 0/1000 [00:00<?, ?it/s]",
            Progress(0, 0, 1000, None, "it/s", 0, None),
        ),
        (  # tqdm(ascii=True), slow, with hours and a postfix
            "train:  71%|#######1  | 71/100 [12:03:11<4:55:00, 611.03s/it, loss=0.123]",
            Progress(71, 71, 100, 611.03, "s/it", 43391, 17700, "train"),
        ),
        (  # tqdm(unit=" samples")
            "eval:  50%|█████     | 5/10 [00:01<00:01,  4.80 samples/s]",
            Progress(50, 5, 10, 4.8, "samples/s", 1, 1, "eval"),
        ),
        (  # huggingface_hub
            "model-02-of-30.safetensors:  45%|████▌     | 2.25G/5.00G [00:45<00:55, 49.8MB/s]",
            Progress(45, 2.25e9, 5e9, 49.8, "MB/s", 45, 55, "model-02-of-30.safetensors"),
        ),
        (
            "Fetching 12 files:  25%|██▌       | 3/12 [00:10<00:30,  3.33s/it]",
            Progress(25, 3, 12, 3.33, "s/it", 10, 30, "Fetching 12 files"),
        ),
        (  # transformers.Trainer
            "{'loss': 0.52, 'epoch': 0.1}   10%|█         | 100/1000 [02:00<18:00,  1.20s/it]",
            Progress(10, 100, 1000, 1.2, "s/it", 120, 1080, "{'loss': 0.52, 'epoch': 0.1}"),
        ),
        (  # PyTorch Lightning, TQDMProgressBar
            "Epoch 3:  45%|████▌     | 450/1000 [01:23<01:42,  5.41it/s, v_num=0, loss=0.31]",
            Progress(45, 450, 1000, 5.41, "it/s", 83, 102, "Epoch 3"),
        ),
        (  # PyTorch Lightning, RichProgressBar
            "Epoch 0/9  ━━━━━━━━━━━━╸━━━━━ 40/63 0:00:02 • 0:00:01 28.92it/s v_num: 0.000",
            Progress(100 * 40 / 63, 40, 63, 28.92, "it/s", 2, 1, "Epoch 0/9"),
        ),
        (  # tqdm without a total
            "lines: 12.3kit [00:05, 2.40kit/s]",
            Progress(None, 12300, None, 2.4, "kit/s", 5, None, "lines"),
        ),
        ("450it [01:23,  5.41it/s]", Progress(None, 450, None, 5.41, "it/s", 83)),
        (  # pip
            "     ━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━━━━ 276.5/755.5 MB 12.3 MB/s eta 0:00:39",
            Progress(100 * 276.5 / 755.5, 276.5, 755.5, 12.3, "MB/s", None, 39),
        ),
        (  # pip, nothing known yet
            "     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 0.0/755.5 MB ? eta -:--:--",
            Progress(0, 0, 755.5),
        ),
        (  # rich.progress: its one time may be either
            "Working... ━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  22% 0:00:08",
            Progress(22, label="Working..."),
        ),
        (  # Keras 2
            " 450/1000 [============>.................] - ETA: 1:42 - loss: 0.5",
            Progress(45, 450, 1000, eta_seconds=102),
        ),
        (  # Keras 3
            "450/1000 ━━━━━━━━━━━━━━━━━━━━ 1:42 190ms/step - loss: 0.5",
            Progress(45, 450, 1000, 190, "ms/step", None, 102),
        ),
        (
            "1000/1000 ━━━━━━━━━━━━━━━━━━━━ 12s 12ms/step - loss: 0.5",
            Progress(100, 1000, 1000, 12, "ms/step", 12, 0),
        ),
    ],
)
def test_lines_of_real_programs(line: str, expected: Progress) -> None:
    assert read_progress(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "100% of the tests passed",
        "/dev/sda1  45% /home",
        "accuracy 45%|loss 3",
        "step 450",
        "450/1000 [01:23]",
        "Filesystem 1K-blocks Used Available Use% Mounted on",
        "2024-05-01 12:03:11 INFO 5.41it/s",
        "━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
        "──────────── 45% ───────────",
        "140%|██████████| 14/10 [00:01<00:00, 9.9it/s]",
        "━━━━━━━━━━━━━━━━ 9/3 MB",
        "[ 45%] Building CXX object foo.o",
        "$ ls | head [00:01]",
    ],
)
def test_other_text_is_no_progress(line: str) -> None:
    assert read_progress(line) is None


@given(st.text(max_size=200))
def test_any_text_is_read_without_a_fault(line: str) -> None:
    progress = read_progress(line)
    assert progress is None or progress.percent is None or 0 <= progress.percent <= 100


@given(
    done=st.integers(0, 10**6),
    more=st.integers(0, 10**6),
    seconds=st.integers(1, 10**6),
    description=st.text("abc éλ/:-", max_size=20),
)
def test_what_tqdm_formats_is_read_back(
    done: int, more: int, seconds: int, description: str
) -> None:
    total = done + more + 1
    line = _tqdm_line(done, total, seconds, description)
    progress = read_progress(line)
    assert progress is not None
    assert (progress.done, progress.total) == (done, total)
    assert progress.elapsed_seconds == seconds
    assert progress.percent is not None
    assert abs(progress.percent - 100 * done / total) <= 0.5


def _tqdm_line(done: int, total: int, seconds: int, description: str) -> str:
    """As tqdm's documentation gives its bar_format: "{l_bar}{bar}{r_bar}"."""

    def interval(time: int) -> str:
        minutes, second = divmod(time, 60)
        hour, minute = divmod(minutes, 60)
        return f"{hour:d}:{minute:02d}:{second:02d}" if hour else f"{minute:02d}:{second:02d}"

    left = f"{description}: " if description else ""
    rate = done / seconds
    speed = f"{rate:5.2f}it/s" if rate >= 1 or not rate else f"{1 / rate:5.2f}s/it"
    remaining = interval(int((total - done) / rate)) if rate else "?"
    bar = f"{left}{100 * done / total:3.0f}%|█████▌    | {done}/{total} "
    return f"{bar}[{interval(seconds)}<{remaining}, {speed}]"
