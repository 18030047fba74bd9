"""What every kind of task must satisfy, whatever its file is; no test here names one."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kind_cases import Case, all_cases, cases_of
from torch import Tensor

import accord.kinds
from accord.config.file import dump_config, parse_config
from accord.config.tasks import TaskConfig
from accord.data.files import files_of
from accord.data.labels import NoLabelError
from accord.data.resolving import resolve_task
from accord.data.store import open_store
from accord.data.tokenizing import load_tokenizer
from accord.encoders.units import joined
from accord.kinds import (
    all_kinds,
    get_kind,
    is_unlabelled,
    kind_names,
    kind_of,
    spelt,
    task_section,
)
from accord.metrics import get_metric
from accord.plan.tasks import task_plan
from accord.report.record import Predictions
from accord.report.texts import worst_errors
from accord.tasks import Task

LABELLED, ALL = all_cases(labelled=True), all_cases()
each_labelled = pytest.mark.parametrize("case", LABELLED, ids=lambda case: case.task.name)
each = pytest.mark.parametrize("case", ALL, ids=lambda case: case.task.name)
ROWS = 12
HARD = [0.0, 1e-30, -1e-30, 30.0, -30.0, 1e4, -1e4, 1e15, -1e15]
"""Outputs that overflow a naive exponential, logarithm or square root."""


def hard_logits(case: Case, flip: bool = False) -> Tensor:
    """Every hard number beside every other one, [81, outputs] times a row's units."""
    a, b = torch.meshgrid(torch.tensor(HARD), torch.tensor(HARD), indexing="ij")
    columns = [a.flatten(), b.flatten()]
    outputs = torch.stack([columns[i % 2] for i in range(case.task.outputs)], dim=1)
    return case.padded(outputs.flip(0) if flip else outputs)


def drawn_logits(case: Case, rows: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return case.padded(scale * torch.randn(rows, case.task.outputs, generator=generator))


def wanted(case: Case, rows: int = ROWS) -> Tensor:
    return case.kind.targets(case.task, torch.from_numpy(case.targets(rows)))


def test_files_registry_and_cases_agree() -> None:
    files = [file.stem for file in Path(accord.kinds.__file__).parent.glob("[!_]*.py")]
    assert sorted(files) == sorted(kind.name.replace("-", "_") for kind in all_kinds())
    for kind in all_kinds():
        names = {spelt(kind.name, texts) for texts in (1, 2)[: 1 + kind.pairs]}
        assert {case.task.kind for case in cases_of(kind)} == names
        assert all(get_kind(name) is kind for name in names)
        assert {case.task.metric for case in cases_of(kind)} <= set(kind.metrics)
        assert {case.task.loss for case in cases_of(kind)} == set(kind.losses)
        assert kind.metrics[0] == kind.default_metric


def test_the_config_asks_kinds_without_torch_or_numpy() -> None:
    heavy = "{'torch', 'numpy', 'scipy', 'sklearn'}"
    code = f"import sys, accord.kinds._sections; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@each
def test_a_section_survives_the_config(case: Case) -> None:
    table = {"kind": case.task.kind, "train": "t.csv", "text": case.text_key, **case.keys}
    config = parse_config({"encoder": {"path": "e"}, "tasks": {case.task.name: table}})
    assert parse_config(_read(dump_config(config))) == config
    section = config.tasks[case.task.name]
    assert isinstance(section, kind_of(case.task).section)
    assert isinstance(section, TaskConfig) is case.task.labelled
    resolved = resolve_task(case.task.name, task_plan(section))
    defaults = {"pooling": resolved.pooling, "dropout": resolved.dropout}
    named = {**defaults, "positive": resolved.positive}
    assert replace(resolved, **named) == replace(case.task, **named)


def _read(text: str) -> dict:
    import tomllib

    return tomllib.loads(text)


@each
def test_a_task_survives_json_where_it_has_labels(case: Case) -> None:
    table = json.loads(json.dumps(case.task.to_json()))
    if not case.task.labelled:
        with pytest.raises(ValueError, match=r"^kind is"):
            Task.from_json(table)
        return
    assert Task.from_json(table) == case.task
    others = [kind for kind in all_kinds() if kind is not case.kind]
    wrong = {
        "loss": {own for kind in others for own in kind.losses} - set(case.kind.losses),
        "metric": {own for kind in others for own in kind.metrics} - set(case.kind.metrics),
        "kind": {name for name in kind_names() if is_unlabelled(name)} | {"", "pair-", "x"},
    }
    for key, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match=rf"^{key} is"):
                Task.from_json({**table, key: value})


@each_labelled
def test_labels_are_parsed_or_refused_in_words(case: Case) -> None:
    parser = case.kind.parser(case.plan, case.task)
    for text, target in case.good.items():
        assert not parser.leaves_out(case.row(text))
        assert parser.of_row(case.row(text)) == pytest.approx(target, abs=0)
    for text, words in case.bad.items():
        with pytest.raises(ValueError, match=case.plan.label) as caught:
            parser.of_row(case.row(text))
        assert words in str(caught.value)
        if isinstance(caught.value, NoLabelError):  # what `missing` would have to name
            keys = {**case.keys, "missing": [caught.value.label]}
            other = case.kind.parser(replace(case, keys=keys).plan, case.task)
            assert other.leaves_out(case.row(text))


@each_labelled
def test_targets_come_back_from_the_store(case: Case, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
    texts = list(case.good) * 3
    file = tmp_path / "data.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([
            [*case.columns, case.plan.label],
            *(case.row(text).values() for text in texts),
        ])  # fmt: skip
    for labelled in (True, False):
        store = open_store(
            files_of(case.plan, str(file)), case.plan, case.task,
            load_tokenizer(tmp_path), labelled=labelled, cache=tmp_path / "cache",
        )  # fmt: skip
        assert len(store) == len(texts)
        form = case.kind.target_form(case.task)
        if not labelled:
            assert len(store.labels) == 0
            continue
        labels = store.labels[np.arange(len(texts))]
        assert labels.dtype == np.dtype(form.dtype)
        assert form.ragged or labels.shape == (len(texts), *form.shape)
        expected = form.array([case.good[text] for text in texts])
        np.testing.assert_array_equal(labels, expected)


@each_labelled
def test_answers_read_back_are_the_same(case: Case) -> None:
    targets = case.targets(ROWS)
    answers = case.kind.answers(case.task, targets)
    if case.kind.answer_is_list:
        assert all(isinstance(own, list) for own in answers)
    else:
        assert all(isinstance(own, str) is case.kind.answer_is_text for own in answers)
    cells = [case.kind.cell(case.task, own) for own in answers]
    read = case.kind.read_answers(case.task, cells)
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, targets)
    if not case.labels_are_answers:
        return
    parser = case.kind.parser(case.plan, case.task)
    parsed = [parser.of_row(case.row(cell)) for cell in cells]
    np.testing.assert_array_equal(case.kind.target_form(case.task).array(parsed), targets)


@each_labelled
def test_rows_that_may_be_decoded_together_are_decoded_as_alone(case: Case) -> None:
    other = replace(case.task, name="another", labels=tuple(f"{x}." for x in case.task.labels))
    if case.kind.decoding(other) != case.kind.decoding(case.task):
        assert case.kind.decoding(case.task) != case.kind.decoding(replace(case.task, name="b"))
        return
    for rows in range(1, 10):
        parts = [drawn_logits(case, rows, seed) for seed in range(3)]
        for say in [case.kind.decode, case.kind.probabilities]:
            every = [say(case.task, logits) for logits in [torch.cat(parts), *parts]]
            together, *alone = [each for each in every if each is not None] or [torch.zeros(0)] * 2
            assert torch.equal(together, torch.cat(alone))


@each_labelled
def test_what_is_surely_said_is_decoded(case: Case) -> None:
    targets = case.targets(ROWS)
    decoded = case.kind.decode(case.task, case.logits(targets))
    assert decoded.dtype == torch.float64
    np.testing.assert_allclose(decoded.numpy(), targets, atol=1e-5)
    evaluation = case.kind.evaluate(case.task, targets, case.logits(targets))
    named = {case.task.name_of(name) for name in case.kind.metrics_of(case.task)}
    assert set(evaluation.figures) == named | {"loss", "constant"}
    assert case.task.metric_name in named
    for name in case.kind.metrics_of(case.task):
        best = get_metric(name).best
        if targets.ndim > 1 and not targets.any(1).all():
            best = get_metric(name)(targets, targets)  # a row without labels has F1 0
        assert evaluation.figures[case.task.name_of(name)] == pytest.approx(best, abs=1e-6)
    assert evaluation.metric == case.kind.metric(case.task, targets, case.logits(targets))
    assert evaluation.figures["constant"] < evaluation.metric
    assert evaluation.remark == ""
    by_class = {"classes", "label_sets", "tags"} & {*case.kind.predicts} and case.task.labels
    assert (evaluation.classes is not None) is bool(by_class)
    if evaluation.classes is not None:
        assert evaluation.classes.f1.tolist() == [1.0] * len(evaluation.classes.labels)


@each_labelled
def test_no_logits_lose_less_than_the_right_ones(case: Case) -> None:
    targets = wanted(case)
    assert targets.dtype == torch.float32
    least = case.kind.loss(case.task, case.logits(case.targets(ROWS)), targets)
    assert least.shape == (ROWS,)
    for seed in range(20):
        logits = drawn_logits(case, ROWS, seed)
        assert bool((case.kind.loss(case.task, logits, targets) >= least - 1e-5).all())


@each_labelled
def test_losses_and_their_gradients_are_finite_on_hard_logits(case: Case) -> None:
    logits = hard_logits(case).requires_grad_()
    other = hard_logits(case, flip=True)
    targets = wanted(case, len(logits))
    for values in (
        case.kind.loss(case.task, logits, targets),
        case.kind.divergence(case.task, logits, other),
    ):
        assert values.shape == (len(logits),)
        assert bool(values.isfinite().all())
        (gradient,) = torch.autograd.grad(values.sum(), [logits])
        assert bool(gradient.isfinite().all())


@each_labelled
def test_a_divergence_is_symmetric_and_0_of_the_same(case: Case) -> None:
    for scale in (1e-3, 1.0, 30.0):
        one, other = (drawn_logits(case, 50, seed, scale) for seed in (1, 2))
        apart = case.kind.divergence(case.task, one, other)
        torch.testing.assert_close(apart, case.kind.divergence(case.task, other, one))
        assert bool((apart >= 0).all())
        assert bool((apart > 0).any())
        assert not case.kind.divergence(case.task, one, one).any()
    assert case.kind.directions(case.task) in (1, 2)


@each_labelled
def test_probabilities_are_such(case: Case) -> None:
    logits = joined([drawn_logits(case, 50), hard_logits(case)])
    shares = case.kind.probabilities(case.task, logits)
    assert (shares is None) is not case.task.labels
    if shares is not None:
        assert shares.shape == (*logits.shape[:-1], len(case.task.labels))
        assert bool(((shares >= 0) & (shares <= 1)).all())
    if shares is not None and case.kind.probability_names(case.task):
        targets = case.targets(len(logits))
        likely = case.kind.likelihoods(targets, shares.numpy())
        assert likely.shape == (len(logits),)
        assert ((likely >= 0) & (likely <= 1)).all()
        sure = case.kind.probabilities(case.task, case.logits(targets))
        assert sure is not None
        np.testing.assert_allclose(case.kind.likelihoods(targets, sure.numpy()), 1, atol=1e-6)


@each_labelled
def test_what_is_no_number_is_a_failure_of_its_row(case: Case) -> None:
    """But -inf stands for units that there aren't."""
    logits = drawn_logits(case, 10)
    assert not case.kind.failed(logits).any()
    for value in (float("nan"), float("inf")):
        broken = logits.clone()
        broken[[3, 7], ..., 0] = value
        assert case.kind.failed(broken).nonzero()[:, 0].tolist() == [3, 7]
    broken = logits.clone()
    broken[5, ..., 0] = float("-inf")
    assert case.kind.units != "rows" or case.kind.failed(broken).nonzero().tolist() == [[5]]


@each_labelled
def test_models_that_agree_say_together_what_each_says(case: Case) -> None:
    logits = drawn_logits(case, 50)
    assert case.kind.mean_logits(case.task, [logits]) is logits
    together = case.kind.mean_logits(case.task, [logits, logits, logits])
    assert together.shape == logits.shape
    assert together.dtype == torch.float32
    decoded = case.kind.decode(case.task, together)
    torch.testing.assert_close(
        decoded, case.kind.decode(case.task, logits), atol=1e-5, rtol=0, equal_nan=True
    )


@each_labelled
def test_a_report_has_each_kind_s_worst_errors(case: Case) -> None:
    targets, logits = case.targets(ROWS), drawn_logits(case, ROWS)
    shares = case.kind.probabilities(case.task, logits)
    predictions = Predictions(
        case.task, "id", [str(i) for i in range(ROWS)], targets,
        case.kind.decode(case.task, logits).numpy(),
        shares.numpy() if case.kind.probability_names(case.task) else None,
    )  # fmt: skip
    table = worst_errors("errors", "errors", predictions, {"0": ("x", "y")}, 5)
    assert len({row[0] for row in table.rows}) == 5
    worst = [float(row[-1]) for row in table.rows]
    assert worst == sorted(worst, reverse=predictions.probabilities is None)


@each_labelled
def test_rows_are_counted_once_a_class_and_summed_up(case: Case) -> None:
    targets = case.targets(40)
    rows = case.kind.rows_of_classes(case.task, targets)
    assert len(rows) == len(case.task.labels)
    for own in rows:
        assert own.tolist() == sorted(set(own.tolist()))
    strata = case.kind.strata(targets)
    assert strata is None or strata.shape == (40,)
    summary = case.kind.summary(case.task, targets)
    assert len(summary) == 1
    assert summary.keys() <= {"labels", "targets"}
    json.dumps(summary)


def test_sections_of_every_kind_refuse_columns_that_are_no_texts_of_theirs() -> None:
    for name in (own for own in kind_names() if not is_unlabelled(own)):
        texts = 2 if name == spelt(get_kind(name).name, 2) or get_kind(name).varying else 1
        with pytest.raises(ValueError, match=f"text: kind '{name}' takes"):
            task_section(kind=name, text=["a", "b", "c"][: 3 - texts])
