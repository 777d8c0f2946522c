"""Questions on a real terminal: a pty stands in for /dev/tty."""

from __future__ import annotations

import asyncio
import os
import termios
import time
from collections.abc import Iterator

import pytest

from gpuhop_tui.cli import signature_prompt
from gpuhop_tui.cli.prompts import TerminalPrompter
from gpuhop_tui.ssh.guard.model import Purpose, SignatureFacts
from gpuhop_tui.ssh.prompts import (
    ChallengeQuestion,
    HostKeyAnswer,
    HostKeyQuestion,
    PassphraseQuestion,
    SignatureAnswer,
    SignatureQuestion,
)

PASSPHRASE = PassphraseQuestion("jump-server", "/keys/id_ed25519", None, False, None)


class Person:
    """At the other end of the terminal."""

    def __init__(self) -> None:
        self._end, self.terminal = os.openpty()
        self.seen = ""

    @property
    def path(self) -> str:
        return os.ttyname(self.terminal)

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    async def sees(self, text: str) -> None:
        """Waits until `text` is on the screen."""
        while text not in self.seen:
            self.seen += (await asyncio.to_thread(os.read, self._end, 4096)).decode()

    def types(self, text: str) -> None:
        os.write(self._end, text.encode())

    def close(self) -> None:
        os.close(self._end)
        os.close(self.terminal)


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    person.close()


async def test_a_passphrase_is_read_without_echo_and_the_terminal_is_mended(person: Person) -> None:
    prompter = TerminalPrompter(person.path)
    asked = asyncio.create_task(prompter.passphrase(PASSPHRASE))
    await person.sees("Passphrase for /keys/id_ed25519 (login to jump-server): ")
    assert not person.echoes
    assert prompter.asking
    person.types("öpen sesame\n")
    assert await asked == "öpen sesame"
    assert person.echoes
    assert not prompter.asking
    assert prompter.human_seconds() > 0
    assert "sesame" not in person.seen


async def test_a_wrong_passphrase_is_said_to_be_wrong(person: Person) -> None:
    question = PassphraseQuestion("jump-server", "/keys/id", None, True, None)
    asked = asyncio.create_task(TerminalPrompter(person.path).passphrase(question))
    await person.sees("did not open the key")
    await person.sees("Passphrase for")
    person.types("x\n")
    assert await asked == "x"


async def test_a_challenge_echoes_what_the_server_wants_echoed(person: Person) -> None:
    question = ChallengeQuestion(
        "edge", "Second factor", "\x1b[2JLook at your phone", (("Name: ", True), ("Code: ", False))
    )
    asked = asyncio.create_task(TerminalPrompter(person.path).challenge(question))
    await person.sees("Name: ")
    assert person.echoes
    person.types("ann\n")
    await person.sees("Code: ")
    assert not person.echoes
    person.types("123456\n")
    assert await asked == ["ann", "123456"]
    assert "edge asks: Second factor ?[2JLook at your phone" in person.seen
    assert "123456" not in person.seen


async def test_end_of_input_is_no_answer(person: Person) -> None:
    asked = asyncio.create_task(TerminalPrompter(person.path).passphrase(PASSPHRASE))
    await person.sees("): ")
    person.types("\x04")
    assert await asked is None


async def test_a_question_can_be_cancelled_and_leaves_the_terminal_as_it_was(
    person: Person,
) -> None:
    prompter = TerminalPrompter(person.path)
    asked = asyncio.create_task(prompter.passphrase(PASSPHRASE))
    await person.sees("): ")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert person.echoes
    assert not prompter.asking


async def test_questions_wait_for_their_turn(person: Person) -> None:
    prompter = TerminalPrompter(person.path)
    first = asyncio.create_task(prompter.passphrase(PASSPHRASE))
    await person.sees("jump-server): ")
    second = asyncio.create_task(
        prompter.passphrase(PassphraseQuestion("edge", "/keys/other", None, False, None))
    )
    person.types("one\n")
    assert await first == "one"
    await person.sees("edge): ")
    person.types("two\n")
    assert await second == "two"


async def test_without_a_terminal_there_is_no_answer() -> None:
    prompter = TerminalPrompter("/nowhere/tty")
    assert await prompter.passphrase(PASSPHRASE) is None


async def test_unknown_host_keys_are_refused() -> None:
    question = HostKeyQuestion("edge", "edge", (), "ssh-ed25519", "SHA256:x", "/known_hosts")
    assert await TerminalPrompter().host_key(question) is HostKeyAnswer.REFUSE


def signature() -> SignatureQuestion:
    facts = SignatureFacts(
        node="gpu-01",
        via=(),
        purpose=Purpose.LOGIN,
        key="SHA256:k",
        user="git\x1b[2J",
        destination=("github.com",),
        host_key="SHA256:h",
    )
    deny, once = SignatureAnswer.DENY, SignatureAnswer.ONCE
    return SignatureQuestion(facts, time.time() + 2.9, 2.9, 10, (deny, once))


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("o", SignatureAnswer.ONCE),
        ("O", SignatureAnswer.ONCE),
        ("n", SignatureAnswer.DENY),
        ("\n", SignatureAnswer.DENY),
        ("w", SignatureAnswer.DENY),  # not offered
        ("\x1b[A", SignatureAnswer.DENY),
    ],
)
async def test_one_key_answers_for_a_signature(
    person: Person, key: str, answer: SignatureAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_prompt, "ARM_SECONDS", 0.0)
    before = termios.tcgetattr(person.terminal)
    asked = asyncio.create_task(TerminalPrompter(person.path).signature(signature()))
    await person.sees("gpu-01 asks to log in as git?[2J at github.com.")
    await person.sees("Allow it? [o]nce, [N]o (3 s) ")
    person.types(key)
    assert await asked is answer
    assert termios.tcgetattr(person.terminal) == before


async def test_what_was_typed_for_something_else_allows_nothing(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_prompt, "ARM_SECONDS", 600.0)
    asked = asyncio.create_task(TerminalPrompter(person.path).signature(signature()))
    await person.sees("Allow it? [o]nce, [N]o (3 s) ")
    person.types("o")
    await person.sees("(2 s)")
    assert not asked.done()
    person.types("n")
    assert await asked is SignatureAnswer.DENY


async def test_the_seconds_run_and_a_question_is_taken_back(person: Person) -> None:
    before = termios.tcgetattr(person.terminal)
    asked = asyncio.create_task(TerminalPrompter(person.path).signature(signature()))
    await person.sees("(2 s)")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert termios.tcgetattr(person.terminal) == before


async def test_a_signature_without_a_terminal_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    answer = await TerminalPrompter("/dev/null").signature(signature())
    assert answer is SignatureAnswer.NOBODY
    assert "gpu-01 asked to log in as git?[2J at github.com: denied" in capsys.readouterr().err
