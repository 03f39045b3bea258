# SPDX-License-Identifier: GPL-2.0-only
#
# coverage.awk: gcov's text of all objects, and maybe of several runs, to a table.
#
# A line that one object ran is covered, whatever the others say. Lines that
# nobody ran are put together to blocks: without a covered line between them,
# in one function. Each must be in selftests/uncovered:
#
#	FILE FUNCTION[: part of the block's first line]
#		the reason
#
# FILE and FUNCTION may have * in them. A reason that begins with "chance:" is for
# what runs at times.

function complain(text)
{
	print text
	bad = 1
}

# What the source is called in the repository; "" for what is not ours.
function ours(name)
{
	sub(/^\/src\//, "", name)
	return name ~ /^(kernel|lib)\// ? name : ""
}

function glob(text)
{
	gsub(/[.]/, "[.]", text)
	gsub(/[*]/, ".*", text)
	return "^" text "$"
}

function explained(file, func_, text,	i, found)
{
	for (i = 1; i <= entries; i++) {
		if (file ~ entry_file[i] && func_ ~ entry_func[i] &&
		    (entry_text[i] == "" || index(text, entry_text[i]))) {
			entry_used[i] = 1
			found = 1
		}
	}
	return found
}

function block_end(file, func_)
{
	if (first && !explained(file, func_, text[file, first]))
		unexplained[++n_unexplained] = file ":" first \
			(last > first ? "-" last : "") ": " func_ ": " text[file, first]
	first = 0
}

# count FILE: its row of the table, and its blocks.
function count(file,	i, func_, lines, covered, side)
{
	first = 0
	for (i = 1; i <= end[file]; i++) {
		if (text[file, i] ~ /^[a-zA-Z_].*[a-z0-9_]\(/ && text[file, i] !~ /;$/) {
			block_end(file, func_)
			func_ = text[file, i]
			sub(/__attribute__\(\([^)]*\)\) /, "", func_)
			sub(/\(.*/, "", func_)
			sub(/.*[ *]/, "", func_)
		}
		if (!((file, i) in hit))
			continue
		lines++
		if (hit[file, i]) {
			covered++
			block_end(file, func_)
			continue
		}
		if (!first)
			first = i
		last = i
	}
	block_end(file, func_)
	if (!lines)
		return
	printf "%-36s %6d %8d %6.1f %%\n", file, lines, covered, 100 * covered / lines
	side = file
	sub(/\/.*/, "/", side)
	sum[side] += lines
	sum_covered[side] += covered
	total += lines
	total_covered += covered
}

FILENAME != "-" && /^[a-z]/ {
	entry_file[++entries] = glob($1)
	was = $2
	sub(/:$/, "", was)
	entry_func[entries] = glob(was)
	entry[entries] = $0
	if ($0 ~ /^[^ ]+ [^ ]+: /) {
		entry_text[entries] = $0
		sub(/^[^ ]+ [^ ]+: /, "", entry_text[entries])
	}
}

FILENAME != "-" {
	if (/^\t/)
		reason[entries] = reason[entries] $0
	next
}

/^ *-: *0:Source:/ {
	file = $0
	sub(/^ *-: *0:Source:/, "", file)
	file = ours(file)
	if (file != "" && !(file in end))
		files[++n_files] = file
	next
}

file != "" && /^ *[^:]+: *[1-9][0-9]*:/ {
	line = $0
	was = line
	sub(/:.*/, "", was)
	sub(/^[^:]*: */, "", line)
	i = line + 0
	sub(/^[0-9]+:/, "", line)
	text[file, i] = line
	if (i > end[file])
		end[file] = i
	if (was ~ /[#=]/)
		hit[file, i] += 0
	else if (was ~ /[0-9]/)
		hit[file, i] = 1
}

END {
	if (!n_files)
		complain("no line of ours was seen")
	for (i = 2; i <= n_files; i++)
		for (j = i; j > 1 && files[j] < files[j - 1]; j--) {
			was = files[j]
			files[j] = files[j - 1]
			files[j - 1] = was
		}
	printf "%-36s %6s %8s %8s\n", "file", "lines", "covered", "percent"
	for (i = 1; i <= n_files; i++)
		count(files[i])
	for (i = 1; i <= n_unexplained; i++)
		complain("unexplained: " unexplained[i])
	for (i = 1; i <= entries; i++) {
		if (reason[i] !~ /[a-z]/)
			complain("selftests/uncovered: no reason: " entry[i])
		if (!entry_used[i] && reason[i] !~ /^\t+chance:/)
			complain("selftests/uncovered: stale: " entry[i])
	}
	for (i = 1; i <= 2; i++) {
		side = i == 1 ? "kernel/" : "lib/"
		percent = sum[side] ? 100 * sum_covered[side] / sum[side] : 0
		printf "%s %d of %d lines: %.1f %%\n", side, sum_covered[side], sum[side], percent
		if (percent < least)
			complain(side ": less than " least " %")
	}
	printf "total: %.1f %%\n", total ? 100 * total_covered / total : 0
	exit bad
}
