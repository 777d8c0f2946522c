"""Secrets in command lines."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpuhop_tui.probe.secrets import MASK, mask_secrets

SECRET = "abcDEF123456xyz"


@pytest.mark.parametrize(
    "command",
    [
        f"python train.py --token {SECRET}",
        f"python train.py --hf-token={SECRET} --epochs 3",
        f"python train.py --api_key '{SECRET}'",
        f"python train.py --wandb.api_key={SECRET}",
        f"python train.py -password {SECRET}",
        f"env HF_TOKEN={SECRET} python train.py",
        f"WANDB_API_KEY={SECRET} python train.py",
        f"python train.py logger.secret={SECRET}",
        f'python run.py {{"token": "{SECRET}"}}',
        f"wget https://someone:{SECRET}@example.org/data",
        f"curl -H Authorization: Bearer {SECRET} https://example.org",
        f"wget https://example.org/data?access_token={SECRET}&page=2",
        f"python push.py hf_{SECRET}{SECRET}",
        f"git clone https://ghp_{SECRET}{SECRET}@github.com/a/b",
        f"python chat.py sk-{SECRET}{SECRET}",
        f"python chat.py eyJhbGciOi.{SECRET}.{SECRET}",
    ],
)
def test_a_secret_is_masked(command: str) -> None:
    shown = mask_secrets(command)
    assert SECRET not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --cfg big.yaml --max-tokens 4096",
        "python train.py --tokenizer gpt2",
        "python train.py --max_token 512",
        "python train.py --use-token true",
        "torchrun --nproc_per_node=8 train.py",
        "python -m http.server 8000",
        "git clone ssh://git@github.com/a/b",
    ],
)
def test_what_is_no_secret_stays(command: str) -> None:
    assert mask_secrets(command) == command


def test_what_stands_around_a_secret_stays() -> None:
    shown = mask_secrets(f"python train.py --token {SECRET} --epochs 3")
    assert shown == f"python train.py --token {MASK} --epochs 3"


@given(
    st.sampled_from(["--token ", "--password=", "API_KEY=", "--hub-token "]),
    st.text("abcdefgXYZ0123456789+/%!#@$", min_size=10, max_size=60),
)
def test_no_part_of_a_secret_of_any_form_is_left(option: str, secret: str) -> None:
    assume(not secret.isdigit())
    shown = mask_secrets(f"python train.py {option}{secret} --epochs 3")
    assert shown.removesuffix(" --epochs 3") == f"python train.py {option}{MASK}"


@given(st.text(max_size=300))
def test_any_line_can_be_masked(command: str) -> None:
    mask_secrets(command)
