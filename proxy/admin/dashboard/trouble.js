// What is wrong, worst first: one sentence each, and where on the page it is.
//
// SPDX-License-Identifier: MIT
const BAD = 2, WARN = 1, NOTE = 0;
const SIGNS = ['i', '!', '✕'], LEVELS = ['note', 'warn', 'bad'];
const LATELY_S = 60;
const STEP_S = 5;               // so often totals are remembered
const LONG_WAIT_US = 200e3;
const STAYS_S = 10;             // what comes and goes stays so long
const ERRORS_FEW = 5;           // a minute: no trouble yet
const UPGRADE_S = 3600;         // so long the last one's failure is trouble

// Names of failures that nobody but the clients could do about: /stats has them.
let ofClients = new Set();

const totalsOf = new Map();     // kind and name -> [{ at, its totals }] of a minute

const BY_REASON = { failures: 'failures_total', limited: 'limited_total',
  delayed: 'delayed_total', errors: 'server_errors_total', outcomes: 'outcomes_total' };

// What they were before the page knew the row, from the first of the moments `at`
// on, as /stats/history has them. Where it has none there was nothing yet.
function remember(kind, row, at, first) {
  const list = [];
  for (let i = first; i < at.length; i++) {
    const one = { at: at[i], requests: row.requests_total[i] || 0 };
    for (const [name, group] of Object.entries(BY_REASON))
      one[name] = Object.fromEntries(Object.entries(row.by_reason[group] || {})
        .map(([reason, values]) => [reason, values[i] || 0]));
    list.push(one);
  }
  totalsOf.set(kind + ' ' + row.name, list);
}

// What the totals of a row grew by in the last minute, or since the page knows
// it; all but requests by reason. errors: what servers answered; outcomes: what
// clients got.
function lately(kind, row, at) {
  const key = kind + ' ' + row.name;
  const now = { at, requests: row.requests_total };
  for (const [name, group] of Object.entries(BY_REASON)) now[name] = row[group];
  let list = totalsOf.get(key);
  if (!list || list[0].requests > now.requests)
    totalsOf.set(key, list = [now]);    // new, or back with counters of its own
  if (at - list[list.length - 1].at >= STEP_S) list.push(now);
  while (list.length > 1 && list[0].at < at - LATELY_S) list.shift();
  const grown = { requests: growth(now.requests, list[0].requests) };
  for (const name in BY_REASON) grown[name] = growths(now[name], list[0][name]);
  return grown;
}

const only = (o, holds) => Object.fromEntries(Object.entries(o).filter(([k]) => holds(k)));
const onlyServers = failures => only(failures, k => !ofClients.has(k));

// What part of the last minute's are errors; few are none.
const shareOf = (n, requests) => n < ERRORS_FEW ? 0 : n / Math.max(n, requests);
const shareLevel = share => share >= 0.25 ? BAD : share >= 0.05 ? WARN : NOTE;

const listenerAt = name => 'listener ' + name;
const upstreamAt = name => 'upstream ' + name;

function ofListener(l, found) {
  const add = (level, text) => found.push({ level, text, at: listenerAt(l.name) });
  const failed = onlyServers(l.lately.failures), n = sum(failed);
  if (n) {
    const share = n / Math.max(n, l.lately.requests);
    add(share >= 0.01 ? BAD : WARN, `Listener ${l.name}: ${number(n)} of ` +
      `${number(Math.max(n, l.lately.requests))} requests failed in the last minute ` +
      `(${tally(failed)})`);
  }
  const limited = sum(l.lately.limited);
  if (limited) add(WARN, `Listener ${l.name}: limits refused ${number(limited)} in the ` +
    `last minute (${tally(l.lately.limited)})`);
  const left = l.certificate_not_after ? l.certificate_not_after - serverTime() : Infinity;
  if (left < 14 * 86400) add(left < 3 * 86400 ? BAD : WARN, `Listener ${l.name}: ` +
    (left > 0 ? `a certificate expires in ${span(left)}` : 'a certificate has expired'));
}

// Those of its endpoints that are as they are by themselves, and not up.
function ofEndpoints(u, add) {
  const usable = u.endpoints.filter(e => e.state === 'up').length;
  const out = u.endpoints.filter(e => e.state !== 'up' &&
    !(e.override && e.override.state !== 'conf' && e.override.state !== 'up'));
  const states = {};
  for (const e of out) states[e.state] = (states[e.state] || 0) + 1;
  const worst = out.find(e => e.last_error) || out[0];
  const why = worst && (worst.last_error || worst.health.checks_total &&
    worst.health.last !== 'ok' && worst.health.last);
  if (!usable) add(BAD, `Upstream ${u.name}: no usable endpoint` +
    (why ? ` (${worst.name}: ${why})` : ''));
  else if (out.length) add(out.length * 2 >= u.endpoints.length ? BAD : WARN,
    `Upstream ${u.name}: ${out.length} of ${plural(u.endpoints.length, 'endpoint')} ` +
    `not usable (${tally(states)}` + (why ? `; ${worst.name}: ${why}` : '') + ')');
}

// Of these errors those that tell of the server rather than of what it was asked.
const ofServer = (u, errors) => only(errors, k => u.errors_of_server.includes(k));

// What its servers answered. Errors of queries and commands belong to the
// application: they are told when hardly anything else comes, and are no alarm.
function ofErrors(u, add) {
  const { errors, requests } = u.lately, own = ofServer(u, errors);
  const share = shareOf(sum(own), requests), all = shareOf(sum(errors), requests);
  if (shareLevel(share) > NOTE) add(shareLevel(share), `Upstream ${u.name}: ` +
    `${percent(share)} of what it answered in the last minute are errors of the server ` +
    `(${tally(own)})`);
  else if (all >= 0.5) add(NOTE, `Upstream ${u.name}: ${percent(all)} of what it answered in ` +
    `the last minute are errors (${tally(errors)})`);
}

function ofUpstream(u, found) {
  const add = (level, text) => found.push({ level, text, at: upstreamAt(u.name) });
  const p = u.pool;
  ofEndpoints(u, add);
  ofErrors(u, add);
  if (u.paused) add(WARN, `Upstream ${u.name} is paused by hand: ${number(p.waiting)} wait`);
  else if (p.waiting)
    // A pool that is small on purpose lets some wait for a moment, always.
    add(p.oldest_wait_us > LONG_WAIT_US || p.waiting > p.cap ? WARN : NOTE,
      `Upstream ${u.name}: ` + (p.leased + p.connecting >= p.cap ?
      `all ${plural(p.cap, 'connection')} in use, ` : '') +
      `${number(p.waiting)} wait${p.waiting === 1 ? 's' : ''} for one (the oldest for ` +
      `${micros(p.oldest_wait_us)})`);
  if (p.cap < p.max) add(WARN, `Upstream ${u.name}: the server takes fewer connections, ` +
    `${number(p.cap)} of ${number(p.max)} are used`);
  if (p.leaks) add(WARN, `Upstream ${u.name}: ${plural(p.leaks, 'connection')} held ` +
    'longer than pool.leak_after');
  // What it would take is said in the card.
  if (u.advice && u.advice.max > p.max) add(NOTE, `Upstream ${u.name}: max = ${p.max} is small ` +
    `for what is asked of it, ${u.advice.max} would do`);
  if (u.fault) add(WARN, `Upstream ${u.name}: faults are being made on purpose`);
  const limited = sum(u.lately.limited);
  if (limited) add(WARN, `Upstream ${u.name}: ${number(limited)} not sent for limits in ` +
    `the last minute (${tally(u.lately.limited)})`);
}

function ofProgram(s, found) {
  const add = (level, text, at = 'process') => found.push({ level, text, at });
  const p = s.process;
  if (s.draining) add(WARN, 'Draining: nothing new is taken');
  else if (!s.ready) add(BAD, 'Not ready: ' + (s.missing || 'reason unknown'), 'upstreams-head');
  if (s.reload.last !== 'ok') add(BAD, 'The last reload was refused; the configuration ' +
    'from before goes on', 'reloads-head');
  if (s.reload.confirm_until) add(WARN, 'The new configuration goes back unless it is confirmed',
    'notices');
  if (p.pressure && p.pressure !== 'none') add(p.pressure === 'full' ? BAD : WARN,
    'Memory is ' + p.pressure + (p.pressure === 'full' ? ': new clients are refused' :
    ': idle clients are closed'));
  if (p.fds > 0.9 * p.fds_max) add(BAD, `${number(p.fds)} of ${number(p.fds_max)} ` +
    'descriptors are in use');
  if (p.lost) add(WARN, plural(p.lost, 'line') + ' of the logs lost in the last minute');
  if (s.watchdog && s.watchdog.stuck_total) add(WARN, 'A loop was stuck ' +
    `${plural(s.watchdog.stuck_total, 'time')}: ${s.watchdog.last}`);
  if (s.reload.overrides) add(NOTE, `${plural(s.reload.overrides, 'endpoint')} changed by ` +
    'hand; a reload leaves them so', 'upstreams-head');
}

// Nothing is broken by it: what ran goes on. After a while everybody knows.
function ofUpgrade(u, found) {
  if (u && u.last === 'failed' && serverTime() - u.at < UPGRADE_S)
    found.push({ level: WARN, text: 'The last upgrade failed: ' + u.error, at: 'process' });
}

const known = new Map();        // trouble by its kind -> { trouble, at }

// Numbers change all the time; where it is, how bad and what it is do not.
const kindOf = t => t.at + ' ' + t.level + ' ' + t.text.replace(/ \(.*\)/, '')
  .replace(/\d[\d.,]*( ?(µs|ms|s|min|h|d|k|M|G|%))?/g, '#');

// Those of a moment ago too: what comes and goes each second cannot be read.
function steady(found, at) {
  for (const t of found) known.set(kindOf(t), { t, at });
  const now = new Set(found.map(kindOf));
  for (const [kind, k] of known)
    if (at - k.at > STAYS_S) known.delete(kind);
    else if (!now.has(kind)) found.push({ ...k.t, ago: true });
}

// [{ level, text, at: an id }], worst first.
function troubles(s) {
  const found = [];
  ofProgram(s, found);
  for (const u of s.upstreams) ofUpstream(u, found);
  for (const l of s.listeners) ofListener(l, found);
  ofUpgrade(s.upgrade, found);
  steady(found, serverTime());
  return found.map((t, i) => ({ ...t, i })).sort((a, b) => b.level - a.level || a.i - b.i);
}

// ------------------------------------------------------------------- shown

const TROUBLES_MOST = 6;

function trouble(t) {
  const sign = el('span', 'sign'), a = el('a', ''), e = el('li', '', sign, a);
  sign.setAttribute('aria-hidden', 'true');
  return { e, tell(row) {
    dress(e, LEVELS[row.level]);
    say(sign, SIGNS[row.level]);
    say(a, row.ago ? 'A moment ago: ' + row.text : row.text);
    mark(a, 'href', '#' + encodeURIComponent(row.at));
  } };
}

function allWell(s) {
  const n = s.upstreams.reduce((m, u) => m + u.endpoints.length, 0);
  return `All is well: ${plural(s.listeners.length, 'listener')}, ` +
    `${plural(s.upstreams.length, 'upstream')}, ${plural(n, 'endpoint')}`;
}

// The line at the top, and a link to each thing that is wrong.
function summarize(s, found) {
  const wrong = found.filter(t => t.level > NOTE && !t.ago);
  const worst = wrong.length ? wrong[0].level : NOTE;
  const first = $('summary').querySelector('.first');
  dress($('summary'), 'summary ' + (worst < WARN ? 'good' : LEVELS[worst]));
  say(first.querySelector('.sign'), worst < WARN ? '✓' : SIGNS[worst]);
  say(first.querySelector('.said'), worst < WARN ? allWell(s) : wrong.length === 1 ?
    'One thing is not as it should be' : wrong.length + ' things are not as they should be');
  // What is only to be known comes last, behind a word of its own.
  const rows = found.slice(0, TROUBLES_MOST).map(t =>
    t.level > NOTE || t.ago ? t : { ...t, text: 'Hint: ' + t.text });
  if (found.length > rows.length) rows.push({ level: NOTE, at: 'upstreams-head',
    text: `and ${found.length - rows.length} more, marked below` });
  keep($('troubles'), rows, kindOf, trouble);
}
