"""A few files in memory: those of a simulated container, and of a node's home."""

from __future__ import annotations

import base64
import io
import json
import posixpath
import tarfile
import time
from collections.abc import Mapping

from gpuhop_tui.demo.engine.http import Refused

_GO_DIRECTORY = 1 << 31  # os.ModeDir
_ROOM = 32 << 20  # bytes that are kept

TRAIN = b"""# What this demo's logs and progress bars pretend to be: nothing is trained here.
import torch

model = Transformer.from_config("configs/7b.yaml").cuda()
for step, batch in enumerate(loader):
    loss = model(batch).loss
    loss.backward()
"""
WORKSPACE: Mapping[str, bytes] = {
    "/workspace/README.txt": b"Simulated: a few files in memory, so that copying can be tried.\n",
    "/workspace/train.py": TRAIN,
    "/workspace/configs/7b.yaml": b"layers: 32\nwidth: 4096\nbatch: 2048\nlr: 3.0e-4\n",
    "/workspace/checkpoints/step-010000.pt": bytes(range(256)) * 16384,
    "/etc/hostname": b"demo\n",
    "/tmp/note.txt": b"simulated\n",
}


class Files:
    """Absolute paths and what they hold; directories are what paths go through."""

    def __init__(self, content: Mapping[str, bytes] = WORKSPACE, folders: tuple[str, ...] = ()):
        self._files = dict(content)
        self._folders = {"/", *folders}
        for path in self._files:
            self._make_way(path)

    def read(self, path: str) -> bytes | None:
        return self._files.get(_clean(path))

    def write(self, path: str, data: bytes) -> None:
        """Raises Refused where there is no room."""
        held = sum(map(len, self._files.values()))
        if held + len(data) > _ROOM:
            raise Refused(500, "no space left on device (simulated: files are kept in memory)")
        self._files[_clean(path)] = data
        self._make_way(path)

    def is_folder(self, path: str) -> bool:
        return _clean(path) in self._folders

    def names(self, folder: str) -> list[str]:
        """What is in a directory; directories end with a slash."""
        base = _clean(folder).rstrip("/") + "/"
        found = {
            path[len(base) :].partition("/")[0] + ("/" if path in self._folders else "")
            for path in (*self._files, *self._folders)
            if path.startswith(base) and path != base and "/" not in path[len(base) :]
        }
        return sorted(found)

    # The archive API of an engine

    def stat_header(self, path: str) -> dict[str, str]:
        """X-Docker-Container-Path-Stat. Raises Refused where there is no such path."""
        data, is_folder = self.read(path), self.is_folder(path)
        if data is None and not is_folder:
            raise Refused(404, f"Could not find the file {path} in container")
        facts = {
            "name": posixpath.basename(_clean(path)) or "/",
            "size": len(data or b""),
            "mode": (_GO_DIRECTORY | 0o755) if is_folder else 0o644,
            "mtime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "linkTarget": "",
        }
        return {
            "X-Docker-Container-Path-Stat": base64.b64encode(json.dumps(facts).encode()).decode()
        }

    def archive(self, path: str) -> bytes:
        """A tar archive of the path, which is there."""
        top = _clean(path)
        name = posixpath.basename(top) or "root"
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for each in sorted({*self._files, *self._folders}):
                if each != top and not each.startswith(top.rstrip("/") + "/"):
                    continue
                entry = tarfile.TarInfo((name + each[len(top.rstrip("/")) :]).rstrip("/"))
                data = self._files.get(each)
                entry.mtime = int(time.time())
                if data is None:
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
                else:
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()

    def extract(self, folder: str, data: bytes) -> None:
        """Raises Refused where there is no such directory, or the archive is none."""
        if not self.is_folder(folder):
            raise Refused(404, f"Could not find the file {folder} in container")
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for entry in tar:
                    path = _clean(f"{folder}/{entry.name}")
                    if entry.isdir():
                        self._folders.add(path)
                        self._make_way(path)
                    elif file := tar.extractfile(entry) if entry.isfile() else None:
                        self.write(path, file.read())
        except tarfile.TarError as error:
            raise Refused(400, f"invalid tar archive: {error}") from None

    def _make_way(self, path: str) -> None:
        folder = posixpath.dirname(_clean(path))
        while folder not in self._folders:
            self._folders.add(folder)
            folder = posixpath.dirname(folder)


def _clean(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))
