// node tools/print_book.mjs [SITE = _build/html] [FILE = _build/book.pdf]
// Prints the built book into one PDF: title, contents, chapters and reference, with links between pages, an outline, page
// numbers and figures in the light theme. Solutions are open, folded code stays folded. Needs what tools/check_pages.mjs needs.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findTools, launch, openSite, readPages } from './site.mjs';

const { positionals } = parseArgs({ allowPositionals: true });
const [folder = '_build/html', file = '_build/book.pdf'] = positionals;
const LEFT_OUT = ['book/playground.html', 'book/browser.html', 'book/api.html'];   // two that move; the third is for looking up
const MOST_BYTES = 20e6;
const PHOTO = 150e3;   // bytes: drawings have fewer
const STYLE = `
  @page { size: A4; margin: 18mm 17mm 20mm }
  html, body { background: #fff; font-size: 10.5pt }
  body::before, body::after, html::before { display: none }
  section.printed-page { break-before: page }
  h1, h2, h3 { break-after: avoid }
  p.caption { break-before: avoid }
  figure, table, div.cell_output, mjx-container[display="true"] { break-inside: avoid }
  img { max-width: 100%; height: auto }
  mjx-container svg * { stroke-width: 0 !important }
  pre, code { white-space: pre-wrap; overflow-wrap: anywhere }
  a.headerlink, button, details.hide { display: none }
  ol.printed-contents { columns: 2; list-style: none; padding: 0 }`;

/** Runs in a page of the book: its article as HTML, with ids and links as they are in one document of all pages. */
function readArticle({ path, printed, base, address }) {
  const name = page => page.replace(/\W/g, '-');
  const article = document.querySelector('article.bd-article');
  article.querySelectorAll('details:not(.hide)').forEach(e => { e.open = true; });
  article.querySelectorAll('script, a.headerlink, button').forEach(e => e.remove());
  // comments, keywords and what is defined keep their colour; the many spans of all else would be a tenth of the file
  article.querySelectorAll('span.pre, pre span:not(.c1, .k, .kn, .nf, .nc)').forEach(e => e.replaceWith(...e.childNodes));
  for (const element of article.querySelectorAll('[id]')) {
    if (!element.closest('mjx-container')) element.id = `${name(path)}--${element.id}`;
  }
  for (const link of article.querySelectorAll('a[href]')) {
    const url = new URL(link.href);
    if (url.origin !== location.origin) continue;
    const page = printed.find(p => url.pathname.endsWith(`/${p}`));
    const hash = url.hash && `--${url.hash.slice(1)}`;
    if (page) link.setAttribute('href', `#${name(page)}${hash}`);
    else if (address === null) link.removeAttribute('href');   // it leads to this machine
    else link.setAttribute('href', address + url.href.slice(base.length));
  }
  article.querySelectorAll('img').forEach(e => { e.src = new URL(e.getAttribute('src'), location.href).href; e.loading = 'eager'; });
  const equations = document.querySelector('#MJX-SVG-styles')?.textContent ?? '';
  return `<style>${equations}</style><section class="printed-page" id="${name(path)}">${article.innerHTML}</section>`;
}

/** Runs in the first page: puts the whole book in its place; photographs become JPEG, which is smaller. */
async function showBook({ title, contents, articles, style, photo }) {
  const entries = contents.map(({ path, text }) => `<li><a href="#${path.replace(/\W/g, '-')}">${text}</a></li>`);
  document.body.innerHTML = `<h1>${title}</h1><ol class="printed-contents">${entries.join('')}</ol>${articles.join('')}`;
  document.head.append(Object.assign(document.createElement('style'), { textContent: style }));
  for (const image of document.images) {
    await image.decode().catch(() => console.error(`no image ${image.src}`));
    if (!image.src.endsWith('.png') || (await (await fetch(image.src)).blob()).size < photo) continue;
    const canvas = Object.assign(document.createElement('canvas'), { width: image.naturalWidth, height: image.naturalHeight });
    const pen = canvas.getContext('2d');
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0);
    image.src = canvas.toDataURL('image/jpeg', 0.85);
    await image.decode().catch(() => console.error(`no photograph ${image.alt}`));
  }
}

if (!existsSync(join(folder, 'book', 'index.html'))) {
  console.error('print: the book is not built; run `make html`');
  process.exit(1);
}
const tools = findTools(reason => { console.error(`print: ${reason}`); process.exit(1); });
const browser = await launch(tools);
const site = await openSite(folder, await readPages(browser, folder));
const page = await browser.newPage({ colorScheme: 'light' });
const faults = [];
page.on('console', m => { if (m.type() === 'error') faults.push(m.text()); });

await page.goto(`${site.base}book/index.html`, { waitUntil: 'load' });
const contents = await page.evaluate(() => [...document.querySelectorAll('nav.bd-links a.reference.internal')]
  .map(e => ({ path: new URL(e.href).pathname.match(/book\/[^/]+\.html$/)?.[0], text: e.textContent.trim() })).filter(e => e.path));
const chosen = contents.filter(e => !LEFT_OUT.includes(e.path));
const printed = chosen.map(e => e.path);

const articles = [];
for (const path of printed) {
  await page.goto(site.base + path, { waitUntil: 'load' });
  await page.evaluate(() => globalThis.MathJax?.startup?.promise);
  articles.push(await page.evaluate(readArticle, { path, printed, base: site.base, address: site.address }));
}

await page.goto(`${site.base}book/index.html`, { waitUntil: 'load' });
const title = readFileSync('_config.yml', 'utf8').match(/^title: (.*)$/m)[1];
await page.evaluate(showBook, { title, contents: chosen, articles, style: STYLE, photo: PHOTO });
const number = '<div style="width: 100%; font-size: 8pt; text-align: center"><span class="pageNumber"></span></div>';
await page.pdf({ path: file, format: 'A4', printBackground: true, preferCSSPageSize: true, outline: true, tagged: true,
  displayHeaderFooter: true, headerTemplate: '<span></span>', footerTemplate: number });
await browser.close();
site.close();

const bytes = statSync(file).size;
if (bytes > MOST_BYTES) faults.push(`${(bytes / 1e6).toFixed(1)} MB are more than ${MOST_BYTES / 1e6}`);
faults.forEach(fault => console.error(`print: ${fault}`));
console.log(`${file}: ${printed.length} pages of the book, ${(bytes / 1e6).toFixed(1)} MB`);
process.exit(faults.length ? 1 : 0);
