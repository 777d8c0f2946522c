"""Every key of the app, by its stable id. `ui.keymap` of the config rebinds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from textual.binding import Binding
from textual.keys import _character_to_key

if TYPE_CHECKING:
    from textual.app import App

Where = Literal[
    "ports",
    "dashboard",
    "tails",
    "logs",
    "stats",
    "form",
    "work",
    "guard",
    "jobs",
    "alerts",
    "history",
    "anywhere",
]


@dataclass(frozen=True, slots=True)
class Key:
    """One binding: its id in `ui.keymap`, the default keys, what it does in a word and in full."""

    id: str
    keys: str
    action: str
    label: str
    help: str
    group: str
    shown: bool = True  # in the bar at the bottom
    where: Where = "dashboard"

    def binding(self) -> Binding:
        return Binding(
            self.keys, self.action, self.label, show=self.shown, tooltip=self.help, id=self.id
        )


_HOP, _GO, _LOOK = "Shells and sessions", "Find your way", "Look closer"
_TAIL, _APP = "In a tail or a log", "The app"
_CONTAINER = "Containers"
_FORM, _WORK = "In the form for a container", "Work in the background"
_GUARD = "The lent agent"
_PORTS = "Ports of a node"
_ALERTS = "Alerts"
_JOB = "Jobs"
_HISTORY = "The history"

# fmt: off
KEYS: tuple[Key, ...] = (
    Key("back", "b", "back", "back in",
        "Back into the shell that was open when gpuhop was killed", _HOP),
    Key("hop", "enter", "hop", "hop",
        "A shell on the node or bastion, still there after a disconnect; ctrl+] d returns", _HOP),
    Key("attach", "a", "attach", "attach",
        "Attach to the selected tmux session; enter does it too", _HOP),
    Key("tail", "t", "tail", "tail",
        "Watch the selected session, live and read-only", _HOP),
    Key("new-session", "N", "new_session", "new",
        "Start a tmux session on the node, detached", _HOP),
    Key("stop", "x", "stop", "end",
        "End a session; stop, kill or remove containers or an image (asks); dismiss what ended",
        _HOP),
    Key("new-container", "n", "new_container", "run",
        "Start a container on the node, from a template or an empty form", _CONTAINER),
    Key("work", "w", "work", "work",
        "Pulls, builds, copies and starts: how far they are, what became of them", _CONTAINER),
    Key("container-menu", "m", "container_menu", "more",
        "All that can be done to the selected container, or to the marked ones", _CONTAINER),
    Key("mark", "space", "mark", "mark",
        "Mark the selected container, to act upon several; escape takes the marks away",
        _CONTAINER),
    Key("logs", "l", "logs", "logs",
        "The log of the selected container, live: search, copy, earlier lines", _CONTAINER),
    Key("stats", "S", "stats", "stats",
        "CPU, memory, network, disk and GPU use of the selected container, as graphs", _CONTAINER),
    Key("copy-in", "greater_than_sign", "copy_in", "copy in",
        "Copy a file or directory of this machine into the selected container", _CONTAINER),
    Key("copy-out", "less_than_sign", "copy_out", "copy out",
        "Copy a file or directory of the selected container to this machine", _CONTAINER),
    Key("hop-as", "E", "hop_as", "hop as",
        "Hop into the selected container as another user, elsewhere, or by its SSH server",
        _CONTAINER),
    Key("images", "i", "images", "images",
        "The images and the disk use of the node's engine; again: its containers", _CONTAINER),
    Key("freest", "f", "freest", "freest",
        "Jump to the freest GPU; again: the next freest, or, where none is free, wait for one",
        _GO),
    Key("filter", "slash", "filter", "filter",
        "Filter by node, tag, GPU name or user; escape ends it", _GO),
    Key("retry", "r", "retry", "retry",
        "Try the selected link again now", _GO),
    Key("retry-all", "R", "retry_all", "retry all",
        "Try every link again now", _GO, shown=False),
    Key("details", "d", "details", "details",
        "Every figure of the selected GPU, or why it is missing", _LOOK),
    Key("doctor", "D", "doctor", "doctor",
        "Check everything from the config to the GPUs, and say how to mend it", _LOOK,
        shown=False),
    Key("keys", "K", "keys", "keys",
        "Your SSH keys: what the agent holds, adding one, what is not well with them", _LOOK,
        shown=False),
    Key("sort", "o", "sort", "sort",
        "Order of nodes: config, name, free GPUs, utilization", _GO),
    Key("jobs", "J", "jobs", "jobs",
        "Every job of the fleet: whose, where, how far; hop to it, tail it, end it", _JOB),
    Key("tab-processes", "1", "tab('jobs')", "jobs",
        "Jobs on the node's GPUs; again: into the list", _LOOK, shown=False),
    Key("tab-containers", "2", "tab('containers')", "containers",
        "Containers on the node; again: into the list", _LOOK, shown=False),
    Key("tab-sessions", "3", "tab('sessions')", "sessions",
        "tmux sessions of yours on the node; again: into the list", _LOOK, shown=False),
    Key("tab-history", "4", "tab('history')", "history",
        "Recent past of the selected GPU", _LOOK, shown=False),
    Key("tab-node", "5", "tab('node')", "node",
        "The machine: CPU, memory, load, disks", _LOOK, shown=False),
    Key("tab-log", "6", "tab('log')", "log",
        "What happened to the link", _LOOK, shown=False),
    Key("clear", "escape", "clear", "clear",
        "End the filter, the marks, refuse an offer, return to the tree", _GO, shown=False),
    Key("tail-add", "t", "add", "add",
        "Another session beside this one, up to four", _TAIL, where="tails"),
    Key("tail-pause", "space", "pause", "pause",
        "Hold the view, or follow the newest again", _TAIL, where="tails"),
    Key("tail-search", "slash", "search", "search",
        "Search the scrollback", _TAIL, where="tails"),
    Key("tail-next", "n", "match(1)", "next",
        "The next match, downwards", _TAIL, where="tails"),
    Key("tail-previous", "p", "match(-1)", "previous",
        "The match before, upwards", _TAIL, where="tails"),
    Key("tail-wrap", "w", "wrap", "wrap",
        "Wrap long lines, or cut them (← → move sideways)", _TAIL, where="tails"),
    Key("log-times", "t", "times", "times",
        "The time before each line of a log, or not", _TAIL, where="logs"),
    Key("stats-leave", "escape", "leave", "leave",
        "Leave the graphs of a container", _CONTAINER, where="stats"),
    Key("tail-copy", "c", "copy", "copy",
        "Copy what the mouse selected, else the page, to the terminal's clipboard", _TAIL,
        where="tails"),
    Key("tail-close", "x", "close", "close",
        "Close this tail", _TAIL, where="tails"),
    Key("tail-leave", "escape", "leave", "leave",
        "End the search; else close all tails and return", _TAIL, where="tails"),
    Key("form-start", "ctrl+s", "start", "start",
        "Start the container; an absent image is pulled or built first", _FORM, where="form"),
    Key("form-save", "ctrl+t", "save_template", "save as template",
        "Save what the form says as a template of the config", _FORM, where="form"),
    Key("form-copy", "ctrl+r", "copy_line", "copy docker run",
        "Copy the docker run line that does the same", _FORM, where="form"),
    Key("form-cancel", "x", "cancel", "cancel",
        "Cancel the start that goes on (asks)", _FORM, where="form"),
    Key("form-leave", "escape", "leave", "leave",
        "Give up what was typed (asks); leave a start that goes on to the background", _FORM,
        where="form"),
    Key("work-cancel", "x", "cancel", "cancel, dismiss",
        "Cancel what runs (asks); dismiss what has ended", _WORK, where="work"),
    Key("work-reopen", "enter", "reopen", "open the form again",
        "Open the form that a job came from, as it was", _WORK, where="work"),
    Key("work-copy", "c", "copy", "copy",
        "Copy the details of the selected job", _WORK, where="work"),
    Key("work-leave", "escape", "leave", "leave",
        "Return; the work goes on", _WORK, where="work"),
    Key("job-hop", "enter", "hop_job", "hop",
        "Hop to the selected job: its session, else its container, else its node", _JOB,
        where="jobs"),
    Key("job-tail", "t", "tail_job", "tail",
        "Watch what the selected job says: its pane, or its container's log", _JOB, where="jobs"),
    Key("job-end", "x", "end_job", "end",
        "End the selected job by SIGINT, then SIGTERM, then SIGKILL (asks); dismiss one that ended",
        _JOB, where="jobs"),
    Key("job-mine", "m", "mine", "mine",
        "Your own jobs, or everyone's", _JOB, where="jobs"),
    Key("job-group", "o", "group", "group",
        "Group jobs by node, user, container, or not", _JOB, where="jobs"),
    Key("job-filter", "slash", "filter", "filter",
        "Filter jobs: user:NAME mem>20g state:stalled gpu:0 node:NAME text", _JOB, where="jobs"),
    Key("job-go", "n", "go_to_node", "node",
        "Leave, and select the node of the selected job", _JOB, where="jobs"),
    Key("job-history", "h", "history", "history",
        "The selected job's GPUs over its time, as graphs", _JOB, where="jobs"),
    Key("job-leave", "escape", "leave", "leave",
        "End the filter; else return to the fleet", _JOB, where="jobs"),
    Key("guard", "g", "guard", "guard",
        "Who the agent is lent to, what they may do, what was signed", _GUARD),
    Key("guard-lock", "L", "lock", "lock, unlock",
        "Refuse everything to everybody whom the agent is lent to, or end that", _GUARD,
        where="guard"),
    Key("guard-revoke", "x", "revoke", "revoke",
        "End what the selected line allows", _GUARD, where="guard"),
    Key("guard-leave", "escape", "leave", "leave",
        "Return to the fleet", _GUARD, where="guard"),
    Key("reserve", "V", "reserve", "reserve",
        "Ask for the selected GPU by a note that all users of gpuhop see; change it or end it",
        _GO, shown=False),
    Key("alerts", "exclamation_mark", "alerts", "alerts",
        "The log of alerts: ends of jobs, GPUs that are not well, nodes lost and back", _ALERTS,
        shown=False),
    Key("silence", "M", "silence", "silence",
        "Silence alerts for a while, which are then only logged; again: tell them", _ALERTS,
        shown=False),
    Key("alert-go", "enter", "go", "go there",
        "Go to the node, and to the GPU, that the selected alert is about", _ALERTS,
        where="alerts"),
    Key("alert-silence", "s", "silence", "silence",
        "Silence alerts for a while, or end that", _ALERTS, where="alerts"),
    Key("alert-give-up", "x", "give_up", "wait no longer",
        "Wait for no GPU any longer", _ALERTS, where="alerts"),
    Key("alert-leave", "escape", "leave", "leave",
        "Return to the fleet", _ALERTS, where="alerts"),
    Key("ports", "p", "ports", "ports",
        "What listens on the node or in the container; forward it, open it in the browser",
        _PORTS),
    Key("vscode", "v", "vscode", "VS Code",
        "VS Code on the node, or in the selected container by its SSH server", _PORTS),
    Key("ports-open", "enter", "open", "open",
        "Forward the selected port and open it in the browser", _PORTS, where="ports"),
    Key("ports-forward", "space,f", "forward", "forward",
        "Forward the selected port, without opening it", _PORTS, where="ports"),
    Key("ports-new", "n", "new", "other port",
        "Forward a port that you name, to a port of this machine that you choose", _PORTS,
        where="ports"),
    Key("ports-end", "x", "end", "end",
        "End the selected forward (asks where somebody is connected)", _PORTS, where="ports"),
    Key("ports-save", "s", "save", "save",
        "Have the selected forward come back at the next start, or not", _PORTS, where="ports"),
    Key("ports-copy", "c", "copy", "copy",
        "Copy its URL, the token included, or the ssh line", _PORTS, where="ports"),
    Key("ports-all", "a", "all", "all",
        "Show what others have listening too", _PORTS, where="ports"),
    Key("ports-look", "r", "look", "look again",
        "Look again now", _PORTS, where="ports"),
    Key("ports-leave", "escape", "leave", "leave",
        "Return; what is forwarded stays so until gpuhop ends", _PORTS, where="ports"),
    Key("history", "h", "history", "history",
        "The past of the selected GPU or job, 5 minutes to 7 days: all figures, as graphs",
        _HISTORY),
    Key("history-zoom-in", "plus,equals_sign", "zoom(-1)", "shorter",
        "A shorter span of time; what the cursor reads stays where it is", _HISTORY,
        where="history"),
    Key("history-zoom-out", "minus", "zoom(1)", "longer",
        "A longer span of time, up to 7 days", _HISTORY, where="history"),
    Key("history-all", "a", "all", "all GPUs, one",
        "One figure of all GPUs, or all figures of one; ↑ ↓ or a number chooses it", _HISTORY,
        where="history"),
    Key("history-metric", "m", "metric", "figure",
        "Of all GPUs: utilization, memory, power, temperature", _HISTORY, where="history"),
    Key("history-newest", "n,end", "newest", "now",
        "Back to now, without a cursor (← → read a moment, with shift they move in time)",
        _HISTORY, where="history"),
    Key("history-jobs", "j", "jobs", "jobs",
        "The jobs of the node in the last 7 days: the GPUs and the time of one", _HISTORY,
        where="history"),
    Key("history-export", "e", "export", "export",
        "Write what is shown to a file, as CSV or JSON", _HISTORY, where="history"),
    Key("history-leave", "escape,h", "leave", "leave",
        "Return to the fleet", _HISTORY, where="history"),
    Key("help", "question_mark", "help", "help",
        "This page", _APP, where="anywhere"),
    Key("palette", "ctrl+p", "app.command_palette", "palette",
        "Every command, by name", _APP, where="anywhere"),
    Key("quit", "q", "app.quit_fleet", "quit",
        "Leave; what runs in tmux runs on, and nothing else is left on the nodes", _APP,
        where="anywhere"),
)
# fmt: on

KEY_IDS = frozenset(key.id for key in KEYS)


def bindings(*ids: str) -> list[Binding]:
    """The bindings of these ids, in this order."""
    by_id = {key.id: key for key in KEYS}
    return [by_id[name].binding() for name in ids]


def shown_keys(app: App[Any], key: Key) -> list[str]:
    """The keys of a binding as they are shown to the user: his own, where the config rebinds it."""
    names = app._keymap.get(key.id, key.keys).split(",")
    binding = key.binding()
    return [app.get_key_display(binding.with_key(name.strip())) for name in names]


def shown_key(app: App[Any], id: str) -> str:
    """The first of them."""
    return shown_keys(app, next(key for key in KEYS if key.id == id))[0]


def unknown_ids(keymap: Mapping[str, str]) -> list[str]:
    """Ids of a user's keymap that name no binding."""
    return sorted(set(keymap) - KEY_IDS)


def clashes(keymap: Mapping[str, str]) -> list[str]:
    """Keys that a user's keymap gives to two bindings of one place, in words."""
    found = []
    for number, one in enumerate(KEYS):
        for other in KEYS[number + 1 :]:
            if "anywhere" not in (one.where, other.where) and one.where != other.where:
                continue
            for key in sorted(_keys(one, keymap) & _keys(other, keymap)):
                found.append(f"{key} is both {one.id} and {other.id}")
    return found


def _keys(key: Key, keymap: Mapping[str, str]) -> set[str]:
    """The keys of a binding by Textual's names, which a keymap may give as characters too."""
    names = (name.strip() for name in keymap.get(key.id, key.keys).split(","))
    return {_character_to_key(name) if len(name) == 1 else name for name in names if name}
