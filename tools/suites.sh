#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart suites: what the suites themselves need is built first.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
case " $* " in *" --help "* | *" -h "*) exec "$root/tests/suites/run" --help ;; esac
"$root/tools/build.sh" --for guest
exec "$root/tests/suites/run" "$@"
