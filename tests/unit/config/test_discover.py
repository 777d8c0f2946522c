"""Hosts of an ssh_config, to be offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.config.discover import ssh_config_hosts, starter_config
from gpuhop_tui.config.schema import Config


def hosts(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "config"
    file.write_text(text)
    return ssh_config_hosts(file)


def test_concrete_aliases_in_order(tmp_path: Path) -> None:
    text = """
    # Host commented
    Host gpu-1 gpu-2  # trailing
      HostName 10.0.0.1
    host=lower
    HOST = "quoted"
    Host *.example.com gpu-? !gpu-3 concrete gpu-1
    Match host never
    HostName not-an-alias
    Host *
    """
    assert hosts(tmp_path, text) == ["gpu-1", "gpu-2", "lower", "quoted", "concrete"]


def test_include(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b").write_text("Host b\n")
    (tmp_path / "conf.d" / "a").write_text(f"Host a\nInclude {tmp_path}/config\n")
    (tmp_path / "other file").write_text("Host other\n")
    text = 'Host first\nInclude conf.d/* "other file" missing ~no-such-user/x\nHost last\n'
    assert hosts(tmp_path, text) == ["first", "a", "b", "other", "last"]


def test_home_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ssh_config_hosts() == []
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host here\n")
    assert ssh_config_hosts() == ["here"]


def test_a_directory_and_binary_have_none(tmp_path: Path) -> None:
    assert ssh_config_hosts(tmp_path) == []
    (tmp_path / "config").write_bytes(b"Host \xff\x00 ok\n\x00")
    assert "ok" in ssh_config_hosts(tmp_path / "config")


@given(st.text())
def test_whatever_is_found_makes_a_config(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("ssh") / "config"
    file.write_text(f"Host {text}\n", encoding="utf-8", errors="replace")
    found = ssh_config_hosts(file)
    assert len(Config.model_validate(starter_config(found)).nodes) == len(found)


def test_a_user_without_a_home_has_no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert ssh_config_hosts() == []
