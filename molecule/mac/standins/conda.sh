# Stand-in for etc/profile.d/conda.sh of conda 26.3.2 (conda/shell/etc/profile.d/conda.sh): defines `conda`, which
# knows `activate` only and passes everything else on. Left out: deactivate, reactivate, the prompt, CONDA_SHLVL.
export CONDA_EXE='@ROOT@/bin/conda'
__conda_activate() {
    __ask_conda="$("$CONDA_EXE" shell.posix "$@")" || return
    \eval "$__ask_conda"
    \unset __ask_conda
}
conda() {
    case "${1-}" in
        activate) __conda_activate "$@" ;;
        *) "$CONDA_EXE" "$@" ;;
    esac
}
