// Starts the parts of the playground that a page has a place for. _ext/playground.py joins the modules and the data to one script.

import { calm } from './dom.mjs';
import { lossPart } from './loss_part.mjs';
import { wordsPart } from './words_part.mjs';

export function start(data) {
  const { d3 } = globalThis;
  const places = { loss: document.getElementById('playground-loss'), words: document.getElementById('playground-words') };
  const parts = {};
  if (places.loss) parts.loss = lossPart(d3, places.loss);
  if (places.words) parts.words = wordsPart(d3, places.words, data);
  document.documentElement.classList.add('pg-on');
  for (const button of document.querySelectorAll('.pg-try')) {
    button.addEventListener('click', () => {
      const { part } = button.dataset;
      parts[part].set(button.dataset.state);
      places[part].scrollIntoView({ behavior: calm() ? 'auto' : 'smooth', block: 'start' });
      parts[part].focus();
    });
  }
}
