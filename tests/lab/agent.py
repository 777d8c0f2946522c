"""A real ssh-agent on the laptop."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.lab.keys import Key
from tests.lab.namespace import Namespace
from tests.lab.waiting import wait_until


class Agent:
    """An ssh-agent in the foreground, with its own socket."""

    def __init__(self, laptop: Namespace, socket: Path) -> None:
        self.laptop = laptop
        self.socket = socket
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it, empty, with options of ssh-agent(1)."""
        self._process = self.laptop.popen(
            ["ssh-agent", "-D", "-a", self.socket, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._listens, "the agent to listen")

    def _listens(self) -> bool:
        """A socket's file is there before anybody listens at it."""
        with socket.socket(socket.AF_UNIX) as visitor:
            return visitor.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        """End it; the keys it held are gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def add(self, key: Key, *options: str) -> None:
        """Add a key and its certificate if there is one, with options of ssh-add(1)."""
        ask = self.socket.with_name("askpass")
        ask.write_text('#!/bin/sh\nprintf "%s\\n" "$LAB_PASSPHRASE"\n')
        ask.chmod(0o700)
        asking = {
            "SSH_ASKPASS": str(ask),
            "SSH_ASKPASS_REQUIRE": "force",
            "LAB_PASSPHRASE": key.passphrase,
        }
        self._ssh_add(*options, str(key.path), **asking)

    def clear(self) -> None:
        """Remove every key."""
        self._ssh_add("-D")

    def fingerprints(self) -> list[str]:
        """`SHA256:…` of every key held, in the agent's order."""
        done = self.laptop.run(["ssh-add", "-l"], env=self._env(), check=False)
        if done.returncode == 1:  # it holds none
            return []
        return [line.split()[1] for line in done.stdout.splitlines()]

    def _ssh_add(self, *arguments: str, **env: str) -> None:
        self.laptop.run(["ssh-add", *arguments], env={**self._env(), **env})

    def _env(self) -> dict[str, str]:
        return {**os.environ, "SSH_AUTH_SOCK": str(self.socket)}
