# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The recorder that a script would be: bleak, sqlite3, a commit every two seconds.

recorder_bleak.py DATABASE ADDRESS...: records Live Records of every pen until SIGTERM,
prints how many at every commit. It does what a baseline must: reassemble, check the CRC's length,
insert. No backfill, no decoding, no marks.
"""

import asyncio
import contextlib
import signal
import sqlite3
import sys

from bleak import BleakClient, BleakScanner

FEATURE = "52797f01-bc08-4935-9e95-12fdb4ca7483"
LIVE = "52797f02-bc08-4935-9e95-12fdb4ca7483"
FIRST, LAST = 1, 2


class Recorder:
    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=full")
        self.db.execute("create table raw(id integer primary key, pen text, number int, record blob)")
        self.n_records = 0
        self.parts = {}

    def on_segment(self, address, data):
        part = bytearray() if data[0] & FIRST else self.parts.get(address, bytearray())
        part += data[1:]
        self.parts[address] = part
        if not data[0] & LAST or int.from_bytes(part[:2], "little") != len(part):
            return
        number = int.from_bytes(part[6:10], "little")
        if number:
            self.db.execute("insert into raw(pen, number, record) values(?, ?, ?)",
                            (address, number, bytes(part)))
            self.n_records += 1

    async def follow(self, device, connecting, stop):
        address = device.address
        client = BleakClient(device, timeout=20.0)
        async with connecting:  # bluetoothd refuses scans and connects beside each other
            await client.connect()
        try:
            await client.read_gatt_char(FEATURE)
            await client.start_notify(LIVE, lambda _, data: self.on_segment(address, data))
            await stop.wait()
        finally:
            with contextlib.suppress(EOFError):  # bleak may close its bus before the reply is there
                await client.disconnect()

    async def commit(self, stop):
        while not stop.is_set():
            await asyncio.sleep(2.0)
            self.db.commit()
            print(self.n_records, flush=True)


async def run(path, addresses):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    recorder = Recorder(path)
    found = await BleakScanner.discover(timeout=3.0)
    connecting = asyncio.Lock()
    await asyncio.gather(recorder.commit(stop),
                         *(recorder.follow(device, connecting, stop) for device in found
                           if device.address in addresses))
    recorder.db.commit()
    print(recorder.n_records, flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2:]))
