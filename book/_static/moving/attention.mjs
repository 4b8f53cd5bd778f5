// Who looks at whom in one slot of the rank sentences, before and after stage 1. The reader picks a word.

import { choice, fixed, make, row } from '../playground/dom.mjs';
import { intoFigure } from './figure.mjs';

const LESS = [33, 102, 172], EVEN = [247, 247, 247], MORE = [178, 24, 43];
const MOST = 4;   // times the even share, and a quarter of it: the ends of the colours
const ARROWS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
const WHEN = [['before', 'before stage 1'], ['after', 'after stage 1']];

// Blue for less than an even share of the attention, red for more.
export function colour(times) {
  const far = Math.min(Math.abs(Math.log(times)) / Math.log(MOST), 1);
  return EVEN.map((x, i) => Math.round(x + far * ((times < 1 ? LESS : MORE)[i] - x)));
}

// The words of a slot by rank (null where a sentence has none), and the weight of a rank for a rank.
export function slotOf(stored, unit) {
  const words = stored.of.map(place => (place === null ? null : stored.words[place]));
  const count = words.filter(word => word !== null).length;
  const weight = (when, i, j) => unit * stored[when][stored.of[i]][stored.of[j]];
  return { words, count, weight };
}

// What a word gives to its copies, in a sentence.
export function reading({ words, count, weight }, [looking, seen]) {
  const [word, other] = [words[looking], words[seen]];
  if (word === null || other === null) return 'No word stands here in one of the two sentences.';
  const copies = words.filter(each => each === other).length;
  const share = when => `${fixed(100 * copies * weight(when, looking, seen), 0)} %`;
  const all = other === word ? `its own ${copies === 1 ? 'copy' : `${copies} copies`}` : `${copies === 1 ? 'the one' : `the ${copies}`} “${other}”`;
  return `“${word}” gives ${all} ${share('before')} of its attention before and ${share('after')} after; an even share is ${fixed((100 * copies) / count, 0)} %.`;
}

// One matrix: a pixel a cell, enlarged by the style.
function matrix(title, point) {
  const canvas = make('canvas', { 'aria-hidden': 'true' });
  const marker = make('div', { class: 'pg-marker', 'aria-hidden': 'true' });
  const frame = make('div', { class: 'pg-matrix mv-matrix', tabindex: 0, role: 'group', 'aria-label': `Attention ${title}: a row looks, a column is looked at; move with the arrow keys` }, canvas, marker);
  const words = make('div', { class: 'mv-words', 'aria-hidden': 'true' });
  let cell = [0, 0], count = 1;
  frame.addEventListener('keydown', event => {
    const by = ARROWS[event.key];
    if (!by) return;
    event.preventDefault();
    point(cell.map((at, i) => Math.min(Math.max(at + by[i], 0), count - 1)));
  });
  const touched = event => {
    const box = canvas.getBoundingClientRect();
    const index = (at, size) => Math.min(Math.max(Math.floor((count * at) / size), 0), count - 1);
    point([index(event.clientY - box.top, box.height), index(event.clientX - box.left, box.width)]);
  };
  frame.addEventListener('pointerdown', touched);
  frame.addEventListener('pointermove', touched);

  function draw(slot, when) {
    count = slot.words.length;
    canvas.width = count;
    canvas.height = count;
    const context = canvas.getContext('2d');
    const picture = context.createImageData(count, count);
    slot.words.forEach((word, i) => slot.words.forEach((other, j) => {
      if (word === null || other === null) return;
      picture.data.set([...colour(slot.count * slot.weight(when, i, j)), 255], 4 * (i * count + j));
    }));
    context.putImageData(picture, 0, 0);
    frame.style.setProperty('--count', count);
    words.replaceChildren(...slot.words.map(word => make('span', {}, word ?? '')));
  }
  function mark(next) {
    cell = next;
    marker.style.setProperty('--row', cell[0]);
    marker.style.setProperty('--column', cell[1]);
  }
  return { node: make('div', {}, make('p', { class: 'mv-title' }, title), row('mv-grid', words, frame)), draw, mark };
}

export function start(data) {
  let set = data.sets[0], stored = set.slots.find(each => each.words.includes(data.word)), cell = [0, 0];
  const sentence = row('mv-sentence');
  const read = make('p', { class: 'pg-readout', role: 'status', 'aria-live': 'polite' });
  const ends = make('p', { class: 'pg-readout' });
  const panels = WHEN.map(([when, title]) => ({ when, ...matrix(title, next => { cell = next; update(); }) }));
  const sets = choice('Ranks', data.sets.map(each => [each.key, each.title]), set.key, key => {
    set = data.sets.find(each => each.key === key);
    stored = set.slots.find(each => each.words.includes(data.word) && each.words.length > 1);
    cell = [0, 0];
    update();
  });

  // The sentence of the looking rank, a button for each word.
  function spell() {
    const buttons = set.slots.filter(each => each.of[cell[0]] !== null).map(each => {
      const chosen = each === stored;
      const act = () => { stored = each; update(); sentence.querySelector('[aria-pressed="true"]').focus(); };
      return make('button', { type: 'button', class: 'pg-button', 'aria-pressed': String(chosen), onclick: act }, each.words[each.of[cell[0]]]);
    });
    sentence.replaceChildren(...buttons);
  }

  function update() {
    if (stored.of[cell[0]] === null) cell = [stored.of.findIndex(place => place !== null), cell[1]];
    const slot = slotOf(stored, data.unit);
    spell();
    for (const panel of panels) {
      panel.draw(slot, panel.when);
      panel.mark(cell);
    }
    read.textContent = `${set.names[cell[0]]} → ${set.names[cell[1]]}: ${reading(slot, cell)}`;
    ends.textContent = `Rows look, columns are looked at, from ${set.names[0]} to ${set.names.at(-1)}.`;
  }

  const scale = row('pg-scale', `¼ of an even share or less`, make('i', { class: 'mv-scale' }), `4 times or more`);
  const node = row('mv', sets.element, make('p', { class: 'mv-title' }, 'Pick a word:'), sentence, row('pg-columns', ...panels.map(panel => panel.node)), ends, scale, read);
  if (intoFigure('attention', node, 'Who looks at whom')) update();
}
