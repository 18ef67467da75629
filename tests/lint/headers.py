#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""headers.py BUILD: every header of daemon/ and client/ compiles alone.

With the flags of a source file beside it, so a header of a directory that builds nothing
yet is left out.
"""
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def flags_by_folder(build):
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        words = shlex.split(entry["command"])
        kept, skip = [], False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-c", "-MF", "-MQ", "-MT"):
                skip = word != "-c"
            elif word not in ("-MD", entry["file"]):
                kept.append(word)
        flags.setdefault(source.parent, (entry["directory"], kept))
    return flags


def compiles(header, directory, words):
    # A unit of its own rather than the header itself, which would warn of #pragma once.
    run = subprocess.run(
        [*words, "-fsyntax-only", "-Wno-unused-macros", "-x", "c", "-"],
        input=f'#include "{header}"\n', cwd=directory, capture_output=True, text=True, timeout=60,
        check=False)
    return run.returncode == 0, run.stderr


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    flags = flags_by_folder(build)
    headers = sorted([*ROOT.glob("daemon/**/*.h"), *ROOT.glob("client/**/*.h")])
    judged = [(h, *flags[h.parent]) for h in headers if h.parent in flags]
    with tempfile.TemporaryDirectory() as folder:
        bad = pathlib.Path(folder) / "bad.h"
        bad.write_text("uint8_t f(PenRecord record);\n")
        if compiles(bad, *judged[0][1:])[0]:
            print("this check cannot fail")
            return 1
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda job: compiles(*job), judged))
    failed = [(job[0], err) for job, (ok, err) in zip(judged, results) if not ok]
    for header, err in failed:
        print(f"{header.relative_to(ROOT)} does not compile alone\n{err}")
    print(f"{len(judged) - len(failed)} of {len(judged)} headers compile alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
