# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What a run measured: seconds from each fault to the pen streaming again, and memory.

A table at the end of the run, and the same as build/radio/figures.txt and figures.json.
"""
import json

MEMORY = ("penteld", "bluetoothd")


class Figures:
    def __init__(self):
        self.rows = []

    def add(self, guest, name, result):
        self.rows.append({"guest": guest, "scenario": name, "ok": result["ok"], "seconds": result["seconds"],
                          **result.get("figures", {})})

    def _faults(self):
        rows = sorted((row["guest"], row["scenario"], said["since"], said["seconds"])
                      for row in self.rows if row["ok"] for said in row.get("streaming", []))
        if rows:
            yield "seconds from the fault to the pen streaming again"
        for guest, name, since, seconds in rows:
            yield f"  {guest:7}{name:17}{seconds:7.1f}  {since}"

    def _memory(self):
        rows = [row for row in self.rows if row["ok"] and all(row.get("memory_kib", {}).get(name) for name in MEMORY)]
        if rows:
            yield "memory at the end of the scenario, KiB"
            yield f"  {'':24}{'penteld':>8}{'':24}{'bluetoothd':>11}"
            yield f"  {'':24}{'PSS':>8}{'RSS':>8}{'private dirty':>16}{'PSS':>11}{'RSS':>8}"
        for row in sorted(rows, key=lambda row: (row["guest"], row["scenario"])):
            ours, theirs = (row["memory_kib"][name] for name in MEMORY)
            yield (f"  {row['guest']:7}{row['scenario']:17}{ours['Pss']:8}{ours['Rss']:8}{ours['Private_Dirty']:16}"
                   f"{theirs['Pss']:11}{theirs['Rss']:8}")

    def show(self, folder):
        text = "\n".join([*self._faults(), *self._memory()])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "figures.json").write_text(json.dumps(self.rows, indent=1) + "\n")
        (folder / "figures.txt").write_text(text + "\n")
        if text:
            print(text, flush=True)
