# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What penteld costs while eight pens treat, beside a script of bleak and sqlite3 that
records the same pens in the same run. Figures only; nothing here passes or fails but what
does not run at all."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bus"))
import harness  # noqa: E402

N_PENS = 8
WINDOW_S = 12.0
SIM = [f"--pens={N_PENS}", "--sessions=1", "--passes=120", "--speed=5", "--seed=11"]


def cpu_s(pid):
    """CPU time of a process's threads so far; to the nanosecond, unlike its stat."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def memory_kib(pid, *keys):
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    values = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    return sum(int(values[key].split()[0]) for key in keys)


def written_bytes(pid):
    io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(io["write_bytes"])


class Window:
    """CPU time, bytes written and records recorded over WINDOW_S; count() tells how many
    there are."""

    def __init__(self, rig, pid, count):
        began = time.monotonic()
        records, cpu, written = count(), cpu_s(pid), written_bytes(pid)
        time.sleep(WINDOW_S)
        self.records = count() - records
        if self.records < 100:
            raise harness.Failure(f"{rig.label}: only {self.records} records in the window")
        self.us_per_record = (cpu_s(pid) - cpu) * 1e6 / self.records
        self.bytes_per_record = (written_bytes(pid) - written) / self.records
        self.rate = self.records / (time.monotonic() - began)


def treating(rig, n_least):
    return sum(bool(pen["sessions"]) and not pen["sessions"][-1]["ended"]
               for pen in rig.truth()["pens"]) >= n_least


def run_script():
    with harness.Rig("bleak") as rig:
        rig.start_sim("--bonded", *SIM)
        addresses = [pen["address"] for pen in rig.truth()["pens"]]
        script = rig._start("recorder", sys.executable, Path(__file__).parent / "recorder_bleak.py",
                            rig.directory / "raw.db", *addresses)
        rig.wait(lambda: rig.sim.out.read_text().count(" linked ") >= N_PENS, 40.0,
                 "the script to follow all pens")
        rig.wait(script.out.read_text, 10.0, "the script to record")
        window = Window(rig, script.process.pid, lambda: int(script.out.read_text().split()[-1]))
        pss = memory_kib(script.process.pid, "Pss")
        if script.stop() != 0:
            raise harness.Failure(f"the script failed\n{script.tail()}")
        return window, pss


def n_recorded(rig):
    return sum(session["records"]["last"] - session["records"]["first"] + 1
               for session in rig.ctl_json("sessions"))


def run_daemon():
    with harness.Rig("penteld") as rig:
        rig.start_sim("--pairing=-1", "--wait-for-bond", *SIM)
        rig.start_daemon()
        rig.enroll(*[f"PT-{n:04d}" for n in range(1, N_PENS + 1)])
        rig.wait(lambda: treating(rig, N_PENS), 40.0, "all pens to treat")
        pid = rig.daemon.process.pid
        window = Window(rig, pid, lambda: n_recorded(rig))
        pss = memory_kib(pid, "Pss")
        dirty = memory_kib(pid, "Private_Dirty")
        health = rig.busctl("org.pentel", "/org/pentel/manager", "org.pentel.Manager1", "Health")[0]
        rig.stop_daemon()
        return window, pss, dirty, health


def run():
    script, script_pss = run_script()
    daemon, pss, dirty, health = run_daemon()
    print(f"records in the window         {daemon.records} at {daemon.rate:.0f}/s of {N_PENS} pens")
    print(f"bleak + sqlite3, CPU/record   {script.us_per_record:.0f} us, PSS {script_pss} KiB")
    print(f"penteld, CPU/record           {daemon.us_per_record:.0f} us "
          f"(1/{script.us_per_record / max(daemon.us_per_record, 0.1):.1f} of the script)")
    print(f"penteld, memory               PSS {pss} KiB, private dirty {dirty} KiB")
    print(f"penteld, written per record   {daemon.bytes_per_record:.0f} bytes "
          f"(script {script.bytes_per_record:.0f})")
    print(f"longest commit                {health.get('commit_ms_max')} ms")
    print(f"longest turn of the main loop {health.get('loop_ms_max')} ms")
    print(f"segments lost                 {health.get('frames_lost')}")
    return 0


if __name__ == "__main__":
    harness.main(run, 170)
