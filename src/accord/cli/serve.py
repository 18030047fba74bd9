"""`accord serve`: models behind HTTP, all tasks in one pass, and a page to try them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from accord.cli.options import PATH
from accord.terminal import tell

if TYPE_CHECKING:
    from accord.plan.run import Precision


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), metavar="N",
    help="Processes that answer, each with the models; one that dies is replaced.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1), metavar="N",
    help="Passes at once of each, one thread each. Default: one for each processor; on a GPU 1.",
)  # fmt: skip
@click.option(
    "--backend", type=click.Choice(["accord", "onnx"]), default="accord", show_default=True,
    help="What computes: models' own code, or onnxruntime of folders by 'accord export --to onnx'.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, metavar="DEVICE")
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16", "tf32"]), default="float32",
    show_default=True,
)  # fmt: skip
@click.option(
    "--token-file", type=PATH,
    help="A file that holds the token which requests have to name; or set ACCORD_TOKEN.",
)  # fmt: skip
@click.option(
    "--allow-host", multiple=True, metavar="NAME",
    help="A name by which requests may ask for this machine; may be given several times. Without a"
    " token at a loopback address only localhost, 127.0.0.1 and [::1] may be named else.",
)  # fmt: skip
@click.option("--reload", is_flag=True, help="Let POST /v1/reload load folders that changed.")
@click.option("--log-texts", is_flag=True,
              help="Log requests for answers with their texts, a line of JSON on stderr each.",
)  # fmt: skip
@click.option("--body-bytes", default=1 << 20, show_default=True, type=click.IntRange(1))
@click.option("--texts", default=256, show_default=True, type=click.IntRange(1),
              help="Of one request.")  # fmt: skip
@click.option("--characters", default=100_000, show_default=True, type=click.IntRange(1),
              help="Of one request's texts.")  # fmt: skip
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(0.1),
              help="That a request may take to be sent.")  # fmt: skip
@click.option("--waiting", default=1000, show_default=True, type=click.IntRange(1),
              help="Requests that may wait.")  # fmt: skip
@click.option("--patience", default=0.5, show_default=True, type=click.FloatRange(0.0),
              help="Seconds that a request may be expected to wait.")  # fmt: skip
def serve(
    models: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    threads: int | None,
    backend: Literal["accord", "onnx"],
    device: str,
    precision: Precision,
    token_file: Path | None,
    allow_host: tuple[str, ...],
    reload: bool,
    log_texts: bool,
    body_bytes: int,
    texts: int,
    characters: int,
    seconds: float,
    waiting: int,
    patience: float,
) -> None:
    """Answer requests with MODEL, a run or model folder; or with several, each FOLDER or
    NAME=FOLDER.

    POST /v1/answer with {"texts": ["a text", ["one of a pair", "the other"]]} answers all tasks
    that take each text; / is a page to try it, /openapi.json describes all paths. SIGTERM ends it
    once all is answered, SIGHUP loads the models whose folders changed.
    """
    from accord.errors import UsageError
    from accord.installed import need
    from accord.serving.hosts import checked_hosts, is_loopback
    from accord.serving.requests import Limits
    from accord.serving.settings import Settings, named

    need("accord serve", "serve", "starlette", "uvicorn", "prometheus_client")
    if backend == "onnx" and (device not in ("auto", "cpu") or precision != "float32"):
        raise UsageError("--backend onnx computes in float32 on a CPU: --device and --precision"
                         " are for models' own code")  # fmt: skip
    token = find_token(token_file)
    if token is None and not is_loopback(host):
        tell(f"warning: whoever reaches {host} may ask: no token is set (ACCORD_TOKEN)")
    settings = Settings(
        named(models), workers, threads, backend, device, precision,
        Limits(body_bytes, texts, characters, seconds, waiting, patience), token, reload,
        checked_hosts(host, token is not None, allow_host), log_texts,
    )  # fmt: skip
    if workers > 1:
        from accord.serving.supervisor import supervise

        supervise(settings, host, port, tell)
        return
    if hasattr(signal, "SIGHUP"):  # until there is something to load anew
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from accord.serving.app import Service
    from accord.serving.server import serve as answer

    service = Service.started(settings)
    for model in service.models.all():
        tell(f"{model.name}: {', '.join(model.described['tasks'])} ({model.hash[:12]})")
    answer(service, host, port, tell)


def find_token(file: Path | None) -> str | None:
    """Return the token that a file holds, or the environment; None where neither does.

    Raises:
        UsageError: if there is no such file, or nothing in it.
    """
    from accord.errors import UsageError

    if file is None:
        return os.environ.get("ACCORD_TOKEN", "").strip() or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {file}: can't be read: {error}") from None
    if not token:
        raise UsageError(f"--token-file {file}: is empty")
    return token
