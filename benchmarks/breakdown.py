"""Where does a training step's time go?

    python benchmarks/breakdown.py [--precision float32|bfloat16] [--data FOLDER] [--rounds N]

torch's profiler over our step with PCGrad, MiniLM, CLS pooling: the time that each operator itself
took on the calling thread, by kind. What is left to the step's time is Python, numpy's draws of
dropout masks, and the profiler.
"""

from __future__ import annotations

import time
from collections import defaultdict

import torch
from harness import RESULTS, Report, Row, arguments
from torch.profiler import ProfilerActivity, profile
from workload import encoder, our_step, workload

from accord.runs.memory import keep_freed_memory

WARMUP = 4
KINDS = {
    "products of linear layers": ("mm", "addmm", "addmm_"),
    "products of attention": ("baddbmm",),
    "gathers of attention": ("index_select",),
    "softmax": ("_softmax",),
    "activation": ("gelu", "gelu_backward"),
    "norms": ("native_layer_norm", "native_layer_norm_backward"),
    "sums and masks": ("add", "add_", "mul", "mul_", "addcmul_", "sum"),
    "conversions and copies": ("copy_", "cat"),
    "AdamW": ("_fused_adamw_",),
    "Gram matrix and weighted sum": ("bmm", "addmv"),
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "breakdown", rounds=12)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.set_defaults(output=None)
    options = parser.parse_args()
    keep_freed_memory()
    short = "fp32" if options.precision == "float32" else "bf16"
    work = workload(options.data)
    step = our_step(work, encoder("minilm"), joint=False, bfloat16=short == "bf16")
    for i in range(WARMUP):
        step(i)
    start = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for i in range(options.rounds):
            step(i)
    whole = (time.perf_counter() - start) / options.rounds * 1e3
    kind_of = {f"aten::{name}": kind for kind, names in KINDS.items() for name in names}
    spent: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        kind = kind_of.get(event.key, "other operators")
        if event.key.startswith("aten::"):
            spent[kind] += event.self_cpu_time_total / 1e3 / options.rounds
    spent["Python, numpy's masks, the profiler"] = max(0.0, whole - sum(spent.values()))
    report = Report(f"Where a step's time goes, {options.precision}: shares of {whole:.0f} ms")
    for kind, ms in sorted(spent.items(), key=lambda item: -item[1]):
        name = f"share_{short}_{kind}".replace(" ", "_").replace(",", "").replace("'", "")
        report.add(Row(name, ms / whole, None, "lower", ours_ms=ms, rounds=options.rounds))
    suffix = "" if short == "fp32" else "-bf16"
    report.details = {"threads": torch.get_num_threads(), "step_ms": round(whole, 1)}
    report.finish(options.output or RESULTS / f"breakdown{suffix}.json")


if __name__ == "__main__":
    main()
