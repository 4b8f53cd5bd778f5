// Small parts that both halves of the playground are made of.

let made = 0;
export const fresh = name => `pg-${name}-${(made += 1)}`;

// make('p', { class: 'x', onclick: f }, 'text', child)
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

export const row = (name, ...children) => make('div', { class: name }, ...children);

// A row of choices, one of which is taken. options: [value, text, title].
export function choice(legend, options, taken, change) {
  const name = fresh('choice');
  const inputs = options.map(([value, text, title]) => {
    const input = make('input', { type: 'radio', name, value: String(value), onchange: () => change(value) });
    return { input, value, label: make('label', { title }, input, make('span', {}, text)) };
  });
  const set = value => inputs.forEach(each => { each.input.checked = each.value === value; });
  set(taken);
  return { element: make('fieldset', { class: 'pg-choice' }, make('legend', {}, legend), make('div', {}, ...inputs.map(each => each.label))), set };
}

export function menu(legend, options, taken, change) {
  const id = fresh('menu');
  const select = make('select', { id, onchange: () => change(select.value) });
  const fill = (entries, value) => {
    select.replaceChildren(...entries.map(([key, text]) => make('option', { value: key }, text)));
    select.value = value;
  };
  fill(options, taken);
  return { element: make('div', { class: 'pg-field' }, make('label', { for: id }, legend), select), set: value => { select.value = value; }, fill };
}

// A slider over positions 0 … 1 that `to` and `from` turn into values and back.
export function slider(legend, { to, from, show }, value, change) {
  const id = fresh('slider');
  const output = make('output', { for: id });
  const input = make('input', { id, type: 'range', min: 0, max: 1000, step: 1, oninput: () => { said(to(input.value / 1000)); change(to(input.value / 1000)); } });
  const said = x => { output.textContent = show(x); input.setAttribute('aria-valuetext', show(x)); };
  const set = x => { input.value = Math.round(1000 * from(x)); said(x); };
  set(value);
  return { element: make('div', { class: 'pg-field' }, make('label', { for: id }, legend, ' ', output), input), input, set };
}

export const button = (text, act, more = {}) => make('button', { type: 'button', class: 'pg-button', onclick: act, ...more }, text);

// A line that screen readers read out, a moment after the last change.
export function announcer() {
  const element = make('p', { class: 'pg-hidden', role: 'status', 'aria-live': 'polite' });
  let timer;
  return { element, say: text => { clearTimeout(timer); timer = setTimeout(() => { element.textContent = text; }, 400); } };
}

// A folded script with a button that copies it.
export function script(text, say) {
  const code = make('code');
  const copy = button('Copy as Python', async () => {
    const done = await copied(text());
    details.open ||= !done;
    copy.textContent = done ? 'Copied' : 'Copy it from below';
    say(done ? 'The script was copied.' : 'Copying is not allowed here; the script is shown below.');
    setTimeout(() => { copy.textContent = 'Copy as Python'; }, 1800);
  });
  const details = make('details', { class: 'pg-code' }, make('summary', {}, 'The same in Python'), make('pre', { tabindex: 0, 'aria-label': 'Python script' }, code));
  return { button: copy, element: details, update: () => { code.textContent = text(); } };
}

export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

export const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
export const fixed = (x, digits = 2) => (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace('-', '−');
export const degrees = x => `${fixed(x, 1)}°`;

// The colours of ranks on every page of the book (plots.rank_colours).
export const rankColours = (d3, K) => Array.from({ length: K }, (_, k) => d3.interpolateViridis(0.25 + (0.65 * k) / (K - 1)));
// Ink that can be read on one of them.
export const inkOn = (d3, colour) => (d3.lab(colour).l > 62 ? '#1f2933' : '#ffffff');
