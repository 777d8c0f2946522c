"""Rules in their order, then the node's own word, then the default."""

from dataclasses import replace

import pytest

from gpuhop_tui.config.load import parse_config
from gpuhop_tui.ssh.guard.model import Purpose, SignatureFacts
from gpuhop_tui.ssh.guard.policy import Decision, Policy, Rule
from gpuhop_tui.ssh.guard.settings import policy_of

ALLOW, ASK, DENY = Decision.ALLOW, Decision.ASK, Decision.DENY
LOGIN = SignatureFacts(
    node="gpu-01",
    via=("jump",),
    purpose=Purpose.LOGIN,
    key="SHA256:abc",
    key_comment="me@laptop",
    user="git",
    destination=("github.com", "[ssh.github.com]:443"),
    host_key="SHA256:host",
)
UNBOUND = replace(LOGIN, purpose=Purpose.UNBOUND, destination=(), host_key="")
GIT = replace(UNBOUND, purpose=Purpose.SIGNATURE, user="", namespace="git")
FILE = replace(GIT, namespace="file")
UNKNOWN = replace(GIT, purpose=Purpose.UNKNOWN, namespace="")


@pytest.mark.parametrize(
    ("rule", "matching"),
    [
        (Rule(ALLOW), {LOGIN, UNBOUND, GIT, FILE, UNKNOWN}),
        (Rule(ALLOW, destination="github.com"), {LOGIN}),
        (Rule(ALLOW, destination="GitHub.*"), {LOGIN}),
        (Rule(ALLOW, destination="[ssh.github.com]:443"), {LOGIN}),
        (Rule(ALLOW, destination="SHA256:host"), {LOGIN}),
        (Rule(ALLOW, destination="g?thub.com"), {LOGIN}),
        (Rule(ALLOW, destination="github"), set()),
        (Rule(ALLOW, destination="**"), {LOGIN}),
        (Rule(ALLOW, destination="?*"), {LOGIN}),
        (Rule(ALLOW, user="git"), {LOGIN, UNBOUND}),
        (Rule(ALLOW, user="root"), set()),
        (Rule(ALLOW, key="SHA256:abc"), {LOGIN, UNBOUND, GIT, FILE, UNKNOWN}),
        (Rule(ALLOW, key="*@laptop", purpose="git"), {GIT}),
        (Rule(ALLOW, key="SHA256:a*"), set()),
        (Rule(ALLOW, purpose="login"), {LOGIN}),
        (Rule(ALLOW, purpose="unbound"), {UNBOUND}),
        (Rule(ALLOW, purpose="signature"), {GIT, FILE}),
        (Rule(ALLOW, purpose="unknown"), {UNKNOWN}),
        (Rule(ALLOW, node="gpu-*", purpose="login"), {LOGIN}),
        (Rule(ALLOW, node="gpu-02"), set()),
    ],
    ids=lambda value: str(value) if isinstance(value, Rule) else str(len(value)),
)
def test_what_a_rule_matches(rule, matching):
    kinds = (LOGIN, UNBOUND, GIT, FILE, UNKNOWN)
    assert {facts for facts in kinds if rule.matches(facts)} == matching


def test_the_first_rule_that_matches_decides():
    policy = Policy(
        ASK, (Rule(DENY, user="root"), Rule(ALLOW, destination="github.com")), (("gpu-02", DENY),)
    )
    assert policy.rule_on(LOGIN).decision is ALLOW
    assert policy.rule_on(LOGIN).reason == "rule: allow destination github.com"
    assert policy.rule_on(replace(LOGIN, user="root")).decision is DENY
    assert policy.rule_on(UNBOUND).decision is ASK
    assert policy.rule_on(replace(UNBOUND, node="gpu-02")).reason == "guard of gpu-02: deny"


def test_a_container_is_guarded_as_its_node():
    policy = Policy(ASK, (Rule(ALLOW, node="gpu-01", purpose="git"),), (("gpu-01", DENY),))
    inside = replace(LOGIN, node="gpu-01/train")
    assert policy.rule_on(inside).decision is DENY
    assert policy.rule_on(replace(GIT, node="gpu-01/train")).decision is ALLOW


def test_a_key_that_can_never_sign_is_not_shown():
    secret = Policy(ASK, (Rule(DENY, key="secret"),))
    assert not secret.lends_key("gpu-01", "SHA256:x", "secret")
    assert secret.lends_key("gpu-01", "SHA256:x", "other")
    partly = Policy(ASK, (Rule(ALLOW, key="secret", purpose="git"), Rule(DENY, key="secret")))
    assert partly.lends_key("gpu-01", "SHA256:x", "secret")
    only = Policy(DENY, (Rule(ALLOW, key="work"),))
    assert only.lends_key("gpu-01", "SHA256:x", "work")
    assert not only.lends_key("gpu-01", "SHA256:x", "private")
    assert not Policy(ASK, (), (("gpu-01", DENY),)).lends_key("gpu-01", "SHA256:x", "work")


def test_from_the_config(tmp_path):
    text = """
    [agent.guard]
    default = "deny"
    [[agent.guard.rules]]
    destination = "github.com"
    user = "git"
    purpose = "login"
    node = "gpu-*"
    decision = "allow"
    [[nodes]]
    name = "gpu-01"
    host = "h"
    guard = "ask"
    """
    policy = policy_of(parse_config(text, tmp_path / "config.toml"))
    assert policy == Policy(
        DENY, (Rule(ALLOW, "github.com", "git", "*", "login", "gpu-*"),), (("gpu-01", ASK),)
    )
