# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A private apt: package indices of another suite, of source packages, or of
# another architecture, without touching /etc/apt and without being root.  Where
# to download from, through which proxy and with which keys is the machine's own
# choice, so it is derived from the machine's own entries, in either of apt's
# two formats.  Sourced by scripts; needs bash.
#
#   private_apt_init DIR TYPE SUITE [ARCH,ARCH...]	make DIR; TYPE: deb or deb-src
#   private_apt DIR COMMAND ARGS...			COMMAND: apt-get, apt-cache
#
# DIR holds sources/, lists/ and cache/; give the same DIR again to reuse them.

# Suites of Debian's main archive.  "bookworm-security" and the like are other
# archives, which have no counterpart of the same name for other suites.
private_apt_suites='stable|oldstable|testing|unstable|sid|bullseye|bookworm|trixie|forky'

# Reads one .list file; prints its Debian entries with type and suite replaced.
# "deb [ arch=amd64 signed-by=/k.gpg ] URI suite main contrib"
private_apt_convert_list() {
	awk -v type="$1" -v suite="$2" -v suites="^($private_apt_suites)\$" '
	/^[ \t]*deb[ \t]/ {
		sub(/#.*/, "")
		options = ""
		if (match($0, /\[[^]]*\]/)) {
			options = substr($0, RSTART + 1, RLENGTH - 2)
			$0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
			gsub(/(^|[ \t])(arch|lang|target)[-+]?=[^ \t]*/, " ", options)
			gsub(/^[ \t]+|[ \t]+$/, "", options)
		}
		main = 0
		for (i = 4; i <= NF; i++)
			main = main || $i == "main"
		if ($3 !~ suites || !main)
			next
		print type, (options == "" ? "" : "[" options "] ") $2, suite, "main"
	}' "$3" | tr -s ' '
}

# The same for a .sources file: stanzas of fields, folded lines begin with space.
private_apt_convert_sources() {
	awk -v type="$1" -v suite="$2" -v suites="^($private_apt_suites)\$" '
	function flush_stanza(    n, i, words, wanted, main) {
		n = split(value["suites"], words, /[ \t\n]+/)
		for (i = 1; i <= n; i++)
			wanted = wanted || words[i] ~ suites
		n = split(value["components"], words, /[ \t\n]+/)
		for (i = 1; i <= n; i++)
			main = main || words[i] == "main"
		if (wanted && main && value["types"] ~ /(^|[ \t\n])deb([ \t\n]|$)/ &&
		    tolower(value["enabled"]) !~ /^[ \t]*(no|false|off|0)/)
			printf "Types: %s\nSuites: %s\nComponents: main\n%s\n", type, suite, kept
		kept = ""
		split("", value)
		field = ""
	}
	/^[ \t]*$/ { flush_stanza(); next }
	/^#/ { next }
	/^[^ \t:]+:/ {
		field = tolower(substr($0, 1, index($0, ":") - 1))
		value[field] = substr($0, index($0, ":") + 1)
	}
	/^[ \t]/ { value[field] = value[field] "\n" $0 }
	field !~ /^(types|suites|components|architectures|languages|targets|enabled)$/ {
		kept = kept $0 "\n"
	}
	END { flush_stanza() }' "$3"
}

# Fails with a sentence when the machine has no Debian archive configured.
private_apt_init() {
	local dir=$1 type=$2 suite=$3 arch=${4-} etc file n=0
	etc=${PRIVATE_APT_ETC-/etc/apt}
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	rm -rf "$dir/sources"
	mkdir "$dir/sources"
	for file in "$etc/sources.list" "$etc"/sources.list.d/*.list; do
		[ -r "$file" ] || continue
		n=$((n + 1))
		private_apt_convert_list "$type" "$suite" "$file" >"$dir/sources/$n.list"
	done
	for file in "$etc"/sources.list.d/*.sources; do
		[ -r "$file" ] || continue
		n=$((n + 1))
		private_apt_convert_sources "$type" "$suite" "$file" >"$dir/sources/$n.sources"
	done
	find "$dir/sources" -type f -empty -delete
	printf '%s' "$arch" >"$dir/arch"
	[ -n "$(ls "$dir/sources")" ] && return
	echo "apt on this machine knows no Debian archive (no entry with component main of a Debian suite in $etc)." >&2
	return 1
}

private_apt() {
	local dir=$1 command=$2 options=()
	shift 2
	options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$dir/sources"
		-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache"
		-o "APT::Get::List-Cleanup=1" -o "Acquire::Retries=3"
		-o "Acquire::Languages=none")
	if [ -s "$dir/arch" ]; then
		options+=(-o "APT::Architectures=$(cat "$dir/arch")")
	fi
	# apt's own download user may not be able to enter DIR.
	if [ "$(id -u)" = 0 ]; then
		options+=(-o "APT::Sandbox::User=root")
	fi
	"$command" "${options[@]}" "$@"
}
