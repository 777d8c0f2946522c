"""What trainers say of how far they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.sessions.model import Progress
from gpuhop_tui.sessions.progress import read_progress


def of(done: float, total: float, label: str, eta: float | None = None) -> Progress:
    return Progress(100 * done / total, done, total, eta_seconds=eta, label=label)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch 3/90", of(3, 90, "epoch")),
        ("Epoch 3/10", of(3, 10, "epoch")),  # Keras, before its bar
        ("Epoch [12/100], Step [300/600], Loss: 0.1032", of(12, 100, "epoch")),
        ("2024-05-01 12:03:11,123 INFO epoch: 7/50 loss=0.31 lr=1e-4", of(7, 50, "epoch")),
        ("Step 120 of 500 | epoch 2 of 5", of(2, 5, "epoch")),
        (  # PyTorch's imagenet example
            "Epoch: [3][ 120/5005]\tTime  0.345 ( 0.412)\tLoss 5.1e+00 (5.9e+00)",
            of(120, 5005, "epoch 3"),
        ),
        (  # mmcv
            "2023-01-01 10:00:00 - mmdet - INFO - Epoch [1][50/7330]\tlr: 2.0e-02, "
            "eta: 22:38:01, time: 0.5",
            of(50, 7330, "epoch 1", 81481),
        ),
        (  # mmengine
            "01/01 10:00:00 - mmengine - INFO - Epoch(train)  [1][ 50/1000]  lr: 1e-02  "
            "eta: 1 day, 1:23:45  time: 0.1",
            of(50, 1000, "epoch 1", 91425),
        ),
        (
            "INFO - Iter(train) [  100/80000]  lr: 1e-02  eta: 3:00:00",
            of(100, 80000, "iter", 10800),
        ),
        (  # timm
            "Train: 3 [ 120/5005 (  2%)]  Loss: 6.91 (6.91)  Time: 0.345s",
            of(120, 5005, "epoch 3"),
        ),
        (  # Megatron-LM
            " iteration      100/  500000 | consumed samples:        25600 | lm loss: 6.1E+00 |",
            of(100, 500000, "iteration"),
        ),
        ("[train] global step 1200/50000 loss 2.31", of(1200, 50000, "global step")),
        (  # transformers.Trainer
            "{'loss': 0.5213, 'grad_norm': 1.21, 'learning_rate': 4.5e-05, 'epoch': 1.5}",
            Progress(done=1.5, label="epoch"),
        ),
        ("{'loss': '0.5213', 'epoch': '1.5'}", Progress(done=1.5, label="epoch")),
        (
            "{'eval_loss': 1.9, 'eval_runtime': 3.2, 'eval_steps_per_second': 9.1, 'epoch': 2.0}",
            Progress(done=2.0, label="epoch"),
        ),
    ],
)
def test_lines_of_real_trainers(line: str, expected: Progress) -> None:
    assert read_progress(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "epoch 3",
        "epoch 9/3",
        "epoch 0/0",
        "step 3/4/2024",
        "steps: 1.5/2",
        "footstep 3/4",
        "the last epoch was on 2024-05-01",
        "iter 100: loss 3.2, time 50ms",  # nanoGPT: of how many it does not say
        "{'epoch': 3}",
        "{'loss': 0.5}",
        "print({'loss': 0.5, 'epoch': 1.0})",
    ],
)
def test_what_does_not_say_how_far(line: str) -> None:
    assert read_progress(line) is None


@given(
    word=st.sampled_from(["epoch", "Epoch", "STEP", "iteration", "iter", "global_step", "batch"]),
    mark=st.sampled_from([" ", ": ", "=", " [", ": ["]),
    done=st.integers(0, 10**9),
    more=st.integers(0, 10**9),
    before=st.sampled_from(["", "INFO ", "[12:03:11] ", "│ ", "rank0: "]),
    after=st.sampled_from(["", "]", " loss 0.3", ", acc=0.7", " |"]),
)
def test_any_count_of_a_total(
    word: str, mark: str, done: int, more: int, before: str, after: str
) -> None:
    total = done + more + 1
    progress = read_progress(f"{before}{word}{mark}{done}/{total}{after}")
    assert progress is not None
    assert (progress.done, progress.total) == (done, total)


@given(st.text(alphabet="epochstEPOC [](){}':=/0123456789.,|einf-", max_size=120))
def test_anything_alike_is_read_without_a_fault(line: str) -> None:
    progress = read_progress(line)
    assert progress is None or progress.percent is None or 0 <= progress.percent <= 100
