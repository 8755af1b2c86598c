// What is asked for when somebody wants to see it: connections and who holds
// them, slow and failed exchanges, the file. And what is told in the stream beside the
// cards: reloads, the process.
//
// SPDX-License-Identifier: MIT
const CONNECTIONS_MOST = 200;

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

function exchangeRows(x) {
  const failed = x.failure || x.status >= 500;
  const outcome = failed ? el('td', 'bad', '✕ ' + (x.failure || x.status)) :
    el('td', '', x.status ? String(x.status) : x.outcome);
  const why = el('td', 'why', x.why || '');
  why.colSpan = 6;
  return [row(clock(x.at), x.request || '–', x.upstream +
    (x.endpoint ? ' → ' + x.endpoint : ''), outcome, micros(x.total_us), steps(x)),
  el('tr', 'below', why)];
}

function slowPart() {
  const told = el('p', 'soft', 'The slowest and the failed ones, with where their time went and ' +
    'what would help. Asked for when you want them.');
  const list = el('div', '');
  const load = button('Show them', '', async () => {
    try {
      const j = await call('GET', 'slow');
      told.textContent = j.exchanges.length ? `${number(j.exchanges.length)} of at most ` +
        `${number(j.kept)} that are kept, newest first` : 'None so far.';
      list.replaceChildren(j.exchanges.length ? table(['at', 'request', 'upstream', 'outcome',
        'total', 'where the time went'], j.exchanges.slice(0, 100).flatMap(exchangeRows)) : '');
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

function factRow(f) {
  const dt = el('dt', '', f.what), dd = el('dd', '');
  return { e: el('div', '', dt, dd), tell(r) {
    say(dd, r.text);
    dress(dd, r.cls || '');
  } };
}

function sandboxText(b) {
  return b.state + (b.seccomp ? `; seccomp ${b.seccomp}` : '') +
    (b.landlock ? `, Landlock ${b.landlock}` : '') + (b.user ? `, as ${b.user}` : '');
}

function tellProcess(s) {
  const p = s.process, rows = [
    { what: 'Up for', text: span(s.uptime_s) },
    { what: 'Generation', text: `${s.generation}, ${s.reload.file_hash.slice(0, 12)}` },
    { what: 'Memory', text: bytes(p.memory_bytes) + (p.memory_budget_bytes ?
      ' of ' + bytes(p.memory_budget_bytes) : '') },
    { what: 'Descriptors', text: `${number(p.fds)} of ${number(p.fds_max)}` },
    { what: 'Loop turns, p99', text: micros(p.loop_lag_us.p99),
      cls: p.loop_lag_us.p99 > 50000 ? 'warn' : '' }];
  if (s.upgrade) rows.push({ what: 'Upgrades', text: number(s.upgrade.count) +
    (s.upgrade.last !== 'none' ? ', the last: ' + s.upgrade.last : '') });
  if (s.sandbox) rows.push({ what: 'Sandbox', text: sandboxText(s.sandbox),
    cls: s.sandbox.state === 'unavailable' ? 'warn' : '' });
  if (s.watchdog) rows.push({ what: 'Stuck loops', text: number(s.watchdog.stuck_total),
    cls: s.watchdog.stuck_total ? 'warn' : '' });
  if (s.tls && s.tls.kernel) rows.push({ what: 'Kernel TLS', text: s.tls.kernel });
  keep($('process'), rows, r => r.what, factRow);
}
