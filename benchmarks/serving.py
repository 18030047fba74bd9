"""How many answers a second does a service give, beside services as one would write them?

    python benchmarks/serving.py [--only PART ...] [--data FOLDER] [--seconds S] [--rounds N]

MiniLM with a head for each of three tasks; SST sentences; an answer is all three tasks' of one
text. Services and clients share the machine's cores. All services run all the time, and are asked
in turn, in windows; a figure is the median over the rounds.

table       1, 8 and 64 clients, each with one request at a time:
            a three processes of transformers, a request in a pass
            b the same, passes of 512 padded tokens
            c three of onnxruntime, a request in a pass
            d the same, passes of 512 padded tokens
            e one process of onnxruntime with three heads, passes of 512 padded tokens: one of two
              threads or two of one, whichever gives more
            fp32, bf16: `accord serve`; onnx: `accord serve --backend onnx`
call        what a request takes beside a call of `records` in Python
heads       100 tasks a text over 3
memory      of a process, idle and loaded
steady      ten minutes at 90 % of what 64 clients were answered
overload    a minute at three times that
reloads     200 exchanges of a model while clients ask
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from exchanges import exchanged, perturb
from harness import Report, Row, arguments, median_interval, progress
from load import Load, closed_loop, one_by_one, open_loop
from one_pass import World, several
from prediction import dev_sets, quieten, with_onnxruntime
from services import Process, running, serve, started, until_idle
from utilisation import faster_precision

import accord
from accord.derived.to_onnx import export_onnx

HERE = Path(__file__).parent
CLIENTS = (1, 8, 64)
PADDED_TOKENS = 512
PARTS = ("table", "call", "heads", "memory", "steady", "overload", "reloads")


@dataclass
class Windows:
    """What a side of the table was seen to do with so many clients.

    Attributes:
        loads: a window each.
        cpu_ms: processor time of its processes for an answer, of each window.
    """

    loads: list[Load] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Answers a second."""
        return [load.rate for load in self.loads]

    def told(self) -> dict[str, Any]:
        """Return all of it for the file of results."""
        return {
            "answers_per_second": [round(rate, 1) for rate in self.rates],
            "p50_ms": [round(load.quantile(0.5), 1) for load in self.loads],
            "p99_ms": [round(load.quantile(0.99), 1) for load in self.loads],
            "cpu_ms_per_answer": [round(each, 2) for each in self.cpu_ms],
        }


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        texts: that are asked for.
        folder: for what is written.
        data: the sets that they are from.
        seconds: of a window.
        rounds: of windows.
        sides: of the table that are wanted; None: all.
    """

    texts: list[str]
    folder: Path
    data: list[Any]
    seconds: float
    rounds: int
    sides: list[str] | None = None

    def heads(self, count: int) -> Path:
        """Return the folder of MiniLM with so many heads."""
        world = World(self.data, None, self.folder, "highest", 0)  # type: ignore[arg-type]
        folder = self.folder / f"heads-{count}"
        return folder if folder.exists() else several(world, count)[1]


def window(side: Sequence[Process], texts: Sequence[str], clients: int, seconds: float,
           windows: Windows) -> None:  # fmt: skip
    """Ask a side for so long."""
    ports = [each.port for each in side]
    closed_loop(ports, texts, clients, 0.5)
    before = sum(each.cpu_seconds() for each in side)
    load = closed_loop(ports, texts, clients, seconds)
    cpu = sum(each.cpu_seconds() for each in side) - before
    if load.statuses.keys() != {200}:
        raise SystemExit(f"not all were answered: {dict(load.statuses)}")
    windows.loads.append(load)
    windows.cpu_ms.append(cpu / len(load.latencies) * 1e3)


def in_turn(sides: dict[str, list[Process]], options: Options, clients: Sequence[int] = CLIENTS
            ) -> dict[tuple[str, int], Windows]:  # fmt: skip
    """Ask all sides in turn, round after round."""
    seen = {(name, count): Windows() for name in sides for count in clients}
    for i in range(options.rounds):
        for count in clients:
            for name in sorted(sides, reverse=i % 2 == 1):
                progress(f"round {i + 1} of {options.rounds}: {name}, {count} clients")
                until_idle()
                window(sides[name], options.texts, count, options.seconds, seen[name, count])
    progress("")
    return seen


def peers(options: Options) -> dict[str, Callable[[], list[Process]]]:
    """Return how each side of the table is started."""
    folder, names = options.heads(3), ["t0", "t1", "t2"]
    graph = options.folder / "encoder.onnx"
    with_onnxruntime(options.folder)
    precision, _ = faster_precision(accord.load(folder, "cpu").model.encoder.config, rows=32 * 24)
    peer, graphs = HERE / "serving_peer.py", options.folder / "graphs"
    export_onnx(folder, graphs)

    def three(encoder: object, tokens: int) -> list[Process]:
        more = ("--encoder", encoder, "--tokens", tokens, "--precision", precision)
        return [started(peer, folder, "--tasks", name, *more) for name in names]

    def one(threads: int, passes: int) -> list[Process]:
        more = ("--tokens", PADDED_TOKENS, "--threads", threads, "--passes", passes)
        return [started(peer, folder, "--tasks", *names, "--encoder", graph, *more)]

    return {
        "a": lambda: three("transformers", 0),
        "b": lambda: three("transformers", PADDED_TOKENS),
        "c": lambda: three(graph, 0),
        "d": lambda: three(graph, PADDED_TOKENS),
        "e1": lambda: one(2, 1),
        "e2": lambda: one(1, 2),
        "fp32": lambda: [serve(folder)],
        "bf16": lambda: [serve(folder, "--precision", "bfloat16")],
        "onnx": lambda: [serve(graphs, "--backend", "onnx")],
    }


TARGETS = (
    # clients, ours, peer, at least
    (1, "fp32", "c", 1.3), (8, "fp32", "c", 2.5), (8, "fp32", "e", 0.85), (64, "fp32", "c", 4.0),
    (64, "fp32", "d", 3.0), (64, "fp32", "a", 7.0), (64, "fp32", "e", 1.15),
    (64, "bf16", "fp32", 1.8), (1, "bf16", "fp32", 1.0), (1, "onnx", "fp32", None),
    (8, "onnx", "fp32", None), (64, "onnx", "fp32", None),
)  # fmt: skip


def table(options: Options, report: Report) -> None:
    """Compare services."""
    starts = {
        name: start for name, start in peers(options).items()
        if options.sides is None or name in options.sides
    }  # fmt: skip
    with running({name: start() for name, start in starts.items()}) as sides:
        seen = in_turn(sides, options)
        report.details["table"] = {
            f"{name}, {clients} clients": windows.told()
            for (name, clients), windows in seen.items()
        }
        report.details["table_mebibytes"] = {
            name: round(sum(each.mebibytes() for each in side)) for name, side in sides.items()
        }
    for clients in CLIENTS:
        both = [seen[name, clients] for name in ("e1", "e2") if (name, clients) in seen]
        if both:
            seen["e", clients] = max(both, key=lambda windows: median(windows.rates))
    for clients, name, peer, target in TARGETS:
        if (name, clients) in seen and (peer, clients) in seen:
            report.add(compared(name, peer, clients, seen, target))
    if ("fp32", 1) in seen and ("c", 1) in seen:
        report.add(p50(seen))


def compared(name: str, peer: str, clients: int, seen: dict[tuple[str, int], Windows],
             target: float | None) -> Row:  # fmt: skip
    """How many times as many answers as a peer, window by window."""
    ratios = np.divide(seen[name, clients].rates, seen[peer, clients].rates)
    return Row(
        f"{name}_over_{peer}_{clients}_clients", float(np.median(ratios)), target, "higher",
        median_interval(ratios), rounds=len(ratios),
        note=f"{median(seen[name, clients].rates):.0f} and {median(seen[peer, clients].rates):.0f} "
             "answers a second",
    )  # fmt: skip


def p50(seen: dict[tuple[str, int], Windows]) -> Row:
    """One client's median latency over that of three onnxruntimes."""
    ours, theirs = ([load.quantile(0.5) for load in seen[name, 1].loads] for name in ("fp32", "c"))
    ratios = np.divide(ours, theirs)
    return Row("fp32_p50_over_c_1_client", float(np.median(ratios)), 0.75, "lower",
               median_interval(ratios), median(ours), median(theirs), len(ratios))  # fmt: skip


def call(options: Options, report: Report) -> None:
    """Compare a request with a call in Python."""
    folder = options.heads(3)
    model = accord.load(folder, "cpu")
    torch.set_num_threads(1)
    with running({"fp32": [serve(folder, "--threads", 1)]}) as sides:
        port, texts = sides["fp32"][0].port, options.texts[:60]
        until_idle()
        took: dict[str, list[float]] = {"call": [], "request": []}
        for i in range(-1, 5):
            for text in texts:
                begun = time.perf_counter()
                model.records([text])
                if i >= 0:
                    took["call"].append((time.perf_counter() - begun) * 1e3)
            requests = one_by_one(port, texts)
            if i >= 0:
                took["request"] += [seconds * 1e3 for seconds in requests]
    added = median(np.subtract(took["request"], took["call"]).tolist())
    report.add(Row("service_adds_ms", added, 2.0, "lower", None, median(took["request"]),
                   median(took["call"]), len(took["call"]), "text by text"))  # fmt: skip


def heads(options: Options, report: Report) -> None:
    """Compare a model of 100 tasks with one of three."""
    with running({str(count): [serve(options.heads(count))] for count in (3, 100)}) as sides:
        seen = in_turn(sides, options, (64,))
    few, many = seen["3", 64], seen["100", 64]
    more = np.subtract(many.cpu_ms, few.cpu_ms)
    lost = 1 - np.divide(many.rates, few.rates)
    report.add(
        Row("100_heads_cpu_ms_an_answer", float(np.median(more)), 0.5, "lower",
            median_interval(more), rounds=len(more)),
        Row("100_heads_lost_throughput", float(np.median(lost)), 0.05, "lower",
            median_interval(lost), rounds=len(lost),
            note=f"{median(many.rates):.0f} and {median(few.rates):.0f} answers a second"),
    )  # fmt: skip


def memory(options: Options, report: Report) -> None:
    """Measure a process."""
    with running({"fp32": [serve(options.heads(3))]}) as sides:
        (process,) = sides["fp32"]
        idle = process.mebibytes()
        closed_loop([process.port], options.texts, 64, options.seconds)
        report.add(
            Row("idle_mebibytes", idle, 380, "lower"),
            Row("loaded_mebibytes", process.mebibytes(), 550, "lower"),
        )


def steady(options: Options, report: Report) -> None:
    """Ask at 90 % of capacity, long."""
    with running({"fp32": [serve(options.heads(3))]}) as sides:
        (process,) = sides["fp32"]
        capacity = closed_loop([process.port], options.texts, 64, options.seconds).rate
        before = process.mebibytes()
        load = open_loop(process.port, options.texts, 0.9 * capacity, 40 * options.seconds)
        told(report, "steady", load, capacity)
        failed = sum(load.statuses.values()) - load.statuses[200]
        report.add(
            Row("steady_errors", failed, 0, "lower", note=f"of {sum(load.statuses.values()):,}"),
            Row("steady_grown_mebibytes", process.mebibytes() - before, None, "lower"),
        )


def overload(options: Options, report: Report) -> None:
    """Ask for three times what can be answered."""
    with running({"fp32": [serve(options.heads(3))]}) as sides:
        (process,) = sides["fp32"]
        capacity = closed_loop([process.port], options.texts, 64, options.seconds).rate
        before = process.mebibytes()
        load = open_loop(process.port, options.texts, 3 * capacity, 4 * options.seconds, most=3000)
        told(report, "overload", load, capacity)
        others = {status: n for status, n in load.statuses.items() if status not in (200, 503)}
        report.add(
            Row("overload_p99_ms", load.quantile(0.99), 1000, "lower",
                note=f"of {load.statuses[200]:,} answered, {load.statuses[503]:,} refused"),
            Row("overload_other_than_503", sum(others.values()), 0, "lower", note=str(others)),
            Row("overload_answered_of_capacity", load.rate / capacity, None, "higher"),
            Row("overload_grown_mebibytes", process.mebibytes() - before, None, "lower"),
        )  # fmt: skip


def told(report: Report, name: str, load: Load, capacity: float) -> None:
    """Keep what clients saw."""
    report.details[name] = {
        "capacity": round(capacity, 1), "seconds": round(load.seconds, 1),
        "statuses": dict(load.statuses), "sent_again": load.again,
        "answers_per_second": round(load.rate, 1),
        "p50_ms": round(load.quantile(0.5), 1), "p99_ms": round(load.quantile(0.99), 1),
    }  # fmt: skip


def reloads(options: Options, report: Report) -> None:
    """Exchange a model again and again while it answers."""
    models = [options.folder / "odd", options.folder / "even"]
    for folder, seed in zip(models, (0, 1), strict=True):
        torch.manual_seed(seed)
        shutil.copytree(options.heads(3), folder)
        perturb(folder, seed)
    wanted = {}
    for folder in models:
        model = accord.load(folder, "cpu")
        wanted[folder] = {text: model.answer([text])[0] for text in options.texts[:40]}
    served = options.folder / "served"
    shutil.copytree(models[0], served)
    with running({"fp32": [serve(served, "--reload")]}) as sides:
        (process,) = sides["fp32"]
        report.add(*exchanged(process, served, models, wanted, report))


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "serving", rounds=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seconds", type=float, default=15.0, help="of a window")
    parser.add_argument("--sides", nargs="+", default=None, help="of the table")
    given = parser.parse_args()
    quieten()
    report = Report("A service of three tasks: answers a second beside other services")
    sets = dev_sets(given.data)
    with tempfile.TemporaryDirectory() as name:
        options = Options(
            [str(text) for text in sets[0].texts[:500]], Path(name), sets, given.seconds,
            given.rounds, given.sides,
        )  # fmt: skip
        report.details["two_cores_over_one"] = round(until_idle(), 2)
        for part in given.only:
            PART[part](options, report)
    report.finish(given.output)


PART: dict[str, Callable[[Options, Report], None]] = {
    "table": table, "call": call, "heads": heads, "memory": memory, "steady": steady,
    "overload": overload, "reloads": reloads,
}  # fmt: skip


if __name__ == "__main__":
    main()
