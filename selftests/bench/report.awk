# SPDX-License-Identifier: GPL-2.0-only
#
# report.awk: from the lines of the VM (bench.h says what they are) a table on
# stdout, -v json=FILE and -v svg=FILE. A file of reasons comes first: "OP words":
# why a target is missed.
#
# Exit status 1: something was not measured.

function number(x) {
	return x >= 100 ? sprintf("%.0f", x) : x >= 1 ? sprintf("%.2f", x) : sprintf("%.5f", x)
}

# What the target is, in the unit of the row.
function target_of(op,	part) {
	if (split(target[op], part, "*") == 1)
		return target[op] + 0
	return part[1] * min[op, part[2]]
}

# Locks are to be taken for batches of pages, besides not being waited for.
function locks_met(op) {
	return unit[op] != "contended/op" || count[op, "ours", "lock_rounds"] * 64 <= 1
}

function status(op) {
	return min[op, "ours"] <= target_of(op) && locks_met(op) ? "met" : "missed"
}

function missing(what) {
	print "bench: not measured: " what >"/dev/stderr"
	bad = 1
}

function check_complete(	i, op, part) {
	if (!n_rows)
		missing("anything")
	for (i = 1; i <= n_rows; i++) {
		op = rows[i]
		if (!((op, "ours") in min))
			missing(op)
		else if (!((op, floor[op]) in min))
			missing(op ": " floor[op])
		if (split(target[op], part, "*") > 1 && !((op, part[2]) in min))
			missing(op ": " part[2])
	}
	if (complete < 2)
		missing("the rest: the VM ended early")
}

function peers(op, form,	i, text, s) {
	for (i = 1; i <= n_subjects; i++) {
		s = subjects[i]
		if (s == "ours" || s == floor[op] && s == "floor" || !((op, s) in min))
			continue
		text = text (text == "" ? "" : ", ") sprintf(form, s, number(min[op, s]))
	}
	return text
}

function table(	i, op) {
	printf "%-16s %12s %19s %9s %6s %9s  %-6s  %s\n", "operation", "ours", "min-max",
		"floor", "x", "target", "status", "others"
	for (i = 1; i <= n_rows; i++) {
		op = rows[i]
		printf "%-16s %12s %19s %9s %6s %9s  %-6s  %s\n", op, number(min[op, "ours"]),
			number(min[op, "ours"]) "-" number(max[op, "ours"]),
			number(min[op, floor[op]]), times(op), number(target_of(op)),
			status(op), peers(op, "%s %s")
		if (status(op) == "missed")
			printf "%16s   missed%s: %s\n", "", worse(op), why(op)
	}
}

function times(op) {
	return unit[op] ~ /^insn/ && min[op, floor[op]] ? sprintf("%.3f", min[op, "ours"] / min[op, floor[op]]) : "-"
}

# Missing a target is one thing, being beaten another.
function worse(op,	i, s, text) {
	for (i = 1; i <= n_subjects; i++) {
		s = subjects[i]
		if (s != "ours" && s != "floor" && (op, s) in min && min[op, s] < min[op, "ours"] &&
		    index(target[op], s) == 0)
			text = text (text == "" ? ", and worse than " : ", ") s
	}
	return text
}

function why(op) {
	return op in reason ? reason[op] : "not looked into yet"
}

# What the kernel did for each page, where it was counted.
function counts_table(	i, k, op) {
	if (!n_counts)
		return
	printf "\nfor each page, ours (floor):\n%-16s", "operation"
	for (k = 1; k <= n_counts; k++)
		printf " %21s", counts[k]
	printf "\n"
	for (i = 1; i <= n_rows; i++) {
		op = rows[i]
		if (!((op, "ours", counts[1]) in count))
			continue
		printf "%-16s", op
		for (k = 1; k <= n_counts; k++)
			printf " %21s", sprintf("%.4f (%.4f)", count[op, "ours", counts[k]],
				count[op, floor[op], counts[k]])
		printf "\n"
	}
}

# The exponent of all of the cost in the size: 1 is linear. Least squares.
function growth(	k, x, y, sx, sy, sxx, sxy) {
	for (k = 1; k <= n_sizes; k++) {
		x = log(sizes[k])
		y = log(grow[sizes[k]] * sizes[k])
		sx += x; sy += y; sxx += x * x; sxy += x * y
	}
	return (n_sizes * sxy - sx * sy) / (n_sizes * sxx - sx * sx)
}

function growth_table(	k) {
	if (n_sizes < 2)
		return
	printf "\ngrowth of %s:", grow_op
	for (k = 1; k <= n_sizes; k++)
		printf " %d MiB %.0f%s", sizes[k], grow[sizes[k]], k < n_sizes ? "," : ""
	printf " a page: exponent %.3f\n", growth()
}

function json_text(text) {
	gsub(/\\/, "\\\\", text)
	gsub(/"/, "\\\"", text)
	return "\"" text "\""
}

function json_counts(op,	k, text) {
	for (k = 1; k <= n_counts; k++)
		text = text sprintf("%s\"%s\": %.6f", k > 1 ? ", " : "", counts[k],
			count[op, "ours", counts[k]])
	return text
}

function json_row(op) {
	printf "  {\"op\": \"%s\", \"unit\": \"%s\", \"ours\": %s, \"min\": %s, \"max\": %s, ",
		op, unit[op], number(min[op, "ours"]), number(min[op, "ours"]),
		number(max[op, "ours"]) >json
	printf "\"floor\": %s, \"target\": %s, \"status\": \"%s\", \"reason\": %s,\n",
		number(min[op, floor[op]]), number(target_of(op)), status(op),
		json_text(status(op) == "met" ? "" : why(op)) >json
	printf "   \"peers\": {%s}, \"counts\": {%s}}", peers(op, "\"%s\": %s"),
		json_counts(op) >json
}

function write_json(	i, k) {
	printf "{\"kernel\": \"%s\", \"rows\": [\n", kernel >json
	for (i = 1; i <= n_rows; i++) {
		json_row(rows[i])
		printf "%s\n", (i < n_rows ? "," : "") >json
	}
	printf "]" >json
	if (n_sizes > 1) {
		printf ", \"growth\": {\"op\": \"%s\", \"exponent\": %.4f, \"insn_per_page\": {",
			grow_op, growth() >json
		for (k = 1; k <= n_sizes; k++)
			printf "%s\"%d\": %.1f", (k > 1 ? ", " : ""), sizes[k], grow[sizes[k]] >json
		printf "}}" >json
	}
	printf "}\n" >json
}

function svg_text(x, y, anchor, text) {
	printf "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, text >svg
}

# One row: a bar for each, as long as its share of the largest; a line for the target.
function svg_row(op, y,	i, s, most, t, w, top, colour) {
	t = target_of(op)
	most = t
	for (i = 1; i <= n_subjects; i++)
		if (min[op, subjects[i]] > most)
			most = min[op, subjects[i]]
	svg_text(10, y + 14, "start", op " (" unit[op] "): " status(op))
	top = y += 20
	for (i = 1; i <= n_subjects; i++) {
		s = subjects[i]
		if (!((op, s) in min))
			continue
		w = most ? 500 * min[op, s] / most : 0
		colour = s == "ours" ? "#2a6" : s == "floor" ? "#888" : "#9bd"
		svg_text(140, y + 11, "end", s)
		printf "<rect x=\"150\" y=\"%d\" width=\"%.1f\" height=\"13\" fill=\"%s\"/>\n", y,
			(w < 1 ? 1 : w), colour >svg
		svg_text(155 + w, y + 11, "start", number(min[op, s]))
		y += 16
	}
	w = 150 + (most ? 500 * t / most : 0)
	printf "<path d=\"M%.1f %d V%d\" stroke=\"#c33\" stroke-width=\"2\"/>\n", w, top, y >svg
	return y + 12
}

function write_svg(	i, y, k) {
	for (i = 1; i <= n_rows; i++)
		for (k = 1; k <= n_subjects; k++)
			y += (rows[i], subjects[k]) in min ? 16 : 0
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"%d\" ",
		y + 32 * n_rows + 40 >svg
	print "font-family=\"sans-serif\" font-size=\"12\">" >svg
	print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>" >svg
	svg_text(10, 18, "start", "What it costs, " kernel "; the red line is the target")
	y = 30
	for (i = 1; i <= n_rows; i++)
		y = svg_row(rows[i], y)
	print "</svg>" >svg
}

FILENAME == reasons {
	if ($0 !~ /^#/ && NF) {
		op = $1
		sub(/^[^ ]+ +/, "")
		reason[op] = $0
	}
	next
}
$1 == "row" && !($2 in unit) {
	rows[++n_rows] = $2
	unit[$2] = $3
	floor[$2] = $4
	target[$2] = $5
}
$1 == "insn" || $1 == "wait" {
	min[$2, $3] = $4
	max[$2, $3] = $5
	if (!known[$3]++)
		subjects[++n_subjects] = $3
}
$1 == "count" {
	count[$2, $3, $4] = $5
	if (!counted[$4]++)
		counts[++n_counts] = $4
}
$1 == "grow" {
	grow_op = $2
	sizes[++n_sizes] = $3
	grow[$3] = $4
}
$1 == "kernel" { kernel = $2 }
$1 == "done" { complete++ }
END {
	check_complete()
	if (bad)
		exit 1
	table()
	counts_table()
	growth_table()
	if (json)
		write_json()
	if (svg)
		write_svg()
}
