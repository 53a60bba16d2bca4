"""The bill of materials: valid, whole, and of this program."""

import hashlib
import json
import pathlib
import re

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from harness import BINARY
from packaged import libraries

BILL = pathlib.Path(f"{BINARY}.cdx.json")


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
    assert [c["name"] for c in bill["components"]] == [*(f["name"] for f in libraries()), "libgcc"]
    for fields in libraries():
        found = [c for c in bill["components"] if c["name"] == fields["name"]]
        assert [c["version"] for c in found] == [fields["version"]]
        assert fields["license"] in json.dumps(found[0]["licenses"])
        text = json.dumps(found[0]["externalReferences"])
        assert fields["source"] in text and fields["sha256"] in text
        if "patches" in fields:
            assert fields["patches-sha256"] in text and found[0]["pedigree"]["patches"]


# What is in the notice of each, but for its licence.
HOLDERS = {
    "musl": ["Rich Felker, et al.", "2011 by Valentin Ochs"], "mimalloc": ["Microsoft Corporation, Daan Leijen"],
    "zlib": ["Jean-loup Gailly and Mark Adler"], "openssl": ["Apache License\n"], "c-ares": ["Daniel Stenberg with many contributors"],
    "curl": ["Daniel Stenberg, <daniel@haxx.se>"], "libyaml": ["Kirill Simonov"], "jansson": ["Petri Lehtinen"],
    "expat": ["Expat maintainers"], "zstd": ["Meta Platforms, Inc."], "xz": ["Permission to use, copy, modify, and/or distribute"],
    "libarchive": ["Tim Kientzle", "The NetBSD Foundation"],
}


def test_the_notices_of_all_of_it():
    text = (BINARY.parent / "THIRD-PARTY-NOTICES").read_text()
    parts = re.split(r"^=+\n(.*) (.*), (.*)\n(.*)\n=+\n", text, flags=re.M)
    heads = [tuple(parts[i:i + 4]) for i in range(1, len(parts), 5)]
    assert heads == [(f["name"], f["version"], f["license"], f["homepage"]) for f in libraries()]
    for head, body in zip(heads, parts[5::5], strict=True):
        assert [h for h in HOLDERS[head[0]] if h not in body] == [] and len(body) > 500, head
