#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart bench: what the benchmark itself needs is built first.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
case " $* " in *" --help "* | *" -h "*) exec "$root/bench/run" --help ;; esac
"$root/tools/build.sh" --for guest --for bench
exec "$root/bench/run" "$@"
