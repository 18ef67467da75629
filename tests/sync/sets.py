# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Makes and spoils sealed sets, with an encoder of its own."""

import hashlib
import json
import shutil

import fake
from fake import delimited, field


def of(path):
    return sorted(p for p in path.iterdir() if p.is_dir() and p.name != ".open")


def reseal(directory):
    """Sums as they should be for what is there now."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
             for file in sorted(directory.iterdir()) if file.name != "SHA256SUMS"]
    (directory / "SHA256SUMS").write_text("".join(lines))


def delivery(session, gateway="room-9", seq=1, wall_us=fake.EPOCH_US, state=None, erased=False, said=(),
             records_at=0, records_bytes=0, store_id=None, fold_us=None):
    """A pentel.v1.Delivery; state: a dict, or text as it is to stand there."""
    text = state if isinstance(state, (str, bytes)) else json.dumps(state or {})
    out = field(1, session) + field(2, gateway) + field(3, seq) + field(4, wall_us)
    out += field(5, fold_us if fold_us is not None else wall_us) + field(6, 100)
    out += field(7, 1) if erased else field(8, text)
    for name, at in said:
        out += field(9, field(1, name) + field(2, at) + field(3, 1000))
    out += field(10, store_id) if store_id else b""
    return out + (field(11, records_at) + field(12, records_bytes) if records_bytes else b"")


def make(path, name, messages, records=b"", before=None, gateway="room-9"):
    """A set of these messages; `before`: the set it is sealed after."""
    directory = path / name
    directory.mkdir(parents=True)
    (directory / "deliveries.pb").write_bytes(b"".join(
        m if isinstance(m, bytearray) else delimited(m) for m in messages))
    if records:
        (directory / "records.pb").write_bytes(records)
    sums = hashlib.sha256((before / "SHA256SUMS").read_bytes()).hexdigest() if before else ""
    (directory / "anchor.json").write_text(json.dumps(
        {"sink": "out", "gateway": gateway, "previous": before.name if before else "",
         "previous_sums_sha256": sums}))
    reseal(directory)
    return directory


def copy(path, target):
    """As somebody copies a stick."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(path, target)
    return target
