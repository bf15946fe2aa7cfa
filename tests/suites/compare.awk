# SPDX-License-Identifier: LGPL-2.1-or-later
# The comparison of one suite's two runs, for report, which sets suite, guest, again (the
# results of a second plain run, or no file), explained and differences.  Files: the plan,
# plain results, accelerated results.  Prints NAME KIND STATUS LINES WHY with tabs.

function load_explained(    line, f) {
	while ((getline line < explained) > 0) {
		if (line ~ /^#/ || split(line, f, /\t+/) < 5)
			continue
		if (f[1] != suite || (f[2] != "*" && f[2] != guest))
			continue
		n_explained++
		e_name[n_explained] = "^(" f[3] ")$"
		e_line[n_explained] = f[4]
		e_why[n_explained] = f[5]
	}
	close(explained)
}

# Which run, and the program's name: the second word of "= NAME TEXT", the third of
# "@ stop NAME STATUS".
function take(run, line,    w, name) {
	split(line, w, " ")
	if (w[1] == "@") {
		status[run, w[3]] = w[4]
		known(w[3])
		return
	}
	name = w[2]
	known(name)
	text[run, name, ++count[run, name]] = substr(line, length(name) + 4)
}

function known(name) {
	if (!(name in seen)) {
		seen[name] = 1
		order[++n] = name
	}
}

# The explanation of a line of a program, or "".
function explanation(name, line,    i) {
	for (i = 1; i <= n_explained; i++)
		if (name ~ e_name[i] && line ~ e_line[i])
			return e_why[i]
	return ""
}

# True when two runs said the same; lines that are explained are left out when asked to.
function same(a, b, name, leave_out,    i, j) {
	if (!leave_out && status[a, name] != status[b, name])
		return 0
	i = j = 1
	for (;;) {
		while (leave_out && i <= count[a, name] && explanation(name, text[a, name, i]) != "")
			i++
		while (leave_out && j <= count[b, name] && explanation(name, text[b, name, j]) != "")
			j++
		if (i > count[a, name] || j > count[b, name])
			return i > count[a, name] && j > count[b, name]
		if (text[a, name, i++] != text[b, name, j++])
			return 0
	}
}

# Explained: nothing is left but lines that an entry names.  A status that differs must be
# named too, by an expression that matches "exit N".
function why_explained(name,    i, line) {
	if (!same(1, 2, name, 1))
		return ""
	if (status[1, name] != status[2, name] &&
	    explanation(name, "exit " (status[2, name] + 0 ? status[2, name] : status[1, name])) == "")
		return ""
	for (i = 1; i <= count[1, name] || i <= count[2, name]; i++)
		if (text[1, name, i] != text[2, name, i]) {
			line = explanation(name, text[1, name, i])
			return line != "" ? line : explanation(name, text[2, name, i])
		}
	return explanation(name, "exit " status[2, name])
}

function show(name,    i, shown) {
	for (i = 1; (i <= count[1, name] || i <= count[2, name]) && shown < 40; i++)
		if (text[1, name, i] != text[2, name, i]) {
			if (i <= count[1, name]) print name "\tplain:       " text[1, name, i] >differences
			if (i <= count[2, name]) print name "\taccelerated: " text[2, name, i] >differences
			shown++
		}
}

BEGIN {
	load_explained()
	printf "" >differences
	while ((getline line < again) > 0) {
		have_again = 1
		take(3, line)
	}
}
FILENAME ~ /plan$/ { split($0, w, " "); planned[w[1]] = 1; known(w[1]); next }
FILENAME ~ /-plain\/results$/ { take(1, $0); next }
{ take(2, $0) }
END {
	# A plain run that was kept may be of more programs; its kernel's log is of them too.
	for (k = 1; k <= n; k++)
		if (!(order[k] in planned) && order[k] != "kernel-log")
			other_programs = 1
	for (k = 1; k <= n; k++) {
		name = order[k]
		if (!(name in planned) && (name != "kernel-log" || other_programs))
			continue
		kind = "same"; why = ""
		if (!((1, name) in status) || !((2, name) in status)) {
			kind = "missing"
			why = "did not run " ((1, name) in status ? "with" : "without") " acceleration"
		} else if (!same(1, 2, name, 0)) {
			show(name)
			why = why_explained(name)
			kind = "explained"
			if (why == "" && have_again && !same(1, 3, name, 0)) {
				kind = "random"
				why = "two runs without acceleration differ too"
			} else if (why == "") {
				kind = "different"
				why = "says something else with acceleration" (status[1, name] == status[2, name] ? "" : \
					" (status " status[2, name] " instead of " status[1, name] ")")
			}
		}
		print name "\t" kind "\t" status[1, name] "\t" count[1, name] + 0 "\t" why
	}
}
