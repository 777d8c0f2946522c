"""What an engine builds from: a Dockerfile and the files beside it, as a tar archive."""

from __future__ import annotations

import fnmatch
import io
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gpuhop_tui.containers.errors import ContainerError

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig

PRESETS = ("pytorch-ssh",)
KEYS = "authorized_keys"
_SECRETS = (
    "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.key", "*.p12", "*.kdbx",
    ".env", ".netrc", ".git-credentials", ".npmrc", ".pypirc", "credentials", "kubeconfig",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Context:
    """A file that is gone when it is closed. `secrets` are names in it that look like secrets: what
    a Dockerfile copies of them would be in the image."""

    file: IO[bytes]
    size_bytes: int
    dockerfile: str
    build_args: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


def make_context(build: BuildConfig, keys: Iterable[str]) -> Context:
    """Reads the disk: to be called in a thread. `keys` is there for the Dockerfile to copy, as
    "authorized_keys", where it has no such file of its own.

    Raises ContainerError where the Dockerfile or a file beside it cannot be read.
    """
    lines = "".join(f"{key}\n" for key in keys)
    if build.preset is not None:
        return _of_preset(build.preset, build.base, lines)
    assert build.dockerfile is not None
    try:
        return _of_folder(build.dockerfile.expanduser(), build.base, lines)
    except OSError as error:
        raise ContainerError(
            f"what {build.dockerfile} builds from cannot be read: {error.strerror or error}",
            "Check `dockerfile` in the template, and leave files out by a .dockerignore.",
        ) from None


def _of_preset(name: str, base: str | None, keys: str) -> Context:
    if name not in PRESETS:
        raise ContainerError(f"there is no preset {name!r}", f"There are: {', '.join(PRESETS)}.")
    folder = resources.files("gpuhop_tui.containers") / "presets" / name
    file = tempfile.TemporaryFile(prefix="gpuhop-")  # noqa: SIM115 (the caller closes it)
    with tarfile.open(fileobj=file, mode="w") as tar:
        for each in folder.iterdir():
            _add(tar, each.name, each.read_bytes())
        _add(tar, KEYS, keys.encode())
    return _finished(file, "Dockerfile", base, ())


def _of_folder(dockerfile: Path, base: str | None, keys: str) -> Context:
    """The Dockerfile's folder without what its ignore file names: `NAME.dockerignore`, else
    `.dockerignore`, as docker(1) looks for them."""
    from docker.utils.build import create_archive, exclude_paths

    root, name = dockerfile.parent, dockerfile.name
    if not dockerfile.is_file():
        raise ContainerError(f"there is no Dockerfile {dockerfile}", "Check `dockerfile`.")
    ignore = next(
        (p for p in (root / f"{name}.dockerignore", root / ".dockerignore") if p.is_file()), None
    )
    patterns = [] if ignore is None else _patterns(ignore.read_text())
    names = sorted(exclude_paths(str(root), patterns, dockerfile=name))
    extra = [] if KEYS in names else [(KEYS, keys)]
    file = tempfile.TemporaryFile(prefix="gpuhop-")  # noqa: SIM115
    create_archive(str(root), files=names, fileobj=file, extra_files=extra)
    return _finished(file, name, base, names)


def _finished(file: IO[bytes], dockerfile: str, base: str | None, names: Iterable[str]) -> Context:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    secrets = tuple(name for name in names if _looks_secret(Path(name).name))
    return Context(file, size, dockerfile, {"BASE": base} if base else {}, secrets)


def _looks_secret(name: str) -> bool:
    return any(fnmatch.fnmatch(name.lower(), pattern) for pattern in _SECRETS)


def _patterns(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))
