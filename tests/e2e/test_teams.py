"""What packaging/ has for teams: IAM policies, CloudFormation, Terraform, Packer, SSM. Each is read by a parser or linter of its
own, and their user-data is held against what the program makes."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys

import boto3
import hcl2
import pytest
import yaml
from moto import mock_aws

from gotool import go_install
from harness import TOP
from stubbox import elf

PACKAGING = TOP / "packaging"
IAM = {path.stem: json.loads(path.read_text()) for path in sorted((PACKAGING / "iam").glob("*.json"))}
TEMPLATES = {path.stem: path for path in sorted((PACKAGING / "cloudformation").glob("*.yaml"))}
HCL = sorted([*PACKAGING.glob("terraform/**/*.tf"), *PACKAGING.glob("packer/*.hcl")])


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Sub x is {"Fn::Sub": x}."""


def short_form(loader, suffix, node):
    value = loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", short_form)


def template(name):
    return yaml.load(TEMPLATES[name].read_text(), Loader)


def programs(folder):
    """Heads of programs for both architectures: (arguments of userdata, {arch: SHA-256})."""
    args, sums = [], {}
    for arch, machine in (("x86_64", 62), ("aarch64", 183)):
        path = elf(folder, machine)
        args += ["--agent-file", path]
        sums[arch] = hashlib.sha256(path.read_bytes()).hexdigest()
    return args, sums


HEREDOC = re.compile(r"(<<'RECIPE'\n)(.*?)(?=RECIPE\n\Z)", re.S)


def readable(script):
    """The script with its recipe as text: what one zlib packs another need not pack to the same bytes."""
    return HEREDOC.sub(lambda m: m[1] + gzip.decompress(base64.b64decode(m[2])).decode(), script)


# ---- IAM

def test_the_readme_has_the_same_policy():
    shown, = re.findall(r"```json\n(.*?)```", (TOP / "README.md").read_text(), re.S)
    assert json.loads(shown) == IAM["tag-self"]


def lint(path):
    done = subprocess.run([sys.executable, "-c", "import sys; from cfnlint.runner import main; sys.exit(main())", path], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "", done.stdout + done.stderr


@pytest.mark.parametrize("name", IAM)
def test_iam_policies_by_cfn_lint(tmp_path, name):
    """It knows the actions of AWS's services and the grammar of policies."""
    def wrapped(policy):
        path = tmp_path / "template.json"
        text = json.dumps(policy).replace("BUCKET", "a-bucket").replace("PREFIX", "some/prefix")
        path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Policy": {
            "Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": json.loads(text)}}}}))
        return path

    lint(wrapped(IAM[name]))
    text = json.dumps(IAM[name])
    broken = re.sub(r'"((ec2|s3):[A-Z])', r'"\2:Xyz', text, count=1)
    assert broken != text
    with pytest.raises(AssertionError):
        lint(wrapped(json.loads(broken)))


# ---- CloudFormation

VALUES = {
    "daily-cpu": {"AgentBucket": "agents", "Sha256X8664": "SUM", "Sha256Aarch64": "SUM", "DataBucket": "data", "DataPrefix": "daily"},
    "spot-gpu": {"DataBucket": "data", "DataPrefix": "training", "Image": "ami-12345678"},
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_by_cfn_lint(name):
    lint(TEMPLATES[name])


def resolved(value, params):
    """The intrinsic functions that the templates use."""
    if isinstance(value, list):
        return [resolved(v, params) for v in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Ref"]:
        return params.get(value["Ref"], value["Ref"])
    if list(value) == ["Fn::Sub"]:
        text = re.sub(r"\$\{([A-Za-z0-9:]+)\}", lambda m: params[m[1]], value["Fn::Sub"])
        return text.replace("${!", "${")
    if list(value) == ["Fn::Base64"]:
        return resolved(value["Fn::Base64"], params)
    return {k: resolved(v, params) for k, v in value.items()}


def filled(policy, bucket, prefix):
    return json.loads(json.dumps(policy).replace("BUCKET", bucket).replace("PREFIX", prefix))


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_grant_what_iam_has(name):
    params = {**VALUES[name], "AWS::Partition": "aws"}
    role = resolved(template(name)["Resources"]["Role"], params)
    granted = {p["PolicyName"]: p["PolicyDocument"] for p in role["Properties"]["Policies"]}
    expected = {"tag-self": IAM["tag-self"], "stop-self": IAM["stop-self"],
                "s3-read-write": filled(IAM["s3-read-write"], params["DataBucket"], params["DataPrefix"])}
    if name == "daily-cpu":
        expected["s3-read"] = filled(IAM["s3-read"], "agents", "dsagent")
    assert granted == expected


def user_data(name, params):
    data = template(name)["Resources"]["Template"]["Properties"]["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeType"] == "gp3"
    return resolved(data["UserData"], params)


def test_daily_cpus_user_data_is_the_programs(agent, tmp_path):
    args, sums = programs(tmp_path)
    text = user_data("daily-cpu", {**VALUES["daily-cpu"], "Sha256X8664": sums["x86_64"], "Sha256Aarch64": sums["aarch64"]})
    recipe = agent.recipe(HEREDOC.search(text)[2])
    made = agent.run("userdata", recipe, "--agent", "s3://agents/dsagent/dsagent-{arch}", *args).out
    assert text == readable(made) and len(text) < 16384


@pytest.mark.parametrize("where", ["cloudformation", "terraform"])
def test_spot_gpus_user_data_is_the_recipe(agent, where):
    text = user_data("spot-gpu", {}) if where == "cloudformation" else (PACKAGING / "terraform/gpu.yaml").read_text()
    assert agent.run("userdata", agent.recipe(text)).out == text
    assert text == (PACKAGING / "terraform/gpu.yaml").read_text()


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_become_stacks(name, monkeypatch):
    """By moto: the references hold. It makes no instance of a launch template, so that is looked at itself."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        ec2, iam, stacks = (boto3.client(s, region_name="us-east-1") for s in ("ec2", "iam", "cloudformation"))
        params = {**{k: "0" * 64 if v == "SUM" else v for k, v in VALUES[name].items()},
                  "Subnet": ec2.describe_subnets()["Subnets"][0]["SubnetId"]}
        body = template(name)
        del body["Resources"]["Instance"], body["Outputs"]
        stacks.create_stack(StackName="box", TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_IAM"],
                            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in params.items()])
        assert stacks.describe_stacks(StackName="box")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
        profile, = iam.list_instance_profiles()["InstanceProfiles"]
        made, = ec2.describe_launch_templates()["LaunchTemplates"]
        version, = ec2.describe_launch_template_versions(LaunchTemplateId=made["LaunchTemplateId"])["LaunchTemplateVersions"]
        data = version["LaunchTemplateData"]
        assert data["IamInstanceProfile"] == {"Arn": profile["Arn"]} and len(profile["Roles"]) == 1
        assert len(iam.list_role_policies(RoleName=profile["Roles"][0]["RoleName"])["PolicyNames"]) == (4 if name == "daily-cpu" else 3)
        assert base64.b64decode(data["UserData"]).decode() == user_data(name, params)


# ---- SSM

def document():
    return yaml.safe_load((PACKAGING / "ssm/dsagent-apply.yaml").read_text())


def ssm_script(values):
    script, = document()["mainSteps"][0]["inputs"]["runCommand"]
    return re.sub(r"\{\{ (\w+) \}\}", lambda m: values[m[1]], script)


def test_the_ssm_document_by_cfn_lint(tmp_path):
    """It has AWS's schema of documents."""
    def wrapped(content):
        path = tmp_path / "template.json"
        path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Document": {
            "Type": "AWS::SSM::Document", "Properties": {"DocumentType": "Command", "Content": content}}}}))
        return path

    lint(wrapped(document()))
    with pytest.raises(AssertionError):
        lint(wrapped({**document(), "schemaVersion": "9"}))
    # Deeper that schema does not look: Systems Manager User Guide, "Data elements and parameters", schema 2.2.
    step, = document()["mainSteps"]
    assert set(document()) == {"schemaVersion", "description", "parameters", "mainSteps"}
    assert set(step) == {"action", "name", "precondition", "inputs"} and step["action"] == "aws:runShellScript"
    assert step["precondition"] == {"StringEquals": ["platformType", "Linux"]} and set(step["inputs"]) == {"timeoutSeconds", "runCommand"}
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(step)))
    assert used == set(document()["parameters"])
    assert all(set(p) <= {"type", "description", "default", "allowedPattern"} and p["type"] == "String" for p in document()["parameters"].values())


def test_the_ssm_script_is_the_programs(agent, tmp_path):
    args, sums = programs(tmp_path)
    recipe = agent.recipe("steps: [{file: {path: /etc/motd, content: fleet}}]\n")
    made = agent.run("userdata", recipe, "--agent", "s3://agents/dsagent-{arch}", *args).out
    packed = HEREDOC.search(made)[2].replace("\n", "")
    values = {"Agent": "s3://agents/dsagent-{arch}", "Sha256X8664": sums["x86_64"], "Sha256Aarch64": sums["aarch64"], "Recipe": packed}
    for name, value in values.items():
        assert re.search(document()["parameters"][name]["allowedPattern"], value), name
    unfolded = HEREDOC.sub(lambda m: m[1] + packed + "\n", made)
    assert ssm_script(values) == unfolded.replace('"$bin" boot -', '"$bin" apply -')
    # And the program takes it.
    agent.run("apply", "-", stdin=packed + "\n")
    assert (agent.tree / "etc/motd").read_text() == "fleet"


@pytest.mark.parametrize("value", ["x'; rm -rf /; '", "$(id)", "s3://b/k\nid", "https://x/`id`"])
def test_ssm_parameters_are_no_way_in(value):
    for name, parameter in document()["parameters"].items():
        assert not re.search(parameter["allowedPattern"] + r"\Z", value), name


@pytest.mark.parametrize("name", ["ssm", "bake", "daily-cpu"])
def test_scripts_by_shellcheck(tmp_path, name):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    path = tmp_path / "script"
    path.write_text({"ssm": lambda: ssm_script({"Agent": "s3://b/k", "Sha256X8664": "0", "Sha256Aarch64": "0", "Recipe": "AA=="}),
                     "bake": lambda: (PACKAGING / "packer/bake.sh").read_text(),
                     "daily-cpu": lambda: user_data("daily-cpu", VALUES["daily-cpu"])}[name]())
    done = subprocess.run(["shellcheck", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---- Terraform and Packer

@pytest.mark.parametrize("path", HCL, ids=lambda p: p.name + "-" + p.parent.name)
def test_hcl_by_hashicorps_parser(tmp_path, path):
    """hclfmt: the parser of Terraform and Packer, and the one format."""
    tool, reason = go_install("github.com/hashicorp/hcl/v2/cmd/hclfmt", "v2.24.0")
    if not tool:
        pytest.skip(reason)
    assert subprocess.run([tool, "-check", path], capture_output=True, text=True).returncode == 0
    broken = tmp_path / path.name
    broken.write_text(path.read_text().replace("}", "", 1))
    assert subprocess.run([tool, "-check", broken], capture_output=True, text=True).returncode != 0


def bare(text):
    return text.strip('"') if isinstance(text, str) else text


@pytest.mark.parametrize("folder", sorted({p.parent for p in HCL}), ids=lambda p: p.name)
def test_hcl_references_hold(folder):
    """By another parser: everything that is named is declared, and nothing is declared in vain."""
    files = [p for p in HCL if p.parent == folder]
    text = "\n".join(re.sub("#.*", "", p.read_text()) for p in files)
    parsed = [hcl2.loads(p.read_text()) for p in files]
    names = lambda kind: {bare(n) for doc in parsed for block in doc.get(kind, []) for n in block if not n.startswith("__")}
    assert set(re.findall(r"\bvar\.(\w+)", text)) == names("variable")
    assert set(re.findall(r"\bmodule\.(\w+)", text)) == names("module")
    resources = {f"{bare(kind)}.{bare(n)}" for doc in parsed for block in doc.get("resource", [])
                 for kind, named in block.items() if isinstance(named, dict) for n in named if not n.startswith("__")}
    assert set(re.findall(r"(?<!data\.)\b(aws_\w+\.\w+)", text)) <= resources
    for named in re.findall(r'file\("\$\{(?:path\.module|path\.root|local\.iam)\}/([^"$]+)"\)', text):
        base = folder / "../../iam" if named.endswith(".json") else folder
        assert (base / named).exists(), named


def test_terraforms_box_gives_the_module_what_it_takes():
    box, = [hcl2.loads(p.read_text()) for p in HCL if p.parent.name == "box"]
    main, = [hcl2.loads(p.read_text()) for p in HCL if p.parent.name == "terraform"]
    takes = {bare(n): "default" in v for block in box["variable"] for n, v in block.items() if not n.startswith("__")}
    for block in main["module"]:
        for name, arguments in block.items():
            if name.startswith("__"):
                continue
            given = {k for k in arguments if not k.startswith("__")} - {"source"}
            assert given <= set(takes) and {k for k, has_default in takes.items() if not has_default} <= given, name
    instance = next(v for block in box["resource"] for k, named in block.items() if bare(k) == "aws_instance" for v in named.values())
    options, disk = instance["metadata_options"][0], instance["root_block_device"][0]
    assert (bare(options["http_tokens"]), options["http_put_response_hop_limit"], bare(disk["volume_type"])) == ("required", 1, "gp3")


def test_terraform_leaves_every_tag_of_the_program_alone():
    used = set(re.findall(r'"(dsagent:[a-z-]+)"', "".join(p.read_text() for p in (TOP / "agent/report").glob("*.c"))))
    assert used == set(re.findall(r'tags\["(dsagent:[a-z-]+)"\]', (PACKAGING / "terraform/box/main.tf").read_text()))
