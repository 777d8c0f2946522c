"""The engine's HTTP API (Docker Engine API 1.47): routes, and what goes in and out of them."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any

from gpuhop_tui.demo.engine.build import build, read_context
from gpuhop_tui.demo.engine.container import Container, inspected, listed, measured, stamp
from gpuhop_tui.demo.engine.engine import VERSION, Engine, Exec
from gpuhop_tui.demo.engine.http import Answer, Reader, Refused, Request, Stream, Writer, serve
from gpuhop_tui.demo.engine.images import inspected as inspected_image
from gpuhop_tui.demo.engine.images import listed as listed_image
from gpuhop_tui.demo.engine.images import with_tag

Json = dict[str, Any]
RunExec = Callable[[Exec], Awaitable[tuple[int, bytes]]]
"""What a command in a container writes, and its exit status."""

API_VERSION = "1.47"
_CONTEXT_LIMIT = 256 << 20
_ARCHIVE_LIMIT = 64 << 20
_LOG_SECONDS = 0.5  # between two looks at a log that is followed
_STOP_SECONDS = 0.3
_RAW = "application/vnd.docker.raw-stream"
_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


class Api:
    """Serves one engine on any number of connections."""

    def __init__(self, engine: Engine, run_exec: RunExec) -> None:
        self._engine = engine
        self._run_exec = run_exec
        self._routes = [
            (method, re.compile(f"{path}\\Z"), handler)
            for method, path, handler in (
                ("GET|HEAD", "/_ping", self._ping),
                ("GET", "/version", self._version),
                ("GET", "/info", self._info),
                ("GET", "/events", self._events),
                ("GET", "/system/df", self._disk_use),
                ("GET", "/containers/json", self._list),
                ("POST", "/containers/create", self._create),
                ("GET", "/containers/([^/]+)/json", self._inspect),
                ("POST", "/containers/([^/]+)/start", self._start),
                ("POST", "/containers/([^/]+)/stop", self._stop),
                ("POST", "/containers/([^/]+)/restart", self._restart),
                ("POST", "/containers/([^/]+)/kill", self._kill),
                ("POST", "/containers/([^/]+)/(pause|unpause)", self._pause),
                ("POST", "/containers/([^/]+)/rename", self._rename),
                ("POST", "/containers/([^/]+)/wait", self._wait),
                ("DELETE", "/containers/([^/]+)", self._remove),
                ("GET", "/containers/([^/]+)/logs", self._logs),
                ("GET", "/containers/([^/]+)/stats", self._stats),
                ("GET", "/containers/([^/]+)/top", self._top),
                ("GET", "/containers/([^/]+)/changes", self._changes),
                ("GET", "/containers/([^/]+)/archive", self._get_archive),
                ("HEAD", "/containers/([^/]+)/archive", self._stat_archive),
                ("PUT", "/containers/([^/]+)/archive", self._put_archive),
                ("POST", "/containers/([^/]+)/exec", self._new_exec),
                ("POST", "/exec/([^/]+)/start", self._start_exec),
                ("POST", "/exec/([^/]+)/resize", self._resize_exec),
                ("GET", "/exec/([^/]+)/json", self._inspect_exec),
                ("POST", "/commit", self._commit),
                ("GET", "/images/json", self._list_images),
                ("POST", "/images/create", self._pull),
                ("GET", "/images/(.+)/json", self._inspect_image),
                ("DELETE", "/images/(.+)", self._remove_image),
                ("POST", "/build", self._build),
                ("GET", "/volumes", self._volumes),
            )
        ]

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """One connection, until it is closed."""
        await serve(reader, writer, self._handle)

    async def _handle(self, request: Request) -> Answer | Stream:
        for methods, path, handler in self._routes:
            found = path.match(request.path)
            if found is not None and request.method in methods.split("|"):
                reply: Answer | Stream = await handler(request, *found.groups())
                return reply
        raise Refused(404, f"page not found (simulated: {request.method} {request.path})")

    # The engine

    async def _ping(self, _: Request) -> Answer:
        return Answer(data=b"OK", headers={"Content-Type": "text/plain"})

    async def _version(self, _: Request) -> Answer:
        return Answer(
            value={
                "Platform": {"Name": "Docker Engine (simulated)"},
                "Components": [{"Name": "Engine", "Version": VERSION, "Details": {}}],
                "Version": VERSION,
                "ApiVersion": API_VERSION,
                "MinAPIVersion": "1.24",
                "Os": "linux",
                "Arch": "amd64",
            }
        )

    async def _info(self, _: Request) -> Answer:
        return Answer(value=self._engine.facts())

    async def _events(self, request: Request) -> Stream:
        wanted = request.filters().get("type", [])

        async def events() -> AsyncGenerator[bytes, None]:
            queue = self._engine.listen()
            try:
                while True:
                    event = await queue.get()
                    if not wanted or event["Type"] in wanted:
                        yield _line(event)
            finally:
                self._engine.unlisten(queue)

        return Stream(events())

    async def _disk_use(self, _: Request) -> Answer:
        images = self._engine.images.all()
        layers = {layer.id: layer.size for image in images for layer in image.layers}
        return Answer(
            value={
                "LayersSize": int(sum(layers.values()) * 2.1),
                "Images": [listed_image(each, self._users(each)) for each in images],
                "Containers": [
                    listed(each, size=True) for each in self._engine.containers.values()
                ],
                "Volumes": [],
                "BuildCache": [
                    {"ID": step[:12], "Size": 40 << 20, "InUse": False}
                    for step in sorted(self._engine.built_steps)
                ],
            }
        )

    async def _volumes(self, _: Request) -> Answer:
        return Answer(value={"Volumes": [], "Warnings": None})

    # Containers

    async def _list(self, request: Request) -> Answer:
        filters = request.filters()
        found = []
        for container in self._engine.containers.values():
            wanted = filters.get("id")
            names = filters.get("name")
            if not (container.running or request.flag("all") or filters.get("status")):
                continue
            if wanted and not any(container.id.startswith(each) for each in wanted):
                continue
            if names and not any(each in f"/{container.name}" for each in names):
                continue
            if filters.get("status") and container.state not in filters["status"]:
                continue
            if not _has_labels(container, filters.get("label", ())):
                continue
            found.append(listed(container, size=request.flag("size")))
        return Answer(value=found)

    async def _create(self, request: Request) -> Answer:
        body = await request.json()
        container = self._engine.create(request.query.get("name", ""), body)
        return Answer(201, {"Id": container.id, "Warnings": []})

    async def _inspect(self, _: Request, name: str) -> Answer:
        return Answer(value=inspected(self._engine.find(name)))

    async def _start(self, _: Request, name: str) -> Answer:
        return Answer(204 if self._engine.start(self._engine.find(name)) else 304)

    async def _stop(self, _: Request, name: str) -> Answer:
        container = self._engine.find(name)
        await asyncio.sleep(_STOP_SECONDS)
        return Answer(204 if self._engine.stop(container) else 304)

    async def _restart(self, _: Request, name: str) -> Answer:
        container = self._engine.find(name)
        await asyncio.sleep(_STOP_SECONDS)
        self._engine.stop(container)
        self._engine.start(container)
        self._engine.tell("restart", container)
        return Answer(204)

    async def _kill(self, _: Request, name: str) -> Answer:
        self._engine.kill(self._engine.find(name))
        return Answer(204)

    async def _pause(self, _: Request, name: str, word: str) -> Answer:
        self._engine.pause(self._engine.find(name), word == "pause")
        return Answer(204)

    async def _rename(self, request: Request, name: str) -> Answer:
        self._engine.rename(self._engine.find(name), request.query.get("name", ""))
        return Answer(204)

    async def _wait(self, _: Request, name: str) -> Answer:
        container = self._engine.find(name)
        queue = self._engine.listen()
        try:
            while container.running:
                await queue.get()
        finally:
            self._engine.unlisten(queue)
        return Answer(value={"StatusCode": container.exit_code})

    async def _remove(self, request: Request, name: str) -> Answer:
        self._engine.remove(self._engine.find(name), force=request.flag("force"))
        return Answer(204)

    async def _top(self, _: Request, name: str) -> Answer:
        container = self._engine.find(name)
        if not container.running:
            raise Refused(409, f"container {container.id} is not running")
        row = [
            container.body.get("User") or "root",
            str(container.pid),
            " ".join(container.command),
        ]
        return Answer(value={"Titles": ["UID", "PID", "CMD"], "Processes": [row]})

    async def _changes(self, _: Request, name: str) -> Answer:
        container = self._engine.find(name)
        paths = ["/workspace", "/workspace/checkpoints", "/tmp/note.txt"]
        changes = [{"Path": path, "Kind": 0} for path in paths] if container.stories else None
        return Answer(value=changes) if changes else Answer(data=b"null")

    # What they write, and what they use

    async def _logs(self, request: Request, name: str) -> Stream:
        container = self._engine.find(name)
        tail = request.query.get("tail", "all")
        since = float(request.query.get("since") or 0)
        stamped = request.flag("timestamps")

        def packed(entries: Iterable[tuple[float, str]]) -> bytes:
            lines = (
                f"{stamp(at) + ' ' if stamped else ''}{text}\n".encode() for at, text in entries
            )
            return b"".join(line if container.tty else _frame(line) for line in lines)

        async def chunks() -> AsyncGenerator[bytes, None]:
            seen = time.time()
            if tail.isdigit():
                first = container.last_log(int(tail), seen)
                first = [entry for entry in first if entry[0] >= since]
            else:
                # `since` is inclusive, as dockerd has it.
                first = container.log(since - 1e-6 if since else 0.0, seen)
            yield packed(first)
            while request.flag("follow") and container.running:
                await asyncio.sleep(_LOG_SECONDS)
                now = time.time()
                yield packed(container.log(seen, now))
                seen = now

        return Stream(chunks(), _RAW if container.tty else _MULTIPLEXED)

    async def _stats(self, request: Request, name: str) -> Answer | Stream:
        engine, container = self._engine, self._engine.find(name)

        def look() -> Json:
            return measured(container, engine.cpus, engine.memory_bytes, time.time())

        if request.query.get("stream", "1").lower() in ("0", "false"):
            return Answer(value=look())

        async def chunks() -> AsyncGenerator[bytes, None]:
            while container.id in engine.containers:
                yield _line(look())
                await asyncio.sleep(1.0)

        return Stream(chunks())

    # Files

    async def _get_archive(self, request: Request, name: str) -> Stream:
        files, path = self._engine.find(name).files, request.query.get("path", "")
        headers = files.stat_header(path)
        data = files.archive(path)

        async def chunks() -> AsyncGenerator[bytes, None]:
            for at in range(0, len(data), 1 << 16):
                yield data[at : at + (1 << 16)]

        return Stream(chunks(), "application/x-tar", headers)

    async def _stat_archive(self, request: Request, name: str) -> Answer:
        files = self._engine.find(name).files
        return Answer(headers=files.stat_header(request.query.get("path", "")))

    async def _put_archive(self, request: Request, name: str) -> Answer:
        container = self._engine.find(name)
        path = request.query.get("path", "")
        data = await request.whole_body(_ARCHIVE_LIMIT)
        container.files.extract(path, data)
        return Answer()

    # Commands in containers

    async def _new_exec(self, request: Request, name: str) -> Answer:
        container = self._engine.find(name)
        return Answer(201, {"Id": self._engine.new_exec(container, await request.json()).id})

    def _exec(self, identity: str) -> Exec:
        if identity not in self._engine.execs:
            raise Refused(404, f"No such exec instance: {identity}")
        return self._engine.execs[identity]

    async def _start_exec(self, request: Request, identity: str) -> Answer | Stream:
        command = self._exec(identity)
        body = await request.json()
        command.running = True
        if body.get("Detach"):
            await self._run(command)
            return Answer()

        async def chunks() -> AsyncGenerator[bytes, None]:
            said = await self._run(command)
            if said:
                yield said if command.tty else _frame(said)

        is_upgrade = "upgrade" in request.headers
        return Stream(chunks(), _RAW if command.tty else _MULTIPLEXED, hijacked=is_upgrade)

    async def _run(self, command: Exec) -> bytes:
        try:
            command.exit_code, said = await self._run_exec(command)
        finally:
            command.running = False
            command.container.execs.remove(command.id)
        self._engine.tell("exec_die", command.container)
        return said

    async def _resize_exec(self, _: Request, identity: str) -> Answer:
        self._exec(identity)
        return Answer()

    async def _inspect_exec(self, _: Request, identity: str) -> Answer:
        command = self._exec(identity)
        return Answer(
            value={
                "ID": command.id,
                "Running": command.running,
                "ExitCode": command.exit_code,
                "ContainerID": command.container.id,
                "Pid": command.container.pid + 1,
                "ProcessConfig": {
                    "tty": command.tty,
                    "entrypoint": command.words[0] if command.words else "",
                    "arguments": list(command.words[1:]),
                    "user": command.user,
                },
            }
        )

    # Images

    async def _list_images(self, _: Request) -> Answer:
        images = self._engine.images.all()
        return Answer(value=[listed_image(each, self._users(each)) for each in images])

    async def _inspect_image(self, _: Request, name: str) -> Answer:
        image = self._engine.images.find(name)
        return Answer(value=inspected_image(image, stamp(image.created_at)))

    async def _remove_image(self, request: Request, name: str) -> Answer:
        image = self._engine.images.find(name)
        user = next((each.id[:12] for each in self._engine.users_of(image)), None)
        removed = self._engine.images.remove(name, user, force=request.flag("force"))
        self._engine.tell_of_image("delete", image)
        return Answer(value=removed)

    async def _pull(self, request: Request) -> Stream:
        name, tag = request.query.get("fromImage", ""), request.query.get("tag", "")
        reference = with_tag(f"{name}:{tag}" if tag else name)
        lines = self._engine.images.pull(reference)
        first = await anext(lines)  # a name that no registry knows is refused with a status

        async def chunks() -> AsyncGenerator[bytes, None]:
            yield _line(first)
            async for line in lines:
                yield _line(line)
            self._engine.tell_of_image("pull", self._engine.images.find(reference))

        return Stream(chunks())

    async def _build(self, request: Request) -> Stream:
        data = await request.whole_body(_CONTEXT_LIMIT)
        context = read_context(data, request.query.get("dockerfile") or "Dockerfile")
        arguments = json.loads(request.query.get("buildargs") or "{}")
        tag = request.query.get("t") or "unnamed"
        engine = self._engine

        async def chunks() -> AsyncGenerator[bytes, None]:
            steps = build(engine.images, context, tag, arguments, engine.built_steps)
            async for line in steps:
                yield _line(line)
            if (image := engine.images.get(tag)) is not None:
                engine.tell_of_image("tag", image)

        return Stream(chunks())

    async def _commit(self, request: Request) -> Answer:
        await request.json()
        container = self._engine.find(request.query.get("container", ""))
        name, tag = request.query.get("repo", ""), request.query.get("tag", "")
        image = self._engine.commit(container, f"{name}:{tag}" if tag else name)
        return Answer(201, {"Id": image.id})

    def _users(self, image: Any) -> int:
        return len(list(self._engine.users_of(image)))


def _has_labels(container: Container, wanted: Iterable[str]) -> bool:
    for each in wanted:
        name, is_pair, value = each.partition("=")
        if name not in container.labels or (is_pair and container.labels[name] != value):
            return False
    return True


def _frame(data: bytes) -> bytes:
    """One frame of standard output, as containers without a terminal write it."""
    return struct.pack(">BxxxL", 1, len(data)) + data


def _line(value: Json) -> bytes:
    return json.dumps(value).encode() + b"\r\n"
