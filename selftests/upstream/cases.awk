# SPDX-License-Identifier: GPL-2.0-only
#
# cases.awk: what a kernel selftest printed, to lines of "ok|not|skip NAME".
#
# Most print TAP. Some of 6.12 have forms of their own: "Testing NAME... done",
# and "Run test: NAME" before a row of "...OK" and "...Fail". 6.12's cow says in a
# line before the case which it is: "# [RUN] WHAT ... with PAGES". A name that comes
# again gets a number; its blanks become "_". XFAIL counts as ok.

function put(status, name) {
	gsub(/\033\[[0-9;]*m/, "", name)
	gsub(/^[ -]+|[ \t\r]+$/, "", name)
	gsub(/[ \t]+/, "_", name)
	gsub(/0x[0-9a-f]+/, "ADDR", name)
	sub(/Extra_pages_[0-9].*/, "Extra_pages", name)
	if (name == "")
		name = "case"
	seen[name]++
	if (seen[name] > 1)
		name = name "#" seen[name]
	print status, name
}

function group_end() {
	if (group != "")
		put(group_status, group)
	group = ""
}

{ gsub(/\033\[[0-9;]*m/, "") }

/^# \[RUN\] .* (\.\.\.|when) / {
	named = $0
	sub(/^# \[RUN\] /, "", named)
	next
}

/^(not )?ok [0-9]+/ {
	status = /^ok/ ? "ok" : "not"
	line = $0
	sub(/^(not )?ok [0-9]+/, "", line)
	if (line ~ /# SKIP/) {
		status = "skip"
		# The reason follows the name, or stands between.
		if (line ~ /^[ -]*[^ #-].*# SKIP/)
			sub(/# SKIP.*/, "", line)
		sub(/# SKIP/, "", line)
	}
	sub(/# XFAIL/, "", line)
	put(status, named != "" ? named : line)
	named = ""
	tap = 1
	next
}

# Last words.
/^Bail out! / && !/tests failed/ {
	put("not", "Bail out " substr($0, 11))
	next
}
/^(# )?ERROR: / {
	line = $0
	sub(/^(# )?ERROR: /, "ERROR ", line)
	gsub(/[0-9]+/, "N", line)
	put("not", line)
	next
}

# Those of 6.12's khugepaged, which has no TAP.
/madvise\(MADV_COLLAPSE\): / && !tap {
	put("not", "Bail out madvise(MADV_COLLAPSE)")
	next
}

/^Testing .*\.\.\./ {
	line = $0
	sub(/^Testing /, "", line)
	status = /\.\.\. *done/ ? "ok" : /\.\.\. *skipped/ ? "skip" : "not"
	sub(/\.\.\..*/, "", line)
	put(status, line)
	next
}

/^Run test: / && !tap {
	group_end()
	group = substr($0, 11)
	group_status = "ok"
	next
}

group != "" && /Fail *$/ { group_status = "not" }
group != "" && /Skip *$/ && group_status == "ok" { group_status = "skip" }

END { group_end() }
