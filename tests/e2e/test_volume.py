"""volume, on real loop devices with real mkfs and mount: sysfs and /dev are a tree's, so that they look like EBS."""

import os
import pathlib
import shutil
import stat
import struct
import subprocess
import threading

import pytest

from harness import wait_until

MIB = 1024 * 1024
EBS, STORE = "Amazon Elastic Block Store", "Amazon EC2 NVMe Instance Storage"
TOOLS = ("losetup", "blkid", "mount", "mkfs.ext4", "mkfs.xfs", "mkswap")


def tool(*argv, **how):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **how).stdout.strip()


class Box:
    """An agent's tree with disks."""

    def __init__(self, agent):
        self.agent, self.tree, self.loops = agent, agent.tree, {}
        (self.tree / "dev").mkdir()
        (self.tree / "sys/block").mkdir(parents=True)
        (self.tree / "etc/fstab").write_text("# the image's own\nUUID=root / ext4 defaults 0 1\n")

    def disk(self, name="nvme1n1", size=64 * MIB, model=EBS, serial="vol0123abc", prepare=None):
        image = self.agent.folder / f"{name}.img"
        if not image.exists():
            with open(image, "wb") as f:
                f.truncate(size)
        if prepare:
            prepare(image)
        self.node(name, image)
        sysfs = self.tree / "sys/block" / name
        (sysfs / "device").mkdir(parents=True)
        (sysfs / "holders").mkdir()
        (sysfs / "size").write_text(f"{size // 512}\n")
        (sysfs / "ro").write_text("0\n")
        (sysfs / "device/model").write_text(model + "\n")
        (sysfs / "device/serial").write_text(serial + "\n")
        return image

    def node(self, name, image):
        loop = tool("losetup", "-f", "--show", image)
        self.loops[name] = loop
        os.mknod(self.tree / "dev" / name, 0o600 | stat.S_IFBLK, os.stat(loop).st_rdev)

    def partition(self, disk, name, image):
        """What the kernel shows of a partition; the loop device stands for it."""
        self.node(name, image)
        part = self.tree / "sys/block" / disk / name
        part.mkdir()
        (part / "partition").write_text("1\n")

    def apply(self, volume, *args, **how):
        return self.agent.apply(f"recipe: v\nsteps: [{{id: vol, volume: {volume}}}]\n", *args, **how)

    def plan(self, volume, **how):
        return self.agent.run("plan", self.agent.recipe(f"recipe: v\nsteps: [{{id: vol, volume: {volume}}}]\n"), **how).out

    def error(self, volume):
        self.apply(volume, code=1)
        return self.agent.status()["error"]

    @property
    def fstab(self):
        return (self.tree / "etc/fstab").read_text()

    def content(self, name="nvme1n1"):
        out = subprocess.run(["blkid", "-p", "-o", "export", self.loops[name]], capture_output=True, text=True).stdout
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def mounted(self):
        """{mount point below the tree: type}"""
        found = {}
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            left, right = line.split(" - ")
            path = left.split()[4]
            if path.startswith(str(self.tree) + "/"):
                found[path[len(str(self.tree)):]] = right.split()[0]
        return found

    def umount(self, path="/data"):
        tool("umount", self.tree / path.lstrip("/"))

    def close(self):
        for path in sorted(self.mounted(), reverse=True):
            self.umount(path)
        for loop in self.loops.values():
            subprocess.run(["losetup", "-d", loop], check=False)


@pytest.fixture
def box(agent):
    missing = [t for t in TOOLS if not shutil.which(t)]
    if os.geteuid() != 0 or not pathlib.Path("/dev/loop-control").exists() or missing:
        pytest.skip(f"needs root, loop devices and {', '.join(missing) or 'mkfs'}")
    b = Box(agent)
    yield b
    b.close()


@pytest.mark.parametrize("selector", ["id: vol-0123abc", "device: nvme1n1", "device: /dev/sdf", "blank: true"])
@pytest.mark.parametrize("fstype", ["ext4", "xfs"])
def test_made_mounted_in_fstab_and_then_left_alone(box, fstype, selector):
    box.disk(size=320 * MIB)  # the least that mkfs.xfs takes
    (box.tree / "dev/sdf").symlink_to("nvme1n1")  # as udev on Amazon Linux links them
    volume = f"{{{selector}, mount: /data, fstype: {fstype}, label: data, mode: 0750}}"
    plan = box.plan(volume)
    assert f"make an {fstype} file system on /dev/nvme1n1 (vol-0123abc, 336 MB), which is blank" in plan
    assert "+UUID=to-be-made /data" in plan and box.content() == {} and box.mounted() == {}
    old = box.fstab
    box.apply(volume)
    content = box.content()
    assert (content["TYPE"], content["LABEL"]) == (fstype, "data") and box.mounted() == {"/data": fstype}
    line = f"UUID={content['UUID']} /data {fstype} defaults,nofail,x-systemd.device-timeout=30 0 2\n"
    assert box.fstab == old + line and (box.tree / "etc/fstab.before-dsagent").read_text() == old
    assert oct((box.tree / "data").stat().st_mode & 0o7777) == "0o750"
    (box.tree / "data/file").write_text("precious")
    box.apply(volume)
    assert box.agent.step("vol")["status"] == "ok" and box.content() == content
    box.umount()
    box.apply(volume)
    assert box.agent.step("vol")["status"] == "changed" and (box.tree / "data/file").read_text() == "precious"
    assert not list((box.tree / "var/lib/dsagent/volumes").iterdir())


def drift_fstab(box):
    (box.tree / "etc/fstab").write_text("# gone\n/dev/xvdz /data ext3 defaults 0 0\n")


def drift_options(box):
    (box.tree / "etc/fstab").write_text(box.fstab.replace("nofail,", ""))


def drift_mode(box):
    (box.tree / "data").chmod(0o700)


@pytest.mark.parametrize("drift", [drift_fstab, drift_options, drift_mode])
def test_drift_is_put_right(box, drift):
    box.disk()
    volume = "{id: vol-0123abc, mount: /data, mode: 0755}"
    box.apply(volume)
    uuid = box.content()["UUID"]
    drift(box)
    box.apply(volume)
    assert box.agent.step("vol")["status"] == "changed"
    assert [line for line in box.fstab.splitlines() if " /data " in line] == [f"UUID={uuid} /data ext4 defaults,nofail,x-systemd.device-timeout=30 0 2"]
    assert oct((box.tree / "data").stat().st_mode & 0o777) == "0o755" and box.content()["UUID"] == uuid


def test_a_persons_own_options_stay(box):
    box.disk()
    box.apply("{id: vol-0123abc, mount: /data}")
    mine = box.fstab.replace("defaults,nofail,x-systemd.device-timeout=30", "noatime,nofail")
    (box.tree / "etc/fstab").write_text(mine)
    box.apply("{id: vol-0123abc, mount: /data}")
    assert box.agent.step("vol")["status"] == "ok" and box.fstab == mine
    box.apply("{id: vol-0123abc, mount: /data, options: relatime}")
    assert " relatime,nofail,x-systemd.device-timeout=30 " in box.fstab


def write_at(offset, data):
    def prepare(image):
        with open(image, "r+b") as f:
            f.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
            f.write(data)
    return prepare


def mbr(entry):
    return write_at(0, b"\0" * 446 + entry.ljust(64, b"\0") + b"\x55\xaa")


def raid(image):
    """A version 1.2 superblock (md.h, struct mdp_superblock_1), its checksum right."""
    sb = bytearray(256)
    struct.pack_into("<III", sb, 0, 0xA92B4EFC, 1, 0)
    sb[16:32] = bytes(range(16))
    struct.pack_into("<Q", sb, 144, 8)  # super_offset
    total = sum(struct.unpack("<64I", sb))
    struct.pack_into("<I", sb, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    write_at(4096, bytes(sb))(image)


def lvm(image):
    """pvcreate's label in sector 1 (LVM2, label.h), its checksum right."""
    body = struct.pack("<I8s32sQ", 32, b"LVM2 001", b"abcdefghijklmnopqrstuvwxyz012345", 64 * MIB).ljust(512 - 20, b"\0")
    table = [0x0, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
             0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C]
    crc = 0xF597A6CF
    for byte in body:
        crc ^= byte
        crc = (crc >> 4) ^ table[crc & 0xF]
        crc = (crc >> 4) ^ table[crc & 0xF]
    write_at(512, struct.pack("<8sQI", b"LABELONE", 1, crc) + body)(image)


NOT_BLANK = {
    "an empty partition table": (mbr(b""), "partition table (dos)"),
    "a partition table": (mbr(struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0x83, 0, 0, 0, 2048, 4096)), "partition table (dos)"),
    "LVM": (lvm, "LVM"),
    "RAID": (raid, "linux_raid_member"),
    "swap": (lambda image: tool("mkswap", image), "swap"),
    "a byte in the first MiB": (write_at(MIB - 1, b"\1"), "its first MiB is not empty"),
    "a byte in the last MiB": (write_at(-1, b"\1"), "its last MiB is not empty"),
    "the last MiB's first byte": (write_at(-MIB, b"\1"), "its last MiB is not empty"),
}


@pytest.mark.parametrize("name", NOT_BLANK)
def test_what_is_not_blank_is_not_touched(box, name):
    prepare, says = NOT_BLANK[name]
    image = box.disk(prepare=prepare)
    before = image.read_bytes()
    error = box.error("{id: vol-0123abc, mount: /data}")
    assert says in error and "vol-0123abc" in error, error
    assert image.read_bytes() == before and box.mounted() == {} and "/data" not in box.fstab
    error = box.error("{blank: true, wait: 1s, mount: /data}")
    assert "waited" in error and "for the blank disk" in error, "nor is it taken for the blank one"
    assert image.read_bytes() == before


def test_a_foreign_file_system_is_mounted_as_it_is(box):
    image = box.disk(prepare=lambda i: tool("mkfs.ext4", "-q", "-L", "old", i))
    uuid = box.content()["UUID"]
    assert "holds an ext4 file system, not xfs" in box.error("{id: vol-0123abc, mount: /data, fstype: xfs}")
    box.apply("{id: vol-0123abc, mount: /data}")
    assert box.content()["UUID"] == uuid and box.mounted() == {"/data": "ext4"} and image.exists()


def test_by_label(box):
    box.disk("nvme1n1", serial="vol1", prepare=lambda i: tool("mkfs.ext4", "-q", "-L", "other", i))
    box.disk("nvme2n1", serial="vol2", prepare=lambda i: tool("mkfs.ext4", "-q", "-L", "data", i))
    box.apply("{label: data, mount: /data}")
    assert f"UUID={box.content('nvme2n1')['UUID']} /data ext4" in box.fstab
    box.apply("{label: data, mount: /data}")
    assert box.agent.step("vol")["status"] == "ok"
    box.disk("nvme3n1", serial="vol3", prepare=lambda i: tool("mkfs.ext4", "-q", "-L", "data", i))
    error = box.error("{label: data, mount: /data}")
    assert "/dev/nvme2n1" in error and "/dev/nvme3n1" in error and "say which" in error


def test_a_partition(box):
    box.disk(prepare=NOT_BLANK["a partition table"][0])
    image = box.agent.folder / "part.img"
    with open(image, "wb") as f:
        f.truncate(64 * MIB)
    tool("mkfs.ext4", "-q", image)
    box.partition("nvme1n1", "nvme1n1p1", image)
    box.apply("{id: vol-0123abc, mount: /data}")
    assert box.mounted() == {"/data": "ext4"} and box.content("nvme1n1p1")["UUID"] in box.fstab
    box.umount()
    (box.tree / "sys/block/nvme1n1/nvme1n1p2").mkdir()
    (box.tree / "sys/block/nvme1n1/nvme1n1p2/partition").write_text("2\n")
    assert "has 2 partitions" in box.error("{id: vol-0123abc, mount: /data}")


@pytest.mark.parametrize("use, says", [
    ("holders", "dm-0 uses it"), ("partition", "it has 1 partition"), ("ro", "it is read-only"), ("swap", "swap"), ("mount", "is mounted at"),
])
def test_a_disk_in_use_is_not_blank(box, use, says):
    box.disk()
    sysfs = box.tree / "sys/block/nvme1n1"
    if use == "holders":
        (sysfs / "holders/dm-0").mkdir()
    elif use == "ro":
        (sysfs / "ro").write_text("1\n")
    elif use == "partition":
        box.partition("nvme1n1", "nvme1n1p1", box.agent.folder / "nvme1n1.img")
    elif use == "swap":
        tool("mkswap", box.loops["nvme1n1"])
        tool("swapon", box.loops["nvme1n1"])
    else:
        tool("mkfs.ext4", "-q", box.loops["nvme1n1"])
        (box.tree / "elsewhere").mkdir()
        tool("mount", box.loops["nvme1n1"], box.tree / "elsewhere")
    try:
        error = box.error("{id: vol-0123abc, mount: /data}")
    finally:
        if use == "swap":
            tool("swapoff", box.loops["nvme1n1"])
    assert says in error and "/data" not in box.fstab, error


def test_two_blank_disks_are_a_question(box):
    box.disk("nvme1n1", serial="vol1")
    box.disk("nvme2n1", serial="AWS2", model=STORE)
    error = box.error("{blank: true, mount: /data}")
    assert "several disks are blank: /dev/nvme1n1 (vol-1, 67.1 MB), /dev/nvme2n1 (instance store, 67.1 MB)" in error
    assert box.content("nvme1n1") == {} == box.content("nvme2n1")
    box.apply("{blank: true, kind: instance-store, mount: /scratch}")
    assert box.mounted() == {"/scratch": "ext4"} and box.content("nvme1n1") == {}
    box.apply("{blank: true, mount: /data}")
    assert box.mounted() == {"/scratch": "ext4", "/data": "ext4"}


def test_the_dlami_keeps_its_instance_store(box):
    box.disk("nvme2n1", serial="AWS2", model=STORE)
    (box.tree / "opt/aws/dlami").mkdir(parents=True)
    for volume in ("{device: nvme2n1, mount: /scratch}", "{blank: true, kind: instance-store, mount: /scratch}"):
        error = box.error(volume)
        assert "/opt/dlami/nvme" in error and "dlami-nvme.service" in error
    assert "waited" in box.error("{blank: true, wait: 1s, mount: /data}") and box.content("nvme2n1") == {}


def test_a_volume_that_comes_late_is_waited_for(box):
    assert "wait up to 20.0 s for the volume vol-0123abc, and mount it at /data" in box.plan("{id: vol-0123abc, wait: 20s, mount: /data}")
    threading.Timer(2, box.disk).start()
    box.apply("{id: vol-0123abc, wait: 20s, mount: /data}")
    assert box.mounted() == {"/data": "ext4"}
    assert any(e.get("waiting_for") == "volume vol-0123abc" for e in box.agent.events())


def test_one_that_never_comes(box):
    box.disk()
    error = box.error("{id: vol-0999, wait: 1s, mount: /data}")
    assert "for the volume vol-0999, and it is not here" in error and "attach-volume" in error
    assert box.content() == {}


def test_files_would_be_hidden(box):
    box.disk()
    (box.tree / "data").mkdir()
    (box.tree / "data/mine").write_text("x")
    assert "holds 1 entries, which the mount would hide" in box.error("{id: vol-0123abc, mount: /data}")
    assert box.content() == {} and "/data" not in box.fstab


def test_format_can_be_forbidden(box):
    box.disk()
    assert "`format: false` forbids" in box.error("{id: vol-0123abc, mount: /data, format: false}") and box.content() == {}


@pytest.mark.parametrize("moment", ["before", "during", "after"])
@pytest.mark.parametrize("selector", ["id: vol-0123abc", "blank: true"])
def test_cut_short_while_it_is_made(box, moment, selector):
    """mkfs stands still at a moment; the run is killed there, and the next one ends it."""
    box.disk()
    bin_dir = box.agent.folder / "bin"
    bin_dir.mkdir()
    mark = box.agent.work / "mark"
    work = {"before": "", "during": 'for d; do :; done; printf x | dd of="$d" bs=1 seek=4096 conv=notrunc 2>/dev/null',
            "after": f'{shutil.which("mkfs.ext4")} "$@"'}[moment]
    (bin_dir / "mkfs.ext4").write_text(f"#!/bin/sh\n{work}\nsync\ntouch {mark}\nexec sleep 600\n")
    (bin_dir / "mkfs.ext4").chmod(0o755)
    volume = f"{{{selector}, mount: /data}}"
    path = box.agent.recipe(f"recipe: v\nsteps: [{{id: vol, volume: {volume}}}]\n")
    process = box.agent.start("apply", path, env={"PATH": f"{bin_dir}:{os.environ['PATH']}"})
    wait_until(mark.exists, what="mkfs")
    box.agent.close()
    assert "/data" not in box.fstab and process.returncode != 0
    begun = box.content().get("UUID")
    box.agent.started.clear()
    box.agent.run("apply", path)
    assert box.mounted() == {"/data": "ext4"} and box.content()["UUID"] in box.fstab
    assert begun in (None, box.content()["UUID"]), "a whole file system is not made anew"
