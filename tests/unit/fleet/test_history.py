"""The past is kept in order, bounded, and with its gaps."""

from gpuhop_tui.fleet.history import POINTS, History
from gpuhop_tui.probe.sample import Gpu, Sample


def sample(at, utilization=50, used=1, total=4, index=0):
    gpu = Gpu(
        index,
        utilization_percent=utilization,
        memory_used_bytes=used,
        memory_total_bytes=total,
    )
    return Sample("nvml", at, gpus=(gpu,))


def test_points_come_back_in_order_with_memory_in_percent():
    history = History()
    history.record("n", sample(1.0, 10, 1, 4))
    history.record("n", sample(2.0, 0, 0, 4))
    assert list(history.points("n", 0)) == [(1.0, 10.0, 25.0), (2.0, 0.0, 0.0)]


def test_a_missing_figure_is_a_gap_and_not_a_zero():
    history = History()
    history.record("n", sample(1.0, None, 1, None))
    assert list(history.points("n", 0)) == [(1.0, None, None)]


def test_a_lost_node_leaves_a_gap_in_its_own_graphs_only():
    history = History()
    history.record("n", sample(1.0))
    history.record("other", sample(1.0))
    history.gap("n", 2.0)
    assert history.points("n", 0)[-1] == (2.0, None, None)
    assert len(history.points("other", 0)) == 1


def test_memory_is_bounded():
    history = History()
    for k in range(5 * POINTS):
        history.record("n", sample(float(k)))
    points = history.points("n", 0)
    assert len(points) == POINTS
    assert points[-1][0] == 5 * POINTS - 1
    assert len(history._series["n", 0].at) < 2 * POINTS


def test_what_was_never_seen_has_no_past():
    assert list(History().points("n", 0)) == []
