# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""pentelctl enroll bonds, a pen treats, every session equals the truth"""

import treatment

BOOT = "main"
ORDER = 10
GUESTS = ("13", "12", "12-6.1")
LIMIT_S = 150


def run(rig):
    treatment.begin(rig, sessions=2, passes=3, speed=4)
    return treatment.end(rig)
