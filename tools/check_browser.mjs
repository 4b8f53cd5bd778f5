// node tools/check_browser.mjs [--require] [--python .venv/bin/python] [SITE = _build/html] [SHOTS]
// Gives photos to book/browser.html of the built book in Chromium and compares each answer with Python's: probabilities to 2e-2
// and the same rank. By keyboard, drop and paste, in the light and the dark theme, at 1280 and 390 px; also what is no picture,
// and the page from a folder and without JavaScript. A line a check, OK or FAIL; status 1 if one fails.
//   --require  without Chromium or playwright-core: status 1 instead of SKIP and status 0
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { findTools, launch, openSite, tellViolations } from './site.mjs';

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: {
  require: { type: 'boolean', default: false }, python: { type: 'string', default: '.venv/bin/python' },
} });
const [html = '_build/html', shots = ''] = positionals;

const tools = findTools(reason => {
  console.log(`${options.require ? 'FAIL' : 'SKIP'} browser: ${reason}`);
  process.exit(options.require ? 1 : 0);
});
const file = join(html, 'book', 'browser.html');
if (!existsSync(file)) { console.error(`FAIL ${file} is missing: run 'make book' first`); process.exit(1); }
if (shots) mkdirSync(shots, { recursive: true });

const folder = mkdtempSync(join(tmpdir(), 'leaves-'));
const made = spawnSync(options.python, ['tools/browser_answers.py', folder], { encoding: 'utf8' });
if (made.status !== 0) { console.error(`FAIL ${options.python} tools/browser_answers.py: ${made.stderr || made.error}`); process.exit(1); }
const answers = JSON.parse(readFileSync(join(folder, 'answers.json'), 'utf8'));

const site = await openSite(html, new Map());
const address = `${site.base}book/browser.html`;
const browser = await launch(tools);
let failures = 0;
let where = '';
const check = (what, right, seen = '') => {
  console.log(`${right ? 'OK  ' : 'FAIL'} ${where.padEnd(12)} ${what}${right || seen === '' ? '' : `: ${seen}`}`);
  if (!right) failures += 1;
};

async function open(context, url = address) {
  const page = await browser.newPage(context);
  page.log = [];
  await tellViolations(page);
  page.asked = [];
  page.on('filechooser', () => {});   // from now on a dialogue is intercepted, not only once one is waited for
  page.on('console', m => { if (['error', 'warning'].includes(m.type())) page.log.push(`console ${m.type()}: ${m.text()}`); });
  page.on('pageerror', e => page.log.push(`page error: ${e.message}`));
  page.on('response', r => { if (r.status() >= 400) page.log.push(`HTTP ${r.status()}: ${r.url()}`); });
  page.on('request', r => { page.asked.push(r.url()); if (!site.owns(r.url())) page.log.push(`foreign request: ${r.url()}`); });
  await page.goto(url, { waitUntil: 'load', timeout: 30000 });
  return page;
}

const status = page => page.$eval('.br-said', e => e.textContent);
const settled = page => page.waitForFunction(() => document.querySelector('.br-wrong') || document.querySelector('#browser-model').dataset.probabilities, null, { timeout: 120000 });
const graded = async page => {
  await settled(page);
  return page.$eval('#browser-model', e => ({
    probabilities: JSON.parse(e.dataset.probabilities ?? '[]'), expected: Number(e.dataset.expected), best: e.querySelector('.br-rank strong')?.textContent,
    rows: [...e.querySelectorAll('.br-chart tr')].map(r => [r.querySelector('th').textContent, r.lastChild.textContent, r.classList.contains('br-best')]),
  }));
};
const top = list => list.indexOf(Math.max(...list));

async function compare(page, name, how) {
  const { probabilities, expected } = answers[name];
  const answer = await graded(page);
  const gap = Math.max(...probabilities.map((p, k) => Math.abs(p - answer.probabilities[k])));
  const shown = answer.rows.every(([, text], k) => text === `${(100 * answer.probabilities[k]).toFixed(1)} %`);
  // The model rounds to 8 bits: a pixel that the two resize otherwise in its last bit may move an activation by a whole step.
  const right = gap < 2e-2 && Math.abs(expected - answer.expected) < 4e-2 && top(probabilities) === top(answer.probabilities)
    && answer.rows[top(probabilities)][2] && answer.rows[top(probabilities)][0] === answer.best && shown;
  check(`${name} ${how}: Python's answer`, right, `${gap}, ${JSON.stringify(answer)} for ${JSON.stringify(answers[name])}; ${await status(page)}`);
  return gap;
}

// Without a mouse: Enter on the button, and the photo from the dialogue.
async function choose(page, path) {
  await page.focus('.br-main');
  const dialogue = page.waitForEvent('filechooser');
  await page.keyboard.press('Enter');
  await (await dialogue).setFiles(path);
}

// As a drop or a paste gives a file to a page.
const give = (page, type, path, mime) => page.evaluate(([kind, bytes, format]) => {
  const list = new DataTransfer();
  list.items.add(new File([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))], 'photo', { type: format }));
  const event = kind === 'drop' ? new DragEvent('drop', { dataTransfer: list, bubbles: true, cancelable: true })
    : new ClipboardEvent('paste', { clipboardData: list, bubbles: true, cancelable: true });
  document.querySelector('#browser-model').dispatchEvent(event);
}, [type, readFileSync(path).toString('base64'), mime]);

const fits = page => page.evaluate(() => {
  const wide = [...document.querySelectorAll('.br *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  return [document.documentElement.scrollWidth <= innerWidth && !wide.length, wide.map(e => e.className || e.tagName).join(', ')];
});

try {
  let page = await open({ viewport: { width: 1280, height: 900 } });
  where = 'light, 1280';
  check('nothing is loaded before a photo is chosen', !page.asked.some(url => /onnx|wasm|model\.json/.test(url)), page.asked.join(' '));
  let worst = 0;
  for (const name of Object.keys(answers)) {
    await choose(page, join(folder, name));
    worst = Math.max(worst, await compare(page, name, 'by keyboard'));
  }
  console.log(`     largest difference in a probability: ${worst.toExponential(1)}`);
  await page.keyboard.press('Tab');
  const next = await page.evaluate(() => document.activeElement.textContent);
  check('Tab goes on to the drawn leaf', next === 'Try a drawn leaf', next);
  await page.keyboard.press('Shift+Tab');
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check('and back, visibly', ring === 'solid' && (await page.evaluate(() => document.activeElement.textContent)) === 'Choose a photo', ring);
  check('the answer is announced', /damage, .* %; expectation/.test(await status(page)), await status(page));
  check('the chart has a caption and a name a row', (await page.$eval('.br-chart caption', e => e.textContent)) !== '' && (await page.$$('.br-chart th[scope=row]')).length === 5);
  const names = Object.keys(answers);
  await give(page, 'drop', join(folder, names[0]), 'image/jpeg');
  await compare(page, names[0], 'dropped');
  await give(page, 'paste', join(folder, 'small.png'), 'image/png');
  await compare(page, 'small.png', 'pasted');
  check('the model was fetched once', page.asked.filter(url => url.endsWith('model.onnx')).length === 1);
  const text = join(folder, 'notes.jpg');
  writeFileSync(text, 'no picture');
  await choose(page, text);
  await settled(page);
  check('what is no picture is refused in one sentence', (await status(page)).startsWith('notes.jpg is no image'), await status(page));
  check('and the old answer is gone', !(await page.$('.br-chart')));
  check('no error, no warning, no other host', page.log.length === 0, page.log.join('; '));
  await choose(page, join(folder, names[1]));
  await graded(page);
  if (shots) await page.screenshot({ path: join(shots, 'browser-light.png'), fullPage: true });
  await page.close();

  where = 'dark, 390';
  page = await open({ viewport: { width: 390, height: 844 }, colorScheme: 'dark', hasTouch: true });
  await page.tap('.br-button:text-is("Try a drawn leaf")');
  const drawn = await graded(page);
  check('the drawn leaf is graded', Math.abs(drawn.probabilities.reduce((a, b) => a + b, 0) - 1) < 1e-5, await status(page));
  check('nothing is wider than the page', ...(await fits(page)));
  await choose(page, join(folder, 'turned.jpg'));
  await compare(page, 'turned.jpg', 'by keyboard');
  check('nothing is wider than the page', ...(await fits(page)));
  check('the theme is dark', (await page.$eval('html', e => e.dataset.theme)) === 'dark');
  await page.evaluate(tools.axe);   // a script tag of ours would be stopped by the policy, as anybody's
  const { violations } = await page.evaluate(() => globalThis.axe.run('#browser-model'));
  check('axe-core finds nothing', violations.length === 0, violations.map(v => `${v.id} ${v.nodes[0].html}`).join('; '));
  check('no error, no warning, no other host', page.log.length === 0, page.log.join('; '));
  if (shots) await page.screenshot({ path: join(shots, 'browser-dark.png'), fullPage: true });
  await page.close();

  where = 'a cut line';
  page = await open({ viewport: { width: 1280, height: 900 } });
  await page.route('**/model.onnx', route => route.abort());
  await choose(page, join(folder, names[0]));
  await settled(page);
  check('says that the model could not be loaded', (await status(page)).startsWith('The model could not be loaded'), await status(page));
  await page.unroute('**/model.onnx');
  await choose(page, join(folder, names[0]));
  await compare(page, names[0], 'at the second try');
  await page.close();

  where = 'a folder';
  page = await open({}, pathToFileURL(resolve(file)).href);
  await choose(page, join(folder, names[0]));
  await settled(page);
  check('says what to do', (await status(page)).includes('make serve'), await status(page));
  await page.close();

  where = 'no script';
  page = await open({ javaScriptEnabled: false });
  check('says so', await page.locator('.br-without').isVisible() && !(await page.locator('#browser-model').isVisible()));
  await page.close();
} finally {
  await browser.close();
  site.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(failures ? `${failures} checks failed` : 'the page answers as Python does');
process.exit(failures ? 1 : 0);
