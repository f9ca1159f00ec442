#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The report of paravane compare, made from a former run (compare-kvm.json): in a real
# browser, as valid HTML, with several runs, from JSON that wants to do harm, and without
# gnuplot. JSON that is wrong is refused by the name of file and member. Measures nothing.
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

need python3 python3
need gnuplot gnuplot-nox
paravane=${abs_top_builddir:-$PWD}/paravane
here=$(cd "$srcdir/tests" && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cp "$here/compare-kvm.json" "$work/kvm.json" || exit 1
chmod +w "$work/kvm.json"
cd "$work" || exit 1

# changed FROM TO PYTHON: a comparison with something else in it; c is the whole, r its results
changed()
{
	python3 -c '
import json, sys
c = json.load(open(sys.argv[1])); r = c["results"]
exec(sys.argv[3])
json.dump(c, open(sys.argv[2], "w"))' "$@" || fail "no JSON from: $3"
}

says() { grep -qF -- "$2" "$1" || fail "$1 does not say: $2"; }
report() { "$paravane" compare "$@" >out 2>err || fail "compare $*: $(cat err)"; }

# ---- tables and JSON are what was given
report --from kvm.json
grep -q '^Xen ring  *[0-9]' out || fail "no table: $(cat out)"
report --from kvm.json --json
python3 -c '
import json
a, b = json.load(open("kvm.json")), json.load(open("out"))
def same(x, y):
    if isinstance(x, float): return abs(x - y) <= 1e-6 * abs(x)
    if isinstance(x, dict): return list(x) == list(y) and all(same(x[k], y[k]) for k in x)
    if isinstance(x, list): return len(x) == len(y) and all(map(same, x, y))
    return x == y
assert same(a, b)' || fail "--json is not what was read"
sed 's/"halts": [0-9]*/"halts": null/' kvm.json >null.json
report --from null.json
head -n 3 out | grep -q ' halt ' && fail "a column that nobody counted: $(head -n 4 out)"

# ---- the page
report --from kvm.json --report page
[ -s page/index.html ] && [ -s page/compare.json ] || fail "no page: $(ls page)"
[ "$(ls -A page)" = "$(printf 'compare.json\nindex.html')" ] || fail "left behind: $(ls -A page)"
python3 -c '
import json, re, base64
page = open("page/index.html").read()
data = re.search(r"href=\"data:application/json;base64,([^\"]*)\"", page).group(1)
assert json.loads(base64.b64decode(data)) == json.load(open("page/compare.json"))
kvm, beside = json.load(open("kvm.json")), json.load(open("page/compare.json"))
assert [x["exits"] for x in kvm["results"]] == [x["exits"] for x in beside["results"]]
' || fail "the data in the page is not the data"

# Sentences and factors are made from the figures.
changed kvm.json fast.json '
for x in r:
    if x["table"].startswith("4 KiB random read, depth 1"):
        x["ops_per_s"] = {"virtio": 36000, "xen": 18000}.get(x["model"], 2000 if x["model"] == "ata-dma" else 1000)'
report --from fast.json --report fast
says fast/index.html 'The fastest emulated, ATA DMA, does 2.00k operations a second; virtio: 36.0k (18 times that); Xen ring: 18.0k (9.0 times that). Not equal:'
says fast/index.html '<td>18 &#215;</td>'
changed kvm.json busy.json 'c["machine"]["load_average"] = [7.5, 1, 1]; r[0]["not_equal"] = "the moon was full"'
report --from busy.json --report busy
says busy/index.html 'with a load of 7.5 on 2 CPUs'
says busy/index.html 'ATA PIO: the moon was full'

# By which commands it was made, where the data say so.
grep -q 'What was run' page/index.html && fail "commands of nobody"
changed kvm.json made.json 'c["commands"] = ["xl create, with <1>"]; r[3]["command"] = "fio --name=\"b\""'
report --from made.json --report made
says made/index.html '<li><code>xl create, with &lt;1&gt;</code></li>'
says made/index.html ': Xen ring: <code>fio --name=&quot;b&quot;</code></li>'

# ---- several runs, by another clock, with network interfaces
changed kvm.json xen.json '
c["where"], c["clock"], c["guest_is_interpreted"] = "xenhost", "instructions", None
c["versions"]["xen"] = "4.17.7"
c["notes"] = ["Two of five boots were left out."]
for x in r: x["guest"], x["back_end"], x["hypercalls"] = "hvm", "qdisk", 3 * x["ops"]'
changed kvm.json nic.json '
for x in r:
    x["device"], x["frame_bytes"], x["block_bytes"] = "nic", 1500, None
    x["table"] = x["table"].replace("KiB", "frames")'
report --from kvm.json --from xen.json --from kvm.json --from nic.json --report many
[ -s many/compare-4.json ] || fail "no data of the fourth run: $(ls many)"
says many/index.html '<p>[B] Two of five boots were left out.</p>'
says many/index.html 'depth 1 [B]</th>'
says many/index.html 'ATA DMA [C]'
report --from fast.json --from kvm.json --report two
grep -q '<p>\[A\] The fastest emulated, ATA DMA, does 2.00k .* \[B\] The fastest emulated, ATA PIO, does 3.88k' two/index.html ||
	fail "two runs of one kind: $(grep -m 1 'The fastest' two/index.html)"
says many/index.html 'Mbit/s'
says many/index.html 'disk and network'
report --from kvm.json --from kvm.json --from kvm.json --from kvm.json --from kvm.json --from kvm.json --report six
says six/index.html 'grants each time [F]'
"$paravane" compare --from kvm.json --from xen.json --json >out 2>err
[ $? = 2 ] || fail "--json of two runs: $(cat err)"
"$paravane" compare --from kvm.json --quick >out 2>err
[ $? = 2 ] || fail "--from and --quick: $(cat err)"

# ---- texts that want to do harm, to the page, to gnuplot and to the terminal
changed kvm.json evil.json '
evil = ["<script>window.hacked=1</script>", "\"><img src=x onerror=window.hacked=1>", "`touch hacked`",
        "'"'"'; system(\"touch hacked\"); '"'"'", "$(touch hacked)", "@V1@ {/:Bold x} \\n \u001b]0;x\u0007", "]]></style></svg><script>1",
        "\u202e&lt;", "\u009b2J", "x" * 300, "{{data}}", "%s%n%d", "\u00e9" * 30]
n = 0
def spoil(x):
    global n
    for k in list(x):
        if isinstance(x[k], dict): spoil(x[k])
        elif isinstance(x[k], str) and k not in ("clock", "device", "table", "operation", "model"):
            n += 1
            x[k] = evil[n % len(evil)]
spoil(c)
for e in evil: c["versions"][e] = e
for i, x in enumerate(r):
    spoil(x)
    x["not_equal"] = evil[i % len(evil)]
    x["table"] = "%d %s" % (i // 4, evil[i // 4 % len(evil)])
c["notes"] = c["commands"] = evil
for i, x in enumerate(r): x["command"] = evil[i % len(evil)]'
report --from evil.json --report evil
[ ! -e hacked ] || fail "a text was executed"
grep -q '<script' evil/index.html && fail "a script got in"
report --from evil.json
LC_ALL=C grep -q "$(printf '\033')" out && fail "a text commands the terminal"
LC_ALL=C grep -q "$(printf '\302\233')" out && fail "a text commands an eight-bit terminal"
changed kvm.json evil.json 'c["where"] = c["started"] = "\u001b[2J"'
report --from evil.json --from kvm.json
LC_ALL=C grep -q "$(printf '\033')" out && fail "a place commands the terminal"

# ---- what is wrong is named
refuse()
{
	local want=$1

	shift
	changed kvm.json bad.json "$@"
	"$paravane" compare --from bad.json --report bad >out 2>err && fail "taken: $*"
	grep -q '^paravane: bad.json: ' err || fail "no file's name in: $(cat err)"
	says err "$want"
	[ ! -e bad ] || fail "a report of what is wrong"
}
refuse '"where": expected it to be there' 'del c["where"]'
refuse '"clock": expected real or instructions' 'c["clock"] = "sundial"'
refuse '"cpu" of machine: expected a text' 'c["machine"]["cpu"] = 3'
refuse '"machine": expected an object' 'c["machine"] = []'
refuse '"load_average" of machine: expected three numbers or null' 'c["machine"]["load_average"] = [1]' 
refuse '"versions": expected an object of texts' 'c["versions"]["xen"] = 4.17'
refuse '"notes": expected an array of texts' 'c["notes"] = "x"'
refuse '"commands": expected an array of texts' 'c["commands"] = {"fio": 1}'
refuse '"results": expected an array' 'c["results"] = []'
refuse '"exits" of result 3: expected a number from 0 to 1e18, or null' 'r[2]["exits"] = "many"'
refuse '"exits" of result 1: expected a number' 'r[0]["exits"] = -1'
refuse '"ops_per_s" of result 2: expected a number' 'r[1]["ops_per_s"] = None'
refuse '"ops_per_s" of result 2: expected a number' 'r[1]["ops_per_s"] = 1e300'
refuse '"label" of result 4: expected it to be there' 'del r[3]["label"]'
refuse '"label" of result 4: expected a text' 'r[3]["label"] = "x" * 5000'
refuse '"device" of result 1: expected disk or nic' 'r[0]["device"] = "tape"'
refuse 'expected an object' 'r[0] = 7'
refuse 'expected an object' 'c = [1]'
head -c 1000 kvm.json >bad.json
refused 'bad.json: line ' "$paravane" compare --from bad.json
printf '{"where": 1, "where": 2}' >bad.json
refused 'bad.json: line 1' "$paravane" compare --from bad.json
refused 'nothing.json: No such file' "$paravane" compare --from nothing.json
refused '--report kvm.json: that is no directory' "$paravane" compare --from kvm.json --report kvm.json
# Numbers at their ends draw something, or nothing, but never fail.
changed kvm.json ends.json '
for i, x in enumerate(r):
    for k in x:
        if isinstance(x[k], (int, float)) and not isinstance(x[k], bool): x[k] = [0, 1e18, 1e-300, 1][(i + len(k)) % 4]'
report --from ends.json --report ends
changed kvm.json none.json '
for x in r:
    for k in list(x):
        if k not in ("table", "label", "device", "model", "operation", "ops_per_s", "changed"): del x[k]'
report --from none.json --report none

# ---- without gnuplot
mkdir bin
PATH=$work/bin "$paravane" compare --from kvm.json --report plain >out 2>err || fail "without gnuplot: $(cat err)"
says err 'gnuplot-nox'
says plain/index.html 'gnuplot-nox'
grep -q '<svg' plain/index.html && fail "charts by nobody"
printf '#!/bin/sh\necho gnuplot: no >&2\nexit 3\n' >bin/gnuplot
chmod +x bin/gnuplot
PATH=$work/bin:/bin "$paravane" compare --from kvm.json --report broken >out 2>err && fail "gnuplot fails, nobody says so"
says err 'gnuplot could not draw'

# ---- valid HTML
if command -v tidy >/dev/null; then
	for page in page many evil ends none plain; do
		tidy -q -e --drop-empty-elements no $page/index.html >out 2>&1 || fail "$page is no valid HTML: $(head out)"
	done
else
	say "deferred: valid HTML (tidy, Debian package tidy, is not installed)"
fi

# ---- in a browser
if sanitized; then	# the same pages
	say "tables, JSON, pages and refusals are right; a build without sanitizers has a browser look"
	exit 0
fi
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ]; then
	say "tables, JSON, pages and refusals are right"
	skip "no browser to look at the page (Debian package chromium)"
fi
mkdir seen
# seen PAGE WHAT [--brief]
seen()
{
	timeout 200 python3 "$here/browse.py" ${3:-} "$browser" "$1/index.html" seen >out 2>&1 ||
		fail "$1 in a browser: $(head -n 20 out)"
	tail -n 1 out | grep -q "$2" || fail "$1: expected $2: $(tail -n 1 out)"
}
seen page '27 charts, 10 tables, [0-9]* rows, "What a guest pays for its disk"'
seen many '[0-9]* charts, ' --brief
seen evil '[0-9]* charts, ' --brief
seen none '[0-9]* charts, ' --brief
# What the browser's check finds when something is wrong.
sed 's|<figure>|<figure style="width:900px"><script>console.log(1)</script><img src="http://localhost:9/x.png">|' \
	page/index.html >fast/index.html
timeout 200 python3 "$here/browse.py" --brief "$browser" fast/index.html seen >out 2>&1 && fail "the check sees nothing"
for what in 'phone: the page is' '<SCRIPT> does not belong here' 'it loads http://localhost:9/x.png' 'console: '; do
	says out "$what"
done
say "the report is drawn, whole on a phone and on paper, and harmless"
