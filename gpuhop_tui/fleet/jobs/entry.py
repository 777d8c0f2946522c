"""One job over time: what its figures add up to, and in which state that puts it."""

from __future__ import annotations

from dataclasses import replace

from gpuhop_tui.fleet.jobs.ends import End, end_by_engine, end_by_pane, same_process, with_last_line
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.jobs.owner import owner_of
from gpuhop_tui.fleet.jobs.pace import Pace
from gpuhop_tui.fleet.jobs.places import NOT_LISTED, NOT_LOOKED, Places
from gpuhop_tui.fleet.jobs.usage import Usage
from gpuhop_tui.sessions.model import Progress

STALLED_SECONDS = 600.0
LAST_WORDS_SECONDS = 30.0  # after its end, the pane's last line may still be the job's
PROGRESS_SECONDS = 180.0  # a bar that other lines follow is still worth showing


class Entry:
    """Keeps `job` true. Times are the laptop's."""

    def __init__(self, job: Job, now: float, stalled_seconds: float = STALLED_SECONDS) -> None:
        self.job = replace(job, first_seen=now, since=now)
        self.absent_since: float | None = None
        self.left_unseen = False  # it was gone when the link came back
        self._stalled_seconds = stalled_seconds
        self._usage = Usage(now)
        self._pace = Pace()
        self._progress: Progress | None = None
        self._progress_at = 0.0
        self._is_main = False  # the main program of its container
        self._is_first = False  # the first process of its pane
        self._end_said: End | None = None  # before its last line was looked at

    # What a sample tells

    def saw(self, job: Job, now: float) -> None:
        """It is on GPUs now, as `job` says."""
        before = self.job
        self.absent_since, self.left_unseen = None, False
        self._usage.add(now, job.utilization_percent)
        state = self._state_on_gpu(job, now)
        self.job = replace(
            job,
            started_at=before.started_at if before.started_at is not None else job.started_at,
            first_seen=before.first_seen,
            last_busy_at=self._usage.last_busy_at,
            recent_percent=self._usage.mean(now),
            trend=self._usage.trend(now),
            state=state,
            since=before.since if state is before.state else now,
            user=before.user if before.process_user == job.process_user else job.user,
            user_from=before.user_from if before.process_user == job.process_user else "",
            container=job.container or before.container,
            session=job.session or before.session,
            progress=before.progress,
            eta_seconds=before.eta_seconds,
            last_line=before.last_line,
        )

    def _state_on_gpu(self, job: Job, now: float) -> JobState:
        if job.utilization_percent is None:
            return JobState.RUNNING
        began = job.started_at if job.started_at is not None else self.job.first_seen
        if self._usage.last_busy_at is None and now - began < self._stalled_seconds:
            return JobState.STARTING
        if now - self._usage.idle_since >= self._stalled_seconds:
            return JobState.STALLED
        return JobState.RUNNING

    def gap(self, now: float) -> None:
        """Nothing is known of the time until `now`."""
        self._usage.gap(now)

    def off_gpu(self, now: float, reason: str) -> None:
        """Nothing of it is on a GPU, and it has not ended as far as is known."""
        if self.job.state is not JobState.OFF_GPU:
            missing = {**self.job.missing, "utilization_percent": "it is on no GPU"}
            self.job = replace(
                self.job,
                state=JobState.OFF_GPU,
                since=now,
                reason=reason,
                utilization_percent=None,
                memory_bytes=None,
                missing={**missing, "memory_bytes": "it is on no GPU"},
            )

    def end(self, end: End, at: float) -> None:
        """It is over."""
        self._end_said = end
        self.job = replace(self.job, ended_at=at, since=at, eta_seconds=None)
        self._tell(end)

    def _tell(self, end: End) -> None:
        told = with_last_line(end, self.job.last_line)
        self.job = replace(
            self.job,
            state=told.state,
            exit_code=told.exit_code,
            signal=told.signal,
            reason=told.reason,
        )

    # What sessions and containers tell

    def place(self, places: Places, now: float) -> None:
        """Names, owner, last line and progress, as far as `places` knows them."""
        if self._end_said is not None:
            self._place_after_end(self._end_said, places, now)
            return
        job, found, container = self.job, places.pane(self.job), places.container(self.job)
        if container is not None:
            self._is_main = container.pid == job.pid
        missing = {k: v for k, v in job.missing.items() if k not in ("session", "last_line")}
        session, line = job.session, job.last_line
        if found is not None:
            session, line = found[0].name, found[1].last_line
            self._is_first = found[1].pid == job.pid
            self._observe(found[1].progress, now)
        elif job.tmux is not None and session is None:
            missing["session"] = NOT_LISTED if places.looked_at_sessions else NOT_LOOKED
        if line is None:
            outside = "it runs in no tmux session"
            unjoined = outside if session is None else f"which pane of {session} it has is not told"
            missing["last_line"] = missing.get("session", unjoined)
        user, user_from = job.user, job.user_from
        if container is not None or found is not None or not user_from:
            user, user_from = owner_of(job, places)
        self.job = replace(
            job,
            user=user,
            user_from=user_from,
            container=container.name if container is not None else job.container,
            session=session,
            last_line=line,
            progress=self._progress,
            eta_seconds=self._eta(now),
            missing=missing,
        )

    def _observe(self, progress: Progress | None, now: float) -> None:
        if progress is not None:
            self._progress, self._progress_at = progress, now
        elif now - self._progress_at > PROGRESS_SECONDS:
            self._progress = None

    def _eta(self, now: float) -> float | None:
        return None if self._progress is None else self._pace.observe(now, self._progress)

    def _place_after_end(self, end: End, places: Places, now: float) -> None:
        """The last that its pane says, and how it ended where the node's kernel did not tell."""
        found, container = places.pane(self.job), places.container(self.job)
        if found is not None and now - (self.job.ended_at or now) <= LAST_WORDS_SECONDS:
            self.job = replace(self.job, last_line=found[1].last_line)
        if end.state is JobState.ENDED:
            told = end_by_engine(container) if container is not None and self._is_main else None
            if told is None and found is not None and self._is_first:
                told = end_by_pane(found[1])
            end = self._end_said = told or end
        self._tell(end)

    def is_same(self, job: Job) -> bool:
        """Whether `job` is this one, seen again."""
        return same_process((self.job.pid, self.job.started_at), (job.pid, job.started_at))

    def revive(self, now: float) -> None:
        """It is there after all: its end was only supposed."""
        self._end_said = None
        self._usage.gap(now)
        self.job = replace(
            self.job, state=JobState.RUNNING, since=now, ended_at=None, exit_code=None, reason=""
        )
