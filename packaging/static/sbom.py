#!/usr/bin/env python3
"""What is inside the static program, as CycloneDX 1.5: from the manifest, and the patches that were fetched with it.

The same program gives the same bytes: no time of day, and a serial number that is made of the content.
"""
import argparse
import hashlib
import json
import re
import sys
import tarfile
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
POOL = "https://deb.debian.org/debian/pool/"


def stanzas(text):
    """The manifest's sources: a dictionary each, in order."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if re.match(r"[a-z0-9-]+: ", line))
        if "name" in fields:
            found.append(fields)
    return found


def applied(archive, left_out):
    """Names of the patches in a debian.tar.xz that build.sh applies, in the order of its series."""
    with tarfile.open(archive) as tar:
        series = tar.extractfile("debian/patches/series").read().decode()
    names = [line.split(" ")[0] for line in series.splitlines() if line.split(" ")[0] and not line.startswith("#")]
    return [n for n in names if not (left_out and re.search(left_out, n))]


def patch(name, archive):
    cves = sorted(set(re.findall(r"CVE-\d{4}-\d{4,}", name)))
    entry = {"type": "backport", "diff": {"url": f"{POOL}{archive}#debian/patches/{name}"}}
    if cves:
        entry["resolves"] = [{"type": "security", "id": c, "source": {"name": "CVE"}} for c in cves]
    return entry


def licenses(expression):
    return [{"expression": expression}] if " " in expression else [{"license": {"id": expression}}]


def component(fields, sources):
    name, version = fields["name"], fields["version"]
    ref = f"pkg:generic/{name}@{version}"
    made = {
        "type": "library", "bom-ref": ref, "name": name, "version": version, "licenses": licenses(fields["license"]),
        "purl": f"{ref}?checksum=sha256:{fields['sha256']}&download_url={fields['source']}",
        "externalReferences": [
            {"type": "website", "url": fields["homepage"]},
            {"type": "distribution", "url": fields["source"], "hashes": [{"alg": "SHA-256", "content": fields["sha256"]}]},
        ],
    }
    if "cpe" in fields:
        made["cpe"] = f"cpe:2.3:a:{fields['cpe']}:{version}:*:*:*:*:*:*:*"
    if "patches" in fields:
        names = applied(sources / f"{name}-{version}.patches", fields.get("patches-not"))
        made["externalReferences"].append(
            {"type": "distribution", "url": POOL + fields["patches"], "comment": "the patches applied to it",
             "hashes": [{"alg": "SHA-256", "content": fields["patches-sha256"]}]})
        made["pedigree"] = {"patches": [patch(n, fields["patches"]) for n in names]}
    if "changed" in fields:
        made.setdefault("pedigree", {})["notes"] = fields["changed"]
    return made


def libgcc(version):
    """A few functions that gcc itself adds."""
    ref = f"pkg:generic/libgcc@{version}"
    return {"type": "library", "bom-ref": ref, "name": "libgcc", "version": version, "purl": ref,
            "licenses": licenses("GPL-3.0-or-later WITH GCC-exception-3.1"),
            "externalReferences": [{"type": "website", "url": "https://gcc.gnu.org"}]}


def bill(args):
    program = args.program.read_bytes()
    sources = [s for s in stanzas((HERE / "manifest").read_text()) if s.get("use") != "tests"]
    parts = [component(s, args.sources) for s in sources] + [libgcc(args.compiler)]
    ref = f"pkg:generic/dsagent@{args.version}?arch={args.arch}"
    content = {
        "metadata": {"component": {
            "type": "application", "bom-ref": ref, "name": "dsagent", "version": args.version, "purl": ref,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(program).hexdigest()}]}},
        "components": parts,
        "dependencies": [{"ref": ref, "dependsOn": [p["bom-ref"] for p in parts]}] + [{"ref": p["bom-ref"]} for p in parts],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {"$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.5",
            "serialNumber": f"urn:uuid:{serial}", "version": 1, **content}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--compiler", required=True, help="gcc's version")
    parser.add_argument("program", type=Path)
    json.dump(bill(parser.parse_args()), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
