"""GET /metrics, in Prometheus' text: what is asked, how fast it is answered, how much there is to do.

Nothing personal, and no label that grows with what people send: routes are named by their templates, models by the
releases that are served, and a path that is no route by one word. A registry for each application, so that two in
one process do not mix.
"""

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fonderie.serve.database.base import Database
from fonderie.serve.database.tables import reports, thumbs, votes
from fonderie.serve.engine.engine import Load
from fonderie.serve.engine.request import Event, Finished, Piece
from fonderie.serve.served import Served

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)
"""From a page to a long answer of a large model on a busy machine."""
NO_ROUTE = "none"
LEFT = "499"
"""Status of those who left before a word was said, as nginx writes it."""


class Metrics:
    """What is counted of one application."""

    def __init__(self, models: Mapping[str, Served], database: Database | None = None) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "fonderie_http_requests", "Requests by route and status", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "fonderie_http_request_seconds",
            "From a request's first byte to its answer's last",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._first = Histogram(
            "fonderie_first_text_seconds",
            "From asking a model to the answer's first characters, the wait in line included",
            ("model",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._ended = Counter(
            "fonderie_answers", "Answers by the reason that they ended", ("model", "reason"), registry=self.registry
        )
        for name, model in models.items():
            model.answers.watch(self._watcher(name))
        ProcessCollector(registry=self.registry)
        self.registry.register(_Engines(models))
        if database is not None:
            self.registry.register(_Kept(database))

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)

    def _watcher(self, model: str) -> Callable[[Event, float], None]:
        first = self._first.labels(model)

        def watch(event: Event, seconds: float) -> None:
            if isinstance(event, Piece):
                first.observe(seconds)
            elif isinstance(event, Finished):
                self._ended.labels(model, event.reason).inc()

        return watch


class Measured:
    """Around the whole application: every request is counted when its last byte is out. Plain ASGI."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count and time a request, whatever becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), LEFT

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if status == LEFT:  # nothing was sent: what stands around us will say 500
                status = "500"
            raise
        finally:
            # The router writes into the scope which of its routes it was; nobody's path becomes a label.
            route = str(getattr(scope.get("route"), "path", NO_ROUTE))
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)


_COUNTED: tuple[tuple[str, str, Callable[[Load], float]], ...] = (
    ("prompt_tokens", "Tokens of prompts of answers that ended", lambda load: load.prompt_tokens),
    ("answer_tokens", "Tokens of answers that ended", lambda load: load.answer_tokens),
    ("cached_tokens", "Tokens of prompts that a cache held", lambda load: load.cached_tokens),
    ("engine_rounds", "Rounds of the engine; of an upstream 0", lambda load: load.rounds),
    ("engine_busy_seconds", "Time that the engine had something to do", lambda load: load.busy_seconds),
)
_NOW: tuple[tuple[str, str, Callable[[Served, Load], float]], ...] = (
    ("running", "Requests that are being answered", lambda _, load: load.running),
    ("waiting", "Requests in line", lambda _, load: load.waiting),
    ("batch", "Requests that may be answered at once", lambda model, _: model.engine.limits.batch),
    ("waiting_limit", "Requests that may stand in line", lambda model, _: model.engine.limits.waiting),
    ("engine_up", "0 once the engine has failed", lambda model, _: float(model.engine.failure is None)),
)


class _Engines(Collector):
    """What the engines say of themselves, and the guards before them, when somebody asks."""

    def __init__(self, models: Mapping[str, Served]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        loads = {name: model.engine.load() for name, model in self._models.items()}
        for title, text, counted in _COUNTED:
            family = CounterMetricFamily(f"fonderie_{title}", text, labels=("model",))
            for name, load in loads.items():
                family.add_metric((name,), counted(load))
            yield family
        for title, text, now in _NOW:
            gauge = GaugeMetricFamily(f"fonderie_{title}", text, labels=("model",))
            for name, model in self._models.items():
                gauge.add_metric((name,), now(model, loads[name]))
            yield gauge
        found = CounterMetricFamily("fonderie_guarded", "What guards found", labels=("category", "side"))
        for guards in {id(model.guards): model.guards for model in self._models.values()}.values():
            for (category, side), count in sorted(guards.counts.items()):
                found.add_metric((category, side), count)
        yield found


class _Kept(Collector):
    """How many votes, thumbs and reports the database keeps: deletion makes it fewer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("fonderie_kept", "Rows that are kept of what people said", labels=("table",))
        up = GaugeMetricFamily("fonderie_database_up", "Whether the database answers")
        try:
            with self._database.read() as connection:
                for table in (votes, thumbs, reports):
                    count = connection.execute(select(func.count()).select_from(table)).scalar_one()
                    family.add_metric((table.name,), count)
            up.add_metric((), 1)
        except SQLAlchemyError:
            up.add_metric((), 0)
        yield family
        yield up
