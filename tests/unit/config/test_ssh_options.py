"""Reading what `ssh -G` prints, and the specs and tokens in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpuhop_tui.config.ssh_options import (
    Destination,
    LocalUser,
    SshOptions,
    parse_dump,
    parse_jump,
    split_paths,
)
from gpuhop_tui.config.ssh_tokens import ExpansionError, expand, expand_tilde

LOCAL = LocalUser("me", 1000, Path("/home/me"), "laptop.example.com")

words = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True)
ports = st.none() | st.integers(1, 65535)


def options(printed: str, environ: dict[str, str] | None = None) -> SshOptions:
    return SshOptions(Destination("alias"), printed, LOCAL, environ or {})


@given(st.lists(st.tuples(words, words)))
def test_dump_keeps_every_value_in_order(pairs: list[tuple[str, str]]) -> None:
    parsed = parse_dump("".join(f"{key} {value}\n" for key, value in pairs))
    assert sum(map(len, parsed.values())) == len(pairs)
    for key, values in parsed.items():
        assert values == [value for other, value in pairs if other == key]


@given(st.text())
@example("port\n port  \nport x y ")
def test_dump_of_anything(text: str) -> None:
    for values in parse_dump(text).values():
        assert all(values)


@given(st.none() | words, words | st.ip_addresses().map(str), ports, st.booleans())
def test_jump_specs(user: str | None, host: str, port: int | None, uri: bool) -> None:
    bracketed = f"[{host}]" if ":" in host else host
    text = ("ssh://" if uri else "") + (f"{user}@" if user else "") + bracketed
    text += f":{port}" if port else ""
    assert parse_jump(text) == Destination(host, user, port)


@given(st.text())
def test_a_jump_spec_is_never_an_option(text: str) -> None:
    try:
        jump = parse_jump(text)
    except ValueError:
        return
    assert not jump.host.startswith("-")
    assert not (jump.user or "").startswith("-")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh://u%40corp@h:2/", Destination("h", "u@corp", 2)),
        ("a@b@h", Destination("h", "a@b")),
        ("fe80::1%eth0", Destination("fe80::1%eth0")),
        ("[fe80::1]", Destination("fe80::1")),
    ],
)
def test_odd_jump_specs(text: str, expected: Destination) -> None:
    assert parse_jump(text) == expected


@pytest.mark.parametrize(
    "text", ["", "@h", "u@", "h:", "h:x", "h:0", "h:65536", "-J", "u@-h", "-u@h", "h;id", "[::1"]
)
def test_bad_jump_specs(text: str) -> None:
    with pytest.raises(ValueError, match="is not a jump host"):
        parse_jump(text)


@given(st.dictionaries(st.sampled_from("hpr"), st.text()), st.text())
def test_what_is_put_in_is_not_expanded_again(tokens: dict[str, str], literal: str) -> None:
    text = literal.replace("%", "%%").replace("$", "")
    for token in tokens:
        text += f"%{token}"
    assert expand(text, tokens, {}) == literal.replace("$", "") + "".join(tokens.values())


@pytest.mark.parametrize("text", ["%X", "end%", "${UNSET}", "${OPEN"])
def test_what_ssh_refuses_to_expand(text: str) -> None:
    with pytest.raises(ExpansionError):
        expand(text, {"h": "x"}, {"OPEN": "1"})


def test_tilde() -> None:
    assert expand_tilde("~/x", LOCAL.home) == "/home/me/x"
    assert expand_tilde("~root/x", LOCAL.home).endswith("/x")
    assert expand_tilde("/~/x", LOCAL.home) == "/~/x"
    with pytest.raises(ExpansionError):
        expand_tilde("~no-such-user-here/x", LOCAL.home)


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("/a /b", ["/a", "/b"]),
        ("/a dir/kh /b", ["/a dir/kh", "/b"]),
        ("~/a /b", ["~/a", "/b"]),
        ("none", ["none"]),
        ("", []),
    ],
)
def test_paths_printed_without_quotes(line: str, files: list[str]) -> None:
    assert split_paths(line) == files


@pytest.mark.parametrize("files", ["none", "/dev/null", "/dev/null /dev/null"])
def test_checking_host_keys_is_never_off(files: str) -> None:
    read = options(f"stricthostkeychecking false\nuserknownhostsfile {files}\n")
    assert read.known_hosts_files == (Path("/home/me/.ssh/known_hosts"),)


@pytest.mark.parametrize(
    ("line", "environ", "agent"),
    [
        ("", {}, None),
        ("identityagent none", {}, "none"),
        ("identityagent SSH_AUTH_SOCK", {"SSH_AUTH_SOCK": "/s"}, "/s"),
        ("identityagent SSH_AUTH_SOCK", {}, None),
        ("identityagent $MINE", {"MINE": "/m"}, "/m"),
        ("identityagent $MINE", {}, "none"),
        ("identityagent /with space/s", {}, "/with space/s"),
    ],
)
def test_identity_agent(line: str, environ: dict[str, str], agent: str | None) -> None:
    assert options(line, environ).identity_agent == agent


@pytest.mark.parametrize(
    ("value", "environ", "forward", "agent_socket"),
    [
        ("yes", {}, True, None),
        ("no", {}, False, None),
        ("/a b", {}, True, "/a b"),
        ("$MINE", {"MINE": "/m"}, True, "/m"),
        ("$MINE", {}, False, None),
    ],
)
def test_forward_agent(
    value: str, environ: dict[str, str], forward: bool, agent_socket: str | None
) -> None:
    read = options(f"forwardagent {value}", environ)
    assert (read.forward_agent, read.forward_agent_socket) == (forward, agent_socket)


@pytest.mark.parametrize(("value", "seconds"), [("none", None), ("0", None), ("60", 60.0)])
def test_connect_timeout(value: str, seconds: float | None) -> None:
    assert options(f"connecttimeout {value}").connect_timeout == seconds


def test_a_command_is_not_built_from_unsafe_names() -> None:
    read = options("hostname h\nuser $(id)\nproxycommand nc %h %p -l %r")
    with pytest.raises(ExpansionError, match="not safe in a shell"):
        _ = read.proxy_command
    assert options("user $(id)\nproxycommand nc %p").proxy_command == "nc 22"


def test_a_user_id_that_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run under an arbitrary user id."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    local = LocalUser.current()
    assert (local.name, local.home) == ("12345", Path("/"))
