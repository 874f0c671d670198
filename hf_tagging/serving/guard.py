"""Checks of a request before its body is read as JSON: token, size and time, and whether the server is ending."""

from __future__ import annotations

import asyncio
import email.message
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from hf_tagging.serving.limits import Limits
from hf_tagging.serving.refusals import Refused, refusal_of


@dataclass
class Gate:
    """Whom a server lets in.

    Args:
        limits: Of bodies and times.
        token: That requests must carry; empty: none.
        draining: The server is about to end: it answers what it has accepted, and refuses the rest.
    """

    limits: Limits
    token: str = ""
    draining: bool = False

    def check(self, request: Request) -> None:
        """Refuse a request by its headers.

        Raises:
            Refused: It lacks the token, the server is ending, or the body is not said to be JSON.
        """
        if self.token and not self._has_token(request):
            raise Refused(
                401,
                "unauthorized",
                "The request has no valid token. Send the header Authorization: Bearer TOKEN.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if request.method != "POST":
            return
        if self.draining:
            raise self.ending()
        content = email.message.Message()
        content["content-type"] = request.headers.get("content-type", "none/none")
        if content.get_content_type() != "application/json":
            raise Refused(415, "not_json", "The body is not JSON by its header. Send Content-Type: application/json.")

    @staticmethod
    def ending() -> Refused:
        """Return the refusal of requests that the server does not answer any more."""
        headers = {"Retry-After": "1", "Connection": "close"}
        return Refused(503, "draining", "The server is about to end. Send the request again.", headers=headers)

    def _has_token(self, request: Request) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(), self.token.encode())
        return is_right and kind.lower() == "bearer"

    def receiving(self, request: Request) -> Callable[[], Awaitable[Message]]:
        """Return what reads the body of a request, piece by piece, and refuses one that is too large or too slow."""
        size, deadline = 0, deadline_of(request)

        async def receive() -> Message:
            nonlocal size
            try:
                async with asyncio.timeout_at(deadline):
                    message = await request.receive()
            except TimeoutError:
                seconds = self.limits.max_seconds
                raise Refused(
                    408, "slow_body", f"The body has not arrived within {seconds:g} s. Send it faster.", limit=seconds
                ) from None
            size += len(message.get("body", b""))
            if size > self.limits.max_bytes:
                raise self._too_large(size)
            return message

        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:18]) > self.limits.max_bytes:
            raise self._too_large(int(length[:18]))
        return receive

    def _too_large(self, size: int) -> Refused:
        limit = self.limits.max_bytes
        return Refused(
            413,
            "body_too_large",
            f"The body has {size:,} bytes or more; {limit:,} are allowed. Send it in several requests.",
            given=size,
            limit=limit,
        )


def deadline_of(request: Request) -> float:
    """Return the time of the event loop until which a request must be answered."""
    deadline: float = request.state.deadline
    return deadline


class GuardedRoute(APIRoute):
    """Route behind the `Gate` of its application, ``app.state.gate``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route behind the gate."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            gate: Gate = request.app.state.gate
            request.state.deadline = asyncio.get_running_loop().time() + gate.limits.max_seconds
            gate.check(request)
            try:
                return await handle(Request(request.scope, gate.receiving(request)))
            except (HTTPException, RequestValidationError):
                raise
            except asyncio.CancelledError:
                if not gate.draining:
                    raise
                raise gate.ending() from None  # after a second Ctrl-C
            except Exception as error:
                raise refusal_of(error, self.path) from None

        return guarded
