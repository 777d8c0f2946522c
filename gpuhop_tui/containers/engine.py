"""A node's Docker engine, spoken to by the `docker` SDK through the link that is open already.

The SDK blocks, and its socket is served by the event loop: every call runs in a thread of the
engine's own small pool, every stream in one of another, and a stream is ended by closing its
socket under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gpuhop_tui.containers.errors import ContainerError, refusal
from gpuhop_tui.containers.find_engine import DEFAULT_SOCKET, look_for_sockets, why
from gpuhop_tui.containers.forward import SocketForward
from gpuhop_tui.containers.text import plain
from gpuhop_tui.containers.threads import Calls, Reader
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.private_directory import PrivateDirectory

if TYPE_CHECKING:
    from docker import APIClient

CALLS = 4  # at once, an engine
LONG_CALLS = 8  # beside them, those that may take longer than CALL_SECONDS
STREAMS = 12
CALL_SECONDS = 30.0
OLDEST_API = (1, 40)  # Docker 19.03: the first whose API gives GPUs

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)
_directory: PrivateDirectory | None = None
_engines = 0
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself."""

    name: str  # "docker" or "podman"
    version: str
    api_version: str
    socket: str  # its path on the node
    root: str = ""  # where it keeps images and containers
    cgroup_driver: str = ""  # "systemd" or "cgroupfs"
    memory_bytes: int | None = None  # of the node
    cpu_count: int | None = None
    rootless: bool = False


class Engine:
    """One engine. Made idle; connects at the first call, and again after the link came back."""

    def __init__(self, link: Link, socket: str = DEFAULT_SOCKET) -> None:
        global _engines
        _engines += 1
        self.link = link
        self._wanted = socket
        self._connecting = asyncio.Lock()
        self._connection: object = None
        self._forward: SocketForward | None = None
        self._client: APIClient | None = None
        self._facts: EngineFacts | None = None
        self._calls = Calls(CALLS, f"engine {link.name}")
        self._long_calls = Calls(LONG_CALLS, f"engine {link.name}, long")
        self._streams = ThreadPoolExecutor(STREAMS, thread_name_prefix=f"stream {link.name}")
        self._open_streams = 0
        self._closed = False

    @property
    def node(self) -> str:
        return self.link.name

    async def facts(self) -> EngineFacts:
        """Who the engine is. Raises as `call` does."""
        await self._connected("connecting")
        assert self._facts is not None
        return self._facts

    async def call(
        self, what: str, request: Callable[[APIClient], Answer], *, timeout: float = CALL_SECONDS
    ) -> Answer:
        """The result of `request`, run in a thread. `what` names it in errors: "starting train".

        Raises ContainerError where the engine refuses, ProblemError where there is none, no right
        to use it, no link, or no answer within `timeout` seconds.
        """
        client = await self._connected(what)
        assert self._forward is not None
        path, version = self._forward.path, client._version

        def ask() -> Answer:
            if timeout <= CALL_SECONDS:
                return request(client)
            # The SDK gives every answer the time of its client.
            with contextlib.closing(_new_client(path, version, timeout)) as patient:
                return request(patient)

        calls = self._calls if timeout <= CALL_SECONDS else self._long_calls
        try:
            return await calls.run(ask, timeout)
        except TimeoutError:
            raise ProblemError(_silent(self.node, what, timeout)) from None
        except Exception as exc:
            raise await self._explained(exc, what) from exc

    async def stream(
        self, what: str, request: Callable[[APIClient], Iterable[Answer]]
    ) -> AsyncGenerator[Answer, None]:
        """The items of what `request` returns, as they come. Leaving it closes its connection to
        the engine, which ends what goes on there (a pull, a build).

        To be closed by `contextlib.aclosing`. Raises as `call` does.
        """
        await self._connected(what)
        connection = await self.link.connection()
        if self._open_streams >= STREAMS:
            raise ContainerError(
                f"{self.node}: {what} has to wait: {STREAMS} streams are open already",
                "Close a log or a graph first.",
            )
        self._open_streams += 1
        try:
            forward = await self._new_forward()
            api_version = self._facts.api_version if self._facts else "auto"
            reader = Reader(lambda: request(_new_client(forward.path, api_version)), self._streams)
            try:
                while True:
                    item, failure = await reader.next()
                    if failure is not None:
                        raise await self._explained(failure, what) from failure
                    if item is None:
                        if connection.is_closed():  # the SDK ends some streams without a word
                            raise ProblemError(_lost(self.node, f"{what} broke off"))
                        return
                    yield item[0]
            finally:
                reader.stop()
                await forward.close()
                await reader.ended()
        finally:
            self._open_streams -= 1

    async def close(self) -> None:
        """Ends every call and stream, and removes the socket."""
        global _engines, _directory
        if self._closed:
            return
        self._closed = True
        await self._disconnect()
        self._calls.close()
        self._long_calls.close()
        self._streams.shutdown(wait=False, cancel_futures=True)
        _engines -= 1
        if _engines == 0 and _directory is not None:
            _directory.close()
            _directory = None

    # Connecting

    async def _connected(self, what: str) -> APIClient:
        if self._closed:
            raise ProblemError(_lost(self.node, f"{what}: closed"))
        async with self._connecting:
            if not self.link.is_up:
                raise ProblemError(
                    self.link.status.problem or _lost(self.node, f"{what}: not connected")
                )
            connection = await self.link.connection()
            if self._client is not None and self._connection is connection:
                return self._client
            await self._disconnect()
            try:
                await self._connect()
            except BaseException:
                await self._disconnect()
                raise
            self._connection = connection
            assert self._client is not None
            return self._client

    async def _connect(self) -> None:
        """Tries the socket that is wanted, and, where it does not do, another that would."""
        try:
            await self._connect_to(self._wanted)
        except ProblemError:
            raise
        except Exception as exc:
            refused = self._forward is not None and self._forward.refused
            found = await look_for_sockets(self.link, self._wanted)
            others = [path for path in found.usable if path != self._wanted]
            for path in others:
                _log.info("%s: no engine at %s, trying %s", self.node, self._wanted, path)
                with contextlib.suppress(*_broken()):
                    await self._connect_to(path)
                    return
            raise ProblemError(why(self.node, found, _reason(exc), refused=refused)) from exc

    async def _connect_to(self, remote: str) -> None:
        if self._forward is not None:
            await self._forward.close()
        self._forward = await self._new_forward(remote)
        path = self._forward.path

        def greet() -> tuple[APIClient, dict[str, Any], dict[str, Any]]:
            client = _new_client(path, "auto")
            return client, client.version(), client.info()

        client, version, info = await self._calls.run(greet, CALL_SECONDS)
        self._facts = read_facts(remote, client._version, version, info)
        if _numbers_of(self._facts.api_version) < OLDEST_API:
            raise ProblemError(_too_old(self.node, self._facts))
        self._client = client

    async def _new_forward(self, remote: str | None = None) -> SocketForward:
        global _directory
        if _directory is None:
            _directory = PrivateDirectory()
        if remote is None:
            remote = self._facts.socket if self._facts else self._wanted
        forward = SocketForward(self.link, remote, _directory.path / f"{next(_numbers)}.sock")
        await forward.start()
        return forward

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        forward, self._forward = self._forward, None
        self._connection = None
        if forward is not None:
            await forward.close()
        if client is not None:
            client.close()

    # Failing

    async def _explained(self, exc: BaseException, what: str) -> Exception:
        """What to raise for what the SDK raised."""
        from docker.errors import APIError

        if isinstance(exc, ProblemError | ContainerError):
            return exc
        if isinstance(exc, APIError):
            status = exc.response.status_code if exc.response is not None else None
            return refusal(f"{self.node}: {what}", str(exc.explanation or exc), status)
        if not isinstance(exc, _broken()):
            _log.error("unexpected failure of %s on %s", what, self.node, exc_info=exc)
            return refusal(f"{self.node}: {what}", f"{type(exc).__name__}: {exc}")
        _log.info("%s: %s: %s", self.node, what, exc)
        if not self.link.is_up:
            problem = self.link.status.problem
            return ProblemError(problem or _lost(self.node, f"{what} broke off"))
        try:
            found = await look_for_sockets(self.link, self._facts.socket if self._facts else "")
        except ProblemError as error:
            return error
        refused = self._forward is not None and self._forward.refused
        return ProblemError(why(self.node, found, f"{what} broke off", refused=refused))


def _new_client(path: Path, version: str, timeout: float = CALL_SECONDS) -> APIClient:
    """For a thread: reads the user's Docker config, for the logins to registries."""
    import docker

    client = docker.APIClient(
        base_url=f"unix://{path}", version=version, timeout=timeout, max_pool_size=CALLS
    )
    client.trust_env = False  # no proxy and no .netrc stands between us and the socket
    return client


def read_facts(
    socket: str, api_version: str, version: dict[str, Any], info: dict[str, Any]
) -> EngineFacts:
    """From the answers of GET /version and GET /info."""
    components = " ".join(str(each.get("Name", "")) for each in version.get("Components") or ())
    return EngineFacts(
        name="podman" if "podman" in components.lower() else "docker",
        version=plain(version.get("Version")),
        api_version=plain(api_version),
        socket=socket,
        root=plain(info.get("DockerRootDir")),
        cgroup_driver=plain(info.get("CgroupDriver")),
        memory_bytes=info.get("MemTotal") or None,
        cpu_count=info.get("NCPU") or None,
        rootless=any("rootless" in str(each) for each in info.get("SecurityOptions") or ()),
    )


def _numbers_of(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _broken() -> tuple[type[Exception], ...]:
    """What the SDK and what is below it raise where a connection fails."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    return (DockerException, RequestException, HTTPError, OSError, TimeoutError, ValueError)


def _reason(exc: Exception) -> str:
    return "no answer" if isinstance(exc, TimeoutError) else "the connection was closed"


def _too_old(node: str, facts: EngineFacts) -> Problem:
    return Problem(
        node,
        ErrorKind.NO_DOCKER,
        f"{facts.name} {facts.version} on {node} is too old: it speaks API {facts.api_version}",
        "Update it to Docker 19.03 (API 1.40) or later: older ones cannot give GPUs.",
    )


def _silent(node: str, what: str, seconds: float) -> Problem:
    return Problem(
        node,
        ErrorKind.TIMEOUT,
        f"the engine on {node} did not answer within {seconds:.0f} s ({what})",
        "It may be busy: try again. If it stays so: `systemctl status docker` there.",
    )


def _lost(node: str, what: str) -> Problem:
    return Problem(
        node, ErrorKind.LOST, f"connection lost: {what}", "It comes back by itself; try again then."
    )
