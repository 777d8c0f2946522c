"""`gpuhop-tui run`: a container from a template of the config, on one node."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuhop_tui.cli.answers import is_settled, wait_for_answers, with_timeouts
from gpuhop_tui.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    EXIT_TERMINATED,
    CommandError,
)
from gpuhop_tui.cli.prompts import TerminalPrompter
from gpuhop_tui.cli.run_progress import RunProgress
from gpuhop_tui.cli.signals import until_signal
from gpuhop_tui.cli.text import clean
from gpuhop_tui.containers.checks import Finding, check
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.pull import pull
from gpuhop_tui.containers.spec import ContainerSpec, from_template, mistakes, parse_gpus
from gpuhop_tui.containers.start import DiedAtOnceError, Started
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.problem import Problem, ProblemError
from gpuhop_tui.ssh.prompts import NoPrompter
from gpuhop_tui.ssh.status import LinkState

if TYPE_CHECKING:
    from gpuhop_tui.cli.open import OpenFleet
    from gpuhop_tui.config.schema import TemplateConfig
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.fleet.state import FleetSource
    from gpuhop_tui.probe.sample import Sample


def run_run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status: 0 it runs, 1 it does not.

    Raises `CommandError` where config, template, node or options are wrong.
    """
    from gpuhop_tui.cli.open import fleet_opener

    template = chosen_template(_templates(options), options.template)
    spec = chosen_spec(template, options.name, options.gpus)
    open_fleet = fleet_opener(options.config, demo=options.demo, only=[options.node], retry=True)
    status = asyncio.run(until_signal(_run(options, open_fleet, template, spec)))
    if isinstance(status, signal.Signals):
        return EXIT_INTERRUPTED if status is signal.SIGINT else EXIT_TERMINATED
    return status


def _templates(options: argparse.Namespace) -> Sequence[TemplateConfig]:
    """Those of the config, or the demo's. Raises `CommandError`."""
    from gpuhop_tui.cli.open import find, is_named, load, no_config_lines

    if options.demo:
        from gpuhop_tui.demo.templates import TEMPLATES

        return TEMPLATES
    path = find(options.config)
    if not path.exists() and not is_named(options.config):
        raise CommandError(no_config_lines(path))
    return load(path).templates


def chosen_template(templates: Sequence[TemplateConfig], name: str) -> TemplateConfig:
    """The template of that name. Raises `CommandError`, with the nearest name that there is."""
    for template in templates:
        if template.name == name:
            return template
    names = [template.name for template in templates]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        raise CommandError(f"no template is named {name!r}: did you mean {near[0]!r}?")
    raise CommandError(f"no template is named {name!r}; there are: {', '.join(names) or 'none'}")


def chosen_spec(template: TemplateConfig, name: str | None, gpus: str | None) -> ContainerSpec:
    """What the template says, with the options' changes. Raises `CommandError`."""
    spec = from_template(template)
    if name is not None:
        spec = replace(spec, name=name)
    if gpus is not None:
        try:
            spec = replace(spec, gpus=parse_gpus(gpus))
        except ValueError as error:
            raise CommandError(f"--gpus: {error}") from None
    if spec.gpus.pick:
        raise CommandError(
            f"the template {template.name} leaves its GPUs to be picked: name them, with --gpus"
        )
    if wrong := mistakes(spec):
        raise CommandError(wrong)
    return spec


async def _run(
    options: argparse.Namespace,
    open_fleet: OpenFleet,
    template: TemplateConfig,
    spec: ContainerSpec,
) -> int:
    person_is_there = sys.stdin.isatty() and sys.stderr.isatty()
    prompter = TerminalPrompter() if person_is_there else None
    fleet = await open_fleet(prompter or NoPrompter())
    try:
        await fleet.start()
        human_seconds = prompter.human_seconds if prompter else lambda: 0.0
        await wait_for_answers(fleet, options.timeout, human_seconds, lambda _: None)
        node = with_timeouts(fleet.state, options.timeout, _may_go_on).nodes[0]
        containers = fleet.containers(node.name)
        if node.link.state is not LinkState.UP or containers is None:
            return _failed(node.link.problem)
        status = await _start(fleet, containers, node.name, template, spec)
        if options.demo and status == 0:
            print("gpuhop-tui: simulated: it ends here, with the demo", file=sys.stderr)
        return status
    finally:
        await fleet.stop()


def _may_go_on(node: NodeState) -> bool:
    """Without figures a container can be started, too: then its GPUs are not checked."""
    return is_settled(node) or node.link.state is LinkState.UP


async def _start(
    fleet: FleetSource,
    containers: NodeContainers,
    node: str,
    template: TemplateConfig,
    spec: ContainerSpec,
) -> int:
    try:
        around = await containers.look_around(spec, _live(fleet, node))
        findings = check(spec, around)
        _tell(findings, node, but="image-missing")
        if any(finding.stops and finding.name != "image-missing" for finding in findings):
            return EXIT_SOME_FAILED
        if not around.has_image:
            await _get_image(containers, template, spec)
        started = await containers.start(spec, _live(fleet, node), since=around)
    except DiedAtOnceError as error:
        for line in error.lines:
            print(f"  | {clean(line)}", file=sys.stderr)
        return _failed(error)
    except ContainerError as error:
        return _failed(error)
    except ProblemError as error:
        return _failed(error.problem)
    print(_success(started, node))
    return 0


def _live(fleet: FleetSource, node: str) -> Sample | None:
    state = fleet.state.node(node)
    return state.live_sample if state else None


async def _get_image(
    containers: NodeContainers, template: TemplateConfig, spec: ContainerSpec
) -> None:
    """Builds it where the template says how, else pulls it."""
    with RunProgress(sys.stderr) as progress:
        if template.build is not None:
            async with contextlib.aclosing(containers.build(spec.image, template.build)) as steps:
                async for step in steps:
                    progress.build(step)
        else:
            async with contextlib.aclosing(pull(containers.engine, spec.image)) as pulls:
                async for each in pulls:
                    progress.pull(each)


def _tell(findings: Sequence[Finding], node: str, *, but: str) -> None:
    for finding in findings:
        if finding.name == but:
            continue
        word = "" if finding.stops else "note: "
        print(f"gpuhop-tui: {word}{node}: {clean(finding.message)}", file=sys.stderr)
        print(f"  {clean(finding.advice)}", file=sys.stderr)


def _failed(why: Problem | ContainerError | None) -> int:
    if why is not None:
        message = str(why) if isinstance(why, Problem) else why.message
        print(f"gpuhop-tui: {clean(message)}", file=sys.stderr)
        print(f"  {clean(why.advice)}", file=sys.stderr)
    return EXIT_SOME_FAILED


def _success(started: Started, node: str) -> str:
    container = started.container
    parts = [f"{container.name} {container.state} on {node}", container.id[:12]]
    if started.spec.gpus:
        parts.append(f"gpus {started.spec.gpus}")
    parts += [str(port) for port in container.ports if port.host_port is not None]
    return clean("  ".join(parts))
