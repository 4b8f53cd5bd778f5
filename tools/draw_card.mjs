// node tools/draw_card.mjs
// Draws book/_static/social.png (1200 x 630, what a chat shows beside a link to the book) and book/_static/favicon.png (64 x 64) with the
// book's own title, typeface and rank colours. Run it after a change of these; needs what tools/check_pages.mjs needs.
import { readFileSync } from 'node:fs';
import { findTools, launch } from './site.mjs';

const RANKS = [['no', '#471365'], ['very low', '#39558c'], ['low', '#238a8d'], ['high', '#3fbc73'], ['very high', '#bddf26']];
const CENTRE = [1010, 490];
const RADIUS = 390;

const read = path => readFileSync(path, 'utf8');
const title = read('_config.yml').match(/^title: (.*)$/m)[1];
const data = path => `data:font/woff2;base64,${readFileSync(path).toString('base64')}`;

/** The logo without its thin lines, for sixteen pixels. */
function icon() {
  const bold = read('book/_static/logo.svg').replace(/^.*stroke-dasharray.*\n/m, '').replace(/ r="(\d+)"/g, (_, r) => ` r="${1.35 * r}"`);
  return `<style>body { margin: 0 }</style>${bold.replace('<svg', '<svg width="64" height="64"')}`;
}

/** The ranks on their arc, low at the left and high at the top, each tied to the sentence that it completes. */
function arc() {
  const points = RANKS.map(([name, colour], index) => {
    const angle = (184 + index * 21.5) * Math.PI / 180;
    return { name, colour, size: 20 + 6 * index, x: CENTRE[0] + RADIUS * Math.cos(angle), y: CENTRE[1] + RADIUS * Math.sin(angle) };
  });
  const [first, last] = [points[0], points.at(-1)];
  const spokes = points.map(p => `M${CENTRE} L${p.x} ${p.y}`).join('');
  const dots = points.map(p => `<circle cx="${p.x}" cy="${p.y}" r="${p.size}" fill="${p.colour}"/>`).join('');
  const texts = points.map(p => `<text x="${p.x + p.size + 14}" y="${p.y + 9 + (p.name === 'high' ? 24 : 0)}">${p.name}</text>`).join('');
  return `<path d="M${first.x} ${first.y} A${RADIUS} ${RADIUS} 0 0 1 ${last.x} ${last.y}" fill="none" stroke="#9aa6b6" stroke-width="5"/>
    <path d="${spokes}" stroke="#c3cbd6" stroke-width="3" stroke-dasharray="1 10" stroke-linecap="round"/>${dots}
    <g font-size="28" font-weight="600" fill="#222832" paint-order="stroke" stroke="#fff" stroke-width="8" stroke-linejoin="round">${texts}</g>
    <rect x="860" y="444" width="300" height="92" rx="18" fill="#33475f"/>
    <text x="1010" y="499" font-size="27" fill="#fff" text-anchor="middle">a leaf with … damage</text>`;
}

const card = `<style>
    @font-face { font-family: T; font-weight: 200 900; src: url(${data('book/_static/fonts/source-sans-3-latin-normal.woff2')}) }
    body { margin: 0; font-family: T }
    section { position: absolute; left: 70px; top: 0; width: 520px; height: 618px; display: flex; flex-direction: column; justify-content: center }
    h1 { margin: 0; font-size: 76px; line-height: 1.02; color: #222832 } p { margin: 26px 0 0; font-size: 31px; line-height: 1.3; color: #48566b }
    i { position: absolute; inset: 618px 0 0; background: linear-gradient(90deg, #440154, #3b528b, #21918c, #5ec962, #fde725) }
  </style>
  <svg width="1200" height="618" style="position: absolute">${arc()}</svg>
  <section><h1>${title}</h1><p>An executable book and a small PyTorch package. Runs on a laptop, offline.</p></section><i></i>`;

const browser = await launch(findTools(reason => { throw new Error(reason); }));
for (const [path, width, height, html, transparent] of [
  ['book/_static/social.png', 1200, 630, card, false],
  ['book/_static/favicon.png', 64, 64, icon(), true],
]) {
  const page = await browser.newPage({ viewport: { width, height } });
  await page.setContent(html);
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path, omitBackground: transparent });
  console.log(path);
}
await browser.close();
