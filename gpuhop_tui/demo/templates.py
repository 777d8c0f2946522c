"""The demo's `[[templates]]`: one with an image that is there, one to pull, one to build."""

from __future__ import annotations

from gpuhop_tui.config.schema import BuildConfig, TemplateConfig

TEMPLATES = (
    TemplateConfig(
        name="pytorch",
        image="pytorch/pytorch:2.8.0-cuda12.6-cudnn9-devel",
        gpus="pick",
        shm_size="8gb",
        volumes=("/data/datasets:/mnt/data:ro",),
        command=("python", "train.py", "--config", "configs/7b.yaml"),
        working_dir="/workspace",
    ),
    TemplateConfig(
        name="vllm",
        image="vllm/vllm-openai:latest",
        gpus=1,
        shm_size="4gb",
        ports=("8001:8000",),
        command=("Qwen/Qwen3-8B",),
    ),
    TemplateConfig(
        name="pytorch-ssh",
        image="pytorch-ssh:2.8",
        gpus="pick",
        shm_size="2gb",
        ports=("2200:22",),
        ssh_port=2200,
        build=BuildConfig(preset="pytorch-ssh"),
    ),
)
