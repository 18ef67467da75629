# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Reads what the directory sink wrote, as somebody would who got it on a stick: checks every
hash and the chain of anchors, and takes the last of each session."""

import hashlib
import json

from bench import check, same


def sets(path):
    return sorted(p for p in path.iterdir() if p.is_dir() and p.name != ".open")


def check_hashes(directory):
    listed = dict(reversed(line.split("  ")) for line in
                  (directory / "SHA256SUMS").read_text().splitlines())
    there = {p.name for p in directory.iterdir()} - {"SHA256SUMS"}
    same(f"{directory.name}: files in SHA256SUMS", there, set(listed))
    for name, wanted in listed.items():
        found = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        same(f"{directory.name}/{name}: SHA-256", wanted, found)


def check_chain(path):
    previous = None
    for directory in sets(path):
        check_hashes(directory)
        anchor = json.loads((directory / "anchor.json").read_text())
        same("anchor: previous", previous.name if previous else "", anchor["previous"])
        wanted = hashlib.sha256((previous / "SHA256SUMS").read_bytes()).hexdigest() if previous else ""
        same("anchor: hash of the set before", wanted, anchor["previous_sums_sha256"])
        previous = directory
    return previous


def messages(data):
    """Length-delimited messages; a rest is a fault."""
    out, at = [], 0
    while at < len(data):
        length = shift = 0
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        check(at + length <= len(data), "a message is torn")
        out.append(data[at:at + length])
        at += length
    return out


def fields(message):
    """Field number to its last value: bytes or int."""
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(message):
        key = number()
        if key & 7 == 0:
            out[key >> 3] = number()
        else:
            length = number()
            out[key >> 3] = message[at:at + length]
            at += length
    return out


def read(path, with_open=False):
    """Session id to its last state (None when erased), of all sets, in both forms."""
    by_line, by_message = {}, {}
    directories = sets(path) + ([path / ".open"] if with_open else [])
    for directory in directories:
        if not (directory / "sessions.ndjson").exists():
            continue
        for line in (directory / "sessions.ndjson").read_text().splitlines():
            item = json.loads(line)
            by_line[item["session"]] = None if item["erased"] else item["state"]
        for message in messages((directory / "deliveries.pb").read_bytes()):
            item = fields(message)
            by_message[item[1].decode()] = None if item.get(7) else json.loads(item[8])
    same("protobuf and NDJSON", by_line, by_message)
    return by_line


def expected(penteld, bound=True):
    """What must be there of what the fake penteld holds."""
    out = {}
    for id, session in penteld.snapshot().items():
        if session.get("patient") or not bound:
            out[id] = json.loads(json.dumps(session))
    return out


def compare(path, penteld, bound=True, erased=(), with_open=False):
    found = read(path, with_open)
    wanted = expected(penteld, bound)
    wanted.update({id: None for id in erased})
    same("sessions delivered", sorted(wanted), sorted(found))
    for id, session in wanted.items():
        same(f"session {id}", session, found[id])
