#!/bin/sh
# Stand-in for Miniforge3-26.3.2-3-MacOSX-arm64.sh: `bash FILE -b -p PREFIX`, as constructor writes installers
# (conda/constructor, constructor/header.sh): refuses an existing prefix with exit code 1, an unknown option with 1.
# Lays down the stand-in of conda. Left out: every other option, the licence, the package cache.
set -eu
if [ $# -ne 3 ] || [ "$1" != -b ] || [ "$2" != -p ]; then
    echo "ERROR: did not recognize option, please try -h (the stand-in knows -b -p PREFIX)" >&2
    exit 1
fi
prefix=$3
room=${STANDIN_ROOM:-/opt/.sim}
echo "miniforge-installer $*" >>"$room/calls"
if [ -e "$prefix" ]; then
    echo "ERROR: File or directory already exists: '$prefix'" >&2
    echo "If you want to update an existing installation, use the -u option." >&2
    exit 1
fi
echo "PREFIX=$prefix"
if [ "$(cat "$room/hang-miniforge" 2>/dev/null || :)" = install ]; then
    mkdir -p "$prefix/bin"
    sleep 600
fi
lib=$prefix/lib/python3.11/site-packages/conda
mkdir -p "$prefix/bin" "$lib/models" "$lib/base" "$prefix/conda-meta" "$prefix/envs" "$prefix/etc/profile.d" "$prefix/condabin"
for name in python python3 python3.11; do ln -s "$room/python3.11" "$prefix/bin/$name"; done
printf 'home = %s\ninclude-system-site-packages = false\nversion = 3.11\n' "$room" >"$prefix/pyvenv.cfg"
: >"$lib/__init__.py"
: >"$lib/models/__init__.py"
: >"$lib/base/__init__.py"
printf 'channels:\n  - conda-forge\n' >"$prefix/.condarc"
: >"$prefix/conda-meta/history"
payload() { sed -n "/^$1 BEGIN\$/,/^$1 END\$/p" "$installer" | sed '1d;$d'; }
installer=$0
payload MATCH_SPEC >"$lib/models/match_spec.py"
payload CONSTANTS >"$lib/base/constants.py"
payload RECORDED >"$lib/recorded.json"
payload HOOK | sed "s|@ROOT@|$prefix|" >"$prefix/etc/profile.d/conda.sh"
{ printf '#!%s/bin/python\n' "$prefix"; payload CONDA | sed 1d; } >"$prefix/bin/conda"
chmod 755 "$prefix/bin/conda"
printf '{"name": "conda", "version": "26.3.2", "build": "py311_0", "fn": "conda-26.3.2-py311_0.conda"}\n' \
    >"$prefix/conda-meta/conda-26.3.2-py311_0.json"
echo "installation finished."
exit 0
