// What a page must not look like: a table that has fallen apart, a row of a table left as text, an image off its column.

/** Runs in the page, whole: one line for each kind of fault that it shows, with the first places. */
export function layoutFaults() {
  const article = document.querySelector('article');
  if (!article) return [];   // the search, the redirects
  const short = text => text.replace(/\s+/g, ' ').trim().slice(0, 60);
  const tell = (places, what) => (places.length ? [`${places.length} ${what}: ${places.slice(0, 3).join(' · ')}`] : []);

  // Text that is no table, code or formula, one line of the source to a line.
  const lines = element => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll('table, pre, code, .math, mjx-container, script, style').forEach(e => e.replaceWith('\u00a0'));
    return copy.textContent.split('\n');
  };
  const isRow = line => /^\s*\|.*\|\s*$/.test(line);
  const rawRows = [...article.querySelectorAll('p, dd, figcaption')].flatMap(lines).filter(isRow).map(short);

  // Every column of every row has its cell, and no row holds the rest of the cell above in its first column.
  const broken = [...article.querySelectorAll('table')].filter(table => {
    const rows = [...table.rows];
    const width = row => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0);
    const area = rows.flatMap(row => [...row.cells]).reduce((sum, cell) => sum + cell.colSpan * cell.rowSpan, 0);
    const columns = rows.length ? width(rows[0]) : 0;
    const leftover = row => row.parentElement.localName === 'tbody' && row.cells.length > 2
      && [...row.cells].every((cell, i) => (i ? !cell.textContent.trim() && !cell.querySelector('img, svg') : cell.textContent.trim()));
    return !rows.length || area !== rows.length * columns || rows.some(leftover);
  }).map(table => short(table.textContent) || '(empty)');

  // An image lies within the block around it, and within the column of the text.
  const box = e => e.getBoundingClientRect();
  const column = box(article);
  const around = e => { let p = e.parentElement; while (/^(inline|contents)/.test(getComputedStyle(p).display)) p = p.parentElement; return p; };
  const off = (inner, outer) => inner.left < outer.left - 1 || inner.right > outer.right + 1;
  const images = [...article.querySelectorAll('img, object')].filter(e => box(e).width);
  const astray = images.filter(e => off(box(e), box(around(e))) || off(box(e), column));
  const name = e => `${short((e.getAttribute('src') ?? e.data ?? '').slice(-60))}, ${Math.round(box(e).width)} px in ${Math.round(box(around(e)).width)}`;

  return [
    ...tell(rawRows, 'rows of a table are left as text'),
    ...tell(broken, 'tables have fallen apart'),
    ...tell(astray.map(name), 'images off their column'),
  ];
}

/** Kinds of fault, and HTML that has one. A look that does not see each of them is no look. */
export const FAULTS = [
  ['rows of a table are left as text', '<p>| alpha | 0.1 |\n| depth | 1 |</p>'],
  ['tables have fallen apart', '<table><tbody><tr><td>side</td><td>tower</td><td>what trains; it reads</td></tr><tr><td>no other.</td><td></td><td></td></tr></tbody></table>'],
  ['tables have fallen apart', '<table><tbody><tr><td>alpha</td><td>0.1</td></tr><tr><td>depth</td></tr></tbody></table>'],
  ['images off their column', '<p><img alt="wide" style="width: 2000px; max-width: none" src="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E"></p>'],
];
