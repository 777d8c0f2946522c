"""Templates to start containers from."""

from __future__ import annotations

from gpuhop_tui.config.schema import TemplateConfig

PYTORCH = TemplateConfig.model_validate(
    {
        "name": "pytorch-ssh",
        "image": "pytorch-ssh:2.8",
        "gpus": "pick",
        "shm_size": "2gb",
        "ports": ["2222:22", "8888:8888"],
        "volumes": ["/data/datasets:/mnt/data:ro", "~/runs:/runs"],
        "env": {"HF_HOME": "/mnt/data/hf"},
        "ssh_port": 2222,
        "build": {"preset": "pytorch-ssh"},
    }
)
JUPYTER = TemplateConfig.model_validate(
    {
        "name": "jupyter",
        "image": "quay.io/jupyter/pytorch-notebook:cuda12",
        "gpus": 1,
        "command": ["start.sh", "jupyter", "lab"],
    }
)
