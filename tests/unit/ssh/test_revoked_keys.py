"""RevokedHostKeys files: lists of keys and KRLs, and what cannot be read."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuhop_tui.ssh.revoked_keys import RevokedKeysError, is_revoked
from tests.lab import keys


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[keys.Key, keys.Key]:
    """A host key with a certificate, and the authority that signed it."""
    folder = tmp_path_factory.mktemp("keys")
    key, authority = keys.generate(folder / "host"), keys.generate(folder / "authority")
    keys.certify(key, authority, principals=["h"], host=True)
    return key, authority


def data(file: Path) -> bytes:
    return base64.b64decode(file.read_text().split()[1])


def krl(path: Path, *revoked: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", path, *revoked], check=True)
    return path


def listed(path: Path, *revoked: Path) -> Path:
    path.write_text("# gone\n\n" + "".join(file.read_text() for file in revoked))
    return path


@pytest.mark.parametrize("write", [krl, listed])
def test_a_key_and_its_certificate(tmp_path: Path, pair: tuple[keys.Key, keys.Key], write) -> None:  # type: ignore[no-untyped-def]
    key, authority = pair
    by_key = write(tmp_path / "by-key", key.public_path)
    assert is_revoked(data(key.public_path), by_key)
    assert is_revoked(data(key.certificate), by_key)
    assert not is_revoked(data(authority.public_path), by_key)
    by_authority = write(tmp_path / "by-authority", authority.public_path)
    assert not is_revoked(data(key.public_path), by_authority)
    assert is_revoked(data(key.certificate), by_authority)


def test_a_certificate_in_a_list_revokes_its_key(
    tmp_path: Path, pair: tuple[keys.Key, keys.Key]
) -> None:
    key, _ = pair
    assert is_revoked(data(key.public_path), listed(tmp_path / "list", key.certificate))


def test_a_file_that_is_not_there(tmp_path: Path, pair: tuple[keys.Key, keys.Key]) -> None:
    with pytest.raises(RevokedKeysError, match="No such file"):
        is_revoked(data(pair[0].public_path), tmp_path / "none")


def test_a_krl_without_ssh_keygen(
    tmp_path: Path, pair: tuple[keys.Key, keys.Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = krl(tmp_path / "krl", pair[1].public_path)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RevokedKeysError, match="ssh-keygen"):
        is_revoked(data(pair[0].public_path), file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(min_size=1).filter(lambda text: text.strip() and not text.startswith(b"#")))
def test_rubbish_never_passes_for_a_list_of_other_keys(
    tmp_path: Path, pair: tuple[keys.Key, keys.Key], rubbish: bytes
) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"x" + rubbish)
    with pytest.raises(RevokedKeysError):
        is_revoked(data(pair[0].public_path), file)
