"""The command that starts the probe, run as a login shell would run it, and its cache."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from pathlib import Path

import pytest

from gpuhop_tui.probe.delivery import payload, probe_command, sources
from gpuhop_tui.probe.remote import loader
from gpuhop_tui.probe.stream import stream_samples
from tests.lab.pythons import python
from tests.unit.probe.login import Login, line_of_ours, script


def test_the_command_suits_every_login_shell() -> None:
    command = probe_command(2.0)
    assert not set(command) & set("\n!")
    assert "\\\\" not in command  # fish reads these even in single quotes
    assert "\\'" not in command
    assert command.count("'") % 2 == 0
    assert len(command) < 16_000


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "csh", "tcsh", "busybox"])
async def test_login_shells(login: Login, shell: str) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    login.shell = [found, *(["sh"] if shell == "busybox" else []), "-c"]
    assert len((await login.one()).gpus) == 2


INSTALLED = [minor for minor in range(6, 15) if python(minor)]


@pytest.mark.parametrize("minor", INSTALLED, ids=lambda minor: f"3.{minor}")
async def test_every_python(tmp_path: Path, minor: int) -> None:
    """Delivered, then from the cache, with the real pynvml and no driver."""
    found = python(minor)
    assert found is not None
    login = Login(tmp_path, environment={"GPUHOP_SIMULATED": "", "LD_LIBRARY_PATH": "/nowhere"})
    login.bin.mkdir()
    (login.bin / "python3").symlink_to(found)
    for _ in range(2):
        sample = await login.one()
        assert sample.source == "nvml"
        assert sample.host.hostname == os.uname().nodename
    compiled = (login.cache / payload().digest).rglob(f"main.cpython-3{minor}.pyc")
    assert len(list(compiled)) == 1


async def test_the_first_start_delivers_and_the_second_is_cached(login: Login) -> None:
    first = await login.start(probe_command(0.2))
    assert (await line_of_ours(first))["need"] == payload().digest
    assert first.stdin is not None
    first.stdin.write(payload().message)
    assert "full" in await line_of_ours(first)
    first.stdin.close()
    assert await asyncio.wait_for(first.wait(), 10) == 0

    (folder,) = login.cache.iterdir()
    assert folder.name == payload().digest
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(login.cache.stat().st_mode) == 0o700
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.py")} == set(sources())
    assert list((folder / "gpuhop_probe" / "__pycache__").iterdir())

    second = await login.start(probe_command(0.2))
    assert "full" in await line_of_ours(second)  # one round trip: nothing was asked for
    assert second.stdin is not None
    second.stdin.close()
    await asyncio.wait_for(second.wait(), 10)


async def test_a_cache_that_was_tampered_with_is_not_run(login: Login) -> None:
    await login.one()
    victim = login.cache / payload().digest / "gpuhop_probe" / "main.py"
    victim.write_text("raise SystemExit('tampered')\n")
    assert len((await login.one()).gpus) == 2
    assert victim.read_bytes() == sources()["gpuhop_probe/main.py"]


async def test_a_cache_that_others_can_write_is_not_run(login: Login) -> None:
    await login.one()
    folder = login.cache / payload().digest
    folder.chmod(0o777)
    assert len((await login.one()).gpus) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_unused_versions_are_pruned_and_others_kept(login: Login) -> None:
    old, recent, foreign = (login.cache / name for name in ("a" * 64, "b" * 64, "notes"))
    for folder in (old, recent, foreign):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    await login.one()
    assert not old.exists()
    assert recent.exists()
    assert foreign.exists()


async def test_where_nothing_can_be_written_it_runs_from_memory(login: Login) -> None:
    login.environment["XDG_CACHE_HOME"] = "/proc/nowhere"
    for _ in range(2):
        sample = await login.one()
        assert sample.source == "simulated"
    login.environment["XDG_CACHE_HOME"] = "/dev/null/x"
    assert len((await login.one()).gpus) == 2


async def test_a_full_disk_leaves_nothing_behind_and_it_runs_from_memory(login: Login) -> None:
    login.shell = ["/bin/sh", "-c", 'ulimit -f 100; eval "$0"']  # pynvml is larger than that
    assert len((await login.one()).gpus) == 2
    assert list(login.cache.iterdir()) == []


async def test_from_memory_it_is_as_small_as_from_the_cache(login: Login) -> None:
    login.environment = {"XDG_CACHE_HOME": "/proc/nowhere", "GPUHOP_SIMULATED": ""}
    process = await login.start(probe_command(0.2))
    async with contextlib.aclosing(stream_samples(process, "gpu-01", 0.2)) as samples:
        await asyncio.wait_for(anext(samples), 20)
        status = Path(f"/proc/{process.pid}/status").read_text()
    await asyncio.wait_for(process.wait(), 10)
    (most,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    assert int(most) < 30_000  # kB


async def test_first_starts_at_the_same_time_do_not_break_each_other(login: Login) -> None:
    asking = [await login.start(probe_command(0.2)) for _ in range(6)]
    for process in asking:
        assert "need" in await line_of_ours(process)
    for process in asking:
        assert process.stdin is not None
        process.stdin.write(payload().message)
    for process in asking:
        assert "full" in await line_of_ours(process)
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert [folder.name for folder in login.cache.iterdir()] == [payload().digest]


def test_a_cache_that_another_start_has_written_meanwhile_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / payload().digest
    assert loader.store(str(folder), payload().digest, sources())
    before = folder.stat().st_ino
    assert loader.store(str(folder), payload().digest, sources())
    assert folder.stat().st_ino == before


async def test_noise_of_start_up_files_is_ignored(login: Login) -> None:
    noise = login.home / "noise"
    noise.write_bytes(b'Welcome!\r\n\xff\xfe{"gpuhop":1,"seq":\n{}\n' + b"x" * 100_000)
    login.shell = ["/bin/sh", "-c", 'cat noise; echo warning >&2; eval "$0"']
    async with login.samples() as samples:
        seen = [await asyncio.wait_for(anext(samples), 20) for _ in range(3)]
    assert all(len(sample.gpus) == 2 for sample in seen)


async def test_what_lies_in_the_working_directory_does_not_break_it(login: Login) -> None:
    for name in ("json.py", "pynvml.py", "sitecustomize.py"):
        (login.home / name).write_text("raise SystemExit('shadowed')\n")
    login.environment |= {"PYTHONPATH": str(login.home), "PYTHONSTARTUP": "json.py"}
    assert len((await login.one()).gpus) == 2


async def test_an_interpreter_that_is_too_old_or_broken_is_passed_over(login: Login) -> None:
    python3 = login.bin / "python3"
    python3.rename(login.bin / "python3.9")
    script(python3, "echo Python 2.7 >&2; exit 2")
    assert len((await login.one()).gpus) == 2
