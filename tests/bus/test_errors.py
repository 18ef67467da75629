# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What is not there is said in one line, with an exit code of its own."""

import sys

import harness

NO_SESSION = "00000000-0000-5000-8000-000000000000"


def expect(rig, code, *words):
    done = rig.ctl(*words, timeout=30.0)
    text = done.stderr.strip()
    what = f"pentelctl {' '.join(words)}"
    if done.returncode != code:
        raise harness.Failure(f"{what}: exit {done.returncode}, not {code}: {text!r}")
    if code != harness.OK and (len(text.splitlines()) != 1 or done.stdout.strip()):
        raise harness.Failure(f"{what}: not one line: {text!r} {done.stdout!r}")
    return done.stdout


def daemon_absent(rig):
    rig.start_sim("--pens=0")
    expect(rig, harness.NO_DAEMON, "sessions")
    expect(rig, harness.NO_DAEMON, "pens", "--json")
    expect(rig, harness.NO_DAEMON, "enroll", "PT-0001")


def bus_absent(rig):
    rig.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={rig.directory}/nothing"
    expect(rig, harness.NO_DAEMON, "sessions")


def no_adapter(rig):
    rig.start_sim("--pens=1", "--adapters=0", "--pairing=-1")
    rig.start_daemon()
    expect(rig, harness.NO_RADIO, "enroll", "PT-0001")
    expect(rig, harness.OK, "sessions")


def bluez_absent(rig):
    rig.start_sim("--pens=1", "--no-bluez")
    rig.start_daemon()
    expect(rig, harness.NO_BLUEZ, "enroll", "PT-0001")
    if expect(rig, harness.OK, "sessions", "--json").split() != ["[]"]:
        raise harness.Failure("sessions --json of an empty store is not []")


def wrong_words(rig):
    rig.start_sim("--pens=0")
    rig.start_daemon()
    expect(rig, harness.USAGE, "sesions")
    expect(rig, harness.USAGE, "sessions", "--nonsense")
    expect(rig, harness.USAGE, "show")
    expect(rig, harness.NOT_FOUND, "show", NO_SESSION)
    expect(rig, harness.NOT_FOUND, "forget", "PT-9999")


def pen_absent(rig):
    rig.start_sim("--pens=1")
    rig.start_daemon()
    expect(rig, harness.TIMEOUT, "enroll", "PT-0001", "--timeout", "2")


CASES = {case.__name__: case for case in
         (daemon_absent, bus_absent, no_adapter, bluez_absent, wrong_words, pen_absent)}


def run_case(name):
    with harness.Rig(name) as rig:
        CASES[name](rig)
        if rig.daemon is not None:
            rig.stop_daemon()


def run():
    return harness.in_parallel(sys.argv[1:] or list(CASES), run_case, n_workers=2)


if __name__ == "__main__":
    harness.main(run, 180)
