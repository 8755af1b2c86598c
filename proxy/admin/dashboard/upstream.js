// A card for each upstream: its pool drawn as what it is, a cell for each
// connection that there may be, and its endpoints.
//
// SPDX-License-Identifier: MIT
const CELL = 15, BOX = 12;      // from one to the next; what is filled of it
const CELLS_MOST = 256;         // more are drawn as lengths
const ROWS_MOST = 12;           // endpoints, unless all are asked for

const STATES = { up: ['✓', 'good'], drain: ['↓', 'warn'], ejected: ['!', 'bad'],
  down: ['✕', 'bad'], unresolved: ['?', 'bad'] };

// Pinned ones are some of the leased; cap is what is left of max.
function parts(p) {
  const pinned = Math.min(p.pinned, p.leased);
  const free = Math.max(0, p.cap - p.open);
  return [['leased', p.leased], ['connecting', p.connecting], ['idle', p.idle],
    ['free', free], ['barred', Math.max(0, p.max - Math.max(p.cap, p.open))],
    ['pin', pinned]];
}

function cells(n, first, columns, shape) {
  let d = '';
  for (let i = first; i < first + n; i++)
    d += 'M' + (i % columns * CELL + shape[0]) + ' ' +
      (Math.floor(i / columns) * CELL + shape[1]) + shape[2];
  return d;
}

const FULL = [0.5, 0.5, `h${BOX - 1}v${BOX - 1}h-${BOX - 1}z`];
const CROSS = [2, 2, 'l8 8m0-8l-8 8'];
const PLUS = [3, 6, 'h6m-3-3v6'];
const ARROW = [2, 2, 'l8 4l-8 4z'];

function poolPicture() {
  const names = ['free', 'barred', 'idle', 'connecting', 'leased', 'pin', 'waiting'];
  const paths = Object.fromEntries(names.map(n => [n, drawn('path', { class: n })]));
  const svg = drawn('svg', { class: 'pool', role: 'img', height: 2 * CELL }, ...Object.values(paths));
  const words = el('div', 'words');
  let drawnAs = '';

  function asCells(p, columns) {
    let at = 0;
    for (const [name, n] of parts(p)) {
      if (name === 'pin') {
        paths.pin.setAttribute('d', cells(n, 0, columns, PLUS));
        continue;
      }
      paths[name].setAttribute('d', cells(n, at, columns, name === 'barred' ? CROSS : FULL));
      at += n;
    }
    return Math.ceil(at / columns);
  }

  function asLengths(p, width) {
    const all = Math.max(p.max, p.open);
    let x = 0;
    for (const [name, n] of parts(p)) {
      const w = (width * n / all).toFixed(1);
      if (name === 'pin')
        paths.pin.setAttribute('d', n ? `M0 6H${w}` : '');
      else {
        paths[name].setAttribute('d', n ? `M${x.toFixed(1)} .5h${w}v11h-${w}z` : '');
        x += width * n / all;
      }
    }
    return 1;
  }

  return { e: el('div', '', svg, words), tell(p) {
    const list = parts(p).filter(([name, n]) => n && name !== 'pin').map(([name, n]) =>
      name === 'leased' && p.pinned ? `${number(n)} leased (${number(p.pinned)} pinned)` :
      name === 'barred' ? `${number(n)} not taken by the server` : `${number(n)} ${name}`);
    const text = list.join(', ') + ` of ${number(p.max)}` + (p.waiting ?
      `; ${number(p.waiting)} waiting, the oldest for ${micros(p.oldest_wait_us)}` : '');
    say(words, text);
    mark(svg, 'aria-label', 'Pool: ' + text);
  }, draw(p) {
    const width = svg.parentNode.clientWidth;
    const columns = Math.max(4, Math.floor(width / CELL));
    const as = [width, p.max, p.cap, p.open, p.leased, p.connecting, p.idle, p.pinned,
      Math.min(p.waiting, columns)].join();
    if (as === drawnAs || !width) return;
    drawnAs = as;
    const rows = Math.max(p.max, p.open) > CELLS_MOST ? asLengths(p, width) :
      asCells(p, columns);
    paths.waiting.setAttribute('d', cells(Math.min(p.waiting, columns), rows * columns,
      columns, ARROW));
    svg.setAttribute('width', width);
    // Room for those who wait even while nobody does: nothing below jumps.
    svg.setAttribute('height', (rows + 1) * CELL);
  } };
}

// ----------------------------------------------------------------- endpoints

// What is to be said of an endpoint beyond its numbers.
function remarks(e) {
  const h = e.health, o = e.override, out = [];
  if (o) out.push('by hand: ' + [o.state === 'conf' ? '' : o.state,
    o.weight ? 'weight ' + o.weight : '', o.until ? 'until ' + clock(o.until) : '']
    .filter(Boolean).join(', '));
  if (e.state !== 'up' && e.since) out.push(e.state + ' since ' + clock(e.since));
  if (h.checks_total && h.last !== 'ok') out.push('last check: ' + h.last);
  if (e.held_ms) out.push('asks for a pause of ' + micros(e.held_ms * 1000));
  if (e.last_error && e.last_error.toLowerCase() !== h.last.toLowerCase())
    out.push('last error: ' + e.last_error);
  if (sum(e.failures_total)) out.push('failures: ' + tally(e.failures_total));
  if (e.ejections_total) out.push('ejected so far: ' + number(e.ejections_total));
  return out.join('; ');
}

function endpointRow(of) {
  return row => {
    const cell = cls => el('td', cls);
    const own = el('span', ''), resolved = el('span', 'soft');
    const name = el('th', 'name', own, resolved), state = cell(''), check = cell('opt'),
      weight = cell('opt'), open = cell(''), failures = cell('opt'), why = el('td', 'why');
    let now = row;
    const change = button('Change…', 'quiet', () => changeEndpoint(of.name, now));
    name.scope = 'row';
    why.colSpan = 7;
    const below = el('tr', 'below', why);
    const e = el('tbody', '', el('tr', '', name, state, check, weight, open, failures,
      el('td', '', change)), below);
    change.setAttribute('aria-label', 'Change endpoint ' + row.name);
    return { e, tell(r) {
      const failed = sum(r.failures_total), h = r.health;
      const [sign, cls] = STATES[r.state] || ['', ''];
      now = r;
      say(own, r.name + (r.backup ? ', backup' : ''));
      show(resolved, r.resolved !== r.name);
      say(resolved, r.resolved || 'no address yet');
      say(state, sign + ' ' + r.state);
      dress(state, cls);
      say(check, !h.checks_total ? '–' : h.last === 'ok' ? 'ok, ' + micros(h.latency_us) :
        '✕ failed');
      dress(check, h.checks_total && h.last !== 'ok' ? 'opt bad' : 'opt');
      say(weight, String(r.weight));
      say(open, `${number(r.leased)} / ${number(r.open)}`);
      say(failures, number(failed));
      const text = remarks(r);
      show(below, Boolean(text));
      say(why, text);
    } };
  };
}

const ENDPOINT_HEADS = [['endpoint', ''], ['state', ''], ['check', 'opt'], ['weight', 'opt'],
  ['in use / open', ''], ['failures', 'opt'], ['', '']];

function endpointTable(row) {
  const head = el('thead', '', el('tr', '', ...ENDPOINT_HEADS.map(([text, cls]) => {
    const th = el(text ? 'th' : 'td', cls, text);
    if (text) th.scope = 'col';
    return th;
  })));
  // Each endpoint is a body of its own: a row, and one for what it says.
  const table = el('div', 'wide', el('table', '',
    el('caption', 'hidden', 'Endpoints of ' + row.name), head));
  const more = button('', 'quiet', () => { all = !all; tell(last); });
  const made = new Map();
  let all = false, last = row;

  const make = endpointRow(row);
  function tell(u) {
    last = u;
    // Those in trouble first, when not all are shown.
    const some = all || u.endpoints.length <= ROWS_MOST ? u.endpoints :
      u.endpoints.filter(e => e.state !== 'up').concat(u.endpoints.filter(e => e.state === 'up'))
        .slice(0, ROWS_MOST);
    const wanted = new Set();
    let before = head;
    for (const e of some) {
      const key = e.name + ' ' + e.resolved;
      let part = made.get(key);
      if (wanted.has(key)) continue;
      if (!part) made.set(key, part = make(e));
      wanted.add(key);
      part.tell(e);
      if (before.nextElementSibling !== part.e) before.after(part.e);
      before = part.e;
    }
    while (before.nextElementSibling) before.nextElementSibling.remove();
    for (const key of made.keys()) if (!wanted.has(key)) made.delete(key);
    show(more, u.endpoints.length > ROWS_MOST);
    say(more, all ? `Show ${ROWS_MOST} only` : `Show all ${number(u.endpoints.length)} endpoints`);
  }
  return { e: el('div', '', table, more), tell };
}

// -------------------------------------------------------------------- advice

// A sentence, and behind it what else there is to choose from.
function advice() {
  const first = el('p', ''), text = el('div', ''), rows = el('div', 'options');
  const more = el('details', '', el('summary', '', 'What other sizes would have done'),
    text, rows);
  const e = el('div', 'advice', first, more);
  return { e, tell(a) {
    const said = a && a.text || [];
    show(e, said.length > 0);
    if (!said.length) return;
    say(first, 'Size: ' + said[0]);
    keep(text, said.slice(1).map((t, i) => ({ t, i })), r => r.i, () => {
      const p = el('p', '');
      return { e: p, tell: r => say(p, r.t) };
    });
    keep(rows, a.rows || [], r => r.max, () => {
      const p = el('p', 'soft');
      return { e: p, tell: r => say(p, `max = ${r.max}: ` + percent(r.queued_share) +
        (r.queued_share < 0.0005 ? '' : r.queue_us === null ? ' queued without end' :
        ` queued for ${micros(r.queue_us)}`)) };
    });
  } };
}

function faultText(f) {
  if (!f) return '';
  const what = [f.delay_ms ? `${f.delay_ms} ms of delay` : '', f.reset ? 'resets' : '',
    f.error ? 'errors' : ''].filter(Boolean).join(', ');
  return `Made on purpose: ${what} for ${f.percent} % of the exchanges` +
    (f.until ? ', until ' + clock(f.until) : '') + `; ${number(f.hit_total || 0)} so far`;
}

// ------------------------------------------------------------------ the card

function upstreamCard(row) {
  const c = card(upstreamAt(row.name), 'card');
  const picture = poolPicture(), endpoints = endpointTable(row), sizing = advice();
  const requests = series(upstreamAt(row.name) + ' requests');
  const spark = chart('Requests a second', [{ name: '', cls: 'main', of: requests }],
    number, { small: true });
  const numbers = figures(['requests/s', 'queue p99', 'first byte p99', 'connect p99', 'reused',
    'errors/min']);
  const limits = line('soft'), discards = line('soft'), errors = line('soft'),
    fault = line('warn');
  let now = row;
  const hold = button('Pause…', 'quiet', () => pauseOrResume(now));
  const end = button('End the faults…', 'quiet', () => endFault(now));
  c.tools.append(button('Connections…', 'quiet', () => showConnections(now)), hold);
  c.e.append(picture.e, numbers.e, spark.e, fault.e, end, limits.e, errors.e, discards.e,
    endpoints.e, sizing.e);
  c.e.redraw = () => {
    picture.draw(now.pool);
    spark.draw(serverTime());
  };
  return { e: c.e, tell(u) {
    const p = u.pool, limited = sum(u.lately.limited) + sum(u.lately.delayed);
    now = u;
    c.head(u.name, u.worst);
    say(c.side, `${u.protocol}, ${p.mode} pool, ` + (u.paused ? 'paused' :
      u.ready ? 'ready' : 'not ready'));
    say(hold, u.paused ? 'Resume…' : 'Pause…');
    picture.tell(p);
    numbers.tell([[number(requests.last || 0)],
      [micros(u.queue_us.p99), u.queue_us.p99 > 1e6 ? 'warn' : ''],
      [micros(u.first_byte_us.p99)], [micros(u.connect_us.p99)],
      [u.requests_total ? percent(u.reused_total / u.requests_total) : '–'],
      [number(sum(u.lately.errors)),
        errorsDress(sum(ofServer(u, u.lately.errors)), u)]]);
    fault.tell(faultText(u.fault));
    show(end, Boolean(u.fault));
    limits.tell([['Limits: not sent ', u.limited_total], ['delayed ', u.delayed_total],
      ['in shadow ', u.shadow_total]].filter(([, o]) => sum(o))
      .map(([what, o]) => what + tally(o)).join('; '), limited ? 'warn' : 'soft');
    errors.tell(sum(u.server_errors_total) && 'Errors that its servers answered so far: ' +
      tally(u.server_errors_total));
    discards.tell(sum(u.discarded_total) && 'Connections thrown away: ' + tally(u.discarded_total));
    endpoints.tell(u);
    sizing.tell(u.advice);
    if (c.e.inSight) c.e.redraw();
  } };
}
