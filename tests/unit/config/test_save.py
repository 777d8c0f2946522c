"""Saving: whole or not at all, private, and nothing lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui.config.discover import starter_config
from gpuhop_tui.config.errors import ConfigError
from gpuhop_tui.config.load import load_config
from gpuhop_tui.config.save import update_config, write_new_config

TEXT = '# mine\n[[nodes]]\nname = "n"\nhost = "h"\ntags = ["a"]\n[ui.keymap]\nretry = "r"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def set_theme(raw: dict[str, Any]) -> None:
    raw.setdefault("ui", {})["theme"] = "nord"


def test_an_edit_keeps_everything_else(file: Path) -> None:
    update_config(file, set_theme)
    new = tomllib.loads(file.read_text())
    assert new["ui"] == {"theme": "nord", "keymap": {"retry": "r"}}
    assert new["nodes"] == tomllib.loads(TEXT)["nodes"]
    assert load_config(file).ui.theme == "nord"


def test_private_with_a_backup_and_no_leftovers(file: Path) -> None:
    file.chmod(0o644)
    update_config(file, set_theme)
    backup = file.with_name("config.toml.bak")
    assert backup.read_text() == TEXT
    assert {path.name for path in file.parent.iterdir()} == {"config.toml", "config.toml.bak"}
    assert [path.stat().st_mode & 0o777 for path in (file, backup)] == [0o600, 0o600]


def test_the_backup_stays_the_text_written_by_hand(file: Path) -> None:
    update_config(file, set_theme)
    update_config(file, lambda raw: raw["ui"].update(theme="gruvbox"))
    assert file.with_name("config.toml.bak").read_text() == TEXT
    file.write_text("# by hand again\n" + file.read_text())
    update_config(file, set_theme)
    assert file.with_name("config.toml.bak").read_text().startswith("# by hand again")


def test_a_symlink_stays_and_its_target_changes(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "config.toml"
    link.parent.mkdir()
    link.symlink_to(file)
    update_config(link, set_theme)
    assert link.is_symlink()
    assert load_config(file).ui.theme == "nord"


def test_a_link_in_a_circle(tmp_path: Path) -> None:
    link = tmp_path / "config.toml"
    link.symlink_to(link)
    with pytest.raises(ConfigError):
        update_config(link, set_theme)


def test_what_would_not_load_is_not_written(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        update_config(file, lambda raw: raw["nodes"][0].update(prot=1))
    assert str(caught.value) == f'{file}: nodes[0].prot: unknown key; did you mean "port"?'
    assert file.read_text() == TEXT
    assert not file.with_name("config.toml.bak").exists()


def test_what_is_no_toml_is_not_written(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written as TOML"):
        update_config(file, lambda raw: raw.update(ui={"theme": None}))
    assert file.read_text() == TEXT


def test_a_file_that_does_not_load_is_left_alone(file: Path) -> None:
    file.write_text("[[nodes]]\n")
    with pytest.raises(ConfigError, match=":1: nodes"):
        update_config(file, set_theme)
    assert file.read_text() == "[[nodes]]\n"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    if call == "replace":
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ConfigError, match="unchanged: No space left on device"):
        update_config(file, set_theme)
    assert file.read_text() == TEXT
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be"):
        update_config(tmp_path / "file" / "config.toml", set_theme)


def test_a_read_only_directory(file: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from gpuhop_tui.config.save import update_config\n"
        "update_config(Path(sys.argv[1]), lambda raw: raw.update(ui={'theme': 'nord'}))"
    )
    # root may write anywhere, unless it gives that up
    bound = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 else []
    file.parent.chmod(0o500)
    try:
        done = subprocess.run(
            [*bound, sys.executable, "-c", script, file],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        file.parent.chmod(0o700)
    assert done.returncode == 1
    assert "ConfigError" in done.stderr
    assert "Permission denied" in done.stderr
    assert file.read_text() == TEXT


def test_the_first_config(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    write_new_config(path, starter_config(["gpu-1", "gpu-2"]))
    assert [node.ssh for node in load_config(path).nodes] == ["gpu-1", "gpu-2"]
    with pytest.raises(ConfigError, match="there is a config already"):
        write_new_config(path, {})


def test_a_name_that_is_not_unicode_is_refused_and_nothing_changes(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written as TOML"):
        update_config(file, lambda raw: raw["nodes"][0].update(name="\udc80"))
    assert file.read_text() == TEXT
    assert list(file.parent.iterdir()) == [file]
