# Completion of weir's command line for bash. Commands, options and what they
# take are read from `weir -h`, names from the running weir's /metrics.
#
# SPDX-License-Identifier: MIT

# Of each command a line: its name, its arguments, what it does.
_weir_commands() {
	"$1" -h 2>/dev/null | awk '
	function out() { if (name != "") print name "\t" args "\t" does }
	/^  weir (\[[^]]*\] )*[a-z]/ {
		out()
		sub(/^  weir (\[[^]]*\] )*/, "")
		split($0, part, /  +/)
		name = args = part[1]; does = part[2]
		sub(/ .*/, "", name); sub(/^[^ ]* ?/, "", args)
		next
	}
	/^      / && name != "" && does == "" {
		sub(/^ +/, "")
		if (/^[[]/) args = args " " $0; else does = $0
		next
	}
	{ out(); name = "" }
	END { out() }'
}

# Values of a label in /metrics; of that upstream only, if it is named.
# Arguments: LABEL UPSTREAM COMMAND-THAT-RUNS-WEIR ...
_weir_labels() {
	local label=$1 of=$2
	shift 2
	"$@" get /metrics 2>/dev/null | grep '^weir_endpoint_up{' |
		grep -F "${of:+upstream=\"$of\"}" |
		sed -n "s/.*[{,]$label=\"\([^\"]*\)\".*/\1/p" | sort -u
}

# What an argument or a value is called in the usage, turned into words.
_weir_words() {
	case $1 in
	UPSTREAM*)	_weir_labels upstream '' "${weir[@]}" ;;
	ENDPOINT)	_weir_labels endpoint "${plain[0]}" "${weir[@]}" ;;
	ID)		"${weir[@]}" get /connections 2>/dev/null |
				grep -o '"id": *[0-9]*' | tr -dc '0-9\n' ;;
	LEVEL)		echo error warn info debug ;;
	PATH)		echo /config /connections /dns /drift /healthz /metrics \
				/readyz /slow /stats ;;
	*[a-z0-9]*)	echo "${1//|/ }" ;;
	esac
}

# The value that an option wants by the usage, if any: is there one?
_weir_value() {
	[[ $usage =~ (^|[ [])"$1 "([^][ |-][^] ]*) ]] && echo "${BASH_REMATCH[2]}"
}

_weir() {
	local cur prev words cword
	_get_comp_words_by_ref -n : cur prev words cword || return
	local weir=("${words[0]}") command='' usage='' takes='' plain=() wanted i
	for ((i = 1; i < cword; i++)); do
		local word=${words[i]}
		if [[ -n $takes ]]; then
			[[ -n $command ]] || weir+=("$takes" "$word")
			takes=
			continue
		fi
		case $word in
		--)	_command_offset $((i + 1)); return ;;
		-c | --config | --admin)
			takes=$word ;;
		-*)	_weir_value "$word" >/dev/null && takes=$word ;;
		*)	if [[ -z $command ]]; then
				command=$word
				usage=$(_weir_commands "${weir[0]}" | awk -F '\t' \
					-v "c=$word" '$1 == c { print $2 }')
			else
				plain+=("$word")
			fi ;;
		esac
	done

	case ${takes:-$prev} in
	-c | --config)	_filedir; return ;;
	--admin)	return ;;
	-h | --help)	wanted=config ;;
	--*)	if [[ -n $takes ]]; then
			wanted=$(_weir_words "$(_weir_value "$takes")")
		fi ;;
	esac
	if [[ -z $takes && -z $wanted && -z $command ]]; then
		wanted="-c --config --admin -t -h --help -V --version
			$(_weir_commands "${weir[0]}" | cut -f 1)"
	elif [[ -z $takes && -z $wanted ]]; then
		local options left=$usage
		options=$(grep -o -- '--[a-z][a-z-]*' <<<"$usage")
		while [[ $left =~ (^|[ [])--[a-z-]+(\ [^][ |-][^] ]*)? ]]; do
			left=${left/"${BASH_REMATCH[0]}"/ }
		done
		read -ra left <<<"${left//[][]/}"	# arguments
		wanted="$(_weir_words "${left[${#plain[@]}]}") $options"
	fi
	# shellcheck disable=SC2207  # one word each
	COMPREPLY=($(compgen -W "$wanted" -- "$cur"))
	__ltrim_colon_completions "$cur"
}

complete -F _weir weir
