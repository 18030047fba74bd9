"""`make gpu` as far as a CPU can try it: what it says, its exit status, its time, what it lacks."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command's package, found as the Makefile finds it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu.__main__
    import gpu.figures

    return gpu


def told(gpu, figures: list, *, part: str = "laws", unfinished: bool = False) -> int:
    """The exit status after a part that found some figures."""
    from dataclasses import asdict

    table = {
        "part": part, "figures": [asdict(figure) for figure in figures], "faults": [],
        "details": {}, "unfinished": unfinished,
    }  # fmt: skip
    return gpu.__main__.report([table], 1.0)


@pytest.mark.parametrize(
    ("value", "limit", "status"), [(0.0, 0.0, 0), (1e-9, 0.0, 1), (2e-3, 1e-2, 0), (math.nan, 1, 1)]
)
def test_a_law_that_fails_is_named_and_is_the_exit_status(gpu, capsys, value, limit, status):
    law = gpu.figures.Figure("recorded: ema", value, "law", limit, note="first in step 3: losses")
    assert told(gpu, [law]) == status
    out = capsys.readouterr().out
    assert ("A LAW FAILS: recorded: ema" in out) is bool(status)
    assert "first in step 3: losses" in out


def test_a_missed_target_is_no_fault_and_laws_that_were_cut_off_are(gpu, capsys):
    slow = gpu.figures.Figure("bert-base 3x32 pcgrad ms", 15.0)
    good = gpu.figures.Figure("bert-base 3x32 one padded batch / joint", 3.4)
    assert (slow.reached, good.reached) == (False, True)
    assert told(gpu, [slow, good], part="steps") == 0
    assert "1 of 2 targets reached" in capsys.readouterr().out
    assert told(gpu, [], part="steps", unfinished=True) == 0
    assert told(gpu, [], unfinished=True) == 1


def test_a_check_that_can_t_be_tried_takes_no_other_with_it(gpu, tmp_path):
    recorder = gpu.figures.Recorder("laws", tmp_path / "laws.json", math.inf)

    def missing() -> None:
        raise ModuleNotFoundError("no", name="transformers")

    recorder.check("a peer", missing)
    recorder.check("a law", lambda: 1 / 0, law=True)
    recorder.check("another", lambda: recorder.add(gpu.figures.Figure("another", 1.0)))
    written = json.loads((tmp_path / "laws.json").read_text())
    assert [fault.split(":")[1:3] for fault in written["faults"]] == [
        [" a peer", " left out, as transformers is missing"], [" a law", " ZeroDivisionError"],
    ]  # fmt: skip
    assert [(each["name"], each["kind"]) for each in written["figures"]] == [
        ("a law", "law"), ("another", "figure"),
    ]  # fmt: skip
    assert [each.name for each in gpu.figures.broken(gpu.figures.read_figures(written))] == [
        "a law"
    ]


def test_all_parts_end_within_five_minutes_however_long_each_takes(gpu):
    command = gpu.__main__
    for parts in ([*command.PARTS], ["steps"], ["laws", "predict"]):
        spent = 0.0
        for i, part in enumerate(parts):
            share = command.share_of(parts[i:], spent)
            assert command.KEPT_SECONDS[part] <= share <= 150
            spent += share
        assert spent <= 300
    assert command.share_of(["predict"], 310.0) == 0


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"losses": [1.0], "G": [2.0]}, {"losses": [1.0], "G": [2.0]}, ""),
        ({"losses": [1.0], "G": [2.0]}, {"losses": [1.0], "G": [2.5]}, "G by up to 0.5"),
        ({"losses": [1.0]}, {"losses": [1.0], "G": [2.0]}, "G is there in one alone"),
        ({"G": [2.0], "w": [1.0]}, {"G": [1.0], "w": [0.0]}, "G by up to 1"),
    ],
)
def test_what_differs_first_is_said(gpu, one, other, said):
    from gpu.recorded import first_difference

    tensors = [{name: torch.tensor(value) for name, value in each.items()} for each in (one, other)]
    assert first_difference(*tensors) == said


def test_the_host_s_share_is_what_lies_between_waits_and_runs(gpu):
    from gpu.inside import Marks

    marks = Marks(torch.device("cpu"))
    marks.runs += [(1.0, 1.5), (6.0, 6.25)]  # the passes; the combination
    marks.waits += [(2.0, 5.0)]
    assert marks.stretches(0.75, 7.0) == [0.25, 0.5, 1.0, 0.75]
    assert marks.waited == 3.0


def test_each_target_of_a_step_has_a_figure(gpu, monkeypatch, tmp_path):
    """Their names on a GPU: sides do nothing, and all take as long."""
    from gpu import inside, settings, steps

    from accord.encoders.families.bert import BertConfig

    def side(step: int) -> None:
        return None

    def builders(settings, work, size, only=()):
        names = ["joint", "pcgrad", steps.UNORDERED, "one padded batch", "lean pcgrad",
                 "one padded batch per task", "one padded batch compiled"]  # fmt: skip
        return {name: lambda: side for name in names if not only or name in only}

    class Work:
        batches = (Counted(),)

    replaced = {
        "drawn": lambda *_: Work, "builders": builders, "clear": lambda _: None,
        "wait": lambda _: None, "waited": lambda step, _: step, "matrix_rate": lambda *_: 1e15,
        "encoder": lambda _: SimpleNamespace(config=BertConfig()), "kernels": lambda *_: None,
        "memory": lambda *_: None,
        "alternate": lambda sides, rounds, warmup: {name: [0.01] * rounds for name in sides},
    }  # fmt: skip
    for name, function in replaced.items():
        monkeypatch.setattr(steps, name, function)
    monkeypatch.setattr(inside, "wait", lambda _: None)
    recorder = gpu.figures.Recorder("steps", tmp_path / "steps.json", math.inf)
    steps.measure(recorder, settings.Settings(torch.device("cuda"), None, compiled=True))
    assert not recorder.faults
    named = {figure.name: figure for figure in recorder.figures}
    elsewhere = {"recipe 1521 steps s", "recipe estimate, off by", "first step s",
                 "minilm texts / sorted"}  # fmt: skip
    assert gpu.figures.TARGETS.keys() - elsewhere <= named.keys()
    assert named["bert-base 3x512 pcgrad tokens/s"].value == pytest.approx(43_000 / 0.01)
    # 6 products of each weight a token: L (4 H H + 2 H I) weights.
    flops = 6 * 12 * (4 * 768**2 + 2 * 768 * 3072) * 43_000
    share = named["bert-base 3x512 share of the dense rate"]
    assert share.value == pytest.approx(flops / 0.01 / 1e15)
    assert share.higher


class Counted:
    """A batch of which the tokens alone are asked."""

    tokens = 43_000


def test_a_part_that_lacks_a_package_says_which_and_the_next_is_tried(tmp_path):
    lacking = tmp_path / "lacking" / "pydantic.py"
    lacking.parent.mkdir()
    lacking.write_text("raise ModuleNotFoundError('no pydantic', name='pydantic')\n")
    path = os.pathsep.join(map(str, (lacking.parent, ROOT / "src", ROOT / "benchmarks")))
    done = subprocess.run(
        [sys.executable, "-m", "gpu", "--part", "predict", "laws", "--device", "cpu",
         "--output", str(tmp_path / "gpu.json")],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    for part in ("predict", "laws"):
        assert f"! {part}: nothing was measured, as pydantic is missing" in done.stdout
    assert "A LAW FAILS: laws: were not all tried" in done.stdout
    assert done.returncode == 1
    tables = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert [table["part"] for table in tables] == ["predict", "laws"]


@pytest.mark.slow
def test_all_laws_hold_on_a_cpu(tmp_path):
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "benchmarks")))
    done = subprocess.run(
        [sys.executable, "-m", "gpu", "--part", "laws", "--device", "cpu",
         "--output", str(tmp_path / "gpu.json")],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    (table,) = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert not table["faults"]
    assert sum(figure["kind"] == "law" for figure in table["figures"]) > 60
