# SPDX-License-Identifier: LGPL-2.1-or-later
# The tables of the bench.  Input: times (GUEST EXECUTOR WORKLOAD SECONDS RUN) and the
# plan.  Variables: executors, json (file for the rows), about (JSON members for its
# head), identical, failed (JSON strings), unit (of the columns), paired (runs of one number
# were at the same time).

function collect(key,    n, i, j, v, t) {
	n = count[key]
	for (i = 1; i <= n; i++) v[i] = all[key, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	median[key] = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
	least[key] = v[1]
	most[key] = v[n]
}

function show(s) {
	return s >= 100 ? sprintf("%.0f", s) : s >= 10 ? sprintf("%.1f", s) : sprintf(s >= 1 ? "%.2f" : "%.3f", s)
}

# Median, and how far the runs lie apart, in percent of it.
function cell(key) {
	if (!(key in median)) return "-"
	if (count[key] < 2) return show(median[key])
	return show(median[key]) sprintf(" %3.0f%%", 100 * (most[key] - least[key]) / median[key])
}

function has(e) { return index(" " executors " ", " " e " ") }

# One column of ratios: how many times faster FAST is than SLOW.
function ratio(slow, fast) {
	if (has(slow) && has(fast)) {
		slower[++ratios] = slow
		faster[ratios] = fast
	}
}

# How many times faster B is than A: by their medians, or, if runs are pairs, in the mean of these.
function faster_by(a, b,    r, x, k, sum, low, high) {
	pair_spread = ""
	if (!(a in median) || !(b in median) || median[b] <= 0) return 0
	if (!paired) return median[a] / median[b]
	for (r in run) {
		if (!((a, r) in of_run) || !((b, r) in of_run) || of_run[b, r] <= 0) continue
		x = of_run[a, r] / of_run[b, r]
		sum += log(x)
		if (!k++) low = high = x
		if (x < low) low = x
		if (x > high) high = x
	}
	if (!k) return 0
	if (k > 1) pair_spread = sprintf(" %3.0f%%", 100 * (high - low) / exp(sum / k))
	return exp(sum / k)
}

FILENAME ~ /times$/ {
	key = $1 " " $2 " " $3
	all[key, ++count[key]] = of_run[key, $5] = $4
	guest[$1] = run[$5] = 1
	next
}
/^#/ || !NF { next }
{ name[++rows] = $1; class[$1] = kind[$1] = $2 }
NF > 4 { name[++rows] = $1 "-long"; class[$1 "-long"] = $2; kind[$1 "-long"] = "long" }

END {
	name[++rows] = "boot"; class["boot"] = kind["boot"] = "kernel"
	name[++rows] = "login"; class["login"] = kind["login"] = "mixed"
	for (key in count) collect(key)
	columns = split(executors, executor, " ")
	ratio("plain", "unpatched")
	for (i = 1; i <= columns; i++)
		if (executor[i] == "process" || executor[i] == "driver") {
			ratio("plain", executor[i])
			ratio("tcg", executor[i])
			ratio("native", executor[i])
		}
	if (!ratios) ratio("plain", "native")

	printf "{%s, \"output_identical\": %s, \"failed\": [%s], \"rows\": [", about, identical, failed >json
	for (g = 1; g <= 2; g++) {
		arch = g == 1 ? "amd64" : "i386"
		if (!(arch in guest)) continue
		table(arch)
		means(arch)
	}
	print "\n]" >json
	close(json)
	print "Columns: " unit " (median of " most_runs "; what lies between the fastest and the"
	print "slowest run, in % of it). A/B: seconds of A / seconds of B, above 1: B is faster."
	if (paired) print "Ratios are means of each run's own, and what lies between the least and the greatest of them."
}

function table(arch,    i, r, w, key, a, b, x) {
	printf "\n%-7s %-10s %-6s", "guest", "workload", "class"
	for (i = 1; i <= columns; i++) printf " %13s", executor[i]
	printf "  "
	for (r = 1; r <= ratios; r++) printf " %15s", slower[r] "/" faster[r]
	print ""
	for (w = 1; w <= rows; w++) {
		found = 0
		for (i = 1; i <= columns; i++) found += (arch " " executor[i] " " name[w]) in median
		if (!found) continue
		printf "%-7s %-10s %-6s", arch, name[w], class[name[w]]
		for (i = 1; i <= columns; i++) {
			key = arch " " executor[i] " " name[w]
			printf " %13s", cell(key)
			if (!(key in median)) continue
			if (count[key] > most_runs) most_runs = count[key]
			printf "%s\n  {\"guest\": \"%s\", \"workload\": \"%s\", \"class\": \"%s\", ",
				separator, arch, name[w], class[name[w]] >json
			if (kind[name[w]] == "long") printf "\"long\": true, " >json
			printf "\"executor\": \"%s\", ", executor[i] >json
			printf "\"median_s\": %.4f, \"min_s\": %.4f, \"max_s\": %.4f, \"runs\": %d}",
				median[key], least[key], most[key], count[key] >json
			separator = ","
		}
		printf "  "
		for (r = 1; r <= ratios; r++) {
			a = arch " " slower[r] " " name[w]
			b = arch " " faster[r] " " name[w]
			x = faster_by(a, b)
			printf " %15s", x ? sprintf("%.2f", x) pair_spread : "-"
			if (!x) continue
			add(kind[name[w]], r, x, name[w])
			# A long one is the same workload once more.
			if (kind[name[w]] != "long") add("all", r, x, name[w])
		}
		print ""
	}
}

function add(c, r, x, w) {
	n[c, r]++
	logs[c, r] += log(x)
	if (!((c, r) in worst) || x < worst[c, r]) { worst[c, r] = x; worst_name[c, r] = w }
}

# Geometric means of each class and column of ratios, and the worst row.
function means(arch,    c, k, r, classes, pad, line, some) {
	pad = 25 + 14 * columns + 2
	k = split("user long kernel mixed all", classes, " ")
	for (c = 1; c <= k; c++) {
		line = sprintf("%-7s %-" (pad - 8) "s", arch, "geometric mean, " classes[c])
		some = 0
		for (r = 1; r <= ratios; r++) {
			if (!((classes[c], r) in n)) { line = line sprintf(" %15s", "-"); continue }
			line = line sprintf(" %15.2f", exp(logs[classes[c], r] / n[classes[c], r]))
			some = 1
		}
		if (some) print line
	}
	printf "%-7s %-" (pad - 8) "s", arch, "worst"
	for (r = 1; r <= ratios; r++) printf " %15s", (("all", r) in n) ? sprintf("%s %.2f", worst_name["all", r], worst["all", r]) : "-"
	print ""
	split("", n); split("", logs); split("", worst)
}
