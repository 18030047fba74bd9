"""Tasks without labels, from config to model folder: trained, resumed, left out, refused."""

import csv
import json
import re

import pytest
from projects import shapes_of
from safetensors.torch import load_file, save_file

from accord import load
from accord.config.file import dump_config, load_config
from accord.derived.export import export
from accord.errors import ConfigError, EncoderError, ModelError, RunFolderError, UsageError
from accord.evaluation.evaluate import evaluate_files
from accord.grids.comparison import comparison_cells
from accord.model.auxiliary import MaskedLMHead
from accord.model.saved import load_model
from accord.plan.making import plan_run
from accord.plan.recorded import recorded_plan
from accord.report.record import read_run
from accord.runs.folder import RunFolder
from accord.training.setup import prepare

WORDS = {"tasks.words.kind": "masked-lm"}
ALIKE = {"tasks.alike.kind": "simcse", "tasks.alike.texts_of": ["mood", "same"]}
ALONE = ("mood",)


def results_of(run):
    return json.loads((run / "results.json").read_text())


WAYS = {
    "pcgrad": {**WORDS, **ALIKE, "training.gradients": "pcgrad", "tasks.alike.pooling": "mean"},
    "famo": {**WORDS, "training.micro_batch_tokens": 70, "training.balancing": "famo"},
    "bfloat16": {
        **WORDS, **ALIKE, "training.precision": "bfloat16", "training.batching": "temperature",
        "training.balancing": "uncertainty", "encoder.gradient_checkpointing": True,
    },
    "by-layer": {
        **WORDS, **ALIKE, "training.gradients": "gradvac", "training.granularity": "layer",
        "training.batching": "annealed", "training.tasks_per_step": "all",
        "training.halves_every": 2, "training.balancing": "gradnorm",
    },
    "own-layers": {
        **WORDS, **ALIKE, "training.batching": "round-robin", "averaging.method": "ema",
        "sharing.schemes": ["own-layers", "task-norm"], "methods.own-layers.shared": 1,
        "layers": 2,
    },
    "own-encoder": {**WORDS, "sharing.schemes": ["own-encoder"], "sharing.soft": "l2"},
    "soup": {**WORDS, **ALIKE, "averaging.method": "soup", "training.gradients": "graddrop"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_killed_and_resumed_it_goes_on_to_the_bit(changes, killed_and_whole, outcome):
    run, whole = killed_and_whole(changes)
    assert outcome(run) == outcome(whole)


@pytest.fixture
def run(project, train, tmp_path):
    changes = {**WORDS, **ALIKE, "score": "cs224n", "sharing.schemes": ["task-norm"],
               "training.steps_per_epoch": 3}  # fmt: skip
    return train(project(changes), tmp_path / "run")


@pytest.mark.slow
def test_the_labelled_tasks_alone_are_evaluated_saved_and_predicted(run, metrics, tmp_path):
    results = results_of(run)
    assert [*results["metrics"]] == [*results["metric_names"]] == ["mood", "same", "near"]
    for evaluation in results["epochs"]:
        assert evaluation["sum"] == pytest.approx(sum(evaluation["metrics"].values()))
        for name in ("words", "alike"):
            figures = evaluation["figures"][name]
            assert 0 < figures["likelihood"] < 1
            assert figures["likelihood"] == pytest.approx(2.718281828459045 ** -figures["loss"])
    assert results["exposure"]["words"]["examples"] > 0
    assert {"words", "alike"} <= metrics(run)[0]["losses"].keys()
    assert {"words", "alike"} <= metrics(run)[0]["task_gradient_norms"].keys()
    written = {file.name for file in (run / "predictions").iterdir()}
    assert not any(name.startswith(("words", "alike")) for name in written)
    model, _, _ = load_model(run / "model")
    assert [task.name for task in model.tasks] == ["mood", "same", "near"]
    with pytest.raises(UsageError, match="the model has no task 'words'; allowed: mood, same, n"):
        load(run).predict("words", ["a film"])
    assert [*read_run(run).tasks] == ["mood", "same", "near"]
    export(run, tmp_path / "plain", "same", encoder_only=True)
    found = evaluate_files(run, recorded_plan(RunFolder(run)).data, "float32")
    for name, own in found.items():
        assert own.figures == pytest.approx(results["figures"][name], rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_parts_go_with_their_tasks_wherever_the_others_stand(project, train, tmp_path):
    """Saved parts are those of the tasks that are left, in a model of these alone."""
    config = project({**WORDS, "sharing.schemes": ["task-norm", "adapter"],
                      "methods.adapter.size": 4, "training.epochs": 1,
                      "training.steps_per_epoch": 3})  # fmt: skip
    text = config.read_text()
    first, rest = text.split("[tasks.mood]")
    rest, words = rest.split("[tasks.words]")
    words, *others = words.split("\n[")
    config.write_text("".join([first, "[tasks.words]", words, "\n[tasks.mood]", rest,
                               *(f"\n[{own}" for own in others)]))  # fmt: skip
    run = train(config, tmp_path / "run")
    assert next(iter(load_config(config).tasks)) == "words"
    found = evaluate_files(run, plan_run(load_config(config)).data, "float32")
    for name, own in found.items():
        wanted = results_of(run)["figures"][name]
        assert own.figures == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_words_alone_make_an_encoder_for_others(project, train, tmp_path, encoder_folder):
    """Its texts are those of tasks that are not trained; the best epoch is the likeliest's."""
    config = project(WORDS)
    whole = load_config(config)
    alone = load_config(config, only=["words"])
    assert [*alone.tasks] == ["words"]
    assert [*alone.texts] == ["mood", "same", "near"]
    (config.parent / "words.toml").write_text(dump_config(alone))
    assert load_config(config.parent / "words.toml") == alone
    run = train(config.parent / "words.toml", tmp_path / "run")
    results = results_of(run)
    assert [*results["metrics"]] == ["words"]
    likelihoods = [own["metrics"]["words"] for own in results["epochs"]]
    assert results["best_epoch"] == likelihoods.index(max(likelihoods)) + 1
    assert likelihoods[-1] > likelihoods[0]
    assert shapes_of(encoder_folder).items() <= shapes_of(run / "model").items()
    assert not list((run / "predictions").iterdir())
    for call in (load_model, load):
        with pytest.raises(ModelError, match="holds an encoder alone, trained without labels"):
            call(run / "model")
    with pytest.raises(RunFolderError, match="was trained without labels"):
        read_run(run)
    # It is an encoder: another run begins from it.
    again = project({"encoder.path": str(run / "model"), "training.epochs": 1})
    assert results_of(train(again, tmp_path / "again"))["metrics"].keys() == whole.labelled.keys()


def row_names(data):
    return [data.store.row_name(int(row)) for row in data.rows]


def test_training_rows_alone_are_learnt_from(project):
    """And dev texts are the dev rows', also where these are a share of a training file."""
    config = project({**WORDS, "tasks.mood.dev": None, "training.dev_share": 0.25})
    data = prepare(plan_run(load_config(config)).only).data
    words, mood = data.train[-1], data.train[0]
    train = {f"mood:{own}" for own in row_names(mood)}
    dev = {f"mood:{own}" for own in row_names(data.dev[0])}
    assert train & dev == set()
    assert {own for own in row_names(words) if own.startswith("mood")} == train
    assert {own for own in row_names(data.dev[-1]) if own.startswith("mood")} == dev
    assert len(words) == len(mood) + 2 * (len(data.train[1]) + len(data.train[2]))


def test_a_file_of_its_own_needs_no_label(project, train, tmp_path):
    changes = {
        "tasks.words.kind": "masked-lm", "tasks.words.train": "plain.csv",
        "tasks.words.text": ["title", "body"], "training.epochs": 1,
    }  # fmt: skip
    config = project(changes)
    with (config.parent / "plain.csv").open("w", newline="") as file:
        rows = [["title", "body"], *([f"old film {i}", "" if i % 2 else "new"] for i in range(20))]
        csv.writer(file).writerows(rows)
    data = prepare(plan_run(load_config(config)).only).data
    assert len(data.train[-1]) + len(data.dev[-1]) == 20 + 10  # texts that hold a token
    rows = [{own.split(":")[0] for own in row_names(split[-1])} for split in (data.train, data.dev)]
    assert [len(own) for own in rows] == [18, 2]
    assert not rows[0] & rows[1]
    assert results_of(train(config, tmp_path / "run"))["figures"]["words"]["loss"] > 0


def test_dev_figures_go_by_the_model_alone(project, train, tmp_path):
    """Not by the seed, nor by the step: a model that stands still is evaluated alike each time."""
    still = {**WORDS, **ALIKE, "training.lr": 1e-30, "training.head_lr": 1e-30,
             "training.steps_per_epoch": 2, "training.batch_size": 3}  # fmt: skip
    epochs = results_of(train(project(still), tmp_path / "one"))["epochs"]
    for name in ("words", "alike"):
        assert len({own["figures"][name]["loss"] for own in epochs}) == 1


def test_check_reports_texts(project, accord_cli):
    config = project({**WORDS, **ALIKE})
    answer = accord_cli("check", config)
    assert answer.code == 0
    assert "words: masked-lm, likelihood" in answer.out
    report = json.loads(accord_cli("check", config, "--json").out)
    (words,) = [own for own in report["tasks"] if own["task"]["name"] == "words"]
    assert [own["split"] for own in words["splits"]] == ["train", "dev"]
    assert words["splits"][0]["path"] == "texts of mood, same, near"
    assert words["splits"][0]["rows"] == 68
    assert {own["train_task"] for own in report["overlaps"]} == {"mood", "same", "near"}


@pytest.mark.slow
def test_training_shows_what_does_not_count_too(project, accord_cli, tmp_path):
    answer = accord_cli("train", project({**WORDS, "training.epochs": 1}), "--out", tmp_path / "r")
    assert answer.code == 0
    assert re.search(r"words +likelihood +0\.\d+", answer.out)
    assert "words likelihood 0." in answer.err


def test_comparing_holds_a_task_beside_words_against_it_alone(project, accord_cli, tmp_path):
    config = load_config(project({**WORDS, "training.epochs": 1}, tasks=ALONE))
    cells = comparison_cells(config, 1, "here")
    assert [cell.settings["tasks"] for cell in cells] == [["mood"], ["mood", "words"]]
    assert [[*cell.config.tasks] for cell in cells] == [["mood"], ["mood", "words"]]
    assert not any(cell.config.texts for cell in cells)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {**WORDS, "encoder.mode": "frozen"},
            "tasks.words.kind: 'masked-lm' trains the encoder; encoder.mode = 'frozen' leaves"
            " it nothing to train",
        ),
        (
            {**ALIKE, "encoder.mode": "frozen"},
            "tasks.alike.kind: 'simcse' trains the encoder; encoder.mode = 'frozen' leaves"
            " it nothing to train",
        ),
        (
            {**ALIKE, "training.micro_batch_tokens": 64},
            "training.micro_batch_tokens: a pass would hold some of the step's texts alone, and"
            " 'simcse' (tasks.alike) compares all of them with each other",
        ),
        (
            {**ALIKE, "training.batch_size": 1},
            "training.batch_size: 'simcse' (tasks.alike) compares a text with the others in its"
            " step; with 1 there are none",
        ),
        (
            {**ALIKE, "encoder.dropout": 0.0},
            "encoder.dropout: 'simcse' (tasks.alike) compares a text under two dropout masks;"
            " 0 leaves no difference",
        ),
        (
            {**WORDS, "tasks.words.texts_of": ["moot"]},
            "tasks.words.texts_of: no labelled task 'moot'; did you mean 'mood'?",
        ),
        (
            {**WORDS, **ALIKE, "tasks.words.texts_of": ["alike"]},
            "tasks.words.texts_of: 'alike' has no texts of its own; a labelled task has",
        ),
        (
            {**WORDS, "sharing.schemes": ["own-encoder"]},
            "sharing.schemes: 'own-encoder' without sharing.soft shares nothing by which"
            " tasks.words could help another task",
        ),
        (
            {**WORDS, "sharing.schemes": ["lora"], "sharing.train_shared": False},
            "sharing.train_shared: false leaves tasks.words nothing by which it could help another"
            " task",
        ),
        (
            {**WORDS, "texts.mood.kind": "classification", "texts.mood.text": "x"},
            "texts.mood: is a task too; its texts are read as it is",
        ),
        (
            {"texts.old.kind": "classification", "texts.old.text": "x"},
            "texts.old: no task without labels learns from its texts",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_line(changes, line, project):
    config = project(changes)
    with pytest.raises(ConfigError) as caught:
        plan_run(load_config(config), str(config))
    assert str(caught.value) == f"{config}: {line}"


def test_parts_of_words_alone_would_be_lost(project):
    with pytest.raises(ConfigError, match="parts of a task without labels are not saved, and task"):
        plan_run(load_config(project({**WORDS, "sharing.schemes": ["lora"]}), only=["words"]))


def test_words_alone_need_texts(project):
    config = project(WORDS, tasks=ALONE)
    lines = list(config.read_text().splitlines())
    at = lines.index("[tasks.mood]")
    end = lines.index("[tasks.words]")
    config.write_text("\n".join(lines[:at] + lines[end:]))
    with pytest.raises(ConfigError, match=r"tasks\.words\.train: is missing, and there is no labe"):
        plan_run(load_config(config))


def test_an_encoder_without_dropout_has_nothing_to_compare(project, encoder_folder, tmp_path):
    for file in encoder_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = json.loads((tmp_path / "config.json").read_text())
    table |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "config.json").write_text(json.dumps(table))
    config = load_config(project({**ALIKE, "encoder.path": str(tmp_path)}))
    plan_run(config)
    with pytest.raises(EncoderError, match="has no dropout, and 'simcse'"):
        prepare(plan_run(config).only)


def test_a_vocabulary_without_mask_is_refused(project, encoder_folder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((encoder_folder / name).read_bytes())
    words = (encoder_folder / "vocab.txt").read_text().replace("[MASK]", "[HIDE]")
    (tmp_path / "vocab.txt").write_text(words)
    with pytest.raises(EncoderError, match=r"vocabulary has no \[MASK\], which task 'words' needs"):
        prepare(plan_run(load_config(project({**WORDS, "encoder.path": str(tmp_path)}))).only)


def test_a_pretrained_head_goes_on_at_the_encoder_s_rate(project, encoder_folder, tmp_path):
    for file in encoder_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    setup = prepare(plan_run(load_config(project(WORDS))).only)
    head = setup.learner.model.heads["words"]
    assert isinstance(head, MaskedLMHead)
    own = {f"cls.predictions.{name}": view.clone() + 1 for name, view in head.named_views()}
    save_file({**load_file(tmp_path / "model.safetensors"), **own}, tmp_path / "model.safetensors")
    came = prepare(plan_run(load_config(project({**WORDS, "encoder.path": str(tmp_path)}))).only)
    loaded = came.learner.model.heads["words"]
    assert isinstance(loaded, MaskedLMHead)
    for name, view in loaded.named_views():
        assert bool((view == own[f"cls.predictions.{name}"]).all())

    def rate(setup, parameter):
        groups = setup.learner.optimizer.param_groups
        return next(g["lr"] for g in groups if any(p is parameter for p in g["params"]))

    assert rate(setup, head.dense.weight) == 1e-3  # as fresh heads; here also the encoder's
    assert rate(came, loaded.dense.weight) == came.plan.training.lr


def test_a_lonely_text_has_nothing_to_be_compared_with(project):
    """Whatever the batch size says: a small file's share of a step counts."""
    changes = {"tasks.alike.kind": "simcse", "training.batching": "proportional"}
    file = project(changes)
    (file.parent / "few.csv").write_text("t\none text\nanother text\na third text\n")
    own = {"tasks.alike.train": "few.csv", "tasks.alike.dev": "few.csv", "tasks.alike.text": "t"}
    config = load_config(project({**changes, **own}))
    with pytest.raises(
        ConfigError, match=r"tasks.alike.kind: 'simcse' compares .* draws \S+ of them"
    ):
        prepare(plan_run(config).only)
