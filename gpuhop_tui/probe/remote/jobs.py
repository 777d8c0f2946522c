"""The jobs on the GPUs: their trees of processes, and how those of them that ended did."""

from typing import Any, Dict, List

from .endings import EndingReader
from .procfs import ProcessKey, boot_time, started_at
from .trees import TreeReader
from .workers import Bell, Worker, wait_for


class JobReader:
    """Reads in a thread, with a deadline: what is known already is told where reading hangs."""

    def __init__(self, bell: Bell, root: str = "/proc") -> None:
        self._bell = bell
        self._worker = Worker(bell)
        self._trees = TreeReader(root)
        self._endings = EndingReader(root)
        self._boot_time = boot_time(root)
        self._known: Dict[str, Any] = {"jobs": {}, "ended": {}}

    def read(self, pids: List[int], seconds: float) -> Dict[str, Any]:
        """The `jobs` (pid of the root → its GPU processes and figures) and the `ended` of a
        document; `pids` are those of the processes on the GPUs."""
        if self._worker.ask(lambda: self._read(pids)):
            wait_for([self._worker], self._bell, seconds)
        if self._worker.answered:
            self._known = self._worker.answer()
        return dict(self._known)

    def _read(self, pids: List[int]) -> Dict[str, Any]:
        trees = self._trees.read(pids)
        watched: List[ProcessKey] = sorted(set(trees) | set(self._trees.roots))
        ended = self._endings.read([(key, started_at(self._boot_time, key[1])) for key in watched])
        return {"jobs": {str(top[0]): tree for top, tree in trees.items()}, "ended": ended}
