// node tools/check_moving.mjs [--require] [SITE = _build/html] [SHOTS]
// Uses the figures that move, in chapters 4 and 7 of the built book, by mouse, touch and keyboard, in the light and the dark
// theme, at 1280 and 390 px; with reduced motion, without JavaScript, and on paper. A line a check, OK or FAIL; status 1 if
// one fails.
//   SHOTS      a folder: screenshots of the figures are written there
//   --require  without Chromium or playwright-core: status 1 instead of SKIP and status 0
// Needs what tools/check_pages.mjs needs.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findTools, launch, openSite, tellViolations } from './site.mjs';

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: { require: { type: 'boolean', default: false } } });
const [html = '_build/html', shots = ''] = positionals;
const FIGURES = { motion: ['07_ordinal_embeddings', '.tag_motion .cell_output'], attention: ['04_rankformer', '.tag_attention .cell_output'] };

function giveUp(reason) {
  console.log(`${options.require ? 'FAIL' : 'SKIP'} figures that move: ${reason}`);
  process.exit(options.require ? 1 : 0);
}

const tools = findTools(giveUp);
if (!existsSync(join(html, 'book'))) { console.error(`FAIL ${html} is missing: run 'make book' first`); process.exit(1); }
if (shots) mkdirSync(shots, { recursive: true });
const site = await openSite(html, new Map());
const browser = await launch(tools);

let failures = 0;
let where = '';
const check = (what, right, seen = '') => {
  console.log(`${right ? 'OK  ' : 'FAIL'} ${where.padEnd(24)} ${what}${right || seen === '' ? '' : `: ${seen}`}`);
  if (!right) failures += 1;
};

async function open(name, context) {
  const page = await browser.newPage(context);
  page.log = [];
  await tellViolations(page);
  page.on('console', m => { if (['error', 'warning'].includes(m.type())) page.log.push(m.text()); });
  page.on('pageerror', e => page.log.push(e.message));
  page.on('request', r => { if (!site.owns(r.url())) page.log.push(`foreign request: ${r.url()}`); });
  await page.goto(`${site.base}book/${FIGURES[name][0]}.html`, { waitUntil: 'load', timeout: 30000 });
  if (context.javaScriptEnabled !== false) await page.waitForSelector(`${FIGURES[name][1]} .pg`, { timeout: 15000 });
  return page;
}

const value = page => page.$eval('#mv-epoch', e => Number(e.value));
const discs = page => page.$$eval('.mv-disc', all => all.map(e => e.getAttribute('transform')).join());
const diamonds = page => page.$$eval('.mv-diamond', all => all.map(e => e.getAttribute('transform')).join());
const rested = page => page.waitForTimeout(700);

async function motion(page, touch) {
  const last = await page.$eval('#mv-epoch', e => Number(e.max));
  const still = [await discs(page), await diamonds(page)];
  await page.focus('#mv-epoch');
  await page.keyboard.press('ArrowRight');
  await rested(page);
  check('an arrow key is an epoch of stage 1: sentences move, images do not', (await value(page)) === 1 && (await discs(page)) === still[0] && (await diamonds(page)) !== still[1]);
  const heard = await page.getAttribute('#mv-epoch', 'aria-valuetext');
  check('the slider says epoch and scores', /^stage 1, epoch 1 of \d+; L2RCLIP: ρ = .*; cross-entropy: ρ = /.test(heard), heard);
  await page.$eval('#mv-epoch', e => e.scrollIntoView({ block: 'center' }));
  const box = await (await page.$('#mv-epoch')).boundingBox();
  const [x, y] = [box.x + box.width - 4, box.y + box.height / 2];
  if (touch) await page.touchscreen.tap(x, y);
  else await page.mouse.click(x, y);
  await rested(page);
  check(`${touch ? 'a tap' : 'a click'} on its end is the last epoch`, (await value(page)) === last, await value(page));
  check('by then the images have moved', (await discs(page)) !== still[0]);
  await page.click('.mv button');
  await page.waitForTimeout(1200);
  check('Play begins anew and goes on', (await value(page)) >= 1 && (await value(page)) < last, await value(page));
  await page.click('.mv button');
  const paused = await value(page);
  await page.waitForTimeout(1000);
  check('Pause stops it', (await value(page)) === paused);
}

async function attention(page) {
  const pixels = () => page.$$eval('.mv-matrix canvas', all => all.map(e => e.toDataURL()));
  const first = await pixels();
  check('before and after differ', first[0] !== first[1]);
  await page.click('.mv-sentence button:text-is("photo")');
  const even = await pixels();
  check('a word of all sentences is even before and after', even[0] === even[1] && even[0] !== first[0]);
  const focus = await page.evaluate(() => document.activeElement.textContent);
  check('the chosen word keeps the focus', focus === 'photo', focus);
  await page.focus('.mv-matrix');
  await page.keyboard.press('ArrowDown');
  const read = await page.textContent('.mv .pg-readout[role=status]');
  check('arrow keys read a cell', /“photo” gives its own 5 copies 100 % of its attention before and 100 % after/.test(read), read);
  await page.check('.mv .pg-choice input >> nth=1', { force: true });
  check('percentages are another matrix', (await pixels())[1] !== first[1]);
}

for (const name of Object.keys(FIGURES)) {
  const figure = FIGURES[name][1];
  for (const scheme of ['light', 'dark']) {
    for (const width of [1280, 390]) {
      where = `${name} ${scheme} ${width} px`;
      const touch = width === 390;
      const page = await open(name, { viewport: { width, height: 844 }, colorScheme: scheme, hasTouch: touch });
      check('the picture gives way', !(await page.isVisible(`${figure} img`)) && (await page.isVisible(`${figure} .pg`)));
      await (name === 'motion' ? motion(page, touch) : attention(page));
      const wide = await page.$$eval('.mv *', all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1).length);
      check('nothing is wider than the window', !wide, wide);
      if (shots) await (await page.$(figure)).screenshot({ path: join(shots, `${name}_${scheme}_${width}.png`) });
      check('no error, no foreign request', !page.log.length, page.log.join('; '));
      await page.close();
    }
  }

  where = `${name}, on paper`;
  const page = await open(name, { viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  if (name === 'motion') {
    await page.focus('#mv-epoch');
    await page.keyboard.press('End');
    const now = await discs(page);
    await rested(page);
    check('with reduced motion the images are there at once', (await discs(page)) === now);
  }
  await page.emulateMedia({ media: 'print' });
  check('the picture is printed, the controls are not', (await page.isVisible(`${figure} img`)) && !(await page.isVisible(`${figure} .pg`)));
  await page.close();

  where = `${name}, no JavaScript`;
  const plain = await open(name, { viewport: { width: 390, height: 844 }, javaScriptEnabled: false });
  check('the picture is there, with a description', (await plain.isVisible(`${figure} img`)) && (await plain.getAttribute(`${figure} img`, 'alt')).length > 80);
  await plain.close();
}

await browser.close();
site.close();
console.log(failures ? `${failures} failures` : 'the figures move');
process.exit(failures ? 1 : 0);
