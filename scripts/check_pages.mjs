// node scripts/check_pages.mjs _build/html SHOTS
// Opens every page of the built book in Chromium over http, in the light and the dark theme: lists console errors, failed and
// foreign requests, unrendered equations, figures wider than the screen; writes screenshots to SHOTS. Status 1 on any problem.
// Optional: without Chromium or playwright-core (`npm install --no-save playwright-core@1`) it says so and ends with status 0.
import { createServer } from 'node:http';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, join, normalize, resolve } from 'node:path';

const [html = '_build/html', shots = '_build/shots'] = process.argv.slice(2);
const skip = reason => { console.log(`SKIP look: ${reason}`); process.exit(0); };

const binary = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(p => p && existsSync(p));
if (!binary) skip('no Chromium (apt-get install chromium, or set CHROMIUM)');
let chromium;
try {
  ({ chromium } = createRequire(resolve('package.json'))('playwright-core'));
} catch {
  skip('no playwright-core (npm install --no-save playwright-core@1)');
}
if (!existsSync(join(html, 'index.html'))) { console.error(`FAIL ${html}/index.html is missing: run 'make book' first`); process.exit(1); }
mkdirSync(shots, { recursive: true });

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png', '.json': 'application/json', '.woff2': 'font/woff2' };
const server = createServer((request, response) => {
  const path = join(html, normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname)));
  try {
    const body = readFileSync(path);
    response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise(ready => server.listen(0, '127.0.0.1', ready));
const base = `http://127.0.0.1:${server.address().port}/`;

const pages = readdirSync(html, { recursive: true })
  .filter(p => p.endsWith('.html') && !p.startsWith('_') && !['genindex.html', 'index.html'].includes(p)).sort();
const browser = await chromium.launch({ executablePath: binary, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
let problems = 0;
for (const scheme of ['light', 'dark']) {
  for (const path of pages) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: scheme });
    const log = [];
    page.on('console', m => { if (['error', 'warning'].includes(m.type())) log.push(`console ${m.type()}: ${m.text()}`); });
    page.on('pageerror', e => log.push(`page error: ${e.message}`));
    page.on('requestfailed', r => log.push(`request failed: ${r.url()}`));
    page.on('response', r => { if (r.status() >= 400) log.push(`HTTP ${r.status()}: ${r.url()}`); });
    page.on('request', r => { const u = new URL(r.url()); if (u.protocol.startsWith('http') && !r.url().startsWith(base)) log.push(`foreign request: ${r.url()}`); });
    await page.goto(base + path, { waitUntil: 'load', timeout: 30000 });
    await page.waitForTimeout(700);
    const seen = await page.evaluate(() => ({
      theme: document.documentElement.dataset.theme,
      raw: [...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).length,
      bad: document.querySelectorAll('[data-mml-node="merror"]').length,
      wide: [...document.querySelectorAll('.bd-content img')].filter(e => e.getBoundingClientRect().right > innerWidth).length,
      blank: [...document.images].filter(e => !e.complete || !e.naturalWidth).length,
    }));
    if (seen.theme !== scheme) log.push(`theme is ${seen.theme}, not ${scheme}`);
    if (seen.raw) log.push(`${seen.raw} equations not rendered`);
    if (seen.bad) log.push(`${seen.bad} equations with an error`);
    if (seen.wide) log.push(`${seen.wide} figures wider than the window`);
    if (seen.blank) log.push(`${seen.blank} images did not load`);
    await page.screenshot({ path: join(shots, `${path.replace(/\W+/g, '_')}_${scheme}.png`), fullPage: true });
    console.log(`${log.length ? 'FAIL' : 'OK  '} ${scheme.padEnd(5)} ${path}`);
    log.forEach(line => console.log(`     ${line}`));
    problems += log.length;
    await page.close();
  }
}
await browser.close();
server.close();
console.log(`${pages.length} pages, 2 themes, ${problems} problems; screenshots in ${shots}`);
process.exit(problems ? 1 : 0);
