// The first half of the playground: settings, the circle, the curve, numbers and buttons.

import { answer, forces, measure, rankWeights, slide, step } from './losses.mjs';
import { ARRANGEMENTS, LIMITS, format, initial, lossScript, parse } from './state.mjs';
import { announcer, button, calm, choice, copied, degrees, fixed, make, menu, rankColours, row, script, slider } from './dom.mjs';
import { circle } from './circle.mjs';
import { bars, curve } from './curve.mjs';

const HELP = 'Drag the square image, a round text, or along the curve. With the keyboard: Tab, then arrow keys (with Shift ten '
  + 'degrees); Home brings the image onto its own text, Enter makes a text the own rank.';
const PARTS = ['pull', 'push', 'loss'];
const arranged = texts => Object.keys(ARRANGEMENTS).find(key => String(ARRANGEMENTS[key].angles(texts.length)) === String(texts)) ?? '';
const rankOptions = count => Array.from({ length: count }, (_, k) => [String(k), `rank ${k}`]);

// Everything that can be set beside the circle; change(part) takes what was set.
function settings(change, now) {
  const { ordinal, ce, both } = {
    ordinal: ['ordinal', 'ordinal', 'the ordinal pairwise loss of stage 2'],
    ce: ['ce', 'cross-entropy', 'over the ranks, with scale s'],
    both: ['both', 'both', 'stage 2: cross-entropy plus λ times the ordinal pairwise loss'],
  };
  const orders = [['true', 'true', 'by rank distance'], ['blind', 'blind', 'all 1'], ['shuffled', 'shuffled', 'those of other ranks']];
  const powers = [[1, 'd', 'the distance, as released'], [2, 'd²', 'its square, as derived from cross-entropy']];
  const norms = [['batch', 'batch', 'by the largest gap from the own rank: a batch of one image'], ['global', 'global', 'by the largest gap there is']];
  const counts = Array.from({ length: LIMITS.ranks[1] - LIMITS.ranks[0] + 1 }, (_, i) => String(i + LIMITS.ranks[0]));
  const places = [['', 'as dragged'], ...Object.entries(ARRANGEMENTS).map(([key, { title }]) => [key, title])];
  const arrange = (key, count) => ({ texts: ARRANGEMENTS[key || 'fan'].angles(count), own: Math.min(now().own, count - 1) });
  const logarithmic = { to: x => Math.round(100 ** x * 10) / 10, from: x => Math.log(x) / Math.log(100), show: x => fixed(x, x < 10 ? 1 : 0) };
  const linear = { to: x => Math.round(10 * LIMITS.lambda[1] * x) / 10, from: x => x / LIMITS.lambda[1], show: x => fixed(x, 1) };
  return {
    loss: choice('Loss', [ordinal, ce, both], 'ordinal', loss => change({ loss })),
    order: choice('Weights ω', orders, 'true', order => change({ order })),
    own: menu('Own rank', rankOptions(5), '1', own => change({ own: Number(own) })),
    ranks: menu('Ranks K', counts.map(count => [count, count]), '5', count => change(arrange(arranged(now().texts), Number(count)))),
    texts: menu('Texts', places, 'fan', key => { if (key) change(arrange(key, now().texts.length)); }),
    power: choice('Push', powers, 1, power => change({ power })),
    normalise: choice('ω divided by', norms, 'batch', normalise => change({ normalise })),
    lambda: slider('λ', linear, 1, lambda => change({ lambda })),
    scale: slider('Scale s', logarithmic, 20, scale => change({ scale })),
  };
}

function numbers() {
  const rows = { ce: 'cross-entropy', ordinal: 'ordinal', sum: 'in use' };
  const cells = Object.fromEntries(Object.keys(rows).map(name => [name, PARTS.map(() => make('td'))]));
  const head = make('tr', {}, make('td'), ...PARTS.map(part => make('th', { scope: 'col', class: `pg-${part}` }, part)));
  const body = Object.entries(rows).map(([name, title]) => make('tr', { class: `pg-row-${name}` }, make('th', { scope: 'row' }, title), ...cells[name]));
  const draw = measured => Object.entries(measured).forEach(([name, values]) => {
    PARTS.forEach((part, i) => { cells[name][i].textContent = fixed(values[part], 3); });
  });
  return { node: make('table', { class: 'pg-table' }, make('thead', {}, head), make('tbody', {}, ...body)), draw };
}

export function lossPart(d3, element) {
  let state = initial();
  let frame = 0; // of the animation; 0: nothing slides
  const voice = announcer();
  const set = settings(change, () => state);
  const drawings = [circle(d3, change), curve(d3, change), bars(d3)];
  const table = numbers();
  const verdict = make('p', { class: 'pg-verdict' });
  const go = button('Slide to rest', () => (frame ? stop() : run()), { class: 'pg-button pg-main' });
  const one = button('One step', () => {
    const image = step(state);
    if (image === null) { stop(); voice.say('At rest: no step lowers the loss.'); } else change({ image });
  });
  const reset = button('Reset', () => begin(initial()));
  const python = script(() => lossScript(state), voice.say);
  const link = button('Copy link', async () => {
    const address = `${location.href.split(/[?#]/)[0]}?${format(state)}`;
    const done = await copied(address);
    if (!done) history.replaceState(null, '', address);
    voice.say(done ? 'A link to this state was copied.' : 'The address bar now holds a link to this state.');
    link.textContent = done ? 'Copied' : 'See the address bar';
    setTimeout(() => { link.textContent = 'Copy link'; }, 1800);
  });

  function change(part) {
    stop();
    Object.assign(state, part);
    draw();
  }

  function begin(next) {
    stop();
    state = next;
    for (const name of ['loss', 'order', 'power', 'normalise', 'scale', 'lambda']) set[name].set(state[name]);
    draw();
  }

  function stop() {
    cancelAnimationFrame(frame);
    frame = 0;
    go.textContent = 'Slide to rest';
  }

  function run() {
    const path = slide(state);
    if (calm()) { change({ image: path.at(-1) }); return; }
    const stride = Math.max(1, Math.ceil(path.length / 150)); // at most two and a half seconds
    let i = 0;
    go.textContent = 'Stop';
    const next = () => {
      i = Math.min(i + stride, path.length - 1);
      state.image = path[i];
      draw();
      if (i < path.length - 1) frame = requestAnimationFrame(next);
      else stop();
    };
    frame = requestAnimationFrame(next);
  }

  function draw() {
    const count = state.texts.length;
    const measured = measure(state);
    const view = {
      colours: rankColours(d3, count), weights: rankWeights([state.own], d3.range(count), state)[0],
      found: forces(state), said: answer(state), sum: measured.sum,
    };
    set.own.fill(rankOptions(count), String(state.own));
    set.ranks.set(String(count));
    set.texts.set(arranged(state.texts));
    for (const name of ['order', 'power', 'normalise']) set[name].element.disabled = state.loss === 'ce';
    set.lambda.input.disabled = state.loss !== 'both';
    element.dataset.loss = state.loss;
    drawings.forEach(drawing => drawing.draw(state, view));
    table.draw(measured);
    python.update();
    tell(view);
  }

  function tell({ found, said, sum }) {
    const right = said.rank === state.own;
    const direction = found.net > 0 ? 'clockwise' : 'counter-clockwise';
    const pushed = Math.abs(found.net) < 1e-3 ? 'no net force: at rest' : `net force ${fixed(Math.abs(found.net))} ${direction}`;
    verdict.className = `pg-verdict ${right ? 'pg-right' : 'pg-wrong'}`;
    verdict.replaceChildren(make('strong', {}, `Answer: rank ${said.rank}, ${right ? 'the own rank' : `not ${state.own}`}`), ` · ${pushed}`);
    const parts = PARTS.map(part => `${part} ${fixed(sum[part], 3)}`).join(', ');
    voice.say(`Image at ${degrees(state.image)}: ${parts}. Answer rank ${said.rank}, own rank ${state.own}; ${pushed}.`);
  }

  const [around, over, answers] = drawings.map(drawing => drawing.node);
  const key = make('p', { class: 'pg-key' }, make('span', { class: 'pg-pull' }, 'pull'), make('span', { class: 'pg-push' }, 'push'),
    make('span', { class: 'pg-loss' }, 'their sum, the loss'), make('span', { class: 'pg-rests' }, 'where it can rest'));
  const elements = names => names.map(name => set[name].element);
  element.append(
    row('pg-controls', ...elements(['loss', 'order', 'own'])),
    row('pg-columns',
      row('', around, verdict, row('pg-actions', go, one, reset), answers),
      row('', over, key, table.node, make('p', { class: 'pg-hint' }, HELP))),
    row('pg-controls pg-more', ...elements(['ranks', 'texts', 'power', 'normalise', 'lambda', 'scale'])),
    row('pg-actions', python.button, link), python.element, voice.element);
  begin(parse(location.search));
  return { set: text => begin(parse(text)), focus: () => go.focus({ preventScroll: true }) };
}
