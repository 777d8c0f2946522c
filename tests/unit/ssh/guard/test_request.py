"""What is signed is a login, an SSH signature or unknown, and never two of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.ssh.guard.request import (
    Login,
    SignRequest,
    SshSignature,
    Unknown,
    purpose_of,
    read_sign,
)
from gpuhop_tui.ssh.guard.wire import WireError
from tests.unit.ssh.guard.parts import key, login, sign, sshsig

KEY = key().public_data
SESSION = b"s" * 32


def purpose(data: bytes, user_key: bytes = KEY):
    return purpose_of(read_sign(sign(user_key, data)))


def test_a_login():
    assert purpose(login(KEY, SESSION)) == Login(SESSION, "git", None)
    assert purpose(login(KEY, SESSION, host_key=b"hk")) == Login(SESSION, "git", b"hk")


def test_a_login_by_certificate():
    """ssh shows the certificate and has the agent sign with the plain key, or with the
    certificate."""
    user = key()
    certificate = key().generate_user_certificate(user, "u", principals=["u"]).public_data
    assert isinstance(purpose(login(certificate, SESSION), user.public_data), Login)
    assert isinstance(purpose(login(certificate, SESSION), certificate), Login)


@pytest.mark.parametrize(
    "data",
    [
        login(KEY, SESSION, service=b"ssh-userauth"),
        login(KEY, SESSION, signed=False),
        login(KEY, SESSION, method=b"hostbased"),
        login(KEY, SESSION, rest=b"more"),
        login(KEY, b""),
        login(KEY, SESSION, user=b""),
        login(KEY, SESSION, user=b"u" * 257),
        login(key().public_data, SESSION),
        sshsig(b""),
        sshsig() + b"more",
        sshsig()[:-1],
        b"",
        b"tbs certificate",
    ],
    ids=range(13),  # the bytes differ in each process
)
def test_what_is_not_exactly_one_of_them_is_unknown(data):
    assert purpose(data) == Unknown()


def test_an_ssh_signature():
    assert purpose(sshsig(b"git")) == SshSignature("git")


@given(st.binary(max_size=300))
def test_garbage(garbage):
    try:
        request = read_sign(garbage)
    except WireError:
        request = SignRequest(KEY, garbage)
    purpose_of(request)
