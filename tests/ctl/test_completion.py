# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The completions: they parse, complete what is to be completed, and run nothing else."""

import shutil
import subprocess

import fake
from fake import Bench, check, same

BASH = fake.BUILD / "client/ctl/completion/pentelctl"
ZSH = fake.BUILD / "client/ctl/completion/_pentelctl"
MAN = fake.BUILD / "client/pentelctl.1"


def complete(bench, *words):
    """What bash offers for the last of the words."""
    script = (f". {BASH}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _pentelctl; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    path = f"{fake.CTL.parent}:{bench.env['PATH']}"
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", "pentelctl", *words],
                          env=dict(bench.env, PATH=path), capture_output=True, text=True,
                          timeout=20, cwd=bench.directory, stdin=subprocess.DEVNULL)
    same(f"complete {words}: errors", "", done.stderr)
    return done.stdout.split()


def parses():
    for shell, path in (("bash", BASH), ("zsh", ZSH)):
        if shutil.which(shell):
            done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True)
            check(done.returncode == 0 and not done.stderr, f"{path}: {done.stderr}")
    check(ZSH.read_text().startswith("#compdef pentelctl\n"), "zsh does not know whose it is")


def words():
    with Bench().start() as bench:
        check("sessions" in complete(bench, ""), "no verbs")
        same("verb", ["sessions"], complete(bench, "se"))
        same("option", ["--since", "--state"], complete(bench, "sessions", "--s"))
        same("state", ["live", "lossy"], complete(bench, "sessions", "--state", "l"))
        same("format", ["csv-samples", "csv-passes"], complete(bench, "export", "-f", "csv"))
        same("pen", ["PT-0001", "PT-0002", "PT-0003"], complete(bench, "forget", "PT"))
        same("pen of an option", ["PT-0002"], complete(bench, "sessions", "--pen", "PT-0002"))
        same("session", ["3f2a91c0"], complete(bench, "show", "3f"))
        same("nothing", [], complete(bench, "annotate", "3f2a", "--zone", ""))
        bench.file("out.csv", "")
        same("file", ["out.csv"], complete(bench, "export", "-o", "ou"))


def quiet():
    """Without penteld, and with a pen named to do harm: no word, no error, nothing run."""
    with Bench() as bench:
        same("without a daemon", [], complete(bench, "show", ""))
        bench.groups["ListPens"] = {"reply": "([{'Serial': <'$(touch harm)'>}, "
                                    "{'Serial': <'`touch harm`'>}, {'Serial': <'--force'>}, "
                                    "{'Serial': <'PT-0001'>}],)"}
        bench.start_fake()
        same("pens", ["PT-0001"], complete(bench, "forget", ""))
        check(not (bench.directory / "harm").exists(), "the name of a pen ran a program")


def manual():
    text = MAN.read_text()
    for verb in ("status", "pens", "enroll", "forget", "sessions", "show", "watch", "annotate",
                 "export", "sync", "doctor"):
        check(f"\n.SS {verb}" in text, f"the man page lacks {verb}")
    for code in range(8):
        check(f"\n.B {code}\n" in text, f"the man page lacks exit code {code}")
    with Bench().start() as bench:
        shapes = [bench.json("sessions")[0], bench.json("show", fake.ID), bench.json("pens")[0],
                  bench.json("status")]
        shapes += shapes[1]["passes"][:1] + [shapes[1]["receipt"], shapes[0]["records"]]
    for key in {key for shape in shapes for key in shape}:
        check(key in text.replace("\\-", "-"), f"the man page does not know {key}")
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-Tlint", "-Werror", str(MAN)], capture_output=True, text=True)
        same("mandoc", "", done.stdout)


if __name__ == "__main__":
    fake.main([parses, words, quiet, manual])
