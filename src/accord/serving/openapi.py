"""The service's description in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from accord.serving.requests import Limits

Table = dict[str, Any]


def described(limits: Limits, with_token: bool) -> Table:
    """Describe all paths.

    Args:
        limits: of requests.
        with_token: whether requests have to name one.
    """
    task = {
        "name": "task", "in": "path", "required": True, "schema": {"type": "string"},
        "description": "One of the model's tasks.",
    }  # fmt: skip
    answer = {"responses": _responses("Answers", *_REFUSALS)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Accord", "version": "1", "description": _ABOUT},
        "paths": {
            "/v1/answer": {"post": {
                "operationId": "answer", "summary": "Answer all tasks, or some.",
                "requestBody": _body("Texts"), **answer,
            }},
            "/v1/answer/{task}": {"post": {
                "operationId": "answer_task", "summary": "Answer one task.", "parameters": [task],
                "requestBody": _body("TaskTexts"), **answer,
            }},
            "/v1/models": _get("models", "Tell which models and tasks there are.", "Models"),
            "/v1/reload": {"post": {
                "operationId": "reload", "summary": "Load the models whose folders changed.",
                "responses": _responses("Reloaded", 401, 403, 409),
            }},
            "/health": _open("health", "Whether the process lives.", "Status"),
            "/ready": _open("ready", "Whether requests are answered.", "Status", 503),
            "/metrics": _get("metrics", "What was counted, for Prometheus.", _PLAIN),
            "/openapi.json": _get("openapi", "This description.", "Description"),
            "/": _open("page", "A page to try it.", _PAGE),
        },
        "components": {
            "schemas": _schemas(limits),
            **({"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
               if with_token else {}),
        },
        **({"security": [{"token": []}]} if with_token else {}),
    }  # fmt: skip


_ABOUT = 'One pass of an encoder answers all tasks of a text. Every error is {"error": "a line"}.'
_REFUSALS = (400, 401, 404, 408, 413, 415, 417, 422, 503)
_PLAIN, _PAGE = "text/plain", "text/html"
_MEANINGS = {
    400: "The body is no JSON, or the request no HTTP.",
    401: "The token is missing or wrong.",
    403: "The service takes no reloads, or none from another site's page.",
    404: "No such model or path.",
    408: "The request was not there in time.",
    409: "A folder can't be loaded: all models stay as they were.",
    413: "Too many bytes, texts or characters.",
    415: "The body is not of type application/json.",
    417: "Expect names something other than 100-continue.",
    421: "The host that the request names is not one of those that --allow-host gives.",
    422: "Wrong types, unknown keys or tasks, or a text that no task asked takes.",
    503: "Too many requests wait, or the service ends.",
}


def _schemas(limits: Limits) -> Table:
    string = {"type": "string"}
    strings = {"type": "array", "items": string}
    text = {
        "anyOf": [
            {"type": "string", "description": "A text."},
            {
                "type": "array",
                "items": string,
                "minItems": 1,
                "description": "A pair of texts, a list of words, or a text and its candidates.",
            },
            {
                "type": "array",
                "prefixItems": [string, {**strings, "minItems": 1}],
                "items": False,
                "minItems": 2,
                "description": "A text and its candidates.",
            },
        ],
    }
    texts = {
        "texts": {
            "type": "array", "items": text, "maxItems": limits.texts,
            "description": f"At most {limits.characters:,} characters together.",
        },
        "probabilities": {"type": "boolean", "default": False},
        "model": {"type": "string", "description": "Needed where there are several."},
    }  # fmt: skip
    tasks = {
        "type": "array", "items": string, "minItems": 1,
        "description": "Default: all that take such a text.",
    }  # fmt: skip
    said = {
        "type": "object", "required": ["answer"],
        "properties": {
            "answer": {"description": "A label, a number, or a list of either."},
            "probabilities": {"type": "object"},
            "entities": {"type": "array"},
            "order": {"type": "array"},
        },
    }  # fmt: skip
    answers = {"type": "array", "items": {"type": "object", "additionalProperties": said}}
    tokens = {
        "type": "array", "items": {"type": "integer"},
        "description": "How many tokens each text has, special ones included; with candidates those"
        " of all sequences. A sequence is read up to the model's longest_tokens.",
    }  # fmt: skip
    return {
        "Texts": _object({"tasks": tasks, **texts}, "texts"),
        "TaskTexts": _object(texts, "texts"),
        "Answers": {
            "type": "object", "required": ["model", "hash", "tokens", "answers"],
            "properties": {"model": string, "hash": string, "tokens": tokens, "answers": answers},
        },
        "Models": {"type": "object", "properties": {"models": {"type": "array"}}},
        "Reloaded": {"type": "object", "properties": {"reloaded": strings}},
        "Description": {"type": "object", "required": ["openapi", "paths"]},
        "Status": {"type": "object", "properties": {"status": string}},
        "Error": {"type": "object", "required": ["error"], "properties": {"error": string}},
    }  # fmt: skip


def _object(properties: Table, *required: str) -> Table:
    return {
        "type": "object", "required": [*required], "properties": properties,
        "additionalProperties": False,
    }  # fmt: skip


def _content(schema: str) -> Table:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _body(schema: str) -> Table:
    return {"required": True, "content": _content(schema)}


def _responses(schema: str, *refusals: int) -> Table:
    done = {schema: {"schema": {"type": "string"}}} if "/" in schema else _content(schema)
    errors = {
        str(status): {"description": _MEANINGS[status], "content": _content("Error")}
        for status in sorted({*refusals, 421})
    }
    return {"200": {"description": "Done.", "content": done}, **errors}


def _get(name: str, summary: str, schema: str, *refusals: int) -> Table:
    """Describe a path that is read; a schema with a slash is a type of text."""
    return {"get": {
        "operationId": name, "summary": summary, "responses": _responses(schema, 401, *refusals),
    }}  # fmt: skip


def _open(name: str, summary: str, schema: str, *refusals: int) -> Table:
    """Describe a path that asks for no token."""
    described: Table = _get(name, summary, schema, *refusals)["get"]
    del described["responses"]["401"]
    return {"get": {**described, "security": []}}
