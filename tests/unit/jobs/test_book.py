"""Jobs over time: who came, who left, and how."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gpuhop_tui.containers.model import Container, Listing
from gpuhop_tui.containers.spec import STARTED_BY
from gpuhop_tui.fleet.jobs import book as book_module
from gpuhop_tui.fleet.jobs.book import ABSENT_SECONDS, MOST_KEPT, JobBook
from gpuhop_tui.fleet.jobs.fold import fold
from gpuhop_tui.fleet.jobs.model import Job, JobState
from gpuhop_tui.fleet.jobs.places import with_session_names
from gpuhop_tui.probe.sample import Ending, Gpu, Process, ProcessTree, Sample
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.sessions.in_container import InContainer
from gpuhop_tui.sessions.model import Progress, TmuxPane, TmuxSession, TmuxWindow

T = 1_000_000.0
G = 1 << 30
ID = "ab" * 32


def process(pid: int, started: float | None = T - 100, **more: object) -> Process:
    fields: dict[str, object] = {"user": "ann", "command": f"python {pid}.py", "memory_bytes": G}
    return Process(pid=pid, started_at=started, **{**fields, **more})  # type: ignore[arg-type]


def gpu(index: int, *processes: Process, use: int | None = 90) -> Gpu:
    return Gpu(index, utilization_percent=use, processes=processes)


def tree(pid: int, *ranks: int, started: float | None = T - 100, **more: object) -> ProcessTree:
    fields: dict[str, object] = {"user": "ann", "command": f"python {pid}.py", "processes": 1}
    return ProcessTree(
        pid=pid, gpu_pids=ranks or (pid,), started_at=started,
        **{**fields, **more},  # type: ignore[arg-type]
    )  # fmt: skip


def sample(
    at: float,
    *gpus: Gpu,
    trees: Sequence[ProcessTree] | None = (),
    endings: Sequence[Ending] = (),
    **more: object,
) -> Sample:
    jobs = None if trees is None else tuple(trees)
    return Sample("nvml", at, gpus=gpus, jobs=jobs, endings=tuple(endings), **more)  # type: ignore[arg-type]


class Node:
    """A book, and the hand that shows it samples."""

    def __init__(self, **more: object) -> None:
        self.book = JobBook("gpu-01", login="me", **more)  # type: ignore[arg-type]
        self.sessions: tuple[TmuxSession, ...] | None = None
        self.listing: Listing | None = None

    def see(self, new: Sample) -> tuple[Job, ...]:
        self.book.update(new, False, self.sessions, self.listing, new.sampled_at)
        return self.book.jobs

    def look(self, now: float) -> tuple[Job, ...]:
        self.book.update(None, False, self.sessions, self.listing, now)
        return self.book.jobs


def one(jobs: Sequence[Job]) -> Job:
    (job,) = jobs
    return job


def busy(at: float, use: int | None = 90, **more: object) -> Sample:
    return sample(at, gpu(0, process(7), use=use), trees=[tree(7)], **more)  # type: ignore[arg-type]


# Folding


def test_ranks_and_their_launcher_are_one_job() -> None:
    ranks = [process(10 + n, command="python -u train.py") for n in range(4)]
    launcher = tree(9, 10, 11, 12, 13, command="/opt/bin/torchrun --nproc_per_node=4 train.py")
    seen = sample(T, *(gpu(n, rank, use=10 * n) for n, rank in enumerate(ranks)), trees=[launcher])
    job = one(fold("gpu-01", seen))
    assert (job.pid, job.gpus, job.name) == (9, (0, 1, 2, 3), "torchrun train.py")
    assert (job.memory_bytes, job.utilization_percent, job.shared) == (4 * G, 15, False)


def test_without_trees_each_process_is_a_job_and_the_reason_is_told() -> None:
    both = process(7, memory_bytes=None)
    jobs = fold("gpu-01", sample(T, gpu(0, both, process(8)), gpu(1, both), trees=None))
    assert [(job.pid, job.gpus, job.shared) for job in jobs] == [(8, (0,), True), (7, (0, 1), True)]
    assert jobs[1].memory_bytes is None
    assert {"memory_bytes", "cpu_percent", "processes"} <= set(jobs[1].missing)


def test_five_hundred_processes_stay_cheap() -> None:
    node = Node()
    everyone = [process(1000 + n) for n in range(500)]
    trees = [tree(1000 + n) for n in range(500)]
    gpus = [gpu(index, *everyone[index::8]) for index in range(8)]
    node.see(sample(T, *gpus, trees=trees))
    began = time.process_time()
    for n in range(1, 11):
        assert len(node.see(sample(T + 2 * n, *gpus, trees=trees))) == 500
    assert (time.process_time() - began) / 10 < 0.15  # ~15 ms on a machine of today


# States while it is on a GPU


def test_starting_running_stalled_and_running_again() -> None:
    node = Node()
    fresh = tree(7, started=T - 5)
    states = []
    for second, use in [(0, 0), (30, 0), (60, 95), (90, 0), (600, 0), (661, 0), (700, 50)]:
        at = T + second
        node.see(sample(at, gpu(0, process(7, T - 5), use=use), trees=[fresh]))
        for extra in range(60, 500, 60):  # nothing is missed meanwhile
            if second == 90:
                node.see(sample(at + extra, gpu(0, process(7, T - 5), use=0), trees=[fresh]))
        states.append(one(node.book.jobs).state.value)
    assert states == ["starting", "starting", *["running"] * 3, "stalled", "running"]
    assert one(node.book.jobs).last_busy_at == T + 700
    assert one(node.book.jobs).since == T + 700


def test_a_gap_is_no_idleness() -> None:
    node = Node()
    node.see(busy(T, use=90))
    assert one(node.see(busy(T + 5000, use=0))).state is JobState.RUNNING


def test_utilization_that_is_not_known_never_stalls() -> None:
    node = Node()
    for second in range(0, 2000, 60):
        node.see(busy(T + second, use=None))
    job = one(node.book.jobs)
    assert job.state is JobState.RUNNING
    assert "utilization_percent" in job.missing


def test_the_mean_of_ten_minutes_is_bounded_and_forgets() -> None:
    node = Node()
    for second in range(0, 1800, 10):
        node.see(busy(T + second, use=100 if second < 900 else 50))
    job = one(node.book.jobs)
    assert job.recent_percent == 50
    assert len(job.trend) == 20


# Ends


@pytest.mark.parametrize(
    ("ending", "state", "exit_code", "killed_by"),
    [
        ({"status": 0}, JobState.FINISHED, 0, None),
        ({"status": 3 << 8}, JobState.FAILED, 3, None),
        ({"status": signal.SIGKILL}, JobState.KILLED, None, signal.SIGKILL),
        ({"status": signal.SIGSEGV | 0x80}, JobState.KILLED, None, signal.SIGSEGV),
        (
            {"status": signal.SIGKILL, "out_of_memory": True},
            JobState.OUT_OF_MEMORY,
            None,
            signal.SIGKILL,
        ),
        ({"status": None, "missing": "an old kernel"}, JobState.ENDED, None, None),
    ],
)
def test_an_end_between_two_reads(
    ending: dict[str, object], state: JobState, exit_code: int | None, killed_by: int | None
) -> None:
    node = Node()
    node.see(busy(T))
    end = Ending(7, T - 100, T + 1, **ending)  # type: ignore[arg-type]
    job = one(node.see(sample(T + 2, gpu(0), endings=[end])))
    assert (job.state, job.exit_code, job.signal) == (state, exit_code, killed_by)
    assert (job.ended_at, job.is_over) == (T + 1, True)
    if state is JobState.ENDED:
        assert job.reason == "an old kernel"
    again = one(node.see(sample(T + 4, gpu(0), endings=[end])))
    assert again.ended_at == T + 1


def test_a_process_id_that_is_used_again_is_another_job() -> None:
    node = Node()
    node.see(busy(T))
    end = Ending(7, T - 100, T + 1, 256)
    other = process(7, T + 1.5, user="bob")
    now = sample(T + 2, gpu(0, other), trees=[tree(7, started=T + 1.5, user="bob")], endings=[end])
    alive, over = node.see(now)
    assert (alive.user, alive.state, alive.started_at) == ("bob", JobState.RUNNING, T + 1.5)
    assert (over.user, over.state, over.exit_code) == ("ann", JobState.FAILED, 1)


def test_an_ending_of_an_earlier_process_with_this_id_is_not_taken() -> None:
    node = Node()
    node.see(busy(T))
    end = Ending(7, T - 9000, T - 120, 0)
    assert one(node.see(busy(T + 2, endings=[end]))).state is JobState.RUNNING


def test_the_root_decides_and_a_rank_tells_why() -> None:
    node = Node()
    ranks = gpu(0, process(10)), gpu(1, process(11))
    node.see(sample(T, *ranks, trees=[tree(9, 10, 11)]))
    oom = Ending(10, T - 100, T + 1, signal.SIGKILL, out_of_memory=True)
    job = one(node.see(sample(T + 2, gpu(0), gpu(1), endings=[oom])))
    assert not job.is_over  # its launcher still has a word to say
    root = Ending(9, T - 100, T + 3, 1 << 8)
    job = one(node.see(sample(T + 4, gpu(0), gpu(1), endings=[oom, root])))
    assert (job.state, job.exit_code) == (JobState.OUT_OF_MEMORY, 1)
    assert "10" in job.reason


def test_off_the_gpu_and_back() -> None:
    node = Node()
    node.see(busy(T))
    assert one(node.see(sample(T + 2, gpu(0)))).state is JobState.RUNNING
    job = one(node.see(sample(T + 2 + ABSENT_SECONDS, gpu(0))))
    assert (job.state, job.memory_bytes, job.is_over) == (JobState.OFF_GPU, None, False)
    job = one(node.see(busy(T + 20)))
    assert (job.state, job.memory_bytes, job.first_seen) == (JobState.RUNNING, G, T)


def test_a_lost_gpu_does_not_end_what_is_on_it() -> None:
    node = Node()
    node.see(sample(T, gpu(0, process(7)), trees=None))
    job = one(node.see(sample(T + 2, Gpu(0, lost="fell off the bus"), trees=None)))
    assert job.state is JobState.OFF_GPU
    assert "fell off the bus" in job.reason
    broken = Problem("gpu-01", ErrorKind.NO_DRIVER, "no driver", "")
    assert one(node.see(sample(T + 4, problem=broken))).state is JobState.OFF_GPU


def test_without_trees_nobody_tells_how_it_ended() -> None:
    node = Node()
    node.see(sample(T, gpu(0, process(7)), trees=None))
    job = one(node.see(sample(T + 2, gpu(0), trees=None)))
    assert job.state is JobState.ENDED
    assert "does not tell how" in job.reason


def test_what_ended_while_the_link_was_away_says_so_and_may_come_back() -> None:
    node = Node()
    last = busy(T)
    node.see(last)
    node.book.update(last, True, None, None, T + 30)
    assert one(node.book.jobs).state is JobState.RUNNING  # the last that is known
    assert one(node.see(sample(T + 300, gpu(0)))).state is JobState.RUNNING
    job = one(node.see(sample(T + 300 + ABSENT_SECONDS, gpu(0))))
    assert job.state is JobState.ENDED
    assert "no link" in job.reason
    job = one(node.see(busy(T + 320)))
    assert (job.state, job.ended_at, job.reason) == (JobState.RUNNING, None, "")


def test_a_rank_seen_before_its_tree_is_no_job_of_its_own() -> None:
    node = Node()
    assert one(node.see(sample(T, gpu(0, process(10))))).pid == 10
    assert one(node.see(sample(T + 2, gpu(0, process(10)), trees=[tree(9, 10)]))).pid == 9


def test_what_ended_is_kept_for_a_while_and_not_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()
    for n in range(MOST_KEPT + 20):
        at = T + 4 * n
        node.see(sample(at, gpu(0, process(n + 1, at)), trees=[tree(n + 1, started=at)]))
        node.see(sample(at + 2, gpu(0), endings=[Ending(n + 1, at, at + 1, 0)]))
    assert len(node.book.jobs) == MOST_KEPT
    assert node.book.jobs[0].pid == MOST_KEPT + 20
    node.book.dismiss(node.book.jobs[0].pid, node.book.jobs[0].started_at)
    assert node.book.jobs[0].pid == MOST_KEPT + 19
    node.see(sample(T + 4 * MOST_KEPT + book_module.KEPT_SECONDS + 600, gpu(0)))
    assert node.book.jobs == ()


# Sessions and containers


def session(
    last_line: str | None = None, place: InContainer | None = None, **more: object
) -> TmuxSession:
    pane = TmuxPane("%3", 0, "", "python", "/", 7, 80, 24, True, last_line=last_line, **more)  # type: ignore[arg-type]
    window = TmuxWindow("@1", 0, "w", True, T, 80, 24, (pane,))
    return TmuxSession(
        "gpu-01", "/tmp/tmux-1/x", 5, "3.3a", "$2", "train", T, (window,), place=place
    )


def container(**more: object) -> Container:
    fields: dict[str, object] = {
        "node": "gpu-01", "id": ID, "name": "box", "image": "i", "image_id": "i", "command": "c",
        "state": "running", "health": None, "created_at": T, "started_at": T, "finished_at": None,
        "exit_code": None, "error": "", "oom_killed": False, "restart_count": 0,
        "restart_policy": "no", "tty": False, "user": "", "pid": 7,
    }  # fmt: skip
    return Container(**{**fields, **more})  # type: ignore[arg-type]


PANE = "/tmp/tmux-1/x,$2,%3"


@pytest.mark.parametrize("pane", [PANE, "@7"], ids=["ids", "process"])
def test_a_session_is_joined_by_its_pane_and_its_container(pane: str) -> None:
    node = Node()
    seen = sample(
        T,
        gpu(0, process(7, tmux=pane, container_id=ID)),
        trees=[tree(7, tmux=pane, container_id=ID)],
    )
    job = one(node.see(seen))
    assert (job.session, job.missing["session"]) == (None, "the tmux sessions were not looked at")
    node.sessions = (session("on the node"),)
    assert one(node.look(T + 1)).session is None  # the same pane, but outside
    node.sessions = (*node.sessions, session("step 5", InContainer(ID, "box")))
    job = one(node.look(T + 2))
    assert (job.session, job.last_line) == ("train", "step 5")
    named = with_session_names(seen, node.sessions)
    assert named is not None
    assert named.gpus[0].processes[0].tmux_session == "train"


def test_progress_without_an_eta_gets_one_and_survives_other_lines() -> None:
    node = Node()
    for second, done in [(0, 10), (30, 20), (60, 30)]:
        progress = Progress(percent=done, done=done, total=100, label="epoch")
        node.sessions = (session(f"epoch {done}/100", progress=progress),)
        node.see(sample(T + second, gpu(0, process(7, tmux=PANE)), trees=[tree(7, tmux=PANE)]))
    job = one(node.book.jobs)
    assert job.progress is not None
    assert job.eta_seconds == pytest.approx(210)
    node.sessions = (session("saved a checkpoint"),)
    job = one(node.look(T + 65))
    assert job.last_line == "saved a checkpoint"
    assert job.eta_seconds == pytest.approx(205)


def test_a_last_line_tells_of_cuda() -> None:
    node = Node()
    node.sessions = (session("step 1"),)
    node.see(sample(T, gpu(0, process(7, tmux=PANE)), trees=[tree(7, tmux=PANE)]))
    node.see(sample(T + 2, gpu(0), endings=[Ending(7, T - 100, T + 1, 1 << 8)]))
    assert one(node.book.jobs).state is JobState.FAILED
    node.sessions = (session("torch.OutOfMemoryError: CUDA out of memory. Tried to …"),)
    job = one(node.look(T + 3))
    assert (job.state, job.exit_code) == (JobState.OUT_OF_MEMORY, 1)


def test_an_engine_or_a_pane_tells_what_an_old_kernel_does_not() -> None:
    unknown = Ending(7, T - 100, T + 1, None, missing="an old kernel")
    node = Node()
    node.listing = Listing(containers=(container(),))
    node.see(sample(T, gpu(0, process(7)), trees=[tree(7, container_id=ID)]))
    node.see(sample(T + 2, gpu(0), endings=[unknown]))
    node.listing = Listing(containers=(container(state="exited", pid=None, exit_code=137),))
    job = one(node.look(T + 3))
    assert (job.state, job.exit_code) == (JobState.FAILED, 137)
    assert "SIGKILL" in job.reason

    node = Node()
    node.sessions = (session(),)
    node.see(sample(T, gpu(0, process(7)), trees=[tree(7, tmux=PANE)]))
    node.see(sample(T + 2, gpu(0), endings=[unknown]))
    node.sessions = (session(dead=True, exit_signal=9),)
    assert one(node.look(T + 3)).signal == 9


@pytest.mark.parametrize(
    ("user", "labels", "expected", "told_by"),
    [
        ("root", {STARTED_BY: "mira"}, "mira", "started box"),
        (
            "root",
            {"com.docker.compose.project.working_dir": "/home/lee/app"},
            "lee",
            "its compose project is in /home/lee",
        ),
        ("root", {}, "root", "root in box; nothing tells who started that"),
        ("ann", {STARTED_BY: "mira"}, "ann", ""),
    ],
)
def test_who_runs_it(user: str, labels: dict[str, str], expected: str, told_by: str) -> None:
    node = Node()
    seen = sample(T, gpu(0, process(7)), trees=[tree(7, user=user, container_id=ID)])
    job = one(node.see(seen))
    if user == "root":
        assert "not known" in job.user_from
    node.listing = Listing(containers=(container(labels=labels),))
    job = one(node.look(T + 1))
    assert (job.user, job.user_from, job.container) == (expected, told_by, "box")
    node.listing = None  # nobody looks any more
    job = one(node.see(replace(seen, sampled_at=T + 2)))
    assert (job.user, job.user_from, job.container) == (expected, told_by, "box")


def test_sudo_in_ones_own_session() -> None:
    node = Node()
    node.sessions = (session(),)
    job = one(node.see(sample(T, gpu(0, process(7)), trees=[tree(7, user="root", tmux=PANE)])))
    assert (job.user, job.process_user) == ("me", "root")
