"""The state machine of a link, with logins that the test decides."""

import asyncio
import contextlib
import random

import pytest

from gpuhop_tui.config.hops import Hop, Route
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh import keepalive
from gpuhop_tui.ssh import link as link_module
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.login import LoggedIn
from gpuhop_tui.ssh.status import LinkState


class FakeConnection:
    """Answers keepalives until told not to."""

    def __init__(self):
        self.closed = asyncio.get_running_loop().create_future()
        self.answers = True

    def end(self, reason=None):
        if not self.closed.done():
            self.closed.set_result(reason)

    def is_closed(self):
        return self.closed.done()

    abort = close = end

    async def wait_closed(self):
        await asyncio.wait([self.closed])

    def get_extra_info(self, name):
        return {"peername": ("192.0.2.7", 22)}.get(name)

    async def _make_global_request(self, request):
        assert request == b"keepalive@openssh.com"
        if not self.answers:
            await asyncio.Event().wait()


class Logins:
    """Stands for `log_in`: the test gives each attempt its outcome."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)  # an exception, or None for success; then success
        self.connections = []
        self.through = []

    async def __call__(self, through, on_step):
        self.through.append(through)
        on_step("authentication")
        outcome = self.outcomes.pop(0) if self.outcomes else None
        await asyncio.sleep(0)
        if outcome is not None:
            raise outcome
        connection = FakeConnection()
        self.connections.append(connection)
        return LoggedIn(connection, connection.closed, 0.5)


def problem(kind, hop="node"):
    return ProblemError(Problem(hop, kind, f"it is {kind}", "do something"))


def route(*names):
    return Route(tuple(Hop(name, f"{name}.example", 22, "user") for name in names))


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(link_module, "delay_seconds", lambda attempt, rng: 0.01)
    monkeypatch.setattr(link_module, "AGENT_POLL_SECONDS", 0.01)
    monkeypatch.setattr(keepalive, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(keepalive, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(keepalive, "AFTER_WAKE_SECONDS", 0.02)


@pytest.fixture
async def make():
    links = []

    def make(logins, name=("node",), parent=None, **options):
        link = Link(route(*name), parent, logins, rng=random.Random(0), **options)
        links.append(link)
        link.start()
        return link

    yield make
    for link in reversed(links):
        await link.close()
        assert link.status.state is LinkState.DOWN


def in_state(state):
    return lambda link: link.status.state is state


def recorded(link):
    states = [link.status.state]

    def note():
        if link.status.state is not states[-1]:
            states.append(link.status.state)

    link.listen(note)
    return states


async def until(link, condition):
    async with asyncio.timeout(5):
        await link.wait_until(condition)


async def test_it_connects_and_measures_the_round_trip(make):
    link = make(Logins())
    await until(link, lambda link: link.status.rtt_seconds is not None)
    assert link.status.state is LinkState.UP
    assert link.status.connect_seconds == 0.5
    assert (await link.connection()) is not None


async def test_a_failure_that_may_pass_is_tried_again_by_itself(make):
    link = make(Logins(problem(ErrorKind.REFUSED), problem(ErrorKind.TIMEOUT)))
    states = recorded(link)
    await until(link, in_state(LinkState.UP))
    assert LinkState.WAITING in states
    assert link.status.attempt == 0
    assert link.status.problem is None
    assert [event.problem.kind for event in link.events if event.problem] == ["refused", "timeout"]


@pytest.mark.parametrize(
    "kind", [ErrorKind.AUTH_DENIED, ErrorKind.HOST_KEY_CHANGED, ErrorKind.HOST_KEY_UNKNOWN]
)
async def test_what_only_a_person_can_mend_is_never_retried_blindly(make, kind):
    logins = Logins(problem(kind))
    link = make(logins)
    await until(link, in_state(LinkState.BLOCKED))
    link.check_now(after_wake=True)  # neither a wake nor a new network is a person
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(logins.through) == 1
    assert link.status.problem.kind is kind
    link.retry_now()
    await until(link, in_state(LinkState.UP))
    assert len(logins.through) == 2


async def test_a_retry_asked_for_during_a_login_is_not_another_login(make):
    under_way, go_on = asyncio.Event(), asyncio.Event()
    logins = []

    async def denied(through, on_step):
        logins.append(through)
        under_way.set()
        await go_on.wait()
        raise problem(ErrorKind.AUTH_DENIED)

    link = make(denied)
    await under_way.wait()
    link.retry_now()
    go_on.set()
    await until(link, in_state(LinkState.BLOCKED))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(logins) == 1


async def test_listeners_hear_of_a_line_of_the_log(make):
    link = make(Logins())
    await until(link, in_state(LinkState.UP))
    heard = []
    stop = link.listen(lambda: heard.append(link.events[-1].text))
    link.note("woke up")
    stop()
    assert heard == ["woke up"]


async def test_an_agent_without_keys_is_watched_until_it_has_some(make):
    keys = []

    async def agent():
        return bool(keys)

    link = make(Logins(problem(ErrorKind.AGENT_EMPTY)), agent_has_keys=agent)
    await until(link, in_state(LinkState.BLOCKED))
    keys.append("one")
    await until(link, in_state(LinkState.UP))


async def test_a_lost_connection_comes_back(make):
    logins = Logins()
    link = make(logins)
    await until(link, in_state(LinkState.UP))
    states = recorded(link)
    logins.connections[0].end(ConnectionResetError("reset by peer"))
    await until(link, lambda _link: len(logins.connections) == 2 and link.is_up)
    assert states[1] is LinkState.WAITING
    assert any(e.problem and "reset by peer" in e.problem.message for e in link.events)


async def test_a_peer_that_goes_silent_is_found_and_dropped(make):
    logins = Logins()
    link = make(logins)
    await until(link, in_state(LinkState.UP))
    logins.connections[0].answers = False
    await until(link, lambda link: link.is_up and len(logins.connections) == 2)
    assert logins.connections[0].is_closed()
    assert any("no answer" in event.text for event in link.events)


async def test_after_a_wake_a_dead_connection_is_found_at_once(make, monkeypatch):
    monkeypatch.setattr(keepalive, "INTERVAL_SECONDS", 3600.0)
    logins = Logins()
    link = make(logins)
    await until(link, lambda link: link.status.rtt_seconds is not None)
    logins.connections[0].answers = False
    link.check_now(after_wake=True)
    await until(link, lambda link: link.is_up and len(logins.connections) == 2)


async def test_having_stood_still_oneself_is_no_reason_to_drop_a_link(make, monkeypatch):
    logins = Logins()
    link = make(logins)
    await until(link, lambda link: link.status.rtt_seconds is not None)
    connection = logins.connections[0]

    def stood_still(asked_at, patience):
        connection.answers = True  # it is looked at a second time, and answers then
        return True

    monkeypatch.setattr(keepalive, "stood_still", stood_still)
    connection.answers = False
    before = link.status.rtt_seconds
    await until(link, lambda link: link.status.rtt_seconds != before)
    assert link.is_up
    assert len(logins.connections) == 1


async def test_a_wake_cuts_a_wait_short(make, monkeypatch):
    monkeypatch.setattr(link_module, "delay_seconds", lambda attempt, rng: 3600.0)
    link = make(Logins(problem(ErrorKind.UNREACHABLE)))
    await until(link, in_state(LinkState.WAITING))
    assert link.status.retry_at is not None
    link.check_now()
    await until(link, in_state(LinkState.UP))


async def test_a_node_waits_for_its_bastion_and_shows_its_problem(make):
    bastion_logins = Logins(problem(ErrorKind.AUTH_DENIED, "bastion"))
    node_logins = Logins()
    bastion = make(bastion_logins, ("bastion",))
    node = make(node_logins, ("bastion", "node"), bastion)
    await until(node, in_state(LinkState.BLOCKED))
    assert node.status.problem.hop == "bastion"
    assert node_logins.through == []
    bastion.retry_now()
    await until(node, in_state(LinkState.UP))
    assert node_logins.through == bastion_logins.connections


async def test_when_the_bastion_is_lost_the_node_names_it_and_both_come_back(make):
    bastion_logins, node_logins = Logins(), Logins()
    bastion = make(bastion_logins, ("bastion",))
    node = make(node_logins, ("bastion", "node"), bastion)
    await until(node, in_state(LinkState.UP))
    bastion_logins.connections[0].end()
    node_logins.connections[0].end()
    await until(node, lambda node: node.is_up and len(node_logins.connections) == 2)
    assert node_logins.through == bastion_logins.connections
    assert any(event.problem and event.problem.hop == "bastion" for event in node.events)


async def test_without_retry_one_failure_is_final_until_asked(make):
    logins = Logins(problem(ErrorKind.REFUSED))
    link = make(logins, retry=False)
    await until(link, lambda link: link.status.problem is not None)
    assert link.status.state is LinkState.DOWN
    assert len(logins.through) == 1


async def test_an_unforeseen_exception_is_a_problem_and_not_the_end(make):
    link = make(Logins(RuntimeError("a bug")))
    await until(link, in_state(LinkState.UP))
    assert any("a bug" in event.text for event in link.events)


async def test_closing_in_the_middle_of_a_login_leaves_no_task(make):
    class Hangs:
        async def __call__(self, through, on_step):
            await asyncio.Event().wait()

    link = make(Hangs())
    await until(link, in_state(LinkState.CONNECTING))
    await link.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("link")]


async def test_a_process_needs_a_connection(make):
    link = make(Logins(problem(ErrorKind.AUTH_DENIED)))
    await until(link, in_state(LinkState.BLOCKED))
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.raises(ProblemError, match="auth-denied"))
        async with link.process("true"):
            raise AssertionError("never entered")
