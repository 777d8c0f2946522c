"""Answers the core's questions by dialogs, one at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gpuhop_tui.tui.messages import Asked, Withdrawn

if TYPE_CHECKING:
    from textual.app import App

    from gpuhop_tui.ssh.prompts import (
        ChallengeQuestion,
        HostKeyAnswer,
        HostKeyQuestion,
        PassphraseQuestion,
        Prompter,
        SignatureAnswer,
        SignatureQuestion,
    )
    from gpuhop_tui.tui.screens.dialog import Dialog


class TuiPrompter:
    """A `Prompter` whose questions queue up: one dialog of logins is shown at a time.

    It may be called from any task on the app's loop. A question whose task is cancelled is taken
    away, whether it is shown or still waits. The dialogs are imported when they are needed.
    """

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._turn = asyncio.Lock()
        self._aside: Prompter | None = None
        self._aside_hops: frozenset[str] = frozenset()

    def ask_aside(self, prompter: Prompter | None, hops: frozenset[str] = frozenset()) -> None:
        """Have another prompter answer what the logins to these hops ask; None: not any more."""
        self._aside, self._aside_hops = prompter, hops

    def _other(self, hop: str) -> Prompter | None:
        return self._aside if hop in self._aside_hops else None

    async def host_key(self, question: HostKeyQuestion) -> HostKeyAnswer:
        if other := self._other(question.hop):
            return await other.host_key(question)
        from gpuhop_tui.ssh.prompts import HostKeyAnswer
        from gpuhop_tui.tui.screens.host_key import HostKeyDialog

        answer = await self._ask(HostKeyDialog(question))
        return answer if isinstance(answer, HostKeyAnswer) else HostKeyAnswer.REFUSE

    async def passphrase(self, question: PassphraseQuestion) -> str | None:
        if other := self._other(question.hop):
            return await other.passphrase(question)
        from gpuhop_tui.tui.screens.passphrase import PassphraseDialog

        answer = await self._ask(PassphraseDialog(question))
        return answer if isinstance(answer, str) else None

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None:
        if other := self._other(question.hop):
            return await other.challenge(question)
        if not question.prompts:
            return []  # RFC 4256, 3.4: nothing is asked, an empty answer is due
        from gpuhop_tui.tui.screens.challenge import ChallengeDialog

        answer = await self._ask(ChallengeDialog(question))
        return answer if isinstance(answer, list) else None

    async def signature(self, question: SignatureQuestion) -> SignatureAnswer:
        """Lies over whatever is shown, other questions too: it waits for seconds only. Whoever has
        the terminal answers it, whichever node asks."""
        if self._aside is not None:
            return await self._aside.signature(question)
        from gpuhop_tui.ssh.prompts import SignatureAnswer
        from gpuhop_tui.tui.screens.signature import SignatureDialog

        answer = await self._show(SignatureDialog(question))
        return answer if isinstance(answer, SignatureAnswer) else SignatureAnswer.DENY

    async def _ask(self, dialog: Dialog[Any]) -> object:
        async with self._turn:
            return await self._show(dialog)

    async def _show(self, dialog: Dialog[Any]) -> object:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._app.post_message(Asked(dialog, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            self._app.post_message(Withdrawn(dialog))
            raise
