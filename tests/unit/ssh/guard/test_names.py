"""Names for host keys: of the config, of known_hosts, hashed ones too."""

import subprocess
import time
from pathlib import Path

import pytest

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.guard.host_key import HostKey, read_host_key
from gpuhop_tui.ssh.guard.names import HostNames
from gpuhop_tui.ssh.known_hosts import KnownHosts
from tests.unit.ssh.guard.parts import key

HOST, OTHER = key(), key()
TRUE = read_host_key(HOST.public_data)


def public(host) -> str:
    return " ".join(host.export_public_key().decode().split()[:2])


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def names(known: Path, host_key: HostKey = TRUE):
    hop = Hop("gpu-02", "10.0.0.2", 2222, "u", known_hosts_files=(known,))
    return HostNames(KnownHosts(), [hop]).of(host_key)


def test_a_node_of_the_config_goes_by_its_name(known):
    known.write_text(f"[10.0.0.2]:2222,gpu-two {public(HOST)}\n")
    assert names(known).names == ("gpu-02", "[10.0.0.2]:2222", "gpu-two")


def test_others_go_by_what_known_hosts_says(known):
    known.write_text(f"github.com,!no ssh-x AAAA\n# c\nbroken\ngithub.com,!no {public(HOST)} c\n")
    assert names(known).names == ("github.com",)


def test_hashed_entries_are_guessed(known):
    known.write_text(
        f"github.com {public(HOST)}\n[10.0.0.2]:2222 {public(HOST)}\nsecret {public(HOST)}\n"
    )
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert "github" not in known.read_text()
    assert names(known).names == ("gpu-02", "[10.0.0.2]:2222", "github.com")


AUTHORITY = key()


def certified(principals, **options):
    made = AUTHORITY.generate_host_certificate(HOST, "h", principals=principals, **options)
    return read_host_key(made.public_data)


def test_a_certificate_goes_by_the_hosts_that_it_is_for(known):
    known.write_text(f"@cert-authority *.example {public(AUTHORITY)}\nplain {public(HOST)}\n")
    shown = certified(["gpu-9.example", "gpu-9.elsewhere"])
    assert names(known, shown).names == ("plain", "gpu-9.example")
    assert names(known).names == ("plain",)


@pytest.mark.parametrize("principal", ["10.0.0.2", "10.0.0.*"])
def test_a_node_of_the_config_with_a_certificate(known, principal):
    known.write_text(f"@cert-authority * {public(AUTHORITY)}\n")
    assert names(known, certified([principal])).names[0] == "gpu-02"


def test_a_certificate_names_no_host_that_it_is_not_for(known):
    known.write_text(f"@cert-authority * {public(AUTHORITY)}\n")
    assert names(known, certified(["10.0.0.3"])).names == ("10.0.0.3",)
    assert names(known, certified([])).names == ()
    old = certified(["10.0.0.2"], valid_after=0, valid_before=1000)
    assert names(known, old).names == ()
    user = AUTHORITY.generate_user_certificate(HOST, "u", principals=["10.0.0.2"])
    assert names(known, read_host_key(user.public_data)).names == ()


def test_a_big_file_costs_next_to_nothing(known):
    others = [public(key()) for _ in range(20)]
    lines = [f"|1|{'A' * 27}=|{'A' * 27}= {others[i % 20]}" for i in range(10_000)]
    known.write_text("\n".join([*lines, f"[10.0.0.2]:2222 {public(HOST)}"]))
    hops = [
        Hop(f"gpu-{n:02}", f"10.0.0.{n}", 2222, "u", known_hosts_files=(known,)) for n in range(40)
    ]
    began = time.process_time()
    assert HostNames(KnownHosts(), hops).of(TRUE).names == ("gpu-02", "[10.0.0.2]:2222")
    assert time.process_time() - began < 0.5


def test_a_revoked_key(known):
    known.write_text(f"@revoked * {public(HOST)}\nold {public(HOST)}\n")
    found = names(known)
    assert found.revoked
    assert names(known, read_host_key(OTHER.public_data)).revoked is False


def test_nobody_knows_it(known):
    assert names(known).names == ()
    known.write_bytes(b"\xff\xfe\x00 garbage\n|1|x|y ssh-ed25519 AAAA\n|1| ssh-ed25519 !!\n")
    assert names(known).names == ()
