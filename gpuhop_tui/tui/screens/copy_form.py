"""The form for copying files into a container, or out of it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.types import CSSPathType
from textual.widgets import Button, Input, Static

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.paths import path_facts
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.completion import container_candidates, local_candidates, local_path
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.path_input import PathInput

_FIELDS = ("source", "target")
_SHOWN_CANDIDATES = 12
_TARGETS = {True: "/tmp", False: "."}  # where it goes if nothing is typed


@dataclass(frozen=True, slots=True)
class Copy:
    """What is to be copied where. `target` is a directory."""

    inwards: bool
    source: str  # of this machine where it goes in, of the container where it comes out
    target: str


class WrongFieldError(Exception):
    """What is wrong with a field."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field, self.words = field, words


class CopyDialog(Dialog[Copy]):
    """The result is checked, and what it would overwrite was asked about. None: given up."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "copy_form.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "take", "copy")]
    AUTO_FOCUS = "#source"

    def __init__(self, engine: Engine, container: Container, wanted: Copy) -> None:
        """`wanted` is what the fields say at first."""
        super().__init__()
        self._engine, self._container, self._wanted = engine, container, wanted

    def compose(self) -> ComposeResult:
        name, node = clean(self._container.name), clean(self._container.node)
        local = local_candidates
        inside = partial(container_candidates, self._engine, self._container)
        inwards = self._wanted.inwards
        with VerticalScroll(classes="box", can_focus=False) as box:
            title = f"Copy {'into' if inwards else 'out of'} {name} on {node}"
            box.border_title = title.replace("[", r"\[")
            box.border_subtitle = "tab completes, enter goes on, ctrl+s copies, escape gives up"
            yield Static(
                "A file or directory of this machine, into a directory of the container."
                if inwards
                else "A file or directory of the container, into a directory of this machine.",
                classes="text soft",
                markup=False,
            )
            here, there = "here", "there"
            fields = (
                ("source", f"from {here if inwards else there}", local if inwards else inside, ""),
                ("target", f"into {there if inwards else here}", inside if inwards else local,
                 _TARGETS[inwards]),
            )  # fmt: skip
            for field, words, complete, usual in fields:
                value = clean(getattr(self._wanted, field))
                with Horizontal(classes="field"):
                    yield Static(f"  {words}", id=f"{field}-label", classes="label")
                    yield PathInput(value, complete, id=field, placeholder=usual)
                yield Static(id=f"{field}-failure", classes="failure at-field", markup=False)
            yield Static(id="candidates", classes="soft", markup=False)
            yield Static(id="failure", classes="failure", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Copy", id="ok", variant="primary")

    # Filling it in

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        """Mark the field that is typed into, not by a colour alone."""
        for field in _FIELDS:
            label = self.query_one(f"#{field}-label", Static)
            words = str(label.content)[2:]
            label.update(f"{'›' if self.query_one(f'#{field}').has_focus else ' '} {words}")

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        if event.input.id in _FIELDS:
            self._say(event.input.id, "")
        self._say(None, "")
        self.query_one("#candidates", Static).update("")

    @on(PathInput.Candidates)
    def _show_candidates(self, message: PathInput.Candidates) -> None:
        words = f"no completion: {message.why}" if message.why else ""
        if message.names:
            names = [name.rstrip("/").rpartition("/")[2] + ("/" if name.endswith("/") else "")
                     for name in message.names]  # fmt: skip
            rest = len(names) - _SHOWN_CANDIDATES
            words = "  ".join(names[:_SHOWN_CANDIDATES]) + (f"  and {rest} more" * (rest > 0))
        self.query_one("#candidates", Static).update(clean(words))

    @on(Input.Submitted, "#source")
    def _next(self) -> None:
        self.query_one("#target").focus()

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    # Checking it

    @on(Input.Submitted, "#target")
    @on(Button.Pressed, "#ok")
    def action_take(self) -> None:
        """Check what is wanted, ask before anything is overwritten, and end with it."""
        button = self.query_one("#ok", Button)
        if not button.disabled:
            button.disabled = True
            self._say(None, "looking…")
            self.run_worker(self._take(), exit_on_error=False)

    async def _take(self) -> None:
        source, target = (self.query_one(f"#{field}", Input).value.strip() for field in _FIELDS)
        source, target = source.rstrip("/") or source, target or _TARGETS[self._wanted.inwards]
        wanted = Copy(self._wanted.inwards, source, target)
        field, words = None, ""
        try:
            taken = await self._taken(wanted)
        except WrongFieldError as wrong:
            field, words = wrong.field, wrong.words
        except ContainerError as error:
            words = f"{error.message}. {error.advice}"
        except ProblemError as error:
            words = f"{error.problem.message}. {error.problem.advice}"
        except Exception as error:
            words = f"it was not begun: {error or type(error).__name__}"
        else:
            if taken is None or await self._may_overwrite(taken):
                self.finish(wanted)
                return
        self.query_one("#ok", Button).disabled = False
        self._say(None, "")
        self._say(field, words)
        if field is not None:
            self.query_one(f"#{field}").focus()

    async def _taken(self, wanted: Copy) -> str | None:
        """What would be overwritten, in words; None: nothing. Raises WrongFieldError."""
        if not wanted.source:
            raise WrongFieldError("source", "a path is needed here")
        return await (self._into(wanted) if wanted.inwards else self._out(wanted))

    async def _into(self, wanted: Copy) -> str | None:
        source = local_path(wanted.source)
        if wrong := await asyncio.to_thread(_wrong_source, source):
            raise WrongFieldError("source", wrong)
        await self._inside("target", wanted.target, directory=True)
        there = str(PurePosixPath(wanted.target, source.name))
        found = await path_facts(self._engine, self._container, there)
        name = self._container.name
        if found is None:
            return None
        if found.is_directory:
            return f"{there} in {name} is there already: files of the same names are overwritten."
        return f"{there} in {name} is there already and is overwritten."

    async def _out(self, wanted: Copy) -> str | None:
        if not PurePosixPath(wanted.source).name:
            raise WrongFieldError("source", "name a file or directory below /")
        await self._inside("source", wanted.source, directory=False)
        target = local_path(wanted.target)
        there = target / PurePosixPath(wanted.source).name
        wrong, taken = await asyncio.to_thread(_wrong_target, target, there)
        if wrong:
            raise WrongFieldError("target", wrong)
        return taken

    async def _inside(self, field: str, path: str, *, directory: bool) -> None:
        """Raises WrongFieldError where a path of the container will not do."""
        if not path.startswith("/"):
            raise WrongFieldError(field, "a path in the container begins with /")
        found = await path_facts(self._engine, self._container, path)
        if found is None:
            raise WrongFieldError(field, f"there is no {path} in {self._container.name}")
        if directory and not found.is_directory:
            raise WrongFieldError(field, f"{path} is no directory in {self._container.name}")

    async def _may_overwrite(self, taken: str) -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def given(yes: bool | None) -> None:
            if not answer.done():
                answer.set_result(bool(yes))

        where = f"in {self._container.name} on {self._container.node}"
        title = f"Overwrite {where if self._wanted.inwards else 'on this machine'}?"
        self.app.push_screen(ConfirmDialog(title, [taken], "overwrite"), given)
        return await answer

    def _say(self, field: str | None, words: str) -> None:
        """Say something at a field; None: below them all."""
        place = self.query_one(f"#{field}-failure" if field else "#failure", Static)
        place.update(clean(words[:1].upper() + words[1:]))
        place.set_class(bool(words), "-said")


def _wrong_source(source: Path) -> str | None:
    """What is wrong with a path of this machine; for a thread."""
    if not os.path.lexists(source):
        return f"there is no {source} on this machine"
    if not os.access(source, os.R_OK):
        return f"{source} may not be read"
    return None


def _wrong_target(target: Path, there: Path) -> tuple[str | None, str | None]:
    """What is wrong with a directory of this machine, and what would be overwritten."""
    if not target.is_dir():
        return f"there is no directory {target} on this machine", None
    if not os.access(target, os.W_OK):
        return f"{target} may not be written to", None
    if not os.path.lexists(there):
        return None, None
    if there.is_dir():
        return None, f"{there} is there already: files of the same names are overwritten."
    return None, f"{there} is there already and is overwritten."
