// One question after another; answers are kept in the browser until they are downloaded.

const data = JSON.parse(document.getElementById('data').textContent);
const main = document.getElementById('main');
const storageKey = `ruc-check-${data.run}-${data.draw}`;
const YES = 'yes', NO = 'no', SKIP = 'skip'; // or the number of the cluster that an image belongs to
const total = data.questions.length;
let given = stored(); // one answer after the other, in the order of the questions; back takes the last one away
let isStored = true;

function stored() {
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey) || '[]');
    return Array.isArray(kept) ? kept.slice(0, total) : [];
  } catch (error) {
    return [];
  }
}

function keep() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(given));
    isStored = true;
  } catch (error) {
    isStored = false;
  }
}

// Text is only ever set as text: no markup is parsed from data.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'onclick') element.addEventListener('click', value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

const picture = (source, attributes) => h('img', { src: `data:image/webp;base64,${source}`, alt: '', ...attributes });
const nameOf = (cluster) => data.clusters[cluster].name || `Cluster ${cluster}`;

function answer(value) {
  if (given.length === total) return;
  given.push(value);
  keep();
  show();
}

// By a digit: only where its button is there to be clicked.
function answerElsewhere(cluster) {
  if (given.length < total && elsewhere(data.questions[given.length]).includes(cluster)) answer(cluster);
}

function elsewhere({ cluster }) {
  const others = Object.keys(data.clusters).map(Number).filter((other) => other !== cluster);
  return others.length <= data.mostOthers ? others : [];
}

function back() {
  if (!given.length) return;
  given.pop();
  keep();
  show();
}

function show() {
  const done = given.length;
  document.getElementById('count').textContent = `${Math.min(done + 1, total)} of ${total}`;
  const bar = document.getElementById('progress');
  bar.setAttribute('aria-valuemax', total);
  bar.setAttribute('aria-valuenow', done);
  bar.firstElementChild.style.setProperty('width', `${100 * done / total}%`);
  main.replaceChildren(...(done === total ? finished() : question(data.questions[done])));
}

function question({ file, cluster, image }) {
  const others = elsewhere({ cluster });
  const title = `Does this ${data.noun} belong to ${nameOf(cluster)}?`;
  document.getElementById('announcer').textContent = `${title} ${file}`;
  return [
    h('h1', null, title),
    h('div', { class: 'question' },
      h('div', { class: 'side' }, h('h2', null, `This ${data.noun}`),
        image ? picture(image, { class: 'asked', alt: file }) : h('p', { class: 'asked' }, 'It cannot be opened any more.'),
        h('p', { class: 'file' }, file)),
      h('div', { class: 'side' }, h('h2', null, `Typical of ${nameOf(cluster)}`),
        h('div', { class: 'typical' }, data.clusters[cluster].typical.map((source) => picture(source))))),
    h('div', { class: 'keys' },
      h('button', { type: 'button', class: 'yes', onclick: () => answer(YES) }, 'Yes', h('kbd', null, 'y')),
      h('button', { type: 'button', class: 'no', onclick: () => answer(NO) }, 'No', h('kbd', null, 'n')),
      h('button', { type: 'button', onclick: () => answer(SKIP) }, "Can't tell", h('kbd', null, 's')),
      h('button', { type: 'button', class: 'quiet', onclick: back, disabled: !given.length }, 'Back', h('kbd', null, 'u'))),
    others.length > 0 && h('div', { class: 'elsewhere' },
      h('h2', null, 'No, and it clearly belongs to … (only if you see it at a glance)'),
      h('ul', null, others.map((other) => h('li', null,
        h('button', { type: 'button', onclick: () => answer(other) }, data.clusters[other].typical.slice(0, 1).map((source) => picture(source)), nameOf(other), other < 10 && h('kbd', null, other)))))),
  ].filter(Boolean);
}

function finished() {
  const yes = given.filter((value) => value === YES).length;
  const skipped = given.filter((value) => value === SKIP).length;
  return [h('div', { class: 'done' },
    h('h1', null, `${yes} of ${total - skipped} belong where they are`),
    skipped > 0 && h('p', null, `${skipped} left open.`),
    h('p', null, 'Download the answers and put them into the run. It then says how many of all images are right, within which limits; images that belong elsewhere leave their cluster.'),
    !isStored && h('p', { class: 'warning' }, 'This browser keeps nothing: download before closing.'),
    h('div', { class: 'keys' },
      h('button', { type: 'button', class: 'primary', onclick: download, disabled: total === skipped }, 'Download edits.json', h('kbd', null, 'd')),
      h('button', { type: 'button', class: 'quiet', onclick: back }, 'Back', h('kbd', null, 'u'))),
    h('pre', null, `ruc apply ${data.runFolder} edits.json`))];
}

function editsFile() {
  const edits = data.questions.slice(0, given.length).map(({ file, cluster }, place) => ({
    op: 'answer', file_name: file, asked: cluster, right: given[place] === YES ? cluster : given[place] === NO ? null : given[place],
  })).filter((edit, place) => given[place] !== SKIP);
  return JSON.stringify({ format: 'ruc-edits', version: 1, run: data.run, edits }, null, 1);
}

function download() {
  const url = URL.createObjectURL(new Blob([editsFile()], { type: 'application/json' }));
  h('a', { href: url, download: 'edits.json' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === 'y') answer(YES);
  else if (key === 'n') answer(NO);
  else if (key === 's') answer(SKIP);
  else if (key === 'u') back();
  else if (key === 'd' && given.length === total) download();
  else if (/^[0-9]$/.test(key)) answerElsewhere(Number(key));
});
show();
