"""Loading: where the file is looked for, and every message with its line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpuhop_tui.config.errors import ConfigError
from gpuhop_tui.config.load import find_config, load_config, parse_config, permission_warnings

NODE = '[[nodes]]\nname = "n"\nhost = "h"\n'
BASTION = '[[bastions]]\nname = "jump"\nhost = "j"\n'

MESSAGES = {
    "unknown key": (
        NODE + "prot = 1",
        ['config.toml:4: nodes[0].prot: unknown key; did you mean "port"?'],
    ),
    "unknown key, nothing near": (NODE + "zzz = 1", ["config.toml:4: nodes[0].zzz: unknown key"]),
    "unknown table": (
        "\n[uii]\ntheme = 'x'",
        ['config.toml:2: uii: unknown key; did you mean "ui"?'],
    ),
    "unknown key in a table of a table": (
        '[agent]\n[agent.guard]\ndefautl = "ask"',
        ['config.toml:3: agent.guard.defautl: unknown key; did you mean "default"?'],
    ),
    "unknown key of a build": (
        '[[templates]]\nname="t"\nimage="i"\n[templates.build]\npreset="p"\ndockerfil="x"',
        ['config.toml:6: templates[0].build.dockerfil: unknown key; did you mean "dockerfile"?'],
    ),
    "dotted key": (
        "agent.guard.defautl = 'ask'",
        ['config.toml:1: agent.guard.defautl: unknown key; did you mean "default"?'],
    ),
    "key in quotes": (
        NODE + '"po rt" = 1',
        ['config.toml:4: nodes[0]."po rt": unknown key; did you mean "port"?'],
    ),
    "string": ("[ui]\ntheme = 1", ["config.toml:2: ui.theme: must be a string"]),
    "whole number": (
        NODE + "port = '22'",
        ["config.toml:4: nodes[0].port: must be a whole number"],
    ),
    "float for a whole number": (
        NODE + "port = 22.5",
        ["config.toml:4: nodes[0].port: must be a whole number"],
    ),
    "number": (
        "ui.sample_interval = true",
        ["config.toml:1: ui.sample_interval: must be a number"],
    ),
    "boolean": (
        NODE + 'forward_agent = "yes"',
        ["config.toml:4: nodes[0].forward_agent: must be true or false"],
    ),
    "path": (
        NODE + "identity_file = 1",
        ["config.toml:4: nodes[0].identity_file: must be a string"],
    ),
    "list": (NODE + 'tags = "a"', ["config.toml:4: nodes[0].tags: must be a list"]),
    "element of a list": (
        NODE + 'tags = [\n  "a",\n  1,\n]',
        ["config.toml:4: nodes[0].tags[1]: must be a string"],
    ),
    "table": ("ui = 3", ["config.toml:1: ui: must be a table"]),
    "table of a list": ("nodes = ['a']", ["config.toml:1: nodes[0]: must be a table"]),
    "list of tables": ("[nodes]\nname = 'a'", ["config.toml:1: nodes: must be a list"]),
    "table of strings": ("ui.keymap = 1", ["config.toml:1: ui.keymap: must be a table"]),
    "one of": (
        '[agent.guard]\ndefault = "alow"',
        [
            'config.toml:2: agent.guard.default: must be "ask", "allow" or "deny"; '
            'did you mean "allow"?'
        ],
    ),
    "too small": (
        "ui.sample_interval = 0.1",
        ["config.toml:1: ui.sample_interval: must be at least 0.5"],
    ),
    "too large": (NODE + "port = 70000", ["config.toml:4: nodes[0].port: must be at most 65535"]),
    "duration": (
        'agent.key_lifetime = "soon"',
        [
            'config.toml:1: agent.key_lifetime: must be a duration such as "8h", "30m" or "2d", '
            "or seconds"
        ],
    ),
    "required": ("[[nodes]]\nhost = 'h'", ["config.toml:1: nodes[0]: needs `name`"]),
    "host or ssh": ("\n[[nodes]]\nname = 'n'", ["config.toml:2: nodes[0]: needs `host` or `ssh`"]),
    "option in a host": (
        "[[nodes]]\nname = 'n'\nhost = '-oX'",
        ['config.toml:3: nodes[0].host: must not begin with "-"'],
    ),
    "user in a host": (
        "[[nodes]]\nname = 'n'\nhost = 'me@h'",
        ['config.toml:3: nodes[0].host: names a user: write the part before "@" as `user`'],
    ),
    "duplicate name": (
        BASTION + NODE.replace('"n"', '"jump"'),
        ['config.toml:5: nodes[0].name: the name "jump" is taken at line 2'],
    ),
    "duplicate template": (
        '[[templates]]\nname="t"\nimage="i"\n\n[[templates]]\nimage="i"\nname="t"',
        ['config.toml:7: templates[1].name: the name "t" is taken at line 2'],
    ),
    "unknown via": (
        BASTION + NODE + 'via = "jmp"',
        ['config.toml:7: nodes[0].via: no bastion is named "jmp"; did you mean "jump"?'],
    ),
    "a node as via": (
        NODE + NODE.replace('"n"', '"m"') + 'via = ["n"]',
        ['config.toml:7: nodes[1].via[0]: no bastion is named "n"'],
    ),
    "circle": (
        BASTION + "via = 'b'\n" + '[[bastions]]\nname = "b"\nhost = "h"\nvia = ["jump"]',
        ["config.toml:4: bastions[0].via: leads in a circle: jump > b > jump"],
    ),
    "through itself": (
        BASTION + "via = 'jump'",
        ["config.toml:4: bastions[0].via: leads in a circle: jump > jump"],
    ),
    "several, in the order of the lines": (
        NODE + "port = 0\nprot = 1\nvia = 'x'",
        [
            "config.toml:4: nodes[0].port: must be at least 1",
            'config.toml:5: nodes[0].prot: unknown key; did you mean "port"?',
            'config.toml:6: nodes[0].via: no bastion is named "x"',
        ],
    ),
    "syntax": ("[ui]\ntheme = \n", ["config.toml:2:9: not TOML: invalid value"]),
    "never closed": (
        "a = [1,\n2\n",
        ["config.toml:2: not TOML: unclosed array at the end of the file"],
    ),
    "table twice": (
        "[ui]\n[agent]\n[ui]\n",
        ["config.toml:3: ui: is set a second time; first at line 1"],
    ),
    "key twice": (
        NODE + "port = 1\nhost = 'x'\n",
        ["config.toml:5: nodes[0].host: is set a second time; first at line 3"],
    ),
    "windows line ends": (
        "[ui]\r\ntheme = 1\r\n",
        ["config.toml:2: ui.theme: must be a string"],
    ),
}


@pytest.mark.parametrize(("text", "messages"), MESSAGES.values(), ids=MESSAGES.keys())
def test_messages(text: str, messages: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Path("config.toml"))
    assert str(caught.value).splitlines() == messages


def test_a_table_may_be_named_again_before_a_repeated_key() -> None:
    with pytest.raises(ConfigError, match=r":3: a\.c: is set a second time; first at line 2"):
        parse_config("a.b = 1\na.c = 2\na.c = 3", Path("config.toml"))


def test_the_findings_are_data_too() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(NODE + "prot = 1", Path("config.toml"))
    (finding,) = caught.value.findings
    assert (finding.line, finding.key, finding.nearest) == (4, "nodes[0].prot", "port")


def test_loads(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf" + (BASTION + NODE + 'via = "jump"\n').encode())
    assert load_config(file).nodes[0].via == ("jump",)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        load_config(tmp_path / "none.toml")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory, not a file"):
        load_config(tmp_path)


def test_under_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        load_config(tmp_path / "file" / "config.toml")


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"[ui]\ntheme = '\xff'\n")
    with pytest.raises(ConfigError, match=r"config\.toml:2: is not UTF-8 text"):
        load_config(file)


def test_a_large_file_is_explained_soon() -> None:
    text = "".join(NODE.replace('"n"', f'"n{number}"') for number in range(2000)) + "prot = 1"
    with pytest.raises(ConfigError, match=r":6001: nodes\[1999\]\.prot"):
        parse_config(text, Path("config.toml"))


def test_find_config_order(tmp_path: Path) -> None:
    named = {"GPUHOP_CONFIG": "/g/c.toml", "XDG_CONFIG_HOME": "/x"}
    assert find_config(Path("/e.toml"), named) == Path("/e.toml")
    assert find_config(None, named) == Path("/g/c.toml")
    assert find_config(None, {"XDG_CONFIG_HOME": "/x"}) == Path("/x/gpuhop-tui/config.toml")
    default = find_config(None, {"XDG_CONFIG_HOME": "relative is ignored"})
    assert default.is_absolute()
    assert default.parts[-2:] == ("gpuhop-tui", "config.toml")


def test_permission_warnings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    assert permission_warnings(file) == []
    file.touch()
    file.chmod(0o644)
    assert permission_warnings(file) == []
    file.chmod(0o666)
    (warning,) = permission_warnings(file)
    assert "its group and everyone" in warning
    assert f"chmod go-w {file}" in warning


def test_finding_a_config_imports_no_validation_library() -> None:
    code = (
        "import sys, gpuhop_tui.config, gpuhop_tui.config.load, gpuhop_tui.config.discover\n"
        "print([name for name in ('pydantic', 'tomli_w', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_home_of_nobody_is_a_file_that_does_not_exist() -> None:
    named = "~no-such-user/config.toml"
    assert find_config(Path(named), {}) == Path(named)
    assert find_config(None, {"GPUHOP_CONFIG": named}) == Path(named)


def test_a_number_that_is_too_long_to_read() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config("[ui]\nsample_interval = " + "1" * 5000, Path("config.toml"))
    assert str(raised.value) == "config.toml:2: holds a number that is too long"


@pytest.mark.parametrize("depth", [980, 996, 3000])
def test_keys_that_are_nested_too_deeply(depth: int) -> None:
    with pytest.raises(ConfigError):
        parse_config("a" + ".a" * depth + " = 1", Path("config.toml"))
