# Completion for bash. run-core itself knows what may stand where: commands, plugins, actions,
# jobs, flags and the keys of --set. Where it has nothing to say, files are offered.
_run_core()
{
    local line=("${COMP_WORDS[@]:1:COMP_CWORD}")
    local word="${line[${#line[@]} - 1]}"

    # bash makes words of '=' and ':' of their own; a value behind '=' is the user's.
    [[ $word == "=" || ${COMP_WORDS[COMP_CWORD - 1]} == "=" ]] && return
    mapfile -t COMPREPLY < <(compgen -W "$("$1" complete "${line[@]}" 2>/dev/null)" -- "$word")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _run_core run-core
