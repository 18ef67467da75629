# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The commands of README.md's section Install, which are what is tested."""
import re

SECTION = "Install"
# What the runner itself does before it boots anything.
ON_THE_BUILDER = ("apt build-dep ./", "tests/radio/build-debs")


def commands(text):
    """The indented lines of the section, without their comments, in order."""
    section = re.search(rf"^## {SECTION}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if section is None:
        raise ValueError(f"README.md has no section {SECTION}")
    lines = re.findall(r"^    (\S.*)$", section.group(1), re.M)
    return [line.split("  #")[0].strip() for line in lines]
