"""Forms for an image without a container: pulled from a registry, or built on the node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.suggester import SuggestFromList
from textual.types import CSSPathType
from textual.widgets import Button, Input, Static

from gpuhop_tui.containers.context import PRESETS
from gpuhop_tui.containers.pull import with_tag
from gpuhop_tui.tui.keymap import shown_key
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import TAB_IN_TURN, Dialog
from gpuhop_tui.tui.starting.run import build_image, pull_image
from gpuhop_tui.tui.work import Job, Kind

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import BuildConfig
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.tui.app import GpuhopApp

_Fields = tuple[tuple[str, str, str, str], ...]  # id, label, what is in it, a hint


class ImageDialog(Dialog[None]):
    """Begins the work and goes; what is typed wrong is said at its field."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "new_image.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [*TAB_IN_TURN, Binding("ctrl+s", "begin", "begin")]
    TITLE_WORDS: ClassVar[str]
    YES: ClassVar[str]

    def __init__(
        self,
        app: GpuhopApp,
        node: str,
        containers: NodeContainers,
        values: Mapping[str, str] | None = None,
    ) -> None:
        """`values`: what was typed before, where the form is opened again."""
        super().__init__()
        self._gpuhop, self._node, self._containers = app, node, containers
        self._values = dict(values or {})

    def fields(self) -> _Fields:
        raise NotImplementedError

    def again(self, values: Mapping[str, str]) -> ImageDialog:
        """The same form with these values."""
        return type(self)(self._gpuhop, self._node, self._containers, values)

    async def begin(self, values: dict[str, str]) -> Job:
        """Begin the work. Raises ValueError with the field's id and what is wrong there."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = f"{self.TITLE_WORDS} on {clean(self._node)}".replace("[", r"\[")
            box.border_subtitle = "enter goes on, ctrl+s begins, escape gives up"
            for id, label, text, hint in self.fields():
                with Horizontal(classes="field"):
                    yield Static(f"  {label}", id=f"{id}-label", classes="label", markup=False)
                    yield Input(
                        self._values.get(id, text),
                        placeholder=hint,
                        id=id,
                        compact=True,
                        select_on_focus=False,
                        suggester=SuggestFromList(found) if (found := self._known(id)) else None,
                    )
                yield Static(id=f"{id}-failure", classes="failure", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button(self.YES, id="ok", variant="primary")

    def _known(self, id: str) -> tuple[str, ...]:
        if id == "preset":
            return PRESETS
        return tuple(each.image for each in self._gpuhop.templates) if id == "image" else ()

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        for id, label, _, _ in self.fields():
            glyph = "›" if self.query_one(f"#{id}").has_focus else " "
            self.query_one(f"#{id}-label", Static).update(f"{glyph} {label}")

    @on(Input.Submitted)
    def _next(self, event: Input.Submitted) -> None:
        if event.input.id == self.fields()[-1][0]:
            self.action_begin()
        else:
            self.focus_next("Input")

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        self._say(str(event.input.id), "")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#ok")
    def action_begin(self) -> None:
        self.run_worker(self._begin(), exclusive=True, exit_on_error=False)

    async def _begin(self) -> None:
        values = {id: self.query_one(f"#{id}", Input).value.strip() for id, *_ in self.fields()}
        try:
            job = await self.begin(values)
        except ValueError as error:
            id, words = error.args
            self._say(id, words)
            self.query_one(f"#{id}").focus()
            return
        job.reopen = lambda: self._gpuhop.push_screen(self.again(values))
        key = shown_key(self.app, "work")
        self.notify(f"{clean(job.title)}: {key} shows how far it is", timeout=4, markup=False)
        self.finish(None)

    def _say(self, id: str, words: str) -> None:
        place = self.query_one(f"#{id}-failure", Static)
        place.update(clean(words))
        place.set_class(bool(words), "-said")


class PullDialog(ImageDialog):
    """Which image."""

    TITLE_WORDS, YES = "Pull an image", "Pull"

    def fields(self) -> _Fields:
        return (("image", "image", "", "such as pytorch/pytorch:2.8.0-cuda12.6-cudnn9-devel"),)

    async def begin(self, values: dict[str, str]) -> Job:
        image = with_tag(_image(values["image"]))

        async def run(job: Job) -> str:
            await pull_image(job, self._containers, image)
            return f"{image} is on {self._node}"

        return self._gpuhop.work.begin(f"Pull {image}", self._node, Kind.PULL, run)


class BuildDialog(ImageDialog):
    """From which Dockerfile of this machine, or which preset."""

    TITLE_WORDS, YES = "Build an image", "Build"

    def __init__(
        self,
        app: GpuhopApp,
        node: str,
        containers: NodeContainers,
        values: Mapping[str, str] | None = None,
        preset: str = "",
    ) -> None:
        """`preset`: in place of a Dockerfile."""
        super().__init__(app, node, containers, values)
        self._preset = preset

    def again(self, values: Mapping[str, str]) -> ImageDialog:
        return BuildDialog(self._gpuhop, self._node, self._containers, values, self._preset)

    def fields(self) -> _Fields:
        if self._preset:
            source = ("preset", "preset", self._preset, f"one of: {', '.join(PRESETS)}")
            image = f"{self._preset}:latest"
        else:
            source = ("dockerfile", "Dockerfile", "", "~/…/Dockerfile, on this machine")
            image = ""
        return (
            source,
            ("image", "image", image, "its name with a tag, such as train:1"),
            ("base", "base image", "", "the Dockerfile's own; else it is the build argument BASE"),
            ("authorized_keys", "may log in", "agent", "agent: its keys; or a file of public keys"),
        )

    async def begin(self, values: dict[str, str]) -> Job:
        image = with_tag(_image(values["image"]))
        config = await _build_config({key: text for key, text in values.items() if key != "image"})

        async def run(job: Job) -> str:
            await build_image(job, self._containers, image, config)
            return f"{image} was built on {self._node}"

        return self._gpuhop.work.begin(f"Build {image}", self._node, Kind.BUILD, run)


def _image(text: str) -> str:
    if not text or text.startswith("-") or not text.isprintable() or " " in text:
        raise ValueError("image", "it needs the name of an image")
    return text


async def _build_config(values: dict[str, str]) -> BuildConfig:
    """Raises ValueError with the field and what is wrong there."""
    from pydantic import ValidationError

    from gpuhop_tui.config.schema import BuildConfig

    given = {key: text for key, text in values.items() if text}
    source = "preset" if "preset" in values else "dockerfile"
    if source not in given:
        raise ValueError(source, "this is needed")
    if source == "preset" and given["preset"] not in PRESETS:
        raise ValueError(source, f"there are: {', '.join(PRESETS)}")
    try:
        config = BuildConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = str(first["loc"][0]) if first["loc"] else source
        raise ValueError(place, first["msg"].removeprefix("Value error, ")) from None
    if config.dockerfile is not None and not await asyncio.to_thread(config.dockerfile.is_file):
        raise ValueError("dockerfile", f"there is no file {config.dockerfile}")
    return config
