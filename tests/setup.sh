# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What tests/run and tests/demo have in common: the packages and the build.

# The packages below are Debian's, so Debian's python3 must be the one that is found.
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH" LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

build_packages="gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev libglib2.0-dev-bin
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libsqlite3-dev libsystemd-dev
    libzstd-dev libjson-glib-dev libpq-dev libsoup-3.0-dev libgnutls28-dev glib-networking
    dbus dbus-daemon python3 procps systemd"
suite_packages="jq openssl pgbouncer postgresql udev umockdev python3-gi python3-jsonschema python3-protobuf
    libxml2-utils tmux xz-utils"
# The FHIR server of the tests: a Node.js that is there already may be newer than Debian's.
command -v node > /dev/null || suite_packages+=" nodejs"
command -v npm > /dev/null || suite_packages+=" npm"
deep_packages="python3-bleak clang clang-format clang-tidy libclang-rt-dev"

# install_packages NAME...: what is missing of them, and nothing when nothing is.
install_packages() {
    local package missing='' sudo=''
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing+=" $package"
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || sudo="sudo -E"
    echo "installing$missing"
    $sudo timeout 300 apt-get -q update || return
    # shellcheck disable=SC2086
    $sudo timeout 900 apt-get install -qy --no-install-recommends $missing
}

# build_project: into build/, with warnings as errors.
build_project() {
    [ -f build/build.ninja ] || timeout 300 meson setup build --werror || return
    timeout 900 ninja -C build
}
