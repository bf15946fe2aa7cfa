# SPDX-License-Identifier: LGPL-2.1-or-later
# Finds the container processes of a Bochs, and limits processes that run, for the tests that
# disturb them.  Sourced; bash.
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

# Containers may be another user's, whose limits not even root may be allowed to set.
as_owner() {		# as_owner PID COMMAND...
	local owner
	owner=$(awk '$1 == "Uid:" { print $2 }' "/proc/$1/status")
	shift
	if [ "$owner" = "$(id -u)" ]; then
		"$@"
	else
		setpriv --reuid "$owner" --regid "$owner" --clear-groups "$@"
	fi
}

# Sets the soft limit of process $1 on $2 (an option of prlimit's) to $3; it can be lifted again
# without privilege.
limit() {
	as_owner "$1" prlimit --pid "$1" "--$2=$3:"
}

unlimit() {
	limit "$1" "$2" "$(as_owner "$1" prlimit --pid "$1" "--$2" --noheadings --output HARD | tr -d ' ')"
}

# RLIMIT_NPROC does not bind root.  Containers are another user's, but where root may not trace or
# kill those (CAP_SYS_PTRACE, CAP_KILL: Docker's).
processes_limited() {
	local word mask
	[ "$(id -u)" = 0 ] || return 0
	read -r word mask < <(grep CapEff: /proc/self/status)
	[ "$word" = CapEff: ] && [ $((0x$mask >> 5 & 0x$mask >> 19 & 1)) = 1 ]
}
