#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart boots N: both guests again and again, with acceleration.  The last
# line is "N boots, N failed"; options are explained at the head of demo/boots.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
for number; do :; done
case ${number-} in
'' | *[!0-9]*)
	echo "usage: ./quickstart boots [OPTION...] N (the options are explained at the head of tools/demo/boots)" >&2
	exit 2 ;;
esac
# Before anything is built.
[ $((10#$number)) -gt 0 ] || {
	echo "boots: no boots prove nothing; how many? (usage: ./quickstart boots [OPTION...] N)" >&2
	exit 2
}
"$root/tools/build.sh" --for guest
exec "$root/tools/demo/boots" "$@"
