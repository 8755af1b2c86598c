// What is asked for when somebody wants to see it: connections and who holds
// them, slow and failed exchanges, the file. And what is told in the stream beside the
// cards: reloads, the process.
//
// SPDX-License-Identifier: MIT
const CONNECTIONS_MOST = 200;
const EXCHANGES_MOST = 20;      // of one cause

function table(heads, rows) {
  const t = el('table', '', el('thead', '', el('tr', '', ...heads.map(h => {
    const th = el(h ? 'th' : 'td', '', h);
    if (h) th.scope = 'col';
    return th;
  }))), el('tbody', '', ...rows));
  return el('div', 'wide', t);
}

const row = (...cells) => el('tr', '', ...cells.map(c =>
  c instanceof Node && c.tagName === 'TD' ? c : el('td', '', c)));

// -------------------------------------------------------------- connections

function holder(h) {
  return h.client + (h.process ? ` (${h.process.name}, pid ${h.process.pid})` : '') +
    (h.request ? ' ' + h.request : '') + ', for ' + micros(h.since_ms * 1000);
}

function connectionRow(c, again) {
  const held = (c.holders || []).map(holder).join('; ');
  const state = c.state + (c.leaked ? ' ! leaked' : '') +
    (c.pinned ? ', pinned: ' + c.pinned : '') +
    (c.mark !== 'clean' ? `, ${c.mark}: ${c.mark_reason}` : '');
  const kill = button('Kill…', 'quiet', () => killConnection(c, again));
  kill.setAttribute('aria-label', `Kill connection ${c.id}`);
  const last = el('td', 'why', held || (c.last_request ? 'last: ' + c.last_request : ''));
  return row(String(c.id), c.resolved || c.endpoint, state, micros(c.state_ms * 1000),
    span(c.age_ms / 1000), number(c.uses), last, c.id === undefined ? '' : kill);
}

async function showConnections(u) {
  const m = modal('Connections of ' + u.name, true);
  const leased = tick('Leased only', false), told = el('p', 'soft', 'Asking…');
  const list = el('div', '');
  const load = async () => {
    try {
      const j = await call('GET', 'connections');
      const mine = j.connections.filter(c => c.upstream === u.name &&
        (!leased.input.checked || c.state === 'leased'))
        .sort((a, b) => b.state_ms - a.state_ms);
      told.textContent = plural(mine.length, 'connection') + ', those longest in their state ' +
        'first' + (mine.length > CONNECTIONS_MOST ?
        `; the first ${CONNECTIONS_MOST} are shown` : '') +
        (j.complete ? '' : '; not all could be asked');
      list.replaceChildren(mine.length ? table(['id', 'endpoint', 'state', 'since', 'age', 'uses',
        'held by', ''], mine.slice(0, CONNECTIONS_MOST).map(c => connectionRow(c, load))) : '');
    } catch (e) {
      told.textContent = e.message;
    }
  };
  leased.input.addEventListener('change', load);
  m.body.append(told, list);
  m.foot.append(leased.e, el('span', 'room'), button('Ask again', '', load),
    button('Close', 'primary', m.close));
  await load();
}

// --------------------------------------------------------------- slow, failed

const STEPS = [['arrive_us', 'arriving', 'step-client'], ['pause_us', 'held back', 'step-queue'],
  ['queue_us', 'queue', 'step-queue'], ['connect_us', 'connect', 'step-connect'],
  ['tls_us', 'TLS', 'step-tls'], ['upload_us', 'upload', 'step-client'],
  ['first_byte_us', 'first byte', 'step-first'], ['client_us', 'client', 'step-client'],
  ['idle_us', 'idle', 'step-client'], ['transfer_us', 'transfer', 'step-transfer']];

// Where the time went, as lengths and in words.
function steps(x) {
  const all = STEPS.map(([key, name, cls]) => [x[key] || 0, name, cls]).filter(([us]) => us > 0);
  const total = Math.max(1, all.reduce((n, [us]) => n + us, 0));
  const svg = drawn('svg', { class: 'steps', viewBox: '0 0 100 8', preserveAspectRatio: 'none',
    'aria-hidden': 'true' });
  let at = 0;
  for (const [us, , cls] of all) {
    svg.append(drawn('rect', { class: cls, x: at, y: 0, height: 8, width: 100 * us / total }));
    at += 100 * us / total;
  }
  return el('td', 'why', svg, el('span', 'soft', all.map(([us, name]) =>
    name + ' ' + micros(us)).join(', ')));
}

const isFailed = x => Boolean(x.failure) || x.cause === 'server_error';

function exchangeRow(x) {
  const outcome = isFailed(x) ? el('td', 'bad', '✕ ' +
    (x.status >= 400 ? x.status : x.failure || x.said)) :
    el('td', '', x.status ? String(x.status) : x.outcome);
  return row(clock(x.at), el('td', 'why', x.request || '–'), x.client || '–',
    x.endpoint || '–', outcome, micros(x.total_us), steps(x));
}

// As `weir why` does: one group for each cause at one place, what clients did
// themselves last. Of each the newest comes first.
function byCause(exchanges) {
  const groups = new Map();
  for (const x of exchanges) {
    if (x.cause === 'quick') continue;
    const failed = isFailed(x), what = x.failure || x.cause;
    const where = x.upstream ? upstreamAt(x.upstream) : listenerAt(x.listener);
    const key = [failed, x.cause, x.failure, where].join(' ');
    const rank = ofClients.has(x.failure) ? 2 : failed ? 0 : 1;
    if (!groups.has(key)) groups.set(key, { key, what, where, failed, rank, all: [] });
    groups.get(key).all.push(x);
  }
  return [...groups.values()].sort((a, b) => a.rank - b.rank);
}

function causeRow(g) {
  const sign = el('span', 'sign'), head = el('b', ''), why = el('p', 'soft');
  const list = el('div', ''), e = el('details', 'cause',
    el('summary', '', sign, el('span', '', head, why)), list);
  const fill = () => {
    if (!e.open) return;
    list.replaceChildren(table(['at', 'request', 'client', 'endpoint', 'outcome', 'total',
      'where the time went'], now.all.slice(0, EXCHANGES_MOST).map(exchangeRow)));
  };
  let now = g;
  e.addEventListener('toggle', fill);
  return { e, tell(row) {
    now = row;
    say(sign, row.failed ? '✕' : '!');
    dress(sign, 'sign ' + (row.rank === 2 ? 'soft' : row.failed ? 'bad' : 'warn'));
    say(head, `${number(row.all.length)} ${row.failed ? 'failed' : 'slow'}: ${row.what} at ` +
      `${row.where}, the last at ${clock(row.all[0].at)}`);
    say(why, row.all[0].why);
    fill();
  } };
}

function slowPart() {
  const told = el('p', 'soft', 'The slowest and the failed ones by cause, with where their time ' +
    'went and what would help. Asked for when you want them.');
  const list = el('div', 'causes');
  const load = button('Show them', '', async () => {
    try {
      const j = await call('GET', 'slow');
      const groups = byCause(j.exchanges), n = groups.reduce((m, g) => m + g.all.length, 0);
      told.textContent = n ? `${number(n)}, of at most ${number(j.kept)} that are kept: how ` +
        'often it happened is not in their number' : 'Nothing of late was slow or failed.';
      keep(list, groups, g => g.key, causeRow);
      load.textContent = 'Ask again';
    } catch (e) {
      told.textContent = e.status === 404 ? 'This weir does not keep them.' : e.message;
    }
  });
  $('slow').append(told, list, load);
}

// -------------------------------------------------------------------- reloads

const RESULTS = { ok: ['✓', 'loaded'], refused: ['✕', 'refused'], reverted: ['↩', 'went back'],
  confirmed: ['✓', 'confirmed'] };

function reloadRow() {
  const head = el('b', ''), when = el('span', 'soft'), error = el('p', 'error');
  const changes = el('ul', '');
  const e = el('div', 'reloaded', el('div', 'top', head, when), error, changes);
  return { e, tell(r) {
    const [sign, word] = RESULTS[r.result] || ['', r.result];
    say(head, `${sign} generation ${r.generation} ${word}`);
    dress(head, r.result === 'refused' ? 'bad' : r.result === 'reverted' ? 'warn' : 'good');
    say(when, new Date(1000 * r.at).toLocaleString());
    show(error, Boolean(r.error));
    say(error, r.error || '');
    keep(changes, (r.changes || []).map((text, i) => ({ text, i })), x => x.i, () => {
      const li = el('li', '');
      return { e: li, tell: x => say(li, x.text) };
    });
  } };
}

// Without a list of reloads there is only the last one.
function tellReloads(s) {
  const last = { at: s.reload.at, generation: s.generation, changes: [],
    result: s.reload.last === 'ok' ? 'ok' : 'refused',
    error: s.reload.last === 'ok' ? '' : s.reload.last };
  const rows = s.reloads ? s.reloads : s.reload.at ? [last] : [];
  keep($('reloads'), rows.length ? rows : [{ at: serverTime() - s.uptime_s, result: 'ok',
    generation: s.generation, changes: [] }], r => r.at + r.result + r.generation +
    rows.filter(x => x.at === r.at).indexOf(r), reloadRow);
}

// File, running configuration and what was changed by hand, side by side.
function driftPart() {
  const told = el('ul', 'plan');
  const ask = button('Compare with the file', '', async () => {
    try {
      const j = await call('GET', 'drift');
      told.replaceChildren(...(j.text.length ? j.text : ['The file says what is running.'])
        .map(text => el('li', '', text)));
    } catch (e) {
      told.replaceChildren(el('li', '', e.status === 404 ?
        'This weir cannot compare them.' : e.message));
    }
  });
  $('drift').append(told, ask);
}

// -------------------------------------------------------------------- process

const WORDS_LONG = 80;          // have a line of their own

function factRow(f) {
  const dt = el('dt', '', f.what), dd = el('dd', '');
  const e = el('div', '', dt, dd);
  return { e, tell(r) {
    dress(e, r.text.length > WORDS_LONG ? 'whole' : '');
    say(dd, r.text);
    dress(dd, r.cls || '');
  } };
}

function sandboxText(b) {
  return b.state + (b.seccomp ? `; seccomp ${b.seccomp}` : '') +
    (b.landlock ? `, Landlock ${b.landlock}` : '') + (b.user ? `, as ${b.user}` : '');
}

const upgradeText = u => number(u.count) + (u.last === 'none' ? '' : ', the last ' +
  (u.last === 'failed' ? `failed at ${clock(u.at)}: ${u.error}` : u.last));

function tellProcess(s) {
  const p = s.process, rows = [
    { what: 'Up for', text: span(s.uptime_s) },
    { what: 'Generation', text: `${s.generation}, ${s.reload.file_hash.slice(0, 12)}` },
    { what: 'Memory', text: bytes(p.memory_bytes) + (p.memory_budget_bytes ?
      ' of ' + bytes(p.memory_budget_bytes) : '') },
    { what: 'Descriptors', text: `${number(p.fds)} of ${number(p.fds_max)}` },
    { what: 'Loop turns, p99', text: micros(p.loop_lag_us.p99),
      cls: p.loop_lag_us.p99 > 50000 ? 'warn' : '' }];
  if (s.upgrade) rows.push({ what: 'Upgrades', text: upgradeText(s.upgrade),
    cls: s.upgrade.last === 'failed' ? 'warn' : '' });
  if (p.log_dropped_total) rows.push({ what: 'Lines of logs lost',
    text: number(p.log_dropped_total), cls: p.lost ? 'warn' : '' });
  if (s.sandbox) rows.push({ what: 'Sandbox', text: sandboxText(s.sandbox),
    cls: s.sandbox.state === 'unavailable' ? 'warn' : '' });
  if (s.watchdog) rows.push({ what: 'Stuck loops', text: number(s.watchdog.stuck_total),
    cls: s.watchdog.stuck_total ? 'warn' : '' });
  if (s.tls && s.tls.kernel) rows.push({ what: 'Kernel TLS', text: s.tls.kernel });
  keep($('process'), rows, r => r.what, factRow);
}
