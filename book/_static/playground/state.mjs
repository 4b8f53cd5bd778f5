// What the reader has set: its limits, its form in a link, and the same thing in Python.

export const CHOICES = {
  loss: ['ordinal', 'ce', 'both'], order: ['true', 'blind', 'shuffled'], normalise: ['batch', 'global'], power: [1, 2],
};
export const LIMITS = { ranks: [3, 7], scale: [1, 100], lambda: [0, 5] };

// Where the texts stand, for K ranks; the names are the entries of a menu.
export const ARRANGEMENTS = {
  fan: { title: 'a wide fan', angles: K => spread(K, 160) },
  close: { title: 'close together', angles: K => spread(K, 20) },
  ring: { title: 'all around the circle', angles: K => spread(K, 360 * (1 - 1 / K)) },
  disorder: { title: 'out of order', angles: K => { const fan = spread(K, 160); return [...evens(fan), ...odds(fan)]; } },
};
const spread = (K, width) => Array.from({ length: K }, (_, k) => Math.round(10 * width * (k / (K - 1) - 0.5)) / 10);
const evens = list => list.filter((_, i) => i % 2 === 0);
const odds = list => list.filter((_, i) => i % 2 === 1);

export function initial(ranks = 5) {
  return {
    texts: ARRANGEMENTS.fan.angles(ranks), image: 110, own: 1,
    loss: 'ordinal', order: 'true', normalise: 'batch', power: 1, lambda: 1, scale: 20,
  };
}

const clamp = (x, [low, high]) => Math.min(Math.max(x, low), high);
const neat = x => String(Math.round(x * 1000) / 1000);

// "texts=-80,-40,0&image=20&own=1" and so on; what is missing or makes no sense keeps the start value.
export function parse(text) {
  const given = new URLSearchParams(text);
  const state = initial();
  const number = (name, otherwise) => {
    const value = given.get(name);
    return value !== null && value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : otherwise;
  };
  const angle = degrees => (Math.abs(degrees) <= 180 ? degrees : 0);
  const ranks = clamp(Math.round(number('ranks', 5)), LIMITS.ranks);
  const arrangement = Object.hasOwn(ARRANGEMENTS, given.get('arrangement') ?? '') ? given.get('arrangement') : 'fan';
  state.texts = ARRANGEMENTS[arrangement].angles(ranks);
  const texts = (given.get('texts') ?? '').split(',').map(Number);
  if (texts.length >= LIMITS.ranks[0] && texts.length <= LIMITS.ranks[1] && texts.every(Number.isFinite)) state.texts = texts.map(angle);
  state.image = angle(number('image', state.image));
  state.own = clamp(Math.round(number('own', state.own)), [0, state.texts.length - 1]);
  state.scale = clamp(number('scale', state.scale), LIMITS.scale);
  state.lambda = clamp(number('lambda', state.lambda), LIMITS.lambda);
  for (const [name, choices] of Object.entries(CHOICES)) {
    const found = choices.find(choice => String(choice) === given.get(name));
    if (found !== undefined) state[name] = found;
  }
  return state;
}

export function format(state) {
  const { texts, image, own, loss, order, normalise, power, lambda, scale } = state;
  const parts = { texts: texts.map(neat).join(','), image: neat(image), own, loss, order, normalise, power, lambda: neat(lambda), scale: neat(scale) };
  return Object.entries(parts).map(([name, value]) => `${name}=${value}`).join('&');
}

const python = x => (Number.isInteger(x) ? `${x}.0` : String(x));
const quoted = text => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

// A script that prints the loss of this state, and of nothing else.
export function lossScript(state) {
  const sums = {
    ce: ['loss = F.cross_entropy(scale * image @ text.T, target)'],
    ordinal: ['loss = ordinal'],
    both: ['cross_entropy = F.cross_entropy(scale * image @ text.T, target)', 'loss = cross_entropy + weight * ordinal'],
  }[state.loss];
  const needsOrdinal = state.loss !== 'ce', needsCe = state.loss !== 'ordinal';
  return [
    'import torch',
    ...(needsCe ? ['import torch.nn.functional as F'] : []),
    ...(needsOrdinal ? ['', 'from l2rclip_lite.method.losses import ordinal_pairwise_loss'] : []),
    '', '',
    'def on_circle(degrees):',
    '    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))',
    '    return torch.stack([angle.cos(), angle.sin()], dim=1)',
    '', '',
    `image = on_circle([${python(state.image)}])`,
    `text = on_circle([${state.texts.map(python).join(', ')}])`,
    `target = torch.tensor([${state.own}])`,
    ...(needsCe ? [`scale = ${python(state.scale)}`] : []),
    ...(state.loss === 'both' ? [`weight = ${python(state.lambda)}`] : []),
    ...(needsOrdinal ? [
      'ordinal = ordinal_pairwise_loss(',
      '    image,', '    text,', '    target,', `    torch.arange(${state.texts.length}, dtype=torch.float64),`,
      `    normalise="${state.normalise}",`, `    order="${state.order}",`, `    push_power=${state.power},`,
      ')',
    ] : []),
    ...sums,
    'print(f"{float(loss):.6f}")',
    '',
  ].join('\n');
}

// A script that prints the scores of a rank set in one template.
export function wordsScript(names, template, centred) {
  const features = centred ? 'centred(features)' : 'features';
  return [
    'import torch', '',
    'from l2rclip_lite import Ranks, load_towers',
    'from l2rclip_book.statistics import ordinality',
    ...(centred ? ['from l2rclip_lite.method.prompts import centred'] : []),
    '',
    'names = (',
    ...names.map(name => `    ${quoted(name)},`),
    ')',
    `ranks = Ranks(names, tuple(range(len(names))), template=${quoted(template)})`,
    'with torch.inference_mode():',
    '    features = load_towers("mini").encode_text(ranks.sentences)',
    `print(ordinality(${features}))`,
    '',
  ].join('\n');
}
