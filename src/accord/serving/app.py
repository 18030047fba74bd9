"""The service that others call: its paths, and what each answers."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from accord.errors import AccordError, UsageError
from accord.runs.devices import choose_device
from accord.runs.memory import release_freed_memory
from accord.runs.processors import default_threads
from accord.serving.backends import Backend, GraphBackend, TorchBackend
from accord.serving.batching import Answers, Batcher, FullError, Job
from accord.serving.gate import Gate
from accord.serving.logs import Log, logged, to_stderr
from accord.serving.measures import Measures
from accord.serving.models import Models, Served
from accord.serving.openapi import described
from accord.serving.replies import one_line, refused, reply
from accord.serving.requests import Asked, Limits, Refused, read
from accord.serving.settings import Settings
from accord.serving.tokens import sequence_tokens

ANSWER, ANSWER_TASK = "/v1/answer", "/v1/answer/{task}"
_CPU_TOKENS = 512  # of a pass: with more the last is answered later, and none earlier
_AT_ONCE = 4000  # characters that take less than a millisecond to tokenise
_OPEN = ("/", "/health", "/ready")  # to whoever can reach it
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass
class Service:
    """What the paths share.

    Attributes:
        models: that answer.
        limits: of requests.
        threads: passes at once.
        token: that requests have to name; None asks for none.
        reloads: whether a request may have the models loaded anew.
        hosts: names that requests may have for their host, beside this machine's own; None: any.
        log: is told of each request for answers, with its texts; None: nobody is.
        ready: whether new requests are taken.
        reload_models: does that, and returns their names.
    """

    models: Models
    limits: Limits = field(default_factory=Limits)
    threads: int = 1
    token: str | None = None
    reloads: bool = False
    hosts: frozenset[str] | None = None
    log: Log | None = None
    ready: bool = True

    def __post_init__(self) -> None:
        self.reload_models: Callable[[], list[str]] = self.models.reload
        first = self.models.all()[0].predictor
        budget = _CPU_TOKENS if first.device.type == "cpu" else min(first.pass_tokens())
        self.measures = Measures(budget)
        self.batcher = Batcher(
            self.threads, budget, self.limits.waiting, self.limits.patience, self.measures,
            self._deliver,
        )  # fmt: skip

    @classmethod
    def started(cls, settings: Settings) -> Service:
        """Load a service's models.

        Raises:
            AccordError: if one can't be loaded.
        """
        threads = settings.threads or default_threads(settings.workers)
        backend: Backend = TorchBackend(settings.device, settings.precision)
        if settings.backend == "onnx":
            backend, threads = GraphBackend(threads), 1  # which are of one product there
        elif settings.threads is None and choose_device(settings.device).type == "cuda":
            threads = 1
        models = Models(settings.folders, backend)
        release_freed_memory()
        log = to_stderr if settings.logs_texts else None
        return cls(
            models, settings.limits, threads, settings.token, settings.reloads, settings.hosts, log
        )

    def begin(self) -> None:
        """Give answers in the loop that runs now."""
        self._loop = asyncio.get_running_loop()

    def _deliver(self, give: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was ended by force
            self._loop.call_soon_threadsafe(give)

    # What the paths answer

    async def answer(self, request: Request) -> Response:
        """Answer texts."""
        asked = read(await self._body(request), self.limits, request.path_params.get("task"))
        request.state.asked = asked
        model = self._model(asked)
        answers: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        try:
            self.batcher.admit(asked.characters)  # before anything is spent on it
            if asked.characters > _AT_ONCE:
                job, tokens = await run_in_threadpool(_job, model, asked, answers)
            else:  # a thread would take longer to be told than to do it
                job, tokens = _job(model, asked, answers)
            self.batcher.submit(job)
        except FullError as full:
            waiting = f"{len(self.batcher):,} requests wait already"
            what = waiting if self.ready else "the service ends"
            later = {"Retry-After": str(max(1, round(full.seconds)))}
            raise Refused(503, f"{what}; ask again later", later) from None
        said = await _while_connected(request, answers)
        by = {"model": model.name, "hash": model.hash}
        return reply({**by, "tokens": tokens, "answers": said})

    async def list_models(self, request: Request) -> Response:
        """Say which models there are."""
        return reply({"models": [dict(model.described) for model in self.models.all()]})

    async def reload(self, request: Request) -> Response:
        """Load the models whose folders changed."""
        if not self.reloads:
            raise Refused(403, "this service takes no reloads; 'accord serve --reload' does")
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "a page of another site may not ask for this")
        try:
            return reply({"reloaded": await run_in_threadpool(self.reload_models)})
        except AccordError as error:
            raise Refused(409, f"nothing was exchanged: {one_line(error)}") from None

    async def health(self, request: Request) -> Response:
        """Say that the process lives."""
        return reply({"status": "alive"})

    async def readiness(self, request: Request) -> Response:
        """Say whether it answers."""
        if not self.ready:
            raise Refused(503, "the service ends")
        return reply({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Return what was counted."""
        return Response(self.measures.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """Describe the paths."""
        return reply(described(self.limits, self.token is not None))

    async def page(self, request: Request) -> Response:
        """Return the page to try it."""
        text = files("accord.serving").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY})

    # What they take

    def _model(self, asked: Asked) -> Served:
        try:
            return self.models.get(asked.model)
        except UsageError as error:
            raise Refused(422 if asked.model is None else 404, one_line(error)) from None

    async def _body(self, request: Request) -> bytes:
        # A page of another site can't name this type unasked: nor can it ask in a user's name.
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind.lower() != "application/json":
            raise Refused(415, f"the body is '{kind:.60}'; allowed: content-type: application/json")
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":
            raise Refused(415, f"content-encoding '{coding:.60}'; allowed: a body as it is")
        most, body = self.limits.body_bytes, bytearray()
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise Refused(413, f"a body of {int(length):,} bytes; at most {most:,} are allowed")
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise Refused(413, f"a body of more than {most:,} bytes")
        return bytes(body)

    def guarded(self, path: str, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint that asks for the token, counts, and answers every error by a line."""

        async def answer(request: Request) -> Response:
            begun = time.perf_counter()
            self.measures.open.inc()
            try:
                self._admit(request, path)
                response = await endpoint(request)
            except Refused as refusal:
                response = refused(refusal.status, refusal.message, refusal.headers)
            except ClientDisconnect:
                response = refused(400, "the connection was closed before there was an answer")
            except asyncio.CancelledError:  # by the end of the service, that waits so long
                response = refused(503, "the service ends", {"Retry-After": "1"})
            except AccordError as error:
                response = refused(422, one_line(error))
            except Exception as error:
                response = refused(500, f"a bug in Accord: {type(error).__name__}")
                request.app.state.report(error)
            self.measures.open.dec()
            seconds = time.perf_counter() - begun
            self.measures.answered(path, response.status_code, seconds)
            if self.log is not None and path in (ANSWER, ANSWER_TASK):
                self.log(logged(request, response.status_code, seconds))
            return response

        return answer

    def _admit(self, request: Request, path: str) -> None:
        if self.token is None or path in _OPEN:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            given.strip(" \t").encode("latin-1"), self.token.encode()
        ):
            what = "the token is missing or wrong: Authorization: Bearer TOKEN"
            raise Refused(401, what, {"WWW-Authenticate": "Bearer"})


def make_app(
    service: Service, report: Callable[[Exception], object] = lambda error: None
) -> Starlette:
    """Return the application.

    Args:
        service: what its paths share; closed when the application ends.
        report: is told of errors that are bugs.
    """

    def route(path: str, endpoint: Endpoint, *methods: str) -> Route:
        return Route(path, service.guarded(path, endpoint), methods=methods)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        service.begin()
        yield
        service.ready = False
        await run_in_threadpool(service.batcher.close)

    def refuses(status: int) -> None:
        service.measures.answered("other", status, 0.0)

    app = Starlette(
        middleware=[Middleware(Gate, hosts=service.hosts, refuses=refuses)],
        routes=[
            route(ANSWER, service.answer, "POST"),
            route(ANSWER_TASK, service.answer, "POST"),
            route("/v1/models", service.list_models, "GET"),
            route("/v1/reload", service.reload, "POST"),
            route("/health", service.health, "GET"),
            route("/ready", service.readiness, "GET"),
            route("/metrics", service.metrics, "GET"),
            route("/openapi.json", service.openapi, "GET"),
            route("/", service.page, "GET"),
        ],
        exception_handlers={404: _unknown, 405: _wrong_method},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # it would send to whatever host the request names
    app.state.report, app.state.measures = report, service.measures
    return app


async def _while_connected(request: Request, answers: asyncio.Future[Answers]) -> Answers:
    """Wait for answers as long as somebody else does: who hangs up keeps no place.

    Raises:
        ClientDisconnect: if nobody does.
    """
    gone = asyncio.ensure_future(_gone(request))
    try:
        both: set[asyncio.Future[Any]] = {answers, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return answers.result()
        raise ClientDisconnect
    finally:
        gone.cancel()
        answers.cancel()


async def _gone(request: Request) -> None:
    """Return when the connection is closed."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _unknown(request: Request, error: Exception) -> Response:
    request.app.state.measures.answered("other", 404, 0.0)
    return refused(404, f"no path '{request.url.path:.80}'; /openapi.json lists them")


async def _wrong_method(request: Request, error: Exception) -> Response:
    request.app.state.measures.answered("other", 405, 0.0)
    given = (error.headers or {}) if isinstance(error, HTTPException) else {}
    allowed = ", ".join(sorted(given.get("Allow", "").split(", ")))
    what = f"{request.method:.20} is not allowed there; allowed: {allowed}"
    return refused(405, what, {"Allow": allowed})


def _job(model: Served, asked: Asked, answers: asyncio.Future[Answers]) -> tuple[Job, list[int]]:
    """Check a request's texts, and count their tokens.

    Args:
        model: that answers.
        asked: the request.
        answers: is given what it is answered.

    Returns:
        What is to be computed, and how many tokens each text has.

    Raises:
        UsageError: if its tasks don't take them.
    """
    model.predictor.check(asked.texts, asked.tasks)
    tokens = sequence_tokens(model.predictor, asked.texts, asked.tasks)
    longest = model.predictor.assembler.max_length
    read = sum(min(each, longest) for of_text in tokens for each in of_text)
    job = Job(model, asked.texts, asked.tasks, asked.probabilities, read, answers)
    return job, [*map(sum, tokens)]


_POLICY = (
    "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
