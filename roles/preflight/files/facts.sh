# shellcheck shell=sh
# Reads what preflight judges, changes nothing. Runs as `sh -s PROFILE PREFIX` on Linux and macOS, where there may
# be no Python yet. Prints key=value lines; the last is end=1, so that a cut-off answer is noticed.
set -u
profile=$1
prefix=$2

say() { printf '%s=%s\n' "$1" "$2"; }

say system "$(uname -s)"
say machine "$(uname -m)"
say user "$(id -un)"
say uid "$(id -u)"
say home "$HOME"

data=${XDG_DATA_HOME:-$HOME/.local/share}/metal-lab
say data "$data"
[ -n "$prefix" ] || prefix=$data/envs/$profile
say prefix "$prefix"
# The record says where the environment is, whoever made it: conda's lies elsewhere (module_utils/lab_record.py).
recorded=$(sed -n 's/^  "prefix": "\(.*\)",*$/\1/p' "$data/$profile.json" 2>/dev/null)
say env_present "$([ -x "${recorded:-$prefix}/bin/python" ] && echo 1 || echo 0)"

case $(uname -s) in
    Darwin)
        # 1 when this shell is translated by Rosetta; unknown (and silent with -i) on a Mac without it.
        say translated "$(sysctl -in sysctl.proc_translated)"
        # uname -m says x86_64 under Rosetta; this one tells the hardware.
        say arm64_hardware "$(sysctl -in hw.optional.arm64)"
        say macos "$(sw_vers -productVersion)"
        say shell "$(dscl . -read "/Users/$(id -un)" UserShell | sed 's/^UserShell: //')"
        ;;
    *)
        say glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //')"
        say shell "$(getent passwd "$(id -un)" | cut -d: -f7)"
        ;;
esac
say zdotdir "${ZDOTDIR:-}"

# Free space where the environment goes: the nearest folder above it that exists.
place=$prefix
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
say disk_at "$place"
say disk_free_kib "$(df -Pk "$place" | awk 'NR == 2 { print $4 }')"
say writable "$([ -w "$place" ] && echo 1 || echo 0)"
say end 1
