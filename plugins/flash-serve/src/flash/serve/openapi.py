"""Description of what a service takes and gives: for the page, and as a document of OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flash.data.requests import RequestField, RequestFields

from .decoding import KEYS, takes_uploads
from .limits import Limits
from .models import Model

__all__ = ["describe", "openapi"]

# The categories that are written into a description.
_SHOWN_VALUES = 20
_ERRORS = {
    400: "The body is not JSON, or a broken form.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many samples.",
    415: "The body is of another type.",
    422: "A sample is wrong; the answer says which, and why.",
    500: "The task failed.",
    503: "The service is busy; try again after the seconds of the header Retry-After.",
    504: "The answer took too long.",
}
_NULL = {"type": "null"}


def describe(model: Model, limits: Limits) -> dict[str, Any]:
    """Return what a model takes and gives, as values of JSON.

    Args:
        model: The model.
        limits: What a request may hold.
    """
    fields = model.fields
    return {
        "title": model.title,
        "kind": fields.kind,
        "key": KEYS[fields.kind],
        "fields": [
            {
                "name": field.name,
                "type": field.type,
                "values": list(field.values),
                "may_be_missing": field.may_be_missing,
                "typical": field.typical,
            }
            for field in fields.fields
        ],
        "extensions": sorted(fields.extensions),
        "classes": None if model.classes is None else list(model.classes),
        "names": None if model.names is None else list(model.names),
        "limits": {"max_body": limits.max_body, "max_rows": limits.max_rows, "max_text": limits.max_text},
    }


def openapi(about: dict[str, Any], fields: RequestFields, limits: Limits) -> dict[str, Any]:
    """Return the document of OpenAPI 3.1 of a service.

    Args:
        about: The result of :func:`describe`.
        fields: What a sample is.
        limits: What a request may hold.

    Example:
        >>> fields = RequestFields("table", [RequestField("age", "number", typical=40)])
        >>> document = openapi({"title": "Task", "classes": None}, fields, Limits())
        >>> document["components"]["schemas"]["Sample"]["properties"]
        {'age': {'type': ['number', 'boolean', 'null'], 'examples': [40]}}
    """
    key = KEYS[fields.kind]
    body = {
        "type": "object",
        "properties": {
            key: {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Sample"},
                "minItems": 1,
                "maxItems": limits.max_rows,
            }
        },
        "required": [key],
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}
    if takes_uploads(fields):
        files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
        form = {"type": "object", "properties": {key: files}, "required": [key]}
        content["multipart/form-data"] = {"schema": form}
    text = {"text/plain": {"schema": {"type": "string"}}}
    failed = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": about["title"], "version": "1", "description": "Predictions of a finetuned task."},
        "paths": {
            "/v1/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Predict samples.",
                    "requestBody": {"required": True, "content": content},
                    "responses": {
                        "200": _json("One prediction per sample, in their order.", "Response"),
                        **{str(code): {"description": why, "content": failed} for code, why in _ERRORS.items()},
                    },
                }
            },
            "/v1/task": _get("about", "What the task takes and gives.", {"application/json": {"schema": {}}}),
            "/health": _get(
                "health",
                "Whether requests are taken.",
                {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}},
                {"503": _json("The service is stopping.", "Health")},
            ),
            "/metrics": _get("metrics", "What the service has done, for Prometheus.", text),
        },
        "components": {
            "schemas": {
                "Request": body,
                "Sample": _sample(fields, limits),
                "Response": {
                    "type": "object",
                    "properties": {"predictions": {"type": "array", "items": _prediction(about["classes"])}},
                    "required": ["predictions"],
                },
                "Error": {
                    "type": "object",
                    "properties": {
                        "error": {"type": "string"},
                        "errors": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {"place": {"type": "string"}, "error": {"type": "string"}},
                                "required": ["place", "error"],
                            },
                        },
                    },
                    "required": ["error"],
                },
                "Health": {
                    "type": "object",
                    "properties": {"status": {"enum": ["ready", "stopping"]}},
                    "required": ["status"],
                },
            }
        },
    }


def _get(name: str, summary: str, content: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
    responses = {"200": {"description": summary, "content": content}, **(more or {})}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _json(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _sample(fields: RequestFields, limits: Limits) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "maxLength": limits.max_text}
    if fields.kind == "numbers":
        # How many there are, and in which dimensions, is known to the network alone.
        return {"description": "A number, or lists of numbers of one length.", "type": ["number", "array"]}
    if takes_uploads(fields):
        return {"type": "string", "contentEncoding": "base64", "description": "The bytes of a file."}
    if fields.kind == "text" and not fields.fields:
        return text
    are_texts = fields.kind == "text"
    return {
        "type": "object",
        "properties": {each.name: text if are_texts else _value(each, limits) for each in fields.fields},
        "required": [each.name for each in fields.fields if not each.may_be_missing],
    }


def _value(field: RequestField, limits: Limits) -> dict[str, Any]:
    schemas: dict[str, dict[str, Any]] = {
        "number": {"type": ["number", "boolean", "null"]},
        "category": {"type": ["string", "number", "boolean", "null"], "maxLength": limits.max_text},
        "date": {"type": ["string", "null"], "description": "A date such as 2024-12-31 or 2024-12-31T18:30."},
        "duration": {"type": ["number", "null"], "description": "A duration in seconds."},
        "text": {"type": ["string", "number", "boolean", "null"], "maxLength": limits.max_text},
    }
    schema = schemas[field.type]
    if field.values:
        shown = ", ".join(field.values[:_SHOWN_VALUES]) + ", ..." * (len(field.values) > _SHOWN_VALUES)
        schema["description"] = f"Known values: {shown}."
    examples = list(field.values[:1]) if field.values else [field.typical] if field.typical is not None else []
    return {**schema, **({"examples": examples} if examples else {})}


def _prediction(classes: Sequence[str] | None) -> dict[str, Any]:
    properties: dict[str, Any] = {"prediction": {"description": "What task.predict returns."}}
    required = ["prediction"]
    if classes is not None:
        properties["probabilities"] = {
            "description": "The probabilities of the classes, the most probable first.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"label": {"type": "string"}, "probability": {"anyOf": [{"type": "number"}, _NULL]}},
                "required": ["label", "probability"],
            },
        }
        required.append("probabilities")
    return {"type": "object", "properties": properties, "required": required}
