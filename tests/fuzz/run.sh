#!/usr/bin/env bash
# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
#
# tests/fuzz/run.sh [SECONDS]: builds each fuzzer with clang's libFuzzer, ASan and UBSan, and
# lets it look for that long (30). Exits 1 when an input breaks something; it is kept in
# build-fuzz, and what was new and harmless is kept there as well.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-30}
case $seconds in
'' | *[!0-9]* | 0)
    echo "usage: tests/fuzz/run.sh [SECONDS]" >&2
    exit 2
    ;;
esac
for tool in clang protoc-c pkg-config; do
    command -v "$tool" > /dev/null || { echo "no $tool here"; exit 77; }
done

out=$PWD/build-fuzz
mkdir -p "$out/gen" || exit 1
protoc-c --proto_path=proto/pentel/v1 "--c_out=$out/gen" proto/pentel/v1/record.proto \
    proto/pentel/v1/journal.proto || exit 1

# The core alone for what pens send: no other library but protobuf-c can hide or cause
# anything. The others have what they are about, and stand-ins for the rest.
more() {
    case $1 in
    arguments) echo daemon/service/arguments.c daemon/util/error.c ;;
    args) echo client/ctl/args.c client/ctl/command.c client/lib/text.c client/lib/time.c ;;
    journal) echo "$out/gen/journal.pb-c.c" ;;
    racp) echo daemon/pen/racp.c daemon/pen/mark.c daemon/pen/backfill.c daemon/pen/progress.c ;;
    esac
}

packages() {
    case $1 in
    arguments | args | racp) echo gio-2.0 gio-unix-2.0 ;;
    esac
}

build() {
    # shellcheck disable=SC2046
    clang -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all -D_GNU_SOURCE -DG_LOG_DOMAIN=\"fuzz\" \
        -Idaemon -Iclient -I"$out/gen" -Itests/fuzz \
        daemon/core/*.c "$out/gen/record.pb-c.c" tests/fuzz/structure.c $(more "$1") \
        "tests/fuzz/fuzz-$1.c" \
        $(pkg-config --cflags --libs libprotobuf-c $(packages "$1")) -o "$out/fuzz-$1"
}

# look NAME: libFuzzer stops by itself; timeout is for the case that it does not.
look() {
    local name=$1 log=$out/$1.log status
    mkdir -p "$out/found/$name"
    UBSAN_OPTIONS=print_stacktrace=1 timeout -k 5 $((seconds + 60)) \
        "$out/fuzz-$name" "-max_total_time=$seconds" -max_len=8192 -timeout=10 -seed=1 \
        -rss_limit_mb=1024 -print_final_stats=1 "-artifact_prefix=$out/$name-" \
        "$out/found/$name" "tests/fuzz/corpus/$name" > "$log" 2>&1 < /dev/null
    status=$?
    if [ $status != 0 ]; then
        tail -n 40 "$log"
        echo "not ok $name (exit $status)"
        return 1
    fi
    awk -v name="$name" '
        /^stat::number_of_executed_units/ { n = $2 }
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
        END {
            if (n + 0 == 0) { print "not ok " name ": nothing was executed"; exit 1 }
            print "ok     " name ": " n " executions, " cov " edges"
        }' "$log"
}

failed=0
for target in tests/fuzz/fuzz-*.c; do
    name=$(basename "$target" .c)
    name=${name#fuzz-}
    if ! build "$name"; then
        echo "not ok $name does not build (is libclang-rt-dev there?)"
        failed=1
        continue
    fi
    look "$name" || failed=1
done
exit $failed
