# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# tap.sh: one flat TAP stream out of many tests' own. Sourced by run.
#
# Every case becomes "ok N - TEST.CASE". What a test must not get away with
# becomes a case of its own that fails: a wrong plan, no cases at all, an exit
# status that does not fit, a time limit, a skip that nobody expected.

tap_begin() {
	tap_kernel=$1
	tap_skips=$2
	tap_n=0 tap_passed=0 tap_failed=0 tap_skipped=0 tap_complete=0 tap_tests=0
	tap_test='' tap_said='' tap_failures=''
	echo "TAP version 13"
}

tap_ok() {
	tap_said=
	tap_passed=$((tap_passed + 1))
	echo "ok $((++tap_n)) - $1"
}

tap_not_ok() {
	tap_failed=$((tap_failed + 1))
	echo "not ok $((++tap_n)) - $1${2:+ # $2}"
	tap_failures+="# failed: $1${2:+ # $2}"$'\n'$tap_said
	tap_said=
}

# tap_say LINE: what a test says of a case. It stands at the end of the stream once more
# if the case fails: who reads thousands of lines begins there.
tap_say() {
	echo "$1"
	tap_said+=$1$'\n'
	while [ "${#tap_said}" -gt 1000 ]; do tap_said=${tap_said#*$'\n'}; done
}

# Is this skip in the list? Lines: KERNEL-glob TESTNAME-glob reason...
tap_skip_expected() {
	local kernel name reason
	[ -r "$tap_skips" ] || return 1
	while read -r kernel name reason; do
		# shellcheck disable=SC2053 # globs they are
		case $kernel in
		'' | '#'*) continue ;;
		*) [[ $tap_kernel == $kernel && $1 == $name && -n $reason ]] && return ;;
		esac
	done <"$tap_skips"
	return 1
}

tap_skip() {
	if tap_skip_expected "$1"; then
		tap_skipped=$((tap_skipped + 1))
		echo "ok $((++tap_n)) - $1 # SKIP $2"
	else
		tap_not_ok "$1" "skipped, which selftests/expected-skips does not list: $2"
	fi
}

# Something wrong with the run rather than with a case.
tap_problem() {
	tap_not_ok "${tap_test:-vm}" "$1"
}

tap_test_begin() {
	tap_test=$1
	tap_tests=$((tap_tests + 1))
	tap_plan='' tap_cases=0 tap_bad=0 tap_skip_all='' tap_said=''
	echo "# $1"
}

# "ok 3 - name", "ok 3 name # SKIP why", ... of the test that runs.
tap_case() {
	local result=$1 text=$2 name reason=
	tap_cases=$((tap_cases + 1))
	name=${text#"${text%%[!0-9]*}"}
	name=${name# }
	name=${name#- }
	case $name in
	*'# SKIP'*)
		reason=${name#*'# SKIP'}
		name=${name%%'# SKIP'*}
		;;
	esac
	name=${name%"${name##*[! ]}"}
	name=$tap_test.${name#global.}
	if [ "$result" = bad ]; then
		tap_bad=$((tap_bad + 1))
		tap_not_ok "$name"
	elif [ "$text" != "${text%'# SKIP'*}" ]; then
		tap_skip "$name" "${reason# }"
	else
		tap_ok "$name"
	fi
}

tap_line() {
	[ -n "$tap_test" ] || {
		echo "# $1"
		return
	}
	case $1 in
	"ok "[0-9]*) tap_case ok "${1#ok }" ;;
	"not ok "[0-9]*) tap_case bad "${1#not ok }" ;;
	"1..0 # SKIP"*) tap_plan=0 tap_skip_all=${1#*SKIP } ;;
	"1.."[0-9]*) tap_plan=${1#1..} ;;
	"TAP version"*) ;;
	'#'*) tap_say "$1" ;;
	*) tap_say "# $1" ;;
	esac
}

# tap_test_end NAME exit|signal|timeout|stuck VALUE SECONDS
tap_test_end() {
	local how="$2 $3"
	case $how in
	"exit 0" | "exit 4")
		if [ "${tap_plan:-}" = 0 ] || { [ "$how" = "exit 4" ] && [ "$tap_cases" = 0 ]; }; then
			tap_skip "$1" "${tap_skip_all:-exit status 4}"
		elif [ "$tap_cases" = 0 ]; then
			tap_not_ok "$1" "it ran no case at all"
		elif [ "${tap_plan%% *}" != "$tap_cases" ]; then
			tap_not_ok "$1" "planned ${tap_plan:-nothing}, ran $tap_cases"
		fi
		;;
	"timeout "*) tap_not_ok "$1" "ran into its time limit ($4 s)" ;;
	"stuck "*) tap_not_ok "$1" "survived SIGKILL" ;;
	*)
		# kselftest exits 1 for cases that failed: they speak for themselves.
		[ "$how" = "exit 1" ] && [ "$tap_bad" -gt 0 ] &&
			[ "${tap_plan%% *}" = "$tap_cases" ] ||
			tap_not_ok "$1" "ended with $how after $tap_cases of ${tap_plan:-?} cases"
		;;
	esac
	echo "# $1: $4 s"
	tap_test=
}

# tap_verdict NAME ok|bad|skip TEXT: a case that the VM's init speaks for.
tap_verdict() {
	case $2 in
	ok) tap_ok "vm.$1" ;;
	skip) tap_skip "vm.$1" "$3" ;;
	*) tap_not_ok "vm.$1" "$3" ;;
	esac
}

# The plan and the totals; false when anything failed.
tap_end() {
	if [ -n "$tap_test" ]; then
		tap_not_ok "$tap_test" "the VM died or hung in it"
	fi
	tap_test=
	[ "$tap_complete" = 1 ] || tap_problem "no verdict: the VM died or hung"
	[ "$tap_tests" -gt 0 ] || tap_problem "no test was run"
	echo "1..$tap_n"
	printf %s "$tap_failures"
	echo "$tap_passed passed, $tap_failed failed, $tap_skipped skipped"
	[ "$tap_failed" = 0 ]
}
