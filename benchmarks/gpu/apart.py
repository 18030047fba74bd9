"""A check in a process of its own, for what may leave a GPU unusable to the process that asked.

A recording that fails is such a thing: it can leave the generator or the allocator as they were
within it.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gpu.figures import Recorder, read_figures

Check = Callable[[Recorder], object]
_LEAST_SECONDS = 10.0


def check_apart(
    recorder: Recorder, name: str, check: Check, seconds: float, law: bool = False
) -> None:
    """Run a check and take over what it found.

    Args:
        recorder: of the part.
        name: of the check.
        check: can be sent to another process; is given a recorder there.
        seconds: after which its process is killed, or sooner, where no time is left.
        law: whether it is one.
    """
    recorder.check(name, partial(_take_over, recorder, name, check, seconds, law), law=law)


def _take_over(recorder: Recorder, name: str, check: Check, seconds: float, law: bool) -> None:
    seconds = min(seconds, max(recorder.left, _LEAST_SECONDS))
    output = recorder.output.with_name(f"{recorder.output.stem}-apart.json")
    output.unlink(missing_ok=True)
    work = (recorder.part, output, recorder.end - recorder.left + seconds, name, check, law)
    process = multiprocessing.get_context("spawn").Process(target=_alone, args=work)
    process.start()
    process.join(seconds)
    late = process.is_alive()
    if late:
        process.kill()
        process.join()
    table = json.loads(output.read_text(encoding="utf-8")) if output.is_file() else {}
    output.unlink(missing_ok=True)
    if table:
        recorder.figures += read_figures(table)
        recorder.faults += table["faults"]
    if not table.get("done"):
        how = f"was killed after {seconds:.0f} s" if late else f"ended with {process.exitcode}"
        tried = [*table.get("seconds", {})]
        raise RuntimeError(f"its process {how}, after {tried[-1] if tried else 'nothing'}")


def _alone(part: str, output: Path, end: float, name: str, check: Check, law: bool) -> None:
    inner = Recorder(part, output, end)
    inner.check(name, partial(check, inner), law=law)
    inner.done = True
    inner.write()
