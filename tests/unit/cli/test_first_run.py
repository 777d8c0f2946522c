"""The first config: private, loadable, and never over another."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gpuhop_tui.cli.first_run import EXAMPLE, write_starter
from gpuhop_tui.config.load import load_config, parse_config


def test_the_chosen_hosts_become_nodes(tmp_path: Path) -> None:
    path = tmp_path / "gpuhop-tui" / "config.toml"
    write_starter(path, ["lab"])
    assert [(node.name, node.ssh) for node in load_config(path).nodes] == [("lab", "lab")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_host_chosen_gives_the_example(tmp_path: Path) -> None:
    path = tmp_path / "gpuhop-tui" / "config.toml"
    write_starter(path, [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_config(path).nodes == ()


def test_the_example_loads_without_its_comment_signs(tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in EXAMPLE.splitlines()[2:]]
    config = parse_config("\n".join(lines), tmp_path)
    assert [node.name for node in config.nodes] == ["gpu-01", "lab"]
    assert [bastion.name for bastion in config.bastions] == ["jump-server"]


@pytest.mark.parametrize("hosts", [[], ["lab"]])
def test_a_config_that_is_there_is_left_alone(tmp_path: Path, hosts: list[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n")
    with pytest.raises(OSError, match=str(path)):
        write_starter(path, hosts)
    assert path.read_text() == "# mine\n"
