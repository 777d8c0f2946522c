"""A ProxyCommand that leaves something running."""

import asyncio
import os
import signal
import time

from gpuhop_tui.ssh.proxy import ProxyCommand


def test_what_a_proxy_leaves_behind_holds_nobody_up(monkeypatch, tmp_path):
    """As with ControlPersist of ssh_config(5): a master goes on and has standard error open."""
    monkeypatch.setenv("SHELL", "/bin/sh")
    pid_file = tmp_path / "pid"
    master = f'setsid sh -c "echo \\$\\$ >{pid_file}.new; mv {pid_file}.new {pid_file}; sleep 60" &'
    wait = f"while ! [ -s {pid_file} ]; do :; done"

    async def stop_it():
        running = await ProxyCommand.start(f"sh -c '{master} {wait}; echo no way >&2; exit 1'")
        began = time.monotonic()
        await asyncio.wait_for(running.stop(), 20)
        return time.monotonic() - began, running.error_text

    try:
        took, said = asyncio.run(stop_it())
        assert took < 5
        assert said == "no way"
        os.kill(int(pid_file.read_text()), 0)  # it is not ours to end
    finally:
        os.killpg(int(pid_file.read_text()), signal.SIGKILL)
