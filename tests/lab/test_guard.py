"""The guard between a node and the agent: real ssh, sshd, ssh-agent, ssh-keygen and git."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui.ssh.guard.guard import GuardSettings
from gpuhop_tui.ssh.guard.model import Purpose
from gpuhop_tui.ssh.guard.policy import Decision, Policy, Rule
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.network import Network
from gpuhop_tui.ssh.prompts import SignatureAnswer
from tests.lab import keys
from tests.lab.dashboard import dashboard
from tests.lab.driving import Person, network_of, route_to, says, up
from tests.lab.fixtures import require_lab
from tests.lab.hop_driving import MENU, HopTerminal, held_by_tmux, hop, lend_agent, tmux
from tests.lab.waiting import await_until
from tests.lab.world import World

ONWARD = "ssh -o StrictHostKeyChecking=no -o BatchMode=yes -o UserKnownHostsFile=/dev/null"
ALLOW = Policy(Decision.ALLOW)


@pytest.fixture(scope="module")
def guarded() -> Iterator[World]:
    require_lab()
    with World(1, 2) as world:
        yield world


@asynccontextmanager
async def lent(
    world: World, person: Person | None = None, policy: Policy | None = None, **options: Any
) -> AsyncIterator[tuple[Network, Link]]:
    """The agent, lent to gpu-01."""
    with world.laptop.entered():
        routes = [await route_to(world.laptop, name) for name in ("gpu-01", "gpu-02")]
    hops = tuple(hop for route in routes for hop in route.hops)
    settings = GuardSettings(policy or Policy(), hops, **options)
    log_of(world).unlink(missing_ok=True)
    async with (
        network_of(world.laptop, person, guard=settings) as network,
        network.lending(routes[0]) as link,
    ):
        yield network, await up(link)


def log_of(world: World) -> Path:
    return world.laptop.home / ".local/state/gpuhop-tui/agent.jsonl"


def lines(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_of(world).read_text().splitlines()]


async def test_a_login_from_the_node_is_asked_about_by_name_and_logged_once(
    guarded: World,
) -> None:
    world, other = guarded, guarded["gpu-02"]
    person = Person(signature_answer=SignatureAnswer.ONCE)
    async with lent(world, person) as (network, link):
        onward = f"{ONWARD} {other.user}@{other.address} hostname"
        assert await says(link, onward) == "gpu-02\n"
        (question,) = person.signatures
        facts = question.facts
        assert (facts.purpose, facts.user, facts.node) == (Purpose.LOGIN, other.user, "gpu-01")
        assert facts.destination[:2] == ("gpu-02", other.address)
        assert facts.what == f"log in as {other.user} at gpu-02"
        assert facts.key == world.laptop.key.fingerprint
        (line,) = lines(world)
        assert line["decision"] == "allowed"
        assert (line["node"], line["via"]) == ("gpu-01", ["bastion"])
        assert (line["user"], line["destination"][0]) == (other.user, "gpu-02")
        assert line["asked"] is True
        assert log_of(world).stat().st_mode & 0o777 == 0o600
        assert network.guard.lendings[0].signed == 1

        person.signature_answer = SignatureAnswer.DENY
        began = time.monotonic()
        assert await says(link, f"{onward}; echo $?") == "255\n"
        assert time.monotonic() - began < 5.0
        assert [line["decision"] for line in lines(world)] == ["allowed", "denied"]
        assert lines(world)[1]["reason"] == "denied by you"


async def test_what_is_allowed_for_a_while_is_not_asked_again(guarded: World) -> None:
    world, other = guarded, guarded["gpu-02"]
    person = Person(signature_answer=SignatureAnswer.LENDING)
    async with lent(world, person) as (network, link):
        onward = f"{ONWARD} {other.address} hostname"
        for _again in range(2):
            assert await says(link, onward) == "gpu-02\n"
        assert len(person.signatures) == 1
        (grant,) = network.guard.lendings[0].grants
        assert grant.until is None
        person.signature_answer = SignatureAnswer.DENY
        network.guard.revoke(grant.id)
        assert await says(link, f"{onward}; echo $?") == "255\n"
        assert len(person.signatures) == 2
        network.guard.lock(True)
        assert "refused" in await says(link, "ssh-add -l 2>&1")
        network.guard.lock(False)
        assert world.laptop.key.fingerprint in await says(link, "ssh-add -l")


async def test_a_question_is_taken_back_when_who_asked_is_gone(guarded: World) -> None:
    world, other = guarded, guarded["gpu-02"]
    person = Person(thinks=asyncio.Event().wait)
    async with lent(world, person) as (_network, link):
        async with link.process(f"{ONWARD} {other.address} hostname"):
            await await_until(lambda: bool(person.signatures), "a question")
        await says(link, "pkill -u $(id -u) -x ssh")
        await await_until(lambda: person.withdrawn == 1, "it to be taken back")
        await await_until(lambda: log_of(world).exists() and bool(lines(world)), "a line")
        assert lines(world)[0]["reason"] == "the host that asked has gone"


async def test_silence_is_a_no(guarded: World) -> None:
    world, other = guarded, guarded["gpu-02"]
    person = Person(thinks=asyncio.Event().wait)
    async with lent(world, person, question_seconds=0.3) as (_network, link):
        assert await says(link, f"{ONWARD} {other.address} hostname; echo $?") == "255\n"
    assert lines(world)[0]["reason"].startswith("no answer within")


async def test_nothing_but_listing_and_signing_gets_through(guarded: World) -> None:
    """ssh-add of a key, -d, -D, -x, -X, -s, -e on the node: refused, and nothing has changed."""
    world = guarded
    held = world.laptop.agent.fingerprints()
    orders = {
        "add": "ssh-keygen -q -t ed25519 -N '' -f k; ssh-add -q k",
        "add with a lifetime": "ssh-add -q -t 60 k",
        "remove": "ssh-add -L > all.pub; ssh-add -qd all.pub",
        "remove all": "ssh-add -qD",
        "lock": "SSH_ASKPASS_REQUIRE=force SSH_ASKPASS=./ask ssh-add -x",
        "unlock": "SSH_ASKPASS_REQUIRE=force SSH_ASKPASS=./ask ssh-add -X",
        "add a provider": "SSH_ASKPASS_REQUIRE=force SSH_ASKPASS=./ask ssh-add -s /usr/lib/none.so",
        "remove a provider": "SSH_ASKPASS_REQUIRE=force SSH_ASKPASS=./ask ssh-add -e /usr/lib/x.so",
    }
    script = "cd $(mktemp -d); printf '#!/bin/sh\\necho x\\n' > ask; chmod +x ask; "
    script += "; ".join(f"{order} >/dev/null 2>&1; echo $?" for order in orders.values())
    async with lent(world, policy=ALLOW) as (_network, link):
        statuses = (await says(link, script)).split()
    assert len(statuses) == len(orders)
    assert "0" not in statuses, dict(zip(orders, statuses, strict=True))
    assert world.laptop.agent.fingerprints() == held
    refused = {line["request"] for line in lines(world)}
    assert refused >= {
        "add a key", "remove a key", "remove all keys", "lock the agent", "unlock the agent",
        "add a key with constraints", "remove a smartcard",
    }  # fmt: skip
    assert refused & {"add a smartcard", "add a smartcard with constraints"}
    assert {line["decision"] for line in lines(world)} == {"denied"}


async def test_a_thousand_signatures_are_too_many(guarded: World) -> None:
    world = guarded
    sign = "ssh-keygen -Y sign -n file -f key.pub < data 2>/dev/null"
    flood = (
        "cd $(mktemp -d); ssh-add -L > key.pub; echo x > data; i=0; ok=0; while [ $i -lt 200 ]; do "
        f"for k in 1 2 3 4 5; do {sign} >/dev/null & done; wait; i=$((i+1)); "
        "[ -e stop ] && break; done; echo done"
    )
    async with lent(world, policy=ALLOW, signatures_a_minute=30) as (network, link):
        async with link.process(flood) as process:
            await await_until(lambda: network.guard.lendings[0].denied >= 200, "denials", 60)
            process.terminate()
        (state,) = network.guard.lendings
        assert 30 <= state.signed <= 30 + 30 * (time.time() - state.since) / 60 + 1
        log = lines(world)
    # A flood fills neither the log nor the disk.
    assert sum(line["decision"] == "allowed" for line in log) == state.signed
    assert sum(line["decision"] == "denied" for line in log) <= 20 + 0.2 * 60
    assert any("more than 30 signatures" in line["reason"] for line in log)


async def test_signatures_of_files_and_of_git_are_what_they_are(guarded: World) -> None:
    world = guarded
    rules = (Rule(Decision.ALLOW, purpose="git"),)
    async with lent(world, policy=Policy(Decision.DENY, rules)) as (_network, link):
        commit = (
            "cd $(mktemp -d); ssh-add -L > ../key.pub; git init -q . 2>/dev/null; "
            "git -c user.name=a -c user.email=a@b -c gpg.format=ssh -c user.signingkey=../key.pub "
            "commit -q -S --allow-empty -m x && git cat-file commit HEAD | grep -c 'SSH SIGNATURE'"
        )
        assert (await says(link, commit)).strip() == "2"
        sign = "cd /tmp; ssh-add -L > key.pub; echo x | ssh-keygen -Y sign -n file -f key.pub"
        assert "BEGIN" not in await says(link, f"{sign} 2>/dev/null")
    seen = [(line["purpose"], line["namespace"], line["decision"]) for line in lines(world)]
    assert seen == [("signature", "git", "allowed"), ("signature", "file", "denied")]


async def test_a_key_for_certain_hosts_is_held_to_them_through_the_guard(
    guarded: World,
) -> None:
    """`ssh-add -h`: the node may use the key for gpu-02 alone, and the agent itself sees to it."""
    world = guarded
    laptop, other, bastion = world.laptop, world["gpu-02"], world.bastion
    inside = bastion.interfaces[1].address
    held = keys.generate(world.directory / "held")
    for machine in world.machines:
        machine.authorize(laptop.key.public, held.public)
    node = world["gpu-01"].address
    laptop.agent.clear()
    try:
        known = str(laptop.known_hosts)
        options = ("-h", bastion.address, "-h", node, "-h", f"{node}>{other.address}")
        laptop.agent.add(held, "-H", known, *options)
        async with lent(world, policy=ALLOW) as (_network, link):
            assert await says(link, f"{ONWARD} {other.address} hostname") == "gpu-02\n"
            assert await says(link, f"{ONWARD} {inside} hostname; echo $?") == "255\n"
    finally:
        laptop.agent.clear()
        laptop.agent.add(laptop.key)


async def test_passed_on_again_the_way_is_named(guarded: World) -> None:
    """From gpu-01 with -A to gpu-02, and on to the bastion: each server has proven itself."""
    world, other = guarded, guarded["gpu-02"]
    person = Person(signature_answer=SignatureAnswer.ONCE)
    inside = world.bastion.interfaces[1].address
    async with lent(world, person) as (_network, link):
        onward = f"{ONWARD} -A {other.address} {ONWARD} {inside} hostname"
        assert await says(link, onward) == "bastion\n"
    first, second = (question.facts for question in person.signatures)
    assert (first.where, first.through) == ("gpu-02", ())
    assert (second.where, second.through) == ("bastion", ("gpu-02",))


def allow_nothing_unasked(world: World) -> str:
    """Lends to gpu-01 with the policy as it is by default. Returns a login to gpu-02 from there."""
    lend_agent(world, "gpu-01")
    log_of(world).unlink(missing_ok=True)
    other = world["gpu-02"]
    return f"{ONWARD} -n -o LogLevel=ERROR {other.user}@{other.address} echo reached '$(hostname)'"


def test_a_hop_asks_on_its_own_line_and_nothing_typed_is_lost(guarded: World) -> None:
    world = guarded
    onward = allow_nothing_unasked(world)
    with hop(world, "gpu-01") as terminal:
        terminal.until("$")
        terminal.press(f"clear; {onward}\r")
        terminal.until(f"gpu-01 asks to log in as {world['gpu-02'].user} at gpu-02")
        assert "ctrl+] answers" in terminal.last_line
        terminal.press("echo typed-$((1+1))\r")  # goes to the shell, which reads it later
        terminal.press(MENU)
        terminal.until("o once")
        terminal.press("i")
        terminal.until("SHA256:")
        terminal.press("o")
        terminal.until("reached gpu-02")
        terminal.until("typed-2")
        terminal.until_true(lambda: terminal.lines == held_by_tmux(world["gpu-01"]), "the screen")

        terminal.press(f"clear; {onward} || echo failed-$((1+1))\r")
        terminal.until("asks to log in")
        terminal.press(MENU)
        terminal.until("o once")
        began = time.monotonic()
        terminal.press("n")
        terminal.until("failed-2")
        assert time.monotonic() - began < 5.0
        assert [line["decision"] for line in lines(world)] == ["allowed", "denied"]

        # Who asked goes away: the question does, too.
        terminal.press(f"clear; {onward}\r")
        terminal.until("asks to log in")
        terminal.press("\x03")
        terminal.until_true(lambda: not terminal.shows("asks to log in"), "it to be taken back")
        terminal.menu("d")
        assert terminal.wait() == 0
    tmux(world["gpu-01"], "kill-server", check=False)


def test_a_piped_hop_asks_on_the_terminal_and_is_denied_without_one(guarded: World) -> None:
    world = guarded
    onward = allow_nothing_unasked(world)
    done = world.laptop.run(["gpuhop-tui", "hop", "gpu-01", "--", onward], input="", check=False)
    assert done.returncode == 255
    assert f"gpu-01 asked to log in as {world['gpu-02'].user} at gpu-02: denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert "nobody to ask" in lines(world)[0]["reason"]

    piped = f"gpuhop-tui hop gpu-01 -- {shlex.quote(onward)} | cat"
    argv = world.laptop.argv(["sh", "-c", piped])
    with HopTerminal(argv, world.laptop.environ()) as terminal:
        terminal.until("Allow it? [o]nce")
        terminal.until("(28 s)")  # it counts down
        terminal.press("o")
        terminal.until("reached gpu-02")
        assert terminal.wait() == 0


def test_the_dashboard_shows_who_has_the_agent_and_locks_it(guarded: World) -> None:
    """The guard's line in a hop from the dashboard, and its screen after it."""
    world = guarded
    onward = allow_nothing_unasked(world)
    with dashboard(world) as terminal:
        terminal.shows(r"2/2 nodes")
        terminal.press("g")
        terminal.shows("Agent guard", "lent to nobody")
        terminal.press("L")
        terminal.shows("LOCKED")
        terminal.press("Escape")
        terminal.shows("agent locked")
        terminal.press("Enter")
        terminal.shows(r"@gpu-01:~\$")
        terminal.press("clear; ssh-add -l", "Enter")
        terminal.shows("refused")
        terminal.press("C-]")
        terminal.shows("d detach")
        terminal.press("d")
        terminal.shows("2/2 nodes")
        terminal.press("g")
        terminal.shows("denied +gpu-01 +list keys")
        terminal.press("L")
        terminal.shows("(?s)Agent guard(?!.*LOCKED)")
        terminal.press("Escape")
        terminal.shows("2/2 nodes")
        terminal.press("Enter")
        terminal.shows(r"@gpu-01:~\$")
        terminal.press(f"clear; {onward}", "Enter")
        terminal.shows("gpu-01 asks to log in as .* at gpu-02")
        terminal.press("C-]")
        terminal.shows("w while this hop is open")
        terminal.press("w")
        terminal.shows("(?m)^reached gpu-02")
        terminal.press("C-]")
        terminal.shows("d detach")
        terminal.press("d")
        terminal.shows("2/2 nodes")
        terminal.press("g")
        terminal.shows("allowed +gpu-01 +log in as .* at gpu-02", "lent to nobody")
        terminal.press("q")
        terminal.shows("2/2 nodes")
        terminal.press("q")
    tmux(world["gpu-01"], "kill-server", check=False)
