"""`gpuhop-tui keys`: the agent's keys and the key files, an agent started, a key added."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    CommandError,
)
from gpuhop_tui.cli.open import find, is_named, load
from gpuhop_tui.cli.prompts import TerminalPrompter
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.text import clean, paint, wants_colour
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.key_care import (
    HeldKey,
    KeyFileFacts,
    KeysView,
    key_findings,
    read_lifetime,
)
from gpuhop_tui.ssh.key_facts import KeyFacts
from gpuhop_tui.ssh.key_files import PASSPHRASE_TRIES, KeyRing
from gpuhop_tui.ssh.keychain import PASSPHRASE, Keychain, KeychainError
from gpuhop_tui.ssh.prompts import NoPrompter, PassphraseQuestion, Prompter

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import Config


def run_keys(options: argparse.Namespace) -> int:
    """Run the command and return its exit status: 1 where the agent does not answer or what was
    asked for was not done. Raises `CommandError`."""
    status = asyncio.run(until_signal(_run(options)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


async def _run(options: argparse.Namespace) -> int:
    person_is_there = sys.stdin.isatty() and sys.stderr.isatty() and not options.json
    prompter: Prompter = TerminalPrompter() if person_is_there else NoPrompter()
    keychain = _keychain(options, prompter)
    try:
        if options.start_agent:
            await _start(keychain, options)
        if options.add is not None:
            await _add(keychain, options, prompter)
    except KeychainError as error:
        raise CommandError(f"{error.message}: {error.advice}", EXIT_SOME_FAILED) from None
    view = await keychain.view()
    if options.json:
        print(json.dumps(report_keys(view, time.time()), indent=2))
    elif not options.start_agent:
        print(render_keys(view, time.time(), colour=wants_colour(sys.stdout)), end="")
    return EXIT_SOME_FAILED if view.agent_problem else 0


def _keychain(options: argparse.Namespace, prompter: Prompter) -> Keychain:
    config = _config(options.config)
    socket = config.agent.socket if config else None
    lifetime = int(config.agent.key_lifetime) if config else 8 * 3600
    agent = Agent.from_environment(str(socket) if socket else None)
    return Keychain(agent, KeyRing(prompter, agent, lifetime), lifetime)


def _config(named: Path | None) -> Config | None:
    path = find(named)
    return load(path) if path.exists() or is_named(named) else None


async def _start(keychain: Keychain, options: argparse.Namespace) -> None:
    """Start an agent that is kept, and print what makes a shell use it, as ssh-agent(1) does."""
    await keychain.start_agent(keep=True)
    socket = (await keychain.view()).socket or ""
    if not options.json:
        print(f"SSH_AUTH_SOCK={shlex.quote(socket)}; export SSH_AUTH_SOCK;")
    print(
        f"gpuhop-tui: an agent runs at {socket}; it is kept, and gpuhop finds it by itself",
        file=sys.stderr,
    )


async def _add(keychain: Keychain, options: argparse.Namespace, prompter: Prompter) -> None:
    lifetime = keychain.lifetime_seconds
    if options.lifetime is not None:
        try:
            lifetime = read_lifetime(options.lifetime)
        except ValueError as error:
            raise CommandError(f"--lifetime {options.lifetime} {error}", EXIT_USAGE) from None
    view = await keychain.view()
    path = _absolute(options.add) if options.add else _first(view)
    known = next((file for file in view.files if file.path == path), None)
    facts = known.facts if known else None
    passphrase: str | None = None
    for attempt in range(PASSPHRASE_TRIES + 1):
        try:
            await keychain.add(path, passphrase, lifetime_seconds=lifetime, confirm=options.confirm)
        except KeychainError as error:
            if error.field != PASSPHRASE or attempt == PASSPHRASE_TRIES:
                raise
            fingerprint = facts.fingerprint if facts else None
            wrong = passphrase is not None
            question = PassphraseQuestion("", str(path), fingerprint, wrong, lifetime)
            passphrase = await prompter.passphrase(question)
            if not passphrase:
                raise
        else:
            print(f"gpuhop-tui: {path} was added to the agent", file=sys.stderr)
            return


def _absolute(name: str) -> Path:
    return Path(name).expanduser().absolute()


def _first(view: KeysView) -> Path:
    """The key file that is meant where none is named."""
    if view.agent_problem:
        raise KeychainError(view.agent_problem, "start one: gpuhop-tui keys --start-agent --add")
    if not view.files:
        raise KeychainError("there is no key file in ~/.ssh", "ssh-keygen -t ed25519")
    missing = [file for file in view.files if not view.is_held(file)]
    if not missing:
        raise KeychainError("the agent holds every key of ~/.ssh", "name another file")
    return missing[0].path


# What is printed


def render_keys(view: KeysView, now: float, *, colour: bool = False) -> str:
    """The agent, its keys, the files, and below each what is not well."""
    return "\n".join(_lines(view, now, colour)) + "\n"


def _lines(view: KeysView, now: float, colour: bool) -> Iterator[str]:
    findings = key_findings(view, now, home=Path.home())

    def faults(about: HeldKey | KeyFileFacts | None) -> Iterator[str]:
        for finding in findings:
            if finding.about is about:
                yield paint(f"  ! {clean(finding.message)}", "yellow", wanted=colour)
                yield f"  > {clean(finding.command)}"  # never cut: it is copied

    state = "" if view.agent_problem else f"  {len(view.held)} held"
    yield paint(f"agent {clean(view.socket or '-')}{state}", "bold", wanted=colour)
    yield from faults(None)
    for held in view.held:
        yield f"  {_one(held.facts)}"
        certificate = held.facts.certificate
        if certificate is not None:
            ends = certificate.valid_before
            until = "for ever" if ends is None else f"until {_date(ends)}"
            whom = ", ".join(certificate.principals) or "everyone"
            yield clean(f"    certificate {certificate.key_id} for {whom}, {until}")
        yield from faults(held)
    yield paint("key files", "bold", wanted=colour)
    for file in view.files:
        held_by = "in the agent" if view.is_held(file) else "not in the agent"
        one = _one(file.facts) if file.facts else "locked whole"
        yield f"  {clean(str(file.path))}  {one}  {held_by}"
        yield from faults(file)
    if not view.files:
        yield "  none in ~/.ssh; this makes one: ssh-keygen -t ed25519"


def _one(facts: KeyFacts) -> str:
    certified = "-CERT" if facts.certificate else ""
    kind = f"{facts.kind.upper()}{certified} {facts.bits or ''}".strip()
    return clean(f"{kind}  {facts.fingerprint}  {facts.comment}".rstrip())


def _date(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "an age from now"


def report_keys(view: KeysView, now: float) -> dict[str, object]:
    """The same as JSON. Times are seconds since the epoch."""
    return {
        "schema": 1,
        "agent": {"socket": view.socket, "problem": view.agent_problem},
        "keys": [
            {**asdict(held.facts), "terms": asdict(held.terms) if held.terms else None}
            for held in view.held
        ],
        "files": [
            {
                "path": str(file.path),
                "key": asdict(file.facts) if file.facts else None,
                "locked": file.locked,
                "held": view.is_held(file),
            }
            for file in view.files
        ],
        "findings": [
            {"subject": each.subject, "message": each.message, "command": each.command}
            for each in key_findings(view, now)
        ],
    }
