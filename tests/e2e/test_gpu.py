"""The GPU gate: a tree that looks like a GPU instance, a stub nvidia-smi that prints recorded texts, a stub libcuda."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from harness import children_of, is_alive, tree_hash, wait_until

ROW = ("{0}, 00000000:{1}, 0x1EB810DE, Tesla T4, GPU-{0}, 580.105.08, 15360, 0, Enabled, P8, 30, 9.00, 70.00, 0, Default, "
       "Enabled, Enabled, 0, 0, No, [N/A], 3, 3, 8, 16, 0x0000000000000001\n")
T4 = ROW.format(0, "00:1E.0")
HELP = "".join(f'"{name}"\ntext\n' for name in ("compute_cap", "remapped_rows.pending", "remapped_rows.failure",
                                               "fabric.state", "fabric.status", "gpu_recovery_action"))
MORE = "00000000:00:1E.0, 7.5, [N/A], [N/A], [N/A], [N/A], None\n"

# Prints texts[$1's kind] and ends with its status; each call is written down.
SMI = """#!{python}
import json, sys, time
texts = json.load(open({texts!r}))
kind = "help" if sys.argv[1] == "--help-query-gpu" else "more" if "=pci.bus_id" in sys.argv[1] else "base"
kind = "other" if not sys.argv[1].startswith(("--query-gpu", "--help")) else kind
open({calls!r}, "a").write(kind + "\\n")
text, status = texts.get(kind, ["", 0])
sys.stdout.write(text)
sys.stdout.flush()
if status < 0:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
sys.exit(status)
"""

# As much of the CUDA Driver API as the probe uses; STUB_CUDA says what goes wrong.
LIBCUDA = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char memory[1 << 20];
static int is(const char *what) { const char *mode = getenv("STUB_CUDA"); return mode && !strcmp(mode, what); }
int cuDriverGetVersion(int *v) { *v = 13020; return 0; }
int cuInit(unsigned flags) { if (is("hang")) for (;;) pause(); return is("802") ? 802 : is("999") ? 999 : flags; }
int cuDeviceGetCount(int *n) { const char *v = getenv("CUDA_VISIBLE_DEVICES"); *n = is("none") || v ? 0 : 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Tesla T4", n); return d; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = memory; return is("memory") ? 2 : d; }
int cuCtxSetCurrent(void *c) { return c ? 0 : 1; }
int cuMemAlloc_v2(unsigned long long *p, size_t n) { *p = (unsigned long long)(size_t)memory; return n != sizeof memory; }
int cuMemcpyHtoD_v2(unsigned long long p, const void *s, size_t n) { memcpy((void *)(size_t)p, s, n); return 0; }
int cuMemcpyDtoH_v2(void *d, unsigned long long p, size_t n) {
    memcpy(d, (void *)(size_t)p, n);
    if (is("flip")) ((char *)d)[n - 1] ^= 1;
    if (is("crash")) abort();
    return 0;
}
int cuMemFree_v2(unsigned long long p) { return !p; }
int cuDevicePrimaryCtxRelease_v2(int d) { return d; }
int cuGetErrorName(int r, const char **s) { *s = r == 802 ? "CUDA_ERROR_SYSTEM_NOT_READY" : "CUDA_ERROR_STUB"; return 0; }
"""

TORCH = """#!/bin/sh
echo "torch=2.9.0 cuda=12.8 avail=True n=1 cc=75 arch=sm_75,sm_80"
echo op=ok
"""


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


class Gpu:
    """Makes an agent's tree a g4dn.xlarge with a healthy driver."""

    def __init__(self, agent, instance="g4dn.xlarge", gpus=1):
        self.agent, self.tree = agent, agent.tree
        self.bin, self.texts, self.calls_path = (agent.folder / n for n in ("gpu-bin", "gpu-texts", "gpu-calls"))
        write(self.tree / "sys/class/dmi/id/product_name", instance + "\n")
        write(self.tree / "proc/sys/kernel/osrelease", "6.8.0-1021-aws\n")
        for n, slot in enumerate(("1b", "1c", "1d", "1e")[-gpus:]):
            card = self.tree / f"sys/bus/pci/devices/0000:00:{slot}.0"
            for name, text in (("vendor", "0x10de"), ("class", "0x030200"), ("device", "0x1eb8")):
                write(card / name, text + "\n")
            (card / "driver").symlink_to("../../../../bus/pci/drivers/nvidia")
            write(self.tree / f"dev/nvidia{n}", "", 0o666)
        for name in ("nvidiactl", "nvidia-uvm"):
            write(self.tree / "dev" / name, "", 0o666)
        write(self.tree / "sys/module/nvidia/version", "580.105.08\n")
        write(self.tree / "sys/module/nvidia/initstate", "live\n")
        write(self.tree / "sys/module/nvidia_uvm/refcnt", "0\n")
        for name in ("libcuda.so", "libnvidia-ml.so"):
            self.library(name, "580.105.08")
        self.says(base=[T4, 0], help=[HELP, 0], more=[MORE, 0])
        write(self.bin / "nvidia-smi", SMI.format(python=sys.executable, texts=str(self.texts), calls=str(self.calls_path)), 0o755)
        agent.env["PATH"] = f"{self.bin}:{agent.env['PATH']}"

    def library(self, name, version):
        folder = self.tree / "usr/lib/x86_64-linux-gnu"
        write(folder / f"{name}.{version}", "ELF")
        (folder / f"{name}.1").unlink(missing_ok=True)
        (folder / f"{name}.1").symlink_to(f"{name}.{version}")

    def says(self, **texts):
        write(self.texts, json.dumps(texts))

    def calls(self):
        return self.calls_path.read_text().split() if self.calls_path.exists() else []

    def torch(self, text=TORCH):
        write(self.tree / "opt/pytorch/bin/python", text, 0o755)


@pytest.fixture(scope="session")
def libcuda(tmp_path_factory):
    """The folder of a stub libcuda.so.1."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler for the stub libcuda")
    folder = tmp_path_factory.mktemp("libcuda")
    (folder / "cuda.c").write_text(LIBCUDA)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "cuda.c"], check=True)
    return folder


@pytest.fixture
def gpu(agent, libcuda):
    if os.path.exists("/dev/nvidiactl"):
        pytest.skip("this machine has a GPU of its own")
    agent.env["LD_LIBRARY_PATH"] = str(libcuda)
    return Gpu(agent)


def codes(run):
    return [f["code"] for f in run.json()["findings"] if f["severity"] != "info"]


def test_a_healthy_gpu(gpu):
    gpu.torch()
    before = tree_hash(gpu.tree)
    run = gpu.agent.run("doctor", "gpu", "--json")
    found = run.json()
    assert (found["status"], found["verdict"]) == ("ok", "ok 1x T4 driver 580.105.08 cuda 13.2 torch 2.9.0"), run
    assert found["gpus"] == [{"address": "0000:00:1e.0", "device": "10de:1eb8", "name": "Tesla T4", "memory_mib": 15360}]
    assert (found["instance_type"], found["expected"], found["driver"]) == ("g4dn.xlarge", 1, "580.105.08")
    assert gpu.calls() == ["base", "help", "more"]
    table = gpu.agent.run("doctor", "gpu").out
    assert table.startswith("ok 1x T4 driver 580.105.08 cuda 13.2 torch 2.9.0\n  0  0000:00:1e.0  Tesla T4  15360 MiB\n"), table
    assert tree_hash(gpu.tree) == before


@pytest.mark.parametrize("text, status, code, remedy", [
    ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.144\n", 18, "drv-mismatch", "reboot"),
    ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA "
     "driver is installed and running.\n", 9, "smi-exec", "reboot"),
    ("No devices were found\n", 6, "drv-init", "reboot"),
    ("Failed to initialize NVML: Unknown Error\n", 255, "smi-exec", "reboot"),
    ("Unable to determine the device handle for GPU0000:00:1E.0: Unknown Error\n", 0, "gpu-lost", "replace"),
    (T4.replace("15360, 0,", "[GPU requires reset], [GPU requires reset],"), 0, "gpu-err", "reboot"),
    (T4.replace(", 0, 0, No", ", 5, 5, No"), 0, "ecc-unc", "replace"),
    (T4.replace(", 0, 0, No", ", 0, 0, Yes"), 0, "page-retire", "reboot"),
    (T4[:60], 0, "smi-exec", "reboot"),
    ("", 0, "smi-exec", "reboot"),
])
def test_what_nvidia_smi_says_is_a_verdict(gpu, text, status, code, remedy):
    gpu.says(base=[text, status], help=[HELP, 0], more=[MORE, 0])
    run = gpu.agent.run("doctor", "gpu", "--json", code=1)
    assert run.json()["verdict"] == f"fail {code} {remedy}" and codes(run) == [code], run
    assert f"fail  {code}: " in gpu.agent.run("doctor", "gpu", code=1).out


def test_one_of_four_is_lost(agent, libcuda):
    four = Gpu(agent, "g4dn.12xlarge", 4)
    rows = [ROW.format(n, f"00:{slot}.0") for n, slot in enumerate(("1B", "1C", "1D", "1E"))]
    rows[2] = "Unable to determine the device handle for GPU2: 0000:00:1D.0: Unknown Error\n"
    four.says(base=["".join(rows), 0], help=[HELP, 0])
    run = agent.run("doctor", "gpu", "--json", code=1)
    lost = next(f for f in run.json()["findings"] if f["code"] == "gpu-lost")
    assert lost["text"].startswith("GPU 2 (0000:00:1d.0) is on the bus, but nvidia-smi does not show it"), run
    assert lost["evidence"] == rows[2].strip()


@pytest.mark.parametrize("kind", ["base", "help", "more"])
def test_a_hanging_nvidia_smi_delays_nothing(gpu, kind):
    texts = {"base": [T4, 0], "help": [HELP, 0], "more": [MORE, 0]}
    texts[kind] = ["half an answer\n", -1]
    gpu.says(**texts)
    run = gpu.agent.run("doctor", "gpu", "--timeout", "2s", "--json", code=1)
    assert "gpu-hung" in codes(run) and run.json()["verdict"] == "fail gpu-hung reboot", run
    assert run.seconds < 20
    assert run.json()["ms"]["cuda"] == 0  # what hangs once is not asked again


@pytest.mark.parametrize("mode, says", [
    ("802", "error 802: the NVLink fabric is not up"),
    ("999", "error 999: the nvidia-uvm module is missing or stale"),
    ("none", "CUDA sees 0 of 1 GPUs"),
    ("memory", "on GPU 0 with error 2: a GPU's memory is full"),
    ("flip", "on GPU 0 gave back other data than it was sent"),
    ("crash", "the CUDA probe ended too early (signal 6)"),
])
def test_cuda_that_does_not_work(gpu, mode, says):
    gpu.torch()
    run = gpu.agent.run("doctor", "gpu", "--json", code=1, env={"STUB_CUDA": mode})
    assert codes(run) == ["cuda-init"] and says in run.json()["findings"][0]["text"], run
    assert run.json()["cuda"] == "13.2" and run.json()["torch"] is None


def test_cuda_that_hangs(gpu):
    run = gpu.agent.run("doctor", "gpu", "--timeout", "3s", "--json", code=1, env={"STUB_CUDA": "hang"})
    assert codes(run) == ["gpu-hung"] and run.seconds < 25, run


def test_the_callers_choice_of_gpus_does_not_count(gpu):
    gpu.agent.run("doctor", "gpu", env={"CUDA_VISIBLE_DEVICES": ""})


def test_without_libcuda(gpu):
    del gpu.agent.env["LD_LIBRARY_PATH"]
    run = gpu.agent.run("doctor", "gpu", "--json", code=1)
    assert codes(run) == ["cuda-init"] and "libcuda.so.1 cannot be loaded" in run.json()["findings"][0]["text"]


def test_without_nvidia_smi(gpu):
    (gpu.bin / "nvidia-smi").unlink()
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has an nvidia-smi of its own")
    run = gpu.agent.run("doctor", "gpu", "--json", code=1)
    assert run.json()["verdict"] == "fail smi-missing fix", run


@pytest.mark.parametrize("text, code", [
    ('#!/bin/sh\necho "torch=2.9.0+cpu cuda=None avail=False n=0 cc=- arch=-"\necho op=ok\n', "torch-cpu"),
    ("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n", None),
    ("#!/bin/sh\nkill -ILL $$\n", "torch-import"),
])
def test_torch_that_does_not_work(gpu, text, code):
    gpu.torch(text)
    run = gpu.agent.run("doctor", "gpu", "--json", code=1 if code else 0)
    assert codes(run) == ([code] if code else []), run


def test_files_are_judged_before_anything_is_started(gpu):
    gpu.library("libcuda.so", "595.91.07")
    run = gpu.agent.run("doctor", "gpu", "--json", code=1)
    assert run.json()["verdict"] == "fail drv-mismatch reboot" and gpu.calls() == [], run


def test_no_gpu_is_fine_unless_one_is_due(agent):
    assert agent.run("doctor", "gpu", "--json").json()["status"] == "none"
    assert agent.run("doctor", "gpu").out.startswith("none\n")
    write(agent.tree / "sys/class/dmi/id/product_name", "g5.xlarge\n")
    run = agent.run("doctor", "gpu", "--json", code=1)
    assert codes(run) == ["gpu-none"] and run.json()["expected"] == 1, run


def test_doctor_alone_names_each_part(agent):
    before = tree_hash(agent.tree)
    run = agent.run("doctor", "--json", code=None)
    rows = {row["check"]: row for row in run.json()["checks"]}
    assert list(rows) == ["metadata", "clock", "disk", "memory", "locks", "systemd", "credentials", "gpu"], run
    assert (rows["metadata"]["status"], rows["gpu"]["status"]) == ("none", "none")
    assert run.code == (1 if any(r["status"] == "fail" for r in rows.values()) else 0)
    assert tree_hash(agent.tree) == before
    assert "gpus: no such recipe" in agent.run("doctor", "gpus", code=2).err


def test_doctor_on_ec2(on_ec2):
    rows = {row["check"]: row for row in on_ec2.run("doctor", "--json", code=None).json()["checks"]}
    assert (rows["metadata"]["status"], rows["credentials"]["status"]) == ("ok", "ok"), rows
    assert "instance role" in rows["credentials"]["text"] and rows["metadata"]["text"].startswith("i-")


def test_doctor_finds_the_sick_gpu(gpu):
    gpu.says(base=["No devices were found\n", 6])
    run = gpu.agent.run("doctor", code=1)
    assert "\nfail  gpu          fail drv-init reboot\n" in run.out and "drv-init: the driver is loaded" in run.out, run


STEP = """steps:
  - name: GPU
    env: {{LD_LIBRARY_PATH: "{libcuda}"}}
    nvidia: {params}
"""


def test_the_step_reports_by_status_and_tag(on_ec2, world, libcuda):
    Gpu(on_ec2).torch()
    text = STEP.format(libcuda=libcuda, params="{required: true, min_cuda: 13.0, torch: auto}")
    on_ec2.apply(text)
    verdict = "ok 1x T4 driver 580.105.08 cuda 13.2 torch 2.9.0"
    assert on_ec2.status()["gpu"] == verdict and on_ec2.step_status("gpu") == "ok"
    wait_until(lambda: world.tags().get("dsagent:gpu") == verdict, what="the tag")


def test_a_failing_step_fails_the_run_with_its_reason(on_ec2, world, libcuda):
    gpu = Gpu(on_ec2)
    gpu.library("libcuda.so", "595.91.07")
    on_ec2.apply(STEP.format(libcuda=libcuda, params="{wait: 1m}"), code=1, timeout=30)
    step = on_ec2.step("gpu")
    assert step["status"] == "failed" and step["error"].startswith("fail drv-mismatch reboot: drv-mismatch: "), step
    assert on_ec2.status()["gpu"] == "fail drv-mismatch reboot"
    wait_until(lambda: world.tags().get("dsagent:gpu") == "fail drv-mismatch reboot", what="the tag")
    wait_until(lambda: world.tags().get("dsagent:status") == "failed", what="the tag")


def test_warnings_fail_it_only_when_asked(gpu, libcuda):
    gpu.says(base=[T4.replace("15360, 0,", "15360, 9000,"), 0], help=[HELP, 0], more=[MORE, 0])
    gpu.agent.apply(STEP.format(libcuda=libcuda, params="{}"))
    assert gpu.agent.status()["gpu"].startswith("warn gpu-busy 1x T4")
    gpu.agent.apply(STEP.format(libcuda=libcuda, params="{allow_warn: false}"), code=1)
    assert "gpu-busy: GPU 0: something uses it already" in gpu.agent.step("gpu")["error"]


def test_without_a_gpu_the_step_has_nothing_to_say(agent):
    agent.apply("steps:\n  - {id: gate, nvidia: {}}\n")
    assert agent.status()["gpu"] == "none" and agent.step_status("gate") == "ok"
    agent.apply("steps:\n  - {id: gate, nvidia: true}\n", code=1)
    assert agent.status()["gpu"].startswith("fail gpu-none")


def test_a_hanging_step_ends_in_time_and_leaves_nothing(gpu, libcuda):
    gpu.says(base=["", -1])
    process = gpu.agent.start("apply", gpu.agent.recipe(
        "steps:\n  - {id: gate, timeout: 2s, nvidia: {wait: 0s}}\n  - {id: other, needs: [], run: 'true'}\n"))
    wait_until(lambda: gpu.calls(), what="nvidia-smi to be asked")
    started = children_of(process.pid)
    wait_until(lambda: process.poll() is not None, 30, "the run to end")
    assert process.returncode == 1 and gpu.agent.step_status("other") == "changed"
    wait_until(lambda: not any(is_alive(pid) for pid in started), what="all of them to be gone")


def test_plan_looks_and_publishes_nothing(gpu, libcuda):
    gpu.says(base=["No devices were found\n", 6])
    run = gpu.agent.run("plan", gpu.agent.recipe(STEP.format(libcuda=libcuda, params="{}")))
    assert "wait for the GPU, now drv-init: " in run.out and not gpu.agent.status_path.exists(), run
