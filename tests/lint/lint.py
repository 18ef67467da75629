#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What no compiler knows of this tree: who may include whom, and a few habits that cost.

lint.py [--root DIR]   checks a tree, prints PATH:LINE: [rule] why
lint.py --self-test    checks that every rule finds its fixtures and nothing else does

A fixture is a small tree of its own, fixtures/<rule>/..., with at least one fault of that
rule; fixtures/clean holds what looks like a fault and is none.
"""
import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = {".git", "__pycache__", "fixtures", "corpus"}

# Layer -> what it may include of the layers. client and tests/sim stand outside.
LAYERS = {
    "core": {"core"},
    "util": {"util"},
    "bluez": {"bluez", "util"},
    "store": {"store", "util", "core"},
    "pen": {"pen", "core", "util", "bluez", "store"},
    "service": {"service", "pen", "store", "core", "util"},
}
# The simulator encodes; to judge sessions with core's own fold would prove nothing.
SIM_MAY = {
    "core/body.h", "core/crc32c.h", "core/feature.h", "core/record.h", "core/segment.h",
    "core/status.h", "core/wire.h",
}
# The clients: what both may use is in lib, and neither knows the other.
CLIENT_MAY = {"lib": {"lib"}, "ctl": {"ctl", "lib"}, "sync": {"sync", "lib"}}
# Who may speak a database's language.
SQLITE_MAY = ("daemon/store", "client/sync/database.c")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+["<]([^">]+)[">]', re.M)
OWN_ENUMS = re.compile(r"\bcase\s+(?:PEN|PD|CTL|SIM)_\w+\s*:")


def blank(text, pattern):
    """Overwrites what matches with spaces, so that line numbers and offsets stay."""
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def code_of(text):
    """C without comments and without what is inside strings and characters."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def hide(match):
        found = match.group()
        if found[0] == "/":
            return re.sub(r"[^\n]", " ", found)
        return found[0] + " " * (len(found) - 2) + found[-1]

    return token.sub(hide, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class File:
    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.is_c = path.suffix in (".c", ".h")
        self.code = code_of(self.text) if self.is_c else ""

    def under(self, *folders):
        return any(self.name.startswith(folder + "/") for folder in folders)

    def includes(self):
        # From the text, as code_of blanks what is between quotes.
        for match in INCLUDE.finditer(blank(self.text, r"/\*.*?\*/")):
            yield line_of(self.text, match.start()), match.group(1)

    def find(self, pattern):
        for match in re.finditer(pattern, self.code):
            yield line_of(self.code, match.start()), match.group()


def layer_fault(file, included):
    parts = included.split("/")
    target = parts[0] if len(parts) > 1 and parts[0] in LAYERS else None
    if ".." in parts:
        return "include by the path below daemon/, not by .."
    if file.under("client") and (target or parts[0] == "daemon"):
        return "a client knows the bus and nothing of the daemon"
    if file.under("client") and len(parts) > 1 and parts[0] in CLIENT_MAY:
        part = file.name.split("/")[1]
        if parts[0] not in CLIENT_MAY.get(part, set()):
            return f"client/{part} may not include {parts[0]}"
    if file.under("tests/sim") and target and included not in SIM_MAY:
        return "the simulator may use core's encoder only"
    layer = file.name.split("/")[1] if file.under("daemon") and file.name.count("/") > 1 else None
    if layer and target and target not in LAYERS.get(layer, set()):
        return f"{layer} may not include {target}"
    if layer == "core" and re.match(r"(glib|gio|gobject|sqlite3|systemd)", included):
        return "core is libc and protobuf-c only"
    return None


def rule_layers(file):
    if not file.is_c:
        return
    for line, included in file.includes():
        fault = layer_fault(file, included)
        if fault:
            yield line, f"{included}: {fault}"


def rule_sqlite(file):
    if not file.is_c or not file.under("daemon", "client", "tests/sim"):
        return
    for line, included in file.includes():
        if included.startswith("sqlite3") and not file.name.startswith(SQLITE_MAY):
            yield line, "only daemon/store and client/sync/database.c speak SQLite"
        if included.startswith("libpq") and not file.name.startswith("client/sync/pg"):
            yield line, "only client/sync/pg*.c speak to PostgreSQL"


def rule_stop_notify(file):
    """StopNotify on a characteristic with debris crashes bluetoothd before 5.84 (P5, F1)."""
    if not file.under("daemon") or not file.is_c:
        return
    for match in re.finditer(r"\bStopNotify\b", blank(file.text, r"/\*.*?\*/|//[^\n]*")):
        yield line_of(file.text, match.start()), "StopNotify can crash bluetoothd (F1); drop the link"


def rule_sync(file):
    if not file.under("daemon") or file.name == "daemon/penteld.c":
        return
    for line, found in file.find(r"\b\w+_sync\s*\("):
        yield line, f"{found.rstrip('( ')} waits on the main loop; use _async and _finish"


def rule_goto(file):
    for line, _ in file.find(r"\bgoto\b"):
        yield line, "no goto; g_autoptr cleans up"


def statements(code):
    """(offset, depth, text) of every ';' statement, initialisers included."""
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: re.sub(r"[^\n]", " ", m.group()), code, flags=re.M)
    start, depth, initialiser = 0, 0, 0
    for i, char in enumerate(code):
        if char == "{":
            if initialiser or re.search(r"=\s*(\([^()]*\)\s*)?$", code[start:i]):
                initialiser += 1
            elif re.match(r"\s*(typedef\s+|static\s+|const\s+)*(struct|union|enum)\b[^()=]*$", code[start:i]):
                initialiser += 1
            else:
                depth, start = depth + 1, i + 1
        elif char == "}":
            if initialiser:
                initialiser -= 1
            else:
                depth, start = depth - 1, i + 1
        elif char == ";" and not initialiser:
            yield start, depth, code[start:i]
            start = i + 1


def is_mutable(statement, depth):
    words = re.sub(r"\b(?:G_GNUC_\w+|_Thread_local|_Alignas)\b(\s*\([^)]*\))?", "", statement).strip()
    while "{" in words:
        words, n_cut = re.subn(r"\{[^{}]*\}", "", words)
        if n_cut == 0:
            break
    head = words.split("=")[0].strip()
    # A static gsize in a function is GLib's guard for what is made once, its type quarks among it.
    if depth > 0 and (not head.startswith("static ") or head.startswith("static gsize ")):
        return False
    if re.match(r"(typedef|extern|_Static_assert|G_|g_)", head) or "(" in head.replace("(*", ""):
        return False
    if re.match(r"(static\s+)?(struct|union|enum)\b\s*\w*$", head) or not re.search(r"\w\s+\**\s*\w", head):
        return False
    declarator = head.rsplit("*", 1)[-1]
    return not re.search(r"\bconst\b", declarator)


def rule_state(file):
    """Heuristic: a variable at file scope, or static in a function, that is not const."""
    if not file.is_c or not file.under("daemon", "client", "tests/sim"):
        return
    for offset, depth, statement in statements(file.code):
        if is_mutable(statement, depth):
            begin = offset + len(statement) - len(statement.lstrip())
            yield line_of(file.code, begin), "mutable state outside an object"


def block_after(code, start):
    depth = 0
    for i in range(code.index("{", start), len(code)):
        depth += {"{": 1, "}": -1}.get(code[i], 0)
        if depth == 0:
            return code[start:i]
    return code[start:]


def rule_default(file):
    """-Wswitch-enum then names every switch that a new value must be added to."""
    for match in re.finditer(r"\bswitch\s*\([^{}]*\)\s*\{", file.code):
        block = block_after(file.code, match.start())
        label = re.search(r"\bdefault\s*:", block)
        if label and OWN_ENUMS.search(block):
            yield line_of(file.code, match.start() + label.start()), "no default over our own enums"


def rule_polkit(file):
    """Without an owner polkit refuses every check that penteld asks for (F9)."""
    if not file.name.endswith(".policy"):
        return
    for action in xml.etree.ElementTree.fromstring(file.text).iter("action"):
        name = action.get("id", "?")
        line = line_of(file.text, file.text.find(f'"{name}"'))
        owners = [a.text for a in action.findall("annotate")
                  if a.get("key") == "org.freedesktop.policykit.owner"]
        owner = "unix-user:pentel-sync" if name.startswith("org.pentel.sync-") else "unix-user:pentel"
        if owners != [owner]:
            yield line, f"{name} lacks the owner annotation {owner}"
        defaults = [d.text for d in action.findall("defaults/*")]
        if len(defaults) != 3 or set(defaults) != {"no"}:
            yield line, f"{name} must be denied by default in all three cases"


def rule_spdx(file):
    if not file.is_c and not file.name.endswith((".py", ".sh", ".proto")) and not file.text.startswith("#!"):
        return
    head = "\n".join(file.text.splitlines()[:5])
    if "SPDX-FileCopyrightText:" not in head or "SPDX-License-Identifier:" not in head:
        yield 1, "the file does not open with its two SPDX lines"


def rule_machine(file):
    pattern = r"(?<![\w.}@$*~-])/(?:home|root|work|Users)(?=/)"
    for match in re.finditer(pattern, file.text):
        yield line_of(file.text, match.start()), "a path of somebody's machine"


RULES = {
    "layers": rule_layers,
    "sqlite": rule_sqlite,
    "stop-notify": rule_stop_notify,
    "sync": rule_sync,
    "goto": rule_goto,
    "state": rule_state,
    "default": rule_default,
    "polkit": rule_polkit,
    "spdx": rule_spdx,
    "machine": rule_machine,
}


def files_of(root):
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if SKIPPED.intersection(parts) or parts[0].startswith("build") or not path.is_file():
            continue
        if path.is_symlink() or b"\0" in path.read_bytes()[:4096]:
            continue
        yield File(root, path)


def check(root):
    """[(rule, message)] of a whole tree."""
    found = []
    for file in files_of(root):
        for name, rule in RULES.items():
            found += [(name, f"{file.name}:{line}: [{name}] {why}") for line, why in rule(file)]
    return found


def self_test():
    bad = 0
    for name in [*RULES, "clean"]:
        root = HERE / "fixtures" / name
        found = check(root)
        wanted = set() if name == "clean" else {name}
        files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
        silent = files - {message.split(":")[0] for _, message in found} if wanted else set()
        ok = files and {rule for rule, _ in found} == wanted and not silent
        print(f"{'ok' if ok else 'not ok'} - {name}: {len(found)} in {len(files)} fixtures")
        for _, message in found if not ok else []:
            print(f"#   {message}")
        for missed in sorted(silent):
            print(f"#   nothing found in {missed}")
        bad += not ok
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=HERE.parent.parent)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return 1 if self_test() else 0
    found = check(options.root.resolve())
    for _, message in found:
        print(message)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
