// A card for each listener.
//
// SPDX-License-Identifier: MIT

// [what, value] in large figures.
function figures(names) {
  const values = names.map(() => el('b', ''));
  const e = el('div', 'figures', ...names.map((name, i) =>
    el('div', '', values[i], el('span', '', name))));
  return { e, tell(row) {
    row.forEach(([text, cls], i) => {
      say(values[i], text);
      dress(values[i], cls || '');
    });
  } };
}

const CARD_MARKS = { bad: '✕ ', warn: '! ', note: '' };

function card(id, cls) {
  const name = el('h3', ''), side = el('span', 'soft'), tools = el('span', 'tools');
  const e = el('article', cls, el('div', 'top', name, side, tools));
  e.id = id;
  e.tabIndex = -1;
  seen.observe(e);
  return { e, name, side, tools, head(text, worst) {
    const level = worst === undefined || worst < WARN ? '' : LEVELS[worst];
    dress(e, cls + ' ' + level);
    say(name, (level ? CARD_MARKS[level] : '') + text);
  } };
}

// What is off the screen is told all numbers, but draws nothing.
const seen = new IntersectionObserver(all => {
  for (const one of all) {
    one.target.inSight = one.isIntersecting;
    if (one.isIntersecting && one.target.redraw) one.target.redraw();
  }
}, { rootMargin: '200px' });

// How many errors in a minute look, among all of a row's requests then.
const errorsDress = (n, row) => ['', 'warn', 'bad'][shareLevel(shareOf(n, row.lately.requests))];

function listenerCard(row) {
  const c = card(listenerAt(row.name), 'card');
  const http = row.protocol === 'http';
  const numbers = figures(['requests/s', 'clients', 'p50', 'p99', 'failed/min',
    ...(http ? ['5xx/min'] : [])]);
  const requests = series(listenerAt(row.name) + ' requests');
  const spark = chart('Requests a second', [{ name: '', cls: 'main', of: requests }],
    number, { small: true });
  const fails = line('soft'), answers = line('soft'), limits = line('soft'), shadow = line('soft'),
    tls = line('soft');
  c.e.append(numbers.e, spark.e, fails.e, answers.e, limits.e, shadow.e, tls.e);
  c.e.redraw = () => spark.draw(serverTime());
  return { e: c.e, tell(l) {
    // What limits refused has a line of its own.
    const failures = only(l.failures_total, k => k !== 'limited');
    const failed = sum(onlyServers(l.lately.failures)), limited = sum(l.lately.limited);
    const bad = l.lately.outcomes['5xx'];
    c.head(l.name, l.worst);
    say(c.side, l.protocol + ' on ' + l.bind.join(', '));
    numbers.tell([[number(requests.last || 0)], [number(l.connections.active)],
      [micros(l.latency_us.p50)], [micros(l.latency_us.p99)],
      [number(failed), failed ? 'bad' : ''],
      ...(http ? [[number(bad), errorsDress(bad, l)]] : [])]);
    fails.tell(sum(failures) && 'Failures so far: ' + tally(failures));
    answers.tell(http && l.outcomes_total['5xx'] && 'Answers so far: ' +
      tally(l.outcomes_total));
    limits.tell(sum(l.limited_total) && (limited ? '! Limits refuse now: ' : 'Limits refused: ') +
      tally(l.limited_total), limited ? 'warn' : 'soft');
    shadow.tell(sum(l.shadow_total) && 'Limits in shadow would have refused: ' +
      tally(l.shadow_total));
    tls.tell(l.certificate_not_after && 'TLS: ' + plural(l.tls.handshakes_total, 'handshake') +
      `, ${number(l.tls.resumed_total)} resumed` + (sum(l.tls.problems_total) ?
      ', failed: ' + tally(l.tls.problems_total) : '') + '; certificate until ' +
      new Date(1000 * l.certificate_not_after).toLocaleDateString());
    if (c.e.inSight) c.e.redraw();
  } };
}
