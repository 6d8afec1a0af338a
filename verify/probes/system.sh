# shellcheck shell=sh
# What Homebrew and conda have put on a machine: reads files, and asks each tool for its version. Runs as
# `sh -c SCRIPT sh NONCE BREW_PREFIX CONDA_ROOT [formula:NAME | cask:NAME] ...`; a folder is "" where there is none to look
# at. Arguments are escaped for printf's %b. Prints lines key=value between two lines with the nonce. POSIX, no Python:
# it must tell what is wrong where the environment's Python is gone.
set -u
# What tools print is the same for everybody.
export LC_ALL=C
nonce=$1
brew=$(printf %b "$2")
conda=$(printf %b "$3")
shift 3

# The exit code of `COMMAND --version` and the first line of what it prints, its errors only where it fails: a warning
# comes before the version. Or "missing".
version() {
    if [ -x "$2" ]; then
        answer=$("$2" --version 2>/dev/null </dev/null)
        code=$?
        [ "$code" = 0 ] || answer=$("$2" --version 2>&1 </dev/null)
        printf '%s=%s %s\n' "$1" "$code" "$(printf '%s\n' "$answer" | head -n 1)"
    else
        printf '%s=missing\n' "$1"
    fi
}

# Homebrew's version, or "cut-off" where its clone is not whole: bin/brew is there early, and answers, while HEAD still
# names a branch without a commit (plugins/modules/homebrew_clone.py).
homebrew() {
    branch=''
    # A pipe in a file's place would be waited for.
    [ ! -f "$brew/.git/HEAD" ] || branch=$(sed -n 's/^ref: //p' "$brew/.git/HEAD" 2>/dev/null)
    if [ -x "$brew/bin/brew" ] && [ -n "$branch" ] && [ ! -e "$brew/.git/$branch" ] && [ ! -e "$brew/.git/reftable" ] &&
        ! grep -qs " $branch\$" "$brew/.git/packed-refs"; then
        echo homebrew=cut-off
    else
        version homebrew "$brew/bin/brew"
    fi
}

# A formula that is installed is linked below opt, under each of its names, and unless it is keg-only to the folders that
# a shell looks in, which var/homebrew/linked notes (Homebrew/brew, Library/Homebrew/keg.rb, optlink and linked?). One of
# a tap is named owner/tap/name. What its own file in the Cellar does not tell is not judged.
formula() {
    keg=$(CDPATH='' cd -P -- "$brew/opt/${1##*/}" 2>/dev/null && pwd)
    [ -n "$keg" ] || { echo missing; return; }
    name=${keg%/*}
    if [ -d "$brew/var/homebrew/linked/${name##*/}/" ] ||
        grep -Eqs '^[[:blank:]]*keg_only([^_[:alnum:]]|$)' "$keg"/.brew/*.rb; then
        echo present
    elif cat "$keg"/.brew/*.rb >/dev/null 2>&1; then
        echo unlinked
    else
        echo present
    fi
}

# What a cask moved elsewhere, an application for example, is a link in its place (Library/Homebrew/cask/artifact/moved.rb).
cask() {
    place=$brew/Caskroom/${1##*/}
    [ -d "$place" ] || { echo missing; return; }
    for link in "$place"/*/*; do
        if [ -L "$link" ] && [ ! -e "$link" ]; then
            printf 'gone %s\n' "$(readlink "$link")"
            return
        fi
    done
    echo present
}

printf '\n%s\n' "$nonce"
[ -z "$brew" ] || homebrew
[ -z "$conda" ] || version conda "$conda/bin/conda"
for one in "$@"; do
    name=$(printf %b "${one#*:}")
    printf '%s:%s=%s\n' "${one%%:*}" "$name" "$("${one%%:*}" "$name")"
done
printf '\n%s\n' "$nonce"
