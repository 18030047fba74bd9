"""Runs the parts, each in a process of its own, and prints one table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PARTS = ("laws", "steps", "train", "predict")
PART_SECONDS, ALL_SECONDS = 150.0, 300.0
KEPT_SECONDS = {"laws": 90.0, "steps": 95.0, "train": 55.0, "predict": 45.0}  # for what is to come
RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    options = arguments()
    if options.child:
        child(options)
        return
    started, tables = time.monotonic(), []
    for i, part in enumerate(options.part):
        share = share_of(options.part[i:], time.monotonic() - started)
        if options.compiled or options.device == "cpu":
            share = 600.0
        tables.append(run(part, options, share))
        write(options, tables, time.monotonic() - started)
    status = report(tables, time.monotonic() - started)
    print(f"figures: {options.output}")
    sys.exit(status)


def share_of(parts: Sequence[str], spent: float) -> float:
    """The seconds that the first of the parts that are left may take: what the others need is kept
    for them.

    Args:
        parts: that are left.
        spent: seconds, by those before.
    """
    kept = sum(KEPT_SECONDS[part] for part in parts[1:])
    return max(0.0, min(PART_SECONDS, ALL_SECONDS - spent - kept))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu", description="What only a GPU can tell.")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path, default=None, help="folder of the course's files")
    parser.add_argument("--encoder", type=Path, default=None, help="MiniLM's folder")
    parser.add_argument("--compiled", action="store_true", help="compile a peer too: minutes")
    parser.add_argument("--output", type=Path, default=None, help="file of results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=PART_SECONDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.output is None:  # a trial's figures are none
        trial = Path(tempfile.gettempdir()) / "gpu-trial.json"
        options.output = trial if options.device == "cpu" else RESULTS / "gpu.json"
    return options


def run(part: str, options: argparse.Namespace, seconds: float) -> dict:
    """Run a part in a process that is killed when its time is over; return what it wrote."""
    output = options.output.with_name(f"{options.output.stem}-{part}.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "gpu", "--child", "--part", part, "--device", options.device,
        "--output", str(output), "--seconds", str(max(10.0, seconds - 10)),
    ]  # fmt: skip
    if options.data is not None:
        command += ["--data", str(options.data)]
    if options.compiled:
        command.append("--compiled")
    environment = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", **os.environ}  # else no run is repeatable
    if options.encoder is not None:
        environment["ENCODER"] = str(options.encoder.absolute())
    print(f"== {part}: at most {seconds:.0f} s", flush=True)
    start, ending = time.monotonic(), "0"
    try:
        code = subprocess.run(command, env=environment, timeout=seconds, check=False).returncode
        ending = "" if code == 0 else f"its process ended with {code}"
    except subprocess.TimeoutExpired:
        ending = f"its process was killed after {seconds:.0f} s"
    table = {"part": part, "figures": [], "faults": [], "seconds": {}, "details": {}}
    if output.is_file():
        table = json.loads(output.read_text(encoding="utf-8"))
        output.unlink()
    if ending:
        table["faults"].append(f"{part}: {ending}")
    table["unfinished"] = bool(ending)
    table["took"] = round(time.monotonic() - start, 1)
    return table


def child(options: argparse.Namespace) -> None:
    """Measure one part in this process."""
    from importlib import import_module

    import torch

    from gpu.figures import Recorder
    from gpu.settings import Settings

    end = time.monotonic() + options.seconds
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU: nothing was measured; DEVICE=cpu tries the command")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    (part,) = options.part
    recorder = Recorder(part, options.output, end)
    recorder.details |= {"device": name, "torch": torch.__version__}
    recorder.write()
    try:
        measure = import_module(f"gpu.{part}").measure
    except ModuleNotFoundError as error:
        recorder.fault(f"nothing was measured, as {error.name} is missing", error)
        raise SystemExit(1) from None
    measure(recorder, Settings(device, options.data, options.compiled))


def write(options: argparse.Namespace, tables: list[dict], seconds: float) -> None:
    """Write what all parts found so far."""
    results = {
        "question": "What does a GPU say?",
        "command": f"make gpu PART={' '.join(options.part)} DEVICE={options.device}",
        "seconds": round(seconds, 1),
        "parts": tables,
    }
    options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def report(tables: list[dict], seconds: float) -> int:
    """Print all figures; return the exit status: 1 where a law fails or could not be tried."""
    from gpu.figures import brief, broken, read_figures, show

    figures = [figure for table in tables for figure in read_figures(table)]
    show(brief(figures))
    for table in tables:
        for name, value in table["details"].items():
            print(f"  {table['part']}: {name}: {value}")
        for fault in table["faults"]:
            print(f"! {fault}")
    failing = [f"{each.name} is {each.value:.3g}" for each in broken(figures)]
    failing += ["laws: were not all tried" for table in tables
                if table["part"] == "laws" and table["unfinished"]]  # fmt: skip
    met = [
        figure.reached
        for figure in figures
        if figure.kind == "figure" and figure.target is not None
    ]
    print(f"\n{sum(met)} of {len(met)} targets reached; {seconds:.0f} s in all")
    tried = sum(figure.kind == "law" for figure in figures)
    lines = [f"A LAW FAILS: {line}" for line in failing]
    print("\n".join(lines) or (f"all {tried} laws hold" if tried else "no law was tried"))
    return 1 if failing else 0


if __name__ == "__main__":
    main()
