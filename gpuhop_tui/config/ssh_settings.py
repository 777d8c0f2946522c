"""Which settings of ssh_config(5) hold for a login here, and which a person must be told of.

Every setting that `ssh -G` prints is one of three: honoured, neutral (it cannot change whether and
as whom a login succeeds, or how safe it is), or not followed. What is listed nowhere, as settings
of a newer OpenSSH, is not followed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

Dump = Mapping[str, list[str]]  # of `ssh -G`: values by keyword in lower case


def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


HONOURED = _words(
    # Read by SshOptions.
    """
    AddressFamily BindAddress CertificateFile Ciphers ConnectTimeout ForwardAgent
    GlobalKnownHostsFile HashKnownHosts Host HostKeyAlgorithms HostKeyAlias HostName
    IdentitiesOnly IdentityAgent IdentityFile KbdInteractiveAuthentication KexAlgorithms
    KnownHostsCommand MACs NumberOfPasswordPrompts PasswordAuthentication Port
    PreferredAuthentications ProxyCommand ProxyJump PubkeyAcceptedAlgorithms
    PubkeyAuthentication RevokedHostKeys StrictHostKeyChecking User UserKnownHostsFile
    """
    # Carried out by `ssh -G` itself, so that what it prints has them in it.
    """
    CanonicalDomains CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots
    CanonicalizePermittedCNAMEs IgnoreUnknown Tag
    """
)

NEUTRAL = _words(
    # What ssh itself logs and shows; here there are a log file and a screen.
    """
    FingerprintHash LogLevel LogVerbose SyslogFacility VisualHostKey WarnWeakCrypto
    """
    # One connection for many sessions is what a link is.
    """
    ControlMaster ControlPath ControlPersist
    """
    # A link has its own way to find out that a peer is dead, and to try again.
    """
    ChannelTimeout ConnectionAttempts ServerAliveCountMax ServerAliveInterval TCPKeepAlive
    """
    # How the bytes travel once the login is done.
    """
    Compression IPQoS ObscureKeystrokeTiming RekeyLimit
    """
    # What one `ssh` does besides the login: forwardings, tunnels, commands, its terminal.
    """
    ClearAllForwardings DynamicForward EnableEscapeCommandline EscapeChar ExitOnForwardFailure
    ForkAfterAuthentication ForwardX11 ForwardX11Timeout ForwardX11Trusted GatewayPorts
    LocalCommand LocalForward PermitLocalCommand PermitRemoteOpen RemoteCommand RemoteForward
    RequestTTY SendEnv SessionType StdinNull StreamLocalBindMask StreamLocalBindUnlink Tunnel
    TunnelDevice XAuthLocation
    """
    # Details of GSSAPIAuthentication and HostbasedAuthentication, which are told of themselves.
    """
    EnableSSHKeysign GSSAPIClientIdentity GSSAPIDelegateCredentials GSSAPIKexAlgorithms
    GSSAPIRenewalForcesRekey GSSAPIServerIdentity GSSAPITrustDNS HostbasedAcceptedAlgorithms
    HostbasedKeyTypes
    """
    # Keys are given to the agent as the app's own `key_lifetime` says.
    """
    AddKeysToAgent
    """
    # Keys that a server announces are never learned; a changed one stops as before.
    """
    UpdateHostKeys
    """
)

# How the manual writes the names of those not followed that it knows.
_NAMES = """
    BatchMode BindInterface CASignatureAlgorithms CheckHostIP GSSAPIAuthentication
    GSSAPIKeyExchange HostbasedAuthentication NoHostAuthenticationForLocalhost PKCS11Provider
    ProxyUseFdpass RefuseConnection RequiredRSASize SecurityKeyProvider SetEnv UseKeychain
    VerifyHostKeyDNS VersionAddendum
"""
_SPELLING = {name.lower(): name for name in _NAMES.split()}

# Debian switches GSSAPIAuthentication on for everyone; without Kerberos it does nothing.
_KERBEROS = _words("GSSAPIAuthentication GSSAPIKeyExchange")


def not_followed(options: Dump, defaults: Dump, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names of settings in `options` that differ from `defaults` and hold for nothing here."""
    names = [
        _SPELLING.get(key, key)
        for key, values in options.items()
        if key not in HONOURED and key not in NEUTRAL and not same(values, defaults.get(key))
    ]
    if not _has_kerberos(environ):
        names = [name for name in names if name.lower() not in _KERBEROS]
    return tuple(names)


def same(values: Iterable[str], others: Iterable[str] | None) -> bool:
    """Whether two values of one setting say the same, however the release spells yes and no."""
    return others is not None and [_plain(v) for v in values] == [_plain(v) for v in others]


def is_no(value: str | None) -> bool:
    return value is not None and _plain(value) == "no"


def _plain(value: str) -> str:
    return {"true": "yes", "false": "no"}.get(value, value)


def _has_kerberos(environ: Mapping[str, str]) -> bool:
    return shutil.which("klist", path=environ.get("PATH")) is not None
