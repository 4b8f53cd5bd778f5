// The loss over the angle of the image, and what the model answers beside the weights of the loss.

import { measure, wrap } from './losses.mjs';
import { fixed } from './dom.mjs';

const WIDTH = 340, HEIGHT = 236, EDGE = { left: 38, right: 12, top: 10, bottom: 50 };

export function curve(d3, change) {
  const svg = d3.create('svg').attr('class', 'pg-curve').attr('viewBox', `0 0 ${WIDTH} ${HEIGHT}`).attr('role', 'img')
    .attr('aria-label', 'The loss over the angle of the image, with its pull and push parts and the present position');
  const [left, right, bottom] = [EDGE.left, WIDTH - EDGE.right, HEIGHT - EDGE.bottom];
  const x = d3.scaleLinear([-180, 180], [left, right]);
  const y = d3.scaleLinear([0, 1], [bottom, EDGE.top]);
  const yAxis = svg.append('g').attr('class', 'pg-axis').attr('transform', `translate(${left},0)`);
  svg.append('g').attr('class', 'pg-axis').attr('transform', `translate(0,${bottom})`)
    .call(d3.axisBottom(x).tickValues([-180, -90, 0, 90, 180]).tickFormat(d => `${fixed(d, 0)}°`).tickSize(0).tickPadding(16));
  svg.append('text').attr('class', 'pg-faint').attr('x', right).attr('y', HEIGHT - 4).attr('text-anchor', 'end').text('angle of the image');
  const zero = svg.append('line').attr('class', 'pg-rim').attr('x1', left).attr('x2', right);
  const paths = svg.append('g'), rests = svg.append('g'), below = svg.append('g');
  const here = svg.append('line').attr('class', 'pg-here');
  const square = svg.append('rect').attr('class', 'pg-square').attr('width', 14).attr('height', 14).attr('rx', 3);
  const angle = px => wrap(Math.round(10 * Math.min(Math.max(x.invert(px), -180), 180)) / 10);
  svg.append('rect').attr('class', 'pg-catch').attr('x', left).attr('y', EDGE.top).attr('width', right - left).attr('height', bottom - EDGE.top)
    .call(d3.drag().container(svg.node()).subject(event => ({ x: event.x, y: event.y }))
      .on('start drag', event => change({ image: angle(event.x) })));

  function draw(state, { colours, sum }) {
    const rows = d3.range(-180, 180.1, 1).map(degree => ({ degree, ...measure(state, degree).sum }));
    y.domain(d3.extent(rows.flatMap(row => [row.loss, row.pull, row.push]))).nice(5);
    yAxis.call(d3.axisLeft(y).ticks(5).tickSize(0).tickPadding(8)).select('.domain').remove();
    zero.attr('y1', y(0)).attr('y2', y(0));
    paths.selectAll('path').data(['pull', 'push', 'loss']).join('path').attr('class', name => `pg-line pg-${name}`)
      .attr('d', name => d3.line(row => x(row.degree), row => y(row[name]))(rows));
    const around = rows.slice(0, -1); // −180° and 180° are one place
    const lowest = (row, i) => row.loss < around.at(i - 1).loss && row.loss <= around[(i + 1) % around.length].loss;
    rests.selectAll('circle').data(around.filter(lowest)).join('circle').attr('class', 'pg-rest').attr('r', 5)
      .attr('cx', row => x(row.degree)).attr('cy', row => y(row.loss));
    below.selectAll('circle').data(state.texts).join('circle').attr('r', 5.5).attr('cx', x).attr('cy', bottom + 9)
      .attr('class', (_, k) => `pg-dot${k === state.own ? ' pg-own' : ''}`).attr('fill', (_, k) => colours[k]);
    const [px, py] = [x(state.image), y(sum.loss)];
    here.attr('x1', px).attr('x2', px).attr('y1', py).attr('y2', bottom);
    square.attr('x', px - 7).attr('y', py - 7);
  }

  return { node: svg.node(), draw };
}

export function bars(d3) {
  const svg = d3.create('svg').attr('class', 'pg-bars').attr('viewBox', '0 0 340 132').attr('role', 'img');
  svg.append('text').attr('class', 'pg-faint').attr('y', 73).text('rank');

  function draw(state, { colours, weights, said }) {
    const ranks = d3.range(state.texts.length);
    const x = d3.scaleBand(ranks, [70, 340]).paddingInner(0.25);
    const rows = [
      { name: 'answer p', values: said.probabilities, top: 0, tall: 50, opacity: 1 },
      { name: 'weight ω', values: weights, top: 88, tall: 40, opacity: 0.45 },
    ];
    const group = svg.selectAll('g.pg-row').data(rows).join('g').attr('class', 'pg-row').attr('transform', row => `translate(0,${row.top})`);
    group.selectAll('text.pg-rowname').data(row => [row]).join('text').attr('class', 'pg-rowname pg-faint').attr('y', row => row.tall + 4).text(row => row.name);
    const bar = group.selectAll('g').data(row => row.values.map((value, k) => ({ ...row, value, k, high: Math.max(1.5, value * (row.tall - 14)) })))
      .join(enter => {
        const each = enter.append('g');
        each.append('rect').attr('rx', 2);
        each.append('text').attr('class', 'pg-faint').attr('text-anchor', 'middle');
        return each;
      });
    bar.attr('transform', d => `translate(${x(d.k)},0)`).attr('class', d => (d.k === state.own ? 'pg-ownbar' : ''));
    bar.select('rect').attr('width', x.bandwidth()).attr('height', d => d.high).attr('y', d => 6 + d.tall - d.high)
      .attr('fill', d => colours[d.k]).attr('fill-opacity', d => d.opacity);
    bar.select('text').attr('x', x.bandwidth() / 2).attr('y', d => 2 + d.tall - d.high).text(d => fixed(d.value));
    svg.selectAll('text.pg-name').data(ranks).join('text').attr('class', k => `pg-name pg-faint${k === state.own ? ' pg-strong' : ''}`)
      .attr('text-anchor', 'middle').attr('x', k => x(k) + x.bandwidth() / 2).attr('y', 73).text(k => k);
    const list = values => values.map((value, k) => `rank ${k} ${fixed(value)}`).join(', ');
    svg.attr('aria-label', `Probability of each rank: ${list(said.probabilities)}. Weight of each rank: ${list(weights)}.`);
  }

  return { node: svg.node(), draw };
}
