"""A model's card: what the hub reads of it, what it says, and what it never does."""

import csv
import json
import math
import random
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from projects import TASKS
from scipy import stats

import accord
from accord.errors import UsageError
from accord.installed import version
from accord.publishing.card import card
from accord.publishing.front_matter import LICENCES, front_matter, reads
from accord.publishing.known import know
from accord.publishing.readme import README, is_unchanged, write_card

HUB_TASKS = {"text-classification", "token-classification", "multiple-choice", "text-ranking"}


def sections(text):
    return re.findall(r"^## (.*)$", text, re.M)


def table_below(text, heading):
    """The rows of the first table below a heading, as lists of cells."""
    lines = text.split(f"## {heading}\n", 1)[1].split("\n")
    rows = [line for line in lines[: lines.index("", 1)] if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    return [[cell.strip() for cell in row] for row in cells]


def test_the_card_of_a_run_is_one_that_the_hub_reads(copied, accord_cli):
    answer = accord_cli("card", copied, "--licence", "Apache-2.0")
    file = copied / "model" / README
    assert (answer.code, answer.err, answer.out) == (0, "", f"card written to {file}\n")
    text, results = file.read_text(), json.loads((copied / "results.json").read_text())
    read = ModelCard(text)  # raises where the front matter is none
    assert yaml.safe_load(text.split("---\n")[1]) == read.data.to_dict()
    data = read.data
    assert data.license in LICENCES
    assert data.pipeline_tag in HUB_TASKS
    assert data.library_name == "accord"
    assert data.base_model is None  # a folder of this machine
    assert {each.dataset_config: each.metric_value for each in data.eval_results} == {
        name: round(entry["value"], 4) for name, entry in results["heldout"].items()
    }
    assert sections(text) == [
        "Tasks", "Use", "Data", "Figures", "Training", "Origin", "Cost", "Limits", "Licence",
    ]  # fmt: skip
    assert accord.load(copied).predict("mood", ["a film"])  # a card is in nobody's way


def test_it_says_what_the_run_knows(finished):
    known = know(finished)
    text = card(known)
    results = json.loads((finished / "results.json").read_text())
    data = {(row[0], row[1]): row[2:] for row in table_below(text, "Data")[2:]}
    for name, config in TASKS.items():
        for split in ("train", "dev"):
            with (finished.parent / "project" / config[split]).open() as file:
                assert data[name, split] == [config[split], str(sum(1 for _ in file) - 1)]
    figures = {row[0]: row[1:] for row in table_below(text, "Figures")[2:]}
    for name, entry in results["heldout"].items():
        assert figures[name][1:3] == [
            f"{results['metrics'][name]:z.4f}", f"{entry['value']:z.4f}",
        ]  # fmt: skip
    assert f"epoch {results['best_epoch']} of {len(results['epochs'])}" in text
    assert f"{results['parameters']:,} parameters" in text
    assert f"answer to all tasks: {results['layers_computed']['computed']:.1f}" in text
    assert f"One run (seed {known.run.seed})" in text
    assert "Not stated" in text


def test_it_names_no_folder_of_the_machine(finished, unbroken):
    sharing = {"sharing.schemes": ["task-norm"], "training.gradients": "pcgrad"}
    for run in (finished, unbroken(sharing, ("mood", "near"))):
        text = card(know(run))
        assert str(run) not in text
        assert str(run.parent) not in text
        assert not re.search(r"(?<![\w/])/(tmp|home|root|work|var)/", text)


def test_an_interval_is_that_of_the_rows(finished):
    """Of an accuracy it is the t interval of a mean, here from the file of predictions."""
    known = know(finished)
    with (finished / "predictions" / "mood-heldout.csv").open() as file:
        right = np.array([row["label"] == row["prediction"] for row in csv.DictReader(file)])
    low, high = known.interval(known.tasks[0])
    half = stats.t.ppf(0.975, len(right) - 1) * right.std(ddof=1) / math.sqrt(len(right))
    assert (low, high) == pytest.approx(
        (max(0, right.mean() - half), min(1, right.mean() + half)), abs=1e-9
    )
    cell = table_below(card(known), "Figures")[2][4]
    assert cell == f"{low:.4f} to {high:.4f}"


def test_rows_that_are_all_alike_have_no_interval(copied):
    file = copied / "predictions" / "mood-heldout.csv"
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "prediction": row["label"]} for row in rows)
    text = card(know(copied))
    assert table_below(text, "Figures")[2][4] == "–"
    assert "- mood: no interval: its rows are all alike to the metric." in text


def test_sharing_and_methods_are_named_with_their_papers(unbroken):
    run = unbroken({"sharing.schemes": ["task-norm"], "training.gradients": "pcgrad"},
                   ("mood", "near"))  # fmt: skip
    text = card(know(run))
    assert "parts of its own inside the encoder: `task-norm` (Bilen & Vedaldi 2017" in text.replace(
        "&amp;", "&"
    )
    assert "gradients: `pcgrad` (Yu et al. 2020" in text
    assert "opens the encoder alone without the tasks' parts" in text


def test_a_folder_without_its_run_has_a_card_of_what_is_known(finished, tmp_path, accord_cli):
    bare = shutil.copytree(finished / "model", tmp_path / "bare")
    answer = accord_cli("card", bare, "--output", "-")
    assert (answer.code, answer.err) == (0, "")
    assert sections(answer.out) == [
        "Tasks", "Use", "Data and figures", "Origin", "Cost", "Limits", "Licence",
    ]  # fmt: skip
    entries = json.loads((bare / "accord.json").read_text())["tasks"]
    fingerprint = json.loads((finished / "resolved.json").read_text())["fingerprint"]
    for entry, row in zip(entries, table_below(answer.out, "Origin")[2:], strict=True):
        data = entry["made"]["data"][:12]
        assert row == [entry["name"], version(), fingerprint[:12], data, "–"]
    assert ModelCard(answer.out).data.eval_results is None
    assert not (bare / README).exists()
    assert "Not recorded here" in answer.out
    inside = accord_cli("card", finished / "model", "--output", "-").out
    outside = accord_cli("card", finished, "--output", "-").out
    untimed = [re.sub(r"\S+ s (in one pass|task after task)", "", text)
               for text in (inside, outside)]  # fmt: skip
    assert "s in one pass" in inside
    assert untimed[0] == untimed[1]


def test_tasks_of_unknown_origin_have_no_section_on_it(finished):
    assert "Origin" not in sections(card(replace(know(finished), origins={})))


def test_an_ensemble_costs_its_members(finished, tmp_path, accord_cli):
    assert accord_cli("ensemble", finished, finished / "model", "--out", tmp_path / "no").code == 2
    twin = shutil.copytree(finished, tmp_path / "twin")
    assert accord_cli("ensemble", finished, twin, "--out", tmp_path / "both").code == 0
    one, both = know(finished), know(tmp_path / "both")
    assert both.layers.layers == 2 * one.layers.layers
    assert both.parameters == 2 * one.parameters
    assert "An ensemble of 2 encoders" in card(both)
    assert both.run is None


@pytest.mark.slow
def test_a_run_in_stages_names_them(staged_project, run_stages, tmp_path):
    text = card(know(run_stages(staged_project(), tmp_path / "run")))
    assert "- stage pairs: same, near" in text
    assert [row[0] for row in table_below(text, "Tasks")[2:]] == ["same", "near"]


def test_it_overwrites_what_it_wrote_and_nothing_else(copied, accord_cli):
    file = copied / "model" / README
    assert accord_cli("card", copied).code == 0
    assert accord_cli("card", copied, "--licence", "mit").code == 0
    written = file.read_text()
    assert "license: mit" in written
    for changed in (written.replace("mit", "gpl"), written + " ", "# Mine\n", ""):
        file.write_text(changed)
        answer = accord_cli("card", copied)
        assert answer.code == 2
        assert answer.err == (
            f"accord: {file}: is there, and not as 'accord card' wrote it: it stays as it is;"
            " --output FILE writes another\n"
        )
        assert file.read_text() == changed
    file.unlink()
    file.symlink_to(copied / "elsewhere.md")
    assert accord_cli("card", copied).code == 2
    assert not (copied / "elsewhere.md").exists()
    other = copied / "other.md"
    assert accord_cli("card", copied, "--output", other).code == 0
    assert is_unchanged(other.read_text())
    assert accord_cli("card", copied, "--output", copied / "no" / "card.md").code == 2


@pytest.mark.parametrize(
    "text", ["a\n", "a\n\nb\n", "<!-- x -->\n", "a\n<!-- Written by 'accord card' -->\n"]
)
def test_what_was_written_is_known_again(tmp_path, text):
    assert not is_unchanged(text)
    write_card(tmp_path / "card.md", text)
    assert is_unchanged((tmp_path / "card.md").read_text())
    assert (tmp_path / "card.md").read_text().startswith(text)


HOSTILE = ("<script>alert(1)</script>", "a|b", "`c`", "d\n---\ne: f", "[g](h)", "\x1b[31m", "1_000")


def test_labels_and_columns_of_strangers_stay_text(finished):
    known = know(finished)
    tasks = [replace(known.tasks[0], labels=HOSTILE), *known.tasks[1:]]
    inputs = {**known.inputs, "mood": replace(known.inputs["mood"], text=("<b>|`x`",))}
    text = card(replace(known, tasks=tasks, inputs=inputs), "x: [y\n---\n<i>")
    assert {len(row) for row in table_below(text, "Tasks")} == {6}
    assert "<script>" not in text
    assert "<b>" not in text
    assert "\x1b" not in text
    read = ModelCard(text)
    assert read.data.license == "other"
    assert read.data.license_name == "x: [y\n---\n<i>"
    assert read.text.lstrip().startswith("# One encoder for mood, same, near")


def test_a_hub_s_encoder_is_the_base_model(finished):
    known = know(finished)
    encoder = known.run.config.encoder.model_copy(update={"path": "google/bert-small"})
    run = replace(known.run, config=known.run.config.model_copy(update={"encoder": encoder}))
    text = card(replace(known, run=run))
    assert ModelCard(text).data.base_model == "google/bert-small"
    assert "fine-tuned from `google/bert-small`" in text


def test_a_licence_is_an_identifier_of_the_hub_s_or_a_name(finished):
    known = know(finished)
    for given, wanted in (
        ("Gemma", {"license": "gemma"}), (" MIT ", {"license": "mit"}),
        ("My own", {"license": "other", "license_name": "My own"}),
    ):  # fmt: skip
        table = yaml.safe_load(front_matter(known, "t", given))
        assert {key: value for key, value in table.items() if key.startswith("license")} == wanted


def test_rarely_seen_classes_are_named(copied):
    results = json.loads((copied / "results.json").read_text())
    entry = results["heldout"]["mood"]
    rows = "test" if entry["on"] == "test" else "dev"
    classes = entry["by_class"][rows]["classes"]
    classes["neg"]["support"], classes["pos"]["support"] = 20, 3
    (copied / "results.json").write_text(json.dumps(results))
    (line,) = [line for line in card(know(copied)).split("\n") if "mood: classes with" in line]
    assert "pos (3)" in line
    assert "neg" not in line


def test_what_is_no_finished_model_is_refused_in_one_line(copied, tmp_path, accord_cli):
    def refused(source):
        answer = accord_cli("card", source)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        return answer.err

    assert "no such folder" in refused(tmp_path / "nothing")
    (tmp_path / "stranger").mkdir()
    assert "holds no accord.json" in refused(tmp_path / "stranger")
    weights = copied / "model" / "heads.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-9])
    assert "heads.safetensors" in refused(copied)
    weights.write_bytes(content)
    status = json.loads((copied / "status.json").read_text())
    (copied / "status.json").write_text(json.dumps({**status, "state": "stopped"}))
    assert "the run is stopped, not done" in refused(copied)
    assert "the run is stopped, not done" in refused(copied / "model")
    assert not (copied / "model" / README).exists()


ODD = (None, 0, -1.5, "1", [], {"x": "x"}, True)


def damaged(table, most=2):
    """A JSON object with each of its values, and of those within, missing or replaced."""
    for key in table:
        yield {name: value for name, value in table.items() if name != key}
        yield from ({**table, key: odd} for odd in ODD)
        if isinstance(table[key], dict) and most:
            yield from ({**table, key: within} for within in damaged(table[key], most - 1))


@pytest.mark.quick("results.json")
@pytest.mark.parametrize("name", ["results.json", "environment.json", "resolved.json"])
def test_a_run_s_damaged_records_are_refused_in_one_line_or_of_no_matter(copied, name):
    """What a stranger's run folder may hold ends in no traceback."""
    file = copied / name
    whole = json.loads(file.read_text())
    parts = whole if name != "resolved.json" else {"data": whole["data"], "tasks": whole["tasks"]}
    refused = made = 0
    for part in random.Random(name).sample([*damaged(parts)], 40):
        file.write_text(json.dumps({**whole, **part} if name == "resolved.json" else part))
        try:
            ModelCard(card(know(copied)))
            made += 1
        except UsageError:
            refused += 1
    assert made
    assert refused or name == "environment.json"


def test_every_kind_says_what_it_reads():
    from accord.kinds import all_kinds, get_kind
    from accord.kinds.multiple_choice import MultipleChoiceTask

    assert {get_kind(each.name).hub_task for each in all_kinds()} == HUB_TASKS
    choice = MultipleChoiceTask("c", "multiple-choice", "cross_entropy", "accuracy")
    assert reads(choice) == "a text with choices"


def test_the_front_matter_of_one_task_has_its_own_hub_task(finished):
    known = know(finished)
    alone = replace(known, tasks=known.tasks[:1], run=None)
    table = yaml.safe_load(front_matter(alone, "t", None))
    assert table["pipeline_tag"] == "text-classification"
    assert "license" not in table
