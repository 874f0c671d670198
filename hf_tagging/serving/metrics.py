"""Figures of a server for Prometheus: counts and times, and nothing of a request's text."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)
_OTHER = "other"  # path of what is not served: names that clients make up are no labels


class Metrics:
    """Figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "hf_tagging_requests", "Requests that were answered.", ["path", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "hf_tagging_request_seconds",
            "Seconds from the end of the headers of a request to its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.requests_in_progress = Gauge(
            "hf_tagging_requests_in_progress", "Requests that are not yet answered.", registry=registry
        )
        self.words = Counter("hf_tagging_words", "Words that were tagged.", ["model"], registry=registry)
        self.queue_words = Gauge(
            "hf_tagging_queue_words", "Words that were accepted and are not yet tagged.", ["model"], registry=registry
        )
        self.call_requests = Histogram(
            "hf_tagging_call_requests",
            "Requests that were tagged in one call of the model.",
            ["model"],
            buckets=_REQUESTS,
            registry=registry,
        )
        self.call_seconds = Histogram(
            "hf_tagging_call_seconds",
            "Seconds of one call of the model.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )

    def text(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        return generate_latest(self._registry)


class Measured:
    """ASGI middleware that counts and times requests.

    Args:
        app: Application around which it is.
        metrics: Where to.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.requests_in_progress.track_inprogress():
            try:
                await self._app(scope, receive, send_on)
            finally:
                path = getattr(scope.get("route"), "path", _OTHER)
                self._metrics.requests.labels(path, status).inc()
                self._metrics.request_seconds.labels(path).observe(time.perf_counter() - began)
