"""What a service answers is what Python does, however requests are batched."""

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import until

import accord
from accord.derived.to_onnx import export_onnx
from accord.errors import ModelError
from accord.serving.backends import GraphBackend
from accord.serving.models import Models


def test_answers_are_those_of_python(serve, save, texts):
    client = serve()
    model = accord.load(save("again"))
    rows = [*texts(5), ["a b", "good"], ["a b", "bad paris"]]
    reply = client.answer(rows, probabilities=True)
    assert reply.status == 200
    assert reply.value["model"] == "first"
    assert reply.value["answers"] == model.records(rows, probabilities=True)
    assert [list(each) for each in reply.value["answers"]] == [["mood", "grade", "places"]] * 5 + [
        ["same"]
    ] * 2
    plain = client.answer(rows).value["answers"]
    assert plain == model.records(rows)
    assert [{t: said["answer"] for t, said in each.items()} for each in plain] == model.answer(rows)


def test_a_task_may_be_named_in_the_body_or_the_path(serve):
    client = serve()
    by_body = client.answer(["a good b"], tasks=["mood"])
    by_path = client.ask("POST", "/v1/answer/mood", {"texts": ["a good b"]})
    assert by_body.value == by_path.value
    assert list(by_body.value["answers"][0]) == ["mood"]
    assert client.answer([]).value["answers"] == []


def test_entities_have_their_places_in_the_text(serve):
    (said,) = serve().answer(["a paris, good"], tasks=["places"]).value["answers"]
    for entity in said["places"]["entities"]:
        assert "a paris, good"[entity["start"] : entity["end"]] == entity["text"]
    assert len(said["places"]["answer"]) == 4


def test_requests_that_wait_are_answered_together(serve, save, texts):
    client = serve()
    model, (batcher, held) = accord.load(save("again")), (client.service.batcher, threading.Event())
    served = client.service.models.get("first")
    plain, calls = served.predictor.records, []

    def slow(rows, *arguments):
        calls.append(len(rows))
        held.wait(30)
        return plain(rows, *arguments)

    served.predictor.records = slow
    rows = texts(12)
    with ThreadPoolExecutor(12) as pool:
        replies = [pool.submit(client.answer, [rows[0]])]
        until(lambda: calls == [1])  # it is being answered
        replies += [pool.submit(client.answer, [row]) for row in rows[1:]]
        until(lambda: len(batcher) == 11)
        held.set()
        answers = [reply.result().value["answers"] for reply in replies]
    assert calls == [1, 11]
    expected = model.records(rows, probabilities=True)
    for (ours,), theirs in zip(answers, expected, strict=True):
        assert ours["mood"]["answer"] == theirs["mood"]["answer"]
        assert ours["grade"]["answer"] == pytest.approx(theirs["grade"]["answer"], abs=1e-5)
    assert 'accord_batch_requests_bucket{le="1.0"} 1.0' in client.ask("GET", "/metrics").value


def test_models_are_told_with_all_that_a_caller_needs(serve, save):
    client = serve({"one": save("one"), "two": save("two", 1)})
    first, second = client.ask("GET", "/v1/models").value["models"]
    assert (first["name"], second["name"]) == ("one", "two")
    assert first["hash"] != second["hash"]
    assert first["format"] == 2
    assert first["layers"]["all tasks"] == 4.0  # of two layers: a text's and a pair's
    assert first["tasks"]["same"]["takes"] == ["a pair of texts"]
    assert first["tasks"]["mood"]["labels"] == ["bad", "good"]
    refused = client.answer(["a"])
    assert (refused.status, refused.value) == (
        422, {"error": "'model' is missing; allowed: one, two"}
    )  # fmt: skip
    one, two = (client.answer(["a good b"], model=name).value for name in ("one", "two"))
    assert (one["hash"], two["hash"]) == (first["hash"], second["hash"])
    assert one["answers"] != two["answers"]


def test_a_folder_that_changed_is_exchanged_when_asked_and_not_before(serve, save):
    folder = save("first")
    client = serve({"first": folder}, reloads=True)
    before = client.answer(["a good b"]).value
    save("first", 5)
    assert client.answer(["a good b"]).value == before
    foreign = client.ask("POST", "/v1/reload", headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status, "another site" in foreign.value["error"]) == (403, True)
    assert client.ask("POST", "/v1/reload").value == {"reloaded": ["first"]}
    after = client.answer(["a good b"]).value
    assert after["hash"] != before["hash"]
    assert after["answers"] != before["answers"]
    assert client.ask("POST", "/v1/reload").value == {"reloaded": []}
    (folder / "model.safetensors").write_bytes(b"broken")
    refused = client.ask("POST", "/v1/reload")
    assert refused.status == 409
    assert refused.value["error"].startswith("nothing was exchanged: ")
    assert client.answer(["a good b"]).value == after


def test_a_folder_that_is_being_replaced_is_said_and_the_old_model_is_let_go(serve, save):
    folder = save("first")
    client = serve({"first": folder}, reloads=True)
    kept = weakref.ref(client.service.models.get("first").predictor)
    (folder / "half").symlink_to(folder / "not-there-yet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pathlib.Path.is_file", lambda path: True)
        refused = client.ask("POST", "/v1/reload")
    assert (refused.status, "changed while it was read" in refused.value["error"]) == (409, True)
    (folder / "half").unlink()
    save("first", 5)
    assert client.ask("POST", "/v1/reload").value == {"reloaded": ["first"]}
    assert kept() is None


def test_exported_graphs_are_served_by_the_same_paths(serve, save, texts, tmp_path):
    folder, graphs = save("first"), tmp_path / "graphs"
    export_onnx(folder, graphs)
    client = serve({"graphs": graphs}, backend=GraphBackend())
    rows = [*texts(5), ["a b", "good"]]
    said = client.answer(rows).value
    wanted = accord.load(folder).answer(rows)
    assert [{t: each["answer"] for t, each in one.items() if t != "grade"}
            for one in said["answers"]] == [
        {t: answer for t, answer in one.items() if t != "grade"} for one in wanted
    ]  # fmt: skip
    (model,) = client.ask("GET", "/v1/models").value["models"]
    assert (model["backend"], model["weights"], model["hash"]) == ("onnx", "float32", said["hash"])
    assert [*model["tasks"]] == ["mood", "grade", "same", "places"]
    with pytest.raises(ModelError, match="holds ONNX graphs: --backend onnx serves them"):
        Models({"graphs": graphs})
