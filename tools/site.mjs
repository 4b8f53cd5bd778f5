// Chromium, and the built book as files and over http: what its pages link to, and a server that shows them as published.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize, resolve } from 'node:path';

const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png',
  '.json': 'application/json', '.woff2': 'font/woff2', '.wasm': 'application/wasm',
};

/** Chromium, playwright-core and axe-core, wherever they are; `giveUp(reason)` is called where one is missing. */
export function findTools(giveUp) {
  const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const binary = places.find(path => path && existsSync(path));
  if (!binary) return giveUp('no Chromium (apt-get install chromium, or set CHROMIUM)');
  const require = createRequire(resolve('package.json'));   // node_modules here or above, or in NODE_PATH
  try {
    return { binary, chromium: require('playwright-core').chromium, axe: readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8') };
  } catch {
    return giveUp('no playwright-core or axe-core (npm install --no-save playwright-core@1 axe-core@4, or set NODE_PATH)');
  }
}

/** A Chromium that asks nobody for anything. */
export function launch({ binary, chromium }) {
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic', '--no-first-run'];
  return chromium.launch({ executablePath: binary, args: ['--no-sandbox', '--disable-gpu', ...quiet] });
}

/**
 * Write every violation of the policy to the page's console, where the checks read it; the browser reports some of them nowhere
 * else.
 */
export function tellViolations(page) {
  return page.addInitScript(() => addEventListener('securitypolicyviolation', e => {
    console.error(`stopped by the policy: ${e.effectiveDirective}, ${e.blockedURI} ${e.sample}, ${e.sourceFile}:${e.lineNumber}`);
  }));
}

/** Paths of the pages in `folder`: not what the theme keeps in _static, nor Sphinx's (empty) index of names. */
export function listPages(folder) {
  return readdirSync(folder, { recursive: true }).filter(p => p.endsWith('.html') && !p.startsWith('_') && p !== 'genindex.html').sort();
}

/**
 * Path -> { ids, links, canonical, redirect, policy, before, handlers, open } of every page, parsed by the browser but not run.
 * `before` counts what the page loads before its policy, `open` are its links outwards without https or rel=noopener.
 */
export async function readPages(browser, folder) {
  const page = await browser.newPage();
  const pages = new Map();
  for (const path of listPages(folder)) {
    const seen = await page.evaluate(html => {
      const dom = new DOMParser().parseFromString(html, 'text/html');
      const values = (selector, name) => [...dom.querySelectorAll(selector)].map(e => e.getAttribute(name));
      const refresh = dom.querySelector('meta[http-equiv="refresh" i]')?.content.match(/url=(.*)/i)?.[1];
      const policy = dom.querySelector('head > meta[http-equiv="Content-Security-Policy"]');
      return {
        ids: [...values('[id]', 'id'), ...values('a[name]', 'name')],
        links: [...values('[href]', 'href'), ...values('[src]', 'src'), ...values('form[action]', 'action'), ...values('[property="og:image"]', 'content'), refresh].filter(v => v !== undefined && v !== null),
        canonical: dom.querySelector('link[rel="canonical"]')?.getAttribute('href'),
        redirect: refresh,
        policy: policy?.content ?? '',
        before: policy ? [...dom.querySelectorAll('script, link, style, img')].filter(e => e.compareDocumentPosition(policy) & Node.DOCUMENT_POSITION_FOLLOWING).length : 0,
        handlers: [...dom.querySelectorAll('*')].flatMap(e => e.getAttributeNames().filter(name => name.startsWith('on')).map(name => `<${e.localName} ${name}>`)),
        open: [...dom.querySelectorAll('a[href^="//"], a[href^="http:"], a[href^="https:"]:not([rel~="noopener"])')].map(e => e.outerHTML.slice(0, 120)),
      };
    }, readFileSync(join(folder, path), 'utf8'));
    if (seen.redirect) seen.redirect = new URL(seen.redirect, `http://x/${path}`).href.slice('http://x/'.length);
    pages.set(path, { ...seen, ids: new Set(seen.ids) });
  }
  await page.close();
  return pages;
}

/** What leaves a page open: no policy or a late or lax one, scripts in attributes, links outwards that are not closed. */
export function openDoors(path, pages) {
  const { policy, before, handlers, open } = pages.get(path);
  const lax = /'unsafe-eval'|script-src[^;]*'unsafe-inline'|[ *]https?:|[ ]\*/.test(policy) || (policy.includes('wasm-unsafe-eval') && path !== 'book/browser.html');
  return [
    ...(policy.startsWith("default-src 'self'; ") ? [] : ['no content security policy']),
    ...(lax ? [`its policy is lax: ${policy}`] : []),
    ...(before ? [`${before} elements load something before the policy`] : []),
    ...handlers.map(e => `a script in an attribute: ${e}`),
    ...open.map(e => `a link outwards without https or rel=noopener: ${e}`),
  ];
}

/** What is wrong with the links of one page: each must lead to a file of the site, and its anchor to an id there. */
export function brokenLinks(path, pages, folder, site) {
  const broken = new Set();
  for (const link of pages.get(path).links) {
    let url;
    try { url = new URL(link, site.base + path); } catch { broken.add(`no address: ${link}`); continue; }
    const own = site.address && url.href.startsWith(site.address) ? site.base + url.href.slice(site.address.length) : url.href;
    if (!own.startsWith('http') || (!own.startsWith(site.base) && new URL(own).origin !== new URL(site.base).origin)) continue;
    if (!site.owns(own)) { broken.add(`broken link, outside the site: ${link}`); continue; }
    url = new URL(own);
    let file;
    let anchor;
    try {
      file = decodeURIComponent(url.pathname.slice(new URL(site.base).pathname.length));
      anchor = decodeURIComponent(url.hash.slice(1));
    } catch { broken.add(`no address: ${link}`); continue; }   // as %E4, which is no UTF-8
    if (!file || file.endsWith('/')) file += 'index.html';
    if (!existsSync(join(folder, file)) || statSync(join(folder, file)).isDirectory()) broken.add(`broken link: ${link}`);
    else if (anchor && pages.has(file) && !pages.get(file).ids.has(anchor)) broken.add(`broken anchor: ${link}`);
  }
  return [...broken];
}

/** Serve `folder` on this machine under the path it will have on the web, which the canonical addresses of its pages tell. */
export async function openSite(folder, pages) {
  const [path, page] = [...pages].find(([, p]) => p.canonical) ?? [];
  const address = page && page.canonical.endsWith(path) ? page.canonical.slice(0, -path.length) : null;
  const prefix = address ? new URL(address).pathname : '/';
  const server = createServer((request, response) => {
    try {
      const wanted = decodeURIComponent(new URL(request.url, 'http://x').pathname);
      let file = join(folder, normalize(wanted.slice(prefix.length - 1)));
      if (file.endsWith('/')) file += 'index.html';
      if (!wanted.startsWith(prefix)) throw new Error('outside');
      const body = readFileSync(file);
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise(ready => server.listen(0, '127.0.0.1', ready));
  const base = `http://127.0.0.1:${server.address().port}${prefix}`;
  return {
    base, address,
    owns: url => url.startsWith(base) || !url.startsWith('http'),
    name: url => (url.startsWith(base) ? url.slice(base.length) : url),
    close: () => server.close(),
  };
}
