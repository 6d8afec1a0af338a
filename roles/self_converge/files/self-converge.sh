#!/bin/sh
# One run of a machine that converges itself: fetch, check the signature, ./converge, note what became of it.
#   self-converge.sh
# The folder that it lies in holds allowed_signers, inventory.yml, settings and, where the repository asks for a
# password, credentials; it gets checkout/, logs/, newest and last.json. Nothing of what was fetched is run before
# ssh-keygen has found it signed by one of the signers.
set -u
# Only the user reads what lies here: a setting may hold a password. A character is a byte, and [a-z] has no é in it.
umask 077
export LC_ALL=C
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit 2
checkout=$folder/checkout fetched=$folder/fetched
started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
stamp=$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p "$folder/logs" "$checkout" || exit 2

# One at a time: two would check the signature of the one's files and run the other's. The lock is the open file 8, which
# ./converge has too; the kernel gives it back, however a run ends. macOS has no flock(1); ./converge needs python3 anyway.
lock=$folder/lock
[ -f "$lock" ] && [ ! -L "$lock" ] || rm -rf "$lock"
exec 8>>"$lock"
python3 -I -S -c 'import fcntl, sys
try: fcntl.flock(8, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: sys.exit(75)' >/dev/null 2>&1 </dev/null
case $? in
    0) ;;
    75) echo "self-converge: another run is at work in $folder; nothing was done" >&2; exit 2 ;;
    *) echo "self-converge: $lock cannot be locked. Needed: python3, and a disk that knows locks." >&2; exit 2 ;;
esac

# One file a run; their names hold the time, so that their order is the runs'. A log is kept without the passwords of
# the addresses in it.
keep_log() {
    sed 's,://[^/?#[:space:]]*@,://***@,g' "$folder/running.log" >"$folder/logs/$1.log" && rm -f "$folder/running.log"
}
[ ! -f "$folder/running.log" ] || keep_log "$stamp-cut-off"
# Whatever else stands in their places goes: a pipe would be waited for, a link followed.
rm -rf "$folder/running.log" "$folder/last.json.new" "$folder/newest.new"
exec >"$folder/running.log" 2>&1 </dev/null

# What the lab collects: one line of JSON, put in place whole. No value needs escaping: REF is checked below.
commit='' repository='' ref='' rollback=false keep=14
finish() {
    printf '{"schema": 1, "started": "%s", "ended": "%s", "ref": "%s", "commit": "%s", "step": "%s", "exit_code": %d}\n' \
        "$started" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$ref" "$commit" "$1" "$2" >"$folder/last.json.new"
    mv -f "$folder/last.json.new" "$folder/last.json"
    keep_log "$stamp"
    find "$folder/logs" -name '*.log' | sort -r | tail -n "+$((keep + 1))" | while read -r old; do rm -f "$old"; done
    exit "$2"
}
stop() {
    printf 'self-converge: %s\n' "$2"
    finish "$1" 2
}

# Sets repository, ref, rollback and keep, exports the variables of the environment, and makes $@ the arguments of
# ./converge.
[ -f "$folder/settings" ] || stop settings "there are no settings"
for name in allowed_signers inventory.yml credentials; do
    [ ! -e "$folder/$name" ] || [ -f "$folder/$name" ] || stop settings "$name is no file"
done
# shellcheck source=/dev/null
. "$folder/settings"
LC_ALL=C

case $ref in
    '' | -* | *[!A-Za-z0-9._/-]*) ref='' && stop settings "the ref is neither a tag nor a commit" ;;
esac
# Only what is an address, of a protocol that git itself speaks: no option, no command (ext::), no secret.
case $repository in
    *[!A-Za-z0-9._~:/@+,=%-]* | *::*) stop settings "the repository's address has characters that no address needs" ;;
    https://*@* | http://*@*) stop settings "a password belongs into the file credentials, not into the address" ;;
    https://?* | http://?* | ssh://[A-Za-z0-9]* | git://[A-Za-z0-9]* | file:///* | /*) ;;
    [A-Za-z0-9]*@[A-Za-z0-9]*:*) ;;
    *) stop settings "the repository's address is none: https://, ssh://, git://, file://, user@host: or a path" ;;
esac

# Nothing that is configured decides what is fetched or trusted: no variable, no file of the system or the user, and of
# the repository neither, since it is made anew each time, without hooks. converge gets its own PATH back.
converge_path=$PATH
PATH=/usr/bin:/bin:/usr/sbin:/sbin
for name in $(env | sed -n 's/^\(GIT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
[ -z "${SSL_CERT_FILE:-}" ] || export GIT_SSL_CAINFO="$SSL_CERT_FILE"
# git only reads the password: it would remove one that the server refuses.
export self_converge_credentials="$folder/credentials"
# A server that falls silent would keep this run, and with it all that follow.
export GIT_HTTP_LOW_SPEED_LIMIT=1 GIT_HTTP_LOW_SPEED_TIME=300
export GIT_SSH_COMMAND='ssh -o ConnectTimeout=60 -o ServerAliveInterval=60 -o ServerAliveCountMax=5'
# shellcheck disable=SC2016 # for the shell that git starts
credentials='!f() { [ "$1" != get ] || git credential-store --file "$self_converge_credentials" get; }; f'
run_git() {
    git -C "$checkout" --git-dir="$fetched" --work-tree="$checkout" -c core.attributesFile=/dev/null \
        -c core.excludesFile=/dev/null -c "credential.helper=$credentials" "$@"
}
{ rm -rf "$fetched" && git init -q --bare --template= "$fetched"; } || stop fetch "no repository can be made at $fetched"

# Whether the file `payload` is what an SSH key of a signer has signed in the file `signature`. git is not asked: it
# would take whichever kind of signature the repository has, an OpenPGP one of any key in the user's keyring included.
signed() (
    cd "$fetched" || exit 1
    # One signature, and nothing after it.
    { [ "$(grep -c -e '^-----' signature)" = 2 ] && [ "$(sed -n '$p' signature)" = '-----END SSH SIGNATURE-----' ]; } ||
        exit 1
    ssh-keygen -Y find-principals -f "$folder/allowed_signers" -s signature >principals || exit 1
    while read -r principal; do
        ssh-keygen -Y verify -f "$folder/allowed_signers" -I "$principal" -n git -s signature <payload && exit 0
    done <principals
    exit 1
)
object=$fetched/object
if printf '%s\n' "$ref" | grep -qE '^[0-9a-f]{40}$'; then
    run_git fetch -q --no-tags --depth 1 -- "$repository" "$ref" || stop fetch "could not fetch the commit $ref from $repository"
    # Its signature is a header of it, with a blank before each line but the first (git, commit.c).
    { run_git cat-file commit "$ref" >"$object" && (cd "$fetched" && : >signature && awk '
        message { print; next }
        ours && /^ / { print substr($0, 2) >"signature"; next }
        { ours = 0 }
        /^$/ { message = 1 }
        /^gpgsig / { ours = 1; print substr($0, 8) >"signature"; next }
        { print }' object >payload) && signed; } ||
        stop signature "the commit $ref is not signed by an SSH key of one of the signers; nothing of it was run"
    commit=$ref
else
    run_git fetch -q --no-tags --depth 1 -- "$repository" "refs/tags/$ref:refs/tags/$ref" ||
        stop fetch "could not fetch the tag $ref from $repository"
    # Its signature is the end of its message (git, gpg-interface.c, parse_signed_buffer).
    { run_git cat-file tag "refs/tags/$ref" >"$object" &&
        sed '/^-----BEGIN SSH SIGNATURE-----$/,$d' "$object" >"$fetched/payload" &&
        sed -n '/^-----BEGIN SSH SIGNATURE-----$/,$p' "$object" >"$fetched/signature" && signed; } ||
        stop signature "the tag $ref is not signed by an SSH key of one of the signers; nothing of it was run"
    # What counts is read from what is signed. Another tag of the same signer, put under this name, is refused.
    [ "$(sed -n '3s/^tag //p' "$fetched/payload")" = "$ref" ] ||
        stop signature "what is fetched as $ref is signed as another tag; nothing of it was run"
    [ "$(sed -n 2p "$fetched/payload")" = 'type commit' ] || stop signature "the tag $ref names no commit"
    commit=$(sed -n '1s/^object \([0-9a-f]\{40\}\)$/\1/p' "$fetched/payload")
    time=$(sed -n '4s/^tagger .*> \([0-9]\{1,12\}\) [+-][0-9]\{4\}$/\1/p' "$fetched/payload")
    { [ -n "$commit" ] && [ -n "$time" ]; } || stop signature "the tag $ref has another form than is known"
    # An old tag is signed too. One whose time has not come would keep out all that follow.
    [ "$time" -le "$(($(date -u +%s) + 86400))" ] || stop older "the tag $ref is signed at a time that has not been yet"
    newest=0
    [ ! -e "$folder/newest" ] || { [ -f "$folder/newest" ] && newest=$(cat "$folder/newest"); } ||
        stop older "$folder/newest is no file"
    [ "$time" -ge "$newest" ] || [ "$rollback" = true ] ||
        stop older "the tag $ref is older than the one converged from before; nothing of it was run"
    printf '%s\n' "$time" >"$folder/newest.new" && mv -f "$folder/newest.new" "$folder/newest"
fi
# What an older version had and this one has not goes as well.
{ run_git checkout -q --force --detach "$commit" && run_git clean -qffd; } || stop checkout "could not check out $commit"

(umask 022 && PATH=$converge_path exec "$checkout/converge" -i "$folder/inventory.yml" "$@")
finish converge $?
