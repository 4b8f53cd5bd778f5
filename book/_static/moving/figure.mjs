// What moves takes the place of a figure's picture on the screen; the picture stays for print.

import { make } from '../playground/dom.mjs';

// An element of SVG.
export function drawing(tag, attributes = {}) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Puts a node in the place of the figure of a tagged cell; false if the page has no such cell.
export function intoFigure(tag, node, label) {
  const figure = document.querySelector(`.tag_${tag} .cell_output`);
  if (figure === null) return false;
  figure.classList.add('mv-figure');
  figure.append(make('div', { class: 'pg', role: 'region', 'aria-label': label }, node));
  document.documentElement.classList.add('pg-on');
  return true;
}
