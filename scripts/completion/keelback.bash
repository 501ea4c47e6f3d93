# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Completion for bash. Commands, options and formats are asked of keelback itself, so they are never out of date.

_keelback_options() { # of a command, from its help
	keelback "$1" --help 2>/dev/null | grep -oE '^ +(-[a-z], |    )--[a-z-]+' | grep -oE -- '--[a-z-]+'
}

_keelback() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} i
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "help --help --version $(keelback --help 2>/dev/null |
			sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$current")
		return
	fi
	for ((i = 2; i < COMP_CWORD; i++)); do
		# What follows is a command line of its own.
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			declare -F _command_offset >/dev/null && _command_offset $((i + 1))
			return
		fi
	done
	case $previous in
	-f | --format)
		[[ $command == diff ]] && mapfile -t COMPREPLY < <(compgen -W "table diff-flamegraph json" -- "$current")
		[[ $command =~ ^(faults|audit)$ ]] && mapfile -t COMPREPLY < <(compgen -W "text jsonl" -- "$current")
		[[ $command =~ ^(diff|faults|audit)$ ]] || mapfile -t COMPREPLY < <(compgen -W "$(keelback "$command" --help 2>/dev/null |
			sed -n '/^Formats:/,/^$/s/^  \([a-z-]*\) .*/\1/p')" -- "$current")
		;;
	-p | --pid)
		mapfile -t COMPREPLY < <(compgen -W "$(keelback ps -q 2>/dev/null | sed -n 's/^\([0-9]*\) .*/\1/p')" -- "$current")
		;;
	--signals | --register) mapfile -t COMPREPLY < <(compgen -W "SEGV,FPE,ABRT,BUS,ILL TERM KILL QUIT URG" -- "$current") ;;
	--directory) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
	--mode) mapfile -t COMPREPLY < <(compgen -W "cpu wall gil gil-wait exception" -- "$current") ;;
	--async) mapfile -t COMPREPLY < <(compgen -W "running all" -- "$current") ;;
	--time) mapfile -t COMPREPLY < <(compgen -W "sampled measured none" -- "$current") ;;
	--clock) mapfile -t COMPREPLY < <(compgen -W "wall cpu" -- "$current") ;;
	--color) mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$current") ;;
	--restrict) ;;
	-r | --rate) mapfile -t COMPREPLY < <(compgen -W "tick 100 1000 10000" -- "$current") ;;
	-s | --sort)
		case $command in
		stats | calls) mapfile -t COMPREPLY < <(compgen -W "$(keelback stats --help 2>/dev/null |
			sed -n '/^Sort keys/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$current") ;;
		diff) mapfile -t COMPREPLY < <(compgen -W "self total name" -- "$current") ;;
		census) mapfile -t COMPREPLY < <(compgen -W "bytes objects" -- "$current") ;;
		refs) mapfile -t COMPREPLY < <(compgen -W "created destroyed alive" -- "$current") ;;
		top) mapfile -t COMPREPLY < <(compgen -W "self self% total total% now trend name file" -- "$current") ;;
		*) mapfile -t COMPREPLY < <(compgen -W "nsamples tottime cumtime sample-pct cumul-pct nsamples-cumul name" -- "$current") ;;
		esac
		;;
	--value) mapfile -t COMPREPLY < <(compgen -W "live peak total" -- "$current") ;;
	--group) mapfile -t COMPREPLY < <(compgen -W "lineno filename traceback" -- "$current") ;;
	--domain) mapfile -t COMPREPLY < <(compgen -W "raw mem obj libc mmap pool arena" -- "$current") ;;
	--cgroup) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
	--baseline | --load | --compare) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	-d | --duration | --keep | --min-wait | -t | --tid | --limit | --container | --delay | --window | --batch | --filter | --depth | --items | --length | --timeout | --duty | --every | --largest | --later | --hang | --max-files | --max-bytes | --function | --live-max | --type) ;;
	-e | --event | --match | --max-rate) ;;
	--base-dir | --head-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
	--base | --head) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
	--threshold) mapfile -t COMPREPLY < <(compgen -W "cpu= calls= allocations= peak= wall= rss=" -- "$current") ;;
	--confidence | --only | --ignore | --min-pairs | --max-time) ;;
	--label | --base-label | --title) ;;
	--flamegraph | --append | --against-history) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	--policy) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	-o | --output | --command-output) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	--when) mapfile -t COMPREPLY < <(compgen -W "cpu> cpu< gil> gil< threads> threads<" -- "$current") ;;
	*)
		case $current in
		-*) mapfile -t COMPREPLY < <(compgen -W "$(_keelback_options "$command")" -- "$current") ;;
		*) [[ $command =~ ^(convert|diff|check|stats)$ ]] && mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
		esac
		;;
	esac
}
complete -o filenames -F _keelback keelback
