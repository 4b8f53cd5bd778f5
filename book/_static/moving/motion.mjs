// Images and what stands for each rank move through the epochs of both stages on one fixed map, by a slider.

import { button, calm, fixed, make, row } from '../playground/dom.mjs';
import { drawing, intoFigure } from './figure.mjs';

const WIDE = 320;
const TWEEN = 450;   // milliseconds from one epoch to the next
const PAUSE = 250;   // and of rest there, while it plays
const DIAMOND = 'M0,-6.5L6.5,0L0,6.5L-6.5,0Z';

// What a frame is: the start, or an epoch of a stage.
export function moment({ epochs }, frame) {
  if (frame === 0) return 'start';
  const [first, second] = epochs;
  return frame <= first ? `stage 1, epoch ${frame} of ${first}` : `stage 2, epoch ${frame - first} of ${second}`;
}

// The places of a panel in a frame: those that do not move in a stage are stored once.
export function places(panel, frame) {
  const at = list => list[panel.frames[frame][list === panel.images ? 0 : 1]];
  return [...at(panel.images), ...at(panel.ranks)];
}

export const scores = ({ rho, error }, frame, unit) => `ρ = ${fixed(rho[frame] / 100)}, error ${fixed(error[frame] / 10, 1)} ${unit}`;

// One panel: a drawing with its title and scores; `draw(numbers)` takes x and y of each point in turn.
function map(data, panel) {
  const tall = Math.round((WIDE * data.box[1]) / data.box[0]);
  const svg = drawing('svg', { viewBox: `0 0 ${WIDE} ${tall}`, role: 'img' });
  const thread = drawing('path', { class: 'mv-thread' });
  const discs = data.labels.map(rank => drawing('circle', { class: 'mv-disc', r: 3.6, fill: data.colours[rank] }));
  const diamonds = data.colours.map(fill => drawing('path', { class: 'mv-diamond', d: DIAMOND, fill }));
  svg.append(...discs, thread, ...diamonds);

  const share = make('span', { class: 'mv-share' }, `${fixed(100 * panel.shows, 0)} % shown`);
  const said = make('p', { class: 'mv-scores' });
  const node = make('div', {}, make('p', { class: 'mv-title' }, panel.title, share), svg, said);
  const unit = WIDE / data.box[0];
  const point = (numbers, i) => `${(unit * numbers[2 * i]).toFixed(1)},${(tall - unit * numbers[2 * i + 1]).toFixed(1)}`;

  function draw(numbers) {
    const all = [...discs, ...diamonds];
    all.forEach((element, i) => element.setAttribute('transform', `translate(${point(numbers, i)})`));
    thread.setAttribute('d', `M${diamonds.map((_, k) => point(numbers, discs.length + k)).join('L')}`);
  }

  function say(frame) {
    said.textContent = scores(panel, frame, data.unit);
    svg.setAttribute('aria-label', `${panel.title} at ${moment(data, frame)}: ${said.textContent}`);
  }
  return { node, draw, say };
}

// The slider, its two stages below, and a button that plays.
function controls(data, change) {
  const last = data.epochs[0] + data.epochs[1];
  const output = make('output', { for: 'mv-epoch' });
  const input = make('input', { id: 'mv-epoch', type: 'range', min: 0, max: last, step: 1, value: 0 });
  const play = button('Play', () => (timer ? stop() : begin()), { class: 'pg-button pg-main' });
  const stages = data.epochs.map((count, i) => make('span', { style: `flex-grow: ${count}` }, `stage ${i + 1}: ${data.moves[i]}`));
  let timer = null;

  function show(frame) {
    input.value = frame;
    output.textContent = moment(data, frame);
    const heard = data.panels.map(panel => `${panel.title}: ${scores(panel, frame, data.unit)}`);
    input.setAttribute('aria-valuetext', [moment(data, frame), ...heard].join('; '));
    change(frame);
  }
  function stop() {
    clearTimeout(timer);
    timer = null;
    play.textContent = 'Play';
  }
  function step() {
    show(Number(input.value) + 1);
    if (Number(input.value) === last) stop();
    else timer = setTimeout(step, TWEEN + PAUSE);
  }
  function begin() {
    if (Number(input.value) === last) show(0);
    play.textContent = 'Pause';
    timer = setTimeout(step, PAUSE);
  }
  input.addEventListener('input', () => { stop(); show(Number(input.value)); });

  const label = make('label', { for: 'mv-epoch' }, 'Training: ', output);
  const field = make('div', { class: 'pg-field mv-slider' }, label, input, row('mv-stages', ...stages));
  return { node: row('pg-controls mv-controls', field, play), show };
}

export function start(data) {
  const panels = data.panels.map(panel => map(data, panel));
  let now = data.panels.map(panel => places(panel, 0));
  let request = null;

  const paint = numbers => panels.forEach((panel, i) => panel.draw(numbers[i]));
  function change(frame) {
    cancelAnimationFrame(request);
    panels.forEach(panel => panel.say(frame));
    const from = now;
    const to = data.panels.map(panel => places(panel, frame));
    const begun = performance.now();
    const glide = time => {
      const share = calm() ? 1 : Math.min(Math.max((time - begun) / TWEEN, 0), 1);
      const eased = share * share * (3 - 2 * share);
      now = from.map((numbers, i) => numbers.map((x, j) => x + eased * (to[i][j] - x)));
      paint(now);
      if (share < 1) request = requestAnimationFrame(glide);
    };
    glide(begun);
  }

  const key = row('mv-key', data.ends[0], ...data.colours.map(colour => make('i', { style: `background: ${colour}` })), data.ends[1]);
  const slider = controls(data, change);
  const node = row('mv', slider.node, row('mv-pair', ...panels.map(panel => panel.node)), key);
  paint(now);
  if (intoFigure('motion', node, 'Map of images and sentences through training')) slider.show(0);
}
