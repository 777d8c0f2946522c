"""The difference of two documents, as a JSON merge patch (RFC 7396)."""

from typing import Any, Dict

Document = Dict[str, Any]


def merge_patch(old: Document, new: Document) -> Document:
    """The patch that turns `old` into `new`. Neither may hold a null: null means "removed"."""
    patch: Document = {}
    for key in old:
        if key not in new:
            patch[key] = None
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif before != value or isinstance(before, bool) != isinstance(value, bool):
            patch[key] = value
    return patch
