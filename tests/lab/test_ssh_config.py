"""`ssh-config` and `import` with a real ssh: it reaches what gpuhop reaches, and back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from tests.lab.fixtures import require_lab
from tests.lab.machine import Spec
from tests.lab.world import World


@pytest.fixture(scope="module")
def fleet() -> Iterator[World]:
    """Nodes behind one bastion, behind two, and behind one that forbids forwarding."""
    require_lab()
    bastions = [
        Spec("outer"),
        Spec("inner", via="outer", port=2222, user="hopper"),
        Spec("strict", sshd={"AllowTcpForwarding": "no"}, hide=("nc*", "socat")),
    ]
    nodes = [
        Spec("near", via="outer"),
        Spec("deep", via="inner", user="gpu-user", port=2022),
        Spec("relayed", via="strict"),
    ]
    with World(bastions, nodes) as world:
        world["near"].add_sshd(2222).start()  # stands for a container's
        config = world.config(
            templates=[{"name": "torch", "image": "i", "ssh_port": 2222, "user": "researcher"}]
        )
        for entry in config["bastions"]:
            if entry["name"] == "strict":
                entry["transport"] = "exec"
        world.laptop.write_config(config)
        world.laptop.write_ssh_config(
            f"Host *\n  UserKnownHostsFile {world.laptop.known_hosts}\n  BatchMode yes\n"
        )
        yield world


def test_ssh_reaches_every_entry(fleet: World) -> None:
    laptop = fleet.laptop
    before = (laptop.ssh_dir / "config").read_text()
    printed = laptop.run(["gpuhop-tui", "ssh-config"]).stdout
    done = laptop.run(["gpuhop-tui", "ssh-config", "--install"])
    assert "added one Include line" in done.stdout
    assert (laptop.ssh_dir / "gpuhop-tui.conf").read_text() == printed
    assert (laptop.ssh_dir / "config").read_text().endswith(before)
    again = laptop.run(["gpuhop-tui", "ssh-config", "--install"])
    assert "is as it should be" in again.stdout
    for name in ("outer", "inner", "near", "deep", "relayed"):
        assert laptop.run(["ssh", name, "hostname"]).stdout.strip() == name
    inside = ["ssh", "-o", "StrictHostKeyChecking=accept-new", "near-torch", "hostname"]
    assert laptop.run(inside).stdout.strip() == "near"


def test_what_was_exported_is_not_imported_again(fleet: World) -> None:
    done = fleet.laptop.run(["gpuhop-tui", "import"])
    assert tomllib.loads(done.stdout) == {}


def test_hosts_of_ssh_config_become_a_config(fleet: World) -> None:
    laptop = fleet.laptop
    alias = laptop.write_ssh_config(fleet.ssh_config())
    path = laptop.home / "imported.toml"
    laptop.run(["gpuhop-tui", "import", "--write", "--config", path])
    written = tomllib.loads(path.read_text())
    assert [each["name"] for each in written["bastions"]] == ["outer", "inner", "strict"]
    assert [each["name"] for each in written["nodes"]] == ["near", "deep", "relayed"]
    done = laptop.run(["gpuhop-tui", "hop", "--config", path, "deep", "--", "hostname"])
    assert done.stdout.strip() == "deep"
    again = laptop.run(["gpuhop-tui", "import", "--write", "--config", path])
    assert "nothing to add" in again.stdout
    assert tomllib.loads(path.read_text()) == written
    assert alias.read_text() == fleet.ssh_config()


def test_a_host_that_is_not_there_has_its_nearest_named(fleet: World) -> None:
    done = fleet.laptop.run(["gpuhop-tui", "import", "dep"], check=False)
    assert done.returncode == 2
    assert "did you mean 'deep'?" in done.stderr
