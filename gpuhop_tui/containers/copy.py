"""Files in and out of a container, by the engine's archive API, with progress.

No file is held in memory or copied to a temporary one: tar archives are made and read on the fly.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tarfile
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.progress import Pace, with_ticks
from gpuhop_tui.containers.text import plain

_CHUNK = 1 << 18
_BLOCK = tarfile.BLOCKSIZE
_TICK_SECONDS = 0.25
_CALL = "copying"


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """A copy at one moment."""

    name: str  # of the file that is on its way
    done_bytes: int
    total_bytes: int | None  # None: not known (a directory that comes out)
    files: int = 0
    skipped: tuple[str, ...] = ()  # devices, links that lead out
    done: bool = False


async def copy_in(
    engine: Engine, container: Container, source: Path, target: str
) -> AsyncGenerator[CopyProgress, None]:
    """Copies a file or directory of this machine into the directory `target` of the container; it
    belongs to root there. The last item is `done`.

    To be closed by `contextlib.aclosing`: that cancels it. Raises ContainerError where a file
    cannot be read or the engine refuses (no such directory, a read-only one), ProblemError as
    `Engine.call` does.
    """
    try:
        archive = await asyncio.to_thread(_Outgoing, source)
    except OSError as error:
        raise ContainerError(
            f"{source} cannot be read: {error.strerror or error}", "Check the path."
        ) from None

    def begin(client: Any) -> Iterator[bool]:
        yield bool(client.put_archive(container.id, target, archive.chunks()))

    what = f"{_CALL} {source.name} to {container.name}"
    ticking = with_ticks(engine.stream(what, begin), _TICK_SECONDS)
    try:
        async with contextlib.aclosing(ticking) as each:
            async for _ in each:
                yield archive.progress()
    except ContainerError:
        if archive.failure is None:  # else the engine complains of what we could not read
            raise
    if archive.failure is not None:
        raise ContainerError(archive.failure, "Only a part was copied.")
    yield archive.progress(done=True)


async def copy_out(
    engine: Engine, container: Container, source: str, target: Path
) -> AsyncGenerator[CopyProgress, None]:
    """Copies a file or directory of the container into the directory `target` of this machine. The
    last item is `done`.

    To be closed by `contextlib.aclosing`: that cancels it. Nothing is written outside of `target`.
    Raises ContainerError where the path is not there or a file cannot be written, ProblemError as
    `Engine.call` does. A file is there whole or not at all: until it is, it has another name.
    """

    def begin(client: Any) -> Iterator[CopyProgress]:
        chunks, facts = client.get_archive(container.id, source, chunk_size=_CHUNK)
        is_directory = bool(int(facts.get("mode") or 0) & (1 << 31))  # Go's os.ModeDir
        total = None if is_directory else int(facts.get("size") or 0)
        return _unpacked(_Incoming(iter(chunks)), target, total)

    last = CopyProgress(source, 0, None)
    what = f"{_CALL} {source} from {container.name}"
    pace = Pace()
    async with contextlib.aclosing(engine.stream(what, begin)) as each:
        async for last in each:
            if pace.due():
                yield last
    yield CopyProgress(
        last.name, last.done_bytes, last.total_bytes, last.files, last.skipped, done=True
    )


class _Outgoing:
    """The archive of a file or directory, and how much of it has been taken."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._files = list(_below(source))
        self._total = sum(path.lstat().st_size for path in self._files if _is_file(path))
        self._done = 0
        self._number = 0
        self._name = source.name
        self._skipped: list[str] = []
        self.failure: str | None = None

    def progress(self, *, done: bool = False) -> CopyProgress:
        return CopyProgress(
            self._name, self._done, self._total, self._number, tuple(self._skipped), done
        )

    def chunks(self) -> Iterator[bytes]:
        """For the SDK's thread."""
        for path in self._files:
            name = str(PurePosixPath(self._source.name, path.relative_to(self._source)))
            self._name = name
            try:
                yield from self._entry(path, name)
            except OSError as error:
                self.failure = f"{path} cannot be read: {error.strerror or error}"
                return
        yield bytes(2 * _BLOCK)

    def _entry(self, path: Path, name: str) -> Iterator[bytes]:
        facts = path.lstat()
        entry = tarfile.TarInfo(name)
        entry.mode, entry.mtime = facts.st_mode & 0o7777, int(facts.st_mtime)
        if path.is_symlink():
            entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
        elif path.is_dir():
            entry.type = tarfile.DIRTYPE
        elif path.is_file():
            with path.open("rb") as file:
                entry.size = os.fstat(file.fileno()).st_size
                yield entry.tobuf(tarfile.PAX_FORMAT)
                yield from self._content(file, entry.size)
            self._number += 1
            return
        else:
            self._skipped.append(name)
            return
        yield entry.tobuf(tarfile.PAX_FORMAT)

    def _content(self, file: IO[bytes], size: int) -> Iterator[bytes]:
        """Exactly `size` bytes, whatever becomes of the file meanwhile, and the padding."""
        left = size
        while left:
            chunk = file.read(min(_CHUNK, left)) or bytes(min(_CHUNK, left))
            left -= len(chunk)
            self._done += len(chunk)
            yield chunk
        if size % _BLOCK:
            yield bytes(_BLOCK - size % _BLOCK)


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _below(child)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


class _Incoming(io.RawIOBase):
    """Chunks as a file that can be read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                chunk = next(self._chunks, None)
            except Exception as error:  # the SDK's is an OSError: it is no failure to write
                raise _BrokenOffError(error) from error
            if chunk is None:
                return 0
            self._rest = chunk
        part = self._rest[: len(buffer)]
        self._rest = self._rest[len(part) :]
        buffer[: len(part)] = part
        return len(part)


class _BrokenOffError(Exception):
    """The archive did not come to its end."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _unpacked(source: _Incoming, target: Path, total: int | None) -> Iterator[CopyProgress]:
    """Writes each entry, for the SDK's thread."""
    try:
        yield from _written(source, target, total)
    except _BrokenOffError as broken:
        raise broken.cause from None
    except tarfile.ReadError as error:
        raise ConnectionError(f"the archive broke off: {error}") from error


def _written(source: _Incoming, target: Path, total: int | None) -> Iterator[CopyProgress]:
    done = files = 0
    skipped: list[str] = []
    with tarfile.open(fileobj=io.BufferedReader(source, _CHUNK), mode="r|") as tar:
        for entry in tar:
            name = plain(entry.name)
            try:
                safe = tarfile.data_filter(entry, str(target))
            except tarfile.FilterError:
                skipped.append(name)
                continue
            try:
                if not safe.isfile():
                    tar.extract(safe, target, filter="data")
                    continue
                path = target / safe.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.ExitStack() as stack:
                    content = tar.extractfile(safe)
                    assert content is not None
                    part = path.with_name(f".{path.name[:200]}.gpuhop-{os.getpid()}")
                    stack.callback(part.unlink, missing_ok=True)
                    descriptor = os.open(
                        part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
                    )
                    file = stack.enter_context(os.fdopen(descriptor, "wb"))
                    while chunk := content.read(_CHUNK):
                        file.write(chunk)
                        done += len(chunk)
                        yield CopyProgress(name, done, total, files, tuple(skipped))
                    os.fchmod(file.fileno(), (safe.mode or 0o600) & 0o777)
                    file.flush()
                    part.replace(path)
            except OSError as error:
                raise ContainerError(
                    f"{target / name} cannot be written: {error.strerror or error}",
                    "Check the directory, and the room on this machine's disk.",
                ) from None
            files += 1
    yield CopyProgress(plain(target.name), done, total, files, tuple(skipped))
