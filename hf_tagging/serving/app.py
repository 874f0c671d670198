"""FastAPI application that tags: endpoints, their checks and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST

from hf_tagging.inference.results import WordLabels
from hf_tagging.serving.batcher import Batcher
from hf_tagging.serving.bodies import (
    EXAMPLES,
    ModelDescription,
    ModelList,
    Status,
    TagAnswer,
    TagRequest,
)
from hf_tagging.serving.guard import Gate, GuardedRoute, deadline_of
from hf_tagging.serving.limits import Limits
from hf_tagging.serving.metrics import Measured, Metrics
from hf_tagging.serving.models import ServedModel
from hf_tagging.serving.parts import Part, parts_of, result_of
from hf_tagging.serving.refusals import ErrorBody, Refused, answer_errors

_REFUSALS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    404: "There is no such model.",
    408: "The body did not arrive in time.",
    413: "The body, its sentences or its words are too many.",
    415: "The body is not said to be JSON.",
    422: "The body is not of the form that is expected, or cannot be tagged.",
    429: "The queue is full; `Retry-After` says when to try again.",
    500: "The server has failed on this request; its log says where.",
    503: "The server is about to end.",
    504: "The tags were not ready in time.",
}


def build_app(models: Sequence[ServedModel], *, limits: Limits | None = None, token: str = "") -> FastAPI:
    """Build the application, for any ASGI server.

    Args:
        models: The models; the first one is the default.
        limits: Limits of requests. Default: those of `Limits`.
        token: Token that requests must carry as ``Authorization: Bearer TOKEN``; empty: none.

    Returns:
        The application. ``app.state.gate.draining = True`` makes it refuse new requests.
    """
    limits, metrics = limits or Limits(), Metrics()
    app: FastAPI = FastAPIOffline(
        title="hf_tagging",
        description="Tags for the words of texts: entities, parts of speech, any tag per word.",
        redoc_url=None,
        redirect_slashes=False,  # to an address that a proxy may know by another name, and with a body that is no JSON
        swagger_ui_parameters={"tryItOutEnabled": True},
    )
    app.state.gate = Gate(limits, token)
    app.add_middleware(Measured, metrics=metrics)
    answer_errors(app)
    secured = [Depends(HTTPBearer(auto_error=False))] if token else []  # shown on the page; the gate checks
    guarded = APIRouter(route_class=GuardedRoute, dependencies=secured)
    _add_tagging(guarded, {model.name: Batcher(model, limits, metrics) for model in models}, limits)

    @guarded.get("/metrics", summary="Figures for Prometheus.", response_class=Response)
    async def figures() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    app.include_router(guarded)
    _add_probes(app)
    return app


def _add_tagging(router: APIRouter, batchers: dict[str, Batcher], limits: Limits) -> None:
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": text} for status, text in _REFUSALS.items()
    }

    @router.post("/tag", summary="Tag texts or words.", response_model_exclude_none=True, responses=responses)
    async def tag(request: Request, body: Annotated[TagRequest, Body(openapi_examples=EXAMPLES)]) -> TagAnswer:
        batcher = _chosen(batchers, body)
        parts = await parts_of(body, batcher.model.cutter, limits)
        labels = await _labels(batcher, parts, body, deadline_of(request), limits)
        schema = batcher.model.schema
        results = [result_of(part, found, schema) for part, found in zip(parts, labels, strict=True)]
        return TagAnswer(model=batcher.model.name, results=results)

    @router.get("/models", summary="List the models.")
    async def list_models() -> ModelList:
        return ModelList(models=[_description(batcher.model) for batcher in batchers.values()])


def _add_probes(app: FastAPI) -> None:
    """Add what tells an orchestrator how the server is: without a token, and by HEAD too, as `wget --spider` asks."""

    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="Tell that the process lives.")
    async def health() -> Status:
        return Status(status="ok")

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", summary="Tell whether requests are accepted.", responses={503: {"model": Status}})
    async def ready(response: Response) -> Status:
        if not app.state.gate.draining:
            return Status(status="ready")
        response.status_code = 503
        return Status(status="draining")


def _chosen(batchers: dict[str, Batcher], body: TagRequest) -> Batcher:
    """Return the queue of the model that a request asks for."""
    name = next(iter(batchers)) if body.model is None else body.model
    if name not in batchers:
        raise Refused(404, "no_such_model", f"model: there is no model of this name; there are {', '.join(batchers)}.")
    if refusal := batchers[name].model.refusal(body.precision):
        raise Refused(422, "invalid", refusal)
    return batchers[name]


async def _labels(
    batcher: Batcher, parts: Sequence[Part], body: TagRequest, deadline: float, limits: Limits
) -> list[list[WordLabels]]:
    """Return the labels of the sentences of each part of a request, in time."""
    try:
        async with asyncio.timeout_at(deadline):
            return await batcher.label(
                parts,
                precision=body.precision,
                min_confidence=body.min_confidence,
            )
    except TimeoutError:
        raise Refused(
            504,
            "too_slow",
            f"The tags were not ready within {limits.max_seconds:g} s. Send fewer words, or try again later.",
            limit=limits.max_seconds,
        ) from None


def _description(model: ServedModel) -> ModelDescription:
    return ModelDescription(
        name=model.name,
        tags=list(model.schema.tags),
        entity_types=list(model.schema.entity_types),
        scheme=model.schema.scheme,
        precisions=list(model.precisions),
        exported=model.exported,
    )
