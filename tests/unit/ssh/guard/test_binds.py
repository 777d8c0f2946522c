"""Session-binds: true, forged, cut short, replayed, out of order."""

import contextlib

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhop_tui.ssh.guard.binds import (
    MAX_BINDS,
    BindChain,
    BindError,
    UnverifiableError,
    read_bind,
)
from gpuhop_tui.ssh.guard.host_key import HostKeyError, fingerprint, read_host_key
from gpuhop_tui.ssh.guard.wire import WireError, string
from tests.unit.ssh.guard.parts import bind, key

HOST, OTHER = key(), key()
SESSION = b"s" * 32


@pytest.mark.parametrize(
    "host",
    [
        key(),
        key("ecdsa-sha2-nistp256"),
        key("ecdsa-sha2-nistp521"),
        key("ssh-rsa", key_size=2048),
    ],
    ids=lambda host: host.get_algorithm(),
)
def test_every_kind_of_host_key(host):
    algorithm = b"rsa-sha2-512" if host.get_algorithm() == "ssh-rsa" else host.sig_algorithms[0]
    read = read_bind(bind(host, SESSION, signature=host.sign(SESSION, algorithm)))
    assert read.host_key.blob == host.public_data
    assert read.host_key.fingerprint == host.get_fingerprint()
    assert (read.session_id, read.is_forwarding) == (SESSION, False)


def test_a_host_certificate_is_its_key_and_its_authority():
    authority = key()
    certificate = authority.generate_host_certificate(HOST, "h", principals=["h"])
    read = read_bind(bind(HOST, SESSION, shown=certificate.public_data))
    assert read.host_key.blob == HOST.public_data
    assert read.host_key.authority == authority.public_data


def test_a_signature_with_sha1_proves_nothing():
    host = key("ssh-rsa", key_size=2048)
    with pytest.raises(BindError):
        read_bind(bind(host, SESSION, signature=host.sign(SESSION, b"ssh-rsa")))


def test_a_bind_by_another_key_is_forged():
    with pytest.raises(BindError, match="not by that host key"):
        read_bind(bind(OTHER, SESSION, shown=HOST.public_data))


def test_a_bind_of_another_session_is_forged():
    """A signature replayed from a session that was seen elsewhere."""
    old = HOST.sign(b"o" * 32, b"ssh-ed25519")
    with pytest.raises(BindError):
        read_bind(bind(HOST, SESSION, signature=old))


def test_a_key_of_an_unknown_kind_is_no_proof_and_no_lie():
    with pytest.raises(UnverifiableError):
        read_bind(bind(HOST, SESSION, shown=string(b"ssh-future") + b"x"))


@pytest.mark.parametrize("session", [b"", b"x" * 129])
def test_a_session_id_of_an_impossible_length(session):
    with pytest.raises(BindError):
        read_bind(bind(HOST, session))


TRUE = bind(HOST, SESSION)


@given(st.integers(0, len(TRUE) - 1))
def test_every_truncation_is_refused(length):
    with pytest.raises((WireError, BindError)):
        read_bind(TRUE[:length])


@settings(max_examples=300)
@given(st.integers(0, len(TRUE) - 2), st.integers(1, 255))
def test_every_changed_byte_is_refused(place, flip):
    """But for the flag at the end, which is not signed: see `test_a_flag_can_only_lose`."""
    changed = bytearray(TRUE)
    changed[place] ^= flip
    with pytest.raises((WireError, BindError)):
        read_bind(bytes(changed))


@given(st.binary(max_size=400))
def test_garbage_raises_only_what_is_announced(garbage):
    with pytest.raises((WireError, BindError)):
        read_bind(garbage)
    with contextlib.suppress(HostKeyError):
        read_host_key(garbage)


# Chains


def read(host: asyncssh.SSHKey, session: bytes, forwarding: bool = False):
    return read_bind(bind(host, session, forwarding=forwarding))


def test_the_last_bind_names_the_destination():
    chain = BindChain(read(HOST, b"1" * 32, True))
    assert chain.destination is None
    assert chain.through == ()
    assert chain.add(read(OTHER, b"2" * 32, True))
    assert chain.add(read(HOST, b"3" * 32))
    assert chain.destination is not None
    assert chain.destination.session_id == b"3" * 32
    assert [each.host_key.blob for each in chain.through] == [OTHER.public_data]


def test_nothing_comes_after_a_login():
    chain = BindChain()
    chain.add(read(HOST, b"1" * 32))
    for later in (read(OTHER, b"2" * 32), read(OTHER, b"2" * 32, True), read(HOST, b"1" * 32)):
        with pytest.raises(BindError, match="for a login already"):
            chain.add(later)


def test_a_replayed_bind_changes_nothing():
    first = read(HOST, b"1" * 32, True)
    chain = BindChain(first)
    assert not chain.add(first)


def test_a_flag_can_only_lose():
    """The flag is not signed. Replayed as a login, the connection that forwards is no
    destination."""
    chain = BindChain(read(HOST, b"1" * 32, True))
    assert not chain.add(read(HOST, b"1" * 32, False))
    assert chain.destination is None
    assert chain.forwards(b"1" * 32)


def test_a_session_has_one_host_key():
    chain = BindChain(read(HOST, b"1" * 32, True))
    with pytest.raises(BindError, match="another host key"):
        chain.add(read(OTHER, b"1" * 32))


def test_a_chain_has_an_end():
    chain = BindChain()
    for number in range(MAX_BINDS):
        chain.add(read(HOST, bytes([number + 1]) * 32, True))
    with pytest.raises(BindError, match="in a row"):
        chain.add(read(HOST, b"x" * 32))


def test_fingerprints_are_those_of_ssh_keygen():
    assert fingerprint(HOST.public_data) == HOST.get_fingerprint()
