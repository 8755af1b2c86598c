// What can be done from here. Each says what will happen before it does, and
// goes out as a POST.
//
// SPDX-License-Identifier: MIT
function changeEndpoint(upstream, e) {
  const hand = e.override && e.override.state;
  const state = choice('Let it be', [
    ['conf', 'as the file says', hand ? 'ends the change by hand' : 'it is so now'],
    ['drain', 'drain', `nothing new goes there; ${plural(e.leased, 'leased connection')} ` +
      (e.leased === 1 ? 'ends by itself' : 'end by themselves')],
    ['down', 'down', 'likewise, and it is not checked either'],
    ['up', 'up', 'new connections go there, whatever checks and failures say']],
    hand || 'conf');
  const weight = el('input', ''), time = el('select', '');
  const goesBack = () => state.value === 'conf' && weight.value === '';
  weight.type = 'number';
  weight.min = 1;
  weight.max = 1000;
  weight.placeholder = String(e.weight);
  for (const [value, text] of [['', 'until it is changed again'], ['1m', 'for 1 minute'],
    ['10m', 'for 10 minutes'], ['1h', 'for 1 hour']]) {
    const o = el('option', '', text);
    o.value = value;
    time.append(o);
  }
  const m = ask(`Endpoint ${e.name} of ${upstream}`, [state.e,
    field('Weight', weight, 'empty: as it is'), field('How long', time),
    el('p', 'soft', 'A reload leaves such a change as it is.')], '', async () => {
    const query = new URLSearchParams({ state: state.value });
    if (weight.value !== '') query.set('weight', weight.value);
    if (time.value !== '' && !goesBack()) query.set('for', time.value);
    await call('POST', path('upstreams', upstream, 'endpoints', e.name) + '?' + query);
    toast(`${e.name}: ${[state.value === 'conf' ? '' : state.value, weight.value &&
      'weight ' + weight.value].filter(Boolean).join(', ') || 'as the file says'}`);
  });
  // Nothing is chosen that was not asked for, and what takes traffic away is red.
  const name = () => {
    const idle = goesBack() && !e.override;
    dress(m.yes, state.value === 'drain' || state.value === 'down' ? 'danger' : 'primary');
    say(m.yes, idle ? 'Nothing to change' : goesBack() ? 'Back to the file' :
      { drain: 'Drain it', down: 'Take it down', up: 'Let it be up',
        conf: 'Change the weight' }[state.value]);
    m.yes.disabled = idle;
  };
  for (const input of [state.e, weight]) input.addEventListener('input', name);
  name();
}

function pauseOrResume(u) {
  const what = u.paused ? 'resume' : 'pause', n = u.pool.waiting;
  ask(`${u.paused ? 'Resume' : 'Pause'} ${u.name}?`, [u.paused ?
    `The ${plural(n, 'exchange')} that wait${n === 1 ? 's' : ''} will be served in the order ` +
    'in which they came, and new ones begin again.' :
    'New exchanges will wait, until their queue_timeout; those under way ' +
    `(${plural(u.pool.leased, 'leased connection')}) end by themselves. A reload leaves it ` +
    'paused.'],
  u.paused ? 'Resume' : 'Pause', async () => {
    await call('POST', path('upstreams', u.name, what));
    toast(`${u.name}: ${what}d`);
  });
}

function endFault(u) {
  ask(`End the faults of ${u.name}?`, ['No exchange is delayed or failed on purpose any more.'],
    'End them', () => call('POST', path('upstreams', u.name, 'fault') + '?off=1'));
}

function killConnection(c, again) {
  const n = (c.holders || []).length;
  ask(`Kill connection ${c.id}?`, [`It goes to ${c.resolved || c.endpoint} of ${c.upstream} ` +
    `and is ${c.state}. ` + (c.state === 'leased' ?
    `The exchange${n > 1 ? 's' : ''} on it will fail.` :
    'Nobody is using it now.')], 'Kill it', async () => {
    await call('POST', path('upstreams', c.upstream, 'connections', String(c.id), 'kill'));
    toast(`Connection ${c.id} is closed`);
    again();
  }, true);
}

// --------------------------------------------------------------------- reload

function planLines(plan) {
  const list = (cls, rows) => rows && rows.length ?
    el('ul', 'plan ' + cls, ...rows.map(text => el('li', '', text))) : '';
  return [list('bad', plan.errors), list('warn', plan.warnings), list('', plan.text)];
}

const PLANS = { same: 'The file says what is running already.',
  invalid: 'The file has mistakes: it would be refused, and nothing would change.' };

// What the file would change, first; then whether to do it.
async function reload() {
  const back = tick('Go back by itself unless confirmed within 60 s', true);
  const drop = tick('End what was changed by hand', false);
  const text = el('div', '', el('p', 'soft', 'Asking what would change…'));
  let canWait = true;
  const m = ask('Reload the file?', [text, back.e, drop.e], 'Reload', async () => {
    const query = new URLSearchParams();
    if (canWait && back.input.checked) query.set('confirm', '60s');
    if (drop.input.checked) query.set('drop_overrides', '1');
    const j = await call('POST', 'reload' + (query.size ? '?' + query : ''));
    toast(`Generation ${j.generation} is running`);
  });
  show(back.e, false);
  m.yes.disabled = true;
  try {
    const plan = await call('POST', 'plan');
    text.replaceChildren(el('p', plan.result === 'invalid' ? 'error' : '', PLANS[plan.result] ||
      'The file would change this:'), ...planLines(plan));
    canWait = plan.result === 'ok' && 'confirm_until' in last.reload;
    show(back.e, canWait);
    m.yes.disabled = plan.result === 'invalid' || Boolean(plan.barred);
  } catch (e) {
    // One that has no plans says so, and can still reload.
    canWait = false;
    text.replaceChildren(el('p', e.status === 404 ? 'soft' : 'error', e.status === 404 ?
      'This weir cannot tell what would change. All of the file is taken over, or nothing: ' +
      'with a mistake in it, what is running goes on.' : e.message));
    m.yes.disabled = e.status !== 404;
  }
  if (!m.yes.disabled) m.yes.focus();
}

// While a reload waits to be confirmed, that is above everything.
const waiting = {
  make() {
    const said = el('p', '');
    said.setAttribute('role', 'timer');
    const e = el('div', 'notice warn', said, button('Confirm', 'primary', async () => {
      try {
        await call('POST', 'confirm');
        toast('Confirmed: the new configuration stays');
      } catch (error) {
        toast(error.message);
      }
    }));
    return { e, tell: s => say(said, `! Generation ${s.generation} goes back by itself in ` +
      `${span(s.reload.confirm_until - serverTime())} unless it is confirmed.`) };
  },
  tell(s) {
    keep($('notices'), s.reload.confirm_until ? [s] : [], () => 'confirm', waiting.make);
  }
};
