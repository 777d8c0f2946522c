"""Who runs a job. The kernel knows the user of its processes; in most containers that is root."""

from __future__ import annotations

import re

from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.spec import STARTED_BY
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.places import Places

# Labels of other tools that name a folder of who started the container.
_FOLDERS = {
    "com.docker.compose.project.working_dir": "its compose project",
    "devcontainer.local_folder": "its dev container",
}
_HOME = re.compile(r"/(?:home|data/home|mnt/home)/([a-z_][\w.-]*)(?:/|$)")
_TMUX_UID = re.compile(r"/tmux-(\d+)/[^/]*,\$")


def owner_of(job: Job, places: Places) -> tuple[str | None, str]:
    """The user, and what tells so: "" where it is the processes' own."""
    user = job.process_user
    if user != "root":
        return user, ""
    if job.container_id is None:
        return _of_host(job, places)
    container = places.container(job)
    if container is None:
        return user, "root in a container; who started that is not known"
    return _of_container(container) or (
        user,
        f"root in {container.name}; nothing tells who started that",
    )


def _of_container(container: Container) -> tuple[str, str] | None:
    if who := container.labels.get(STARTED_BY):
        return who, f"started {container.name}"
    for label, what in _FOLDERS.items():
        if home := _HOME.match(container.labels.get(label, "")):
            return home[1], f"{what} is in /home/{home[1]}"
    return None


def _of_host(job: Job, places: Places) -> tuple[str | None, str]:
    """root on the node itself: somebody's sudo, where it is in his tmux session."""
    if job.tmux is None:
        return job.process_user, ""
    if places.login and places.login != "root" and places.pane(job) is not None:
        return places.login, "runs it as root, in a tmux session"
    found = _TMUX_UID.search(job.tmux)
    if found and found[1] != "0":
        return job.process_user, f"root, in a tmux session of uid {found[1]}"
    return job.process_user, ""
