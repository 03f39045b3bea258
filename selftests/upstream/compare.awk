# SPDX-License-Identifier: GPL-2.0-only
#
# compare.awk: cases of a program, natively and in one or more runs under the shim.
#
#	awk -v kernel=K -v program=P -f compare.awk differences native chaos...
#
# Prints lines of:
#	same CASE		passes natively and in every run that came to it
#	skip|native CASE	skips or fails natively: nothing to compare
#	listed CASE WHAT WHY	passes natively, not always under the shim; is listed
#	differs CASE WHAT	the same, but is not listed
#	unseen CASE		no run came so far, for a listed reason: run again

function glob(pat, text) {
	gsub(/[][().+^$|\\{}?]/, "\\\\&", pat)
	gsub(/\*/, ".*", pat)
	return text ~ ("^" pat "$")
}

function listed(name, i) {
	for (i = 0; i < nlist; i++)
		if (glob(list_kernel[i], kernel) && glob(list_name[i], program "." name))
			return list_why[i]
	return ""
}

# What is listed as a difference explains the exit status, too.
function differ(name, what, why) {
	why = listed(name)
	if (why == "" && name == "exit_status" && known[run])
		why = "of_these"
	known[run] += why != ""
	verdict[name] = why != "" ? "listed" : "differs"
	if (verdict[name] == "differs")
		bad[name] = what
	text[name] = what " " why
}

# A skip may have its reason after the name.
function status_of(name, other) {
	if ((run, name) in chaos)
		return chaos[run, name]
	for (other in all)
		if ((run, other) in chaos && chaos[run, other] == "skip" &&
		    index(other, name "_") == 1)
			return "skip"
	return "missing"
}

# A run that ended early: the program's last words are no case natively.
function strangers(name) {
	for (name in all) {
		if (!((run, name) in chaos) || chaos[run, name] != "not" || name in native)
			continue
		differ(name, "is_not_there_natively")
		if (name ~ /^(Bail_out|ERROR)/ && verdict[name] == "listed")
			ended_early[run] = 1
	}
}

function judge(name, is) {
	is = status_of(name)
	if (is == "ok")
		good[name]++
	else if (is == "missing" && ended_early[run])
		unseen[name]++
	else
		differ(name, is)
}

BEGIN {
	nlist = 0
	count = 0
}

FNR == 1 { file++ }

file == 1 {
	if (!/^#/ && NF >= 3) {
		list_kernel[nlist] = $1
		list_name[nlist] = $2
		list_why[nlist++] = $3
	}
	next
}

file == 2 {
	order[count++] = $2
	native[$2] = $1
	next
}

{
	runs = file - 2
	chaos[runs, $2] = $1
	all[$2] = 1
}

END {
	for (run = 1; run <= runs; run++) {
		strangers()
		# The exit status is the last case.
		for (i = 0; i < count; i++)
			if (native[order[i]] == "ok")
				judge(order[i])
	}
	for (i = 0; i < count; i++) {
		name = order[i]
		if (native[name] == "skip")
			print "skip", name
		else if (native[name] == "not")
			print "native", name
		else if (!(name in verdict) && good[name])
			print "same", name
		else if (!(name in verdict) && (why = listed(name)) != "")
			print "listed", name, "unseen", why
		else if (!(name in verdict))
			print "unseen", name
	}
	for (name in verdict)
		print name in bad ? "differs" : "listed", name,
			name in bad ? bad[name] : text[name]
}
