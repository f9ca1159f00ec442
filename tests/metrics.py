# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a text is in Prometheus' format, and lists exactly the metrics that are documented.

Usage: metrics.py FILE DOCUMENT
What `promtool check metrics` finds too (names, units, HELP and TYPE), and that samples follow
their metric, histograms grow from bucket to bucket to their count, no series is there twice.
"""
import re, sys

text, document = open(sys.argv[1]).read(), open(sys.argv[2]).read()
SAMPLE = re.compile(r'^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
types, helped, seen, series, buckets, current = {}, set(), set(), {}, {}, None
assert text.endswith("\n")
for line in text.splitlines():
    if line.startswith("# HELP "):
        _, _, name, words = line.split(" ", 3)
        assert words and name not in helped, line
        helped.add(name)
        continue
    if line.startswith("# TYPE "):
        _, _, name, kind = line.split(" ")
        assert name in helped and name not in types and kind in ("counter", "gauge", "histogram"), line
        types[name], current = kind, name
        continue
    m = SAMPLE.match(line)
    assert m, "no sample: " + line
    name, labels, value = m[1], dict(LABEL.findall(m[2] or "")), float(m[3])
    assert line not in seen and value >= 0, line
    seen.add(line)
    kind = types[current]
    if kind == "histogram":
        assert name in (current + "_bucket", current + "_sum", current + "_count"), line
        le = labels.pop("le", None)
        key = current, tuple(sorted(labels.items()))
        h = buckets.setdefault(key, {"le": []})
        if name.endswith("_bucket"):
            h["le"].append((float(le), value))
        else:
            h[name[len(current):]] = value
    else:
        assert name == current, line
        key = name, tuple(sorted(labels.items()))
        assert key not in series, "twice: " + line
        series[key] = value
for (name, labels), h in buckets.items():
    bounds, values = zip(*h["le"])
    assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), (name, bounds)
    assert list(values) == sorted(values) and values[-1] == h["_count"], (name, labels, values)
    assert (h["_sum"] > 0) == (h["_count"] > 0), (name, labels, h)
for name, kind in types.items():
    assert name.startswith("paravane_"), name
    assert (kind == "counter") == name.endswith("_total"), name
    if kind == "histogram":
        assert name.endswith("_seconds"), name
listed = set(re.findall(r"^\| `(paravane_\w+)", document, re.M))
assert listed == set(types), "not the same in the document: %s" % (listed ^ set(types))
print("metrics:", len(types), "metrics,", len(series), "series,", len(buckets), "histograms")
