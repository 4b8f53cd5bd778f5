// What moves takes the place of a figure's picture on the screen; the picture stays for print.

import { make } from '../playground/dom.mjs';

// An element of SVG.
export function drawing(tag, attributes = {}) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Puts a node before the caption of a figure; false if the page has no such figure.
export function intoFigure(id, node, label) {
  const figure = document.getElementById(id);
  if (figure === null) return false;
  figure.classList.add('mv-figure');
  figure.insertBefore(make('div', { class: 'pg', role: 'region', 'aria-label': label }, node), figure.querySelector('figcaption'));
  document.documentElement.classList.add('pg-on');
  return true;
}
