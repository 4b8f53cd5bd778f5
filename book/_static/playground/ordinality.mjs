// How well K sentences keep their order: l2rclip_book.statistics.ordinality in JavaScript, from cosines alone.
// tests/book/test_playground.py compares the scores with the package's.

// A full matrix of cosines from its upper triangle, row by row.
export function unfold(triangle, count, unit) {
  const cosines = Array.from({ length: count }, (_, i) => Array.from({ length: count }, (_, j) => (i === j ? 1 : 0)));
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    for (let j = i + 1; j < count; j += 1, at += 1) cosines[i][j] = cosines[j][i] = triangle[at] * unit;
  }
  return cosines;
}

// Inner products after the mean of the rows has been taken from each row.
function aroundMean(products) {
  const rows = products.map(row => row.reduce((sum, x) => sum + x, 0) / row.length);
  const all = rows.reduce((sum, x) => sum + x, 0) / rows.length;
  return products.map((row, i) => row.map((x, j) => x - rows[i] - rows[j] + all));
}

// Cosines of the centred features, as the package uses them (prompts.centred).
export function centre(cosines) {
  const products = aroundMean(cosines);
  return products.map((row, i) => row.map((x, j) => (i === j ? 1 : x / Math.sqrt(products[i][i] * products[j][j]))));
}

// Eigenvalues and eigenvectors of a symmetric matrix, largest first (Jacobi's rotations).
function eigen(matrix) {
  const n = matrix.length;
  const a = matrix.map(row => [...row]);
  const v = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 30; sweep += 1) {
    let off = 0;
    for (let p = 0; p < n; p += 1) {
      for (let q = p + 1; q < n; q += 1) {
        off += a[p][q] ** 2;
        if (Math.abs(a[p][q]) < 1e-14) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1), s = t * c;
        for (let k = 0; k < n; k += 1) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
        for (let k = 0; k < n; k += 1) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
        for (let k = 0; k < n; k += 1) [v[k][p], v[k][q]] = [c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q]];
      }
    }
    if (off < 1e-22) break;
  }
  const order = a.map((_, i) => i).sort((i, j) => a[j][j] - a[i][i]);
  return { values: order.map(i => a[i][i]), vectors: order.map(i => v.map(row => row[i])) };
}

// The first two principal components of the sentences and their share of the variance. The last rank lies to the right of the first.
export function components(cosines) {
  const { values, vectors } = eigen(aroundMean(cosines));
  const total = values.reduce((sum, x) => sum + Math.max(x, 0), 0);
  const coordinates = [0, 1].map(c => {
    const vector = vectors[c].map(x => x * Math.sqrt(Math.max(values[c], 0)));
    return vector.at(-1) < vector[0] ? vector.map(x => -x) : vector;
  });
  return { x: coordinates[0], y: coordinates[1], shares: [0, 1].map(c => Math.max(values[c], 0) / total) };
}

// Ranks 1 … n, ties get their mean.
function midRanks(numbers) {
  const order = numbers.map((_, i) => i).sort((i, j) => numbers[i] - numbers[j]);
  const ranks = new Array(numbers.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && numbers[order[end]] === numbers[order[start]]) end += 1;
    for (let i = start; i < end; i += 1) ranks[order[i]] = (start + end + 1) / 2;
    start = end;
  }
  return ranks;
}

// Spearman's ρ; 0 where either side is constant.
export function spearman(left, right) {
  const half = (left.length + 1) / 2;
  const a = midRanks(left).map(x => x - half), b = midRanks(right).map(x => x - half);
  const sum = (x, y) => x.reduce((total, value, i) => total + value * y[i], 0);
  const bottom = Math.sqrt(sum(a, a) * sum(b, b));
  return bottom > 0 ? Math.min(Math.max(sum(a, b) / bottom, -1), 1) : 0;
}

const fine = x => Math.round(x * 1e9) / 1e9;

// A function that scores the sentences in any order: order[k] is the sentence that stands at rank k.
export function scorer(cosines) {
  const n = cosines.length;
  const distance = cosines.map(row => row.map(x => fine(1 - x)));
  const first = components(cosines).x.map(fine);
  return (order = cosines.map((_, k) => k)) => {
    const gaps = [], apart = [];
    let won = 0, met = 0;
    for (let i = 0; i < n; i += 1) {
      const row = distance[order[i]];
      for (let j = i + 1; j < n; j += 1) {
        gaps.push(j - i);
        apart.push(row[order[j]]);
        const inner = row[order[j]], other = distance[order[j]];
        for (let k = j + 1; k < n; k += 1) {
          const outer = row[order[k]];
          won += (outer > inner ? 1 : outer === inner ? 0.5 : 0) + (outer > other[order[k]] ? 1 : outer === other[order[k]] ? 0.5 : 0);
          met += 2;
        }
      }
    }
    const component = Math.abs(spearman(order.map(k => first[k]), order.map((_, k) => k)));
    return { gap: spearman(gaps, apart), triplets: won / met, component };
  };
}

// A random order that another random order with another seed differs from; the same in every browser (mulberry32).
export function shuffle(count, seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const order = Array.from({ length: count }, (_, k) => k);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}
