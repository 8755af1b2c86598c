// What all parts of the dashboard stand on: elements that change only where
// what they say does, numbers for people, requests to weir.
//
// SPDX-License-Identifier: MIT
'use strict';

const $ = id => document.getElementById(id);
const NS = 'http://www.w3.org/2000/svg';

// Strings become text nodes: nothing that weir says is ever markup.
function el(tag, cls, ...inside) {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  e.append(...inside);
  return e;
}

function button(text, cls, act) {
  const b = el('button', cls, text);
  b.type = 'button';
  b.addEventListener('click', act);
  return b;
}

function drawn(tag, attributes, ...inside) {
  const e = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes))
    e.setAttribute(name, value);
  e.append(...inside);
  return e;
}

// The DOM is touched only when something has changed: most of it has not, from
// one second to the next.
function say(e, text) {
  if (e.said === text) return;
  e.said = text;
  e.textContent = text;
}

function dress(e, cls) {
  if (e.worn === cls) return;
  e.worn = cls;
  e.setAttribute('class', cls);
}

function mark(e, name, value) {
  if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}

function show(e, visible) {
  if (e.hidden === visible) e.hidden = !visible;
}

// parent's children are as rows say, in their order: made once for each key,
// then told. make(row) gives { e, tell(row) }.
function keep(parent, rows, keyOf, make) {
  const old = parent.kept || new Map(), now = new Map();
  let at = 0;
  for (const row of rows) {
    const key = keyOf(row);
    if (now.has(key)) continue;
    const part = old.get(key) || make(row);
    now.set(key, part);
    part.tell(row);
    if (parent.children[at] !== part.e)
      parent.insertBefore(part.e, parent.children[at] || null);
    at++;
  }
  while (parent.children.length > at) parent.lastElementChild.remove();
  parent.kept = now;
  return now;
}

// A line of text that is there only while there is something to say.
function line(cls) {
  const e = el('p', cls);
  return { e, tell(text, worn) {
    show(e, Boolean(text));
    say(e, text || '');
    if (worn) dress(e, worn);
  } };
}

// ------------------------------------------------------------------- numbers

function number(n) {
  if (n >= 1e9) return (n / 1e9).toFixed(1) + 'G';
  if (n >= 1e6) return (n / 1e6).toFixed(1) + 'M';
  if (n >= 1e4) return (n / 1e3).toFixed(1) + 'k';
  return n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
}

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i && n < 100 ? n.toFixed(1) : Math.round(n)) + ' ' + units[i];
}

function micros(us) {
  if (us >= 1e6) return (us / 1e6).toFixed(us < 1e7 ? 2 : 1) + ' s';
  if (us >= 1000) return (us / 1000).toFixed(us < 1e4 ? 2 : us < 1e5 ? 1 : 0) + ' ms';
  return Math.round(us) + ' µs';
}

function span(s) {
  s = Math.max(0, Math.floor(s));
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + s % 60 + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}

function percent(part) {
  // Never "100 %" of what is not all of it.
  if (part >= 0.995 && part < 1) return (Math.floor(1000 * part) / 10).toFixed(1) + ' %';
  return part > 0 && part < 0.001 ? '< 0.1 %' : (100 * part).toFixed(part < 0.1 ? 1 : 0) + ' %';
}

const clock = s => new Date(s * 1000).toLocaleTimeString();
const plural = (n, one, many) => number(n) + ' ' + (n === 1 ? one : many || one + 's');
const sum = o => Object.values(o || {}).reduce((a, b) => a + b, 0);
const named = (rows, name) => rows && rows.find(r => r.name === name);

// The names whose numbers are not 0, largest first.
function tally(o) {
  return Object.entries(o).filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1]).map(([k, n]) => k + ' ' + number(n)).join(', ');
}

// What a total grew by.
const growth = (now, before) => before === undefined ? 0 : Math.max(0, now - before);

// What is not in `before` was 0 then.
function growths(now, before) {
  const out = {};
  for (const k in now) out[k] = growth(now[k], before && (before[k] || 0));
  return out;
}

// --------------------------------------------------------- requests to weir

const TOKEN = 'weir-token';
let asking = null;              // the dialog for the token, while it is open
let skew = 0;                   // weir's clock minus ours, seconds

const serverTime = () => Date.now() / 1000 + skew;

// As fetch, with the token, which is asked for where it is wanted. The token
// stays in this tab.
async function request(method, path, more) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const r = await fetch(path, { method, cache: 'no-store', redirect: 'error',
      headers: token ? { Authorization: 'Bearer ' + token } : {}, ...more });
    const date = Date.parse(r.headers.get('date'));
    // Whole seconds: half of one is lost on the average.
    if (date) skew = Math.abs(date - Date.now()) < 2000 ? 0 :
      (date + 500 - Date.now()) / 1000;
    if (r.status !== 401) return r;
    asking = asking || askToken(token !== null).finally(() => { asking = null; });
    await asking;
  }
}

// Its JSON; an Error with weir's own sentence where it said no.
async function call(method, path, more) {
  const r = await request(method, path, more);
  const text = await r.text();
  let said = null;
  try { said = JSON.parse(text); } catch { /* it was no JSON */ }
  if (r.ok) return said;
  const e = new Error(said && said.error || text || 'weir answered ' + r.status);
  e.status = r.status;
  throw e;
}

const path = (...words) => words.map(encodeURIComponent).join('/');

let toasts = 0;

function toast(text) {
  const mine = ++toasts;
  $('toast').textContent = text;
  setTimeout(() => { if (mine === toasts) $('toast').textContent = ''; }, 6000);
}
