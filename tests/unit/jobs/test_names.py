"""Short names of commands, with lines as the kernel gives them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.jobs.names import is_launcher, is_spawned, short_command


@pytest.mark.parametrize(
    ("command", "short"),
    [
        ("/usr/bin/python3.10 -u /home/u/proj/train.py --cfg big.yaml",
         "python train.py --cfg big.yaml"),
        ("python -W ignore -X dev train.py", "python train.py"),
        ("python -m train --lr 1e-4", "python -m train --lr 1e-4"),
        ("python -um train", "python -m train"),
        ("python -c import torch; torch.zeros(1).cuda()",
         "python -c import torch; torch.zeros(1).cuda()"),
        ("/opt/conda/bin/python /opt/conda/bin/torchrun --nproc_per_node=8 --standalone train.py "
         "--cfg a.yaml", "torchrun train.py --cfg a.yaml"),
        ("python3 -m torch.distributed.run --nnodes 2 --nproc-per-node 8 -m proj.train --lr 1",
         "torchrun proj.train --lr 1"),
        ("accelerate launch --multi_gpu --num_processes 4 train.py", "accelerate launch train.py"),
        ("/usr/bin/env CUDA_VISIBLE_DEVICES=0,1 python train.py", "python train.py"),
        ("nohup nice -n 10 python train.py", "python train.py"),
        ("deepspeed --num_gpus 8 /srv/code/run.py --zero 3", "deepspeed run.py --zero 3"),
        ("mpirun -np 8 --allow-run-as-root /usr/bin/python3 /a/b/train.py x",
         "mpirun train.py x"),
        ("VLLM::EngineCore", "VLLM::EngineCore"),
        ("ray::Worker.train", "ray::Worker.train"),
        ("/usr/lib/xorg/Xorg -core :0", "Xorg -core :0"),
        ("[python]", "[python]"),
        ("python", "python"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_short_name(command: str, short: str) -> None:
    assert short_command(command) == short


def test_launchers_are_told_from_what_they_launch() -> None:
    assert is_launcher("/opt/bin/python /opt/bin/torchrun --nproc_per_node 2 train.py")
    assert is_launcher("python -m torch.distributed.run train.py")
    assert not is_launcher("python -u train.py --local-rank=0")


def test_children_of_multiprocessing_are_known() -> None:
    line = "/usr/bin/python -c from multiprocessing.spawn import spawn_main; spawn_main(a=7)"
    assert is_spawned(f"{line} --multiprocessing-fork")
    assert not is_spawned("python train.py")


@given(st.text(max_size=200))
def test_any_line_has_a_name(command: str) -> None:
    assert isinstance(short_command(command), str)
