"""Which GPUs of a node a form's choice comes to, and the choice after one of them is toggled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from gpuhop_tui.containers import gpus as node_gpus
from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.spec import Gpus


class Mark(Enum):
    """Whether a GPU is chosen."""

    NO = "[ ]"
    YES = "[x]"
    FREEST = "[~]"  # by a count: another one, if that is freer at the start


def marks(wanted: Gpus, gpus: Sequence[NodeGpu], taken: Iterable[NodeGpu] = ()) -> dict[str, Mark]:
    """The mark of every GPU by its index, and of every MIG instance by its UUID. `taken` are those
    that running containers were given."""
    found = {str(gpu.index): Mark.NO for gpu in gpus}
    found |= {each.uuid: Mark.NO for gpu in gpus for each in gpu.mig}
    instances = {
        identity for identity in wanted.ids if identity in found and not identity.isdigit()
    }
    whole = Gpus(ids=tuple(each for each in wanted.ids if each not in instances))
    by_count = wanted.count > 0 and not wanted.ids
    mark = Mark.FREEST if by_count else Mark.YES
    for gpu in node_gpus.chosen(wanted if by_count or wanted.all else whole, gpus, taken):
        found[str(gpu.index)] = mark
    return found | dict.fromkeys(instances, Mark.YES)


def toggled(
    wanted: Gpus, identity: str, gpus: Sequence[NodeGpu], taken: Iterable[NodeGpu] = ()
) -> Gpus:
    """The choice with this GPU (by its index) or MIG instance (by its UUID) in it, or not."""
    chosen = [each for each, mark in marks(wanted, gpus, taken).items() if mark is not Mark.NO]
    if identity in chosen:
        chosen.remove(identity)
    else:
        chosen.append(identity)
    numbers = sorted((each for each in chosen if each.isdigit()), key=int)
    return Gpus(ids=(*numbers, *(each for each in chosen if not each.isdigit())))


def words(wanted: Gpus, gpus: Sequence[NodeGpu] | None, taken: Iterable[NodeGpu] = ()) -> str:
    """What the choice comes to now, in a few words."""
    if wanted.pick:
        return "pick them in the list below, with space"
    if not wanted:
        return "a container without GPUs"
    if gpus is None:
        return ""
    numbers = [each for each, mark in marks(wanted, gpus, taken).items() if mark is not Mark.NO]
    numbers = [each for each in numbers if each.isdigit()]
    if wanted.all:
        return f"all {len(gpus)} of the node"
    if not wanted.count:
        return ""
    which = ", ".join(sorted(numbers, key=int)) or "none"
    number = wanted.count
    freest = "freest" if number == 1 else f"{number} freest"
    return f"a count: the {freest}, now {which}; for GPU {number} itself write {number},"
