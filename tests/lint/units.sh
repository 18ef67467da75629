#!/usr/bin/env bash
# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
#
# units.sh CHECK SOURCE UNIT SYNC: one check of what systemd, udev, polkit and the bus will
# read. SOURCE is the top of the tree, UNIT the generated penteld.service, SYNC the generated
# pentel-sync@.service. Exit 77: the tool that would judge is not on this machine.
set -eu
check=$1 source=$2 unit=$3 sync=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

need() {
    command -v "$1" >/dev/null || { echo "no $1 here"; exit 77; }
}

# The programs need not be installed to judge their units.
runnable() {
    sed 's|^ExecStart=.*|ExecStart=/bin/true|' "$unit" > "$dir/penteld.service"
    sed 's|^ExecStart=.*|ExecStart=/bin/true|' "$sync" > "$dir/pentel-sync@clinic.service"
}

must_fail() {
    if "$@" > "$dir/out" 2>&1; then
        cat "$dir/out"
        echo "this check cannot fail: $*"
        exit 1
    fi
}

verify() {
    local out
    out=$(systemd-analyze verify --man=no "$1" 2>&1) || { echo "$out"; return 1; }
    # An unknown key is a warning to systemd and a typing error to us.
    ! grep -F "$(basename "$1"):" <<< "$out"
}

# exposure UNIT TENTHS: no more than so much. What talks to a network is allowed 1.1.
exposure() {
    systemd-analyze security --offline=true --no-pager --threshold="$2" "$1"
}

# What is rated and not had must have its reason in the unit.
reasons() {
    local mark
    systemd-analyze security --offline=true --no-pager --json=short "$1" > "$dir/rated" || true
    python3 -c 'import json, sys
for row in json.load(open(sys.argv[1])):
    if row["set"] is False:
        print(row["name"])' "$dir/rated" > "$dir/marked"
    [ -s "$dir/marked" ] || { echo "nothing was rated"; return 1; }
    while read -r mark; do
        grep -qF "#   $mark " "$1" || { echo "no reason for $mark"; return 1; }
    done < "$dir/marked"
}

case $check in
verify)
    need systemd-analyze
    runnable
    verify "$dir/penteld.service"
    verify "$dir/pentel-sync@clinic.service"
    sed 's/^PrivateTmp=/PrivateTemp=/' "$dir/penteld.service" > "$dir/typo.service"
    must_fail verify "$dir/typo.service"
    printf '[Service]\nExecStart=/bin/true\n' > "$dir/bluetooth.service"
    mkdir "$dir/bluetooth.service.d"
    cp "$source/systemd/bluetooth-restart.conf" "$dir/bluetooth.service.d/pentel.conf"
    if systemd-analyze verify --man=no "$dir/bluetooth.service" 2>&1 | grep -F pentel.conf; then
        exit 1
    fi
    ;;
exposure)
    need systemd-analyze
    runnable
    exposure "$dir/penteld.service" 3 | tail -n 1
    grep -v '^\(CapabilityBoundingSet\|SystemCallFilter\|PrivateNetwork\)=' "$dir/penteld.service" > "$dir/open.service"
    must_fail exposure "$dir/open.service" 3
    exposure "$dir/pentel-sync@clinic.service" 11 | tail -n 1
    grep -v '^\(CapabilityBoundingSet\|SystemCallFilter\|PrivateUsers\)=' "$dir/pentel-sync@clinic.service" > "$dir/open@clinic.service"
    must_fail exposure "$dir/open@clinic.service" 11
    ;;
reasons)
    need systemd-analyze
    need python3
    runnable
    reasons "$dir/penteld.service"
    grep -v '^LockPersonality=' "$dir/penteld.service" > "$dir/open.service"
    must_fail reasons "$dir/open.service"
    ;;
udev)
    need udevadm
    udevadm verify --help > "$dir/help" 2>&1 || { echo "this udevadm has no verify"; exit 77; }
    udevadm verify --resolve-names=never "$source/udev/90-pentel.rules"
    sed 's/ENV{DEVTYPE}==/ENVDEVTYPE==/' "$source/udev/90-pentel.rules" > "$dir/90-bad.rules"
    must_fail udevadm verify --resolve-names=never "$dir/90-bad.rules"
    ;;
sysusers)
    need systemd-sysusers
    mkdir -p "$dir/etc"
    systemd-sysusers --dry-run --root="$dir" "$source/systemd/pentel.sysusers.conf" \
        "$source/systemd/pentel-sync.sysusers.conf"
    ;;
xml)
    need xmllint
    dtd=/usr/share/polkit-1/policyconfig-1.dtd
    if [ -f "$dtd" ]; then
        xmllint --noout --nonet --dtdvalid "$dtd" "$source/systemd/org.pentel.policy" \
            "$source/systemd/org.pentel.sync.policy"
        sed 's/allow_active>/allow_actve>/g' "$source/systemd/org.pentel.policy" > "$dir/bad.policy"
        must_fail xmllint --noout --nonet --dtdvalid "$dtd" "$dir/bad.policy"
    fi
    xmllint --noout --nonet "$source/systemd/org.pentel.policy" "$source/systemd/org.pentel.conf" \
        "$source/systemd/pentel-lockdown.conf" "$source/systemd/org.pentel.sync.policy" \
        "$source/systemd/org.pentel.sync.conf"
    ;;
bus)
    need dbus-daemon
    bus() {
        printf '%s\n' '<busconfig><type>system</type>' \
            "<listen>unix:path=$dir/bus</listen>" \
            '<policy context="default"><allow user="*"/></policy>' \
            "<include>$1</include></busconfig>" > "$dir/bus.conf"
        rm -f "$dir/address" "$dir/bus"
        : > "$dir/err"
        timeout 10 dbus-daemon --nofork --nopidfile --config-file "$dir/bus.conf" \
            --print-address=1 > "$dir/address" 2> "$dir/err" &
        local pid=$!
        for _ in {1..50}; do
            [ -s "$dir/address" ] && break
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        [ -s "$dir/address" ] || { cat "$dir/err"; return 1; }
    }
    bus "$source/systemd/org.pentel.conf"
    bus "$source/systemd/pentel-lockdown.conf"
    bus "$source/systemd/org.pentel.sync.conf"
    sed 's/<allow own=/<alow own=/' "$source/systemd/org.pentel.conf" > "$dir/bad.conf"
    must_fail bus "$dir/bad.conf"
    ;;
*)
    echo "units.sh: no check $check"
    exit 2
    ;;
esac
