"""Every locked package and every file of others has a licence that is allowed; the bill of materials is of today's files."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import chapters
import licences
import lock
import pytest

TEXT = licences.FILE.read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| ([a-z0-9-]+) \| (\d\S*) \| (.+?) \| (.+) \|$", TEXT.split("## Files")[0], re.MULTILINE
)
BILL: dict[str, Any] = json.loads((lock.FOLDER / "sbom.cdx.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", licences.SETS)
def test_every_locked_package_has_a_row(file: str) -> None:
    """With its version and the environment that it belongs to; `make licences` writes the list."""
    user = licences.SETS[file]
    listed = {name: version for name, version, _, users in ROWS if user in users.split(", ")}
    assert listed == licences.pinned(file)


def test_every_licence_is_allowed_and_every_exception_needed() -> None:
    """A package under other terms has a reason; a reason without such a package is out of date."""
    found = {name: text for name, _, text, _ in ROWS}
    assert {name: text for name, text in found.items() if licences.refused(name, text)} == {}
    assert [name for name in licences.EXCEPTIONS if licences.parts(found[name]) <= licences.ALLOWED] == []
    assert set(licences.BY_HAND) <= set(found)
    for part in licences.vendored():
        assert part["licence"] in licences.ALLOWED
        assert f"| {part['name']} | {part['version']} | {part['licence']} |" in TEXT


def test_every_file_of_others_is_named() -> None:
    """Code and typefaces below _extra and book/_static/fonts; a licence or a note beside them is no part of a program."""
    named = {file for part in licences.vendored() for file in part["files"]}
    notes = {"LICENSE", "README.md", "ThirdPartyNotices.txt", "_headers"}
    folders = (chapters.ROOT / "book" / "_extra", chapters.ROOT / "book" / "_static" / "fonts")
    held = [
        path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name not in notes
    ]
    assert {path.relative_to(chapters.ROOT).as_posix() for path in held} == named


def test_the_bill_of_materials_is_of_today() -> None:
    """Each pin, each file of others and each file of weights, by the hash of what lies here; `make sbom` writes it."""
    parts = {part["bom-ref"]: part for part in BILL["components"]}
    for file in ("lock.txt", "cuda.txt"):
        for name, block in lock.blocks((lock.FOLDER / file).read_text(encoding="utf-8")).items():
            (release,) = parts.pop(f"pkg:pypi/{name}@{licences.pinned(file)[name]}")["externalReferences"]
            hashes = {f"--hash=sha256:{found['content']}" for found in release["hashes"]}
            assert hashes == set(lock.HASH.findall(block))
    inner = [file for part in parts.values() for file in part.get("components", [])]
    for part in [*inner, *(part for part in parts.values() if part["bom-ref"].startswith("file:"))]:
        content = (chapters.ROOT / part["name"]).read_bytes()
        assert part["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    models = {part["name"] for part in parts.values() if part["type"] == "machine-learning-model"}
    assert models >= {
        path.relative_to(chapters.ROOT).as_posix()
        for path in (chapters.ROOT / "l2rclip_lite").glob("*.safetensors")
    }
    assert len(models) == 4
    assert "timestamp" not in BILL["metadata"]
