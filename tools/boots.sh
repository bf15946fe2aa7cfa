#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart boots N: both guests again and again, with acceleration.  The last
# line is "N boots, N failed"; options are explained at the head of demo/boots.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
"$root/tools/build.sh" --for guest
exec "$root/tools/demo/boots" "$@"
