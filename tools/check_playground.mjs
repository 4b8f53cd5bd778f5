// node tools/check_playground.mjs [--require] [SITE = _build/html] [SHOTS]
// Uses the playground of the built book in Chromium as a reader would: by mouse, touch and keyboard, in the light and the dark
// theme, at 1280 and 390 px; from a folder, with reduced motion, without JavaScript, and on paper. A line a check, OK or FAIL;
// status 1 if one fails. What holds for every page (links, contrast, axe-core) is checked by tools/check_pages.mjs.
//   SHOTS      a folder: full-page screenshots are written there
//   --require  without Chromium or playwright-core: status 1 instead of SKIP and status 0
// Needs what tools/check_pages.mjs needs.
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { findTools, launch, openSite, tellViolations } from './site.mjs';

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: { require: { type: 'boolean', default: false } } });
const [html = '_build/html', shots = ''] = positionals;

function giveUp(reason) {
  console.log(`${options.require ? 'FAIL' : 'SKIP'} playground: ${reason}`);
  process.exit(options.require ? 1 : 0);
}

const tools = findTools(giveUp);
const file = join(html, 'book', 'playground.html');
if (!existsSync(file)) { console.error(`FAIL ${file} is missing: run 'make book' first`); process.exit(1); }
if (shots) mkdirSync(shots, { recursive: true });
const site = await openSite(html, new Map());
const address = `${site.base}book/playground.html`;
const browser = await launch(tools);

let failures = 0;
let where = '';
const check = (what, right, seen = '') => {
  console.log(`${right ? 'OK  ' : 'FAIL'} ${where.padEnd(16)} ${what}${right || seen === '' ? '' : `: ${seen}`}`);
  if (!right) failures += 1;
};

async function open(context, url = address) {
  const page = await browser.newPage(context);
  page.log = [];
  await tellViolations(page);
  page.on('console', m => { if (['error', 'warning'].includes(m.type())) page.log.push(`console ${m.type()}: ${m.text()}`); });
  page.on('pageerror', e => page.log.push(`page error: ${e.message}`));
  page.on('requestfailed', r => page.log.push(`request failed: ${r.url()}`));
  page.on('response', r => { if (r.status() >= 400) page.log.push(`HTTP ${r.status()}: ${r.url()}`); });
  page.on('request', r => { if (!site.owns(r.url())) page.log.push(`foreign request: ${r.url()}`); });
  await page.goto(url, { waitUntil: 'load', timeout: 30000 });
  if (context.javaScriptEnabled !== false) await page.waitForSelector('html.pg-on', { timeout: 15000 });
  return page;
}

const loss = page => page.$eval('#playground-loss .pg-row-sum td:last-child', e => Number(e.textContent.replace('−', '-')));
const angleOf = (page, name) => page.$eval(`#playground-loss .pg-handle[aria-label^="${name}"]`, e => Number(e.getAttribute('aria-valuenow')));
const button = (page, name, part = 'loss') => page.click(`#playground-${part} button:text-is("${name}")`);
const middle = async (page, selector) => {
  await page.$eval(selector, e => e.scrollIntoView({ block: 'center' }));
  await page.waitForTimeout(100);
  return page.$eval(selector, e => { const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; });
};
const rested = page => page.waitForFunction(() => [...document.querySelectorAll('.pg-main')].every(e => e.textContent === 'Slide to rest'), null, { timeout: 15000 });
const fits = page => page.evaluate(() => {
  const wide = [...document.querySelectorAll('.pg, .pg *')].filter(e => !e.closest('pre, svg, .pg-hidden') && e.getBoundingClientRect().right > innerWidth + 1);
  return [document.documentElement.scrollWidth <= innerWidth && !wide.length, `${document.documentElement.scrollWidth} px; ${wide.map(e => e.className).join(', ')}`];
});
const matrix = page => page.$eval('#playground-words canvas', e => e.toDataURL());

async function losses(page, touch) {
  const handle = '#playground-loss .pg-image .pg-square';
  let before = await loss(page);
  let [x, y] = await middle(page, handle);
  if (touch) {
    const session = await page.context().newCDPSession(page);
    const send = (type, points) => session.send('Input.dispatchTouchEvent', { type, touchPoints: points });
    await send('touchStart', [{ x, y }]);
    for (let i = 1; i <= 6; i += 1) await send('touchMove', [{ x: x - 8 * i, y: y + 8 * i }]);
    await send('touchEnd', []);
  } else {
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x - 60, y + 50, { steps: 8 });
    await page.mouse.up();
  }
  check(`${touch ? 'touch' : 'mouse'} drag of the image changes the loss`, (await loss(page)) !== before, before);
  before = await angleOf(page, 'text of rank 4');
  [x, y] = await middle(page, '#playground-loss .pg-text:nth-of-type(5) .pg-dot');
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x - 20, y + 40, { steps: 5 });
  await page.mouse.up();
  check('mouse drag moves a text', (await angleOf(page, 'text of rank 4')) !== before, before);
  await button(page, 'Reset');

  await page.focus('#playground-loss .pg-controls select');
  for (let i = 0; i < 6; i += 1) await page.keyboard.press('Tab'); // past five texts to the image
  const focus = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  check('Tab reaches the image after the texts', focus === 'image z', focus);
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement.querySelector('.pg-halo')).stroke);
  check('its focus is visible', ring !== 'none', ring);
  const start = await angleOf(page, 'image');
  before = await loss(page);
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Shift+ArrowLeft');
  check('arrow keys move it by 1° and 10°', Math.abs(start - 11 - (await angleOf(page, 'image'))) < 1e-6, await angleOf(page, 'image'));
  check('arrow keys change the loss', (await loss(page)) !== before, before);
  await page.waitForTimeout(600);
  const announced = await page.$eval('#playground-loss [role=status]', e => e.textContent);
  check('the change is announced', announced.includes(`loss ${(await loss(page)).toFixed(3).replace('-', '−')}`), announced);
  await page.keyboard.press('Home');
  check('Home brings it onto its own text', (await angleOf(page, 'image')) === (await angleOf(page, 'text of rank 1')));
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  check('Enter makes a text the own rank', (await page.$eval('#playground-loss .pg-controls select', e => e.value)) === '4');

  await button(page, 'Reset');
  before = await loss(page);
  await button(page, 'One step');
  const one = await loss(page);
  check('a gradient step lowers the loss', one < before, `${before} → ${one}`);
  await button(page, 'Slide to rest');
  await rested(page);
  check('sliding lowers it further, to rest', (await loss(page)) < one && (await page.textContent('.pg-verdict')).includes('at rest'), await page.textContent('.pg-verdict'));
  for (const [name, value] of [['Loss', 'ce'], ['Loss', 'both'], ['Weights ω', 'shuffled'], ['Push', '2'], ['ω divided by', 'global']]) {
    before = await loss(page);
    await page.check(`#playground-loss fieldset:has(legend:text-is("${name}")) input[value="${value}"]`, { force: true });
    check(`${name}: ${value} changes the loss`, (await loss(page)) !== before, before);
  }
  for (const [name, key] of [['λ', 'End'], ['Scale s', 'Home']]) {
    before = await loss(page);
    await page.focus(`#playground-loss .pg-field:has(label:has-text("${name}")) input`);
    await page.keyboard.press(key);
    check(`${name} changes the loss`, (await loss(page)) !== before, before);
  }
  await page.selectOption('#playground-loss .pg-more select >> nth=0', '7');
  check('seven ranks have seven texts', (await page.$$('#playground-loss .pg-text')).length === 7);
  const script = await page.$eval('#playground-loss .pg-code code', e => e.textContent);
  check('the Python script is that of the state', script.includes('order="shuffled"') && script.includes('push_power=2') && script.includes('weight = 5.0'), script);
  await button(page, 'Reset');
}

async function words(page) {
  const select = '#playground-words .pg-controls select';
  const seen = [await matrix(page)];
  await page.selectOption(`${select} >> nth=0`, { label: 'months (12)' });
  seen.push(await matrix(page));
  await page.selectOption(`${select} >> nth=1`, '1');
  seen.push(await matrix(page));
  await page.check('#playground-words input[value="false"]', { force: true });
  seen.push(await matrix(page));
  check('set, template and centring each change the matrix', new Set(seen).size === 4);
  await page.focus('#playground-words .pg-matrix');
  await page.keyboard.press('ArrowDown');
  const read = await page.textContent('#playground-words .pg-readout');
  check('arrow keys read a cell', /^Places 1 and 1 — in order: February · February, cosine 1\.00/.test(read), read);
  await page.waitForFunction(() => [...document.querySelectorAll('.pg-score')].every(e => e.textContent.includes('of 200 random orders')), null, { timeout: 20000 });
  check('the scores are held against 200 random orders', (await page.$$('#playground-words .pg-random')).length === 600);
  const mixed = await page.textContent('#playground-words .pg-score .pg-mixed');
  await button(page, 'Shuffle again', 'words');
  check('another shuffle has another score', (await page.textContent('#playground-words .pg-score .pg-mixed')) !== mixed, mixed);
}

async function tries(page) {
  const all = await page.$$('.pg-try');
  check('every thing to try has its button', all.length === 7, all.length);
  await all[3].click();
  await button(page, 'Slide to rest');
  await rested(page);
  const text = await page.textContent('.pg-verdict');
  check('texts close together: the own rank loses', /Answer: rank 4, not 2/.test(text), text);
  await all[6].click();
  check('its button chooses the bare retina grades', (await page.textContent('.pg-sentence')).includes('retinopathy'), await page.textContent('.pg-sentence'));
}

for (const scheme of ['light', 'dark']) {
  for (const width of [1280, 390]) {
    where = `${scheme} ${width} px`;
    const touch = width === 390;
    const page = await open({ viewport: { width, height: touch ? 844 : 900 }, colorScheme: scheme, hasTouch: touch });
    check('the theme is the reader\'s', (await page.evaluate(() => document.documentElement.dataset.theme)) === scheme);
    check('nothing is wider than the window', ...(await fits(page)));
    check('the standing picture gives way to the playground', !(await page.isVisible('.pg-fallback')) && await page.isVisible('#playground-loss svg'));
    if (shots) await page.screenshot({ path: join(shots, `playground_${scheme}_${width}.png`), fullPage: true });
    await losses(page, touch);
    await words(page);
    await tries(page);
    check('nothing is wider than the window after use', ...(await fits(page)));
    check('no error, no foreign request', !page.log.length, page.log.join('; '));
    await page.close();
  }
}

where = 'from a folder';
let page = await open({ viewport: { width: 1280, height: 900 } }, `${pathToFileURL(resolve(file)).href}?own=3&loss=both&lambda=2`);
check('it starts without a server, in the state of the link', (await page.$eval('#playground-loss .pg-controls select', e => e.value)) === '3');
check('no error', !page.log.length, page.log.join('; '));
await page.close();

where = 'reduced motion';
page = await open({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
await button(page, 'Slide to rest');
check('the image is at rest at once', (await page.textContent('.pg-verdict')).includes('at rest'));
where = 'in chapter 5';
const chapter = await open({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' }, `${site.base}book/05_losses.html`);
await button(chapter, 'Slide to rest');
check('its half of losses works without the words', (await chapter.textContent('.pg-verdict')).includes('at rest') && !chapter.log.length, chapter.log.join('; '));
await chapter.close();

where = 'on paper';
await page.emulateMedia({ media: 'print' });
check('the standing picture is printed, the controls are not', await page.isVisible('.pg-fallback img') && !(await page.isVisible('#playground-loss')));
await page.close();

where = 'no JavaScript';
page = await open({ viewport: { width: 390, height: 844 }, javaScriptEnabled: false });
check('the standing picture is there, with a description', await page.isVisible('.pg-fallback img') && (await page.getAttribute('.pg-fallback img', 'alt')).length > 80);
check('no dead control is shown', !(await page.isVisible('#playground-loss')) && !(await page.isVisible('.pg-try')));
await page.close();

await browser.close();
site.close();
console.log(failures ? `${failures} failures` : 'the playground works');
process.exit(failures ? 1 : 0);
