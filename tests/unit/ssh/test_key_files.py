"""Key files of every kind that ssh-keygen makes; the passphrase is asked for once."""

import asyncio
import subprocess
from dataclasses import replace

import asyncssh
import pytest

from gpuhop_tui.config.hops import Hop
from gpuhop_tui.ssh.agent import Agent
from gpuhop_tui.ssh.key_files import KeyDeclinedError, KeyRing, read_key_file
from gpuhop_tui.ssh.patience import Patience
from gpuhop_tui.ssh.prompts import NoPrompter
from tests.lab.waiting import await_until

HOP = Hop("gpu-01", "10.0.0.50", 22, "user")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")

    def generate(name, passphrase, *options):
        path = folder / name
        subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-f", path, *options], check=True)
        return path

    rsa = ("-t", "rsa", "-b", "2048")
    return {
        "open": generate("open", "", "-t", "ed25519"),
        "locked": generate("locked", "secret", "-t", "ed25519"),
        "open pem": generate("open_pem", "", *rsa, "-m", "PEM"),
        "locked pem": generate("locked_pem", "secret", *rsa, "-m", "PEM"),
        "locked pkcs8": generate("locked_pkcs8", "secret", *rsa, "-m", "PKCS8"),
    }


class Types(NoPrompter):
    def __init__(self, *answers):
        self.answers = list(answers)
        self.questions = []

    async def passphrase(self, question):
        self.questions.append(question)
        return self.answers.pop(0)


@pytest.mark.parametrize("name", ["open", "locked", "open pem", "locked pem", "locked pkcs8"])
@pytest.mark.parametrize("with_pub", [True, False])
def test_what_a_file_shows_without_its_passphrase(generated, tmp_path, name, with_pub):
    path = tmp_path / "key"
    path.write_bytes(generated[name].read_bytes())
    public = asyncssh.read_public_key(generated[name].with_suffix(".pub"))
    if with_pub:
        (tmp_path / "key.pub").write_bytes(public.export_public_key())
    file = read_key_file(path)
    assert file.locked is name.startswith("locked")
    assert (file.private is None) is file.locked
    hidden = not with_pub and name in ("locked pem", "locked pkcs8")
    assert file.public == (None if hidden else public)


def test_no_key_file_is_no_key(tmp_path):
    assert read_key_file(tmp_path / "missing") is None
    (tmp_path / "garbage").write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----\n!!\n-----")
    assert read_key_file(tmp_path / "garbage") is None


@pytest.mark.parametrize("name", ["locked", "locked pem", "locked pkcs8"])
async def test_forty_logins_ask_for_one_passphrase(generated, name):
    prompter = Types("wrong", "secret")
    ring = KeyRing(prompter, Agent(None), 3600)
    file = read_key_file(generated[name])
    keys = await asyncio.gather(*(ring.unlock(file, HOP, Patience(10)) for _ in range(40)))
    assert {key.export_public_key() for key in keys} == {keys[0].export_public_key()}
    assert [question.wrong for question in prompter.questions] == [False, True]
    assert prompter.questions[0].lifetime_seconds is None  # there is no agent to hold it


async def test_no_means_no_until_the_user_tries_again(generated):
    prompter = Types(None, "secret")
    ring = KeyRing(prompter, Agent(None), None)
    file = read_key_file(generated["locked"])
    for _ in range(3):
        with pytest.raises(KeyDeclinedError):
            await ring.unlock(file, HOP, Patience(10))
    assert len(prompter.questions) == 1
    ring.ask_again()
    assert await ring.unlock(file, HOP, Patience(10))


class Thinks(Types):
    def __init__(self, *answers):
        super().__init__(*answers)
        self.may = asyncio.Event()

    async def passphrase(self, question):
        await self.may.wait()
        return await super().passphrase(question)


async def test_who_waits_for_the_question_of_another_hop_says_so(generated):
    prompter = Thinks("secret")
    ring = KeyRing(prompter, Agent(None), None)
    file = read_key_file(generated["locked"])
    first, second = [], []
    tasks = [
        asyncio.create_task(ring.unlock(file, HOP, Patience(10, first.append))),
        asyncio.create_task(
            ring.unlock(file, replace(HOP, name="gpu-02"), Patience(10, second.append))
        ),
    ]
    await await_until(lambda: first and second, "both wait")
    assert first == ["your passphrase"]
    assert second == ["your answer to gpu-01, which asks first"]
    prompter.may.set()
    await asyncio.gather(*tasks)
    assert (first[-1], second[-1]) == ("", "")
