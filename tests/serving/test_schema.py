"""What `/openapi.json` says is what is answered: bodies drawn from it, and others near them."""

import json
import re
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

texts_of_any_kind = st.text(max_size=20) | st.sampled_from(["a good b", "paris", "", " "])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def drawn(schema: dict[str, Any], all_of_them: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema allows; it refuses a keyword that it doesn't know."""
    if "$ref" in schema:
        return drawn(all_of_them[schema["$ref"].rpartition("/")[2]], all_of_them)
    if "anyOf" in schema:
        return st.one_of([drawn(each, all_of_them) for each in schema["anyOf"]])
    known = {"type", "description", "default", "items", "minItems", "maxItems", "prefixItems",
             "properties", "required", "additionalProperties"}  # fmt: skip
    assert schema.keys() <= known, schema
    if schema["type"] == "object":
        properties = {k: drawn(v, all_of_them) for k, v in schema["properties"].items()}
        needed = {k: properties.pop(k) for k in schema["required"]}
        return st.fixed_dictionaries(needed, optional=properties)
    if "prefixItems" in schema:
        assert schema["minItems"] == len(schema["prefixItems"])
        return st.tuples(*[drawn(each, all_of_them) for each in schema["prefixItems"]]).map(list)
    if schema["type"] == "array":
        items = drawn(schema["items"], all_of_them)
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=5)
    return {"string": texts_of_any_kind, "boolean": st.booleans()}[schema["type"]]


def fits(value: Any, schema: dict[str, Any], all_of_them: dict[str, Any]) -> bool:
    """Whether a value is what a schema says."""
    if "$ref" in schema:
        return fits(value, all_of_them[schema["$ref"].rpartition("/")[2]], all_of_them)
    types = {"object": dict, "array": list, "string": str, "integer": int}
    if "type" in schema and not isinstance(value, types[schema["type"]]):
        return False
    if isinstance(value, list):
        items = schema.get("items", {})
        return all(fits(each, items, all_of_them) for each in value)
    if isinstance(value, dict):
        more = schema.get("additionalProperties", {})
        of_key = {key: schema.get("properties", {}).get(key, more) for key in value}
        needed = {*schema.get("required", ())} <= value.keys()
        return needed and all(fits(value[key], of_key[key], all_of_them) for key in value)
    return True


def hold(client: Any, path: str, body: bytes, of_path: dict[str, Any], schemas: Any) -> int:
    """Ask, and see that the answer is described; return its status."""
    reply = client.ask("POST", path, body, {"content-type": "application/json"})
    assert str(reply.status) in of_path["responses"], (body, reply)
    (content,) = of_path["responses"][str(reply.status)]["content"].values()
    assert fits(reply.value, content["schema"], schemas), (body, reply)
    return reply.status


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[*HealthCheck])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of words without a token
@given(data=st.data())
def test_bodies_that_are_described_and_others_get_answers_that_are(shared, data):
    described = shared.ask("GET", "/openapi.json").value
    schemas = described["components"]["schemas"]
    for path, name in (("/v1/answer", "Texts"), ("/v1/answer/{task}", "TaskTexts")):
        of_path = described["paths"][path]["post"]
        place = path.replace("{task}", data.draw(st.sampled_from(["mood", "same", "mod"])))
        right = data.draw(drawn(schemas[name], schemas))
        hold(shared, place, json.dumps(right).encode(), of_path, schemas)
        wrong = {**right, data.draw(st.sampled_from([*right, "texts", "x"])): data.draw(anything)}
        for body in (json.dumps(wrong).encode(), data.draw(st.binary(max_size=40))):
            hold(shared, place, body, of_path, schemas)
    assert shared.failures == []


def test_an_answer_that_is_not_described_would_be_seen(shared):
    schemas = shared.ask("GET", "/openapi.json").value["components"]["schemas"]
    good = shared.answer(["a b", ["a", "b"], ["a", "b", "good"]]).value
    assert fits(good, schemas["Answers"], schemas)
    for wrong in ({"tokens": ["5"]}, {"answers": [{"mood": {}}]}, {"hash": None}):
        assert not fits({**good, **wrong}, schemas["Answers"], schemas)


def test_paths_of_any_letters_are_no_bug(shared):
    for letter in string.printable:
        escaped = f"%{ord(letter):02x}"
        for path in (f"/v1/answer/{escaped}", f"/{escaped}/{escaped}", f"/v1/models{escaped}"):
            reply = shared.ask("GET", path)
            assert reply.status in (404, 405), path
            assert re.fullmatch(r"[^\n]+", reply.value["error"])
