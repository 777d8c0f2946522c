"""The SQLite file that keeps the past across restarts. All of it blocks: for a thread of its own.

Several programs may have it open at once. What they write for the same bin is joined, never lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs

from gpuhop_tui.fleet.store.bins import TIERS, Row, Tier, joined, pack, unpack

LIMIT_BYTES = 64 << 20
BUSY_SECONDS = 2.0  # that another program's writing is waited for
KEPT_SECONDS = TIERS[-1].keep  # of jobs and alerts, after their end

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS bins (
    node TEXT NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL, figures BLOB NOT NULL,
    PRIMARY KEY (node, step, at));
CREATE TABLE IF NOT EXISTS notes (
    kind TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (kind, key));
CREATE INDEX IF NOT EXISTS notes_by_time ON notes (kind, at);
"""


_BROKEN = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,  # such as a table that is gone
        sqlite3.SQLITE_IOERR_SHORT_READ,
    }
)


def default_path() -> Path:
    """$XDG_STATE_HOME/gpuhop-tui/history.sqlite3."""
    return Path(platformdirs.user_state_dir("gpuhop-tui")) / "history.sqlite3"


def is_broken(error: Exception) -> bool:
    """Whether an error says that the file is not what it should be, and opening it anew helps.
    The codes are those of sqlite.org/rescode.html."""
    return getattr(error, "sqlite_errorcode", None) in _BROKEN


def is_busy(error: Exception) -> bool:
    """Whether another program has the file at the moment."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


class NewerStoreError(Exception):
    """The file was written by a newer version: it is left alone."""


class Database:
    """One connection. Every method may raise sqlite3.Error or OSError."""

    def __init__(
        self, path: Path, limit_bytes: int = LIMIT_BYTES, *, read_only: bool = False
    ) -> None:
        """Opens the file, made where it is not there; one that is broken is put aside, under the
        name `set_aside` has then. Nothing of that is done to one that is to be `read_only`.
        Raises NewerStoreError too."""
        self._path = path
        self._limit = limit_bytes
        self.set_aside: Path | None = None
        if read_only:
            self._db = _opened_to_read(path)
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._db = _opened(path)
        except sqlite3.OperationalError:
            raise  # locked, full, not allowed: the file is not broken
        except sqlite3.DatabaseError:
            self.set_aside = _put_aside(path)
            self._db = _opened(path)
        self._inode = path.stat().st_ino

    def close(self) -> None:
        self._db.close()

    @property
    def is_in_place(self) -> bool:
        """Whether the open file is still the one of that name: nobody took it away."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def nodes(self) -> list[str]:
        """The names of all nodes of which there is a past."""
        return [name for (name,) in self._db.execute("SELECT DISTINCT node FROM bins")]

    def add(
        self,
        rows: Iterable[tuple[str, Tier, int, Row]],
        notes: Iterable[tuple[str, str, float, dict[str, Any]]] = (),
    ) -> None:
        """Adds (node, tier, start of the bin, row), joined with what is there of the same bin; and
        (kind, key, time, facts), in place of what is there of the same kind and key."""
        with self._writing() as db:
            for node, tier, at, row in rows:
                key = (node, tier.step, at)
                found = db.execute(
                    "SELECT figures FROM bins WHERE node = ? AND step = ? AND at = ?", key
                ).fetchone()
                if found is not None:
                    row = joined((_row(found[0]), row))
                db.execute("INSERT OR REPLACE INTO bins VALUES (?, ?, ?, ?)", (*key, pack(row)))
            for kind, name, when, facts in notes:
                values = (kind, name, when, json.dumps(facts, ensure_ascii=False))
                db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", values)

    def rows(
        self, node: str, tier: Tier, since: float, until: float, only: int | None = None
    ) -> list[tuple[int, Row]]:
        """(start of the bin, row) of a node, oldest first; `only` one GPU of it."""
        found = self._db.execute(
            "SELECT at, figures FROM bins WHERE node = ? AND step = ? AND at BETWEEN ? AND ? "
            "ORDER BY at",
            (node, tier.step, int(since) - tier.step + 1, int(until)),
        )
        return [(at, _row(figures, only)) for at, figures in found]

    def notes(
        self, kind: str, since: float, most: int = 1000
    ) -> list[tuple[str, float, dict[str, Any]]]:
        """The newest notes of a kind as (key, time, facts), oldest first."""
        found = self._db.execute(
            "SELECT key, at, facts FROM notes WHERE kind = ? AND at >= ? ORDER BY at DESC LIMIT ?",
            (kind, since, most),
        ).fetchall()
        return [(key, at, json.loads(facts)) for key, at, facts in reversed(found)]

    def prune(self, now: float | None = None) -> None:
        """Drops what is too old; then the oldest, until the file is within its limit."""
        now = time.time() if now is None else now
        with self._writing() as db:
            for tier in TIERS:
                db.execute(
                    "DELETE FROM bins WHERE step = ? AND at < ?", (tier.step, now - tier.reach)
                )
            db.execute("DELETE FROM notes WHERE at < ?", (now - KEPT_SECONDS,))
        self._shrink()
        while self._used() > self._limit and self._drop_oldest():
            self._shrink()

    def _drop_oldest(self) -> bool:
        """Drops a tenth of the bins, the oldest of each tier; whether there was anything."""
        with self._writing() as db:
            dropped = 0
            for tier in TIERS:
                (count,) = db.execute(
                    "SELECT count(*) FROM bins WHERE step = ?", (tier.step,)
                ).fetchone()
                row = db.execute(
                    "SELECT at FROM bins WHERE step = ? ORDER BY at LIMIT 1 OFFSET ?",
                    (tier.step, count // 10),
                ).fetchone()
                if row is not None:
                    dropped += db.execute(
                        "DELETE FROM bins WHERE step = ? AND at <= ?", (tier.step, row[0])
                    ).rowcount
        return dropped > 0

    def _shrink(self) -> None:
        self._db.executescript("PRAGMA incremental_vacuum")  # execute() would free one page only
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _used(self) -> int:
        """Bytes that the file has."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        return int(pages) * int(size)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which has the file from its beginning: reading first and writing then
        would fail where another program writes in between."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            raise


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("PRAGMA synchronous = NORMAL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise NewerStoreError(path)
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("broken")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        db.close()
        raise
    return db


def _opened_to_read(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise NewerStoreError(path)
    except BaseException:
        db.close()
        raise
    return db


def _put_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def _row(data: Any, only: int | None = None) -> Row:
    try:
        return unpack(data, only)
    except (ValueError, TypeError):
        return {}
