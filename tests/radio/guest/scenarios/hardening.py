# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The running unit: exposure at most 0.3, no capabilities, its own user, unix sockets alone"""

import re
from pathlib import Path

from harness import Failure

BOOT = "main"
ORDER = 9
LIMIT_S = 90
EXPOSURE_MAX = 0.3

# Run in the unit's own sandbox in penteld's place. 1 is AF_UNIX, 31 AF_BLUETOOTH.
PROBE = Path("/run/pentel-probe.py")
PROBE_TEXT = """
import os, socket, sys
refused = []
for family in range(1, 46):
    try:
        socket.socket(family, socket.SOCK_DGRAM if family != 31 else socket.SOCK_RAW).close()
    except OSError as error:
        refused.append((family, error.errno))
blocked = [family for family, number in refused if number == 97]
assert 1 not in dict(refused), refused
assert {2, 10, 16, 17, 31} <= set(blocked), refused
for path in ("/usr/x", "/etc/x", "/var/x", "/home", "/root", "/dev/vhci", "/dev/rfkill"):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        sys.exit(f"{path} can be written")
    except OSError:
        continue
os.close(os.open("/var/lib/pentel/probe", os.O_RDWR | os.O_CREAT, 0o600))
os.unlink("/var/lib/pentel/probe")
"""


def check_exposure(rig):
    text = rig.sh("systemd-analyze", "security", "penteld.service", "--no-pager", timeout=60)
    exposure = float(text.split("exposure level for penteld.service:")[1].split()[0])
    if exposure > EXPOSURE_MAX:
        raise Failure(f"exposure {exposure}\n{text[-3000:]}")
    return exposure


def check_process(rig):
    """What the kernel says of the process, whatever the unit promises."""
    shown = rig.show("penteld.service", "MainPID", "User", "RestrictAddressFamilies")
    if shown["User"] != "pentel" or shown["RestrictAddressFamilies"] != "AF_UNIX":
        raise Failure(f"penteld.service has {shown}")
    status = dict(re.findall(r"^(\w+):\s+(.*)$", Path(f"/proc/{shown['MainPID']}/status").read_text(), re.M))
    wanted = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0}
    found = {key: int(status[key], 16) for key in wanted}
    if found != wanted or status["NoNewPrivs"] != "1" or status["Seccomp"] != "2":
        raise Failure(f"capabilities {found}, NoNewPrivs {status['NoNewPrivs']}, Seccomp {status['Seccomp']}")
    if status["Uid"].split()[0] != rig.sh("id", "-u", "pentel").strip():
        raise Failure(f"penteld runs as {status['Uid']}")


def check_sandbox(rig):
    """The same unit with a program that tries what penteld must not be able to do."""
    unit = rig.sh("systemctl", "cat", "penteld.service")
    unit = re.sub(r"^ExecStart=.*$", f"ExecStart=/usr/bin/python3 {PROBE}", unit, flags=re.M)
    unit = re.sub(r"^Type=.*$", "Type=oneshot", unit, flags=re.M)
    unit = re.sub(r"^(BusName|WatchdogSec|Restart|RestartSec|Wants)=.*\n", "", unit, flags=re.M)
    PROBE.write_text(PROBE_TEXT)
    Path("/run/systemd/system/pentel-probe.service").write_text(unit)
    rig.sh("systemctl", "daemon-reload")
    done = rig.run("systemctl", "start", "pentel-probe.service", timeout=60)
    if done.returncode != 0:
        raise Failure(f"the sandbox lets through\n{rig.journal('pentel-probe')}")


def run(rig):
    rig.check_daemon()
    exposure = check_exposure(rig)
    check_process(rig)
    check_sandbox(rig)
    return f"exposure {exposure}, no capabilities, of the socket families only AF_UNIX"
