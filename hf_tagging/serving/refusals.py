"""Answers to requests that are refused: JSON that says what was given, the limit, and what to do."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from hf_tagging.errors import TaggingError, printable

_SHOWN = 10  # problems of a body that are listed
_LONGEST = 40  # characters of a key that is shown; clients make them up

logger = logging.getLogger(__name__)


class Error(BaseModel):
    """Reason why a request was refused."""

    code: str = Field(description="Kind of the error, for programs.", examples=["too_many_words"])
    message: str = Field(
        description="What was given, what is allowed, and what to do.",
        examples=["12,000 words were given; 10,000 are allowed. Send them in several requests."],
    )
    given: float | None = Field(default=None, description="Measure of what was given, where a limit was exceeded.")
    limit: float | None = Field(default=None, description="The limit.")


class ErrorBody(BaseModel):
    """Body of every answer that is not a success."""

    error: Error


class Refused(HTTPException):
    """A request that is refused.

    Args:
        status: HTTP status.
        code: Kind of the error, for programs.
        message: What was given, what is allowed, and what to do.
        given: Measure of what was given, where a limit was exceeded.
        limit: The limit.
        headers: Further headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        given: float | None = None,
        limit: float | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(status, message, headers=headers)
        self.error = Error(code=code, message=message, given=given, limit=limit)


def refusal_of(error: Exception, what: str) -> Refused:
    """Return the refusal to answer an error with: 422 with the reason for what cannot be tagged, 500 for a bug of ours.

    Args:
        error: The error. A bug is logged, without its message, which may quote a request.
        what: What has failed.
    """
    if isinstance(error, TaggingError):
        return Refused(422, "cannot_tag", str(error))
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s has failed with %s:\n%s", what, type(error).__name__, place)
    return Refused(500, "internal_server_error", "The server has failed on this request; its log says where.")


def answer_errors(app: FastAPI) -> None:
    """Give every error of an application a body of the form of `ErrorBody`; none of them quotes a request."""
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refused):
        return _answer(error.status_code, error.error, error.headers)
    code = HTTPStatus(error.status_code).name.lower()
    messages = {
        400: 'The body cannot be read as JSON. Send an object in UTF-8 such as {"text": "..."}.',
        404: "There is no such page. /docs lists what there is.",
        405: "This page takes other methods. /docs lists them.",
    }
    message = messages.get(error.status_code, str(error.detail))
    return _answer(error.status_code, Error(code=code, message=message), error.headers)


def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    if problems and problems[0]["type"] == "json_invalid":
        place, reason = problems[0]["loc"][-1], problems[0]["ctx"]["error"]
        message = f"The body is not JSON: {reason} at character {place}."
        return _answer(400, Error(code="bad_request", message=message))
    listed = [f"{_place(problem['loc'])}: {problem['msg']}" for problem in problems[:_SHOWN]]
    more = len(problems) - len(listed)
    message = "; ".join([*listed, *([f"and {more} more"] if more else [])]) + ". /docs shows what is expected."
    return _answer(422, Error(code="invalid", message=message))


def _place(loc: Sequence[str | int]) -> str:
    """Return where a value is, as ``words[3][0]``; the names of the forms of a union are left out."""
    parts = [part for part in loc if part not in ("body", "one", "many")]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{printable(part[:_LONGEST])}" for part in parts)
    return place.removeprefix(".") or "body"


def _answer(status: int, error: Error, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(ErrorBody(error=error).model_dump(exclude_none=True), status, headers)
