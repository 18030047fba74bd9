"""Runs the fused kernels by Triton's interpreter, or compiles them for a GPU that needn't be there.

In a process of its own: what is interpreted is decided as Triton is imported.
"""

import json
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from accord.kernels.fused import Case, activation_results, activations, formula, results

NAMES = ("alone", "y", "rounded", "total", "mean", "rstd", "residual", "x", "terms")
CASES = {
    "bfloat16, 384 wide": Case(384, torch.bfloat16, plain=False),
    "bfloat16, 1024 wide": Case(1024, torch.bfloat16, plain=False),
    "float32, 768 wide": Case(768, torch.float32, plain=False),
    "float32, 17 wide, nothing dropped": Case(17, torch.float32, plain=True),
    "bfloat16, 33 wide, nothing dropped": Case(33, torch.bfloat16, plain=True),
}
ACTIVATIONS = {
    f"{kind}, {str(dtype).removeprefix('torch.')}, {rows} by {width}": (kind, dtype, rows, width)
    for kind in activations.KINDS
    for dtype in (torch.float32, torch.bfloat16)
    for rows, width in ((37, 145), (96, 256), (3, 20))
}


def interpret() -> dict[str, dict[str, float]]:
    """Each result's largest error, of its largest value, by case."""
    from accord.kernels.fused import activation_kernels, row_kernels

    cpu, errors = torch.device("cpu"), {}
    for name, (kind, dtype, *sizes) in ACTIVATIONS.items():
        ours, expected = (
            activation_results(each, kind, dtype, cpu, *sizes)
            for each in (activation_kernels, activations)
        )
        errors[name] = dict(zip(("y", "x", "sums"), map(error, ours, expected), strict=True))
    for name, case in CASES.items():
        ours, expected = (results(each, case, cpu) for each in (row_kernels, formula))
        names = [each for each in NAMES if not (case.plain and each == "rounded")]
        errors[name] = dict(zip(names, map(error, ours, expected), strict=True))
    return errors


def error(one: Tensor, other: Tensor) -> float:
    """The largest error, of the largest value."""
    return float((one.double() - other.double()).abs().max() / other.double().abs().max())


def compiled(capability: int) -> dict[str, list[str]]:
    """By kernel and case: what a program keeps out of its registers; nothing is best."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    from accord.kernels.fused import activation_kernels, row_kernels

    found: dict[str, list[str]] = {}
    driver.set_active(Absent(GPUTarget("cuda", capability, 32)))
    forward, backward = row_kernels._forward_row, row_kernels._backward_row
    for name, case in CASES.items():
        row_kernels._forward_row = Compiled(forward, found, name)
        row_kernels._backward_row = Compiled(backward, found, name)
        results(row_kernels, case, torch.device("cpu"))
    forward, backward = activation_kernels._forward_tile, activation_kernels._backward_tile
    for kind in activations.KINDS:
        for dtype in (torch.float32, torch.bfloat16):
            name = f"{kind}, {dtype}"
            activation_kernels._forward_tile = Compiled(forward, found, name)
            activation_kernels._backward_tile = Compiled(backward, found, name)
            activation_results(activation_kernels, kind, dtype, torch.device("cpu"))
    return found


class Absent:
    """Triton's driver of a GPU that isn't there."""

    def __init__(self, target: object) -> None:
        self.target = target

    def get_current_target(self) -> object:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return device


class Compiled:
    """A kernel that is compiled where it would be launched, and does nothing."""

    def __init__(self, kernel: object, found: dict[str, list[str]], case: str) -> None:
        self.kernel, self.found, self.case = kernel, found, case

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def compile_(*arguments: object, **options: int) -> None:
            made = self.kernel.warmup(*arguments, grid=grid, **options)
            assert made.asm["cubin"]
            lines = [line for line in made.asm["ptx"].splitlines() if ".local" in line]
            self.found.setdefault(f"{self.kernel.__name__}, {self.case}", []).extend(lines)

        return compile_


if __name__ == "__main__":
    (way,) = sys.argv[1:]
    print(json.dumps(interpret() if way == "interpret" else compiled(int(way))))
