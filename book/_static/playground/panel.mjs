// One order of the sentences: the matrix of their cosines, and the path through them on two principal components.

import { fixed, make, rankColours } from './dom.mjs';

const WIDE = 340;
const ARROWS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

// Names beside their points, to the right, left, below or above; a name that finds no free place is left out.
function placed(names, xs, ys, order) {
  const taken = [];
  for (const i of order) {
    const half = 3.6 * names[i].length; // of its width, about
    const places = [[half + 11, 0, 'start'], [-half - 11, 0, 'end'], [0, 17, 'middle'], [0, -17, 'middle']]
      .map(([dx, dy, anchor]) => ({ name: names[i], x: xs[i] + dx, y: ys[i] + dy, half, anchor, at: xs[i] + Math.sign(dx) * 11 }));
    const free = place => place.x - half > 0 && place.x + half < WIDE
      && taken.every(other => Math.abs(other.x - place.x) > other.half + half || Math.abs(other.y - place.y) > 14)
      && (names.length > 13 || xs.every((x, j) => j === i || Math.abs(x - place.x) > half + 6 || Math.abs(ys[j] - place.y) > 11));
    const place = places.find(free);
    if (place) taken.push(place);
  }
  return taken;
}

// point(cell) is called with [row, column] of the cell that the reader points at; `read` after a key.
export function panel(d3, title, { point, read }) {
  let view = { names: [], order: [] };
  let cell = [0, 1];
  const canvas = make('canvas', { 'aria-hidden': 'true' });
  const marker = make('div', { class: 'pg-marker', 'aria-hidden': 'true' });
  const label = `Cosines between the sentences, ${title}; read cells with the arrow keys`;
  const frame = make('div', { class: 'pg-matrix', tabindex: 0, role: 'group', 'aria-label': label }, canvas, marker);
  const ends = [make('span'), make('span')];
  const svg = d3.create('svg').attr('class', 'pg-path').attr('viewBox', `0 0 ${WIDE} 250`).attr('role', 'img');

  frame.addEventListener('keydown', event => {
    const by = ARROWS[event.key];
    if (!by) return;
    event.preventDefault();
    point(cell.map((at, i) => Math.min(Math.max(at + (event.shiftKey ? 10 : 1) * by[i], 0), view.names.length - 1)));
    read();
  });
  const touched = event => {
    const box = canvas.getBoundingClientRect(), count = view.names.length;
    const index = (at, size) => Math.min(Math.max(Math.floor((count * at) / size), 0), count - 1);
    point([index(event.clientY - box.top, box.height), index(event.clientX - box.left, box.width)]);
  };
  frame.addEventListener('pointermove', touched);
  frame.addEventListener('pointerdown', touched);

  function drawMatrix({ names, order, cosines }) {
    const count = names.length;
    canvas.width = canvas.height = count; // a pixel a cell, enlarged by the style
    const context = canvas.getContext('2d');
    const picture = context.createImageData(count, count);
    order.forEach((first, i) => order.forEach((second, j) => {
      const { r, g, b } = d3.rgb(d3.interpolateRdBu((1 - cosines[first][second]) / 2));
      picture.data.set([r, g, b, 255], 4 * (i * count + j));
    }));
    context.putImageData(picture, 0, 0);
    [0, count - 1].forEach((at, i) => { ends[i].textContent = names[order[at]]; });
    frame.style.setProperty('--count', count);
  }

  function drawPath({ names, order, points }) {
    const count = names.length, colours = rankColours(d3, count);
    const wide = d3.extent(points.x), tall = d3.extent(points.y);
    const unit = Math.min(250 / (wide[1] - wide[0]), 180 / (tall[1] - tall[0])); // one for both: distances are true
    const x = k => WIDE / 2 + unit * (points.x[k] - (wide[0] + wide[1]) / 2);
    const y = k => 118 - unit * (points.y[k] - (tall[0] + tall[1]) / 2);
    const share = `${fixed(100 * (points.shares[0] + points.shares[1]), 0)} % of the variance`;
    svg.attr('aria-label', `The sentences on their first two principal components, ${share}, joined ${title}`);
    svg.selectAll('path').data([order]).join('path').attr('class', 'pg-thread').attr('d', d3.line(x, y));
    svg.selectAll('circle').data(order).join('circle').attr('class', 'pg-point').attr('r', count > 20 ? 4.5 : 7)
      .attr('cx', x).attr('cy', y).attr('fill', (_, i) => colours[i]);
    const named = count > 13 ? [0, count - 1] : [0, count - 1, ...d3.range(1, count - 1)];
    svg.selectAll('text.pg-label').data(placed(order.map(k => names[k]), order.map(x), order.map(y), named)).join('text').attr('class', 'pg-label')
      .attr('text-anchor', place => place.anchor).attr('x', place => place.at).attr('y', place => place.y + 4.5).text(place => place.name);
    svg.selectAll('text.pg-share').data([share]).join('text').attr('class', 'pg-share pg-faint').attr('x', 4).attr('y', 244)
      .text(text => `first two components: ${text}`);
  }

  function draw(next) {
    view = next;
    drawMatrix(view);
    drawPath(view);
  }

  // Frames the cell, lights its two sentences on the path, and says what they are.
  function mark(next) {
    cell = next;
    const [first, second] = cell.map(at => view.order[at]);
    marker.style.setProperty('--row', cell[0]);
    marker.style.setProperty('--column', cell[1]);
    svg.selectAll('circle').classed('pg-lit', k => k === first || k === second);
    return `${title}: ${view.names[first]} · ${view.names[second]}, cosine ${fixed(view.cosines[first][second])}`;
  }

  const node = make('figure', {}, make('figcaption', {}, title), frame, make('p', { class: 'pg-ends' }, ...ends), svg.node());
  return { node, draw, mark };
}
