"""The remote shell against a real sh in this machine's place of a node."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhop_tui.problem import ErrorKind, ProblemError
from gpuhop_tui.sessions import shell as shell_module
from gpuhop_tui.sessions.shell import RemoteShell, shell_command


class LocalLink:
    """Runs what it is given by a login shell here. Counts the processes that it started."""

    name = "node"

    def __init__(self, before: str = "", login_shell: str = "sh") -> None:
        self.before = before  # what a start-up file runs
        self.login_shell = login_shell
        self.started: list[asyncio.subprocess.Process] = []

    @asynccontextmanager
    async def process(self, command: str) -> AsyncIterator[Any]:
        process = await asyncio.create_subprocess_exec(
            self.login_shell,
            "-c",
            self.before + command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        process.wait_closed = process.wait  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            process._transport.close()  # type: ignore[attr-defined]  # the pipes too, as sshd does
            await process.wait()


async def test_output_and_exit_status() -> None:
    link = LocalLink()
    shell = RemoteShell(link)
    answer = await shell.run("echo out; echo err >&2; cat; exit 3")
    assert (answer.status, answer.text) == (3, "out\nerr\n")
    assert (await shell.run("cd /; x=1")).status == 0
    assert (await shell.run('echo "[$x]"')).text == "[]\n", "commands know nothing of each other"
    assert len(link.started) == 1
    await shell.close()
    assert link.started[0].returncode is not None


@pytest.mark.parametrize(
    "script", ["exit 1; )", "echo 'open", "echo $((", "kill -9 $$", "exec 1>&-; exec 2>&-; exit 5"]
)
async def test_no_script_ends_the_shell(script: str) -> None:
    link = LocalLink()
    shell = RemoteShell(link)
    with contextlib.suppress(ProblemError):  # 137, where it ends itself by SIGKILL
        await shell.run(script, timeout=2)
    assert (await shell.run("echo well")).text == "well\n"
    await shell.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=3))
def test_any_words_come_through(words: list[str]) -> None:
    async def ask() -> None:
        shell = RemoteShell(LocalLink())
        for word in words:
            answer = await shell.run(f"printf %s {shlex.quote(word)}")
            assert (answer.status, answer.output) == (0, word.encode())
        await shell.close()

    asyncio.run(ask())


async def test_questions_take_turns() -> None:
    link = LocalLink()
    shell = RemoteShell(link)
    answers = await asyncio.gather(*(shell.run(f"echo {k}") for k in range(10)))
    assert [answer.text for answer in answers] == [f"{k}\n" for k in range(10)]
    assert len(link.started) == 1
    await shell.close()


async def test_start_up_noise_is_passed_over() -> None:
    shell = RemoteShell(LocalLink(before="echo noise; printf more; "))
    assert (await shell.run("echo well")).text == "well\n"
    await shell.close()


async def test_a_start_up_file_that_ends_the_login_is_told() -> None:
    shell = RemoteShell(LocalLink(before="echo sorry; exit 1; "))
    with pytest.raises(ProblemError) as raised:
        await shell.run("echo well")
    assert raised.value.problem.kind is ErrorKind.LOST
    assert "start-up file" in raised.value.problem.advice


async def test_too_slow_and_too_much() -> None:
    link = LocalLink()
    shell = RemoteShell(link)
    with pytest.raises(ProblemError) as raised:
        await shell.run("sleep 60", timeout=0.2)
    assert raised.value.problem.kind is ErrorKind.TIMEOUT
    with pytest.raises(ProblemError) as raised:
        await shell.run("yes", limit=10_000)
    assert raised.value.problem.kind is ErrorKind.OVERLOADED
    assert (await shell.run("echo well")).text == "well\n"
    await shell.close()
    assert all(process.returncode is not None for process in link.started)


async def test_a_shell_that_ended_meanwhile_is_replaced() -> None:
    link = LocalLink()
    shell = RemoteShell(link)
    await shell.run("true")
    link.started[0].kill()
    assert (await shell.run("echo well")).text == "well\n"
    assert len(link.started) == 2
    await shell.close()


async def test_it_ends_by_itself_when_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_module, "IDLE_SECONDS", 1)
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", shell_command(1), stdin=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(10):
        assert await process.wait() == 0


async def test_what_a_cancelled_question_left_is_not_the_next_ones_answer() -> None:
    shell = RemoteShell(LocalLink())
    await shell.run("true")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await shell.run("sleep 0.3; echo late")
    assert (await shell.run("echo well")).text == "well\n"
    await shell.close()


def test_the_command_suits_any_login_shell() -> None:
    command = shell_command()
    assert "\n" not in command
    assert "!" not in command
    assert command.count("'") == 2
