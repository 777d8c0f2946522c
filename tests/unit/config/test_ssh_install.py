"""The file of entries, and the one line in the user's ssh_config."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from gpuhop_tui.config.ssh_export import MARK
from gpuhop_tui.config.ssh_install import InstallError, entries_file, install

TEXT = f"{MARK} from x\n\nHost gpu-01\n    HostName 10.0.0.50\n"
MINE = "# my hosts\r\nHost *\n\tUser bob  \n\n\nMatch all\n Port 9"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def asked(config: Path, host: str) -> str:
    """HostName by a real ssh; Include is relative to the home of the user, so it is replaced."""
    whole = config.read_text(errors="replace").replace(
        "Include gpuhop", f"Include {config.parent}/gpuhop"
    )
    copy = config.with_name("whole")
    copy.write_text(whole)
    done = subprocess.run(
        ["ssh", "-F", str(copy), "-G", host], capture_output=True, text=True, check=True
    )
    return next(line for line in done.stdout.splitlines() if line.startswith("hostname "))


def test_a_first_install(tmp_path: Path) -> None:
    done = install(TEXT, tmp_path / ".ssh")
    config = tmp_path / ".ssh" / "config"
    assert done.file.read_text() == TEXT
    assert (mode(done.file), mode(config), mode(tmp_path / ".ssh")) == (0o600, 0o600, 0o700)
    assert config.read_text().splitlines()[-1] == "Include gpuhop-tui.conf"
    assert asked(config, "gpu-01") == "hostname 10.0.0.50"


def test_nothing_else_is_rewritten(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_bytes(MINE.encode() + b"\n# \xff\n")
    config.chmod(0o644)
    done = install(TEXT, tmp_path)
    assert config.read_bytes().endswith(MINE.encode() + b"\n# \xff\n")
    assert mode(config) == 0o644
    assert (tmp_path / "config.before-gpuhop-tui").read_bytes() == MINE.encode() + b"\n# \xff\n"
    assert len(done.changes) == 3
    assert asked(config, "gpu-01") == "hostname 10.0.0.50"


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(MINE)
    install(TEXT, tmp_path)
    before = {path: (path.read_bytes(), path.stat()) for path in tmp_path.iterdir()}
    assert install(TEXT, tmp_path).changes == ()
    assert {path: (path.read_bytes(), path.stat()) for path in tmp_path.iterdir()} == before


def test_new_entries_leave_the_config_alone(tmp_path: Path) -> None:
    install(TEXT, tmp_path)
    config = (tmp_path / "config").stat()
    assert len(install(TEXT + "# more\n", tmp_path).changes) == 1
    assert (tmp_path / "config").stat() == config


@pytest.mark.parametrize("line", ["Include *.conf", 'include="gpuhop-tui.conf"', "Include {file}"])
def test_an_include_of_the_users_own_will_do(tmp_path: Path, line: str) -> None:
    config = tmp_path / "config"
    config.write_text(line.format(file=entries_file(tmp_path)) + "\nHost *\n")
    install(TEXT, tmp_path)
    assert "Hosts of gpuhop-tui" not in config.read_text()


def test_an_include_that_holds_for_one_host_will_not_do(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host x\n  Include gpuhop-tui.conf\n")
    install(TEXT, tmp_path)
    assert (tmp_path / "config").read_text().count("Include gpuhop-tui.conf") == 2


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "ssh_config"
    real.write_bytes(MINE.encode())
    (tmp_path / ".ssh").mkdir(0o700)
    (tmp_path / ".ssh" / "config").symlink_to("../dotfiles/ssh_config")
    install(TEXT, tmp_path / ".ssh")
    assert (tmp_path / ".ssh" / "config").readlink() == Path("../dotfiles/ssh_config")
    assert real.read_bytes().endswith(MINE.encode())


def test_a_backup_is_never_overwritten(tmp_path: Path) -> None:
    for text in ("Host one\n", "Host two\n"):
        (tmp_path / "config").write_text(text)
        install(TEXT, tmp_path)
    assert (tmp_path / "config.before-gpuhop-tui").read_text() == "Host one\n"
    assert (tmp_path / "config.before-gpuhop-tui.2").read_text() == "Host two\n"


def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    entries_file(tmp_path).write_text("Host precious\n")
    with pytest.raises(InstallError, match="is not ours"):
        install(TEXT, tmp_path)
    assert entries_file(tmp_path).read_text() == "Host precious\n"
    assert not (tmp_path / "config").exists()


def test_entries_that_others_could_read_are_taken_back(tmp_path: Path) -> None:
    install(TEXT, tmp_path)
    entries_file(tmp_path).chmod(0o644)
    assert len(install(TEXT, tmp_path).changes) == 1
    assert mode(entries_file(tmp_path)) == 0o600


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".ssh").write_text("a file")
    with pytest.raises(InstallError, match="check who may write"):
        install(TEXT, tmp_path / ".ssh")
