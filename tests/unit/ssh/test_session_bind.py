"""What the bind relies on in asyncssh, and what is made of it.

Where one of the first tests fails after an update of asyncssh, `ssh/session_bind.py` and
`ssh/hostbound.py` have to be fitted to it: without them keys for certain destinations are refused.
"""

import inspect

import asyncssh
import pytest
from asyncssh.auth import ClientAuth
from asyncssh.connection import SSHClientConnection
from asyncssh.constants import MSG_EXT_INFO
from asyncssh.kex import get_kex_algs
from asyncssh.packet import Byte, SSHPacket, String, UInt32
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.ssh.hostbound import sign_hostbound
from gpuhop_tui.ssh.session_bind import HOSTBOUND, Handshake, SessionBind, _extensions

KEX = (
    "curve25519-sha256",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group-exchange-sha256",
    "rsa2048-sha256",
    *(name.decode() for name in get_kex_algs() if name.startswith((b"mlkem", b"sntrup"))),
)


# asyncssh


def parameters(function):
    return {name: each.kind.name for name, each in inspect.signature(function).parameters.items()}


def test_asyncssh_has_what_is_wrapped():
    positional, more, named = "POSITIONAL_OR_KEYWORD", "VAR_POSITIONAL", "KEYWORD_ONLY"
    assert parameters(SSHClientConnection.validate_server_host_key) == {
        "self": positional,
        "key_data": positional,
    }
    assert parameters(SSHClientConnection.send_userauth_request) == {
        "self": positional,
        "method": positional,
        "args": more,
        "key": named,
        "trivial": named,
    }
    assert parameters(asyncssh.SSHAgentClient._make_request) == {
        "self": positional,
        "msgtype": positional,
        "args": more,
    }
    assert list(parameters(SSHClientConnection._packet_handlers[MSG_EXT_INFO])) == [
        "self",
        "_pkttype",
        "_pktid",
        "packet",
    ]
    assert "self._conn.send_userauth_request(" in inspect.getsource(ClientAuth.send_request)


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
@pytest.mark.parametrize("kex", KEX)
async def test_every_key_exchange_of_asyncssh_gives_a_bind(kex):
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    seen = []

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username):
            return False

    class Client(asyncssh.SSHClient):
        def connection_made(self, conn):
            seen.append(Handshake.of(conn))

    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[host_key], kex_algs=[kex]
    )
    async with server:
        connection = await asyncssh.connect(
            "127.0.0.1",
            server.get_port(),
            client_factory=Client,
            config=None,
            known_hosts=([host_key.convert_to_public()], [], []),
            client_keys=None,
            agent_path=None,
            kex_algs=[kex],
        )
        async with connection:
            (handshake,) = seen
            bind = handshake.bind
            assert bind is not None
            assert bind.host_key == host_key.public_data
            assert bind.session_id == connection._session_id
            assert host_key.convert_to_public().verify(bind.session_id, bind.signature)
            assert not handshake.hostbound  # asyncssh's server does not announce it


# What is made of it


class Key:
    """A host key whose signatures are the data backwards."""

    name = "the key"

    def verify(self, data, signature):
        return signature == data[::-1]


class Connection:
    def __init__(self):
        self.sent = []
        self.handled = []
        self._packet_handlers = {MSG_EXT_INFO: self.handle, 20: "another"}

    def validate_server_host_key(self, key_data):
        return Key()

    def handle(self, owner, kind, number, packet):
        self.handled.append((owner, kind, number, packet.get_remaining_payload()))

    async def send_userauth_request(self, method, *args, key=None, trivial=True):
        self.sent.append((method, args, key, trivial))

    def receive_extensions(self, payload):
        self._packet_handlers[MSG_EXT_INFO](self, MSG_EXT_INFO, 3, packet(payload))


def packet(payload):
    """As asyncssh hands it over: the kind is read already."""
    received = SSHPacket(payload)
    received.get_byte()
    return received


def extensions(**pairs):
    names = {"hostbound": HOSTBOUND, "sig_algs": b"server-sig-algs"}
    body = b"".join(String(names[name]) + String(value) for name, value in pairs.items())
    return Byte(MSG_EXT_INFO) + UInt32(len(pairs)) + body


def test_only_a_verified_signature_of_the_first_exchange_binds():
    connection = Connection()
    handshake = Handshake.of(connection)
    key = connection.validate_server_host_key(b"blob")
    assert key.name == "the key"
    assert not key.verify(b"id", b"forged")
    assert handshake.bind is None
    assert key.verify(b"id", b"di")
    assert handshake.bind == SessionBind(b"blob", b"id", b"di")
    assert connection.validate_server_host_key(b"later").verify(b"rekey", b"yeker")
    assert handshake.bind == SessionBind(b"blob", b"id", b"di")


@pytest.mark.parametrize(("value", "taken"), [(b"0", True), (b"1", False), (b"", False)])
def test_the_servers_offer_of_hostbound(value, taken):
    connection = Connection()
    handshake = Handshake.of(connection)
    connection.validate_server_host_key(b"blob").verify(b"id", b"di")
    payload = extensions(sig_algs=b"ssh-ed25519", hostbound=value)
    connection.receive_extensions(payload)
    assert handshake.hostbound is taken
    assert connection.handled == [(connection, MSG_EXT_INFO, 3, payload[1:])]
    assert connection._packet_handlers[20] == "another"


def test_an_offer_before_the_key_exchange_counts_for_nothing():
    connection = Connection()
    handshake = Handshake.of(connection)
    connection.receive_extensions(extensions(hostbound=b"0"))
    assert not handshake.hostbound


async def test_only_signed_requests_by_key_name_the_host_key():
    connection = Connection()
    handshake = Handshake()
    sign_hostbound(connection, handshake)
    await connection.send_userauth_request(b"publickey", b"1", key="key", trivial=False)
    handshake.hostbound = True
    await connection.send_userauth_request(b"publickey", b"2", key="key", trivial=False)
    handshake.bind = SessionBind(b"blob", b"id", b"di")
    await connection.send_userauth_request(b"publickey", b"3", key="key", trivial=False)
    await connection.send_userauth_request(b"publickey", b"4")
    await connection.send_userauth_request(b"gssapi-keyex", b"5", key="key")
    named = b"\0\0\0\4blob"
    assert connection.sent == [
        (b"publickey", (b"1",), "key", False),
        (b"publickey", (b"2",), "key", False),
        (b"publickey-hostbound-v00@openssh.com", (b"3", named), "key", False),
        (b"publickey", (b"4",), None, True),
        (b"gssapi-keyex", (b"5",), "key", True),
    ]


def test_the_message_is_as_openssh_writes_it_down():
    message = SessionBind(b"key", b"id", b"sig").request(forwarding=True)
    kind, body = message[0], SSHPacket(message[1:])
    assert kind == 27
    fields = [body.get_string() for _ in range(4)]
    assert fields == [b"session-bind@openssh.com", b"key", b"id", b"sig"]
    assert body.get_boolean() is True
    body.check_end()


@given(st.binary(max_size=200))
def test_broken_extensions_are_none(payload):
    assert isinstance(_extensions(payload), dict)


@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=40), max_size=8))
def test_extensions_are_read_whole(pairs):
    body = b"".join(String(name) + String(value) for name, value in pairs.items())
    assert _extensions(Byte(7) + UInt32(len(pairs)) + body) == pairs
