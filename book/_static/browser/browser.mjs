// The exported model on the reader's own photo. Nothing is loaded before a photo is chosen, and the photo goes nowhere:
// the browser decodes it, WebAssembly runs model.onnx, which squashes and grades it. A plain script, so that a page opened
// from a folder can at least say what it lacks; book/browser.md loads it.
(() => {
  'use strict';
  const HERE = new URL('.', document.currentScript.src);
  const RUNTIME = new URL('../../ort/', HERE);
  const LARGEST = 50e6;   // pixels: four bytes each as a canvas, three as bytes, and WebAssembly's copy

  // make('p', { class: 'x', onclick: f }, 'text', child)
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  class Problem extends Error {}   // its message is a sentence for the reader

  // ---- the model, fetched once
  async function bytesOf(url, size, tell) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes.set(value, at);
      tell(at += value.length);
    }
    if (at !== size) throw new Error(`${at} of ${size} bytes`);
    return bytes;
  }

  async function load(tell) {
    const described = fetch(new URL('model.json', HERE)).then(response => response.json());
    const [about, ort] = await Promise.all([described, import(new URL('ort.wasm.min.mjs', RUNTIME).href)]);
    ort.env.wasm.wasmPaths = RUNTIME.href;
    ort.env.wasm.numThreads = 1;   // threads need headers that a plain web server does not send
    const bytes = await bytesOf(new URL('model.onnx', HERE), about.bytes, at => tell(at / about.bytes));
    return { about, ort, session: await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] }) };
  }

  let loading = null;
  function model(tell) {
    loading ??= load(tell).catch(error => {
      loading = null;   // the next photo tries again
      throw new Problem(location.protocol === 'file:'
        ? 'A page that is opened from a folder may not load the model: run “make serve” and open the address that it prints.'
        : `The model could not be loaded (${error.message}). Check the connection and choose the photo again.`);
    });
    return loading;
  }

  // ---- the photo, as Python reads it: upright, on white, colours as they are stored
  async function decode(blob, name) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image', colorSpaceConversion: 'none' });
    } catch {
      throw new Problem(`${name} is no image that this browser can read. Choose a JPEG, PNG or WebP file.`);
    }
    const { width, height } = bitmap;
    if (width * height > LARGEST) throw new Problem(`${name} has ${Math.round(width * height / 1e6)} megapixels. Choose an image below ${LARGEST / 1e6}.`);
    const canvas = make('canvas', { width, height, role: 'img', 'aria-label': `${name}, ${width} × ${height} pixels` });
    const paper = canvas.getContext('2d', { willReadFrequently: true });
    paper.fillStyle = '#fff';
    paper.fillRect(0, 0, width, height);
    paper.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = paper.getImageData(0, 0, width, height);
    const pixels = new Uint8Array(3 * width * height);
    for (let at = 0, n = width * height; at < n; at += 1) {
      for (let channel = 0; channel < 3; channel += 1) pixels[channel * n + at] = data[4 * at + channel];
    }
    return { canvas, pixels, width, height };
  }

  async function grade({ session, ort }, { pixels, width, height }) {
    const start = performance.now();
    const found = await session.run({ pixels: new ort.Tensor('uint8', pixels, [1, 3, height, width]) });
    return { probabilities: [...found.probabilities.data], expected: found.expected.data[0], ms: performance.now() - start };
  }

  // ---- the page
  const percent = p => `${(100 * p).toFixed(1)} %`;

  function chart({ ranks: { names }, colours }, probabilities) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    const rows = names.map((name, k) => {
      const bar = make('div', { class: 'br-bar', style: `width: ${100 * probabilities[k]}%; background: ${colours[k]}` });
      return make('tr', k === best ? { class: 'br-best' } : {},
        make('th', { scope: 'row' }, name), make('td', { class: 'br-track', 'aria-hidden': 'true' }, bar), make('td', {}, percent(probabilities[k])));
    });
    return make('table', { class: 'br-chart' }, make('caption', {}, 'Probability of each rank'), make('tbody', {}, ...rows));
  }

  function answer({ about }, photo, { probabilities, expected, ms }) {
    const { names, values, unit } = about.ranks;
    const best = probabilities.indexOf(Math.max(...probabilities));
    const words = [
      make('p', { class: 'br-rank' }, 'Most probable: ', make('strong', {}, names[best]), ` damage, ${percent(probabilities[best])}`),
      make('p', {}, 'Expectation: ', make('strong', {}, expected.toFixed(2)), ` (${unit} ${values[0]} to ${values.at(-1)})`),
      make('p', { class: 'br-faint' }, `${photo.width} × ${photo.height} pixels, ${Math.round(ms)} ms in this browser`),
    ];
    return make('div', { class: 'br-answer' }, make('figure', {}, photo.canvas), make('div', {}, ...words.slice(0, 2), chart(about, probabilities), words[2]));
  }

  function start(place) {
    const said = make('p', { class: 'br-said', role: 'status' });
    const bar = make('progress', { max: 1, value: 0, 'aria-label': 'loading the model', hidden: '' });
    const shown = make('div');
    const input = make('input', { type: 'file', accept: 'image/*', class: 'br-file', tabindex: -1, 'aria-hidden': 'true', onchange: () => {
      if (input.files.length) look(input.files[0], input.files[0].name);
      input.value = '';   // the same photo may be chosen again
    } });
    const choose = make('button', { type: 'button', class: 'br-button br-main', onclick: () => input.click() }, 'Choose a photo');
    const sample = make('button', { type: 'button', class: 'br-button', onclick: async () => {
      try {
        look(await (await fetch(new URL('leaf.png', HERE))).blob(), 'The drawn leaf');
      } catch {
        model(() => {}).catch(error => tell(error.message, true));
      }
    } }, 'Try a drawn leaf');
    let latest = 0;

    function tell(text, wrong = false) {
      said.textContent = text;
      said.classList.toggle('br-wrong', wrong);
    }

    async function look(blob, name) {
      const turn = (latest += 1);
      const mine = act => { if (turn === latest) act(); };
      delete place.dataset.probabilities;
      shown.replaceChildren();
      tell('Loading the model …');
      try {
        const photo = await decode(blob, name);
        const ready = await model(share => { bar.hidden = share >= 1; bar.value = share; });
        mine(() => { tell('Looking …'); });
        await new Promise(next => setTimeout(next, 30));   // the words are drawn before the page is busy
        const found = await grade(ready, photo);
        mine(() => {
          const best = found.probabilities.indexOf(Math.max(...found.probabilities));
          shown.replaceChildren(answer(ready, photo, found));
          tell(`${name}: ${ready.about.ranks.names[best]} damage, ${percent(found.probabilities[best])}; expectation ${found.expected.toFixed(2)}.`);
          Object.assign(place.dataset, { probabilities: JSON.stringify(found.probabilities), expected: found.expected });
        });
      } catch (error) {
        if (!(error instanceof Problem)) console.error(error);
        mine(() => tell(error instanceof Problem ? error.message : `${name} could not be graded (${error.message}).`, true));
      }
      bar.hidden = true;
    }

    const first = list => [...(list ?? [])][0];
    const over = on => event => { event.preventDefault(); place.classList.toggle('br-over', on); };
    place.addEventListener('dragover', over(true));
    place.addEventListener('dragleave', over(false));
    place.addEventListener('drop', event => {
      over(false)(event);
      const file = first(event.dataTransfer.files);
      if (file) look(file, file.name);
    });
    document.addEventListener('paste', event => {
      const file = first(event.clipboardData?.files);
      if (file) { event.preventDefault(); look(file, file.name); }
    });
    const hint = make('p', { class: 'br-faint' }, 'or drop one here, or paste one. It stays on this machine.');
    place.append(make('div', { class: 'br-actions' }, choose, sample, input), hint, said, bar, shown);
    document.documentElement.classList.add('br-on');
  }

  start(document.getElementById('browser-model'));
})();
