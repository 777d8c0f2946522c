"""Asks for the name of a template, and before one of that name is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Static

from gpuhop_tui.containers.spec import ContainerSpec
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.starting.templates import save_template, template_table, with_template

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig, TemplateConfig
    from gpuhop_tui.tui.app import GpuhopApp


class TemplateSaver:
    """One saving, from the question for the name to the written file."""

    def __init__(
        self,
        app: GpuhopApp,
        name: str,
        spec: ContainerSpec,
        build: BuildConfig | None,
        saved: Callable[[str], None],
    ) -> None:
        """`name` is offered; `saved` is told the one that was chosen, once it is written."""
        self._app, self._name, self._spec, self._build = app, name, spec, build
        self._saved = saved

    def ask(self) -> None:
        """Ask for the name."""
        path = self._app.config_path
        if path is None:
            self._say("There is no config file to save a template in.", "warning")
            return
        offered = self._name or self._spec.name
        self._app.push_screen(TemplateNameDialog(offered, str(path)), self._named)

    def _named(self, name: str | None) -> None:
        if not name:
            return
        self._name = name
        old = next((each for each in self._app.templates if each.name == name), None)
        if old is None:
            self._save(name)
            return

        def confirmed(yes: bool | None) -> None:
            if yes:
                self._save(name)
            else:
                self.ask()

        words = [f"It is there already, with the image {old.image}. What it says is lost."]
        if self._lost_build(old):
            words.append("How its image is built ([templates.build]) is lost too.")
        dialog = ConfirmDialog(f"Replace the template {name}?", words, "replace it")
        self._app.push_screen(dialog, confirmed)

    def _lost_build(self, old: TemplateConfig) -> bool:
        return old.build is not None and self._build is None and old.image != self._spec.image

    def _save(self, name: str) -> None:
        old = next((each for each in self._app.templates if each.name == name), None)
        build = self._build
        if build is None and old is not None and old.image == self._spec.image:
            build = old.build
        table = template_table(self._spec, name, build)
        self._app.run_worker(self._write(name, table), exit_on_error=False)

    async def _write(self, name: str, table: dict[str, object]) -> None:
        path = self._app.config_path
        assert path is not None
        try:
            template = await asyncio.to_thread(save_template, path, table)
        except Exception as error:  # ConfigError, or a disk that fails
            self._say(f"The template was not saved: {error}", "error")
            return
        self._app.templates = with_template(self._app.templates, template)
        self._say(f"The template {name} was saved in {path}", "information")
        self._saved(name)

    def _say(self, words: str, severity: str) -> None:
        self._app.notify(
            clean(words),
            severity="error" if severity == "error" else "information",
            timeout=12 if severity == "error" else 6,
            markup=False,
        )


class TemplateNameDialog(Dialog[str]):
    """The name of a template to save."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "save", "save", show=False)]
    AUTO_FOCUS = "#template-name"

    def __init__(self, name: str, path: str) -> None:
        """`path` is the file that it goes to."""
        super().__init__()
        self._name, self._path = name, path

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = "Save as a template"
            box.border_subtitle = "enter saves, escape gives up"
            yield Input(
                self._name,
                placeholder="name of the template",
                id="template-name",
                select_on_focus=False,
            )
            words = (
                f"It goes to {self._path}. Comments do not survive that: the text as it was "
                "written by hand is kept beside it, as .bak."
            )
            yield Static(clean(words), classes="text soft", markup=False)
            yield Static(id="failure", classes="text warn", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Save", id="ok", variant="primary")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#ok")
    @on(Input.Submitted)
    def action_save(self) -> None:
        name = self.query_one("#template-name", Input).value.strip()
        wrong = _name_mistake(name)
        self.query_one("#failure", Static).update(wrong)
        if not wrong:
            self.dismiss(name)


def _name_mistake(name: str) -> str:
    """What is wrong with the name of a template; empty: nothing."""
    if not name:
        return "it needs a name"
    if name.startswith("-") or "/" in name or not name.isprintable():
        return "a name does not begin with “-” and holds neither “/” nor control characters"
    return ""
