"""The jobs of one node over time: who came, who left, and how."""

from __future__ import annotations

from collections.abc import Sequence

from gpuhop_tui.containers.model import Listing
from gpuhop_tui.fleet.jobs.ends import End, end_by_kernel, ending_of, same_process
from gpuhop_tui.fleet.jobs.entry import STALLED_SECONDS, Entry
from gpuhop_tui.fleet.jobs.fold import fold
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.jobs.places import Places
from gpuhop_tui.probe.sample import Gpu, Sample
from gpuhop_tui.sessions.model import TmuxSession

KEPT_SECONDS = 6 * 3600.0  # after its end
MOST_KEPT = 100  # that have ended
ABSENT_SECONDS = 6.0  # off the GPUs: its ending may be told a moment later
GAP_SECONDS = 120.0  # without samples for longer, nothing is known of the time between

_LEFT_UNSEEN = "it ended, or left its GPUs, while there was no link to the node"


class JobBook:
    """Keeps `jobs` of one node true: those that go on by GPU, then those that ended, newest first.

    Bounded: what has ended is dropped after `KEPT_SECONDS`, beyond `MOST_KEPT`, or when dismissed.
    """

    def __init__(
        self, node: str, *, login: str = "", stalled_seconds: float = STALLED_SECONDS
    ) -> None:
        """`login`: the user whose tmux sessions are listed."""
        self._node = node
        self._login = login
        self._stalled_seconds = stalled_seconds
        self._live: dict[int, list[Entry]] = {}  # by the root's process id
        self._ended: list[Entry] = []  # the newest first
        self._sample: Sample | None = None
        self._sampled_at: float | None = None
        self._away = False  # since the last sample there was none for a while
        self._seen: tuple[object, object] = (None, None)
        self._places = Places(None, None, login)
        self.jobs: tuple[Job, ...] = ()

    def update(
        self,
        sample: Sample | None,
        stale: bool,
        sessions: tuple[TmuxSession, ...] | None,
        listing: Listing | None,
        now: float,
    ) -> None:
        """Takes what is new. `now` is the laptop's clock; a `stale` sample is one of the past."""
        self._away = self._away or stale
        is_new = sample is not None and sample is not self._sample and not stale
        if sessions is not self._seen[0] or listing is not self._seen[1]:
            self._seen = (sessions, listing)
            self._places = Places(sessions, listing, self._login)
        elif not is_new:
            return
        if is_new and sample is not None:
            self._sample = sample
            if sample.problem is None:
                self._take(sample)
        for entry in (*self._entries(), *self._ended):
            entry.place(self._places, now)
        self._ended = [e for e in self._ended if now - (e.job.ended_at or now) <= KEPT_SECONDS]
        del self._ended[MOST_KEPT:]
        self._tell()

    def dismiss(self, pid: int, started_at: float | None) -> None:
        """Forgets a job that is over, or off the GPUs."""
        key = self._node, pid, started_at
        self._ended = [entry for entry in self._ended if entry.job.key != key]
        for entry in self._entries():
            if entry.job.key == key and entry.job.state is JobState.OFF_GPU:
                self._drop(entry)
        self._tell()

    def _take(self, sample: Sample) -> None:
        now = sample.sampled_at
        away, self._away = self._away, False
        long_away = self._sampled_at is not None and now - self._sampled_at > GAP_SECONDS
        self._sampled_at = now
        seen = set()
        jobs = fold(self._node, sample)
        for job in jobs:
            entry = self._find(job) or self._revived(job, now) or self._begin(job, now)
            if long_away:
                entry.gap(now)
            entry.saw(job, now)
            seen.add(id(entry))
        self._absorb(jobs)
        for entry in self._entries():
            if id(entry) not in seen:
                entry.left_unseen = entry.left_unseen or away
                self._missed(entry, sample, now)

    def _missed(self, entry: Entry, sample: Sample, now: float) -> None:
        """It is on no GPU in this sample."""
        job = entry.job
        ending = ending_of((job.pid, job.started_at), sample.endings)
        if ending is not None:
            others = [ending_of(key, sample.endings) for key in job.gpu_processes]
            self._end(entry, end_by_kernel(ending, filter(None, others)), ending.at)
        elif why := _unseen(job, sample.gpus):
            entry.off_gpu(now, why)
        elif sample.jobs is None:
            reason = f"{sample.source} does not tell how a process ends"
            self._end(entry, End(JobState.ENDED, reason=reason), now)
        else:
            entry.absent_since = entry.absent_since or now
            if now - entry.absent_since < ABSENT_SECONDS:
                return
            if entry.left_unseen:
                self._end(entry, End(JobState.ENDED, reason=_LEFT_UNSEEN), entry.absent_since)
            else:
                entry.off_gpu(now, "its processes hold nothing on a GPU, and it goes on")
            if now - entry.absent_since > KEPT_SECONDS and entry.job.state is JobState.OFF_GPU:
                self._drop(entry)

    def _absorb(self, jobs: Sequence[Job]) -> None:
        """A rank that was seen before its tree was told is no job of its own."""
        ranks = {key[0]: key for job in jobs for key in job.gpu_processes if key[0] != job.pid}
        for entry in self._entries():
            rank = ranks.get(entry.job.pid)
            if rank is not None and same_process(rank, (entry.job.pid, entry.job.started_at)):
                self._drop(entry)

    def _begin(self, job: Job, now: float) -> Entry:
        entry = Entry(job, now, self._stalled_seconds)
        self._live.setdefault(job.pid, []).append(entry)
        return entry

    def _find(self, job: Job) -> Entry | None:
        return next((e for e in self._live.get(job.pid, ()) if e.is_same(job)), None)

    def _revived(self, job: Job, now: float) -> Entry | None:
        """The entry of a job whose end was only supposed."""
        for entry in self._ended:
            if entry.job.state is JobState.ENDED and entry.is_same(job):
                self._ended.remove(entry)
                self._live.setdefault(job.pid, []).append(entry)
                entry.revive(now)
                return entry
        return None

    def _end(self, entry: Entry, end: End, at: float) -> None:
        self._drop(entry)
        entry.end(end, at)
        self._ended.insert(0, entry)

    def _drop(self, entry: Entry) -> None:
        rest = [each for each in self._live[entry.job.pid] if each is not entry]
        if rest:
            self._live[entry.job.pid] = rest
        else:
            del self._live[entry.job.pid]

    def _entries(self) -> list[Entry]:
        return [entry for entries in self._live.values() for entry in entries]

    def _tell(self) -> None:
        live = sorted(
            (entry.job for entry in self._entries()),
            key=lambda job: (job.gpus[0] if job.gpus else 0, -(job.memory_bytes or 0), job.pid),
        )
        self.jobs = (*live, *(entry.job for entry in self._ended))


def _unseen(job: Job, gpus: Sequence[Gpu]) -> str | None:
    """Why a job's GPUs do not tell who is on them; None where they do."""
    for gpu in gpus:
        if gpu.index in job.gpus:
            if gpu.lost is not None:
                return f"GPU {gpu.index} does not answer: {gpu.lost}"
            if "processes" in gpu.missing:
                return f"GPU {gpu.index} does not tell who is on it: {gpu.missing['processes']}"
    return None
