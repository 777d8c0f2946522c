"""A simulated program with the streams of an SSH session."""

from __future__ import annotations

import asyncio
import contextlib
import time

import asyncssh

from gpuhop_tui.demo.tmux.program import Program
from gpuhop_tui.demo.tmux.server import LOOK_SECONDS

Process = asyncssh.SSHServerProcess[bytes]


async def drive(process: Process, program: Program) -> None:
    """A program with the streams of a session, until it has ended or the session has."""
    loop_time = asyncio.get_running_loop().time
    is_terminal = process.term_type is not None
    if is_terminal:
        columns, rows = process.term_size[:2]
        program.resized(columns or 80, rows or 24)

    def show() -> None:
        data = program.output(time.time())
        if data:
            process.stdout.write(data if is_terminal else data.replace(b"\r\n", b"\n"))

    async def read() -> None:
        while True:
            try:
                data = await process.stdin.read(4096)
            except asyncssh.TerminalSizeChanged as change:
                program.resized(change.width, change.height)
                continue
            except asyncssh.SignalReceived:
                data = b"\x03"
            except asyncssh.BreakReceived:
                continue
            if not data:
                return
            program.typed(data, time.time())
            show()

    reading = asyncio.ensure_future(read())
    closed = asyncio.ensure_future(process.channel.wait_closed())
    began = loop_time()
    try:
        show()
        while program.ended is None and not closed.done():
            pause = LOOK_SECONDS if loop_time() - began > 1 else 0.05
            await asyncio.wait({closed}, timeout=pause)
            show()
    finally:
        for task in (reading, closed):
            task.cancel()
        await asyncio.gather(reading, closed, return_exceptions=True)
    with contextlib.suppress(OSError):
        await process.stdout.drain()
        process.exit(program.ended if program.ended is not None else 255)
