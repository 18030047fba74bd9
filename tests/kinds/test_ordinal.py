"""Ordered classes: their order, and a head whose probabilities are such whatever it learns."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from planned import planned

from accord.data.examples import BadRow, read_examples
from accord.data.files import files_of
from accord.data.resolving import resolve_task
from accord.errors import ConfigError
from accord.kinds import labelled_kind, task_section
from accord.metrics import get_metric
from accord.model.ordinal import OrdinalHead
from accord.tasks import Task


def task_of(classes: int) -> Task:
    labels = tuple(f"c{i}" for i in range(classes))
    return Task("t", "ordinal", "coral", "quadratic_kappa", labels=labels)


def written(folder: Path, labels: list[str]) -> str:
    file = folder / "train.csv"
    file.write_text("text,label\n" + "".join(f"a b {i},{x}\n" for i, x in enumerate(labels)))
    return str(file)


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["3", "1", "10", "2.0", "1"], ("1", "2", "3", "10")),
        (["0.5", "-1.5", "0.25"], ("-1.5", "0.25", "0.5")),
    ],
)
def test_numbers_have_an_order_of_their_own(tmp_path, labels, order) -> None:
    plan = planned(kind="ordinal", text="text", train=written(tmp_path, labels))
    assert resolve_task("scale", plan).labels == order
    config = planned(kind="ordinal", text="text", train="x.csv", labels=["bad", "ok", "a"])
    assert resolve_task("scale", config).labels == ("bad", "ok", "a")


@pytest.mark.parametrize("slip", ["good", "1,5", "1e400", "true", "--", "N"])
@pytest.mark.parametrize("where", [0, 7, 20])
def test_a_slip_among_numbers_is_a_bad_row_with_its_line(tmp_path, slip, where) -> None:
    labels = [f"{1 + i % 4}" for i in range(20)]
    labels.insert(where, f'"{slip}"')
    plan = planned(kind="ordinal", text="text", train=written(tmp_path, labels))
    task = resolve_task("scale", plan)
    assert task.labels == ("1", "2", "3", "4")
    rows = read_examples(files_of(plan, plan.train), plan, task, labelled=True)
    (bad,) = (row for row in rows if isinstance(row, BadRow))
    assert (bad.line, bad.reason.split(";")[0]) == (where + 2, f"label: unknown label '{slip}'")


@pytest.mark.parametrize("labels", [["bad", "ok", "good"], ["true", "false"], ["1", "2", "many"]])
def test_names_have_none(tmp_path, labels) -> None:
    plan = planned(kind="ordinal", text="text", train=written(tmp_path, labels))
    with pytest.raises(ConfigError, match=r"tasks\.scale\.labels: is missing: .* the lowest first"):
        resolve_task("scale", plan)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"metric": "f1"}, "metric: kind 'ordinal' is evaluated by quadratic_kappa"),
        ({"positive": "b"}, "positive: is for classification"),
        ({"range": [0, 1]}, "range: is for regression"),
        ({"targets": "popart"}, "'popart' is for regression"),
        ({"labels": ["a", "b", "a"]}, "labels: takes two or more different names"),
        ({"labels": ["a"]}, "labels: takes two or more different names"),
        ({"labels": ["a", "b"], "missing": ["b"]}, "a label is either"),
        ({"loss": "mse"}, "coral"),
        (
            {"kind": "pair-ordinal", "text": ["a", "b"], "encoding": "separate", "head": "cosine"},
            "head: kind 'pair-ordinal' takes 'linear'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(keys, words) -> None:
    with pytest.raises(ValueError, match=words):
        task_section(**{"kind": "ordinal", "text": "text", **keys})


def test_no_probability_is_below_0_whatever_is_learnt() -> None:
    rng = torch.Generator().manual_seed(0)
    for classes in (2, 3, 9):
        task = task_of(classes)
        kind, head = labelled_kind(task), OrdinalHead(task, 6)
        for scale in (0.1, 1.0, 100.0):
            with torch.no_grad():
                for parameter in head.parameters():
                    parameter.copy_(scale * torch.randn(parameter.shape, generator=rng))
            logits = head(torch.randn(40, 6, generator=rng))
            assert logits.shape == (40, classes - 1)
            assert bool((logits.diff(dim=1) <= 0).all())
            shares = kind.probabilities(task, logits)
            assert shares is not None
            assert bool((shares >= 0).all())
            torch.testing.assert_close(shares.sum(1), torch.ones(40, dtype=torch.float64))
            # The median: as many steps as have a probability of at least a half.
            below = shares.cumsum(1)[:, :-1] <= 0.5
            assert kind.decode(task, logits).tolist() == below.sum(1).tolist()


def test_a_head_begins_with_the_shares_of_the_training_rows() -> None:
    counts = np.array([50, 0, 20, 7])
    targets = torch.from_numpy(np.repeat(np.arange(4), counts)).float()
    head = OrdinalHead(task_of(4), 6)
    head.begin(targets)
    expected = (counts + 1)[::-1].cumsum()[::-1][1:] / (counts + 1).sum()
    np.testing.assert_allclose(head.biases.sigmoid().detach().numpy(), expected, atol=1e-6)


def test_kappa_equals_scikit_learn_and_mae_the_mean_distance() -> None:
    rng = np.random.default_rng(0)
    for classes in (2, 3, 5, 11):
        for rows in (5, 40, 300):
            targets = rng.integers(0, classes, rows)
            noise = rng.integers(-2, 3, rows) * (rng.random(rows) < 0.5)
            predictions = np.clip(targets + noise, 0, classes - 1)
            theirs = sklearn.metrics.cohen_kappa_score(
                targets, predictions, labels=range(classes), weights="quadratic"
            )
            ours = get_metric("quadratic_kappa")(predictions, targets)
            assert ours == pytest.approx(theirs, abs=1e-12)
            distance = sklearn.metrics.mean_absolute_error(targets, predictions)
            assert get_metric("mae")(predictions, targets) == pytest.approx(-distance, abs=1e-12)
    assert get_metric("quadratic_kappa")(np.full(4, 2), np.full(4, 2)) == 0.0
    assert get_metric("quadratic_kappa")(np.full(4, 1), np.array([0, 1, 2, 1])) == 0.0
