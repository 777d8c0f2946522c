"""Starts the probe from its cache on the node, or asks the laptop for it. Sent on a command line.

The cache is `${XDG_CACHE_HOME:-~/.cache}/gpuhop-tui/<digest>`, a folder that Python can keep
compiled. It is trusted only when it is the user's own, nobody else can write to it, and every
source in it is what the digest says. Where it cannot be written the probe runs from memory.
"""

import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import marshal
import os
import shutil
import signal
import stat
import sys
import time
import zlib
from typing import Any, Callable, Dict, List

PACKAGE = "gpuhop_probe"
Sources = Dict[str, bytes]  # by file name
LOAD_SECONDS = 60  # the payload must have come by then
UNUSED_SECONDS = 30 * 86400  # other versions are removed when nobody started them for this long


def start(arguments: List[str]) -> None:
    """Runs the probe named by the digest `arguments[0]` with the other arguments."""
    digest = arguments[0]
    signal.alarm(LOAD_SECONDS)  # ends the process: nobody waits for a probe that does not come
    folder = os.path.join(cache_folder(), digest)
    cached = is_sound(folder, digest)
    if not cached:
        sources = receive(digest)
        cached = store(folder, digest, sources)
    if cached:
        sys.path.insert(0, folder)
        touch(folder)
    else:
        sys.meta_path.insert(0, FromMemory(sources))
    main = importlib.import_module(PACKAGE + ".main").main
    signal.alarm(0)
    main(arguments[1:])


def touch(folder: str) -> None:
    """Keeps the folder from being pruned as unused."""
    try:
        os.utime(folder)
    except OSError:
        pass


def digest_of(sources: Sources) -> str:
    """The SHA-256 that names a set of sources (file name → bytes), in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(("%s\0%d\0" % (name, len(sources[name]))).encode("utf-8"))
        digest.update(sources[name])
    return digest.hexdigest()


def cache_folder() -> str:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "gpuhop-tui")


def is_sound(folder: str, digest: str) -> bool:
    """Whether `folder` is ours alone and holds exactly what `digest` names."""
    sources: Sources = {}
    try:
        for inside in ("", PACKAGE):
            path = os.path.join(folder, inside)
            status = os.lstat(path)
            mine = status.st_uid == os.geteuid() and not status.st_mode & 0o022
            if not mine or not stat.S_ISDIR(status.st_mode):
                return False
            for name in os.listdir(path):
                if name.endswith(".py"):
                    with open(os.path.join(path, name), "rb") as file:
                        sources[os.path.join(inside, name)] = file.read()
    except OSError:
        return False
    return digest_of(sources) == digest


def receive(digest: str) -> Sources:
    """Asks for the sources and reads them: a line `payload LENGTH`, then that many bytes."""
    say({"need": digest})
    line = data = b""
    while not line.startswith(b"payload "):  # what else is said is meant for a running probe
        while b"\n" not in data:
            data += read_some()
        line, data = data.split(b"\n", 1)
    length = int(line.split()[1])
    while len(data) < length:
        data += read_some()
    packed = json.loads(zlib.decompress(data[:length]).decode("utf-8"))
    sources = {name: text.encode("utf-8") for name, text in packed.items()}
    if digest_of(sources) != digest:
        sys.exit("probe: what came over the connection is not what was announced")
    return sources


def read_some() -> bytes:
    data = os.read(0, 1 << 16)  # unbuffered: what follows belongs to the probe
    if not data:
        os._exit(0)
    return data


def say(message: Dict[str, str]) -> None:
    os.write(1, b"\n" + json.dumps(dict(message, gpuhop=1)).encode("ascii") + b"\n")


def store(folder: str, digest: str, sources: Sources) -> bool:
    """Writes the cache in one step; False where that is not possible."""
    import tempfile  # here, since a cached start does without

    parent = os.path.dirname(folder)
    scratch = ""
    try:
        os.makedirs(parent, 0o700, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=".new-", dir=parent)
        os.mkdir(os.path.join(scratch, PACKAGE), 0o700)
        for name, source in sources.items():
            descriptor = os.open(os.path.join(scratch, name), os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(source)
        move_in(scratch, folder, digest)
        in_child(lambda: compile_folder(folder))
        prune(parent, digest)
    except OSError:
        pass  # the home is read-only or full
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return is_sound(folder, digest)


def move_in(scratch: str, folder: str, digest: str) -> None:
    """Makes `scratch` the cache, unless another start has been faster: it runs from its own."""
    try:
        os.rename(scratch, folder)
    except OSError:
        if not is_sound(folder, digest):
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(scratch, folder)


def compile_folder(folder: str) -> bytes:
    import compileall

    compileall.compile_dir(folder, quiet=2)
    return b""


def in_child(job: Callable[[], bytes]) -> bytes:
    """What `job` returns in a process of its own, or nothing where it fails there.

    For compiling, since Python keeps the memory that this takes.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as incoming, os.fdopen(writer, "wb") as outgoing:
        child = os.fork()
        if child == 0:
            try:
                outgoing.write(job())
                outgoing.flush()
            finally:
                os._exit(0)
        outgoing.close()
        answer = incoming.read()
    os.waitpid(child, 0)
    return answer


def prune(parent: str, digest: str) -> None:
    """Removes other versions, and unfinished writes, that nobody has touched for long."""
    for name in os.listdir(parent):
        path = os.path.join(parent, name)
        ours = len(name) == len(digest) or name.startswith(".new-")
        if ours and name != digest and os.lstat(path).st_mtime < time.time() - UNUSED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


class FromMemory(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the sources without a file system."""

    def __init__(self, sources: Sources) -> None:
        try:
            packed = in_child(lambda: marshal.dumps(compiled(sources)))
        except OSError:  # no more processes
            packed = b""
        self.codes = marshal.loads(packed) if packed else compiled(sources)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name in self.codes:
            return importlib.util.spec_from_loader(name, self, is_package=name == PACKAGE)
        return None

    def create_module(self, spec: Any) -> None:
        return None  # as usual

    def exec_module(self, module: Any) -> None:
        exec(self.codes[module.__name__], module.__dict__)


def compiled(sources: Sources) -> Dict[str, Any]:
    """The code of each module, by its name."""
    codes = {}
    for name, source in sources.items():
        module = name[: -len(".py")].replace("/", ".")
        if module.endswith(".__init__"):
            module = module[: -len(".__init__")]
        codes[module] = compile(source, name, "exec", dont_inherit=True)
    return codes
