"""Holds Kubernetes objects against their schemas, strictly: built-in kinds against Kubernetes' own, those of a CRD against the
CRD's. Arguments: the release of Kubernetes, a folder of CRDs, and the files. Prints findings as a JSON list."""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml


def closed(schema):
    """As the API server reads it: a field that is not named is unknown, and an int-or-string is either."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
        schema.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if schema.pop("nullable", False) is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema


def of_crds(folder):
    schemas = {}
    for path in sorted(pathlib.Path(folder).glob("*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            for name in ("apiVersion", "kind", "metadata"):
                schema["properties"][name] = {}
            schemas[(f"{spec['group']}/{version['name']}", spec["names"]["kind"])] = schema
    return schemas


def check(item, release, crds):
    known = crds.get((item.get("apiVersion"), item.get("kind")))
    try:
        if known is None:
            kubernetes_validate.validate(item, release, strict=True)
        else:
            jsonschema.Draft7Validator(known).validate(item)
    except kubernetes_validate.SchemaNotFoundError:
        yield "no-schema", "nothing is known of its kind"
    except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as error:
        at = ".".join(str(part) for part in error.path)
        yield "schema", f"{at}: {error.message}"


def main():
    release, folder, *files = sys.argv[1:]
    crds = of_crds(folder)
    findings, seen = [], 0
    for path in files:
        for item in yaml.safe_load_all(pathlib.Path(path).read_text()):
            if not item:
                continue
            seen += 1
            name = f"{item.get('kind')}/{item.get('metadata', {}).get('name')}"
            for rule, what in check(item, release, crds):
                findings.append({"check": rule, "object": name, "what": what})
    if not seen:
        sys.exit("there was no object to look at")
    json.dump(findings, sys.stdout)


main()
