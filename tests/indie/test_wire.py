# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The vectors that are printed in the profile come out of this reading of it, too."""

import wire

LOG = 0x1122334455667788
SAMPLES_HEX = ("430088776655080000000700000003000000804f120000001a2508a09c011206"
               "b817142714001a069c12000000002206d804140909002a07b96080f104e73b52c20d5e")


def record(num, session, boot, tick, kind, message):
    return wire.record(LOG, num, session, boot, tick, wire.body(kind, message)).hex()


def vectors():
    cart = wire.cartridge("CART-0001", "L2026-07", "2028-01-31", 14)
    yield ("session_begin", record(7, 7, 3, 1000000, wire.BEGIN,
                                   wire.session_begin("1.4.2", cart, 1500)),
           "4d008877665507000000070000000300000040420f0000000a2f12230a094341"
           "52542d3030303112084c323032362d30371a0a323032382d30312d3331200e18"
           "dc0b2205312e342e32594ef089")
    message = wire.samples(20000, [1500, 1510, 1490, 1500, 1500], [12345, 80000, 7655],
                           [1166] * 5, [300, 310, 305, 300, 300])
    yield "samples", record(8, 7, 3, 1200000, wire.SAMPLES, message), SAMPLES_HEX
    yield ("session_end", record(16, 7, 4, 500, wire.END, wire.number(1, 3)),
           "200088776655100000000700000004000000f40100000000120208035c2ce011")
    message = b"".join(wire.number(i + 1, v) for i, v in enumerate([7, 16, 10, 1, 17, 0]))
    yield ("range_end", record(0, 0, 4, 2000, wire.RANGE_END, message),
           "290088776655000000000000000004000000d00700000000a2010a0807101018"
           "0a2001281112c411f4")
    yield ("hole", record(0, 0, 4, 2001, wire.HOLE, wire.number(1, 5) + wire.number(2, 1)),
           "230088776655000000000000000004000000d10700000000aa01040805100114e85947")
    message = wire.number(1, 1) + wire.number(2, 17) + wire.number(4, 900)
    yield ("head", record(0, 0, 4, 2002, wire.HEAD, message),
           "260088776655000000000000000004000000d20700000000b201070801101120840789ed8b19")
    message = wire.number(1, 1) + wire.number(2, 0xFFFFFFFF)
    yield ("range_end of an empty log", record(0, 0, 1, 700, wire.RANGE_END, message),
           "270088776655000000000000000001000000bc0200000000a20108080110ffffffff0fd09ea31f")
    message = wire.samples(655, [0, 4095, 0], [1, 1963, 1], [0, 10000, 0], [0, 2000, 0])
    yield ("samples of 1/32768 s", record(28, 17, 4, 65536, wire.SAMPLES, message),
           "3e00887766551c00000011000000040000000000010000001a20088f05120500"
           "fe3ffd3f1a0700a09c019f9c01220500a01f9f1f2a0401ab0f018d37d59e")
    pieces = wire.segments(bytes.fromhex(SAMPLES_HEX), 23)
    yield ("segments", " ".join(bytes([p[0] | (62 + i) % 64 << 2]).hex() + p[1:].hex()
                                for i, p in enumerate(pieces)),
           "f943008877665508000000070000000300000080 fc4f120000001a2508a09c011206b81714271400 "
           "001a069c12000000002206d804140909002a07b9 066080f104e73b52c20d5e")
    yield "session id", wire.session_id(LOG, 7), "0b4ec535-9a4b-5a88-a244-71bfa7d1ddbd"
    yield "crc", wire.crc32c(b"123456789").to_bytes(4, "little").hex(), "839206e3"


def main():
    wrong = 0
    for name, mine, printed in vectors():
        print("ok" if mine == printed else f"FAILED: {mine} is not {printed}", name)
        wrong += mine != printed
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
