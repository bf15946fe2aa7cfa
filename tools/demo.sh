#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart demo: what the demonstration itself needs is built first.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
case " $* " in *" --help "* | *" -h "*) exec "$root/tools/demo/run" --help ;; esac
"$root/tools/build.sh" --for guest
exec "$root/tools/demo/run" "$@"
