"""The schema's errors in the words of the person who wrote the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gpuhop_tui.config.references import Fault, nearest
from gpuhop_tui.config.schema import Config

_TYPES = {
    "string_type": "must be a string",
    "is_instance_of": "must be a string",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}


def schema_faults(error: ValidationError) -> Iterator[Fault]:
    """One fault for each error of the schema."""
    for item in error.errors():
        path = item["loc"]
        match item["type"]:
            case "extra_forbidden":
                key = str(path[-1])
                yield Fault(path, "unknown key", nearest(key, _keys(path[:-1])))
            case "missing":
                yield Fault(path[:-1], f"needs `{path[-1]}`")
            case "literal_error":
                words = item["ctx"]["expected"].replace("'", '"')
                valid = words.split('"')[1::2]
                yield Fault(path, f"must be {words}", nearest(str(item["input"]), valid))
            case "value_error":
                yield Fault(path, str(item["ctx"]["error"]))
            case "greater_than_equal":
                yield Fault(path, f"must be at least {item['ctx']['ge']:g}")
            case "less_than_equal":
                yield Fault(path, f"must be at most {item['ctx']['le']:g}")
            case kind:
                yield Fault(path, _TYPES.get(kind, item["msg"].lower()))


def _keys(path: tuple[str | int, ...]) -> list[str]:
    """The valid keys of the table at a path."""
    model: type[BaseModel] = Config
    for key in path:
        if isinstance(key, str):
            model = _table(model.model_fields[key].annotation) or model
    return list(model.model_fields)


def _table(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `tuple[NodeConfig, ...]` or `BuildConfig | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table(part))), None)
