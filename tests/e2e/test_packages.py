"""The packages themselves: contents, architectures, manual pages, linters. What they do to a system: tests/rig/test_package_*.py."""

import gzip
import re
import shutil
import subprocess

import jsonschema
import packaged
import pytest
import yaml

from harness import BINARY, BUILD, TOP
from stubbox import elf


def run(*command, **how):
    done = subprocess.run(command, capture_output=True, text=True, **how)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def static_program(tmp_path_factory):
    """The release's own where it has been built, else one that links as it does: linters judge the package."""
    release = TOP / f"build/static/dsagent-{run('uname', '-m').strip()}"
    if release.exists() and (release.parent / "THIRD-PARTY-NOTICES").exists():
        return release
    folder = tmp_path_factory.mktemp("stand-in")
    (folder / "THIRD-PARTY-NOTICES").write_text("as long as a document that Debian packs\n" * 200)
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    run("cc", "-static-pie", "-s", "-o", folder / "dsagent", folder / "main.c")
    run("objcopy", "-R", ".comment", folder / "dsagent")
    return folder / "dsagent"


@pytest.fixture(scope="module")
def packages(static_program, tmp_path_factory):
    """By the commands of the readme: {kind: path}."""
    out = tmp_path_factory.mktemp("dist")
    printed = run("make", "-s", "-C", TOP, "-o", BUILD / "dsagent", f"B={BUILD}", f"BIN={static_program}", f"DIST={out}", "deb", "rpm")
    files = sorted(out.iterdir())
    assert [line.strip() for line in printed.splitlines() if line.startswith("  /")] == [str(f) for f in sorted(files, reverse=True)]
    return {f.suffix[1:]: f for f in files}


def contents(package):
    """({path: mode} of the files, [folders])."""
    if package.suffix == ".deb":
        rows = [(line.split()[0], line.split()[5][1:]) for line in run("dpkg-deb", "-c", package).splitlines()]
    else:
        rows = [(line.split()[0], line.split()[8]) for line in run("rpm", "-qlvp", package).splitlines()]
    bits = {"rwx": "7", "rw-": "6", "r-x": "5", "r--": "4"}
    octal = {path: "".join(bits[mode[i:i + 3]] for i in (1, 4, 7)) for mode, path in rows if mode[0] == "-"}
    return octal, [path.rstrip("/") for mode, path in rows if mode[0] == "d"]


def test_what_is_in_them(packages):
    files, folders = contents(packages["rpm"])
    assert files == {**packaged.FILES, **packaged.LICENSE, **packaged.RPM_NOTICES} and folders == packaged.FOLDERS
    assert f"{packaged.RPM_LOGIN[0]} -> {packaged.RPM_LOGIN[1]}" in run("rpm", "-qlvp", packages["rpm"])
    files, folders = contents(packages["deb"])
    assert files == {**packaged.FILES, **packaged.DEB_DOC, **packaged.DEB_LOGIN, **packaged.DEB_NOTICES}
    assert [f for f in folders if "/dsagent" in f] == sorted([*packaged.FOLDERS, "/usr/share/doc/dsagent"])
    assert run("rpm", "-qp", "--configfiles", packages["rpm"]) == "/etc/dsagent/dsagent.yaml\n"
    assert run("dpkg-deb", "-I", packages["deb"], "conffiles") == "/etc/dsagent/dsagent.yaml\n/etc/update-motd.d/99-dsagent\n"


def in_deb(package, path):
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True).stdout
    return subprocess.run(["tar", "-xO", f".{path}"], input=archive, capture_output=True, check=True).stdout


def test_the_licences_of_what_is_inside(packages, static_program):
    """The RPM's field, the DEB's copyright file, and in both the libraries' own notices."""
    notices = static_program.parent / "THIRD-PARTY-NOTICES"
    names = [f"({f['license']})" if " OR " in f["license"] else f["license"] for f in packaged.libraries()]
    assert run("rpm", "-qp", "--qf", "%{LICENSE}", packages["rpm"]) == " AND ".join(dict.fromkeys(["Apache-2.0", *names]))
    assert run("rpm", "-qp", "--licensefiles", packages["rpm"]).split() == [*packaged.LICENSE, *packaged.RPM_NOTICES]
    row, = [line for line in run("rpm", "-qp", "--dump", packages["rpm"]).splitlines() if line.split()[0] in packaged.RPM_NOTICES]
    assert row.split()[3] == packaged.sha256(notices)
    path, = packaged.DEB_NOTICES
    assert gzip.decompress(in_deb(packages["deb"], path)) == notices.read_bytes()
    copyright_file = in_deb(packages["deb"], "/usr/share/doc/dsagent/copyright").decode()
    assert re.findall(r"^Files: (.*)\nCopyright: .*\nLicense: (.*)$", copyright_file, re.M) == \
        [("*", "Apache-2.0"), *((f"{f['name']}-{f['version']}/*", f["license"].replace(" OR ", " or ")) for f in packaged.libraries())]
    assert copyright_file.count(path) == len(packaged.libraries())


def test_make_install_is_the_same(tmp_path):
    run("make", "-s", "-C", TOP, "-o", BUILD / "dsagent", f"B={BUILD}", f"DESTDIR={tmp_path}", "PREFIX=/opt/x", "MOTD=update-motd.d", "install")
    found = {f"/{p.relative_to(tmp_path)}": oct(p.stat().st_mode & 0o777)[2:] for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {re.sub("^/usr/", "/opt/x/", path): mode for path, mode in
                     {**packaged.FILES, **packaged.LICENSE, **packaged.DEB_LOGIN}.items()}
    assert (tmp_path / "etc/dsagent/recipes.d").is_dir()
    assert "/opt/x/bin/dsagent status --motd" in (tmp_path / "etc/update-motd.d/99-dsagent").read_text()
    unit = (tmp_path / "opt/x/lib/systemd/system/dsagent.service").read_text()
    assert "\nExecStart=/opt/x/bin/dsagent apply --boot\n" in unit
    assert packaged.sha256(tmp_path / "opt/x/bin/dsagent") == packaged.sha256(BINARY) or BINARY.parent != BUILD


def test_make_install_needs_the_program(tmp_path):
    (tmp_path / "dsagent").touch()
    done = subprocess.run(["make", "-s", "-C", TOP, "-o", tmp_path / "dsagent", f"B={tmp_path}", f"DESTDIR={tmp_path}/root", "install"],
                          capture_output=True, text=True)
    assert done.returncode and "dsagent" in done.stderr


def test_a_machine_of_another_kind_and_the_same_bytes_twice(tmp_path):
    arm = elf(tmp_path, 183)
    deb, rpm = (packaged.build(kind, "1.2.3", arm, tmp_path / "one") for kind in ("deb", "rpm"))
    assert (deb.name, rpm.name) == ("dsagent_1.2.3_arm64.deb", "dsagent-1.2.3-1.aarch64.rpm")
    assert run("dpkg-deb", "-f", deb, "Architecture", "Version") == "Architecture: arm64\nVersion: 1.2.3\n"
    assert run("rpm", "-qp", "--qf", "%{ARCH} %{VERSION} %{OS} %{BUILDHOST}", rpm) == "aarch64 1.2.3 linux localhost"
    for package, kind in ((deb, "deb"), (rpm, "rpm")):
        again = packaged.build(kind, "1.2.3", arm, tmp_path / "two")
        assert packaged.sha256(package) == packaged.sha256(again), f"{kind}: not reproducible"


def test_what_is_not_static_is_labelled(tmp_path, packages, static_program):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert "NOT FOR RELEASE" in run("dpkg-deb", "-f", packaged.build("deb", "1", "/bin/true", tmp_path), "Description")
    assert "NOT FOR RELEASE" in run("rpm", "-qpi", packaged.build("rpm", "1", script, tmp_path))
    alone = shutil.copy(static_program, tmp_path / "dsagent")
    assert "the notices of the libraries in it are missing" in run("dpkg-deb", "-f", packaged.build("deb", "1", alone, tmp_path), "Description")
    assert "NOT FOR RELEASE" not in run("dpkg-deb", "-f", packages["deb"], "Description") + run("rpm", "-qpi", packages["rpm"])


@pytest.mark.parametrize("kind, tool", [("deb", ["lintian"]), ("rpm", ["rpmlint", "-c", TOP / "rpm/rpmlint.toml"])])
def test_linters_have_nothing_to_say(packages, kind, tool):
    if not shutil.which(tool[0]):
        pytest.skip(f"{tool[0]} is not installed")
    done = subprocess.run([*tool, packages[kind]], capture_output=True, text=True)
    assert done.returncode == 0 and re.findall(r"^.*\b[EW]: .*", done.stdout, re.M) == [], done.stdout


@pytest.mark.parametrize("page", ["dsagent.1", "dsagent-recipe.5"])
def test_the_manual_is_that_of_the_program(agent, tmp_path, page):
    text = run("sh", TOP / "packaging/man/make.sh", BINARY, TOP / f"packaging/man/{page}.in")
    path = tmp_path / page
    path.write_text(text)
    for tool in (["mandoc", "-T", "lint", "-W", "warning"], ["groff", "-t", "-mandoc", "-ww", "-z", "-Tutf8"]):
        if not shutil.which(tool[0]):
            pytest.skip(f"{tool[0]} is not installed")
        done = subprocess.run([*tool, path], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout + done.stderr == "", done
    if page == "dsagent.1":
        for command in re.findall(r"^  ([a-z]+) ", agent.run("help").out, re.M):
            assert f".Ss dsagent {command} " in text
            for option in re.findall(r"--([a-z-]+)", agent.run("help", command).out.split("Options:")[1].split("Example:")[0]):
                assert "Fl \\-\\&" + option.replace("-", "\\-") in text, (command, option)
    else:
        for step in re.findall(r"^  ([a-z_]+) ", agent.run("explain").out, re.M):
            assert f".Ss {step}\n" in text


def test_the_example_of_the_settings_is_right(agent, tmp_path):
    """As it stands it sets nothing; with its examples uncommented it has nothing that doctor would complain of."""
    text = (TOP / "packaging/dsagent.yaml").read_text()
    assert all(line.startswith("#") for line in text.splitlines())
    schema = agent.run("schema", "--config").json()
    told = "\n".join(m[1] for m in re.finditer(r"^# ((?:  )?[a-z]+: ?.*)$", text, re.M) if not m[1].endswith(":") or m[1].count(" ") == 0)
    jsonschema.validate(yaml.safe_load(told), schema)
    assert set(yaml.safe_load(told)) == set(schema["anyOf"][0]["properties"])
