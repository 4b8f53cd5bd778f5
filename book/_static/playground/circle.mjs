// The circle: an image and K texts that can be moved, who pulls and who pushes, and the forces along it.

import { wrap } from './losses.mjs';
import { degrees, fixed, inkOn } from './dom.mjs';

const RADIUS = 106;
const at = (angle, radius = RADIUS) => [radius * Math.sin((angle * Math.PI) / 180), -radius * Math.cos((angle * Math.PI) / 180)];
const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

// change(part) is called with what the reader moved: { image }, { texts } or { own }.
export function circle(d3, change) {
  let state;
  const svg = d3.create('svg').attr('class', 'pg-circle').attr('viewBox', '-170 -164 340 328').attr('role', 'group')
    .attr('aria-label', 'Unit circle with one image feature and the text features of the ranks');
  scale();
  const chords = svg.append('g').attr('aria-hidden', 'true');
  const arrows = svg.append('g').attr('aria-hidden', 'true');
  const texts = svg.append('g');
  const image = svg.append('g').attr('class', 'pg-handle pg-image');
  image.append('circle').attr('class', 'pg-halo').attr('r', 22);
  image.append('rect').attr('class', 'pg-square').attr('x', -16).attr('y', -16).attr('width', 32).attr('height', 32).attr('rx', 6);
  image.append('text').attr('class', 'pg-z').attr('y', 27).attr('dy', '0.35em').attr('text-anchor', 'middle').text('z');
  movable(image, () => state.image, angle => ({ image: angle }), { Home: () => ({ image: state.texts[state.own] }) });

  function scale() {
    svg.append('circle').attr('r', RADIUS).attr('class', 'pg-rim');
    const ticks = svg.append('g').attr('aria-hidden', 'true');
    for (const [text, angle, anchor] of [['0°', 0, 'middle'], ['90°', 90, 'end'], ['±180°', 180, 'middle'], ['−90°', -90, 'start']]) {
      const [x, y] = at(angle, RADIUS - 22), [x1, y1] = at(angle, RADIUS - 6), [x2, y2] = at(angle);
      ticks.append('line').attr('class', 'pg-rim').attr('x1', x1).attr('y1', y1).attr('x2', x2).attr('y2', y2);
      ticks.append('text').attr('class', 'pg-faint').attr('x', x).attr('y', y).attr('dy', '0.35em').attr('text-anchor', anchor).text(text);
    }
  }

  // One thing that moves along the circle by mouse, touch and keyboard. keys: what other keys change.
  function movable(group, angle, moved, keys) {
    const move = value => change(moved(wrap(value)));
    const drag = d3.drag().container(svg.node()).subject(event => ({ x: event.x, y: event.y }))
      .on('drag', event => move(Math.round((10 * 180 * Math.atan2(event.x, -event.y)) / Math.PI) / 10));
    group.attr('tabindex', 0).attr('role', 'slider').attr('aria-valuemin', -180).attr('aria-valuemax', 180).call(drag)
      .on('keydown', event => {
        if (STEPS[event.key]) move(angle() + STEPS[event.key] * (event.shiftKey ? 10 : 1));
        else if (keys[event.key]) change(keys[event.key]());
        else return;
        event.preventDefault();
      });
  }

  function read(group, name, angle) {
    group.attr('aria-label', name).attr('aria-valuenow', Math.round(10 * angle) / 10).attr('aria-valuetext', degrees(angle));
  }

  function addText(enter) {
    const group = enter.append('g').attr('class', 'pg-handle pg-text');
    group.append('circle').attr('class', 'pg-halo').attr('r', 19);
    group.append('circle').attr('class', 'pg-dot').attr('r', 13);
    group.append('text').attr('dy', '0.35em').attr('text-anchor', 'middle');
    group.append('title');
    group.each(function attach(k) {
      const moved = angle => ({ texts: state.texts.map((text, i) => (i === k ? angle : text)) });
      movable(d3.select(this), () => state.texts[k], moved, { Enter: () => ({ own: k }) });
      d3.select(this).on('dblclick', () => change({ own: k }));
    });
    return group;
  }

  function drawTexts(colours, weights) {
    const groups = texts.selectAll('g').data(d3.range(state.texts.length)).join(addText);
    groups.attr('transform', k => `translate(${at(state.texts[k])})`).classed('pg-own', k => k === state.own);
    groups.select('.pg-dot').attr('fill', k => colours[k]);
    groups.select('text').style('fill', k => inkOn(d3, colours[k])).text(k => k);
    groups.select('title').text(k => `rank ${k}: ω = ${fixed(weights[k])}`);
    groups.each(function say(k) {
      read(d3.select(this), `text of rank ${k}${k === state.own ? ', the own rank' : ''}`, state.texts[k]);
    });
  }

  // Straight lines: who pulls and who pushes, thicker with the force along the circle.
  function drawChords(found) {
    const rows = [...found.push.map((force, k) => ['push', Math.abs(force), k]), ['pull', Math.abs(found.pull), state.own]];
    const most = Math.max(d3.max(rows, row => row[1]), 1e-9);
    const [x, y] = at(state.image);
    chords.selectAll('line').data(rows).join('line').attr('class', ([name]) => `pg-chord pg-${name}`)
      .attr('x1', ([, , k]) => at(state.texts[k])[0]).attr('y1', ([, , k]) => at(state.texts[k])[1]).attr('x2', x).attr('y2', y)
      .attr('stroke-width', ([, force]) => 6 * Math.sqrt(force / most))
      .attr('visibility', ([, force]) => (force / most < 0.01 ? 'hidden' : 'visible'));
  }

  // Arcs outside the circle, from the image in the direction of each force; they grow with it, to 80° at most.
  function drawForces(found) {
    const half = state.loss === 'ordinal' ? 0.6 : 0.6 + state.scale / 6; // the force whose arc has 40°
    const rows = [['pull', found.pull, 130], ['push', found.pushed, 141], ['net', found.net, 153]]
      .map(([name, force, radius]) => ({ name, radius, span: (80 * force) / (Math.abs(force) + half) }))
      .filter(row => Math.abs(row.span) > 0.7);
    const marks = arrows.selectAll('g').data(rows, row => row.name).join(enter => {
      const group = enter.append('g').attr('class', row => `pg-force pg-${row.name}`);
      group.append('path').attr('class', 'pg-arc');
      group.append('path').attr('class', 'pg-tip').attr('d', 'M0,-5L9,0L0,5Z');
      group.append('text').attr('text-anchor', 'middle').attr('dy', '0.35em').text(row => row.name);
      return group;
    });
    const end = row => state.image + row.span;
    marks.select('.pg-arc').attr('d', row => {
      const arc = `A${row.radius},${row.radius} 0 0 ${row.span > 0 ? 1 : 0}`;
      return `M${at(state.image, row.radius)}${arc} ${at(end(row), row.radius)}`;
    });
    const turn = row => end(row) + (row.span > 0 ? 0 : 180);
    marks.select('.pg-tip').attr('transform', row => `translate(${at(end(row), row.radius)}) rotate(${turn(row)})`);
    marks.select('text').attr('transform', row => `translate(${at(end(row) + Math.sign(row.span) * 14, row.radius)})`);
  }

  function draw(next, { colours, weights, found }) {
    state = next;
    drawTexts(colours, weights);
    image.attr('transform', `translate(${at(state.image)}) rotate(${state.image})`);
    image.select('.pg-z').attr('transform', `rotate(${-state.image},0,27)`);
    read(image, 'image z', state.image);
    drawChords(found);
    drawForces(found);
  }

  return { node: svg.node(), draw };
}
