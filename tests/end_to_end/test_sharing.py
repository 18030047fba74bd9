"""Sharing schemes from config to model folder: trained, resumed, loaded, refused."""

import json
import shutil

import pytest
import torch
from projects import shapes_of
from safetensors.torch import load_file

from accord.config.file import load_config
from accord.errors import ConfigError, ModelError
from accord.model.saved import load_model
from accord.plan.making import plan_run
from accord.sharing import scheme_names
from accord.training.setup import prepare

SMALL = {
    "methods.lora.rank": 2, "methods.adapter.size": 4, "methods.pal.size": 4,
    "methods.pal.heads": 2, "methods.own-layers.shared": 1,
}  # fmt: skip
ONCE = {"training.epochs": 1, "training.steps_per_epoch": 3}
every_scheme = pytest.mark.parametrize("name", scheme_names())


def changes(*names, **others):
    layers = {"layers": 2} if "own-layers" in names else {}  # one to share, and one of its own
    return {"sharing.schemes": list(names), **SMALL, **layers, **others}


@pytest.mark.quick("adapter")
@pytest.mark.parametrize("name", scheme_names())
def test_killed_and_resumed_it_goes_on_to_the_bit(name, killed_and_whole, outcome):
    gradients = "sum" if name == "own-encoder" else "pcgrad"  # nothing is shared there
    run, whole = killed_and_whole(changes(name, **{"training.gradients": gradients}))
    assert outcome(run) == outcome(whole)


@pytest.mark.slow
def test_all_at_once_in_bfloat16_with_checkpointing(project, train, tmp_path):
    own = changes(
        "own-layers", "lora", "adapter", "pal", "task-norm",
        **{"training.precision": "bfloat16", "encoder.gradient_checkpointing": True,
           "training.gradients": "gradvac", "training.granularity": "layer",
           "training.epochs": 1, "training.steps_per_epoch": 2},
    )  # fmt: skip
    run = train(project(own), tmp_path / "run")
    results = json.loads((run / "results.json").read_text())
    assert all(count > 100 for count in results["own_parameters"].values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["l2", "trace-norm"])
def test_soft_sharing_holds_encoders_together(
    kind, killed_and_whole, project, train, tmp_path, outcome, metrics
):
    own = {"sharing.schemes": ["own-encoder"], "sharing.soft": kind, "sharing.soft_weight": 1e-3,
           "training.epochs": 2, "training.steps_per_epoch": 3}  # fmt: skip
    run, whole = killed_and_whole(own)
    assert outcome(run) == outcome(whole)
    penalties = [line["sharing_penalty"] for line in metrics(run)]
    if kind == "l2":  # all start alike
        assert penalties[0] == 0
        assert penalties[-1] > 0
    free = train(project({**own, "sharing.soft_weight": 0.0}), tmp_path / "free")
    assert distance(run) < distance(free)


def distance(run):
    """How far apart the first two tasks' query weights of the first layer are."""
    parts = load_file(run / "model" / "parts.safetensors")
    one, other = (
        parts[f"schemes.own-encoder.0.per_task.{i}.attention.query.weight"] for i in (0, 1)
    )
    return float((one - other).norm())


@pytest.fixture
def start(name, encoder_folder, deep_encoder_folder):
    """The encoder that a run of the scheme begins with."""
    return deep_encoder_folder if name == "own-layers" else encoder_folder


@pytest.mark.quick("lora", "pal")
@every_scheme
def test_a_saved_model_predicts_what_the_run_did(name, unbroken, accord_cli, start):
    run = unbroken(changes(name, **ONCE))
    answer = accord_cli("evaluate", run, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    results = json.loads((run / "results.json").read_text())
    for task, value in results["metrics"].items():
        assert found[task][results["metric_names"][task]] == pytest.approx(value, abs=1e-6)
    model, _, _ = load_model(run / "model")
    kept = load_file(run / "model" / "parts.safetensors")
    assert model.parts is not None
    assert kept.keys() == dict(model.parts.named_parameters()).keys()
    assert shapes_of(run / "model") == shapes_of(start)


@pytest.mark.parametrize("name", ["lora", "adapter"])
def test_shared_weights_can_stay_as_they_are(name, project, train, tmp_path, encoder_folder):
    own = changes(name, **{"sharing.train_shared": False, "sharing.lr": 1e-2, "training.epochs": 1})
    run = train(project(own), tmp_path / "run")
    before = load_file(encoder_folder / "model.safetensors")
    after = load_file(run / "model" / "model.safetensors")
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    parts = load_file(run / "model" / "parts.safetensors")
    assert any(bool(value.any()) for key, value in parts.items() if "up" in key)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"sharing.schemes": ["lora"], "encoder.mode": "frozen"},
            "sharing.schemes: 'lora' acts inside the encoder, which reads each row once",
        ),
        (
            {"sharing.train_shared": False},
            "sharing.train_shared: false without sharing.schemes trains heads alone",
        ),
        (
            {"sharing.schemes": ["pal"], "sharing.train_shared": False,
             "training.gradients": "pcgrad"},
            "training.gradients: 'pcgrad' combines shared gradients; sharing.train_shared = false",
        ),
        ({"sharing.schemes": ["lora"], "methods.lora.rank": 0}, "methods.lora.rank: should be gr"),
        (
            {"sharing.schemes": ["own-layers", "own-encoder"]},
            "sharing.schemes: 'own-layers' and 'own-encoder' both take a layer's place",
        ),
        (
            {"sharing.schemes": ["lora"], "sharing.soft": "l2"},
            "sharing.soft: there are no copies to hold together; it needs own-encoder or",
        ),
        (
            {"sharing.schemes": ["task-norm", "own-encoder"]},
            "sharing.schemes: 'task-norm' has no place beside 'own-encoder', whose copies hold it",
        ),
        (
            {"sharing.schemes": ["own-encoder"], "training.gradients": "pcgrad"},
            "training.gradients: 'pcgrad' combines shared gradients; with one encoder per task",
        ),
    ],
)  # fmt: skip
def test_what_can_t_be_is_one_line_before_anything_is_loaded(project, given, line):
    with pytest.raises(ConfigError) as caught:
        plan_run(load_config(project(given)))
    (found,) = str(caught.value).splitlines()
    assert line in found


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"sharing.schemes": ["lora"], "methods.lora.rank": 999}, "methods.lora: rank 999 is larg"),
        ({"sharing.schemes": ["pal"], "methods.pal.size": 999}, "methods.pal: size 999 is wider"),
        (
            {"sharing.schemes": ["adapter"], "methods.adapter.size": 999},
            "methods.adapter: size 999",
        ),
        (
            {"sharing.schemes": ["own-layers"], "methods.own-layers.shared": 99},
            "methods.own-layers: shared 99: the encoder has",
        ),
        ({"encoder.reinit_layers": 99}, "encoder.reinit_layers: the encoder has"),
    ],
)
@pytest.mark.parametrize("command", ["train", "check"])
def test_what_doesn_t_fit_the_encoder_is_one_line_before_data_are_read(
    project, accord_cli, tmp_path, given, line, command
):
    config = project(given)
    (config.parent / "mood-train.csv").write_text("no such column\n")
    out = ("--out", tmp_path / "run", "--quiet") if command == "train" else ()
    answer = accord_cli(command, config, *out)
    assert answer.code == 2
    assert line in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_norms_of_its_own_stand_where_layers_are_shared(project, train, tmp_path):
    given = {"sharing.schemes": ["task-norm", "own-layers"], "training.epochs": 1, "layers": 2}
    run = train(project(given), tmp_path / "run")
    names = load_file(run / "model" / "parts.safetensors")
    layers = {scheme: {int(name.split(".")[2]) for name in names if name.split(".")[1] == scheme}
              for scheme in ("task-norm", "own-layers")}  # fmt: skip
    assert layers["task-norm"]
    assert layers["own-layers"]
    assert layers["task-norm"].isdisjoint(layers["own-layers"])


@pytest.mark.parametrize(
    "sharing", [3, {"schemes": ["x"]}, {"schemes": ["lora", "lora"], "options": {}},
                {"schemes": ["lora"], "options": {"lora": {"rank": 10**9}}},
                {"schemes": [["lora"]], "options": {}}],
)  # fmt: skip
def test_a_stranger_s_description_of_sharing_is_refused(unbroken, tmp_path, sharing):
    model = shutil.copytree(unbroken(changes("lora", **ONCE)) / "model", tmp_path / "model")
    file = model / "accord.json"
    table = json.loads(file.read_text())
    file.write_text(json.dumps({**table, "sharing": sharing}))
    with pytest.raises(ModelError, match="sharing"):
        load_model(model)


@pytest.mark.quick("lora")
@pytest.mark.parametrize("name", ["lora", "task-norm", "own-layers", "own-encoder"])
def test_one_task_exported_is_a_plain_bert_that_says_the_same(
    name, unbroken, tmp_path, accord_cli, start
):
    run = unbroken(changes(name, **ONCE))
    out = tmp_path / "alone"
    answer = accord_cli("export", run, out, "--task", "same", "--encoder-only")
    assert answer.code == 0, answer.err
    evaluated = [
        json.loads(accord_cli("evaluate", where, "--json", *extra).out)["same"]
        for where, extra in (
            (run, ("--task", "same")),
            (out, ("--task", "same", "--input", dev_file(run))),
        )
    ]
    assert evaluated[0] == pytest.approx(evaluated[1], abs=1e-6)
    assert not (out / "parts.safetensors").exists()
    assert shapes_of(out) == shapes_of(start)
    again = accord_cli("export", run, out, "--task", "same", "--encoder-only")
    assert (again.code, "already exists" in again.err) == (2, True)
    wrong = accord_cli("export", run, tmp_path / "x", "--task", "sane")
    assert "no task 'sane'; did you mean 'same'?" in wrong.err


def dev_file(run):
    table = json.loads((run / "resolved.json").read_text())
    return table["config"]["tasks"]["same"]["dev"]


@pytest.mark.parametrize("name", ["adapter", "pal"])
def test_parts_that_no_plain_bert_has_are_not_exported(name, unbroken, tmp_path, accord_cli):
    run = unbroken(changes(name, **ONCE))
    answer = accord_cli("export", run, tmp_path / "out", "--task", "same", "--encoder-only")
    assert answer.code == 2
    assert f"same: '{name}' adds layers of its own, so no plain BERT says the same" in answer.err
    assert not (tmp_path / "out").exists()


def test_one_task_of_a_soft_sharing_config_trains_alone(project, accord_cli, tmp_path):
    own = {"sharing.schemes": ["own-encoder"], "sharing.soft": "l2", "training.epochs": 1}
    answer = accord_cli(
        "train", project(own), "--out", tmp_path / "run", "--task", "mood", "--quiet"
    )
    assert answer.code == 0, answer.err


def test_the_last_shared_layer_is_the_last_that_is_trained(project):
    own = changes("own-layers", **{"training.balancing": "gradnorm"})
    setup = prepare(plan_run(load_config(project(own))).only)
    count = len(setup.learner.model.encoder.layers)
    assert setup.learner.combination.last_shared == 1 < count
    setup.learner.model.train()
    record = setup.learner.step(0, setup.batch(0), 1.0)
    assert record.balance == [1.0, 1.0, 1.0]
    assert setup.learner.step(1, setup.batch(1), 1.0).balance != [1.0, 1.0, 1.0]
