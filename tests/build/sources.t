#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Rules that every file of the project keeps: a licence in its first lines, no
# path of the machine that it was written on, scripts that parse.
set -u
. "$top_srcdir/tests/tap.sh"
cd "$top_srcdir" || exit 1

# Ours only: not what autoreconf puts beside it.
sources() {
	find include plugin bochs-glue accel-driver patches tests tools m4 .ci docs bench \
		-type f ! -name '*~' ! -name '*.patch' ! -name series ! -name '*.md' \
		! -name '*.m4' -print 2>/dev/null
	ls configure.ac Makefile.am quickstart m4/plex86_*.m4
}

shell_scripts() {
	sources | while read -r file; do
		if head -n 1 "$file" | grep -q -E '^#!/bin/(ba)?sh|^#!/usr/bin/env bash'; then
			echo "$file"
		fi
	done
}

# Programs, that is; lists and tables that programs read have no licence line.
code() {
	{
		sources | grep -E '\.(c|cc|h|S|inc|sh|t|in|m4|am|ac|ld)$|/Kbuild$|/Makefile$'
		shell_scripts
	} | sort -u
}

unlicensed() {
	code | while read -r file; do
		head -n 4 "$file" | grep -q 'SPDX-License-Identifier: ' || echo "$file"
	done
}
tap_is "each source file names its licence" "$(unlicensed)" ""

# Assembled from parts, or this file would be found.
machine='/wo''rk/|/ho''me/|deb\.deb''ian\.org|snapshot\.deb''ian'
tap_is "no file names a path or a server of one machine" \
	"$(sources | xargs grep -l -E "$machine" 2>/dev/null)" ""

# These have no first line to know them by.
sourced_shell() {
	find bench tests tools -name '*.sh' | while read -r file; do
		if ! head -n 1 "$file" | grep -q '^#!'; then
			echo "$file"
		fi
	done
}

broken() {
	local file
	for file in $(shell_scripts) $(sourced_shell); do
		bash -n "$file" 2>&1
	done
}
tap_is "each shell script parses" "$(broken)" ""
tap_is "each shell script can be executed" \
	"$(for file in $(shell_scripts); do [ -x "$file" ] || echo "$file"; done |
		grep -v '\.in$')" ""

if command -v shellcheck >/dev/null; then
	# shellcheck disable=SC2046
	tap "shellcheck finds no error and no warning" \
		shellcheck --severity=warning --shell=bash --exclude=SC1007,SC1091,SC2034,SC2046,SC2154 \
		$(shell_scripts) $(sourced_shell)
else
	tap_skip "shellcheck finds no error and no warning" "shellcheck isn't installed"
fi

tap_is "no marker of unfinished work" \
	"$(code | xargs grep -n -w -E 'TO''DO|FIX''ME|XX''X' 2>/dev/null)" ""

tap_done
