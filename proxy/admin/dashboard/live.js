// The stream: a frame a second, read with fetch because an EventSource cannot
// bring a token along. When it ends the page says so and tries again.
//
// SPDX-License-Identifier: MIT
const RETRY_MS = [500, 1000, 2000, 4000];
const SILENT_MS = 5000;         // a frame each second: this is too long
const FILTER_FROM = 8;          // upstreams, from where on a filter helps

let last = null;                // the frame before
let goneSince = null;           // ms

// ------------------------------------------------------------------- the past

const totals = { requests: series('requests'), failures: series('failures'),
  errors: series('errors'), p50: series('p50'), p99: series('p99') };

// Points of the rows' totals a second; at[i] is when.
function rates(to, at, values) {
  for (let i = 1; i < at.length; i++)
    if (values[i] !== null && values[i - 1] !== null)
      to.add(at[i], growth(values[i], values[i - 1]) / (at[i] - at[i - 1]));
}

// The minutes before, as weir remembers them: those without a stream are filled
// in, and what happened lately is known at once.
async function recall() {
  const h = await call('GET', 'stats/history');
  const first = h.at.findIndex(at => at >= serverTime() - LATELY_S);
  for (const [kind, idOf] of [['listeners', listenerAt], ['upstreams', upstreamAt]])
    for (const r of h[kind]) {
      rates(series(idOf(r.name) + ' requests'), h.at, r.requests_total);
      if (first >= 0 && r.by_reason) remember(kind, r, h.at, first);
    }
  for (let i = 0; i < h.at.length; i++) {
    const most = key => Math.max(0, ...h.listeners.map(l => l[key][i] || 0));
    totals.p50.add(h.at[i], most('p50_us'));
    totals.p99.add(h.at[i], most('p99_us'));
  }
  const all = (rows, key) => h.at.map((_, i) => rows.reduce((n, r) => n + (r[key][i] || 0), 0));
  rates(totals.requests, h.at, all(h.listeners, 'requests_total'));
  rates(totals.failures, h.at, all(h.listeners, 'failures_total'));
  rates(totals.errors, h.at, all(h.upstreams, 'server_errors_total'));
}

// ------------------------------------------------------------------ the frame

const charts = [
  chart('Requests a second', [{ name: '', cls: 'main', of: totals.requests }], number),
  chart('Failures a second', [{ name: 'failed/s', cls: 'failed', of: totals.failures },
    { name: 'errors of servers/s', cls: 'errors', of: totals.errors }], number),
  chart('Latency of the slowest listener', [{ name: 'p99', cls: 'main', of: totals.p99 },
    { name: 'p50', cls: 'second', of: totals.p50 }], micros, { decades: true })];

// What rows have grown by since the frame before, into their series.
function measure(s, at) {
  const dt = last && last.pid === s.pid ? s.uptime_s - last.uptime_s : 0;
  ofClients = new Set(s.failures_of_clients);
  for (const rows of ['listeners', 'upstreams'])
    for (const r of s[rows]) r.lately = lately(rows, r, at);
  s.process.lost = lately('log', { name: '', requests_total: s.process.log_dropped_total },
    at).requests;
  if (dt < 0.2) return;
  const grown = (rows, key, idOf) => s[rows].reduce((n, r) => {
    const before = named(last[rows], r.name);
    const rate = before ? key(r, before) / dt : 0;
    if (idOf) series(idOf(r.name) + ' requests').add(at, rate);
    return n + rate;
  }, 0);
  const requests = (r, before) => growth(r.requests_total, before.requests_total);
  grown('upstreams', requests, upstreamAt);
  totals.requests.add(at, grown('listeners', requests, listenerAt));
  totals.failures.add(at, grown('listeners', (r, before) =>
    growth(sum(r.failures_total), sum(before.failures_total))));
  totals.errors.add(at, grown('upstreams', (r, before) =>
    growth(sum(r.server_errors_total), sum(before.server_errors_total))));
  totals.p50.add(at, Math.max(0, ...s.listeners.map(l => l.latency_us.p50)));
  totals.p99.add(at, Math.max(0, ...s.listeners.map(l => l.latency_us.p99)));
}

function state(text, cls) {
  say($('state'), text);
  dress($('state'), 'pill ' + cls);
}

// How bad it is at each place, for the cards there.
function spread(s, found) {
  const worst = new Map();
  for (const t of found)
    if (!t.ago) worst.set(t.at, Math.max(t.level, worst.get(t.at) ?? NOTE));
  for (const l of s.listeners) l.worst = worst.get(listenerAt(l.name));
  for (const u of s.upstreams) u.worst = worst.get(upstreamAt(u.name));
}

function filtered(rows) {
  const part = $('filter').value.trim().toLowerCase();
  return part && !$('filter').hidden ? rows.filter(r => r.name.toLowerCase().includes(part)) : rows;
}

function tell(s) {
  const at = serverTime();
  measure(s, at);
  const found = troubles(s);
  last = s;
  spread(s, found);
  if (document.hidden) {
    title(found);
    return;
  }
  draw(s, found, at);
}

function title(found) {
  const worst = found.find(t => t.level > NOTE && !t.ago);
  document.title = worst ? `${SIGNS[worst.level]} weir: ${worst.text}` : 'weir';
}

function draw(s, found, at) {
  summarize(s, found);
  dress(document.body, '');
  title(found);
  state(...(s.draining ? ['! draining', 'warn'] : s.ready ? ['✓ ready', 'good'] :
    ['✕ not ready', 'bad']));
  say($('version'), `${s.version}, pid ${s.pid}, up ${span(s.uptime_s)}`);
  waiting.tell(s);
  for (const c of charts) c.draw(at);
  show($('filter'), s.upstreams.length + s.listeners.length > FILTER_FROM);
  keep($('upstreams'), filtered(s.upstreams), u => u.name, upstreamCard);
  keep($('listeners'), filtered(s.listeners), l => l.name, listenerCard);
  tellReloads(s);
  tellProcess(s);
}

// Numbers that are old must look it.
function gone(why) {
  goneSince = goneSince || Date.now();
  dress(document.body, 'gone');
  state('✕ no connection', 'bad');
  document.title = '✕ weir: no connection';
  const first = $('summary').querySelector('.first');
  dress($('summary'), 'summary bad');
  say(first.querySelector('.sign'), '✕');
  say(first.querySelector('.said'), `No connection to weir since ` +
    `${new Date(goneSince).toLocaleTimeString()} (${why}): the numbers are old. Trying again.`);
}

// ----------------------------------------------------------------- the stream

async function listen() {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), SILENT_MS);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), SILENT_MS);
  };
  try {
    const r = await request('GET', 'stats/stream', { signal: stop.signal });
    if (!r.ok) throw new Error('weir answered ' + r.status);
    const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error('it has ended');
      alive();
      text += value;
      let end;
      while ((end = text.indexOf('\n\n')) >= 0) {
        const frame = text.slice(0, end);
        text = text.slice(end + 2);
        goneSince = null;
        if (frame.startsWith('data: ')) tell(JSON.parse(frame.slice(6)));
      }
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

async function live() {
  for (let failures = 0; ; failures++) {
    const before = last;
    try {
      await recall().catch(e => { if (e.status !== 404) throw e; });
      await listen();
    } catch (e) {
      gone(e.name === 'AbortError' ? 'nothing comes' : e.name === 'TypeError' ?
        'it cannot be reached' : e.message);
    }
    if (last !== before) failures = 0;
    await new Promise(go => setTimeout(go, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]));
  }
}

$('charts').append(...charts.map(c => c.e));
$('reload').addEventListener('click', reload);

function again() {
  if (last && !document.hidden) draw(last, troubles(last), serverTime());
}

$('filter').addEventListener('input', again);
document.addEventListener('visibilitychange', again);
new ResizeObserver(() => {
  for (const e of document.querySelectorAll('#upstreams > *')) if (e.inSight) e.redraw();
}).observe(document.body);
slowPart();
driftPart();
live();
