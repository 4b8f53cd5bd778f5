// The losses of the playground: the formulas of l2rclip_lite/method/losses.py in JavaScript, without a page.
// tests/book/test_playground.py compares every function here with the package's.
//
// A feature is an array of numbers, unit length; a batch is an array of features. `pull` and `push` are the two parts of a
// loss: pull is what falls when an image comes to its own text, push what falls when it leaves texts. loss = pull + push.

// ranks.cyclic_permutation(K): text k gets the value of rank ONE_CYCLE[K][k], the order of every negative control of the package.
export const ONE_CYCLE = {
  2: [1, 0], 3: [1, 2, 0], 4: [3, 0, 1, 2], 5: [2, 3, 1, 4, 0], 6: [1, 5, 0, 2, 3, 4], 7: [6, 3, 5, 0, 1, 4, 2],
};

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const mean = numbers => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

// All distances |a_i − b_j|, never below 1e-6 (losses.distances).
export function distances(a, b) {
  return a.map(x => b.map(y => Math.sqrt(Math.max(dot(x, x) + dot(y, y) - 2 * dot(x, y), 1e-12))));
}

// ω_ik = |y_i − r_k| / M (losses.rank_weights).
export function rankWeights(target, values, { normalise = 'batch', order = 'true' } = {}) {
  if (order === 'blind') return target.map(() => values.map(() => 1));
  const gaps = target.map(y => values.map(value => Math.abs(values[y] - value)));
  const largest = normalise === 'batch' ? Math.max(...gaps.flat()) : values.at(-1) - values[0];
  const weights = gaps.map(row => row.map(gap => gap / Math.max(largest, 1e-12)));
  return order === 'shuffled' ? weights.map(row => ONE_CYCLE[values.length].map(k => row[k])) : weights;
}

export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = logits.map(x => Math.exp(x - top));
  const total = powers.reduce((sum, x) => sum + x, 0);
  return powers.map(x => x / total);
}

// Cross-entropy over the ranks, CE(s·z_i·Tᵀ, y_i). With z·t = 1 − |z − t|²/2 its tightness part is pull = s/2·|z_i − t_y|², and
// the rest is push = log Σ_k exp(−s/2·|z_i − t_k|²).
export function crossEntropy(image, text, target, scale) {
  const rows = image.map((z, i) => {
    const exponents = text.map(t => scale * (dot(z, t) - 1));
    const top = Math.max(...exponents);
    return { pull: -exponents[target[i]], push: top + Math.log(exponents.reduce((sum, x) => sum + Math.exp(x - top), 0)) };
  });
  const pull = mean(rows.map(row => row.pull)), push = mean(rows.map(row => row.push));
  return { loss: pull + push, pull, push };
}

// Ordinal pairwise loss of stage 2 (losses.ordinal_pairwise_loss): pull is the tightness, push minus the diversity.
export function ordinalPairwise(image, text, target, values, { normalise = 'batch', order = 'true', power = 1 } = {}) {
  const pull = mean(image.map((z, i) => text[target[i]].reduce((sum, t, d) => sum + (z[d] - t) ** 2, 0)));
  const weights = rankWeights(target, values, { normalise, order });
  const push = -mean(distances(image, text).flatMap((row, i) => row.map((d, k) => weights[i][k] * d ** power)));
  return { loss: pull + push, pull, push };
}

// Minus the gradient with respect to each image: what its own text does to it, and what each text's push does.
export function crossEntropyForces(image, text, target, scale) {
  return image.map((z, i) => {
    const share = softmax(text.map(t => scale * dot(z, t)));
    const toward = (t, factor) => t.map(x => (factor * x) / image.length);
    return { pull: toward(text[target[i]], scale), push: text.map((t, k) => toward(t, -scale * share[k])) };
  });
}

export function ordinalPairwiseForces(image, text, target, values, { normalise = 'batch', order = 'true', power = 1 } = {}) {
  const weights = rankWeights(target, values, { normalise, order });
  const apart = distances(image, text);
  return image.map((z, i) => ({
    pull: text[target[i]].map((t, d) => (-2 * (z[d] - t)) / image.length),
    push: text.map((t, k) => {
      const touching = apart[i][k] <= 1e-6; // where the distance is clamped the package's gradient is 0
      const factor = touching ? 0 : (weights[i][k] * power * apart[i][k] ** (power - 2)) / (image.length * text.length);
      return t.map((x, d) => factor * (z[d] - x));
    }),
  }));
}

// ---- one image and K texts on a circle: 0° at the top of the page, angles grow clockwise, in (−180°, 180°]

export const radians = degrees => (degrees * Math.PI) / 180;
export const onCircle = degrees => [Math.cos(radians(degrees)), Math.sin(radians(degrees))];
export const wrap = degrees => 180 - ((((180 - degrees) % 360) + 360) % 360);
const ranksOf = state => state.texts.map((_, k) => k);
const uses = (state, part) => state.loss === 'both' || state.loss === part;
const weightOf = state => (state.loss === 'both' ? state.lambda : 1);

// The two losses and their sum, with parts. `state.loss` decides what is summed: 'ce', 'ordinal', or 'both' (stage 2: CE + λ·ordinal).
export function measure(state, angle = state.image) {
  const image = [onCircle(angle)], text = state.texts.map(onCircle), target = [state.own];
  const ce = crossEntropy(image, text, target, state.scale);
  const ordinal = ordinalPairwise(image, text, target, ranksOf(state), state);
  const sum = { loss: 0, pull: 0, push: 0 };
  for (const part of ['loss', 'pull', 'push']) {
    if (uses(state, 'ce')) sum[part] += ce[part];
    if (uses(state, 'ordinal')) sum[part] += weightOf(state) * ordinal[part];
  }
  return { ce, ordinal, sum };
}

// Forces along the circle, clockwise positive, per radian: minus the derivative of the loss.
export function forces(state, angle = state.image) {
  const image = [onCircle(angle)], text = state.texts.map(onCircle), target = [state.own];
  const along = [-Math.sin(radians(angle)), Math.cos(radians(angle))];
  let pull = 0;
  const push = text.map(() => 0);
  const add = (force, factor) => {
    pull += factor * dot(force.pull, along);
    force.push.forEach((f, k) => { push[k] += factor * dot(f, along); });
  };
  if (uses(state, 'ce')) add(crossEntropyForces(image, text, target, state.scale)[0], 1);
  if (uses(state, 'ordinal')) add(ordinalPairwiseForces(image, text, target, ranksOf(state), state)[0], weightOf(state));
  const pushed = push.reduce((sum, f) => sum + f, 0);
  return { pull, push, pushed, net: pull + pushed };
}

// What the model answers: softmax over the ranks, its largest, its expectation.
export function answer(state) {
  const z = onCircle(state.image);
  const probabilities = softmax(state.texts.map(t => state.scale * dot(z, onCircle(t))));
  const rank = probabilities.indexOf(Math.max(...probabilities));
  return { probabilities, rank, expected: dot(probabilities, ranksOf(state)) };
}

// The angle after one gradient step: 0.1 times the force, at most 3°, halved until the loss falls. null: it is at rest.
export function step(state) {
  const before = measure(state).sum.loss;
  const most = radians(3);
  let move = Math.min(Math.max(0.1 * forces(state).net, -most), most);
  for (; Math.abs(move) > 1e-7; move /= 2) {
    const angle = wrap(state.image + (move * 180) / Math.PI);
    if (measure(state, angle).sum.loss < before - 1e-13) return angle;
  }
  return null;
}

// Every angle on the way from where the image is to where it rests.
export function slide(state, steps = 600) {
  const path = [state.image];
  for (let i = 0; i < steps; i += 1) {
    const next = step({ ...state, image: path.at(-1) });
    if (next === null) break;
    path.push(next);
  }
  return path;
}
