"""The bill of materials: valid, whole, and of this program."""

import hashlib
import json
import pathlib
import re

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from harness import BINARY, TOP

BILL = pathlib.Path(f"{BINARY}.cdx.json")
MANIFEST = (TOP / "packaging/static/manifest").read_text()


@pytest.fixture(scope="module")
def bill():
    assert BILL.exists(), f"{BILL} is missing: make sbom"
    return json.loads(BILL.read_text())


def test_it_is_cyclonedx(bill):
    validator = JsonStrictValidator(SchemaVersion.V1_5)
    assert validator.validate_str(BILL.read_text()) is None
    assert validator.validate_str(BILL.read_text().replace('"Apache-2.0"', '"Apache-two"')) is not None


def test_it_is_of_this_program(bill):
    about = bill["metadata"]["component"]
    assert about["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(BINARY.read_bytes()).hexdigest()}]


def test_everything_is_in_it(bill):
    for block in re.split(r"\n\s*\n", MANIFEST):
        fields = dict(re.findall(r"^([a-z0-9-]+): (.*)$", block, re.M))
        if "name" not in fields:
            continue
        found = [c for c in bill["components"] if c["name"] == fields["name"]]
        if fields.get("use") == "tests":
            assert not found, fields["name"]
            continue
        assert [c["version"] for c in found] == [fields["version"]]
        assert fields["license"] in json.dumps(found[0]["licenses"])
        text = json.dumps(found[0]["externalReferences"])
        assert fields["source"] in text and fields["sha256"] in text
        if "patches" in fields:
            assert fields["patches-sha256"] in text and found[0]["pedigree"]["patches"]
    assert "libgcc" in [c["name"] for c in bill["components"]]
