// The second half of the playground: what a language model knows of the order of some ranks.

import { centre, components, scorer, shuffle, unfold } from './ordinality.mjs';
import { wordsScript } from './state.mjs';
import { announcer, button, choice, fixed, make, menu, row, script } from './dom.mjs';
import { panel } from './panel.mjs';

const ORDERS = 200; // random orders that the true one is held against
const BARE = '{rank}';
const SCORES = [
  { name: 'gap', domain: [-1, 1], meaning: 'Spearman between rank gap and distance' },
  { name: 'triplets', domain: [0, 1], meaning: 'share of triples whose ends lie farthest apart' },
  { name: 'component', domain: [0, 1], meaning: '|Spearman| between first principal component and rank' },
];

// A score of the true order, of the shuffled one, and of many random ones, on one line.
function strip(d3, { name, domain, meaning }) {
  const text = make('p', { class: 'pg-score' });
  const svg = d3.create('svg').attr('class', 'pg-strip').attr('viewBox', '0 0 340 44').attr('aria-hidden', 'true');
  const x = d3.scaleLinear(domain, [12, 328]);
  svg.append('g').attr('class', 'pg-axis').attr('transform', 'translate(0,26)').call(d3.axisBottom(x).ticks(5).tickSize(5).tickPadding(2));
  const draw = ({ inOrder, shuffled, cloud }) => {
    const [value, other] = [inOrder[name], shuffled[name]];
    const equal = cloud.filter(score => score[name] >= value - 1e-9).length;
    text.replaceChildren(make('strong', {}, name), ` ${meaning}: `, make('b', { class: 'pg-inorder' }, `${fixed(value)} in order`), ', ',
      make('b', { class: 'pg-mixed' }, `${fixed(other)} shuffled`), cloud.length < ORDERS ? '' : `; ${equal} of ${ORDERS} random orders do as well`);
    svg.selectAll('circle').data(cloud).join('circle').attr('class', 'pg-random').attr('r', 3.2)
      .attr('cx', score => x(score[name])).attr('cy', (_, i) => 7 + ((i * 7) % 13));
    const signs = [['pg-mixed', other, d3.symbolTriangle, 180], ['pg-inorder', value, d3.symbolDiamond, 0]];
    svg.selectAll('path.pg-sign').data(signs).join('path').attr('class', ([sign]) => `pg-sign ${sign}`).attr('d', ([, , shape]) => d3.symbol(shape, 130)())
      .attr('transform', ([, at, , turn]) => `translate(${x(at)},13) rotate(${turn})`).raise();
  };
  return { nodes: [text, svg.node()], draw };
}

export function wordsPart(d3, element, data) {
  const state = { set: 0, template: 0, centred: true, other: 0, cell: [0, 1] };
  const voice = announcer();
  const chosen = () => data.sets[state.set];
  const template = () => chosen().templates[state.template];
  let now = null; // what follows from set, template and centring
  let waiting = 0;

  const titles = data.sets.map((each, i) => [String(i), `${each.title} (${each.names.length})`]);
  const sets = menu('Ranks', titles, '0', value => change({ set: Number(value), template: 0, other: 0, cell: [0, 1] }));
  const templates = menu('Template', [], '0', value => change({ template: Number(value) }));
  const kinds = [[true, 'centred', 'the mean over the ranks is taken away, as the package does'], [false, 'raw', 'as the text tower gives them']];
  const centred = choice('Features', kinds, true, value => change({ centred: value }));
  const again = button('Shuffle again', () => change({ other: state.other + 1 }));
  const python = script(() => wordsScript(chosen().names, template().template, state.centred), voice.say);
  const sentence = make('p', { class: 'pg-sentence' });
  const readout = make('p', { class: 'pg-readout' });
  const pointing = { point, read: () => voice.say(readout.textContent) };
  const panels = [panel(d3, 'in order', pointing), panel(d3, 'shuffled control', pointing)];
  const strips = SCORES.map(score => strip(d3, score));

  function change(part) {
    Object.assign(state, part);
    const { names, shuffled } = chosen();
    if (!now || !('other' in part) || 'set' in part) {
      const raw = unfold(template().cosines, names.length, data.unit);
      const cosines = state.centred ? centre(raw) : raw;
      const score = scorer(cosines);
      now = { cosines, score, points: components(cosines), inOrder: score(), cloud: [] };
      clearTimeout(waiting);
      waiting = setTimeout(gather, 0, now);
    }
    now.order = state.other ? shuffle(names.length, 1000 + state.other) : shuffled;
    now.shuffled = now.score(now.order);
    draw();
  }

  // The scores of the random orders, a few at a time, so that the page stays quick.
  function gather(mine) {
    if (mine !== now) return;
    const until = performance.now() + 25;
    while (mine.cloud.length < ORDERS && performance.now() < until) mine.cloud.push(mine.score(shuffle(chosen().names.length, mine.cloud.length)));
    if (mine.cloud.length < ORDERS) waiting = setTimeout(gather, 0, mine);
    else strips.forEach(each => each.draw(now));
  }

  function point(cell) {
    state.cell = cell;
    readout.textContent = `Places ${cell.join(' and ')} — ${panels.map(each => each.mark(cell)).join(' — ')}`;
  }

  function draw() {
    const { names, title, remark } = chosen();
    const spoken = text => (text === BARE ? `${BARE} (the bare name)` : text);
    const example = name => make('q', {}, ...template().template.split(BARE).flatMap((text, i) => (i ? [make('b', {}, name), text] : [text])));
    sets.set(String(state.set));
    templates.fill(chosen().templates.map((each, i) => [String(i), spoken(each.template)]), String(state.template));
    centred.set(state.centred);
    sentence.replaceChildren(`${remark} `, example(names[0]), ' … ', example(names.at(-1)));
    panels.forEach((each, i) => each.draw({ ...now, names, order: i ? now.order : d3.range(names.length) }));
    point(state.cell);
    strips.forEach(each => each.draw(now));
    python.update();
    const scores = SCORES.map(({ name }) => `${name} ${fixed(now.inOrder[name])}, shuffled ${fixed(now.shuffled[name])}`);
    voice.say(`${title}, ${template().template}. ${scores.join('; ')}.`);
  }

  function set(text) {
    const given = new URLSearchParams(text);
    const index = Math.max(data.sets.findIndex(each => each.key === given.get('set')), 0);
    const wanted = Math.round(Number(given.get('template')) || 0);
    const last = data.sets[index].templates.length - 1;
    const features = given.get('features') !== 'raw';
    change({ set: index, template: Math.min(Math.max(wanted, 0), last), centred: features, other: 0, cell: [0, 1] });
  }

  element.append(
    row('pg-controls', sets.element, templates.element, centred.element), sentence,
    make('div', { class: 'pg-scale', 'aria-hidden': 'true' }, make('span', {}, 'cosine −1'), make('i'), make('span', {}, '1')),
    row('pg-columns pg-pair', ...panels.map(each => each.node)), readout,
    row('pg-scores', ...strips.flatMap(each => each.nodes)),
    make('p', { class: 'pg-key' }, make('span', { class: 'pg-inorder' }, 'the true order'), make('span', { class: 'pg-mixed' }, 'the shuffled control shown'),
      make('span', { class: 'pg-randoms' }, `${ORDERS} random orders`)),
    row('pg-actions', again, python.button), python.element, voice.element);
  set(location.search);
  return { set, focus: () => again.focus({ preventScroll: true }) };
}
