# shellcheck shell=sh
# Where the Python of an environment is that somebody names. Runs as `sh -c SCRIPT sh NONCE PATH`; the path, of a folder
# or a Python, is escaped for printf's %b; one that does not begin with a slash is taken from the home. Prints lines
# key=value between two lines with the nonce. POSIX; nothing is run.
set -u
nonce=$1
given=$(printf %b "$2")
case $given in
    \~/*) given=$HOME/${given#??} ;;
    /*) ;;
    *) given=$HOME/$given ;;
esac

# A link counts also where what it leads to is gone.
there() {
    [ -e "$1" ] || [ -L "$1" ]
}

# The environment itself, or where uv and pixi (and others after them) keep that of a project.
find_python() {
    if [ -d "$given" ]; then
        for prefix in "$given" "$given/.venv" "$given/.pixi/envs/default"; do
            for python in "$prefix/bin/python" "$prefix/bin/python3"; do
                if there "$python"; then return; fi
            done
        done
        prefix='' python=''
    elif there "$given"; then
        python=$given
        prefix=$(dirname "$(dirname "$given")")
    else
        prefix='' python=''
    fi
}

find_python
if ! there "$given"; then
    state=missing
elif [ -z "$python" ]; then
    state=no-environment
elif [ ! -e "$python" ]; then
    state=dangling
elif [ -d "$python" ] || [ ! -x "$python" ]; then
    state=not-executable
else
    state=found
fi
# A venv has pyvenv.cfg (PEP 405), an environment of conda, mamba or pixi conda-meta.
kind=other
if [ -d "$prefix/conda-meta" ]; then
    kind=conda
elif [ -f "$prefix/pyvenv.cfg" ]; then
    kind=venv
fi
# A folder beside it that the user may mean.
beside=''
if [ "$state" = no-environment ]; then
    for folder in "$given/venv" "$given/env"; do
        if there "$folder/bin/python"; then beside=$folder; break; fi
    done
fi
printf '\n%s\n' "$nonce"
printf 'system=%s\nmachine=%s\n' "$(uname -s)" "$(uname -m)"
printf 'given=%s\nstate=%s\nkind=%s\nprefix=%s\npython=%s\n' "$given" "$state" "$kind" "$prefix" "$python"
printf 'beside=%s\n' "$beside"
printf '\n%s\n' "$nonce"
