// Small charts of the last minutes. A series is what a number was, by weir's
// clock; a chart draws one or two of them and tells of the moment under the
// pointer or, by the arrow keys, of any other.
//
// SPDX-License-Identifier: MIT
const SPAN_S = 300;
const HOLE_S = 12;              // nothing known for so long: no line
const DECADES_MOST = 4;         // more are not all marked

class Series {
  constructor() { this.at = []; this.of = []; }

  add(at, value) {
    const n = this.at.length;
    if (n && at <= this.at[n - 1]) return;
    this.at.push(at);
    this.of.push(value);
    // Points leave in larger groups: shifting each time would cost.
    if (this.at.length > 60 && this.at[59] < at - SPAN_S) {
      this.at.splice(0, 60);
      this.of.splice(0, 60);
    }
  }

  top(since) {
    let top = 0;
    for (let i = this.at.length - 1; i >= 0 && this.at[i] >= since; i--)
      if (this.of[i] > top) top = this.of[i];
    return top;
  }

  // The least that is not 0, which says that there was nothing to measure.
  least(since) {
    let least = Infinity;
    for (let i = this.at.length - 1; i >= 0 && this.at[i] >= since; i--)
      if (this.of[i] > 0 && this.of[i] < least) least = this.of[i];
    return least;
  }

  // The latest known at that moment; null where there is a hole.
  when(at) {
    let i = this.at.length - 1;
    while (i >= 0 && this.at[i] > at + 0.5) i--;
    return i >= 0 && at - this.at[i] < HOLE_S ? this.of[i] : null;
  }

  get last() { return this.of.length ? this.of[this.of.length - 1] : null; }
}

// Every number's series, by a name such as "web requests".
const past = new Map();
const series = name => past.get(name) || past.set(name, new Series()).get(name);

// What of a line is seen: pieces between holes. part: how high a value is, of 1.
// close: down to the ground.
function curve(s, now, part, width, height, close) {
  const x = at => (width * (at - now + SPAN_S) / SPAN_S).toFixed(1);
  let d = '', begun = null, before = null;
  const end = () => { if (close && begun !== null) d += `V${height}H${begun}Z`; };
  for (let i = 0; i < s.at.length; i++) {
    const at = s.at[i];
    if (at < now - SPAN_S - 10) continue;
    const y = (height - 1.5 - (height - 4) * part(s.of[i])).toFixed(1);
    if (before === null || at - before > HOLE_S) {
      end();
      begun = x(at);
      d += 'M' + begun + ' ' + y;
    } else
      d += 'L' + x(at) + ' ' + y;
    before = at;
  }
  end();
  return d;
}

// The next round number: the scale does not jump with each point.
function roundUp(n) {
  if (n <= 1) return 1;
  const ten = 10 ** Math.floor(Math.log10(n));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map(f => f * ten).find(f => f >= n);
}

// Powers of ten around all values, each as high above the one before: a moment
// that was a thousand times slower leaves the rest to be seen.
function decades(least, most) {
  const low = Math.floor(Math.log10(Math.min(least, most) || 1));
  const high = Math.max(low + 1, Math.ceil(Math.log10(most || 1)));
  const step = Math.ceil((high - low) / DECADES_MOST), marks = [];
  for (let i = low; i <= high; i += step) marks.push(10 ** i);
  return { marks, part: v => Math.max(0, (Math.log10(v) - low) / (high - low)) };
}

function evenly(most) {
  const top = roundUp(most);
  return { marks: [0], part: v => v / top };
}

// 1.00 s is 1 s here.
const shorter = text => text.replace(/\.0+(?= |$)/, '');

// Lines across at an axis' marks, and with `words` what they stand for.
function markings(grid, words, spell, width, height) {
  let drawnAs = '';
  return axis => {
    if (drawnAs === axis.marks.join()) return;
    drawnAs = axis.marks.join();
    const y = v => height - 1.5 - (height - 4) * axis.part(v);
    grid.setAttribute('d', axis.marks.map(v => `M0 ${y(v).toFixed(1)}H${width}`).join(''));
    if (!words) return;
    words.replaceChildren(...axis.marks.map(v => {
      const e = el('span', '', shorter(spell(v)));
      e.style.top = (100 * y(v) / height).toFixed(1) + '%';
      return e;
    }));
  };
}

// lines: [{ name, cls, of: a Series }]; spell: a value as text. small: without
// words around it; decades: powers of ten are as far apart as their like.
// Draws at once while it can be seen.
function chart(title, lines, spell, { small, decades: byTens } = {}) {
  const W = 300, H = small ? 34 : 88;
  const filled = drawn('path', { class: 'fill ' + lines[0].cls });
  const paths = lines.map(l => drawn('path', { class: 'curve ' + l.cls }));
  const hair = drawn('path', { class: 'hair' });
  const grid = drawn('path', { class: 'grid' });
  const svg = drawn('svg', { class: small ? 'spark' : 'chart', role: 'img',
    viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none' },
    grid, filled, ...paths.slice().reverse(), hair);
  const values = lines.map(() => el('b', 'value', '–'));
  const labels = el('div', 'values', ...lines.map((l, i) => el('span', 'of ' + l.cls,
    values[i], lines.length > 1 ? el('span', 'soft', ' ' + l.name) : '')));
  const scale = el('span', 'scale soft', '');
  const moment = el('span', 'soft', 'now');
  const marks = byTens ? el('div', 'marks soft') : null;
  const divide = markings(grid, marks, spell, W, H);
  const e = small ? svg : el('div', 'card plot',
    el('div', 'plot-top', el('h3', '', title), scale), labels,
    el('div', 'drawing', svg, marks || ''),
    el('div', 'axis soft', el('span', '', '5 min ago'), moment));
  let now = 0, picked = null;   // seconds before now that are asked for

  const words = () => lines.forEach((l, i) => {
    const v = picked === null ? l.of.last : l.of.when(now - picked);
    say(values[i], v === null ? '–' : spell(v));
  });
  const pick = s => {
    picked = s === null ? null : Math.max(0, Math.min(SPAN_S - 1, s));
    hair.setAttribute('d', picked === null ? '' :
      `M${(W * (1 - picked / SPAN_S)).toFixed(1)} 0V${H}`);
    say(moment, picked === null || picked < 1 ? 'now' : span(picked) + ' ago');
    words();
  };
  if (!small) {
    svg.setAttribute('tabindex', '0');
    svg.addEventListener('pointermove', m => {
      const box = svg.getBoundingClientRect();
      pick(SPAN_S * (1 - (m.clientX - box.left) / box.width));
    });
    svg.addEventListener('pointerleave', () => pick(null));
    svg.addEventListener('blur', () => pick(null));
    svg.addEventListener('keydown', k => {
      const step = { ArrowLeft: 5, ArrowRight: -5, Home: SPAN_S, End: -SPAN_S }[k.key];
      if (step === undefined) return;
      k.preventDefault();
      pick((picked || 0) + step);
    });
  }
  return { e, draw(at) {
    now = at;
    const most = Math.max(...lines.map(l => l.of.top(at - SPAN_S)));
    const axis = byTens ? decades(Math.min(...lines.map(l => l.of.least(at - SPAN_S))), most) :
      evenly(most);
    divide(axis);
    filled.setAttribute('d', curve(lines[0].of, at, axis.part, W, H, true));
    lines.forEach((l, i) => paths[i].setAttribute('d', curve(l.of, at, axis.part, W, H)));
    say(scale, most > 0 ? 'up to ' + spell(most) : '');
    words();
    mark(svg, 'aria-label', title + ': ' + lines.map((l, i) =>
      (lines.length > 1 ? l.name + ' ' : '') + (l.of.last === null ? 'unknown' :
      spell(l.of.last))).join(', ') + '; at most ' + spell(most) + ' in five minutes');
  } };
}
