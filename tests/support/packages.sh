# shellcheck shell=bash
# Installing what tests and benchmarks need, on Debian and its like; sourced by their scripts.

# Where servers are, also for those in whose path they are not.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

has() {
    type -P "$1" >/dev/null
}

# Runs a command as root, by sudo where that is necessary.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs packages without letting the servers among them start, now or with the system.
install_packages() {
    local policy=/usr/sbin/policy-rc.d status=0 package
    if [ ! -e "$policy" ]; then
        # shellcheck disable=SC2064 # the path of now is meant
        trap "as_root rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    else
        policy=
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" || status=$?
    if [ -n "$policy" ]; then
        as_root rm -f "$policy"
        trap - EXIT
    fi
    if [ -d /run/systemd/system ]; then
        for package; do
            case $package in
            nginx | lighttpd | squid | tinyproxy | varnish | vsftpd)
                as_root systemctl disable --quiet --now "$package" || true
                ;;
            esac
        done
    fi
    return "$status"
}
