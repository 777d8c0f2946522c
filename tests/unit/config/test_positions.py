"""Lines of keys: any TOML that can be written is found again."""

from __future__ import annotations

import tomllib
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhop_tui.config.positions import KeyPath, key_lines

keys = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=6)
scalars = (
    st.integers(0, 99)
    | st.booleans()
    | st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


def paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [found for key, inner in items for found in [(*path, key), *paths(inner, (*path, key))]]


@settings(max_examples=60)
@given(st.dictionaries(keys, values, max_size=4), st.booleans())
def test_every_key_of_any_document_has_its_line(document: dict[str, Any], many: bool) -> None:
    text = tomli_w.dumps(document, multiline_strings=many)
    lines = key_lines(text)
    assert set(lines) == set(paths(tomllib.loads(text)))


def test_lines() -> None:
    text = (
        "# first\n"  # 1
        "[ui]\n"
        'theme = """\n'  # 3
        "[nodes]\n"
        'prot = 1"""\n'
        "\n"
        "[[nodes]]\n"  # 7
        "name = 'a'\n"
        "via = [\n"  # 9
        "  'x', # one\n"
        "]\n"
        "[nodes.extra]\n"  # 12
        "k.deep = 1\n"
        "[[nodes]]\n"
        "name = 'b'\n"  # 15
    )
    lines = key_lines(text)
    assert lines[("ui", "theme")] == 3
    assert lines[("nodes",)] == 7
    assert lines[("nodes", 0, "via", 0)] == 9
    assert lines[("nodes", 0, "extra", "k", "deep")] == 13
    assert lines[("nodes", 1)] == 14
    assert lines[("nodes", 1, "name")] == 15
    assert ("nodes", 0, "prot") not in lines
