#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart demo: what the demonstration itself needs is built first.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
"$root/tools/build.sh" --for guest
exec "$root/tools/demo/run" "$@"
