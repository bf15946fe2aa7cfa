# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compares two logs of the test kernel line by line, but for what QEMU's CPU gets wrong.
#
#   awk -f compare.awk -v deviations=FILE PLAIN NATIVE
#
# FILE has TEST, a tab, PATTERN, a tab, why (tcg-guest-deviations).  In such a test a line of PLAIN's
# that matches, as NUMBER:LINE, is not compared with its counterpart; what the kernel says of it in
# NATIVE (WRONG) and the second round, which it tells if it DIFFERS, are left out.  What the line would
# have put in AX may be missing in those that follow.  A PATTERN behind + is for the line of NATIVE's.
# Prints what differs, and fails then.
BEGIN {
	FS = "\n"
	while ((getline line < deviations) > 0)
		if (line !~ /^# / && split(line, part, "\t") == 3)
			pattern[part[1]] = part[2]
}
FNR == 1 { file++; test = "" }
/^[a-z]/ {
	test = $0
	known = short(test) in pattern
	tail = 0
	if (file == 1 || !(test in lines))
		order[++tests] = test
	seen[file, test] = 1
	lines[test] = lines[test] + 0
	next
}
/^TK-/ { test = ""; if (/^TK-END/) ended[file] = 1; else if (!/^TK-BEGIN/) other[file] = other[file] $0 "\n"; next }
test == "" { next }
known && file == 2 && (tail || /^  WRONG: /) { next }
known && file == 2 && /^  DIFFERS / { tail = 1; next }
{
	n = ++count[file, test]
	text[file, test, n] = $0
	if (n > lines[test])
		lines[test] = n
}

function short(name) { sub(/^[^\/]*\//, "", name); return name }
function is_wrong(pattern, n, one, two) {
	return pattern ~ /^[+]/ ? (n ":" two) ~ substr(pattern, 2) : (n ":" one) ~ pattern
}
function but_ax(line) { sub(/ ax=[0-9a-f]*/, "", line); return line }
function differ(name, n) {
	printf "%s\n-%s\n+%s\n", name, text[1, name, n], text[2, name, n]
	bad++
}

END {
	for (i = 1; i <= tests; i++) {
		test = order[i]
		if (!seen[1, test] || !seen[2, test]) {
			print test " is in one log only"
			bad++
			continue
		}
		known = short(test) in pattern
		carried = 0
		for (n = 1; n <= lines[test]; n++) {
			one = text[1, test, n]
			two = text[2, test, n]
			if (known && is_wrong(pattern[short(test)], n, n <= count[1, test] ? one : two, two)) {
				left_out++
				carried = 1
			} else if (one == two) {
				compared += known
				carried = 0
			} else if (!carried || but_ax(one) != but_ax(two)) {
				differ(test, n)
			}
		}
	}
	if (!tests || !ended[1] || !ended[2] || other[1] != other[2]) {
		print "not both logs are whole: " other[1] other[2]
		bad++
	}
	printf "%d tests; of those that are known to differ %d lines left out, %d compared\n", tests, left_out, compared
	exit bad > 0
}
