# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Inside the guest: runs the planned scenarios one after another, each in a process of its
own with its own time, and writes what came of them into /radio/out."""
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

RADIO = Path("/radio")
OUT = RADIO / "out"

# A boot on two idle cores without KVM; a slower one stretches every limit alike.
USUAL_BOOT_S = 20
SLOWEST = 4


def put(name, text):
    """Whole or not at all, as the host looks at any moment."""
    part = OUT / f"{name}.part"
    part.write_text(text)
    part.rename(OUT / name)


def run_one(name, limit_s, slowness):
    began = time.monotonic()
    limit_s *= slowness
    environment = dict(os.environ, RADIO_SLOWNESS=str(slowness), PYTHONDONTWRITEBYTECODE="1")
    log = OUT / f"{name}.log"
    with open(log, "ab") as out:
        process = subprocess.Popen([sys.executable, "-u", str(RADIO / "in/agent.py"), name], stdout=out,
                                   stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                                   env=environment)
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    text = log.read_text(errors="replace").rstrip()
    if status is None:
        text = f"not over in {limit_s:.0f} s\n{text}"
    seconds = time.monotonic() - began
    ok = status == 0
    if ok:
        text = text.splitlines()[-1] if text else ""
    figures = OUT / f"{name}.figures"
    put(f"{name}.json", json.dumps({"ok": ok, "seconds": seconds, "text": text,
                                    "figures": json.loads(figures.read_text()) if figures.exists() else {}}))


def run_scenario(name):
    """In the process of the scenario itself."""
    sys.path.insert(0, str(RADIO / "in"))
    sys.path.insert(0, str(RADIO / "in/scenarios"))
    import rig
    bench = rig.Rig(name)
    try:
        with bench:
            said = __import__(name).run(bench)
            bench.measure_memory()
        put(f"{name}.figures", json.dumps(bench.figures))
    except rig.Failure as failure:
        print(f"FAILED {failure}")
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    if said:
        print(said)
    return 0


def set_up_bluetoothd():
    """On Debian 12 as the README advises (F18): BlueZ 5.66 else opens three bearers."""
    if 'VERSION_ID="12"' in Path("/etc/os-release").read_text():
        Path("/etc/bluetooth/main.conf").write_text(
            "[General]\nControllerMode = le\n\n[Policy]\nAutoEnable = true\n\n[GATT]\nChannels = 1\n")


def be_verbose():
    """For --debug: bluetoothd's signals and HCI packets in out/."""
    subprocess.run(["modprobe", "bluetooth"], check=True)
    subprocess.Popen(["dbus-monitor", "--system", "--profile", "sender='org.bluez'"],
                     stdout=open(OUT / "bus-profile.log", "ab"), stdin=subprocess.DEVNULL)
    subprocess.Popen(["dbus-monitor", "--system", "type='signal',arg0='org.bluez.Device1'",
                      "destination='org.bluez',interface='org.bluez.Device1'"],
                     stdout=open(OUT / "bus.log", "ab"), stdin=subprocess.DEVNULL)
    subprocess.Popen(["btmon", "-T"], stdout=open(OUT / "btmon.log", "ab"), stdin=subprocess.DEVNULL)


def main():
    if len(sys.argv) > 1:
        return run_scenario(sys.argv[1])
    resumed = (OUT / "was-cut").exists()
    journal = subprocess.Popen(["journalctl", "-b", "-f", "-n", "all", "-o", "short-monotonic", "--no-hostname"],
                               stdout=open(OUT / "journal.log", "ab"), stdin=subprocess.DEVNULL)
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    slowness = min(max(1.0, uptime_s / USUAL_BOOT_S), SLOWEST)
    put("booted", f"{uptime_s}\n")
    set_up_bluetoothd()
    plan = json.loads((RADIO / "in/plan.json").read_text())
    if plan["debug"]:
        be_verbose()
    for item in plan["scenarios"]:
        if not (OUT / f"{item['name']}.json").exists():
            run_one(item["name"], item["limit_s"], slowness)
    time.sleep(0.5)
    journal.terminate()
    journal.wait(5)
    put("done", "resumed" if resumed else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
