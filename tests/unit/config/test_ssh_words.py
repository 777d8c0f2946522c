"""Values of ssh_config, read back by the real OpenSSH client."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuhop_tui.config.ssh_words import InexpressibleError, command, host_name, literal

SSH = shutil.which("ssh")
needs_ssh = pytest.mark.skipif(SSH is None, reason="needs an OpenSSH client")
TEXTS = st.text(st.sampled_from(list("ab0 %$\\\"'#=*?!,;{}~-/é")), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text and "${" not in text
)


def resolved(folder: Path, line: str) -> dict[str, str]:
    file = folder / "config"
    file.write_text(f"Host a\n    {line}\n")
    done = subprocess.run(
        [str(SSH), "-F", str(file), "-G", "a"], capture_output=True, text=True, check=True
    )
    return dict(row.split(" ", 1) for row in done.stdout.splitlines() if " " in row)


@needs_ssh
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=TEXTS)
def test_a_path_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    path = f"/keys/{name}"
    printed = resolved(tmp_path, f"IdentityFile {literal(path)}")["identityfile"]
    assert printed.replace("%%", "%") == path


@needs_ssh
def test_a_command_keeps_its_quotes(tmp_path: Path) -> None:
    said = """ssh b 'sh -c '"'"'v=%s; nc $v "x" # y'"'"''"""
    printed = resolved(tmp_path, f"ProxyCommand {command(said)}")["proxycommand"]
    assert printed == said.replace("%", "%%")


@pytest.mark.parametrize("text", ["/a\nb", "/a\0", "/${HOME}/x"])
def test_what_no_line_can_say(text: str) -> None:
    with pytest.raises(InexpressibleError):
        literal(text)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("gpu-01", "gpu-01"),
        ("my node", "my-node"),
        ("user@jump:2200", "user-jump-2200"),
        ("jump (jump 2)", "jump-jump-2"),
        ("node*?!", "node"),
        ("北京", "host"),
    ],
)
def test_a_name_becomes_one_that_ssh_takes(name: str, host: str) -> None:
    assert host_name(name) == host
