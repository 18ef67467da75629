# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What is said about a patient stays in the store: not in logs, properties, signals, error
texts, process titles, environments, file names or any other file; and who reads leaves a
line (F26)."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import harness

NOBODY = 65534
SERIALS = ["PT-0001", "PT-0002"]
LOUD = {"G_MESSAGES_DEBUG": "all"}


class Mark:
    """Words that nobody else uses, one for each field."""

    def __init__(self):
        self.stem = f"zq{os.urandom(6).hex()}"
        self.fields = {name: f"{self.stem}-{name}" for name in
                       ("patient", "operator", "zone", "note", "reaction", "order", "close")}

    def find(self, where, data):
        if self.stem.encode() in data:
            at = data.index(self.stem.encode())
            raise harness.Failure(f"{where}: {data[max(0, at - 60):at + 60]!r}")


class Watched:
    """The rig, and what is asked of it while the mark is in use."""

    def __init__(self, rig):
        self.rig, self.mark = rig, Mark()
        self.seen = rig.directory / "observed"
        self.carried = rig.directory / "carried"  # what a sink is there to carry away
        self.private = rig.directory / "private"  # of the programs, for whatever they leave
        self.private.mkdir(mode=0o1777)
        self.private.chmod(0o1777)
        rig.env.update(TMPDIR=str(self.private), HOME=str(self.private),
                       XDG_RUNTIME_DIR=str(self.private), XDG_CACHE_HOME=str(self.private))

    def observe(self):
        copy = shutil.copy(harness.HERE / "observer.py", self.rig.directory / "observer.py")
        self.seen.touch()
        self.seen.chmod(0o666)
        with open(self.rig.directory / "observer.err", "ab") as errors:
            observer = subprocess.Popen([sys.executable, copy, self.seen], env=self.rig.env,
                                        user=NOBODY, cwd="/", stdin=subprocess.DEVNULL,
                                        stdout=errors, stderr=errors)
        self.rig.wait(lambda: "LOOKING" in self.seen.read_text() or observer.poll() is not None,
                      15.0, "the observer")
        return observer

    def titles(self):
        """Title, name and environment of every program of ours there is."""
        n = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name = (folder / "comm").read_text().strip()
                if name not in ("penteld", "pentelctl", "pentel-sync"):
                    continue
                for part in ("cmdline", "comm", "environ"):
                    self.mark.find(f"{part} of {name}", (folder / part).read_bytes())
                for task in (folder / "task").iterdir():
                    self.mark.find(f"thread of {name}", (task / "comm").read_bytes())
                n += 1
            except (FileNotFoundError, ProcessLookupError):
                continue
        return n

    def annotate(self, session_id):
        """penteld is held while pentelctl waits for it, so that there is time to look."""
        words = [word for name, text in self.mark.fields.items() if name != "close"
                 for word in (f"--{name}", text)]
        self.rig.daemon.send(signal.SIGSTOP)
        client = subprocess.Popen([harness.BUILD / "client/pentelctl", "annotate", session_id,
                                   *words], env=self.rig.env, stdin=subprocess.DEVNULL)
        try:
            time.sleep(0.4)
            if self.titles() < 2:
                raise harness.Failure("pentelctl and penteld are not both there to be seen")
        finally:
            self.rig.daemon.send(signal.SIGCONT)
        if client.wait(20) != 0:
            raise harness.Failure("annotate failed")

    def upload(self):
        """A sink beside it all, which takes the words away and says none of them."""
        self.carried.mkdir()
        config = self.rig.directory / "out.conf"
        config.write_text("[sink]\nkind=directory\nunbound=send\nraw=yes\npoll-s=1\n"
                          f"[directory]\npath={self.carried}\n")
        return self.rig._start("pentel-sync", harness.BUILD / "client/sync/pentel-sync",
                               f"--config={config}", f"--state-dir={self.rig.directory}/uploads", "out")

    def has_carried(self, word):
        lines = self.carried / ".open/sessions.ndjson"
        return lines.exists() and word in lines.read_text(errors="replace")

    def end_upload(self, sync):
        """Else nothing is proved: the words went through it, and it left its state."""
        for name, word in self.mark.fields.items():
            self.rig.wait(lambda word=word: self.has_carried(word), 20.0, f"{name} in the sink's files")
        self.mark.find("pentelctl sync", self.rig.ctl_ok("sync").encode())
        if sync.stop(signal.SIGTERM) != 0:
            raise harness.Failure("pentel-sync did not end in order")
        if not (self.rig.directory / "uploads/state.db").exists():
            raise harness.Failure("pentel-sync left no state")

    def use(self, session_id):
        """Everything that touches the mark, rightly and wrongly."""
        rig, words = self.rig, self.mark.fields
        shown = rig.ctl_ok("show", session_id, "--json")
        if words["patient"] not in shown or words["note"] not in shown:
            raise harness.Failure("show has no annotation: nothing is proved")
        rig.ctl_ok("sessions", "--text", words["patient"], "--json")
        rig.ctl("show", words["patient"])
        rig.ctl("annotate", session_id, "--patient", words["patient"] + "x" * 2000)
        rig.ctl("annotate", "00000000", "--patient", words["patient"])
        rig.ctl("annotate", session_id, "--zone", words["zone"], "--pass", "4000000000")
        rig.ctl("annotate", session_id, "--note", words["note"], user=NOBODY)
        for arguments in (("a{sv}", "1", words["patient"], "s", words["note"]),
                          ("a{sv}", "1", "patient", "u", "5")):
            try:
                rig.busctl("org.pentel", "/org/pentel/manager", "org.pentel.Log1", "Annotate",
                           "s" + arguments[0], session_id, *arguments[1:])
            except harness.Failure:
                continue
            raise harness.Failure("a wrong field was taken")

    def files(self):
        """Names of all files, and what is in those outside the store and what a sink carries."""
        n = 0
        meant = {self.rig.state / "store", self.carried}
        for folder, folders, files in os.walk(self.rig.directory):
            for name in folders + files:
                self.mark.find("name of a file", name.encode(errors="replace"))
            for name in files:
                path = Path(folder) / name
                if meant.isdisjoint(path.parents) and path.is_file():
                    self.mark.find(str(path), path.read_bytes())
                    n += 1
        return n

    def check_store(self):
        """Else the mark was never there to be found."""
        data = b"".join(p.read_bytes() for p in (self.rig.state / "store").rglob("*")
                        if p.is_file())
        if self.mark.fields["patient"].encode() not in data:
            raise harness.Failure("the store itself does not have the mark")


def check_audit(rig, session_id):
    said = rig.daemon.err.read_text(errors="replace")
    for uid in (0, NOBODY):
        if not re.search(rf"user {uid} read .*{session_id}", said):
            raise harness.Failure(f"no line says that user {uid} read {session_id}")


def check_observed(watched):
    text = watched.seen.read_text(errors="replace")
    for word in ("PropertiesChanged", "org.pentel.Log1", "GetAll"):
        if word not in text:
            raise harness.Failure(f"the observer saw no {word}: nothing is proved")
    watched.mark.find("what another user sees", text.encode())


def check_signals(watched):
    """What the bus tells everybody, unasked."""
    text = watched.seen.read_text(errors="replace")
    signals = re.findall(r"^Type: +signal$.*?^UNIX File Descriptors:$", text, re.M | re.S)
    if sum("org.pentel" in one for one in signals) < 3:
        raise harness.Failure(f"the observer saw {len(signals)} signals: nothing is proved")
    watched.mark.find("a signal", "".join(signals).encode())


def run_case(answer):
    with harness.Rig(f"privacy, polkit {answer}") as rig:
        watched = Watched(rig)
        if answer == "no":
            rig.env.update(LOUD)
        rig.start_sim("--pens=2", "--sessions=2", "--passes=1", "--speed=8", "--pairing=-1",
                      "--wait-for-bond", f"--polkit={answer}", "--disconnect-every=1500")
        rig.start_daemon()
        observer = watched.observe()
        rig.enroll(*SERIALS)
        rig.wait(lambda: rig.ctl_json("sessions"), 30.0, "a session")
        session_id = rig.ctl_json("sessions")[-1]["id"]
        watched.annotate(session_id)
        watched.use(session_id)
        if answer == "yes":
            rig.ctl("show", session_id, user=NOBODY)
            check_audit(rig, session_id)
        sync = watched.upload()
        rig.wait_done(60.0)
        rig.ctl_ok("annotate", session_id, "--close", watched.mark.fields["close"])
        watched.titles()
        watched.end_upload(sync)
        time.sleep(0.5)
        observer.terminate()
        observer.wait(5)
        if answer == "no":
            check_observed(watched)
        watched.check_store()
        rig.stop_daemon()
        if answer == "yes":
            # With polkit's leave another user may read; what the bus tells unasked may not.
            check_signals(watched)
            watched.seen.unlink()
        return f"{watched.files()} files"


def run():
    if os.getuid() != 0:
        print("skipped: needs root, to be somebody else")
        return harness.SKIPPED
    return harness.in_parallel(sys.argv[1:] or ["no", "yes"], run_case)


if __name__ == "__main__":
    harness.main(run, 150)
