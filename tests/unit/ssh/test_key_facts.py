"""What public keys say of themselves, against ssh-keygen."""

import base64
import subprocess

import pytest
from asyncssh.packet import String, UInt32
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.ssh.key_facts import key_facts


def keygen(*arguments):
    command = ["ssh-keygen", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def blob_of(public):
    return base64.b64decode(public.read_text().split()[1])


@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        ("ed25519", 256),
        ("rsa", 1024),
        ("rsa", 2048),
        ("ecdsa", 256),
        ("ecdsa", 384),
        ("ecdsa", 521),
    ],
)
def test_kind_size_and_fingerprint_are_those_of_ssh_keygen(tmp_path, kind, bits):
    size = () if kind == "ed25519" else ("-b", bits)
    keygen("-q", "-t", kind, *size, "-N", "", "-f", tmp_path / "key")
    facts = key_facts(blob_of(tmp_path / "key.pub"), "mine")
    said_bits, said_fingerprint, *_ = keygen("-l", "-f", tmp_path / "key.pub").split()
    assert (facts.kind, facts.bits, facts.comment) == (kind, bits, "mine")
    assert (int(said_bits), said_fingerprint) == (facts.bits, facts.fingerprint)
    assert facts.certificate is None
    assert facts.is_weak is (kind == "rsa")


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_certificate(tmp_path, kind):
    for name in ("ca", "key"):
        keygen("-q", "-t", kind, "-N", "", "-f", tmp_path / name)
    keygen("-q", "-s", tmp_path / "ca", "-I", "mira-2025", "-n", "mira,root", "-V",
           "20250101000000Z:20250102000000Z", tmp_path / "key.pub")  # fmt: skip
    plain = key_facts(blob_of(tmp_path / "key.pub"))
    facts = key_facts(blob_of(tmp_path / "key-cert.pub"))
    assert (facts.kind, facts.bits, facts.fingerprint) == (
        plain.kind,
        plain.bits,
        plain.fingerprint,
    )
    certificate = facts.certificate
    assert certificate is not None
    assert (certificate.key_id, certificate.principals) == ("mira-2025", ("mira", "root"))
    assert (certificate.valid_after, certificate.valid_before) == (1735689600, 1735776000)
    assert not certificate.is_expired(1735775999)
    assert certificate.is_expired(1735776000)


def test_a_certificate_for_ever(tmp_path):
    for name in ("ca", "key"):
        keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    keygen("-q", "-s", tmp_path / "ca", "-I", "x", tmp_path / "key.pub")
    certificate = key_facts(blob_of(tmp_path / "key-cert.pub")).certificate
    assert certificate is not None
    assert (certificate.principals, certificate.valid_before) == ((), None)


def test_a_security_key():
    blob = String(b"sk-ssh-ed25519@openssh.com") + String(b"k" * 32) + String(b"ssh:")
    facts = key_facts(blob)
    assert (facts.kind, facts.bits, facts.is_security_key) == ("ed25519-sk", 256, True)


def test_dsa_is_weak():
    numbers = [b"\0" + b"\xff" * 128, b"\0\xff", b"\2", b"\3"]
    facts = key_facts(String(b"ssh-dss") + b"".join(map(String, numbers)))
    assert (facts.kind, facts.bits, facts.is_weak) == ("dsa", 1024, True)


def test_a_kind_of_the_future_has_a_name_and_a_fingerprint():
    facts = key_facts(String(b"ssh-mldsa44") + String(b"..."))
    assert (facts.kind, facts.bits, facts.is_weak) == ("ssh-mldsa44", None, False)
    assert facts.fingerprint.startswith("SHA256:")


NAMES = st.sampled_from(
    [b"ssh-rsa", b"ecdsa-sha2-nistp256", b"ssh-ed25519-cert-v01@openssh.com", b"ssh-dss", b""]
)


@given(
    NAMES, st.lists(st.binary(max_size=12), max_size=9), st.binary(max_size=9), st.integers(0, 9)
)
def test_nothing_that_an_agent_lists_breaks_it(name, fields, rest, number):
    blob = String(name) + b"".join(map(String, fields)) + UInt32(number) + rest
    assert key_facts(blob).fingerprint.startswith("SHA256:")
    assert key_facts(rest).fingerprint.startswith("SHA256:")
