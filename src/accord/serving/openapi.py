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
            "/health": _get("health", "Whether the process lives.", "Status"),
            "/ready": _get("ready", "Whether requests are answered.", "Status", 503),
        },
        "components": {
            "schemas": _schemas(limits),
            **({"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
               if with_token else {}),
        },
        **({"security": [{"token": []}]} if with_token else {}),
    }  # fmt: skip


_ABOUT = 'One pass of an encoder answers all tasks of a text. Every error is {"error": "a line"}.'
_REFUSALS = (400, 401, 404, 408, 413, 415, 422, 503)


def _schemas(limits: Limits) -> Table:
    string = {"type": "string"}
    strings = {"type": "array", "items": string}
    text = {
        "description": "A text; or a pair, a list of words, or a text and a list of candidates.",
        "anyOf": [string, {"type": "array", "items": {"anyOf": [string, strings]}}],
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
    return {
        "Texts": _object({"tasks": tasks, **texts}, "texts"),
        "TaskTexts": _object(texts, "texts"),
        "Answers": {
            "type": "object", "required": ["model", "hash", "answers"],
            "properties": {"model": string, "hash": string, "answers": answers},
        },
        "Models": {"type": "object", "properties": {"models": {"type": "array"}}},
        "Reloaded": {"type": "object", "properties": {"reloaded": strings}},
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
    errors = {
        str(status): {"description": "Refused.", "content": _content("Error")}
        for status in refusals
    }
    return {"200": {"description": "Done.", "content": _content(schema)}, **errors}


def _get(name: str, summary: str, schema: str, *refusals: int) -> Table:
    return {"get": {
        "operationId": name, "summary": summary, "responses": _responses(schema, 401, *refusals),
    }}  # fmt: skip
