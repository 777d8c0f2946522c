"""What the demo promises to show."""

from __future__ import annotations

import json
from typing import Any

from gpuhop_tui.demo.scenario import BASTIONS
from gpuhop_tui.probe.remote.simulated import SimulatedSource

NODES = [node for bastion in BASTIONS for node in bastion.nodes]


def sample(spec: dict[str, Any]) -> dict[str, Any]:
    return SimulatedSource(json.dumps(spec)).read(1.0)


def test_two_bastions_and_six_nodes_of_which_one_is_down() -> None:
    assert len(BASTIONS) == 2
    assert len(NODES) == 6
    assert len({(node.host, node.port) for node in NODES}) == 6
    assert sum(node.spec is None for node in NODES) == 1


def test_every_specification_is_understood() -> None:
    documents = [sample(node.spec) for node in NODES if node.spec]
    assert not [document["problem"] for document in documents if "problem" in document]
    assert {document["source"] for document in documents} == {"simulated"}


def test_one_gpu_is_lost_one_is_split_and_some_are_free() -> None:
    gpus = [gpu for node in NODES if node.spec for gpu in sample(node.spec)["gpus"].values()]
    assert sum("lost" in gpu for gpu in gpus) == 1
    assert sum(bool(gpu.get("mig")) for gpu in gpus) == 1
    assert any(gpu.get("throttle_reasons") for gpu in gpus)
    assert any(gpu.get("processes") == {} for gpu in gpus)
