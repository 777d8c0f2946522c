"""How containers and images may be called.

Sources: moby's `RestrictedNameChars`, and the grammar of the distribution project's `reference`.
"""

from __future__ import annotations

import re

_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.?)+(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}\Z")


def check_container_name(name: str) -> str | None:
    """What is wrong with a container's name, or None."""
    if _CONTAINER.match(name):
        return None
    return "a name is two or more of letters, digits and _ . - and begins with a letter or digit"


def check_image_name(name: str) -> str | None:
    """What is wrong with a name for a new image, such as "team/train:v2", or None."""
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, "latest"
    if not _IMAGE.match(repository):
        return "an image is called such as team/train:v2, in small letters"
    if not _TAG.match(tag):
        return "a tag, after the colon, is at most 128 of letters, digits and _ . -"
    return None
