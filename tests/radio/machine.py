# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""One virtual machine: started, watched through the files it writes, and always ended.

The guest speaks by files in the share's out/: `booted` is its first marker, NAME.json the
end of a scenario, `done` the end of all, and `cut` asks for the power to be cut and given
back, as a hand at the plug would.
"""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

# Twenty seconds on two idle cores; a boot that really died ends by itself.
BOOT_LIMIT_S = 300
DISK_MIB = 64


def processor_s(pid):
    """What a running process has used so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Machine:
    def __init__(self, root, kernel, share, disk=False):
        self.root = root
        self.kernel = kernel
        self.share = share
        self.disk = share / "disk.img" if disk else None
        self.seconds = 0.0
        self.cpu_s = 0.0
        self.booted_cpu_s = 0.0
        self.process = None

    def _argv(self):
        # Killed with the runner, however that ends.
        argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel",
                "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none",
                "-chardev", f"file,id=console,path={self.share}/console.log,append=on",
                "-serial", "chardev:console",
                "-kernel", f"{self.kernel}/vmlinuz", "-initrd", f"{self.kernel}/initramfs.gz",
                "-append", "console=ttyS0 panic=-1 quiet systemd.show_status=false "
                           "systemd.unit=multi-user.target",
                "-virtfs", f"local,path={self.root},mount_tag=root,security_model=passthrough,"
                           "readonly=on,multidevs=remap",
                "-virtfs", f"local,path={self.share},mount_tag=radio,security_model=passthrough,"
                           "multidevs=remap"]
        if self.disk:
            argv += ["-drive", f"file={self.disk},format=raw,if=virtio,cache=writeback"]
        return argv

    def _start(self):
        self.process = subprocess.Popen(self._argv(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL,
                                        stderr=open(self.share / "qemu.log", "ab"))

    def _kill(self):
        self.cpu_s += processor_s(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _marker(self, name):
        return (self.share / "out" / name).exists()

    def _results(self, seen, on_result):
        for path in sorted((self.share / "out").glob("*.json")):
            if path.name not in seen:
                seen.add(path.name)
                on_result(path.stem, json.loads(path.read_text()))

    def _power_cut(self):
        """The guest is stopped dead; what its disk has is what the next boot finds."""
        self._kill()
        (self.share / "out/cut").unlink()
        (self.share / "out/was-cut").write_text("")
        self._start()

    def run(self, limit_s, on_result):
        """Until the guest is done, dead or late. Seconds to its first marker, None if never."""
        began = time.monotonic()
        booted_s = None
        seen = set()
        if self.disk:
            with open(self.disk, "wb") as image:
                image.truncate(DISK_MIB << 20)
        self._start()
        try:
            while self.process.poll() is None and time.monotonic() - began < limit_s:
                if booted_s is None and self._marker("booted"):
                    booted_s = time.monotonic() - began
                    self.booted_cpu_s = processor_s(self.process.pid)
                if booted_s is None and time.monotonic() - began > BOOT_LIMIT_S:
                    break
                self._results(seen, on_result)
                if self._marker("cut"):
                    self._power_cut()
                if self._marker("done"):
                    break
                time.sleep(0.1)
            if booted_s is None and self._marker("booted"):
                booted_s = time.monotonic() - began
            self._results(seen, on_result)
        finally:
            self._kill()
            self.seconds = time.monotonic() - began
        return booted_s
