"""Answers whose texts are read and packed ahead in a thread: as on a GPU, but for the device."""

import signal
import threading

import pytest
import torch
from projects import PATIENCE

import accord
from accord.errors import AccordError, DataError
from accord.evaluation import answerer, file_rows, inference, member, passes, predict_file
from accord.evaluation.answerable import Source
from accord.evaluation.output import Output
from accord.evaluation.packed import Packed

TEXTS = [f"{word} film {'very ' * (i % 7)}" for i, word in enumerate(["a", "grim", "warm"] * 9)]
PAIRS = [(text, "the road") for text in TEXTS]


@pytest.fixture(scope="module")
def model(finished):
    return accord.load(finished)


@pytest.fixture
def small_chunks(monkeypatch):
    for module in (answerer, file_rows, member, passes):
        monkeypatch.setattr(module, "CHUNK_ROWS", 5)


@pytest.fixture
def look_ahead(monkeypatch):
    """Turn the thread on; tells where batches are packed, and how many wait."""

    def call():
        for module in (answerer, inference, predict_file):
            monkeypatch.setattr(module, "made_ahead", lambda device: 2)
        where = []
        whole = Packed.whole

        def noted(self):
            where.append(threading.current_thread().name)
            return whole(self)

        monkeypatch.setattr(Packed, "whole", noted)
        return where

    return call


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "accord-ahead"]


def test_answers_are_those_of_no_thread(model, small_chunks, look_ahead):
    before = [model.answer([*TEXTS, *PAIRS]), model.logits("near", PAIRS)]
    where = look_ahead()
    after = [model.answer([*TEXTS, *PAIRS]), model.logits("near", PAIRS)]
    assert after[0] == before[0]
    assert torch.equal(after[1], before[1])
    assert where == ["accord-ahead"] * 18  # six chunks of each call: of texts, and of pairs twice
    assert threads() == []


def test_few_texts_start_no_thread(model, look_ahead, monkeypatch):
    look_ahead()
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("one chunk"))
    assert len(model.predict("mood", TEXTS)) == len(TEXTS)


@pytest.fixture
def file(tmp_path):
    rows = [f"{i},{text},{text},the road\n" for i, text in enumerate(TEXTS)]
    (tmp_path / "in.csv").write_text("id,text,first,second\n" + "".join(rows))
    return tmp_path / "in.csv"


def answered(model, file, target, tasks=None, form=None):
    output = Output.at(file.parent / target, form, force=True)
    predict_file.predict_file(model, tasks, Source(file), output)
    return (file.parent / target).read_bytes()


@pytest.mark.filterwarnings("ignore:task 'near' is not answered")
@pytest.mark.parametrize(
    ("tasks", "target", "form"),
    [(None, "out.csv", None), (None, "out.parquet", None), (["mood"], "out.txt", "cs224n")],
)
def test_a_file_s_answers_are_those_of_no_thread(
    model, file, small_chunks, look_ahead, tasks, target, form
):
    before = answered(model, file, target, tasks, form)
    where = look_ahead()
    assert answered(model, file, target, tasks, form) == before
    assert set(where) == {"accord-ahead"}
    assert len(where) == 6 * (1 if tasks else 2)
    assert threads() == []


def test_few_windows_are_read_ahead(model, file, small_chunks, look_ahead, monkeypatch):
    where, ahead = look_ahead(), []
    said = type(model).answered_as_read

    def noted(self, read):
        end = threading.Event()
        end.wait(0.02)  # the thread reads as far as it may
        ahead.append(len(where))
        return said(self, read)

    monkeypatch.setattr(type(model), "answered_as_read", noted)
    answered(model, file, "out.csv", ["mood"])
    assert ahead == [3, 4, 5, 6, 6, 6]


def test_an_error_in_reading_is_raised_as_it_is(model, file, small_chunks, look_ahead, monkeypatch):
    look_ahead()
    windows = file_rows.FileRows.windows

    def broken(self, answers=1):
        for number, window in enumerate(windows(self, answers)):
            if number == 2:
                raise DataError("in.csv:12: has changed")
            yield window

    monkeypatch.setattr(file_rows.FileRows, "windows", broken)
    with pytest.raises(DataError, match=r"^in\.csv:12: has changed$"):
        answered(model, file, "out.csv", ["mood"])
    assert [each.name for each in file.parent.iterdir()] == ["in.csv"]
    assert threads() == []


def test_an_error_in_writing_ends_the_thread(model, file, small_chunks, look_ahead, monkeypatch):
    look_ahead()

    def full(*rest):
        next(rest[3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predict_file, "write_table", full)
    with pytest.raises(AccordError, match="can't be written: No space left"):
        answered(model, file, "out.csv", ["mood"])
    assert threads() == []


def test_dev_rows_have_the_logits_of_no_thread(
    project, train, tmp_path, outcome, small_chunks, look_ahead
):
    config = project({"training.epochs": 1, "training.steps_per_epoch": 2})
    before = outcome(train(config, tmp_path / "before"))
    where = look_ahead()
    assert outcome(train(config, tmp_path / "after")) == before
    assert set(where) == {"accord-ahead"}
    assert threads() == []


def test_ctrl_c_ends_a_command_whose_thread_reads(finished, file, start_accord, tmp_path):
    """In the second window, while the first is answered; nothing is written."""
    before = """
import time
from accord.evaluation import answerer, file_rows, member, predict_file
file_rows.CHUNK_ROWS = member.CHUNK_ROWS = 5
answerer.made_ahead = predict_file.made_ahead = lambda device: 2
read, rest = answerer.Answerer.read, []
def reading(*given):
    rest.append(1)
    if len(rest) == 2:
        print("reads", flush=True)
        time.sleep(0.5)
    return read(*given)
def saying(*given):
    time.sleep(600)
answerer.Answerer.read, answerer.Answerer.answered_as_read = reading, saying
"""
    out = tmp_path / "out.csv"
    process = start_accord(
        "predict", finished, "--input", file, "--task", "mood", "--output", out, before=before
    )
    assert process.stdout.readline() == "reads\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not out.exists()
