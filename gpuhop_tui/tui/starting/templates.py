"""Saving what a form says as a template of the config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuhop_tui.containers.spec import ContainerSpec, to_template

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig, TemplateConfig


def template_table(spec: ContainerSpec, name: str, build: BuildConfig | None) -> dict[str, Any]:
    """The table of `[[templates]]` to write, with how its image is built."""
    table = to_template(spec, name)
    if build is not None:
        table["build"] = build.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return table


def save_template(path: Path, table: dict[str, Any]) -> TemplateConfig:
    """Writes a template, in the place of the one of its name; returns it as it is loaded again.

    It waits for the disk: to be called in a thread. Raises ConfigError as `update_config` does.
    """
    from gpuhop_tui.config.save import update_config
    from gpuhop_tui.config.schema import TemplateConfig

    def edit(raw: dict[str, Any]) -> None:
        tables: list[dict[str, Any]] = raw.setdefault("templates", [])
        names = [each.get("name") for each in tables]
        if table["name"] in names:
            tables[names.index(table["name"])] = table
        else:
            tables.append(table)

    update_config(path, edit)
    return TemplateConfig.model_validate(table)


def with_template(
    templates: Sequence[TemplateConfig], saved: TemplateConfig
) -> tuple[TemplateConfig, ...]:
    """The templates, with this one in its place or at the end."""
    if any(each.name == saved.name for each in templates):
        return tuple(saved if each.name == saved.name else each for each in templates)
    return (*templates, saved)
