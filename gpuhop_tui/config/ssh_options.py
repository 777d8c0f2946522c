"""What `ssh -G` prints, read: the options of one destination, as OpenSSH resolved them."""

from __future__ import annotations

import getpass
import hashlib
import os
import pwd
import re
import shlex
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from gpuhop_tui.config.hops import AUTH_METHODS, AddressFamily, Hop
from gpuhop_tui.config.ssh_settings import Dump, is_no, not_followed, same
from gpuhop_tui.config.ssh_tokens import ExpansionError, expand, expand_tilde

_UNSAFE = re.compile(r"['`\"$\\;&<>|(){}\s]|^-")  # what ssh.c refuses in host names
_ABOUT_A_KEY = re.compile(r"(?<!%)(?:%%)*%[Kft]")  # tokens for the key that a server has shown
_DISABLED_BY = {  # ways to log in, and what switches each off
    "publickey": "pubkeyauthentication",
    "keyboard-interactive": "kbdinteractiveauthentication",
    "password": "passwordauthentication",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """What is handed to `ssh`: an alias, or one host of a ProxyJump."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class LocalUser:
    """This machine and who is logged in, as ssh(1) sees them: the passwd entry, never $HOME."""

    name: str
    uid: int
    home: Path
    host: str

    @classmethod
    def current(cls) -> LocalUser:
        uid = os.getuid()
        try:
            entry = pwd.getpwuid(uid)
            name, home = entry.pw_name, Path(entry.pw_dir)
        except KeyError:  # a container run under a uid of no passwd entry
            name, home = _login_name(uid), home_folder()
        return cls(name, uid, home, socket.gethostname())


def home_folder() -> Path:
    """$HOME, else the passwd entry's, else the root, as of a user who has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def _login_name(uid: int) -> str:
    """$LOGNAME or $USER, or else the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(uid)


class SshOptions:
    """The options that `ssh -G` printed for `destination`; `defaults` are those of the client
    itself, `ssh -F none -G`, without which every setting counts as the client's own.

    Paths and commands are expanded when asked for; each such property raises ExpansionError where
    ssh itself would give up on an unknown token or an unset variable.
    """

    def __init__(
        self,
        destination: Destination,
        printed: str,
        local: LocalUser,
        environ: Mapping[str, str],
        defaults: Dump | None = None,
    ) -> None:
        self.destination = destination
        self._options = parse_dump(printed)
        self._defaults = self._options if defaults is None else defaults
        self._local = local
        self._environ = environ

    @property
    def host(self) -> str:
        return self._first("hostname") or self.destination.host

    @property
    def port(self) -> int:
        return int(self._first("port") or 22)

    @property
    def user(self) -> str:
        return self._first("user") or self._local.name

    @property
    def jumps(self) -> tuple[str, ...]:
        """ProxyJump, outermost first, tokens expanded."""
        jumps = self._first("proxyjump")
        if jumps is None or jumps.lower() == "none":
            return ()
        return tuple(expand(jump.strip(), self._proxy_tokens()) for jump in jumps.split(","))

    @property
    def proxy_command(self) -> str | None:
        """ProxyCommand with its tokens expanded, for the user's shell."""
        command = self._first("proxycommand")
        if command is None or command.lower() == "none":
            return None
        tokens = self._proxy_tokens()
        for token, value in tokens.items():
            if f"%{token}" in command and _UNSAFE.search(value):
                raise ExpansionError(f'"{value}" is not safe in a shell, as %{token} in {command}')
        return expand(command, tokens)

    @property
    def identity_files(self) -> tuple[Path, ...]:
        """IdentityFile: those that exist. Of a pair whose private part is missing, the `.pub`,
        which names a key that the agent holds."""
        return tuple(found for path in self._files("identityfile") if (found := existing_key(path)))

    @property
    def certificate_files(self) -> tuple[Path, ...]:
        """CertificateFile, or else the `-cert.pub` beside each IdentityFile; those that exist."""
        if self._options.get("certificatefile"):
            return tuple(path for path in self._files("certificatefile") if path.is_file())
        return certificates_beside(self._files("identityfile"))

    @property
    def identities_only(self) -> bool:
        return self._first("identitiesonly") == "yes"

    @property
    def identity_agent(self) -> str | None:
        """Socket path, "none", or None for the app's agent."""
        agent = self._first("identityagent")
        if agent is None:
            return None
        if agent == "SSH_AUTH_SOCK":
            return self._environ.get(agent) or None
        if agent.startswith("$"):
            return self._environ.get(agent[1:]) or "none"
        return expand_tilde(agent, self._local.home)

    @property
    def forward_agent(self) -> bool:
        agent = self._first("forwardagent") or "no"
        return bool(self._environ.get(agent[1:])) if agent.startswith("$") else agent != "no"

    @property
    def forward_agent_socket(self) -> str | None:
        """The agent to lend, where ForwardAgent names one."""
        agent = self._first("forwardagent") or "no"
        if agent.startswith("$"):
            return self._environ.get(agent[1:]) or None
        return expand_tilde(agent, self._local.home) if agent not in ("yes", "no") else None

    @property
    def host_key_alias(self) -> str | None:
        return self._first("hostkeyalias")

    @property
    def known_hosts_files(self) -> tuple[Path, ...]:
        """UserKnownHostsFile, then GlobalKnownHostsFile. `none` and /dev/null would switch checking
        off: where no user file is left, ~/.ssh/known_hosts is used."""
        user = self._known_hosts("userknownhostsfile")
        if not user:
            user = [self._local.home / ".ssh" / "known_hosts"]
        return tuple(dict.fromkeys(user + self._known_hosts("globalknownhostsfile")))

    @property
    def connect_timeout(self) -> float | None:
        """Seconds; None where there is none."""
        timeout = self._first("connecttimeout") or ""
        return float(timeout) if timeout.isdecimal() and int(timeout) > 0 else None

    @property
    def bind_address(self) -> str | None:
        return self._first("bindaddress")

    @property
    def address_family(self) -> AddressFamily:
        family = self._first("addressfamily")
        return "inet" if family == "inet" else "inet6" if family == "inet6" else "any"

    @property
    def auth_methods(self) -> tuple[str, ...]:
        """PreferredAuthentications, without those that are switched off or not known here."""
        preferred = self._first("preferredauthentications")
        names = [name.strip() for name in preferred.split(",")] if preferred else AUTH_METHODS
        return tuple(
            name
            for name in dict.fromkeys(names)
            if name in _DISABLED_BY and not is_no(self._first(_DISABLED_BY[name]))
        )

    @property
    def password_prompts(self) -> int:
        prompts = self._first("numberofpasswordprompts") or ""
        return int(prompts) if prompts.isdecimal() else 3

    @property
    def revoked_host_keys(self) -> Path | None:
        """RevokedHostKeys, whether it exists or not: ssh refuses every host where it does not."""
        files = self._files("revokedhostkeys")
        return files[0] if files else None

    @property
    def known_hosts_command(self) -> tuple[str, ...]:
        """KnownHostsCommand with its tokens expanded, run without a shell. Empty where it asks for
        the key that the server has shown: it is run once, before the connection."""
        command = self._first("knownhostscommand")
        if command is None or command.lower() == "none" or _ABOUT_A_KEY.search(command):
            return ()
        try:
            words = shlex.split(command, comments=True)
        except ValueError as error:
            raise ExpansionError(f"KnownHostsCommand: {error}: {command}") from None
        name = (self.host_key_alias or self.host).lower()
        if self.port != 22 and not self.host_key_alias:
            name = f"[{name}]:{self.port}"
        tokens = self._tokens() | {"H": name, "I": "HOSTNAME"}
        return tuple(expand(word, tokens) for word in words)

    @property
    def strict_host_keys(self) -> bool:
        return self._first("stricthostkeychecking") in ("yes", "true")

    @property
    def not_followed(self) -> tuple[str, ...]:
        """Settings that are not the client's own and that nothing here follows, by name."""
        names = not_followed(self._options, self._defaults, self._environ)
        if self._first("stricthostkeychecking") in ("no", "off", "false", "accept-new"):
            names += ("StrictHostKeyChecking",)
        if self._first("userknownhostsfile") and not self._known_hosts("userknownhostsfile"):
            names += ("UserKnownHostsFile",)
        if _ABOUT_A_KEY.search(self._first("knownhostscommand") or ""):
            names += ("KnownHostsCommand",)
        return names

    def hop(self, name: str) -> Hop:
        """The login that these options describe. Raises ExpansionError."""
        return Hop(
            name=name,
            host=self.host,
            port=self.port,
            user=self.user,
            forward_agent=self.forward_agent,
            forward_agent_socket=self.forward_agent_socket,
            identity_files=self.identity_files,
            certificate_files=self.certificate_files,
            identities_only=self.identities_only,
            identity_agent=self.identity_agent,
            host_key_alias=self.host_key_alias,
            known_hosts_files=self.known_hosts_files,
            proxy_command=self.proxy_command,
            connect_timeout=self.connect_timeout,
            bind_address=self.bind_address,
            address_family=self.address_family,
            auth_methods=self.auth_methods,
            hostbound=self._first("pubkeyauthentication") != "unbound",
            password_prompts=self.password_prompts,
            host_key_algorithms=self._algorithms("hostkeyalgorithms"),
            kex_algorithms=self._algorithms("kexalgorithms"),
            ciphers=self._algorithms("ciphers"),
            macs=self._algorithms("macs"),
            pubkey_algorithms=self._algorithms("pubkeyacceptedalgorithms"),
            revoked_host_keys=self.revoked_host_keys,
            known_hosts_command=self.known_hosts_command,
            strict_host_keys=self.strict_host_keys,
            hash_known_hosts=self._first("hashknownhosts") == "yes",
            not_followed=self.not_followed,
        )

    def _first(self, key: str) -> str | None:
        values = self._options.get(key)
        return values[0] if values else None

    def _algorithms(self, key: str) -> tuple[str, ...]:
        """A list of algorithms; empty where it is the client's own."""
        values = self._options.get(key, [])
        if not values or same(values, self._defaults.get(key)):
            return ()
        return tuple(values[0].split(","))

    def _known_hosts(self, key: str) -> list[Path]:
        files = split_paths(self._first(key) or "")
        expanded = [expand_tilde(file, self._local.home) for file in files if file != "none"]
        return [Path(file).absolute() for file in expanded if file != os.devnull]

    def _files(self, key: str) -> list[Path]:
        """Paths of an option that may be given several times, each once, in order."""
        tokens = self._tokens()
        paths = {
            Path(
                expand(expand_tilde(text, self._local.home), tokens, self._environ)
            ).absolute(): None
            for text in self._options.get(key, [])
            if text.lower() != "none"
        }
        return list(paths)

    def _proxy_tokens(self) -> dict[str, str]:
        return {
            "h": self.host,
            "k": self.host_key_alias or self.destination.host,
            "n": self.destination.host,
            "p": str(self.port),
            "r": self.user,
        }

    def _tokens(self) -> dict[str, str]:
        jumps = self._first("proxyjump") or ""
        connection = self._local.host + self.host + str(self.port) + self.user
        digest = hashlib.sha1(connection.encode(), usedforsecurity=False).hexdigest()
        return self._proxy_tokens() | {
            "C": self._first("controlpath") or digest,  # asked for as such; newer ssh add %j
            "L": self._local.host.partition(".")[0],
            "d": str(self._local.home),
            "i": str(self._local.uid),
            "j": jumps,
            "l": self._local.host,
            "u": self._local.name,
        }


def parse_dump(printed: str) -> dict[str, list[str]]:
    """The lines of `ssh -G`, `keyword value`, by keyword in lower case; order is kept."""
    options: dict[str, list[str]] = {}
    for line in printed.split("\n"):
        keyword, _, value = line.strip().partition(" ")
        if keyword and value.strip():
            options.setdefault(keyword.lower(), []).append(value.strip())
    return options


def parse_jump(text: str) -> Destination:
    """One host of ProxyJump: `[user@]host[:port]` or `ssh://[user@]host[:port]`, IPv6 in brackets.
    Raises ValueError."""
    is_uri = text.lower().startswith("ssh://")
    rest = text[6:].removesuffix("/") if is_uri else text
    user, at, rest = rest.rpartition("@")
    if is_uri:
        user = unquote(user.partition(";")[0])
    match = re.fullmatch(
        r"\[([^\]]+)\](?::(\d+))?|([^:\[\]]+)(?::(\d+))?|([^\[\]]*:[^\[\]]*:[^\[\]]*)", rest
    )
    if not match or (at and not user):
        raise ValueError(f'"{text}" is not a jump host')
    host = match[1] or match[3] or match[5]
    port = match[2] or match[4]
    if _UNSAFE.search(host) or user.startswith("-") or (port and not 1 <= int(port) <= 65535):
        raise ValueError(f'"{text}" is not a jump host')
    return Destination(host, user or None, int(port) if port else None)


def split_paths(text: str) -> list[str]:
    """The paths of a line that `ssh -G` joined by spaces without quoting: a word that does not
    begin like a path belongs to the one before, whose name held the space."""
    paths: list[str] = []
    for word in text.split(" "):
        if paths and not word.startswith(("/", "~")):
            paths[-1] += f" {word}"
        else:
            paths.append(word)
    return [path for path in paths if path]


def existing_key(path: Path) -> Path | None:
    """The key file, its public half where only that exists, or None."""
    public = path.with_name(path.name + ".pub")
    return path if path.is_file() else public if public.is_file() else None


def certificates_beside(identity_files: Iterable[Path]) -> tuple[Path, ...]:
    """The `-cert.pub` files that ssh looks for beside key files; those that exist."""
    beside = (path.with_name(path.name + "-cert.pub") for path in identity_files)
    return tuple(path for path in beside if path.is_file())
