# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program in a terminal of its own: a pty, and as much of a VT100 as curses needs.

    with Screen([program, argument...], 24, 80) as s:
        s.wait(lambda: "text" in s.text())
        s.type("q")
        status = s.end()

Unknown sequences fail the test: a program that writes what is no VT100's would leave
rubbish on a real one too.
"""
import fcntl, os, pty, re, select, signal, struct, termios, time

PATIENCE_S = 240
CSI = re.compile(rb"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    def __init__(self, argv, lines, columns, env=None):
        self.resize_to(lines, columns)
        self.left = b""
        self.raw = b""
        # The program begins when its terminal has been looked at.
        ready, go = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.close(go)
            os.read(ready, 1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.environ.update(env or {}, TERM="vt100", LC_ALL="C")
            self.set_size_of(0)
            os.execvp(argv[0], argv)
        self.set_size_of(self.fd)
        self.before = termios.tcgetattr(self.fd)
        os.close(ready)
        os.close(go)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize_to(self, lines, columns):
        self.lines, self.columns = lines, columns
        self.cells = [[" "] * columns for _ in range(lines)]
        self.y = self.x = 0
        self.saved = 0, 0
        self.top, self.bottom = 0, lines - 1    # what scrolls

    def set_size_of(self, fd):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", self.lines, self.columns, 0, 0))

    def resize(self, lines, columns):
        self.resize_to(lines, columns)
        self.set_size_of(self.fd)

    def type(self, text):
        os.write(self.fd, text.encode())

    # ---- what is on it

    def rows(self):
        return ["".join(r).rstrip() for r in self.cells]

    def text(self):
        return "\n".join(self.rows())

    def clear(self, y, x, to_y, to_x):
        for i in range(y, to_y + 1):
            for j in range(x if i == y else 0, (to_x if i == to_y else self.columns - 1) + 1):
                self.cells[i][j] = " "

    def scroll(self):
        if self.y == self.bottom:
            del self.cells[self.top]
            self.cells.insert(self.bottom, [" "] * self.columns)
        else:
            self.y = min(self.y + 1, self.lines - 1)

    def scroll_back(self):
        if self.y == self.top:
            del self.cells[self.bottom]
            self.cells.insert(self.top, [" "] * self.columns)
        else:
            self.y = max(self.y - 1, 0)

    def move(self, y, x):
        self.y = max(0, min(y, self.lines - 1))
        self.x = max(0, min(x, self.columns - 1))

    def control(self, private, numbers, final):
        n = [int(v) if v else 0 for v in numbers.split(b";")]
        one = max(n[0], 1)
        if private or final in b"mhl":
            return
        if final == b"r":
            self.top = min(one, self.lines) - 1
            self.bottom = min(n[1] if len(n) > 1 and n[1] else self.lines, self.lines) - 1
            self.move(0, 0)
            return
        if final == b"H":
            self.move(one - 1, max(n[1], 1) - 1 if len(n) > 1 else 0)
        elif final == b"J":
            assert n[0] in (0, 2), "clears " + str(n)
            self.clear(*((self.y, self.x) if n[0] == 0 else (0, 0)), self.lines - 1, self.columns - 1)
        elif final == b"K":
            assert n[0] in (0, 1), "clears " + str(n)
            self.clear(self.y, self.x if n[0] == 0 else 0, self.y,
                       self.columns - 1 if n[0] == 0 else self.x)
        elif final in b"ABCD":
            self.move(self.y + {b"A": -one, b"B": one}.get(final, 0),
                      self.x + {b"C": one, b"D": -one}.get(final, 0))
        else:
            raise AssertionError("no VT100 knows ESC [ %s %s" % (numbers, final))

    def escape(self, c):
        if c == b"7":
            self.saved = self.y, self.x
        elif c == b"8":
            self.move(*self.saved)
        elif c == b"D":
            self.scroll()
        elif c == b"M":
            self.scroll_back()

    def put(self, c):
        assert 32 <= c < 127, "writes the octet %d" % c
        if self.x == self.columns:
            self.x = 0
            self.scroll()
        self.cells[self.y][self.x] = chr(c)
        self.x += 1

    def feed(self, data):
        self.raw += data
        data = self.left + data
        i = 0
        while i < len(data):
            c = data[i]
            if c == 27:
                m = CSI.match(data, i)
                if m:
                    self.control(*m.groups())
                    i = m.end()
                elif data[i + 1:i + 2] in (b"(", b")") and len(data) > i + 2:
                    i += 3
                elif data[i + 1:i + 2] in (b"=", b">", b"7", b"8", b"D", b"M"):
                    self.escape(data[i + 1:i + 2])
                    i += 2
                elif len(data) - i < 16:
                    break       # its rest comes
                else:
                    raise AssertionError("unknown sequence %r" % data[i:i + 16])
                continue
            if c == 13:
                self.x = 0
            elif c == 10:
                self.scroll()
            elif c == 8:
                self.x = max(self.x - 1, 0)
            elif c not in (0, 14, 15):
                self.put(c)
            i += 1
        self.left = data[i:]

    # ---- time

    def read(self, seconds):
        """False: the program has closed its terminal."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.feed(data)
        return bool(data)

    def doing(self):
        """What the program is at, for who wonders why it shows nothing."""
        words = []
        for name in ("status", "wchan", "syscall", "stack"):
            try:
                with open("/proc/%d/%s" % (self.pid, name)) as f:
                    words.append(name + ": " + " ".join(f.read().split())[:600])
            except OSError as e:
                words.append("%s: %s" % (name, e))
        return "\n".join(words + ["written: %d octets, %r" % (len(self.raw), self.raw[-80:])])

    def wait(self, condition, what="what is waited for"):
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until, "%s does not come:\n%s\n%s" % (
                what, self.text(), self.doing())
            assert self.read(0.2), "the program ended:\n" + self.text()

    def end(self):
        """Its exit status, once it ends by itself; the terminal is as it was."""
        until = time.monotonic() + PATIENCE_S
        while self.read(0.2):
            assert time.monotonic() < until, "it does not end:\n" + self.text()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while select.select([self.fd], [], [], 0)[0] and self.read(0):
                    pass
                break
        else:
            status = os.waitpid(self.pid, 0)[1]
        self.pid = 0
        assert not self.left, "ends within a sequence: %r" % self.left
        return os.waitstatus_to_exitcode(status)
