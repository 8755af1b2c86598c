// Questions. The browser's own modal dialogs keep the focus inside and end with
// Escape; nothing here happens without one of them having been answered.
//
// SPDX-License-Identifier: MIT

// A dialog with a title: { e, body, foot, close }; wide for tables. It is gone
// when it is closed, and the focus goes back to where it was.
function modal(title, wide) {
  const head = el('h2', '', title), body = el('div', 'body'), foot = el('div', 'foot');
  const e = el('dialog', wide ? 'wide' : '', head, body, foot);
  head.id = 'dialog-' + title.replace(/\W+/g, '-');
  e.setAttribute('aria-labelledby', head.id);
  e.addEventListener('close', () => e.remove());
  e.addEventListener('click', m => { if (m.target === e) e.close(); });
  document.body.append(e);
  e.showModal();
  return { e, body, foot, close: () => e.close() };
}

// Says what will happen and does it on a yes. body: nodes or strings. act may
// throw: then its sentence is shown and the question stays. More words on the
// button than "yes": what it does. Returns the dialog.
function ask(title, body, yes, act, danger) {
  const m = modal(title);
  const error = el('p', 'error');
  error.setAttribute('role', 'alert');
  error.hidden = true;
  m.body.append(...body.map(b => typeof b === 'string' ? el('p', '', b) : b), error);
  const go = button(yes, danger ? 'danger' : 'primary', async () => {
    go.disabled = true;
    error.hidden = true;
    try {
      await act(m);
      m.close();
    } catch (e) {
      error.textContent = e.message;
      error.hidden = false;
      go.disabled = false;
    }
  });
  m.foot.append(button('Cancel', '', m.close), go);
  m.yes = go;
  m.error = error;
  return m;
}

// A field with its name, as a label around it.
function field(name, input, hint) {
  return el('label', 'field', el('span', '', name), input,
    hint ? el('span', 'soft', hint) : '');
}

function choice(name, rows, chosen) {
  const set = el('fieldset', 'choice', el('legend', '', name));
  const group = 'choice' + Math.random();
  for (const [value, word, hint] of rows) {
    const input = el('input', '');
    input.type = 'radio';
    input.name = group;
    input.value = value;
    input.checked = value === chosen;
    set.append(el('label', '', input, el('span', '', el('b', '', word), ' ',
      el('span', 'soft', hint))));
  }
  return { e: set, get value() { return set.querySelector(':checked').value; } };
}

function tick(text, on) {
  const input = el('input', '');
  input.type = 'checkbox';
  input.checked = on;
  return { e: el('label', 'tick', input, el('span', '', text)), input };
}

// For the token of an admin port that wants one. Kept in this tab's session
// storage: it is gone with the tab.
function askToken(wrong) {
  return new Promise(resolve => {
    const input = el('input', '');
    input.type = 'password';
    input.autocomplete = 'off';
    const m = modal('This weir wants its token');
    const give = () => {
      sessionStorage.setItem(TOKEN, input.value.trim());
      m.close();
    };
    input.addEventListener('keydown', k => { if (k.key === 'Enter') give(); });
    m.body.append(el('p', wrong ? 'error' : '', wrong ? 'That was not it.' :
      'What admin.token_file holds. It is kept in this tab only.'),
      field('Token', input));
    m.foot.append(button('Go on', 'primary', give));
    m.e.addEventListener('close', resolve);
    input.focus();
    show($('raw'), false);      // links cannot bring the token along
  });
}
