#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at a page in a real browser: browse.py [--brief] CHROMIUM PAGE DIRECTORY

Opens PAGE (a file) as a phone shows it (390 pixels), as a desk shows it (1280), dark, and as
it is printed. Writes pictures of these and page.pdf to DIRECTORY, and checks in each that
nothing is wider than the screen, that every chart has been drawn with a size, that no text of
a chart is outside of it, that nothing is loaded from anywhere and that the browser complains of
nothing. --brief: only as a phone shows it, without pictures. What is wrong is printed, a line each; status 1 then. A last line counts what was seen.

The browser is asked over a pair of pipes (its --remote-debugging-pipe): no port, no library.
"""
import base64, json, os, select, shutil, subprocess, sys, tempfile, time

DEADLINE_S = 120

CHECK = r"""(() => {
  const wrong = [], width = document.documentElement.clientWidth;
  const scrolls = e => { for (; e; e = e.parentElement) if (e.classList.contains('table')) return true; };
  if (document.documentElement.scrollWidth > width)
    wrong.push('the page is ' + document.documentElement.scrollWidth + ' wide, not ' + width);
  for (const e of document.body.querySelectorAll('*')) {
    const r = e.getBoundingClientRect();
    if (r.right > width + 1 && !scrolls(e) && !e.closest('svg'))
      wrong.push('<' + e.tagName + '> ends at ' + r.right + ': ' + e.textContent.slice(0, 40));
  }
  const charts = document.querySelectorAll('figure svg');
  for (const svg of charts) {
    const box = svg.getBoundingClientRect(), name = svg.getAttribute('aria-label') || '';
    if (box.width < 200 || box.height < 50) wrong.push('a chart of ' + box.width + ' x ' + box.height + ': ' + name);
    if (!name) wrong.push('a chart without a name');
    if (!svg.querySelector('polygon')) wrong.push('a chart without a bar: ' + name);
    for (const t of svg.querySelectorAll('text')) {
      const r = t.getBoundingClientRect();
      if (t.textContent.trim() && (r.left < box.left - 1 || r.right > box.right + 1 || r.bottom > box.bottom + 1 || r.top < box.top - 1))
        wrong.push('"' + t.textContent + '" is not inside its chart: ' + name.slice(0, 40));
      if (/^@[LV]\d+@$/.test(t.textContent)) wrong.push('a mark is left: ' + t.textContent);
    }
  }
  for (const f of document.querySelectorAll('figure'))
    if (!f.querySelector('p') || f.querySelector('p').textContent.length < 20) wrong.push('a figure says nothing');
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of ids.filter((x, i) => ids.indexOf(x) != i)) wrong.push('two have the id ' + id);
  for (const a of document.querySelectorAll('a[href^="#"]'))
    if (!document.getElementById(a.hash.slice(1))) wrong.push('a link to nothing: ' + a.hash);
  for (const th of document.querySelectorAll('th')) if (!th.scope) wrong.push('a heading of no scope: ' + th.textContent);
  const active = 'script,iframe,object,embed,img,link,base,form,input,video,audio,foreignObject,[onload],[onerror],[onclick],[onmouseover]';
  for (const e of document.querySelectorAll(active)) wrong.push('<' + e.tagName + '> does not belong here');
  if (document.querySelector('[style]')) wrong.push('a style on an element');
  return { wrong, charts: charts.length, tables: document.querySelectorAll('table').length,
           rows: document.querySelectorAll('tbody tr').length, hacked: !!window.hacked, title: document.title,
           ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor };
})()"""


class Browser:
    def __init__(self, program, home):
        there, ours_out = os.pipe()     # we write, it reads as 3
        ours_in, back = os.pipe()       # it writes as 4
        def pipes():
            # 3 and 4 may be among the four
            a, b = os.dup2(there, 100), os.dup2(back, 101)
            os.dup2(a, 3); os.dup2(b, 4)
        self.process = subprocess.Popen(
            [program, '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-extensions',
             '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage',
             '--disable-sync', '--hide-scrollbars', '--user-data-dir=' + home, '--remote-debugging-pipe', 'about:blank'],
            preexec_fn=pipes, close_fds=False, start_new_session=True, env=dict(os.environ, HOME=home, TMPDIR=home),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(there); os.close(back)
        self.out, self.into, self.buffer = ours_out, ours_in, b''
        self.number, self.session, self.events = 0, None, []
        self.end = time.monotonic() + DEADLINE_S

    def message(self):
        while b'\0' not in self.buffer:
            left = self.end - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                sys.exit('the browser does not answer within %d s' % DEADLINE_S)
            data = os.read(self.into, 1 << 20)
            if not data:
                sys.exit('the browser has ended')
            self.buffer += data
        one, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(one)

    def call(self, method, **params):
        self.number += 1
        ask = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            ask['sessionId'] = self.session
        data = json.dumps(ask).encode() + b'\0'
        while data:
            data = data[os.write(self.out, data):]
        while True:
            m = self.message()
            if m.get('id') == self.number:
                if 'error' in m:
                    sys.exit('%s: %s' % (method, m['error']))
                return m['result']
            self.events.append(m)

    def wait(self, method):
        while not any(e.get('method') == method for e in self.events):
            self.events.append(self.message())

    def open(self, page):
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Network', 'Runtime', 'Log'):
            self.call(domain + '.enable')
        self.events = []
        self.call('Page.navigate', url='file://' + page)
        self.wait('Page.loadEventFired')

    def close(self):
        self.session = None
        os.close(self.out)      # it ends when the pipe does
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()


def complaints(events):
    for e in events:
        p = e.get('params', {})
        if e.get('method') == 'Network.requestWillBeSent' and p['type'] != 'Document':
            yield 'it loads ' + p['request']['url'][:80]
        if e.get('method') == 'Runtime.consoleAPICalled':
            yield 'console: ' + json.dumps(p['args'])[:200]
        if e.get('method') == 'Runtime.exceptionThrown':
            yield 'exception: ' + json.dumps(p['exceptionDetails'])[:200]
        if e.get('method') == 'Log.entryAdded' and not p['entry'].get('url', '').endswith('favicon.ico'):
            yield 'log: ' + p['entry']['text'][:200]


def look(browser, name, width, directory, media='screen', scheme='light'):
    browser.call('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    browser.call('Emulation.setEmulatedMedia', media=media,
                 features=[{'name': 'prefers-color-scheme', 'value': scheme}])
    seen = browser.call('Runtime.evaluate', expression=CHECK, returnByValue=True)['result'].get('value')
    if not seen:
        return ['%s: the check does not run' % name], {}
    if not directory:
        return [name + ': ' + w for w in seen['wrong']], seen
    picture = browser.call('Page.captureScreenshot', captureBeyondViewport=True)
    with open(os.path.join(directory, name + '.png'), 'wb') as f:
        f.write(base64.b64decode(picture['data']))
    return [name + ': ' + w for w in seen['wrong']], seen


def look_at_all(browser, directory):
    wrong, seen = look(browser, 'phone', 390, directory)
    more, desk = look(browser, 'desk', 1280, directory)
    wrong += more
    more, dark = look(browser, 'dark', 1280, directory, scheme='dark')
    wrong += more
    # A4 less its margins, at 96 pixels an inch
    wrong += look(browser, 'print', 688, directory, media='print', scheme='dark')[0]
    browser.call('Emulation.clearDeviceMetricsOverride')
    pdf = base64.b64decode(browser.call('Page.printToPDF', preferCSSPageSize=True)['data'])
    with open(os.path.join(directory, 'page.pdf'), 'wb') as f:
        f.write(pdf)
    if not pdf.startswith(b'%PDF') or len(pdf) < 10000:
        wrong.append('the printed page has %d bytes' % len(pdf))
    if desk.get('paper') == dark.get('paper'):
        wrong.append('dark is as light')
    return wrong, seen


def main():
    brief = sys.argv[1] == '--brief'
    program, page, directory = sys.argv[1 + brief:4 + brief]
    home = tempfile.mkdtemp()
    browser = Browser(program, home)
    try:
        browser.open(os.path.abspath(page))
        wrong, seen = look(browser, 'phone', 390, None) if brief else look_at_all(browser, directory)
        if seen.get('hacked'):
            wrong.append('a script has run')
        wrong += complaints(browser.events)
        print(''.join('WRONG: %s\n' % w for w in wrong), end='')
        print('seen: %d charts, %d tables, %d rows, "%s"' % (seen.get('charts', 0), seen.get('tables', 0),
                                                            seen.get('rows', 0), seen.get('title', '')))
        return 1 if wrong else 0
    finally:
        browser.close()
        shutil.rmtree(home, ignore_errors=True)


sys.exit(main())
