# SPDX-License-Identifier: LGPL-2.1-or-later
# Finds the container processes of a Bochs, for the tests that disturb them.  Sourced; bash.
# shellcheck shell=bash

# All container processes below process $1, oldest first, in $spaces.  No command is
# started: it is a race against short lives.
spaces_of() {
	local child name
	for child in $(<"/proc/$1/task/$1/children"); do
		read -r name <"/proc/$child/comm" || continue
		[ "$name" != plex86-space ] || spaces+=("$child")
		spaces_of "$child"
	done
} 2>/dev/null
