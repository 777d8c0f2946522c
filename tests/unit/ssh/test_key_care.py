"""What is said of keys that are not well."""

from pathlib import Path

import pytest

from gpuhop_tui.ssh.key_care import HeldKey, KeyFileFacts, KeysView, key_findings
from gpuhop_tui.ssh.key_facts import CertificateFacts, KeyFacts

HOME = Path("/home/mira")
NOW = 1_700_000_000.0
GOOD = KeyFacts("ed25519", 256, "SHA256:good", "mira@laptop")
SHORT = KeyFacts("rsa", 2048, "SHA256:short", "old")


def file(facts=GOOD, name="id_ed25519", *, locked=True, mode=0o600):
    return KeyFileFacts(HOME / ".ssh" / name, facts, locked, mode)


def view(*held, files=(), problem=None):
    return KeysView("/run/agent", problem, tuple(HeldKey(facts) for facts in held), tuple(files))


def said(view):
    return [
        (each.subject, each.message, each.command) for each in key_findings(view, NOW, home=HOME)
    ]


def certified(valid_before):
    return KeyFacts("ed25519", 256, "SHA256:good", "c", CertificateFacts("x", (), 0, valid_before))


def test_nothing_is_said_where_all_is_well():
    assert said(view(GOOD, certified(None), files=[file()])) == []


@pytest.mark.parametrize(
    ("one", "words", "command"),
    [
        (file(locked=False), "no passphrase", "ssh-keygen -p -f ~/.ssh/id_ed25519"),
        (file(mode=0o644), "other users may read it (mode 0644)", "chmod 600 ~/.ssh/id_ed25519"),
        (file(SHORT, "id_rsa"), "RSA with 2048 bits", "ssh-keygen -t ed25519"),
        (file(KeyFacts("dsa", 1024, "x"), "id_dsa"), "DSA is broken", "ssh-keygen -t ed25519"),
        (file(None, "a b", locked=False), "no passphrase", "ssh-keygen -p -f ~/'.ssh/a b'"),
    ],
)
def test_a_file(one, words, command):
    ((subject, message, mends),) = said(view(GOOD, files=[one]))
    assert subject.startswith("~/")
    assert words in message
    assert mends == command


def test_the_file_of_a_security_key_needs_no_passphrase():
    facts = KeyFacts("ed25519-sk", 256, "SHA256:sk")
    assert said(view(GOOD, files=[file(facts, locked=False)])) == []


def test_a_weak_key_is_told_of_once_with_its_file():
    findings = said(view(SHORT, files=[file(SHORT, "id_rsa")]))
    assert [subject for subject, *_ in findings] == ["~/.ssh/id_rsa"]
    ((subject, _message, command),) = said(view(SHORT))
    assert (subject, command) == ("agent: old", "ssh-keygen -t ed25519")


@pytest.mark.parametrize(
    ("ends", "words"),
    [(NOW - 1, "has expired"), (NOW + 7200, "ends in 2 h"), (NOW + 48 * 3600, None)],
)
def test_the_end_of_a_certificate(ends, words):
    findings = said(view(certified(int(ends))))
    assert ([words in message for _s, message, _c in findings] or None) == (words and [True])


def test_no_agent_and_no_keys():
    ((subject, message, command),) = said(view(problem="no agent", files=[file()]))
    assert (subject, message) == ("agent", "no agent (/run/agent)")
    assert command == 'eval "$(ssh-agent)" && ssh-add ~/.ssh/id_ed25519'
    ((_, message, command),) = said(view())
    assert (message, command) == (
        "the agent holds no keys",
        "ssh-keygen -t ed25519 && ssh-add",
    )


def test_what_is_serious_comes_first():
    findings = key_findings(view(files=[file(locked=False)]), NOW)
    assert [finding.is_serious for finding in findings] == [True, False]
