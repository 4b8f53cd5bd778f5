// node tools/check_pages.mjs [options] [SITE = _build/html] [SHOTS]
// Opens every page of the built book in Chromium, in the light and the dark theme, 1280 and 390 pixels wide, with every other host
// blocked. One line a page, OK or FAIL, and under it what is wrong; status 1 on any problem. A page must have: no console error or
// warning, no failed or foreign request, no broken link, anchor or image, an alt text for every image, rendered equations, nothing
// that makes the window scroll sideways, whole tables, images within their column, no serious or critical finding of axe-core.
// Redirects must arrive and the search must find. Each page has a content security policy that stops nothing of its own; what is
// planted in a page is stopped, all of it, and each fault of layout that is planted in one is seen.
//   SHOTS            a folder: full-page screenshots PAGE_THEME_WIDTH.png are written there
//   --only PATTERN   only the pages whose path matches this regular expression
//   --require        without Chromium, playwright-core or axe-core: status 1 instead of SKIP and status 0
// Needs `npm install --no-save playwright-core@1 axe-core@4` (here, or elsewhere with NODE_PATH=…/node_modules) and Chromium
// (CHROMIUM=/path/to/it, else the usual places).
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULTS, layoutFaults } from './layout.mjs';
import { brokenLinks, findTools, launch, listPages, openDoors, openSite, readPages, tellViolations } from './site.mjs';

const THEMES = ['light', 'dark'];
const WIDTHS = [1280, 390];
const SEARCHES = ['RankFormer', 'quadratic weighted kappa', 'BRACOL'];
const AT_ONCE = 2;
const PRESSED_IN = ['book/05_losses.html'];
const BROKEN_IN = ['book/hyperparameters.html'];
const PLANTED_IN = ['book/index.html', 'book/05_losses.html', 'book/browser.html', '404.html'];

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', default: '' }, require: { type: 'boolean', default: false } },
});
const [folder = '_build/html', shots] = positionals;

function giveUp(reason) {
  console.log(`${options.require ? 'FAIL' : 'SKIP'} look: ${reason}`);
  process.exit(options.require ? 1 : 0);
}

// Everything that the page says or asks for while it loads, as lines of `log`.
async function listen(page, site, log) {
  await tellViolations(page);
  page.on('console', m => { if (['error', 'warning'].includes(m.type())) log.push(`console ${m.type()}: ${m.text()}`); });
  page.on('pageerror', e => log.push(`page error: ${e.message}`));
  page.on('response', r => { if (r.status() >= 400) log.push(`HTTP ${r.status()}: ${site.name(r.url())}`); });
  // A redirect that fires while its own page still loads aborts that page; where it leads is checked below.
  const redirected = r => r.isNavigationRequest() && r.failure()?.errorText === 'net::ERR_ABORTED';
  page.on('requestfailed', r => { if (site.owns(r.url()) && !redirected(r)) log.push(`request failed: ${site.name(r.url())}`); });
  return page.route(url => !site.owns(url.href), route => {
    log.push(`foreign request: ${route.request().url()}`);
    return route.abort();
  });
}

// Runs in the page: opens what is folded and says what is wrong with what is seen.
function inspect(theme) {
  document.querySelectorAll('details').forEach(e => { e.open = true; });
  const faults = [];
  const add = (list, what) => { if (list.length) faults.push(`${list.length} ${what}: ${[...new Set(list)].slice(0, 3).join(', ')}`); };
  const short = e => `<${e.tagName.toLowerCase()}${[...e.classList].slice(0, 2).map(c => `.${c}`).join('')}>`;
  const root = document.documentElement;
  if (root.dataset.theme && root.dataset.theme !== theme) faults.push(`theme is ${root.dataset.theme}, not ${theme}`);
  const images = [...document.images];
  const name = e => (e.getAttribute('src') ?? '').slice(-60);
  add(images.filter(e => !e.complete || !e.naturalWidth).map(name), 'images that did not load');
  // An empty alt is for decoration, as the logo beside the name of the book; a picture of the text must say something.
  add(images.filter(e => !e.hasAttribute('alt') || (e.closest('article') && !e.alt.trim())).map(name), 'images without alt text');
  add([...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).map(e => e.textContent.slice(0, 40)), 'equations not rendered');
  add([...document.querySelectorAll('[data-mml-node="merror"]')].map(e => e.textContent.slice(0, 60)), 'equations with an error');
  if (root.scrollWidth > root.clientWidth) {
    const boxed = e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
    const wide = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1 && !boxed(e));
    faults.push(`the window scrolls sideways, ${root.scrollWidth} px in ${root.clientWidth}: ${wide.slice(0, 3).map(short).join(', ')}`);
  }
  return faults;
}

async function audit(page, axe, rules) {
  await page.evaluate(axe);
  const violations = await page.evaluate(async chosen => (await window.axe.run({ resultTypes: ['violations'], ...chosen })).violations.map(v => ({
    id: v.id, impact: v.impact, count: v.nodes.length, why: (v.nodes[0].any[0]?.message ?? v.help).split(', font size')[0], where: v.nodes[0].target.join(' '),
  })), rules);
  return violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => `axe ${v.impact}, ${v.id}, ${v.count} elements: ${v.where.slice(0, 120)}: ${v.why.slice(0, 180)}`);
}

async function checkPage(tools, site, path) {
  const problems = new Map();   // problem -> the views that show it
  for (const { theme, width, context } of tools.views) {
    const page = await context.newPage();
    const log = [];
    await listen(page, site, log);
    try {
      await page.goto(site.base + path, { waitUntil: 'load', timeout: 60000 });
      await page.evaluate(() => window.MathJax?.startup?.promise);
      await page.waitForTimeout(200);
      if (shots) await page.screenshot({ path: join(shots, `${path.replace(/\.html$/, '').replace(/\W+/g, '_')}_${theme}_${width}.png`), fullPage: true });
      log.push(...await page.evaluate(inspect, theme), ...await page.evaluate(layoutFaults));
      // The slowest check. Of what it sees only colours depend on the theme, and all else on the width.
      if (width === WIDTHS[0]) log.push(...await audit(page, tools.axe, theme === 'light' ? {} : { runOnly: ['color-contrast'] }));
      else if (theme === 'light') log.push(...await audit(page, tools.axe, { rules: { 'color-contrast': { enabled: false } } }));
    } catch (error) {
      log.push(`could not be checked: ${error.message.split('\n')[0]}`);
    }
    await page.close();
    for (const line of new Set(log)) problems.set(line, [...problems.get(line) ?? [], `${theme} ${width}`]);
  }
  return [...problems].map(([line, views]) => (views.length === tools.views.length ? line : `${line} (${views.join(', ')})`));
}

// A page that only sends its reader on: is it followed, and is there a page at its end?
async function checkRedirect(tools, site, path, target) {
  const page = await tools.browser.newPage();
  const log = [];
  await listen(page, site, log);
  try {
    await page.goto(site.base + path);
    await page.waitForURL(url => url.href === site.base + target, { timeout: 10000, waitUntil: 'load' });
  } catch {
    log.push(`led to ${site.name(page.url())}, not to ${target}`);
  }
  await page.close();
  return log;
}

async function checkSearch(tools, site, term) {
  const page = await tools.browser.newPage();
  const log = [];
  await listen(page, site, log);
  try {
    await page.goto(`${site.base}search.html?q=${encodeURIComponent(term)}`);
    await page.waitForSelector('#search-results li a', { timeout: 10000 });
  } catch {
    log.push('no result');
  }
  await page.close();
  return log;
}

// What somebody might smuggle into a page: element -> the directive that must stop it.
const PLANTED = {
  'script-src-elem': ['<script>window.planted = 1</script>', '<script src="https://elsewhere.invalid/a.js"></script>'],
  'script-src-attr': ['<img src="data:image/png,none" alt="" onerror="window.planted = 2">'],
  'img-src': ['<img src="https://elsewhere.invalid/a.png" alt="">'],
  'style-src-elem': ['<link rel="stylesheet" href="https://elsewhere.invalid/a.css">'],
  'frame-src': ['<iframe src="https://elsewhere.invalid/"></iframe>'],
  'object-src': ['<object data="data:text/html,text"></object>'],
  'base-uri': ['<base href="https://elsewhere.invalid/">'],
};

// Plants all of them in a page on its way to the browser, which must stop each and ask no other host for anything.
async function checkPlanted(tools, site, path) {
  const page = await tools.browser.newPage();
  const log = [];
  const stopped = {};
  page.on('request', r => { if (!site.owns(r.url()) && r.url().startsWith('http') && !/elsewhere\.invalid/.test(r.url())) log.push(`foreign request: ${r.url()}`); });
  page.on('response', r => { if (!site.owns(r.url())) log.push(`a foreign host was reached: ${r.url()}`); });
  await page.exposeFunction('tellStopped', directive => { stopped[directive] = (stopped[directive] ?? 0) + 1; });
  await page.addInitScript(() => addEventListener('securitypolicyviolation', e => window.tellStopped(e.effectiveDirective)));
  await page.route(site.base + path, async route => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace('</body>', `${Object.values(PLANTED).flat().join('')}</body>`) });
  });
  await page.goto(site.base + path);
  await page.waitForTimeout(500);
  for (const [directive, elements] of Object.entries(PLANTED)) {
    if ((stopped[directive] ?? 0) < elements.length) log.push(`${stopped[directive] ?? 0} of ${elements.length} stopped by ${directive}: ${elements.join(' ')}`);
  }
  if (await page.evaluate(() => window.planted)) log.push('a planted script ran');
  const compiled = await page.evaluate(() => new Promise(done => {
    addEventListener('securitypolicyviolation', e => done(e.blockedURI === 'eval' ? 'stopped' : e.blockedURI));
    const script = document.querySelector('script[src]');
    script.ownerDocument.defaultView.setTimeout('window.planted = 3');
    setTimeout(() => done('not stopped'), 1000);
  }));
  if (compiled !== 'stopped' || await page.evaluate(() => window.planted)) log.push(`a text as a script is ${compiled}`);
  await page.close();
  return log;
}

// Breaks the layout of a page in each way that must be seen, one after the other: the look must tell it.
async function checkLayout(tools, site, path) {
  const page = await tools.browser.newPage({ viewport: { width: Math.min(...WIDTHS), height: 900 } });
  const log = [];
  for (const [fault, html] of FAULTS) {
    await page.goto(site.base + path);
    await page.evaluate(broken => document.querySelector('article').insertAdjacentHTML('beforeend', broken), html);
    const seen = await page.evaluate(layoutFaults);
    if (!seen.some(line => line.includes(fault))) log.push(`planted "${fault}", seen: ${seen.join('; ') || 'nothing'}`);
  }
  await page.close();
  return log;
}

// What runs when something is pressed, which no look at a page that stands still would see stopped by its policy.
async function checkButtons(tools, site, path) {
  const page = await tools.browser.newPage({ viewport: { width: 1280, height: 900 } });
  const log = [];
  await listen(page, site, log);
  await page.addInitScript(() => { window.print = () => { window.printed = true; }; });
  await page.goto(site.base + path);
  const expect = async (what, happened) => page.waitForFunction(happened, null, { timeout: 3000 }).catch(() => log.push(`${what} does nothing`));
  const press = selector => page.$eval(selector, e => e.click());
  const mode = await page.evaluate(() => document.documentElement.dataset.mode);
  await press('.theme-switch-button');
  await page.waitForFunction(before => document.documentElement.dataset.mode !== before, mode, { timeout: 3000 }).catch(() => log.push('the theme switch does nothing'));
  await press('[data-press="print"]');
  await expect('the print button', () => window.printed);
  await press('button.copybtn');
  await expect('the copy button', () => document.querySelector('button.copybtn.success'));
  await press('details summary');
  await expect('what is hidden', () => document.querySelector('details[open]'));
  await page.click('[data-press="full-screen"]');
  await expect('the full-screen button', () => document.fullscreenElement);
  await page.close();
  return log;
}

async function main() {
  const tools = findTools(giveUp);
  if (!existsSync(join(folder, 'index.html'))) throw new Error(`${folder}/index.html is missing: run 'make book' first`);
  if (shots) mkdirSync(shots, { recursive: true });
  tools.browser = await launch(tools);
  tools.views = await Promise.all(THEMES.flatMap(theme => WIDTHS.map(async width => ({
    theme, width, context: await tools.browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme, reducedMotion: 'reduce' }),
  }))));
  const pages = await readPages(tools.browser, folder);
  const wanted = listPages(folder).filter(path => new RegExp(options.only).test(path));
  const site = await openSite(folder, pages);
  const jobs = wanted.map(path => {
    const { redirect } = pages.get(path);
    const look = redirect ? () => checkRedirect(tools, site, path, redirect) : () => checkPage(tools, site, path);
    return [path, async () => [...openDoors(path, pages), ...brokenLinks(path, pages, folder, site), ...await look()]];
  });
  if (!options.only) jobs.push(...SEARCHES.map(term => [`search for "${term}"`, () => checkSearch(tools, site, term)]));
  for (const path of PLANTED_IN.filter(path => wanted.includes(path))) jobs.push([`scripts, pictures and frames planted in ${path}`, () => checkPlanted(tools, site, path)]);
  for (const path of BROKEN_IN.filter(path => wanted.includes(path))) jobs.push([`faults of layout planted in ${path}`, () => checkLayout(tools, site, path)]);
  for (const path of PRESSED_IN.filter(path => wanted.includes(path))) jobs.push([`buttons of ${path}`, () => checkButtons(tools, site, path)]);
  let problems = 0;
  const started = Date.now();
  const worker = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const log = await job[1]().catch(error => [`could not be checked: ${error.message.split('\n')[0]}`]);
      console.log([`${log.length ? 'FAIL' : 'OK  '} ${job[0]}`, ...log.map(line => `     ${line}`)].join('\n'));
      problems += log.length;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await tools.browser.close();
  site.close();
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(`${wanted.length} pages, ${THEMES.join(' and ')}, ${WIDTHS.join(' and ')} px: ${problems} problems, ${seconds} s${shots ? `; screenshots in ${shots}` : ''}`);
  return problems || !wanted.length ? 1 : 0;
}

main().then(status => process.exit(status), error => { console.error(`FAIL ${error.message}`); process.exit(1); });
