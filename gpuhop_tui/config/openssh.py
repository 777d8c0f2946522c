"""OpenSSH is the authority: an alias is what `ssh -G` says it is, ProxyJump chain included."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.config.ssh_options import (
    Destination,
    LocalUser,
    SshOptions,
    parse_dump,
    parse_jump,
)
from gpuhop_tui.config.ssh_settings import Dump
from gpuhop_tui.config.ssh_tokens import ExpansionError
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

NO_PROXY = ("ProxyCommand=none",)  # rules out ProxyJump too: the first of the two wins

_DUMP = ("-G", "-T", "-o", "ControlPath=%C")
_ERROR_LINES = 3  # of what ssh says; a broken ssh_config repeats itself
_LONGEST_CHAIN = 20  # a ProxyJump with tokens can name a new host for ever


@dataclass(frozen=True, slots=True)
class Chain:
    """An alias resolved: the hosts of its ProxyJump, outermost first, and itself."""

    jumps: tuple[Hop, ...]
    hop: Hop


class OpenSsh:
    """Asks the `ssh` client on PATH. Answers are kept, so that a shared jump host is asked once."""

    def __init__(
        self, environ: Mapping[str, str], *, at_once: int = 8, timeout_seconds: float = 10.0
    ) -> None:
        self._environ = environ
        self._local = LocalUser.current()
        self._turns = asyncio.Semaphore(at_once)
        self._timeout = timeout_seconds  # `Match exec` may run anything
        self._answers: dict[tuple[Destination, tuple[str, ...]], asyncio.Task[SshOptions]] = {}
        self._defaults: asyncio.Task[Dump] | None = None

    async def resolve(
        self, name: str, destination: Destination, options: tuple[str, ...] = ()
    ) -> Chain:
        """The alias and every host of its ProxyJump; `options` are as for `ssh -o`.

        Raises ProblemError (unresolved), with the hop that could not be resolved.
        """
        return await self._resolve(name, destination, options, ())

    async def _resolve(
        self,
        name: str,
        destination: Destination,
        options: tuple[str, ...],
        behind: tuple[Destination, ...],
    ) -> Chain:
        if destination in behind:
            circle = " > ".join(step.host for step in (*behind, destination))
            raise _bad_config(name, destination.host, f"ProxyJump leads in a circle: {circle}")
        if len(behind) > _LONGEST_CHAIN:
            raise _bad_config(name, destination.host, "ProxyJump has no end")
        answer = await self._options(name, destination, options)
        jumps: list[Hop] = []
        with _expanding(name, destination.host):
            for jump in answer.jumps:
                jumps += await self._jump(jump, (*behind, destination), first=not jumps)
            return Chain(tuple(jumps), answer.hop(name))

    async def _jump(self, text: str, behind: tuple[Destination, ...], *, first: bool) -> list[Hop]:
        """One host of a ProxyJump. ssh reaches the first as that host's own configuration says,
        and the others through the one before, whatever their own says."""
        try:
            destination = parse_jump(text)
        except ValueError as error:
            raise _bad_config(text, behind[-1].host, str(error)) from None
        if first:
            chain = await self._resolve(text, destination, (), behind)
            return [*chain.jumps, chain.hop]
        answer = await self._options(text, destination, NO_PROXY)
        with _expanding(text, destination.host):
            return [answer.hop(text)]

    async def _options(
        self, name: str, destination: Destination, options: tuple[str, ...]
    ) -> SshOptions:
        key = (destination, options)
        if key not in self._answers:
            self._answers[key] = asyncio.create_task(self._ask(destination, options))
        try:
            return await self._answers[key]
        except _SshError as error:
            raise _unresolved(name, error.message, error.advice) from None

    async def _ask(self, destination: Destination, options: tuple[str, ...]) -> SshOptions:
        arguments = list(_DUMP)
        for option in options:
            arguments += ["-o", option]
        if destination.user is not None:
            arguments += ["-l", destination.user]
        if destination.port is not None:
            arguments += ["-p", str(destination.port)]
        async with self._turns:
            printed = await self._run(*arguments, "--", destination.host)
        if self._defaults is None:
            self._defaults = asyncio.create_task(self._ask_defaults())
        return SshOptions(destination, printed, self._local, self._environ, await self._defaults)

    async def _ask_defaults(self) -> Dump:
        """What the client does where no file says otherwise."""
        async with self._turns:
            return parse_dump(await self._run("-F", "none", *_DUMP, "--", "localhost"))

    async def _run(self, *arguments: str) -> str:
        command = f"ssh -G {arguments[-1]}"
        try:
            process = await asyncio.create_subprocess_exec(
                "ssh",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(self._environ),
                start_new_session=True,  # so that what `Match exec` started is ended with it
            )
        except (FileNotFoundError, PermissionError):
            raise _SshError(
                "there is no ssh client on PATH to resolve its `ssh` alias with",
                "install openssh-client, or give `host` instead of `ssh`",
            ) from None
        except OSError as error:
            raise _SshError(
                f"ssh cannot be run: {error.strerror}", f"try it by hand: {command}"
            ) from None
        try:
            async with asyncio.timeout(self._timeout):
                out, err = await process.communicate()
        except TimeoutError:
            raise _SshError(
                f"ssh -G did not answer within {self._timeout:g} s",
                f"look for a slow `Match exec` in ~/.ssh/config; time it by hand: {command}",
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            lines = err.decode(errors="replace").strip().splitlines()[:_ERROR_LINES]
            raise _SshError(
                "; ".join(lines) or f"ssh -G failed with exit code {process.returncode}",
                _mend(command),
            )
        return out.decode(errors="replace")


class _SshError(Exception):
    """`ssh -G` gave no answer."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


@contextlib.contextmanager
def _expanding(hop: str, alias: str) -> Iterator[None]:
    try:
        yield
    except ExpansionError as error:
        raise _bad_config(hop, alias, str(error)) from None


def _mend(command: str) -> str:
    return f"mend ~/.ssh/config, then try it by hand: {command}"


def _bad_config(hop: str, alias: str, message: str) -> ProblemError:
    return _unresolved(hop, message, _mend(f"ssh -G {alias}"))


def _unresolved(hop: str, message: str, advice: str) -> ProblemError:
    return ProblemError(Problem(hop, ErrorKind.UNRESOLVED, message, advice))
