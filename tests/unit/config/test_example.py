"""The example config loads as it is and leaves no key out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from gpuhop_tui.config.load import load_config
from gpuhop_tui.config.schema import Config

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"


def fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield (*path, name)
        for inner in tables(field.annotation):
            yield from fields(inner, (*path, name))


def tables(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from tables(part)


def keys(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, list):
        for element in value:
            yield from keys(element, path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from keys(inner, (*path, key))


def test_it_loads() -> None:
    assert [node.name for node in load_config(EXAMPLE).nodes] == ["gpu-01", "lab"]


@pytest.mark.parametrize("path", fields(Config), ids=".".join)
def test_it_holds_every_key(path: tuple[str, ...]) -> None:
    if path == ("nodes", "identity_file"):
        path = ("bastions", "identity_file")  # shown once, where it is explained
    assert path in set(keys(tomllib.loads(EXAMPLE.read_text())))


def test_every_key_of_it_has_a_comment() -> None:
    first: dict[str, str] = {}
    for line in EXAMPLE.read_text().splitlines():
        key, equals, _ = line.partition(" = ")
        if equals and not line.startswith("#"):
            first.setdefault(key, line)
    assert [line for line in first.values() if " # " not in line] == []
