# shellcheck shell=sh
# Reads what preflight judges, changes nothing. Runs as `sh -s PROFILE PREFIX HOMEBREW CONDA...` on Linux and macOS, where
# there may be no Python yet: HOMEBREW is Homebrew's prefix, CONDA the places where conda may be, if not the usual. Prints
# key=value lines; the last is end=1, so that a cut-off answer is noticed.
set -u
# What tools print is the same for everybody: numbers, words, the order of names.
export LC_ALL=C
profile=$1
prefix=$2
homebrew=$3
shift 3

say() { printf '%s=%s\n' "$1" "$2"; }
flag() { if "$@" >/dev/null 2>&1; then echo 1; else echo 0; fi; }
# Not stat, whose options differ between the systems.
# shellcheck disable=SC2012  # The owner is the third word, whatever the name is.
owner() { ls -ld "$1" | awk '{ print $3 }'; }

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
recorded=''
[ ! -f "$data/$profile.json" ] || recorded=$(sed -n 's/^  "prefix": "\(.*\)",*$/\1/p' "$data/$profile.json" 2>/dev/null)
say env_present "$([ -x "${recorded:-$prefix}/bin/python" ] && echo 1 || echo 0)"

# Whether a clone was cut off: git writes bin/brew early and HEAD last, which until then names a branch without a commit
# (plugins/modules/homebrew_clone.py). With git's newer format, reftable, that cannot be seen in a file.
cut_off() {
    # A pipe in a file's place would be waited for.
    [ -f "$homebrew/.git/HEAD" ] || return 1
    branch=$(sed -n 's/^ref: //p' "$homebrew/.git/HEAD" 2>/dev/null)
    [ -n "$branch" ] && [ ! -e "$homebrew/.git/$branch" ] && [ ! -e "$homebrew/.git/reftable" ] &&
        ! grep -qs " $branch\$" "$homebrew/.git/packed-refs"
}

# What Homebrew's prefix is. No git is run: without the Command Line Tools /usr/bin/git opens a window.
homebrew_kind() {
    if [ -e "$homebrew/bin/brew" ] && ! cut_off; then echo brew
    elif [ ! -e "$homebrew" ]; then echo absent
    elif [ -z "$(ls -A "$homebrew")" ]; then echo empty
    elif [ -e "$homebrew/.git" ]; then echo clone
    else echo foreign
    fi
}

# What /usr/bin/git and /usr/bin/python3 lead to. Where there are no developer tools they are stubs, which open a window:
# so nothing of theirs is run before xcode-select(1), which never does, has named a folder that holds them. Until Xcode's
# licence is accepted they end with 69 (sysexits.h, EX_UNAVAILABLE), "You have not agreed to the Xcode license agreements".
developer_tools() {
    code=0
    if [ -z "$developer" ]; then echo none
    elif [ ! -d "$developer" ]; then echo gone
    elif [ ! -x "$developer/usr/bin/python3" ] || [ ! -x "$developer/usr/bin/git" ]; then echo incomplete
    else
        /usr/bin/git --version >/dev/null 2>&1 </dev/null || code=$?
        if [ "$code" = 69 ]; then echo licence; else echo there; fi
    fi
}

# Whether a start-up file of the login shell has Homebrew's own line.
finds_homebrew() {
    startup=${zdotdir:-$HOME}
    case $shell in
        */bash) set -- "$login_file" "$HOME/.bashrc" ;;
        *) set -- "$startup/.zprofile" "$startup/.zshrc" "$HOME/.zshenv" "$startup/.zshenv" "$startup/.zlogin" ;;
    esac
    grep -Eqs '^[[:blank:]]*eval .*brew[^A-Za-z0-9]* shellenv' "$@"
}

mac() {
    # By name: those of a session that began earlier may have changed since.
    say groups "$(id -Gn "$(id -un)")"
    # -n never asks: it fails where a password is needed. With -k no password that was typed a minute ago counts.
    say sudo_asks "$(flag test "$(flag sudo -kn true </dev/null)" = 0)"
    # As Homebrew looks for the Command Line Tools (Homebrew/install, install.sh, should_install_command_line_tools).
    say tools "$(flag test -e /Library/Developer/CommandLineTools/usr/bin/git)"
    developer=$(xcode-select -p 2>/dev/null)
    say developer "$(developer_tools)"
    say developer_at "$developer"
    say homebrew "$(homebrew_kind)"
    say homebrew_prefix "$homebrew"
    say homebrew_owner "$([ ! -e "$homebrew" ] || owner "$homebrew")"
    say homebrew_git_owner "$([ ! -e "$homebrew/.git" ] || owner "$homebrew/.git")"
    # shellcheck disable=SC2012  # For a person to read.
    say homebrew_holds "$(ls -A "$homebrew" 2>/dev/null | head -5 | paste -sd ' ' -)"
    say shellenv "$(flag finds_homebrew)"
    # The places of roles/miniforge/vars/main.yml, in its order.
    [ $# -gt 0 ] || set -- "$HOME/miniforge3" "$homebrew/Caskroom/miniforge/base" "$HOME/mambaforge" "$HOME/miniconda3" \
        "$HOME/anaconda3" "$HOME/opt/miniconda3" "$HOME/opt/anaconda3" "$homebrew/Caskroom/mambaforge/base" \
        "$homebrew/Caskroom/miniconda/base" "$homebrew/anaconda3" /opt/miniforge3 /opt/miniconda3 /opt/anaconda3
    conda=''
    for place in "$@"; do
        case $place in '~'/*) place=$HOME/${place#??} ;; esac
        # One made for Intel is passed over, as by the module conda_installation.
        [ -n "$conda" ] || [ ! -x "$place/bin/conda" ] ||
            grep -qs '"subdir": *"osx-64"' "$place"/conda-meta/python-[0-9]*.json || conda=$place
    done
    say conda "$conda"
    say conda_owner "$([ -z "$conda" ] || owner "$conda")"
    place=$conda/envs
    [ -e "$place" ] || place=$conda
    say conda_writable "$(flag test -w "${place:-/}")"
    env=''
    for place in "${recorded:-$prefix}" "$conda/envs/$profile"; do
        [ -n "$env" ] || [ ! -x "$place/bin/python" ] || env=$place
    done
    say env "$env"
    say env_owner "$([ -z "$env" ] || owner "$env")"
    say env_writable "$(flag test -w "${env:-/}")"
    # Package and macOS (the number before the dot), as its wheel's tags name it.
    say wheels "$([ -z "$env" ] || grep -EHs '^Tag: [^-]+-[^-]+-macosx_[0-9]{1,3}_[0-9]{1,3}_(arm64|universal2)' \
        "$env"/lib/python3*/site-packages/*.dist-info/WHEEL |
        sed -n 's|^.*/\([A-Za-z0-9._]*\)-[^/-]*\.dist-info/WHEEL:Tag: .*-macosx_\([0-9]*\)_.*$|\1=\2|p' | sort -u | paste -sd ' ' -)"
}

# /Search, since the local directory does not know network accounts (dscl(1); opendirectoryd(8)).
case $(uname -s) in
    Darwin) shell=$(dscl /Search -read "/Users/$(id -un)" UserShell | sed 's/^UserShell: //') ;;
    *) shell=$(getent passwd "$(id -un)" | cut -d: -f7) ;;
esac
# Only zsh itself knows: most people set it in .zshenv, without export. Every command over SSH reads that file too.
zdotdir=${ZDOTDIR:-}
case $shell in
    */zsh)
        # shellcheck disable=SC2016  # zsh is to expand it.
        zdotdir=$("$shell" -c 'printf "\nzdotdir=%s\n" "${ZDOTDIR-}"' </dev/null 2>/dev/null |
            sed -n 's/^zdotdir=//p' | tail -n 1)
        ;;
esac

# What of them a login shell reads: bash(1) the first that is there, so that making another would hide it.
login_file=${zdotdir:-$HOME}/.zprofile
case $shell in
    */bash)
        login_file=$HOME/.bash_profile
        for place in .profile .bash_login .bash_profile; do
            [ ! -r "$HOME/$place" ] || login_file=$HOME/$place
        done
        ;;
esac

case $(uname -s) in
    Darwin)
        mac "$@"
        # 1 when this shell is translated by Rosetta; unknown (and silent with -i) on a Mac without it.
        say translated "$(sysctl -in sysctl.proc_translated)"
        # A shell that asked for the numbering of before macOS 11 gets 10.16, or 16.0, without it.
        say macos "$(SYSTEM_VERSION_COMPAT=0 sw_vers -productVersion)"
        say cpu "$(sysctl -in machdep.cpu.brand_string)"
        ;;
esac
say shell "$shell"
say zdotdir "$zdotdir"
say login_file "$login_file"

# Free space where the environment goes: the nearest folder above it that exists.
place=$prefix
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
say disk_at "$place"
# The number before the percentage: the first column may have spaces, as in "map auto_home" or a server's name. Empty where
# df fails, hangs on nothing, or says something else.
say disk_free_kib "$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 {
    for (i = 5; i <= NF; i++) if ($i ~ /^[0-9]+%$/ && $(i - 1) ~ /^[0-9]+$/) { print $(i - 1); exit } }')"
say writable "$([ -w "$place" ] && echo 1 || echo 0)"
say end 1
