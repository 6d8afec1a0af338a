#!/bin/sh
# One run of a machine that converges itself: fetch, check the signature, ./converge, note what became of it.
#   self-converge.sh FOLDER REPOSITORY REF KEEP [ARGUMENT of ./converge ...]
# FOLDER holds allowed_signers and inventory.yml, and gets checkout/, logs/ and last.json. REF is a tag, or a whole
# commit. Nothing of what was fetched is run before git has found it signed by one of the signers.
set -u
umask 022
folder=$1 repository=$2 ref=$3 keep=$4
shift 4
started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
checkout=$folder/checkout
mkdir -p "$folder/logs" || exit 2
log=$folder/logs/$(date -u +%Y%m%dT%H%M%SZ).log
exec >"$log" 2>&1 </dev/null

# One file a run, the newest KEEP of them; their names hold the time, so that their order is the runs'.
find "$folder/logs" -name '*.log' | sort -r | tail -n "+$((keep + 1))" | while read -r old; do rm -f "$old"; done

# What the lab collects: one line of JSON, put in place whole. No value needs escaping: REF is checked below.
commit=''
end() {
    printf '{"schema": 1, "started": "%s", "ended": "%s", "ref": "%s", "commit": "%s", "step": "%s", "exit_code": %d}\n' \
        "$started" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$ref" "$commit" "$1" "$2" >"$folder/last.json.new"
    mv -f "$folder/last.json.new" "$folder/last.json"
    exit "$2"
}
stop() {
    printf 'self-converge: %s\n' "$2"
    end "$1" 2
}

case $ref in
    '' | -* | *[!A-Za-z0-9._/-]*) ref=''; stop settings "the ref is neither a tag nor a commit" ;;
esac

# Nothing that is configured for this user decides what is fetched or trusted.
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0
[ -d "$checkout/.git" ] || git init -q "$checkout" || stop fetch "no repository can be made at $checkout"
run_git() { git -C "$checkout" -c gpg.format=ssh -c "gpg.ssh.allowedSignersFile=$folder/allowed_signers" "$@"; }

if printf '%s\n' "$ref" | grep -qE '^[0-9a-f]{40}$'; then
    run_git fetch -q --force --depth 1 "$repository" "$ref" || stop fetch "could not fetch the commit $ref from $repository"
    run_git verify-commit "$ref" || stop signature "the commit $ref is not signed by one of the signers; nothing of it was run"
    commit=$ref
else
    run_git fetch -q --force --depth 1 "$repository" "refs/tags/$ref:refs/tags/$ref" ||
        stop fetch "could not fetch the tag $ref from $repository"
    run_git verify-tag "refs/tags/$ref" || stop signature "the tag $ref is not signed by one of the signers; nothing of it was run"
    # The signature covers the name within the tag: another tag of the same signer, put under this name, is refused.
    [ "$(run_git cat-file tag "refs/tags/$ref" | sed -n '/^$/q; s/^tag //p')" = "$ref" ] ||
        stop signature "what is fetched as $ref is signed as another tag; nothing of it was run"
    commit=$(run_git rev-parse --verify "refs/tags/$ref^{commit}") || stop fetch "the tag $ref names no commit"
fi
run_git checkout -q --force --detach "$commit" || stop checkout "could not check out $commit"

"$checkout/converge" -i "$folder/inventory.yml" "$@"
end converge $?
