# SPDX-License-Identifier: LGPL-2.1-or-later
"""paravane top in a terminal of 80x24: keys, other sizes, a device that comes and goes.

Usage: top-screen.py PARAVANE DOMAIN/DEVICE APPEAR VANISH
Of a device that is busy; APPEAR and VANISH are commands that make another one come and go,
which is called extra/xvda.
"""
import os, signal, subprocess, sys, termios
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from screen import Screen

paravane, busy, appear, vanish = sys.argv[1:]


def row_of(s, name):
    return next((r for r in s.rows() if r.startswith(name + " ")), "")


def has_rates(s, name):
    cells = row_of(s, name).split()
    return len(cells) == 10 and cells[1] not in ("-", "0") and cells[3] != "-"


def fits(s):
    """The title is on top, the keys at the bottom, and nothing has been scrolled away."""
    rows = s.rows()
    return rows[0].startswith("paravane top") and rows[2].startswith("DEVICE") and \
        rows[-1].startswith("q end")


def keys():
    with Screen([paravane, "top", "-d", "0.2"], 24, 80) as s:
        s.wait(lambda: has_rates(s, busy), "a row with rates")
        assert fits(s), s.text()
        assert len(s.rows()[2]) == 80, s.rows()[2]
        s.wait(lambda: "sort: iops" in s.text())
        s.type("s")
        s.wait(lambda: "sort: throughput" in s.text(), "the next column")
        s.type("SSS")
        s.wait(lambda: "sort: cpu" in s.text(), "columns backwards, around")
        s.type("r")
        s.wait(lambda: "(turned)" in s.text(), "the other order")
        s.type("k")
        s.wait(lambda: "show: disks" in s.text(), "disks only")
        s.type("k")
        s.wait(lambda: "show: interfaces" in s.text() and not row_of(s, busy), "no disks")
        s.type("k")
        s.wait(lambda: "show: all" in s.text() and row_of(s, busy), "all again")
        s.type("h")
        s.wait(lambda: "Page Up" in s.text(), "help")
        s.type(" ")
        s.wait(lambda: "Page Up" not in s.text() and row_of(s, busy), "the table again")
        s.type("/no such thing\n")
        s.wait(lambda: "no such device is connected" in s.text(), "an empty table")
        s.type("/" + "\x7f" * 20 + busy[:3] + "\n")
        s.wait(lambda: row_of(s, busy), "what is filtered for")
        s.type("/xyz\x1b")
        s.wait(lambda: "filter: xyz" not in s.text() and "filter: " + busy[:3] in s.text(),
               "the old filter, after Escape")
        s.type("p")
        s.wait(lambda: "(paused)" in s.text(), "a pause")
        s.type("q")
        assert s.end() == 0


def sizes():
    with Screen([paravane, "top", "-d", "0.2"], 24, 80) as s:
        s.wait(lambda: row_of(s, busy))
        for lines, columns in ((40, 132), (10, 80), (24, 80)):
            s.resize(lines, columns)
            os.kill(s.pid, signal.SIGWINCH)
            s.wait(lambda: fits(s) and row_of(s, busy), "%dx%d" % (columns, lines))
        # Too small for the table: whatever it shows, it lives.
        s.resize(3, 20)
        os.kill(s.pid, signal.SIGWINCH)
        s.wait(lambda: s.rows()[0].startswith("paravane top"))
        s.type("q")
        assert s.end() == 0


def coming_and_going():
    with Screen([paravane, "top", "-d", "0.2"], 24, 80) as s:
        s.wait(lambda: row_of(s, busy) and not row_of(s, "extra/xvda"))
        subprocess.run(appear, shell=True, check=True)
        s.wait(lambda: row_of(s, "extra/xvda"), "a new device")
        assert row_of(s, busy)
        subprocess.run(vanish, shell=True, check=True)
        s.wait(lambda: not row_of(s, "extra/xvda"), "its end")
        assert row_of(s, busy) and fits(s), s.text()
        s.type("q")
        assert s.end() == 0


def signals():
    """However it ends: the cursor is back, the modes are as before, the last line is free."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with Screen([paravane, "top", "-d", "60"], 24, 80) as s:
            s.wait(lambda: row_of(s, busy))
            inside = termios.tcgetattr(s.fd)
            assert not inside[3] & termios.ECHO
            os.kill(s.pid, number)
            assert s.end() == 0
            now = termios.tcgetattr(s.fd)
            assert now == s.before, "the terminal is not as it was: %s, %s" % (now, s.before)
            assert s.rows()[-1] == "", s.rows()[-1]


for test in (keys, sizes, coming_and_going, signals):
    test()
    print("top-screen:", test.__name__)
