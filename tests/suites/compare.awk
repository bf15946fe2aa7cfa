# SPDX-License-Identifier: LGPL-2.1-or-later
# The comparison of one suite's two runs, for report, which sets suite, guest, again (the
# results of a second plain run, or no file), explained and differences.  Files: the plan,
# plain results, accelerated results.  Prints NAME KIND STATUS LINES WHY with tabs; STATUS
# and LINES are the plain run's, "-" if there is no status.

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

# The lines of a run that can be random: not those that are explained, nor the first one of a
# program that failed, which is its status once more.
function choose(run, name,    i) {
	chosen[run] = 0
	for (i = status[run, name] + 0 ? 2 : 1; i <= count[run, name]; i++)
		if (explanation(name, text[run, name, i]) == "")
			line_of[run, ++chosen[run]] = text[run, name, i]
}

function write_chosen(run, file,    i) {
	printf "" >file
	for (i = 1; i <= chosen[run]; i++)
		print line_of[run, i] >file
	close(file)
}

function quoted(s) {
	gsub(/'/, "'\\''", s)
	return "'" s "'"
}

function want_up_to(line) {
	while (next_line < line) {
		want[++wanted] = "="
		want_line[wanted] = line_of[1, next_line++]
	}
}

# How many lines the range "N" or "N,N" of diff has.
function size_of(range,    r) {
	return split(range, r, ",") == 2 ? r[2] - r[1] + 1 : 1
}

# What the two plain runs have in common, as a pattern: "=" is the line want_line, "?" any line
# (where they differ, and both have as many), "*" any number of lines (where one has more).
function make_pattern(    a, b, command, line, r, n1, n3) {
	a = differences ".1"
	b = differences ".3"
	write_chosen(1, a)
	write_chosen(3, b)
	wanted = 0
	next_line = 1
	command = "diff " quoted(a) " " quoted(b)
	while ((command | getline line) > 0) {
		if (line !~ /^[0-9]/)
			continue
		split(line, r, /[acd]/)
		n1 = line ~ /a/ ? 0 : size_of(r[1])
		n3 = line ~ /d/ ? 0 : size_of(r[2])
		want_up_to(n1 ? r[1] + 0 : r[1] + 1)
		next_line += n1
		if (n1 != n3)
			want[++wanted] = "*"
		else
			while (n1--)
				want[++wanted] = "?"
	}
	close(command)
	want_up_to(chosen[1] + 1)
	system("rm -f " quoted(a) " " quoted(b))
}

# As a shell's pattern matches a word, with lines for letters.
function fits(run,    p, l, star, retry) {
	p = l = 1
	star = 0
	while (l <= chosen[run])
		if (p <= wanted && (want[p] == "?" || (want[p] == "=" && want_line[p] == line_of[run, l]))) {
			p++
			l++
		} else if (p <= wanted && want[p] == "*") {
			star = p++
			retry = l
		} else if (star) {
			p = star + 1
			l = ++retry
		} else
			return 0
	while (p <= wanted && want[p] == "*")
		p++
	return p > wanted
}

# True when acceleration changes no more than a second plain run does: the status is that of
# one of the two, and all lines that those share are there, with others only where they differ.
# A warning of the kernel without acceleration excuses no other one with it.
function is_random(name) {
	if (!((3, name) in status) || (name == "kernel-log" && !same(2, 3, name, 0)) ||
	    (status[2, name] != status[1, name] && status[2, name] != status[3, name]))
		return 0
	choose(1, name)
	choose(2, name)
	choose(3, name)
	make_pattern()
	return fits(2)
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
	while ((getline line < again) > 0)
		take(3, line)
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
		} else if (status[1, name] == 126 || status[1, name] == 127) {
			# The shell's or the loader's: a program, or a library of it, is not on the disk.
			kind = "missing"
			why = "could not be started, without acceleration either (status " status[1, name] ")"
		} else if (!same(1, 2, name, 0)) {
			show(name)
			why = why_explained(name)
			kind = "explained"
			if (why == "" && is_random(name)) {
				kind = "random"
				why = "two runs without acceleration differ there too"
			} else if (why == "") {
				kind = "different"
				why = "says something else with acceleration" (status[1, name] == status[2, name] ? "" : \
					" (status " status[2, name] " instead of " status[1, name] ")")
				if ((3, name) in status && !same(1, 3, name, 0))
					why = why ", and not only where two runs without it differ"
			}
		}
		print name "\t" kind "\t" ((1, name) in status ? status[1, name] : "-") "\t" count[1, name] + 0 "\t" why
	}
}
