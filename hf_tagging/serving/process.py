"""Server process: it says where it listens, and ends without losing a request that was accepted."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from hf_tagging.serving.guard import Gate
from hf_tagging.serving.limits import Limits

_PATIENCE = 5  # seconds beyond those of a request, in which answers are sent before the process ends
_KILLED = 130  # exit code, as of a shell's command that Ctrl-C ends
_LAST_ANSWERS = 0.3  # seconds in which requests on open connections are still answered, after the port has closed


class DrainingServer(uvicorn.Server):
    """Server that goes on for a while after SIGTERM, so that requests meet 503 and no closed port.

    Args:
        config: Of uvicorn.
        gate: Refuses requests once the server is about to end.
    """

    def __init__(self, config: uvicorn.Config, gate: Gate):
        super().__init__(config)
        self._gate, self._closes_at = gate, math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse new requests; close the port after a while, or at once after Ctrl-C or a second signal.

        Ctrl-C as the second signal waits for no answer.

        The signal is not raised again at the end, as uvicorn does: an end that was asked for is no failure.
        """
        is_first, self._gate.draining = not self._gate.draining, True
        wait = self._gate.limits.drain_seconds if is_first and sig == signal.SIGTERM else 0
        self._closes_at = time.monotonic() + wait
        self.force_exit = not is_first and sig == signal.SIGINT

    async def on_tick(self, counter: int) -> bool:
        """End when the time has come."""
        self.should_exit = self.should_exit or time.monotonic() >= self._closes_at
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where the server is, once it listens."""
        await super().startup(sockets)
        for listener in sockets or ():
            host, port, *_ = listener.getsockname()
            print(f"Listening on http://{f'[{host}]' if ':' in host else host}:{port} (/docs shows how).", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let no further connection in, and give those that there are the time for an answer."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_ANSWERS)
        await super().shutdown(sockets)


def run_app(app: FastAPI, listener: socket.socket, limits: Limits, *, root_path: str) -> None:
    """Run an application until the process is asked to end.

    Args:
        app: From `build_app`.
        listener: A bound socket.
        limits: Those of the application.
        root_path: Prefix that a proxy has removed from paths.
    """
    config = uvicorn.Config(
        app,
        root_path=root_path,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(limits.max_seconds) + _PATIENCE,
    )
    server = DrainingServer(config, app.state.gate)
    server.run([listener])
    print("The server has stopped.", flush=True)
    if server.force_exit:
        os._exit(_KILLED)  # the interpreter would wait for the call that the model is in, and nobody else does
