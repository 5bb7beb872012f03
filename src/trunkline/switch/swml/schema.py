"""The JSON Schema of the documents that `parse` takes."""

from typing import Any

import msgspec

from trunkline.switch.swml.document import VERSION
from trunkline.switch.swml.verbs import BARE_VERBS, VERBS, Set, Sleep

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """Build the JSON Schema (2020-12) of a document, for editors and for checks before it is sent.

    It cannot tell an expression from a variable's path, an unknown codec, all that is wrong in a URL or a
    document that is too large: those `parse` alone refuses.

    >>> schema()["properties"]["sections"]["required"]
    ['main']
    """
    types = [verb for verb in VERBS.values() if verb is not Set]
    sleep = next(field.type for field in msgspec.structs.fields(Sleep) if field.name == "duration")
    (*_, duration), definitions = msgspec.json.schema_components(
        [*types, sleep], ref_template="#/$defs/{name}"
    )
    for definition in definitions.values():
        for name, member in definition["properties"].items():
            definition["properties"][name] = _without_null(member)
    definitions["Play"]["oneOf"] = [{"required": ["url"]}, {"required": ["urls"]}]
    verbs: dict[str, Any] = {name: {"$ref": f"#/$defs/{verb.__name__}"} for name, verb in VERBS.items()}
    verbs["set"] = {"description": Set.__doc__, "type": "object"}
    verbs["sleep"] = {"anyOf": [verbs["sleep"], *duration["anyOf"]]}
    one_verb = _object(verbs) | {"minProperties": 1, "maxProperties": 1}
    main = {"type": "array", "minItems": 1, "items": {"anyOf": [{"enum": [*BARE_VERBS]}, one_verb]}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SWML document",
        **_object({"version": {"const": VERSION}, "sections": _object({"main": main}, "main")}, "sections"),
        "$defs": definitions,
    }


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """Make the schema of an object of these properties and no other."""
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | {"required": [*required]} if required else found


def _without_null(member: dict[str, Any]) -> dict[str, Any]:
    """Take null out of a field's alternatives: None is what a field has that is left out."""
    others: list[dict[str, Any]] = [
        option for option in member.get("anyOf", ()) if option != {"type": "null"}
    ]
    if len(others) != 1:
        return member
    return {name: value for name, value in member.items() if name not in ("anyOf", "default")} | others[0]
