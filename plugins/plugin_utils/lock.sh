# shellcheck shell=sh
# Keeps two runs apart on one machine. Runs as `sh -s ACTION LOCK ID WHO SINCE DEAD` on Linux and macOS, with no more
# than POSIX has: take, look (in check mode, changes nothing) or release.
#   LOCK   the lock: a file, there while a run is at work. It names the run, and appears with its content or not at all.
#   ID     of this run: the machine that it is started from, its boot, and its process
#   WHO    whom to ask, for a person
#   SINCE  when it began
#   DEAD   id of a run that the caller knows to have ended, or ""
# Prints lock=taken, free, held, busy, odd, unwritable or released, and lock_at; for held the holder's id, who and since; last
# lock_end=1.
set -u
action=$1 lock=$2 id=$3 who=$4 since=$5 dead=$6

tell() { printf 'lock%s=%s\n' "$1" "$2"; }
# What the lock says: of a file alone, not behind a link. A pipe would be waited for.
holder() { [ -f "$lock" ] && [ ! -L "$lock" ] && cat "$lock" 2>/dev/null; }
is_odd() { [ -L "$lock" ] || { [ -e "$lock" ] && [ ! -f "$lock" ]; }; }
part() { printf '%s\n' "$content" | sed -n "s/^$1=//p"; }

# What this machine is since it was last started: no run from before that goes on.
case $(uname -s) in
    Darwin) boot=$(sysctl -n kern.bootsessionuuid) ;;
    *) boot=$(cat /proc/sys/kernel/random/boot_id) ;;
esac
# In a container a process has another number.
space=$(readlink /proc/self/ns/pid 2>/dev/null)
here=$(uname -n)/$boot${space:+/$space}

tidy() {
    folder=$(dirname "$lock")
    while [ "$folder" != "$HOME" ] && rmdir "$folder" 2>/dev/null; do folder=$(dirname "$folder"); done
}

# A run is over for certain when the machine was restarted since, when the caller says so, or when it was started
# on this very machine and its process is gone.
is_over() {
    held=$(part id)
    [ "$(part boot)" = "$boot" ] || return 0
    [ -z "$dead" ] || [ "$held" != "$dead" ] || return 0
    [ "${held%/*}" = "$here" ] && (LC_ALL=C; export LC_ALL; kill -0 "${held##*/}" 2>&1) | grep -q 'No such process'
}

# A file with its content gets the lock's name, which only one can give.
place() {
    ln "$mine" "$lock" 2>/dev/null && return
    if [ -e "$lock" ] || { ln "$mine" "$mine.name" 2>/dev/null && rm -f "$mine.name"; }; then return 1; fi
    # No file has two names here (exFAT, some file servers): whoever makes this folder may look, and rename.
    mkdir "$lock.making" 2>/dev/null || return
    [ ! -e "$lock" ] && mv "$mine" "$lock"
    given=$?
    rmdir "$lock.making"
    return $given
}

take() {
    mkdir -p "$(dirname "$lock")" 2>/dev/null
    mine=$lock.$$
    rm -f "$mine" 2>/dev/null
    if ! printf 'id=%s\nwho=%s\nsince=%s\nboot=%s\n' "$id" "$who" "$since" "$boot" 2>/dev/null >"$mine"; then
        rm -f "$mine"
        tidy
        tell '' unwritable
        return
    fi
    content=''
    if is_odd; then
        tell '' odd
    elif place; then
        tell '' taken
    elif ! content=$(holder); then
        tell '' busy
    elif [ "$(part id)" = "$id" ]; then
        tell '' taken
    elif is_over; then
        replace
    else
        describe
    fi
    rm -f "$mine"
}

# Whoever makes this folder may take that run's lock away, and nobody else's: what was read is looked at again.
replace() {
    if ! mkdir "$lock.over" 2>/dev/null; then
        tell '' busy
        return
    fi
    if [ "$(holder)" = "$content" ] && rm "$lock" && place; then
        tell '' taken
        tell _left_by "$(part who), since $(part since)"
    else
        tell '' busy
    fi
    rmdir "$lock.over"
}

describe() {
    tell '' held
    tell _id "$(part id)"
    tell _who "$(part who)"
    tell _since "$(part since)"
}

case $action in
    take) take ;;
    look)
        if is_odd; then tell '' odd; elif content=$(holder) && [ "$(part id)" != "$id" ] && ! is_over; then describe; else tell '' free; fi
        ;;
    release)
        if content=$(holder) && [ "$(part id)" = "$id" ]; then
            rm -f "$lock"
            tidy
        fi
        tell '' released
        ;;
esac
tell _at "$lock"
tell _end 1
